/** One ticket: who does what until when; then the four deadlines, the history, and the acts the rules allow. */
import { useEffect, useRef, useState } from "preact/hooks";
import { call } from "../core/api.ts";
import { go, home } from "../core/route.ts";
import { old, tickets, tile, zone } from "../core/store.ts";
import { tick } from "../core/time.ts";
import type { Person, Ticket, TicketDetail } from "../core/types.ts";
import { Header } from "../home/bar.tsx";
import { BigChart } from "../tiles/bigchart.tsx";
import { Pager, slice } from "../home/pager.tsx";
import { useRoom } from "../home/room.ts";
import { isOld } from "../tiles/tile.tsx";
import { Icon } from "../look/icon.tsx";
import { Strip } from "../look/strip.tsx";
import { leadMark, ring, severityMark, severityWord, stateWord } from "../look/words.ts";
import { entries } from "../queue/queue.ts";
import { far } from "../report/lines.tsx";
import { categoryWord } from "../report/send.ts";
import { askBadge } from "../scan/ask.tsx";
import { moment } from "../words/format.ts";
import { name, render, t } from "../words/texts.ts";
import { Act, actWord, send } from "./act.tsx";
import { acts, FIELDS } from "./actions.ts";

const LINE = 64;

/** The ticket with its history, asked for again whenever it changed. */
function useDetail(no: string): { ticket: Ticket | null; history: TicketDetail["history"] | null } {
  const [detail, setDetail] = useState<TicketDetail | null>(null);
  const listed = tickets.value.find((one) => one.no === no) ?? null;
  useEffect(() => {
    let gone = false;
    void call<TicketDetail>(`api/v1/tickets/${encodeURIComponent(no)}`).then((answer) => {
      if (!gone && answer.status === 200) setDetail(answer.data);
    });
    return () => void (gone = true);
  }, [no, listed, old.value]);
  return { ticket: listed ?? detail, history: detail?.history ?? null };
}

function History({ history }: { history: TicketDetail["history"] | null }) {
  const [wanted, turn] = useState(0);
  const box = useRef<HTMLDivElement>(null);
  const room = useRoom(box, LINE, 1, history?.length ?? 0);
  const newest = [...(history ?? [])].reverse();
  const { shown, page, pages } = slice(newest, wanted, room);
  return (
    <section class="k-history">
      <h2>{t("kiosk.history")}</h2>
      <div class="k-page" ref={box}>
      <ol class="k-line-list" data-test="history">
        {history === null && <li class="dim">{t(old.value ? "kiosk.history.offline" : "kiosk.history.wait")}</li>}
        {shown.map((line) => (
          <li key={line.at + line.kind}>
            <time>{moment(Date.parse(line.at), zone.value, tick.value)}</time>
            <p>
              {render(line.text, zone.value, tick.value)}
            </p>
          </li>
        ))}
      </ol>
      <Pager page={page} pages={pages} turn={turn} test="history" />
      </div>
    </section>
  );
}

/** Acts on this ticket that still wait here, or came back. */
function Pending({ no }: { no: string }) {
  const mine = entries.value.filter((one) => one.lane === no);
  return (
    <>
      {mine.map((one) => (
        <button key={one.id} class={`k-queue ${one.state === "parked" ? "soon" : ""}`} type="button" data-test="queue-open" onClick={() => go({ at: "queue" })}>
          <span>
            <Icon name={one.state === "parked" ? "tri" : "up"} /> {render(one.label, zone.value)}
          </span>
          <span>{one.state === "parked" ? (one.reason ? name(one.reason) : t("kiosk.queue.refused")) : t("kiosk.queue.waits")}</span>
        </button>
      ))}
    </>
  );
}

function Body({ ticket }: { ticket: Ticket }) {
  const data = ticket.characteristic ? tile(ticket.characteristic)?.value : undefined;
  const people = [ticket.reporter && t("kiosk.ticket.by", { who: ticket.reporter.name }), ticket.owner && t("kiosk.ticket.owner", { who: ticket.owner.name })];
  const count = ticket.occurrences > 1 ? t("kiosk.ticket.times", { n: ticket.occurrences }) : "";
  const raised = t("kiosk.ticket.raised", { at: moment(Date.parse(ticket.raised_at), zone.value, tick.value) });
  const told = far(ticket);
  return (
    <section class="k-ticket">
      <Pending no={ticket.no} />
      <p class={`k-lead ${old.value ? "old" : ticket.attention}`} data-test="lead">
        <Icon name={old.value ? "stale" : leadMark(ticket)} /> {render(ticket.lead, zone.value, tick.value)}
      </p>
      <Strip strip={ticket.strip} say={(step) => render(step.text, zone.value, tick.value)} />
      <p class="k-marks">
        <span class="lamp" data-test="state" data-state={ticket.state}>
          <Icon name={ring(ticket.state)} />
          {stateWord(ticket.state)}
        </span>
        <span class="lamp">
          <Icon name={severityMark(ticket.severity)} />
          {severityWord(ticket.severity)}
        </span>
        {ticket.category && <span>{categoryWord(ticket.category)}</span>}
        {count && <span>{count}</span>}
        {!old.value && (
          <span class="lamp" data-test="far">
            <Icon name={told.icon} />
            {told.text}
          </span>
        )}
      </p>
      <p class="dim">{[raised, ...people].filter(Boolean).join("·")}</p>
      {ticket.description && <p class="k-words prose">{ticket.description}</p>}
      {data && (
        <div class={isOld(data, old.value) ? "k-chart old" : "k-chart"}>
          <BigChart data={data} old={isOld(data, old.value)} />
        </div>
      )}
    </section>
  );
}

export function TicketView({ no }: { no: string }) {
  const { ticket, history } = useDetail(no);
  const [acting, setActing] = useState<{ action: string; person: Person } | null>(null);
  if (!ticket) return <Header back={home} backText={t("kiosk.back")} title={no} />;
  if (acting) return <Act ticket={ticket} {...acting} close={() => setActing(null)} />;
  const { main, others } = acts(ticket);
  // an act without questions is sent at once; every act is signed
  const start = (action: string): void =>
    askBadge((person) => (FIELDS[action]?.length ? setActing({ action, person }) : void send(ticket, action, {}, person)));
  const sent = (action: string): boolean => entries.value.some((one) => one.lane === no && one.state === "waiting" && one.path.endsWith(`/${action}`));
  const key = (action: string, cls: string) => (
    <button key={action} class={`key k-main ${cls}`} type="button" disabled={sent(action)} data-test={`act-${action}`} onClick={() => start(action)}>
      {actWord(action)}
    </button>
  );
  return (
    <>
      <Header back={home} backText={t("kiosk.home")} title={render(ticket.title, zone.value, tick.value)}>
        <p class="k-no" data-test="ticket-no">
          {ticket.short}
        </p>
      </Header>
      <main class="k-body ticket" data-test="ticket">
        <Body ticket={ticket} />
        <History history={history} />
        {(main || others.length > 0) && (
          <div class="k-end acts" style={{ "--cols": String(others.length > 3 ? 2 : Math.max(1, others.length)) }}>
            {main && key(main, "main")}
            {others.map((one) => key(one, ""))}
          </div>
        )}
      </main>
    </>
  );
}

/** The station's open tickets, or, while entries wait without a link, what waits on this tablet. */
import { useRef, useState } from "preact/hooks";
import { scale } from "../core/device.ts";
import { go } from "../core/route.ts";
import { heardAt, old, tickets, zone } from "../core/store.ts";
import { tick } from "../core/time.ts";
import type { Ticket } from "../core/types.ts";
import { Icon } from "../look/icon.tsx";
import { Strip } from "../look/strip.tsx";
import { leadMark, ring, stateWord, textClass } from "../look/words.ts";
import { entries, parked, waiting } from "../queue/queue.ts";
import { clock } from "../words/format.ts";
import { lang, render, span, t } from "../words/texts.ts";
import { Pager, slice } from "./pager.tsx";
import { byUrgency, usePortrait, useRoom, useSettled } from "./room.ts";
import { WaitingList } from "./waiting.tsx";

/** Height of a card with its gap; in English the title and the sentence take two lines each, upright the Chinese title may. */
const ROW = { zh: 128, en: 158 };
const UPRIGHT = { zh: 136, en: 158 };

function Lead({ ticket }: { ticket: Ticket }) {
  if (old.value) {
    return (
      <span>
        <Icon name="stale" /> {t("kiosk.ticket.then", { time: clock(heardAt.value, zone.value) })}
      </span>
    );
  }
  return (
    <span class={textClass(ticket.attention)}>
      <Icon name={leadMark(ticket)} /> {render(ticket.lead, zone.value, tick.value)}
    </span>
  );
}

export function TicketCard({ ticket }: { ticket: Ticket }) {
  const lamp = old.value ? "old" : ticket.attention === "none" ? "" : ticket.attention;
  return (
    <button class={`k-tk ${lamp}`} type="button" data-test={`ticket-${ticket.no}`} data-state={ticket.state} onClick={() => go({ at: "ticket", no: ticket.no })}>
      <h3>{render(ticket.title, zone.value, tick.value)}</h3>
      <p>
        <span>{ticket.short}</span>
        <span class="lamp">
          <Icon name={ring(ticket.state)} />
          {stateWord(ticket.state)}
        </span>
      </p>
      <p class="lead">
        <Lead ticket={ticket} />
      </p>
      <Strip strip={ticket.strip} mini say={(step) => render(step.text, zone.value, tick.value)} />
    </button>
  );
}

/** "Waiting 2, oldest 3 min" and what was refused, as one target above the tickets. */
function QueueCard() {
  const oldest = waiting.value[0];
  const line = oldest && t("kiosk.queue.oldest", { age: span((tick.value - Date.parse(oldest.enteredAt)) / 1000) });
  return (
    <button class={`k-queue ${parked.value.length ? "soon" : ""}`} type="button" data-test="queue-open" onClick={() => go({ at: "queue" })}>
      <span>
        <Icon name="up" /> {t("kiosk.queue.count", { count: waiting.value.length })}
        {line ? `·${line}` : ""}
      </span>
      {parked.value.length > 0 && (
        <b class="t-soon" data-test="parked-count">
          <Icon name="tri" /> {t("kiosk.queue.parked", { count: parked.value.length })}
        </b>
      )}
    </button>
  );
}

function List() {
  const [wanted, turn] = useState(0);
  const box = useRef<HTMLDivElement>(null);
  const columns = usePortrait() ? 2 : 1;
  const all = [...tickets.value].sort(byUrgency);
  const order = useSettled(all.map((one) => one.no));
  const row = (columns === 1 ? ROW : UPRIGHT)[lang.value];
  const room = useRoom(box, row, columns, order.length);
  const { shown, page, pages } = slice(order, wanted, room);
  return (
    <div class="k-page" ref={box}>
      <div class="k-list" style={{ "--card": `${(row - 12) * scale.value}px` }}>
        {shown.map((no) => {
          const one = all.find((ticket) => ticket.no === no);
          return one && <TicketCard key={no} ticket={one} />;
        })}
        {all.length === 0 && <p class="k-none">{t("kiosk.tickets.none")}</p>}
      </div>
      <Pager page={page} pages={pages} turn={turn} test="tickets" />
    </div>
  );
}

export function Side() {
  const count = tickets.value.length;
  if (old.value && entries.value.length) return <WaitingList />;
  return (
    <aside class="k-side">
      <h2>
        <span>{old.value ? t("kiosk.tickets.then", { time: clock(heardAt.value, zone.value) }) : t("kiosk.tickets")}</span>
        <span class={count ? "" : "dim"}>{t("kiosk.tickets.count", { count })}</span>
      </h2>
      {entries.value.length > 0 && <QueueCard />}
      <List />
    </aside>
  );
}

/** After "send": kept, delivered, what happens next. Goes home by itself. */
import { useEffect, useState } from "preact/hooks";
import { go, home, say } from "../core/route.ts";
import { head, link, zone } from "../core/store.ts";
import type { Severity, Ticket } from "../core/types.ts";
import { Header } from "../home/bar.tsx";
import { Icon } from "../look/icon.tsx";
import { delivered, entries, put, remove } from "../queue/queue.ts";
import type { Entry } from "../queue/shelf.ts";
import { askBadge } from "../scan/ask.tsx";
import { signOff } from "../scan/badge.ts";
import { name, render, t } from "../words/texts.ts";
import { begin } from "./draft.ts";
import { Arrived, current, Duty, Next, Pending, Saved } from "./lines.tsx";
import { Picture } from "./photos.tsx";

const HOME_S = 8;

async function cancel(ticket: Ticket, badge: string, who: string): Promise<void> {
  const label = { key: "kiosk.queue.cancel", args: { no: ticket.short } };
  const json = { reason: t("kiosk.withdraw.reason"), cycle: ticket.cycle };
  const path = `api/v1/tickets/${encodeURIComponent(ticket.no)}/cancel`;
  await put({ kind: "action", lane: ticket.no, path, json, badge, who, label });
  say(t("kiosk.withdraw.done"));
  home();
}

/** Take it back: out of the row while it cannot have arrived; afterwards by cancelling the ticket, signed. */
async function withdraw(entry: Entry | undefined, ticket: Ticket | undefined): Promise<void> {
  if (ticket) return askBadge((person) => void cancel(ticket, person.id, person.name));
  const refused = entry?.state === "parked"; // what the gateway sent back is with nobody else
  if (!entry || (!refused && (entry.tried || link.value === "up"))) return say(t("kiosk.withdraw.later"), true);
  await remove(entry);
  say(t("kiosk.withdraw.done"));
  home();
}

function Keys({ given, entry, ticket, leave }: { given: Entry; entry: Entry | undefined; ticket: Ticket | undefined; leave(): void }) {
  const [left, setLeft] = useState(HOME_S);
  const [asked, setAsked] = useState(false);
  const refused = entry?.state === "parked";
  useEffect(() => {
    if (asked || refused) return; // somebody is at work, or must be: stay
    const timer = setInterval(() => setLeft((now) => now - 1), 1000);
    return () => clearInterval(timer);
  }, [asked, refused]);
  useEffect(() => {
    if (left <= 0) leave();
  }, [left]);
  const report = given.kind === "ticket";
  const again = (): void => {
    begin();
    go({ at: "report" });
  };
  return (
    <div class={report ? "k-end sentkeys" : "k-end one"}>
      {refused ? (
        <button class="key main k-main" type="button" data-test="to-queue" onClick={() => go({ at: "queue" })}>
          {t("kiosk.queue.correct")}
        </button>
      ) : (
        <button class="key main k-main" type="button" data-test="go-home" onClick={leave}>
          {t("kiosk.sent.home", { left: Math.max(0, left) })}
        </button>
      )}
      {report && (
        <button class="key k-main" type="button" data-test="report-again" onClick={again}>
          {t("kiosk.sent.again")}
        </button>
      )}
      {report && (
        <button class="key k-main" type="button" data-test="withdraw" onClick={() => (asked ? void withdraw(entry, ticket) : setAsked(true))}>
          {t(asked ? "kiosk.withdraw.ask" : "kiosk.withdraw")}
        </button>
      )}
    </div>
  );
}

export function Sent({ given }: { given: Entry }) {
  const done = delivered.value.get(given.id);
  const entry = entries.value.find((one) => one.id === given.id);
  const ticket = done && given.kind === "ticket" ? current(done.data) : undefined;
  const severity = given.json.severity as Severity | undefined;
  const said = render(given.label, zone.value);
  const where = [ticket && said, head.value && name(head.value.station.name), given.who].filter(Boolean).join("·");
  const refused = entry?.state === "parked";
  const title = refused ? t("kiosk.sent.refused") : t(done || link.value === "up" ? "kiosk.sent" : "kiosk.sent.saved");
  const leave = (): void => {
    if (given.kind === "ticket") signOff(); // no name is left over on a shared tablet
    home();
  };
  return (
    <>
      <Header back={leave} backText={t("kiosk.home")} title={title} step={given.kind === "ticket" ? 3 : undefined} />
      <main class={given.photos.length ? "k-body sent" : "k-body sent alone"} data-test="sent">
        <section class="k-done">
          <Icon name={refused ? "tri" : "check"} large />
          <div>
            <h2 data-test="sent-no">{ticket ? ticket.no : said}</h2>
            <p>{where}</p>
          </div>
        </section>
        <ol class="k-facts k-lines">
          {severity && <Duty severity={severity} />}
          {ticket && <Next ticket={ticket} />}
          <Saved entry={given} />
          {done ? <Arrived at={done.at} data={done.data} kind={given.kind} /> : <Pending entry={entry} />}
        </ol>
        {given.photos[0] && (
          <aside class="k-see">
            <Picture photo={given.photos[0]} left={t("kiosk.photo.count", { count: given.photos.length })} right={given.who ?? ""} />
          </aside>
        )}
        <Keys given={given} entry={entry} ticket={ticket} leave={leave} />
      </main>
    </>
  );
}

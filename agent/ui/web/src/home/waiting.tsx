/** What waits on this tablet while there is no link: the newest lines, and how full the storage is. */
import { useRef } from "preact/hooks";
import { go } from "../core/route.ts";
import { tickets, zone } from "../core/store.ts";
import { tick } from "../core/time.ts";
import { Icon } from "../look/icon.tsx";
import { entries, full, LIMIT, parked, waiting } from "../queue/queue.ts";
import type { Entry } from "../queue/shelf.ts";
import { usePortrait, useRoom } from "./room.ts";
import { clock } from "../words/format.ts";
import { render, span, t } from "../words/texts.ts";

/** Height of an entry with its gap; upright, where two stand side by side, its words may take two lines. */
const ROW = 96;
const UPRIGHT = 108;

/** One entry in words: what, by whom, when. */
export function EntryLine({ entry }: { entry: Entry }) {
  const photos = entry.photos.length ? `·${t("kiosk.photo.count", { count: entry.photos.length })}` : "";
  return (
    <>
      <h3>
        <Icon name={entry.state === "parked" ? "tri" : "up"} /> {render(entry.label, zone.value)}
      </h3>
      <p>
        <span>
          {entry.who ?? t("kiosk.who.unsigned")}
          {photos}
        </span>
        <span>{clock(Date.parse(entry.enteredAt), zone.value)}</span>
      </p>
    </>
  );
}

export function Meter() {
  const used = entries.value.length;
  return (
    <p class="k-facts meter">
      <span>
        <b>{t("kiosk.storage")}</b> {t("kiosk.storage.used", { used, limit: LIMIT })}
      </span>
      <span class={full.value ? "prog soon" : "prog"}>
        <i style={{ width: `${Math.min(100, Math.max(2, (100 * used) / LIMIT))}%` }} />
      </span>
      {tickets.value.length > 0 && <span class="dim">{t("kiosk.clocksGoOn", { count: tickets.value.length })}</span>}
    </p>
  );
}

export function WaitingList() {
  const list = useRef<HTMLDivElement>(null);
  const columns = usePortrait() ? 2 : 1;
  const room = useRoom(list, columns === 1 ? ROW : UPRIGHT, columns, 0);
  const oldest = waiting.value[0];
  const age = oldest ? `·${t("kiosk.queue.oldest", { age: span((tick.value - Date.parse(oldest.enteredAt)) / 1000) })}` : "";
  return (
    <aside class="k-side" data-test="waiting">
      <h2>
        <span>{t("kiosk.queue")}</span>
        <span>
          {t("kiosk.queue.items", { count: waiting.value.length })}
          {age}
          {parked.value.length ? `·${t("kiosk.queue.parked", { count: parked.value.length })}` : ""}
        </span>
      </h2>
      <div class="k-list waiting" ref={list}>
        {entries.value.slice(-room).map((entry) => (
          <button key={entry.id} class={`k-tk ${entry.state === "parked" ? "soon" : ""}`} type="button" data-test="queue-open" onClick={() => go({ at: "queue" })}>
            <EntryLine entry={entry} />
          </button>
        ))}
      </div>
      <Meter />
    </aside>
  );
}

/** What waits on this tablet, and what came back: why, and the ways out (correct it, send it again, drop it). */
import { useState } from "preact/hooks";
import { go, home } from "../core/route.ts";
import { Header } from "../home/bar.tsx";
import { Pager, slice } from "../home/pager.tsx";
import { EntryLine, Meter } from "../home/waiting.tsx";
import { Icon } from "../look/icon.tsx";
import { begin as beginMeasure, enter } from "../measure/form.ts";
import { again, entries, remove } from "../queue/queue.ts";
import type { Entry } from "../queue/shelf.ts";
import { begin } from "../report/draft.ts";
import type { Severity } from "../core/types.ts";
import { name, t } from "../words/texts.ts";

const SIZE = 4;

function reason(entry: Entry): string {
  if (entry.reason) return t("kiosk.queue.because", { reason: name(entry.reason) });
  if (entry.state === "parked") return t("kiosk.queue.refused");
  return entry.status ? t("kiosk.queue.trying", { status: entry.status }) : t("kiosk.queue.waits");
}

/** Open the form again with what was entered; a corrected entry is a new one with a key of its own. */
async function correct(entry: Entry): Promise<void> {
  const text = (field: string): string => String(entry.json[field] ?? "");
  if (entry.kind === "ticket") {
    const known = { category: text("category"), severity: text("severity") as Severity, note: text("description") };
    begin({ ...known, photos: entry.photos, tile: null, step: 2 });
    await remove(entry);
    go({ at: "report" });
  } else if (entry.kind === "measure") {
    beginMeasure(text("characteristic"));
    enter((entry.json.values as number[]).map(String));
    await remove(entry);
    go({ at: "measure" });
  } else {
    await remove(entry);
    go({ at: "ticket", no: entry.lane });
  }
}

function Row({ entry }: { entry: Entry }) {
  const [asked, setAsked] = useState(false);
  const parked = entry.state === "parked";
  const drop = t(asked ? (entry.tried && !parked ? "kiosk.queue.dropTried" : "kiosk.queue.dropAsk") : "kiosk.queue.drop");
  return (
    <li class={`k-row ${parked ? "soon" : ""}`} data-test={`entry-${entry.state}`} data-key={entry.id}>
      <div class="grow">
        <EntryLine entry={entry} />
        <p class={parked ? "t-soon" : "dim"} data-test="entry-reason">
          {reason(entry)}
        </p>
      </div>
      {parked && (
        <button class="key" type="button" data-test="entry-correct" onClick={() => void correct(entry)}>
          {t("kiosk.queue.correct")}
        </button>
      )}
      <button class="key" type="button" data-test="entry-again" onClick={() => void again(entry)}>
        {t("kiosk.queue.again")}
      </button>
      <button class="key" type="button" data-test="entry-drop" onClick={() => (asked ? void remove(entry) : setAsked(true))}>
        {drop}
      </button>
    </li>
  );
}

export function QueueView() {
  const [wanted, turn] = useState(0);
  const sorted = [...entries.value].sort((a, b) => Number(b.state === "parked") - Number(a.state === "parked") || a.seq - b.seq);
  const { shown, page, pages } = slice(sorted, wanted, SIZE);
  return (
    <>
      <Header back={home} backText={t("kiosk.home")} title={t("kiosk.queue")} />
      <main class="k-body queue" data-test="queue">
        <h2 class="sr">{t("kiosk.queue")}</h2>
        <ol class="k-rows">
          {shown.map((entry) => (
            <Row key={entry.id} entry={entry} />
          ))}
          {sorted.length === 0 && (
            <li class="k-none">
              <Icon name="check" /> {t("kiosk.queue.empty")}
            </li>
          )}
        </ol>
        <Pager page={page} pages={pages} turn={turn} test="queue" />
        <Meter />
      </main>
    </>
  );
}

/** Three touches: what, how bad, send. The note and the photo are by choice. */
import { useState } from "preact/hooks";
import { go, home, say } from "../core/route.ts";
import { head, old, tile, zone } from "../core/store.ts";
import type { Category, Severity } from "../core/types.ts";
import { BigChart } from "../tiles/bigchart.tsx";
import { Header } from "../home/bar.tsx";
import { breach, titleOf } from "../tiles/tile.tsx";
import { Icon } from "../look/icon.tsx";
import { severityMark, severityWord } from "../look/words.ts";
import { full } from "../queue/queue.ts";
import { name, span, t } from "../words/texts.ts";
import { change, discard, draft, toggle, type Draft } from "./draft.ts";
import { Facts } from "./facts.tsx";
import { NoteSheet } from "./note.tsx";
import { DraftPhoto, PhotoKey } from "./photos.tsx";
import { reportPhrases } from "./phrases.ts";
import { categoryWord, sendReport } from "./send.ts";

const SEVERITIES: Severity[] = ["stop", "quarantine", "watch"];

function leave(): void {
  discard();
  home();
}

function What({ now }: { now: Draft }) {
  const choose = (one: Category): void => change({ category: one.id, step: 2 });
  const list = head.value?.categories ?? [];
  return (
    <>
      <Header back={leave} backText={t("kiosk.back")} title={t("kiosk.report.what")} step={1} />
      <main class="k-body what">
        <section class="choices nine">
          {list.map((one) => (
            <button key={one.id} class="choice" type="button" aria-pressed={now.category === one.id} data-test={`category-${one.id}`} onClick={() => choose(one)}>
              <Icon name={one.icon || "dots"} />
              <span>
                <b>{name(one.name)}</b>
                {one.hint && <small>{name(one.hint)}</small>}
              </span>
            </button>
          ))}
        </section>
        <Facts draft={now} />
      </main>
    </>
  );
}

/** What the plant does then, and how soon; the amount is the configuration's. */
function hint(severity: Severity): string {
  const within = head.value?.respond_s ?? null;
  return t(`kiosk.severity.${severity}.hint` as "kiosk.severity.stop.hint", { within: within === null ? null : span(within) });
}

function Chosen({ now }: { now: Draft }) {
  const data = now.tile ? tile(now.tile)?.value : undefined;
  if (now.photos.length || !data) return <DraftPhoto photos={now.photos} />;
  const said = data.violation && breach(data);
  return (
    <figure class="k-mini" data-test="prefilled">
      <BigChart data={data} old={old.value} />
      <figcaption>
        {titleOf(data)}
        {said && (
          <b class={`t-${data.attention}`} data-test="prefilled-why">
            <Icon name={said.icon} /> {said.text}
          </b>
        )}
      </figcaption>
    </figure>
  );
}

function Extras({ now, write }: { now: Draft; write(): void }) {
  const known = now.tile ? tile(now.tile)?.value.violation?.ticket : null;
  const phrases = reportPhrases(head.value?.categories.find((one) => one.id === now.category)).slice(0, known ? 2 : now.photos.length || now.tile ? 4 : 6);
  return (
    <aside class="k-aside extras">
      <div class="k-see">
        <Chosen now={now} />
      </div>
      {known && (
        <button class="key" type="button" data-test="same" onClick={() => go({ at: "ticket", no: known })}>
          {t("kiosk.same.known", { no: known.slice(-3) })}
        </button>
      )}
      <PhotoKey count={now.photos.length} />
      <div class="choices two">
        {phrases.map((phrase, i) => (
          <button key={phrase} class="key" type="button" aria-pressed={now.phrases.includes(phrase)} data-test={`quick-${i}`} onClick={() => toggle(phrase)}>
            {phrase}
          </button>
        ))}
      </div>
      <button class="key" type="button" aria-pressed={Boolean(now.note)} data-test="note" onClick={write}>
        {now.note ? <span class="clip">{now.note}</span> : t("kiosk.note")}
      </button>
    </aside>
  );
}

function HowBad({ now }: { now: Draft }) {
  const [writing, setWriting] = useState(false);
  const [busy, setBusy] = useState(false);
  const category = categoryWord(now.category);
  const send = async (): Promise<void> => {
    setBusy(true);
    try {
      const entry = await sendReport(now);
      go({ at: "sent", entry });
    } catch {
      setBusy(false);
      say(t(full.value ? "kiosk.storage.full" : "kiosk.storage.failed"), true);
    }
  };
  if (writing) {
    const done = (note: string): void => {
      change({ note });
      setWriting(false);
    };
    const phrases = reportPhrases(head.value?.categories.find((one) => one.id === now.category)).slice(0, 8);
    return <NoteSheet title={t("kiosk.note.title")} text={now.note} phrases={phrases} done={done} back={() => setWriting(false)} doneText={t("kiosk.note.keep")} />;
  }
  return (
    <>
      <Header back={() => change({ step: 1 })} backText={t("kiosk.back")} title={t("kiosk.report.howBad", { category })} step={2} />
      <main class="k-body howbad">
        <section class="choices three">
          {SEVERITIES.map((one) => (
            <button key={one} class="choice big" type="button" aria-pressed={now.severity === one} data-test={`severity-${one}`} onClick={() => change({ severity: one })}>
              <Icon name={severityMark(one)} />
              <span>
                <b>{severityWord(one)}</b>
                <small>{hint(one)}</small>
              </span>
            </button>
          ))}
        </section>
        <Extras now={now} write={() => setWriting(true)} />
        <button class="key main k-main wide" type="button" disabled={!now.severity || busy} data-test="send" onClick={() => void send()}>
          {now.severity ? t("kiosk.report.send", { category, severity: severityWord(now.severity) }) : t("kiosk.report.chooseFirst")}
        </button>
      </main>
    </>
  );
}

export function Report() {
  const now = draft.value;
  void zone.value;
  if (!now) return null;
  return now.step === 1 || !now.category ? <What now={now} /> : <HowBad now={now} />;
}

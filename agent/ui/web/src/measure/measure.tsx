/** Measured values by hand: one characteristic, as many values as its subgroup still needs, our own keys. */
import { useSignal } from "@preact/signals";
import { useEffect, useState } from "preact/hooks";
import { go, home, say } from "../core/route.ts";
import { allTiles, tile as cellOf } from "../core/store.ts";
import type { Tile } from "../core/types.ts";
import { Header } from "../home/bar.tsx";
import { Pager, slice } from "../home/pager.tsx";
import { Icon } from "../look/icon.tsx";
import { full, put } from "../queue/queue.ts";
import { badge } from "../scan/badge.ts";
import { askBadge } from "../scan/ask.tsx";
import { useHand } from "../scan/hands.ts";
import { exact, num } from "../words/format.ts";
import { name, t } from "../words/texts.ts";
import { judge, signed, specWords } from "./check.ts";
import { begin, discard, enter, form, parse, shownAs, type } from "./form.ts";
import { Pad } from "./pad.tsx";

const CHOICES = 9;
const PAUSE_MS = 900;

function leave(): void {
  discard();
  home();
}

function Which() {
  const [wanted, turn] = useState(0);
  const manual = allTiles().filter((one) => one.entry === "manual");
  const { shown, page, pages } = slice(manual, wanted, CHOICES);
  return (
    <>
      <Header back={leave} backText={t("kiosk.back")} title={t("kiosk.measure.which")} />
      <main class="k-body which">
        <section class="choices nine">
          {shown.map((one) => (
            <button key={one.id} class="choice" type="button" data-test={`characteristic-${one.id}`} onClick={() => begin(one.id)}>
              <Icon name="gauge" />
              <span>
                <b>{name(one.name)}</b>
                <small>
                  {specWords(one)}·{t("kiosk.measure.pieces", { n: needed(one) })}
                </small>
              </span>
            </button>
          ))}
        </section>
        <Pager page={page} pages={pages} turn={turn} test="which" />
      </main>
    </>
  );
}

/** Values that the subgroup still needs. */
export function needed(data: Tile): number {
  return Math.max(1, Math.max(1, data.n) - data.open.length);
}

function Value(props: { data: Tile; index: number; value: number | null; text: string; on: boolean; typing?: boolean; pick?(): void }) {
  const { data, index, value, text, on, typing, pick } = props;
  const verdict = value === null || typing ? "ok" : judge(data, value);
  const cls = verdict === "odd" ? "odd" : verdict === "ok" ? "" : "bad";
  return (
    <button class={`k-in ${cls} ${on ? "on" : ""} ${text ? "" : "empty"}`} type="button" disabled={!pick} data-test={`value-${index}`} onMouseDown={(event) => event.preventDefault()} onClick={pick}>
      <span>{t("kiosk.measure.piece", { n: index + 1 })}</span>
      <b>
        {shownAs(text) || (on ? "" : "—")}
        {on && <i class="caret" />}
      </b>
      <small>
        {verdict === "ok" ? (
          data.unit
        ) : (
          <span class={verdict === "odd" ? "t-soon" : "t-now"}>
            <Icon name={verdict === "odd" ? "tri" : "cross"} /> {t(`kiosk.measure.${verdict}`)}
          </span>
        )}
      </small>
    </button>
  );
}

function About({ data, values }: { data: Tile; values: number[] }) {
  const mean = values.length ? values.reduce((sum, one) => sum + one, 0) / values.length : null;
  const person = badge.value;
  return (
    <dl class="k-facts">
      <dt>{t("kiosk.detail.spec")}</dt>
      <dd>
        <b>{specWords(data)}</b>
      </dd>
      <dt>{t("kiosk.measure.group")}</dt>
      <dd>{t("kiosk.measure.pieces", { n: data.n })}</dd>
      {data.n > 1 && mean !== null && (
        <>
          <dt>{t("kiosk.measure.mean", { n: values.length })}</dt>
          <dd data-test="mean-so-far">
            <b>{`${num(mean, data.decimals + 1)}\u00a0${data.unit}`}</b>
          </dd>
        </>
      )}
      <dt>{t("kiosk.measure.by")}</dt>
      <dd>
        {person ? (
          <>
            <Icon name="person" /> {person.name}
          </>
        ) : (
          <button class="key" type="button" data-test="ask-badge" onClick={() => askBadge()}>
            {t("kiosk.facts.scanBadge")}
          </button>
        )}
      </dd>
    </dl>
  );
}

async function send(data: Tile, values: number[]): Promise<void> {
  const person = badge.value;
  const label = { key: "kiosk.queue.measure", args: { name: data.name, n: values.length } };
  const json = { characteristic: data.id, values };
  const who = person?.name ?? null;
  try {
    const entry = await put({ kind: "measure", lane: `measure ${data.id}`, path: "api/v1/measurements", json, badge: person?.id ?? null, who, label });
    discard();
    go({ at: "sent", entry });
  } catch {
    say(t(full.value ? "kiosk.storage.full" : "kiosk.storage.failed"), true);
  }
}

/** True for a moment after each key: a number half typed is not judged. */
function useTyping(text: string): boolean {
  const [still, setStill] = useState(text);
  useEffect(() => {
    const timer = setTimeout(() => setStill(text), PAUSE_MS);
    return () => clearTimeout(timer);
  }, [text]);
  return still !== text;
}

/** What is entered by now, and what is wrong with it. */
function entered(data: Tile, count: number): { texts: string[]; values: (number | null)[]; ready: boolean; odd: string | undefined } {
  const texts = Array.from({ length: count }, (_, i) => form.value?.values[i] ?? "");
  const values = texts.map(parse);
  const odd = texts.find((_, i) => values[i] !== null && judge(data, values[i]!) === "odd");
  return { texts, values, ready: values.every((one) => one !== null), odd };
}

function Entry({ data }: { data: Tile }) {
  const count = needed(data);
  const { texts, values, ready, odd } = entered(data, count);
  const at = useSignal(ready ? count - 1 : values.indexOf(null));
  const sure = useSignal(false);
  const typing = useTyping(texts[at.value] ?? "");
  const current = texts[at.value] ?? "";
  const press = (pressed: string): void => {
    sure.value = false;
    enter(entered(data, count).texts.map((text, i) => (i === at.value ? type(text, pressed, data.decimals) : text)));
  };
  const on = (): void => {
    const now = entered(data, count);
    if (!now.ready) at.value = now.values[at.value] === null ? at.value : now.values.indexOf(null);
    else if (now.odd !== undefined && !sure.value) sure.value = true;
    else void send(data, now.values as number[]);
  };
  useHand((key) => {
    const meant = key === "," || key === "。" ? "." : key;
    if (meant === "enter") on();
    else if (meant === "-") signed(data) && press("sign");
    else if (meant === "del" || /^[0-9.]$/.test(meant)) press(meant);
  });
  const ask = ready && odd !== undefined;
  const label = !ready ? t("kiosk.measure.next") : ask ? t("kiosk.measure.sure", { value: shownAs(odd!) }) : t("kiosk.measure.send", { n: count });
  return (
    <>
      <Header back={leave} backText={t("kiosk.back")} title={t("kiosk.measure.title", { name: name(data.name) })} />
      <main class="k-body measure" data-test="measuring">
        <section class="k-values">
          <div class="k-ins">
            {data.open.map((value, i) => (
              <Value key={`open ${i}`} data={data} index={i} value={value} text={exact(value, data.decimals)} on={false} />
            ))}
            {Array.from({ length: count }, (_, i) => (
              <Value key={i} data={data} index={data.open.length + i} value={values[i] ?? null} text={texts[i] ?? ""} on={i === at.value} typing={typing && i === at.value} pick={() => (at.value = i)} />
            ))}
          </div>
          <About data={data} values={[...data.open, ...values.filter((one, i): one is number => one !== null && !(typing && i === at.value))]} />
        </section>
        <Pad press={press} dot={data.decimals > 0} sign={signed(data)} />
        <div class="k-end values">
          <button class="key k-main" type="button" data-test="clear" disabled={!texts.some(Boolean)} onClick={() => (enter([]), (at.value = 0), (sure.value = false))}>
            <Icon name="x" />
            {t("kiosk.measure.clear")}
          </button>
          <button class="key main k-main" type="button" disabled={!ready && parse(current) === null} data-test={ready ? "send" : "next"} onClick={on}>
            {sure.value && ask ? t("kiosk.measure.surely", { value: shownAs(odd!) }) : label}
          </button>
        </div>
      </main>
    </>
  );
}

export function Measure() {
  const data = form.value?.tile ? cellOf(form.value.tile)?.value : undefined;
  return data ? <Entry key={data.id} data={data} /> : <Which />;
}

/** One act, one question a screen; the last answer sends it. */
import { useState } from "preact/hooks";
import { say } from "../core/route.ts";
import { head, zone } from "../core/store.ts";
import { now } from "../core/time.ts";
import type { Person, Ticket } from "../core/types.ts";
import { Header } from "../home/bar.tsx";
import { Pager, slice } from "../home/pager.tsx";
import { Icon } from "../look/icon.tsx";
import { full, put } from "../queue/queue.ts";
import { NoteSheet } from "../report/note.tsx";
import { split } from "../report/phrases.ts";
import { clock, day } from "../words/format.ts";
import { t, word } from "../words/texts.ts";
import { days, FIELDS, type Field } from "./actions.ts";

export function actWord(action: string): string {
  return word(`kiosk.act.${action}`, action);
}

/** Keep the act on the tablet and let it be sent. */
export async function send(ticket: Ticket, action: string, json: { [field: string]: string }, person: Person): Promise<void> {
  const label = { key: "kiosk.queue.action", args: { act: { key: `kiosk.act.${action}` }, no: ticket.short } };
  const path = `api/v1/tickets/${encodeURIComponent(ticket.no)}/${action}`;
  try {
    const entry = await put({ kind: "action", lane: ticket.no, path, json: { ...json, cycle: ticket.cycle }, badge: person.id, who: person.name, label });
    say(t("kiosk.saved", { time: clock(Date.parse(entry.enteredAt), zone.value, true) }));
  } catch {
    say(t(full.value ? "kiosk.storage.full" : "kiosk.storage.failed"), true);
  }
}

interface Step {
  field: Field;
  title: string;
  last: boolean;
  value: string;
  answer(value: string): void;
  back(): void;
  doneText: string;
}

interface Option {
  value: string;
  text: string;
  small?: string;
  icon: string;
}

function Options({ step, options }: { step: Step; options: Option[] }) {
  const [wanted, turn] = useState(0);
  const { shown, page, pages } = slice(options, wanted, 9);
  return (
    <>
      <Header back={step.back} backText={t("kiosk.back")} title={step.title} />
      <main class="k-body which">
        <section class="choices nine">
          {shown.map((one) => (
            <button key={one.value} class="choice" type="button" aria-pressed={step.value === one.value} data-test={`option-${one.value}`} onClick={() => step.answer(one.value)}>
              <Icon name={one.icon} />
              <span>
                <b>{one.text}</b>
                {one.small && <small>{one.small}</small>}
              </span>
            </button>
          ))}
        </section>
        <Pager page={page} pages={pages} turn={turn} test="options" />
      </main>
    </>
  );
}

function Question({ step }: { step: Step }) {
  const { field } = step;
  if (field.kind === "text") {
    const phrases = split(t(`kiosk.phrases.${field.phrases}`));
    return <NoteSheet title={step.title} text={step.value} phrases={phrases} done={step.answer} back={step.back} doneText={step.doneText} optional={field.optional} />;
  }
  if (field.kind === "person") {
    const people = head.value?.people ?? [];
    return <Options step={step} options={people.map((one) => ({ value: one.id, text: one.name, small: one.id, icon: "person" }))} />;
  }
  if (field.kind === "date") {
    const list = days(day(now(), zone.value), 9);
    return <Options step={step} options={list.map((one, i) => ({ value: one, text: one.slice(5), small: i ? t("kiosk.act.inDays", { n: i }) : t("kiosk.act.today"), icon: "run" }))} />;
  }
  return <Options step={step} options={field.options.map((one) => ({ value: one, text: word(`kiosk.verify.${one}`, one), icon: one === "effective" ? "check" : "x" }))} />;
}

export function Act({ ticket, action, person, close }: { ticket: Ticket; action: string; person: Person; close(): void }) {
  const fields = FIELDS[action] ?? [];
  const [at, setAt] = useState(0);
  const [values, setValues] = useState<{ [field: string]: string }>({});
  const field = fields[at];
  if (!field) return null;
  const last = at === fields.length - 1;
  const answer = (value: string): void => {
    const all = { ...values, [field.name]: value };
    if (!value) delete all[field.name];
    setValues(all);
    if (!last) return setAt(at + 1);
    void send(ticket, action, all, person);
    close();
  };
  const step = {
    field,
    last,
    answer,
    title: t("kiosk.act.title", { act: actWord(action), ask: word(`kiosk.ask.${action}.${field.name}`, "") }),
    value: values[field.name] ?? "",
    back: () => (at ? setAt(at - 1) : close()),
    doneText: last ? t("kiosk.act.send", { act: actWord(action), no: ticket.short.slice(-3) }) : t("kiosk.act.on"),
  };
  return <Question key={field.name} step={step} />;
}

/** The lines after "send": what to do now, who comes until when, kept here, arrived there. */
import type { ComponentChildren } from "preact";
import { head, link, tickets, zone } from "../core/store.ts";
import { tick } from "../core/time.ts";
import type { MeasureAnswer, Ticket } from "../core/types.ts";
import { Icon } from "../look/icon.tsx";
import { severityMark } from "../look/words.ts";
import type { Severity } from "../core/types.ts";
import type { Entry } from "../queue/shelf.ts";
import { clock } from "../words/format.ts";
import { name, render, span, t, word } from "../words/texts.ts";

interface LineProps {
  icon: string;
  test: string;
  children: ComponentChildren;
  time?: string;
  cls?: string;
}

function Line({ icon, test, children, time, cls = "" }: LineProps) {
  return (
    <li class={`k-line ${cls}`} data-test={test}>
      <Icon name={icon} />
      <span class="grow">{children}</span>
      {time && <time>{time}</time>}
    </li>
  );
}

/** What the reporter does now. */
export function Duty({ severity }: { severity: Severity }) {
  return (
    <Line icon={severityMark(severity)} cls="strong" test="sent-duty">
      {word(`kiosk.severity.${severity}.duty`, "")}
    </Line>
  );
}

/** Who must act until when: the running deadline of the ticket. */
export function Next({ ticket }: { ticket: Ticket }) {
  const next = ticket.strip.find((step) => ["run", "near", "missed"].includes(step.mark) && step.due_at);
  if (!next?.due_at) {
    return (
      <Line icon="bell" test="sent-lead">
        {render(ticket.lead, zone.value, tick.value)}
      </Line>
    );
  }
  const due = Date.parse(next.due_at);
  const args = { who: ticket.owner?.name ?? t("kiosk.sent.nobody"), at: clock(due, zone.value) };
  return (
    <Line icon="bell" time={t("kiosk.step.left", { left: span((due - tick.value) / 1000) })} test="sent-lead">
      {t(`kiosk.sent.until.${next.kind}` as "kiosk.sent.until.R2", args)}
    </Line>
  );
}

export function Saved({ entry }: { entry: Entry }) {
  const time = clock(Date.parse(entry.enteredAt), zone.value, true);
  return (
    <Line icon="check" time={time} test="sent-saved">
      {t("kiosk.sent.saved")}
    </Line>
  );
}

/** Whether the ticket's group knows, with its shape. */
export function far({ outbox: { waiting, delivered } }: Ticket): { icon: string; text: string } {
  if (delivered > 0 && waiting === 0) return { icon: "check", text: t("kiosk.sent.far") };
  return head.value?.office.up ? { icon: "up", text: t("kiosk.sent.farSoon") } : { icon: "unlink", text: t("kiosk.sent.farCut") };
}

function Far({ ticket }: { ticket: Ticket }) {
  const { icon, text } = far(ticket);
  return (
    <Line icon={icon} test="sent-far">
      {text}
    </Line>
  );
}

/** The ticket of an answer, as it is by now. */
export function current(data: unknown): Ticket {
  const answer = data as Ticket;
  return tickets.value.find((one) => one.no === answer.no) ?? answer;
}

export function Arrived({ at, data, kind }: { at: number; data: unknown; kind: Entry["kind"] }) {
  const time = clock(at, zone.value, true);
  if (kind !== "measure") {
    const ticket = current(data);
    return (
      <>
        <Line icon="check" time={time} test="sent-delivered">
          {t("kiosk.sent.delivered", { no: ticket.short })}
        </Line>
        <Far ticket={ticket} />
      </>
    );
  }
  const { violations = [], ticket = null } = (data ?? {}) as Partial<MeasureAnswer>;
  const bad = violations.length > 0;
  return (
    <>
      <Line icon="check" time={time} test="sent-delivered">
        {t("kiosk.sent.arrived")}
      </Line>
      <Line icon={bad ? "diamond" : "check"} cls={bad ? "t-now" : ""} test="sent-result">
        {bad ? t(ticket ? "kiosk.sent.badTicket" : "kiosk.sent.bad", { no: ticket ?? "" }) : t("kiosk.sent.good")}
      </Line>
    </>
  );
}

/** Not arrived yet, or sent back. */
export function Pending({ entry }: { entry: Entry | undefined }) {
  if (entry?.state === "parked") {
    return (
      <Line icon="tri" cls="t-soon" test="sent-parked">
        {entry.reason ? t("kiosk.queue.because", { reason: name(entry.reason) }) : t("kiosk.sent.parked")}
      </Line>
    );
  }
  const up = link.value === "up";
  return (
    <Line icon={up ? "up" : "unlink"} test="sent-pending">
      {up ? t("kiosk.sent.sending") : t("kiosk.sent.later")}
    </Line>
  );
}

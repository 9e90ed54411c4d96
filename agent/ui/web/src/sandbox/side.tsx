/** The right column: who presses, what goes wrong next, what was called, whether the agent kept its promises. */
import type { ComponentChildren } from "preact";
import { Icon } from "../look/icon.tsx";
import { seconds } from "../words/format.ts";
import { render, t } from "../words/texts.ts";
import { actor, ask, snapshot, speaker, zone } from "./state.ts";
import type { Call, Fault } from "./types.ts";

const SHOWN_CALLS = 14;

function Section({ title, children, test }: { title: string; children: ComponentChildren; test: string }) {
  return (
    <section class={test} data-test={test}>
      <h2>{title}</h2>
      {children}
    </section>
  );
}

function Actors() {
  return (
    <Section title={t("sandbox.ui.actor")} test="actors">
      <div class="keys two">
        {snapshot.value!.people.map((one) => (
          <button key={one.id} class="key" type="button" aria-pressed={one.id === speaker.value} data-test={`person-${one.id}`} onClick={() => (actor.value = one.id)}>
            <Icon name="person" />
            <span class="grow">
              <span class={one.resigned ? "gone" : ""}>{one.name}</span>
              <small>{one.note && render(one.note, zone.value)}</small>
            </span>
          </button>
        ))}
      </div>
    </Section>
  );
}

const NEXT: [string, object][] = [
  ["limit", { api: "*", kind: "limit", times: 1, seconds: 5 }],
  ["lose", { api: "im.*", kind: "lose", times: 1 }],
  ["token", { api: "*", kind: "token", times: 1 }],
];

function Faults() {
  const faults = snapshot.value!.faults;
  const on = (kind: string): boolean => faults.some((one) => one.kind === kind);
  const words = (one: Fault): string => t("sandbox.ui.fault.line", { api: one.api, kind: one.kind, left: one.left ?? "∞", hits: one.hits });
  return (
    <Section title={t("sandbox.ui.faults")} test="faults">
      <div class="keys two">
        <button class="key" type="button" aria-pressed={faults.length === 0} data-test="fault-none" onClick={() => void ask("faults", undefined, "DELETE")}>
          {t("sandbox.ui.fault.none")}
        </button>
        {NEXT.map(([kind, body]) => (
          <button key={kind} class="key" type="button" aria-pressed={on(kind)} data-test={`fault-${kind}`} onClick={() => void ask("faults", body)}>
            {t(`sandbox.ui.fault.${kind}` as "sandbox.ui.fault.limit")}
          </button>
        ))}
      </div>
      {faults.map((one) => (
        <p key={one.id} class="dim small">
          {words(one)}
        </p>
      ))}
    </Section>
  );
}

/** One line of the list: time, method, path, answer, duration, fault. */
export function callLine(call: Call, at: string): string {
  const what = `${call.path}${call.uuid ? ` uuid=${call.uuid.slice(0, 4)}…` : ""}`;
  const answer = call.status === null ? t("sandbox.ui.lost") : `${call.status}${call.code ? ` ${call.code}` : ""}`;
  return `${at} ${call.method.padEnd(5)} ${what.slice(0, 26).padEnd(26)} ${answer.padEnd(4)} ${call.ms} ms${call.fault ? ` ${call.fault}` : ""}`;
}

function Calls() {
  const { calls: all, now } = snapshot.value!;
  const calls = all.slice(0, SHOWN_CALLS);
  const stamp = (at: string): string => seconds(Date.parse(at), zone.value, Date.parse(now));
  return (
    <Section title={t("sandbox.ui.calls")} test="calls">
      <pre>{calls.map((one) => callLine(one, stamp(one.at))).join("\n") || t("sandbox.ui.noCalls")}</pre>
    </Section>
  );
}

function Checks() {
  const { counters, violations, connections, groups, now } = snapshot.value!;
  const of = (part: string, name: string): number => Number((counters[part] as Record<string, number> | undefined)?.[name] ?? 0);
  const bad = Number(counters.violations ?? 0);
  const lines: [string, string, boolean][] = [
    ["groups", t("sandbox.ui.check.groups", { created: of("groups", "created"), dissolved: of("groups", "dissolved"), duplicates: of("groups", "duplicates") }), of("groups", "duplicates") > 0],
    ["cards", t("sandbox.ui.check.cards", { sent: of("cards", "sent"), updates: of("cards", "updates"), order: of("cards", "out_of_order") }), of("cards", "out_of_order") + of("cards", "duplicates") > 0],
    ["direct", t("sandbox.ui.check.direct", { direct: of("messages", "direct"), people: groups.filter((one) => one.kind === "p2p" && one.messages > 0).length }), false],
    ["clicks", t("sandbox.ui.check.clicks", { pressed: of("clicks", "pressed"), answered: of("clicks", "answered"), late: of("clicks", "late") + of("clicks", "nobody") }), of("clicks", "late") + of("clicks", "failed") > 0],
    ["link", t("sandbox.ui.check.link", { count: connections.length }), connections.length === 0],
    ["violations", String(bad), bad > 0],
  ];
  return (
    <Section title={t("sandbox.ui.checks")} test="checks">
      <dl class="kv">
        {lines.map(([name, text, wrong]) => [
          <dt key={`t${name}`}>{t(`sandbox.ui.check.${name}.name` as "sandbox.ui.check.groups.name")}</dt>,
          <dd key={name} class={wrong ? "t-soon" : ""} data-test={`check-${name}`}>
            {wrong && <Icon name="tri" />} {text}
          </dd>,
        ])}
      </dl>
      {violations.slice(0, 5).map((one) => (
        <p key={one.n} class="t-soon small" data-test="violation">
          {seconds(Date.parse(one.at), zone.value, Date.parse(now))} {render(one.text, zone.value)}
        </p>
      ))}
    </Section>
  );
}

export function Side() {
  return (
    <aside class="sb-side">
      <Actors />
      <Faults />
      <Checks />
      <Calls />
    </aside>
  );
}

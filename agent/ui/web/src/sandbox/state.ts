/** What the sandbox page knows: the last snapshot and the stream's events on top of it. */
import { batch, computed, signal } from "@preact/signals";
import { render } from "../words/texts.ts";
import type { Arg } from "../words/texts.ts";
import type { Call, Clock, Counters, Fault, Group, Message, Person, Row, Snapshot, SystemRow, Violation } from "./types.ts";

const BASE = "sandbox/api";
const CALLS = 100;

export const snapshot = signal<Snapshot | null>(null);
export const live = signal(false);
export const chosen = signal<string | null>(null);
export const rows = signal<Row[]>([]);
/** Who was chosen to press and speak. */
export const actor = signal<string | null>(null);
/** What the last press or act came to. */
export const outcome = signal<{ type: string; text: string } | null>(null);

export const zone = computed(() => snapshot.value?.tz ?? "Asia/Shanghai");
export const group = computed(() => snapshot.value?.groups.find((one) => one.chat_id === chosen.value) ?? null);
/** Who presses: the chosen one, else the owner of the conversation. In a direct chat only the person it belongs to can. */
export const speaker = computed(() => {
  const open = group.value;
  return (open?.kind === "p2p" ? open.person : (actor.value ?? open?.owner)) ?? snapshot.value?.people[0]?.id ?? null;
});
export const people = computed(() => new Map((snapshot.value?.people ?? []).map((one) => [one.id, one])));

/** The name of a person (by employee number), or the bot's for null. */
export function nameOf(id: string | null): string {
  if (id === null) return snapshot.value?.app.bot.name ?? "";
  return people.value.get(id)?.name ?? id;
}
export function byOpenId(open: string): Person | undefined {
  return snapshot.value?.people.find((one) => one.open_id === open || one.id === open);
}

interface Refusal {
  error?: { key: string; args?: { [name: string]: Arg } };
}

/** Ask the control API. A refusal is shown as the outcome and answers null. */
export async function ask<T>(path: string, body?: unknown, method = body === undefined ? "GET" : "POST"): Promise<T | null> {
  const init = body === undefined ? { method } : { method, headers: { "Content-Type": "application/json" }, body: JSON.stringify(body) };
  const answer = await fetch(`${BASE}/${path}`, init).catch(() => null);
  const data = answer ? ((await answer.json().catch(() => null)) as (T & Refusal) | null) : null;
  if (answer?.ok) return data;
  const error = data?.error;
  outcome.value = { type: "error", text: error ? render({ key: error.key, args: error.args ?? {} }, zone.value) : `HTTP ${answer?.status ?? 0}` };
  return null;
}

/** Open a conversation and read it as it is. */
export async function open(chatId: string): Promise<void> {
  if (chosen.value !== chatId) outcome.value = null;
  chosen.value = chatId;
  const heard: Row[] = (early = []);
  const found = await ask<{ messages: Row[] }>(`groups/${encodeURIComponent(chatId)}/messages?limit=200`);
  if (found && chosen.value === chatId) rows.value = heard.reduce(join, found.messages);
  if (early === heard) early = null;
}

/** What the stream tells of the conversation while it is being read: the answer may be older than that. */
let early: Row[] | null = null;

function same(one: Row, other: Row): boolean {
  if (one.kind === "message" && other.kind === "message") return one.message_id === other.message_id;
  return one.kind === other.kind && JSON.stringify(one) === JSON.stringify(other);
}

function join(list: Row[], row: Row): Row[] {
  return put(list, row, (one) => same(one, row));
}

function put<T>(list: T[], item: T, same: (one: T) => boolean): T[] {
  const at = list.findIndex(same);
  return at < 0 ? [...list, item] : list.map((one, i) => (i === at ? item : one));
}

function patch(part: Partial<Snapshot>): void {
  if (snapshot.value) snapshot.value = { ...snapshot.value, ...part };
}

function message(given: Message): void {
  if (given.chat_id === chosen.value) hear(given);
}

function hear(row: Row): void {
  early?.push(row);
  rows.value = join(rows.value, row);
}

/** One event of the stream. */
export function receive(event: string, data: unknown): void {
  const now = snapshot.value;
  if (event === "snapshot") {
    snapshot.value = data as Snapshot;
    if (chosen.value) void open(chosen.value);
  }
  if (!now) return;
  const events: Record<string, () => void> = {
    group: () => patch({ groups: put(now.groups, data as Group, (one) => one.chat_id === (data as Group).chat_id) }),
    message: () => message(data as Message),
    system: () => {
      if ((data as SystemRow).chat_id === chosen.value) hear({ ...(data as SystemRow), kind: "system" });
    },
    person: () => patch({ people: put(now.people, data as Person, (one) => one.id === (data as Person).id) }),
    call: () => patch({ calls: [data as Call, ...now.calls].slice(0, CALLS) }),
    violation: () => patch({ violations: [data as Violation, ...now.violations].slice(0, CALLS) }),
    counters: () => patch({ counters: data as Counters }),
    faults: () => patch({ faults: (data as { faults: Fault[] }).faults }),
    office: () => patch({ office: data as Snapshot["office"] }),
    connections: () => patch({ connections: (data as { connections: { id: string }[] }).connections }),
    clock: () => patch({ clock: data as Clock, now: (data as Clock).now }),
    beat: () => patch({ now: (data as { now: string }).now }),
  };
  events[event]?.();
}

const EVENTS = "snapshot group message system person call violation counters faults office connections clock beat".split(" ");

/** Follow the stream; the browser reconnects by itself, and a snapshot comes first each time. */
export function follow(): void {
  const source = new EventSource(`${BASE}/stream`);
  source.onopen = () => (live.value = true);
  source.onerror = () => {
    live.value = false;
    if (source.readyState === EventSource.CLOSED) setTimeout(follow, 2000);
  };
  for (const event of EVENTS) {
    source.addEventListener(event, (given) => batch(() => receive(event, JSON.parse((given as MessageEvent<string>).data))));
  }
}

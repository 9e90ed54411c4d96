/** The row of entries as the page sees it: put in, show, correct, drop; and the loop that has them sent. */
import { computed, signal } from "@preact/signals";
import { call, type Answer } from "../core/api.ts";
import { uuid } from "../core/ids.ts";
import { now } from "../core/time.ts";
import { openShelf, type Entry, type NewEntry, type Photo, type Shelf } from "./shelf.ts";
import { Sender } from "./sender.ts";

export const LIMIT = 200;
export const LIMIT_BYTES = 200 * 2 ** 20;

export const entries = signal<Entry[]>([]);
export const waiting = computed(() => entries.value.filter((entry) => entry.state === "waiting"));
export const parked = computed(() => entries.value.filter((entry) => entry.state === "parked"));
export const full = computed(() => {
  const bytes = entries.value.reduce((sum, entry) => sum + entry.photos.reduce((all, photo) => all + photo.size, 0), 0);
  return entries.value.length >= LIMIT || bytes >= LIMIT_BYTES;
});
export const lasting = signal(true);
/** What became of entries of this page: id → the server's answer and when. The newest twenty. */
export const delivered = signal<ReadonlyMap<string, { at: number; data: unknown }>>(new Map());

let shelf: Shelf;
let sender: Sender;
const others = "BroadcastChannel" in globalThis ? new BroadcastChannel("andon-queue") : null;

export function theShelf(): Shelf {
  return shelf;
}

/** Open the storage and begin to send. */
export async function startQueue(): Promise<void> {
  shelf = await openShelf();
  lasting.value = shelf.lasting;
  sender = new Sender({ shelf, call, now: () => Date.now(), delivered: keepAnswer, changed: refresh });
  others?.addEventListener("message", () => void load());
  await load();
  kick();
}

async function load(): Promise<void> {
  entries.value = await shelf.all();
}

async function refresh(): Promise<void> {
  await load();
  others?.postMessage("changed");
}

let heard: (data: unknown, entry: Entry) => void = () => undefined;

/** Tell `listener` what the server answered to each delivered entry, once. */
export function onDelivered(listener: (data: unknown, entry: Entry) => void): void {
  heard = listener;
}

function keepAnswer(entry: Entry, answer: Answer): void {
  heard(answer.data, entry);
  const known = [...delivered.value, [entry.id, { at: now(), data: answer.data }] as const];
  delivered.value = new Map(known.slice(-20));
}

export type Given = Pick<NewEntry, "kind" | "lane" | "path" | "json" | "badge" | "who" | "label"> & { photos?: Photo[] };

const TWICE_MS = 2000;
let latest: { content: string; at: number; made: Promise<Entry> } | null = null;

/** Keep an entry on the tablet. Resolves once it is durable; throws when the row is full.
 *  The same content again within two seconds is a finger that touched twice: it gets the same entry. */
export function put(given: Given): Promise<Entry> {
  const content = JSON.stringify([given.path, given.json, given.badge]);
  if (latest?.content === content && Date.now() - latest.at < TWICE_MS) return latest.made;
  latest = { content, at: Date.now(), made: add(given) };
  return latest.made;
}

async function add(given: Given): Promise<Entry> {
  if (full.value) throw new Error("full");
  const id = uuid();
  const enteredAt = new Date(now()).toISOString();
  const fresh = { photos: [], ...given, id, enteredAt, state: "waiting", tried: false, tries: 0, retryAt: 0, status: 0, reason: null } as const;
  const entry = await shelf.add({ ...fresh, lane: given.lane || id, photos: [...(given.photos ?? [])] });
  await refresh();
  kick();
  return entry;
}

/** Take an entry out of the row. */
export async function remove(entry: Entry): Promise<void> {
  await shelf.drop(entry.seq);
  await refresh();
}

/** Let a parked or waiting entry be tried at once, as it is. */
export async function again(entry: Entry): Promise<void> {
  await shelf.put({ ...entry, state: "waiting", retryAt: 0, reason: null });
  await refresh();
  kick();
}

let running = false;
let asked = false;
let timer: ReturnType<typeof setTimeout> | undefined;
let absences = 0;

/** Send now if there is something. Called after each new entry and when the link comes back. */
export function kick(): void {
  asked = true;
  clearTimeout(timer);
  if (!running) void run();
}

async function run(): Promise<void> {
  running = true;
  let outcome: "empty" | "away" | "again" = "empty";
  while (asked) {
    asked = false;
    outcome = await alone(() => sender.sweep()).catch(() => "away" as const);
  }
  running = false;
  absences = outcome === "away" ? absences + 1 : 0;
  const pause = outcome === "empty" ? 30_000 : outcome === "again" ? 1000 : Math.min(15_000, 1000 * 2 ** absences);
  timer = setTimeout(kick, pause * (0.75 + Math.random() / 4));
}

/** One tab sends at a time where the browser can tell; elsewhere the server's unique key is the guard. */
function alone<T>(work: () => Promise<T>): Promise<T> {
  return navigator.locks ? (navigator.locks.request("andon-send", work) as Promise<T>) : work();
}

/** What the screen shows: the last snapshot and what came after it. Events are collected and shown at most twice a second. */
import { batch, computed, signal, type Signal } from "@preact/signals";
import { hear, now } from "./time.ts";
import type { Head, Office, Snapshot, Ticket, Tile } from "./types.ts";

export type LinkState = "wait" | "up" | "down" | "denied";
const DRAW_MS = 500;

export const head = signal<Head | null>(null);
export const tileIds = signal<string[]>([]);
export const tickets = signal<Ticket[]>([]);
export const link = signal<LinkState>("wait");
/** Server time (ms) of the last thing heard; 0 = never. */
export const heardAt = signal(0);
/** True while what is on the screen may be old: no link, or not yet one since the page was opened. */
export const old = computed(() => link.value !== "up");
export const zone = computed(() => head.value?.tz ?? "Asia/Shanghai");

const cells = new Map<string, Signal<Tile>>();

export function tile(id: string): Signal<Tile> | undefined {
  return cells.get(id);
}
export function allTiles(): Tile[] {
  return tileIds.value.map((id) => cells.get(id)?.value).filter((one): one is Tile => one !== undefined);
}

function putTile(next: Tile): void {
  const cell = cells.get(next.id);
  if (cell) cell.value = next;
  else {
    cells.set(next.id, signal(next));
    tileIds.value = [...tileIds.value, next.id];
  }
}

/** One open ticket, new or changed. A closed or cancelled one leaves the list. */
export function putTicket(next: Ticket): void {
  const rest = tickets.value.filter((one) => one.no !== next.no);
  tickets.value = next.state === "CLOSED" || next.state === "CANCELLED" ? rest : [...rest, next];
}

/** Show a whole snapshot: what it does not name is gone. */
export function show(snapshot: Snapshot): void {
  const { tiles, tickets: list, ...rest } = snapshot;
  batch(() => {
    head.value = rest;
    for (const one of tiles) putTile(one);
    const ids = tiles.map((one) => one.id);
    for (const id of cells.keys()) if (!ids.includes(id)) cells.delete(id);
    tileIds.value = ids;
    tickets.value = list;
  });
}

const waiting = new Map<string, () => void>();
let timer: ReturnType<typeof setTimeout> | undefined;

function later(key: string, change: () => void): void {
  waiting.set(key, change); // of several values of one tile only the last is drawn
  timer ??= setTimeout(flush, DRAW_MS);
}

/** Draw what has come. */
export function flush(): void {
  clearTimeout(timer);
  timer = undefined;
  const changes = [...waiting.values()];
  waiting.clear();
  batch(() => changes.forEach((change) => change()));
}

/** One event of the stream. */
export function receive(event: string, data: unknown): void {
  heardAt.value = now();
  if (event === "beat") hear((data as { now: string }).now);
  else if (event === "snapshot") {
    waiting.clear();
    hear((data as Snapshot).now);
    show(data as Snapshot);
  } else if (event === "tile") later(`tile ${(data as Tile).id}`, () => putTile(data as Tile));
  else if (event === "ticket") later(`ticket ${(data as Ticket).no}`, () => putTicket(data as Ticket));
  else if (event === "office") later("office", () => merge({ office: data as Office }));
  else if (event === "sources") later("sources", () => merge({ sources: data as Head["sources"] }));
}

function merge(part: Partial<Head>): void {
  if (head.value) head.value = { ...head.value, ...part };
}

/** The snapshot as it stands, for keeping. */
export function picture(): Snapshot | null {
  return head.value && { ...head.value, tiles: allTiles(), tickets: tickets.value };
}

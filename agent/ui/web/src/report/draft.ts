/** The report that is being made. It survives a reload and a restart, for ten minutes. */
import { signal } from "@preact/signals";
import type { Severity } from "../core/types.ts";
import type { Photo } from "../queue/shelf.ts";

export interface Draft {
  step: 1 | 2;
  category: string | null;
  severity: Severity | null;
  phrases: string[];
  note: string;
  part: string;
  photos: Photo[];
  tile: string | null;
  at: number;
}

const KEY = "andon.draft";
const FRESH_MS = 10 * 60_000;

function restored(): Draft | null {
  try {
    const draft = JSON.parse(localStorage.getItem(KEY) ?? "null") as Draft | null;
    return draft && Date.now() - draft.at < FRESH_MS ? draft : null;
  } catch {
    return null;
  }
}

export const draft = signal<Draft | null>(restored());

function keep(next: Draft | null): void {
  draft.value = next;
  try {
    if (next) localStorage.setItem(KEY, JSON.stringify(next));
    else localStorage.removeItem(KEY);
  } catch {
    // a draft that cannot be kept still works until the page is closed
  }
}

/** Begin anew, with what is already known (the tile that was touched, its category). */
export function begin(known: Partial<Draft> = {}): void {
  const empty = { category: null, severity: null, phrases: [], note: "", part: "", photos: [], tile: null };
  keep({ ...empty, step: 1, ...known, at: Date.now() });
}

export function change(part: Partial<Draft>): void {
  if (draft.value) keep({ ...draft.value, ...part, at: Date.now() });
}

export function toggle(phrase: string): void {
  const chosen = draft.value?.phrases ?? [];
  change({ phrases: chosen.includes(phrase) ? chosen.filter((one) => one !== phrase) : [...chosen, phrase] });
}

export function discard(): void {
  keep(null);
}

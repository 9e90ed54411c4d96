/** The measurement that is being entered; survives a reload for ten minutes. */
import { signal } from "@preact/signals";

export interface Form {
  tile: string | null;
  values: string[];
  at: number;
}

const KEY = "andon.measure";
const FRESH_MS = 10 * 60_000;

function restored(): Form | null {
  try {
    const kept = JSON.parse(localStorage.getItem(KEY) ?? "null") as Form | null;
    return kept && Date.now() - kept.at < FRESH_MS ? kept : null;
  } catch {
    return null;
  }
}

export const form = signal<Form | null>(restored());

function keep(next: Form | null): void {
  form.value = next;
  try {
    if (next) localStorage.setItem(KEY, JSON.stringify(next));
    else localStorage.removeItem(KEY);
  } catch {
    // kept only while the page is open
  }
}

/** Begin with a characteristic, or with the question which one. What was half entered for the same one stays. */
export function begin(tile: string | null): void {
  if (form.value?.tile !== tile || !tile) keep({ tile, values: [], at: Date.now() });
}
export function enter(values: string[]): void {
  if (form.value) keep({ ...form.value, values, at: Date.now() });
}
export function discard(): void {
  keep(null);
}

/** The text of one value after a key of the pad was pressed. */
export function type(text: string, pressed: string, decimals: number): string {
  if (pressed === "del") return text.slice(0, -1);
  if (pressed === "sign") return text.startsWith("-") ? text.slice(1) : `-${text}`;
  if (pressed === ".") return text.includes(".") || decimals === 0 ? text : text.replace(/^(-?)$/, "$10") + ".";
  const next = /^-?0$/.test(text) ? text.slice(0, -1) + pressed : text + pressed;
  const [whole = "", part = ""] = next.replace("-", "").split(".");
  return whole.length > 7 || part.length > decimals + 1 ? text : next;
}

/** The number of a typed text, or null while there is none. */
export function parse(text: string): number | null {
  const value = Number(text);
  return /\d/.test(text) && Number.isFinite(value) ? value : null;
}

/** A typed text as it is shown and kept: every digit of it, with a true minus. */
export function shownAs(text: string): string {
  return text.replace("-", "\u2212");
}

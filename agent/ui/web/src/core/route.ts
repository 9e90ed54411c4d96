/** Where the page is. No address changes: a kiosk has no back key, and a reload returns to the draft or to the home screen. */
import { signal } from "@preact/signals";
import type { Entry } from "../queue/shelf.ts";

export type View =
  | { at: "home" }
  | { at: "report" }
  | { at: "sent"; entry: Entry }
  | { at: "ticket"; no: string }
  | { at: "tile"; id: string }
  | { at: "measure" }
  | { at: "queue" };

export const view = signal<View>({ at: "home" });

export function go(next: View): void {
  view.value = next;
}
export function home(): void {
  view.value = { at: "home" };
}

/** The last touch, by this machine's clock: lists re-sort and new versions load only when nobody is at work. */
export const touchedAt = signal(Date.now());

export function watchTouches(): void {
  const touched = (): void => void (touchedAt.value = Date.now());
  for (const kind of ["pointerdown", "keydown"]) window.addEventListener(kind, touched, { capture: true, passive: true });
}

/** A short word at the foot of the screen (who has signed, what was refused). */
export const notice = signal<{ text: string; soon: boolean } | null>(null);

export function say(text: string, soon = false): void {
  const shown = { text, soon };
  notice.value = shown;
  const gone = (): void => {
    if (notice.value === shown) notice.value = null;
  };
  setTimeout(gone, soon ? 7000 : 4000);
}

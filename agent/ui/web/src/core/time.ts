/** The plant's time: the server's clock as last heard, carried on by this machine's own. */
import { signal } from "@preact/signals";

const KEPT = "andon.offset";

function kept(): number {
  const raw = Number(globalThis.localStorage?.getItem(KEPT) ?? 0);
  return Number.isFinite(raw) ? raw : 0;
}

let offset = kept();

/** Milliseconds since the epoch on the server's clock. */
export function now(): number {
  return Date.now() + offset;
}

/** Hear the server's time. A jump of more than a second is kept over a restart of the tablet. */
export function hear(iso: string): void {
  const heard = Date.parse(iso) - Date.now();
  if (!Number.isFinite(heard)) return;
  if (Math.abs(heard - offset) > 1000) {
    try {
      globalThis.localStorage?.setItem(KEPT, String(heard));
    } catch {
      // a full or forbidden storage costs only the clock after a restart
    }
  }
  offset = heard;
}

/** Ticks once a second: whatever shows a time or an age reads it. */
export const tick = signal(now());

export function startTicking(): void {
  setInterval(() => {
    if (!document.hidden) tick.value = now();
  }, 1000);
}

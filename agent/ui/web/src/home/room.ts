/** How many fit, and in which order: lists keep still under a finger. */
import { useLayoutEffect, useRef, useState } from "preact/hooks";
import { scale } from "../core/device.ts";
import { touchedAt } from "../core/route.ts";
import { tick } from "../core/time.ts";
import type { RefObject } from "preact";
import type { Attention, Ticket } from "../core/types.ts";

const STILL_MS = 5000;

const GAP = 12;
const PAGER = 76;

/** How many of `count` cards a page holds: rows of `row` px (gap included) in `height`, less the pager if one is needed. */
export function fitting(height: number, row: number, columns: number, count: number): number {
  const rows = (free: number): number => Math.max(1, Math.floor((free + GAP) / row)) * columns;
  return count <= rows(height) ? rows(height) : rows(height - PAGER);
}

/** The same for an element that holds the cards and the pager, at the scale of this tablet; measured again when it changes. */
export function useRoom(place: RefObject<HTMLElement | null>, row: number, columns: number, count: number): number {
  const [height, setHeight] = useState(0);
  useLayoutEffect(() => {
    const measure = (): void => setHeight(place.current!.clientHeight);
    const sized = new ResizeObserver(measure);
    sized.observe(place.current!);
    measure();
    return () => sized.disconnect();
  }, []);
  return fitting(height / scale.value, row, columns, count);
}

export function usePortrait(): boolean {
  const [upright, setUpright] = useState(() => matchMedia("(orientation: portrait)").matches);
  useLayoutEffect(() => {
    const query = matchMedia("(orientation: portrait)");
    const turned = (): void => setUpright(query.matches);
    query.addEventListener("change", turned);
    return () => query.removeEventListener("change", turned);
  }, []);
  return upright;
}

/** `wanted`, but as it stood before while somebody is touching; new ones go to the end, gone ones go at once. */
export function settle(shown: string[], wanted: string[], still: boolean): string[] {
  if (!still) return wanted;
  const kept = shown.filter((id) => wanted.includes(id));
  return [...kept, ...wanted.filter((id) => !kept.includes(id))];
}

export function useSettled(wanted: string[]): string[] {
  const shown = useRef<string[]>([]);
  void tick.value; // looked at again every second
  shown.current = settle(shown.current, wanted, Date.now() - touchedAt.value < STILL_MS);
  return shown.current;
}

const RANK: Record<Attention, number> = { now: 0, soon: 1, none: 2 };
export const rank = (attention: Attention): number => RANK[attention] ?? 2;

/** Who must act now comes first, then what falls due first. */
export function byUrgency(a: Ticket, b: Ticket): number {
  const due = (one: Ticket): number => {
    const open = one.strip.filter((step) => ["run", "near", "missed"].includes(step.mark) && step.due_at);
    return Math.min(Number.MAX_SAFE_INTEGER, ...open.map((step) => Date.parse(step.due_at!)));
  };
  return rank(a.attention) - rank(b.attention) || due(a) - due(b) || a.no.localeCompare(b.no);
}

/** From values to pixels, and which limits a chart may show. Pure. */
import type { Tile } from "../core/types.ts";

export interface Range {
  low: number;
  high: number;
}
export interface Specs {
  lsl: number | null;
  usl: number | null;
}

/** Specification limits say nothing about means; on single values they are drawn when they are near enough to be read. */
export function specs(tile: Tile, reach = 0.6): Specs {
  if (tile.stat !== "x") return { lsl: null, usl: null };
  const { lcl, ucl } = tile;
  const room = lcl !== null && ucl !== null ? (ucl - lcl) * reach : Number.POSITIVE_INFINITY;
  const near = (spec: number | null, limit: number | null): number | null =>
    spec !== null && (limit === null || Math.abs(spec - limit) <= room) ? spec : null;
  return { lsl: near(tile.lsl, lcl), usl: near(tile.usl, ucl) };
}

/** The span of values to draw: limits, shown specifications and points, with a margin. */
export function range(tile: Tile, shown: Specs, margin = 0.12): Range {
  const values = [tile.lcl, tile.ucl, tile.center, shown.lsl, shown.usl, ...tile.points.map((point) => point.y)];
  const known = values.filter((value): value is number => value !== null && Number.isFinite(value));
  if (!known.length) return { low: 0, high: 1 };
  const [low, high] = [Math.min(...known), Math.max(...known)];
  const pad = (high - low || Math.abs(high) || 1) * margin;
  return { low: low - pad, high: high + pad };
}

/** Where the words of two limits and the centre line between them stand, at least `least` px apart: the limits' words move
 *  outwards, and the centre line's are left out (null) where they still find no room. */
export function apart(upper: number, center: number, lower: number, least: number): { upper: number; center: number | null; lower: number } {
  const lack = Math.max(0, least - (lower - upper)) / 2;
  const [high, low] = [upper - lack, lower + lack];
  return { upper: high, center: center - high >= least && low - center >= least ? center : null, lower: low };
}

/** Every `step`-th time, the newest first, in words no two of which are the same: with seconds where minutes do not do. */
export function timeWords(times: string[], step: number, word: (time: string, seconds: boolean) => string): { index: number; text: string }[] {
  const indexes = times.map((_, i) => times.length - 1 - i).filter((_, i) => i % step === 0);
  const inWords = (seconds: boolean): string[] => indexes.map((i) => word(times[i]!, seconds));
  const plain = inWords(false);
  const texts = new Set(plain).size < plain.length ? inWords(true) : plain;
  return indexes.map((index, i) => ({ index, text: texts[i]! }));
}

/** Which of several words in one line are written: one is left out that would lie over one written before it. */
export function roomy(words: { x: number; width: number }[], gap: number): boolean[] {
  const written: { x: number; width: number }[] = [];
  return words.map((word) => {
    const free = written.every((one) => Math.abs(one.x - word.x) >= (one.width + word.width) / 2 + gap);
    if (free) written.push(word);
    return free;
  });
}

export function toY(value: number, span: Range, height: number, top = 0): number {
  return top + ((span.high - value) / (span.high - span.low)) * height;
}

/** Where the index-th of `count` points stands; few points keep to the right, new ones come in there. */
export function toX(index: number, count: number, width: number, left = 0, slots = 25): number {
  const places = Math.max(slots, count) - 1;
  return left + ((places - (count - 1 - index)) / places) * width;
}

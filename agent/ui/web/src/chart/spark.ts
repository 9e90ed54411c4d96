/** The small chart of a tile: control limits solid, specification dashed, the line, the last point. No text. */
import type { Tile } from "../core/types.ts";
import { diamond, dot, level, palette, trace, type Pen } from "./paint.ts";
import { range, specs, toX, toY } from "./scale.ts";

const SIDE = 10;
const EDGE = 5;

export function drawSpark(pen: Pen, width: number, height: number, tile: Tile, old: boolean): void {
  const c = palette();
  const shown = specs(tile);
  const span = range(tile, shown);
  const y = (value: number): number => toY(value, span, height - 2 * EDGE, EDGE);
  const limit = old ? c["hatch-line"] : c["ink-3"];
  if (tile.center !== null) level(pen, y(tile.center), 0, width, old ? c["hatch-line"] : c.line, 1.5);
  for (const value of [tile.lcl, tile.ucl]) if (value !== null) level(pen, y(value), 0, width, limit, 1.5);
  // no hatch beyond: on a tile a hatch means that the value cannot be known
  for (const value of [shown.usl, shown.lsl]) {
    if (value !== null) level(pen, y(value), 0, width, old ? c["hatch-line"] : c["ink-2"], 2, [8, 5]);
  }
  const count = tile.points.length;
  const slots = Math.min(25, Math.max(14, count));
  const spots = tile.points.map((point, i): [number, number] | null =>
    point.y === null ? null : [toX(i, count, width - 2 * SIDE, SIDE, slots), y(point.y)],
  );
  trace(pen, spots, old ? c["hatch-line"] : c.mark, 2);
  marks(pen, tile, spots, old);
}

function marks(pen: Pen, tile: Tile, spots: ([number, number] | null)[], old: boolean): void {
  const c = palette();
  spots.forEach((spot, i) => {
    const last = i === spots.length - 1;
    const mark = tile.points[i]?.mark;
    if (!spot || (!mark && !last)) return;
    if (!mark) dot(pen, spot, 4.5, old ? c["hatch-line"] : c.mark);
    else if (old) diamond(pen, spot, 7, c["hatch-line"], c["hatch-line"], 0);
    else if (mark === "ticket") diamond(pen, spot, last ? 8 : 6, c.now, c.raised, 1);
    else diamond(pen, spot, last ? 7 : 5, c.soon, c["soon-edge"], 2);
  });
}

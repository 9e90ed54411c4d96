/** The large chart of one characteristic (look/README §3): zones, control limits labelled left, specification dashed and
 *  labelled right and hatched beyond, rule numbers away from the centre, tickets as flags in a lane below. */
import type { Tile } from "../core/types.ts";
import { diamond, dot, hatch, level, palette, trace, type Pen } from "./paint.ts";
import { apart, range, roomy, specs, timeWords, toX, toY, type Range } from "./scale.ts";

export interface Labels {
  value(x: number): string;
  time(iso: string, seconds: boolean): string;
  font: string;
  /** How much larger than drawn. */
  scale: number;
}
interface Style extends Labels {
  size: number;
}
interface Frame {
  left: number;
  right: number;
  top: number;
  bottom: number;
  span: Range;
}

const AXIS = 30;
/** Room for two lines of words over a small chart. */
const HEAD = 54;
/** Below this height the chart is a small one beside a form: no lane for flags, smaller words. */
const SMALL = 300;

const y = (frame: Frame, value: number): number => toY(value, frame.span, frame.bottom - frame.top, frame.top);

export function drawBig(pen: Pen, width: number, height: number, tile: Tile, old: boolean, given: Labels): void {
  const c = palette();
  const small = height < SMALL * given.scale;
  const axis = AXIS * given.scale;
  const labels = { ...given, size: (small ? 15 : 17) * given.scale };
  const lane = small ? 0 : 40 * given.scale;
  const shown = specs(tile, 2.5);
  pen.font = `${labels.size}px ${labels.font}`;
  const wide = (values: (number | null)[], tag: string): number =>
    Math.max(0, ...values.map((v) => (v === null ? 0 : pen.measureText(`${tag} ${labels.value(v)}`).width)));
  const left = wide([tile.lcl, tile.center, tile.ucl], "UCL") + 18;
  const right = width - Math.max(24, wide([shown.lsl, shown.usl], "USL") + 18);
  const top = small ? HEAD * given.scale : 16;
  const bottom = height - lane - axis;
  const room = small ? 30 : 36; // for a rule number beyond the outermost point
  const frame = { left, right, top, bottom, span: range(tile, shown, room / Math.max(room, bottom - top - 2 * room)) };
  pen.fillStyle = c.raised;
  pen.fillRect(0, 0, width, height);
  zones(pen, frame, tile);
  limits(pen, frame, tile, shown, labels, old);
  const count = tile.points.length;
  const inset = 14;
  const spots = tile.points.map((point, i): [number, number] | null =>
    point.y === null ? null : [toX(i, count, right - left - 2 * inset, left + inset), y(frame, point.y)],
  );
  trace(pen, spots, old ? c["hatch-line"] : c.mark, 1.5);
  points(pen, frame, tile, spots, old, labels);
  if (lane) flags(pen, frame, tile, spots, labels);
  times(pen, tile, spots, labels, bottom + lane + axis / 2);
}

function zones(pen: Pen, frame: Frame, { center, lcl, ucl }: Tile): void {
  if (center === null || lcl === null || ucl === null) return;
  const c = palette();
  const width = frame.right - frame.left;
  for (const [from, colour] of [[3, c["zone-a"]], [2, c["zone-b"]], [1, c["zone-c"]]] as const) {
    const high = y(frame, center + ((ucl - center) * from) / 3);
    const low = y(frame, center + ((lcl - center) * from) / 3);
    pen.fillStyle = colour;
    pen.fillRect(frame.left, high, width, low - high);
  }
}

function limits(pen: Pen, frame: Frame, tile: Tile, shown: { lsl: number | null; usl: number | null }, labels: Style, old: boolean): void {
  const c = palette();
  const width = frame.right - frame.left;
  pen.textBaseline = "middle";
  for (const [value, up, tag] of [[shown.usl, true, "USL"], [shown.lsl, false, "LSL"]] as const) {
    if (value === null) continue;
    const at = y(frame, value);
    hatch(pen, frame.left, up ? frame.top : at, width, up ? at - frame.top : frame.bottom - at, c["ink-3"]);
    level(pen, at, frame.left, frame.right, c["ink-2"], 2, [9, 5]);
    words(pen, `${tag} ${labels.value(value)}`, frame.right + 8, at, "left", c.ink, `600 ${labels.size}px ${labels.font}`);
  }
  const stands = places(frame, tile, labels.size);
  for (const [value, tag] of [[tile.center, "CL"], [tile.ucl, "UCL"], [tile.lcl, "LCL"]] as const) {
    if (value === null) continue;
    const centre = tag === "CL";
    level(pen, y(frame, value), frame.left, frame.right, centre || old ? c["ink-3"] : c.ink, centre ? 1 : 1.5);
    const at = stands[tag];
    if (at !== null) words(pen, `${tag} ${labels.value(value)}`, frame.left - 8, at, "right", c["ink-3"], `${labels.size}px ${labels.font}`);
  }
}

/** Where the words of the control limits stand: on their lines, unless they would lie over each other. */
function places(frame: Frame, { center, lcl, ucl }: Tile, size: number): Record<"UCL" | "CL" | "LCL", number | null> {
  const at = (value: number | null): number | null => (value === null ? null : y(frame, value));
  if (center === null || lcl === null || ucl === null) return { UCL: at(ucl), CL: at(center), LCL: at(lcl) };
  const { upper, center: middle, lower } = apart(y(frame, ucl), y(frame, center), y(frame, lcl), size + 1);
  return { UCL: upper, CL: middle, LCL: lower };
}

function words(pen: Pen, text: string, x: number, at: number, align: CanvasTextAlign, colour: string, font: string, halo = false): void {
  pen.font = font;
  pen.textAlign = align;
  if (halo) {
    pen.lineJoin = "round";
    pen.lineWidth = 4;
    pen.strokeStyle = palette().raised;
    pen.strokeText(text, x, at);
  }
  pen.fillStyle = colour;
  pen.fillText(text, x, at);
}

/** The numbers of the rules at a point. */
interface Note {
  text: string;
  x: number;
  at: number;
  width: number;
  below: boolean;
  colour: string;
}

function points(pen: Pen, frame: Frame, tile: Tile, spots: ([number, number] | null)[], old: boolean, labels: Style): void {
  const c = palette();
  const font = `600 ${labels.size}px ${labels.font}`;
  pen.font = font;
  const notes: Note[] = [];
  let told = "";
  spots.forEach((spot, i) => {
    const point = tile.points[i]!;
    const rules = point.rules.join(" ");
    if (spot) {
      if (!point.mark) dot(pen, spot, 4, old ? c["hatch-line"] : c.mark);
      else if (old) diamond(pen, spot, 9, c["hatch-line"], c["hatch-line"], 0);
      else if (point.mark === "ticket") diamond(pen, spot, 10, c.now, c.raised, 1.5);
      else diamond(pen, spot, 9, c.soon, c["soon-edge"], 1.75);
      // the number stands where a rule completes; later points of the same run carry the diamond only
      if (point.mark && rules && rules !== told) {
        const below = tile.center !== null && point.y !== null && point.y < tile.center;
        const at = Math.min(frame.bottom - 10, Math.max(frame.top + 8, spot[1] + (below ? 22 : -22)));
        const colour = point.mark === "ticket" ? c["now-text"] : c["soon-edge"];
        const half = pen.measureText(rules).width / 2;
        const x = Math.min(frame.right - half, Math.max(frame.left + half + 4, spot[0]));
        notes.push({ text: rules, x, at, width: 2 * half, below, colour });
      }
    }
    told = point.mark ? rules : "";
  });
  for (const below of [false, true]) {
    const side = notes.filter((one) => one.below === below);
    const written = roomy(side, 3);
    side.forEach(({ text, x, at, colour }, i) => written[i] && words(pen, text, x, at, "center", colour, font, true));
  }
}

/** Below the plot: the ticket as a flag. */
function flags(pen: Pen, frame: Frame, tile: Tile, spots: ([number, number] | null)[], labels: Style): void {
  const c = palette();
  level(pen, frame.bottom + 4, frame.left, frame.right, c.line, 1);
  const flag = tile.violation?.ticket?.slice(-3);
  const at = tile.points.findIndex((point) => point.at === tile.violation?.at);
  const x = (spots[at] ?? spots.at(-1))?.[0];
  if (flag && x !== undefined) {
    pen.fillStyle = c.key;
    const [wide, tall] = [40 * labels.scale, 22 * labels.scale];
    pen.fillRect(x - wide / 2, frame.bottom + 10, wide, tall);
    words(pen, flag, x, frame.bottom + 10 + tall / 2 + 1, "center", c["key-ink"], `600 ${15 * labels.scale}px ${labels.font}`);
  }
}

/** The time of every eighth point, the newest first. */
function times(pen: Pen, tile: Tile, spots: ([number, number] | null)[], labels: Style, baseline: number): void {
  const c = palette();
  const font = `${labels.size}px ${labels.font}`;
  pen.font = font;
  const all = timeWords(tile.points.map((point) => point.at), 8, labels.time).flatMap(({ index, text }) => {
    const spot = spots[index];
    return spot ? [{ text, x: spot[0], width: pen.measureText(text).width }] : [];
  });
  const written = roomy(all, labels.size);
  all.forEach(({ text, x }, i) => written[i] && words(pen, text, x, baseline, "center", c["ink-3"], font));
}

/** Strokes and marks that both charts share. All colours come from the tokens. */

const NAMES = [
  "ink", "ink-2", "ink-3", "line", "mark", "raised", "zone-a", "zone-b", "zone-c",
  "now", "now-text", "soon", "soon-edge", "hatch-line", "key", "key-ink",
] as const;
export type Palette = Record<(typeof NAMES)[number], string>;

let known: Palette | null = null;

/** The theme's colours, read once per theme. */
export function palette(): Palette {
  if (!known) {
    const style = getComputedStyle(document.documentElement);
    known = Object.fromEntries(NAMES.map((name) => [name, style.getPropertyValue(`--${name}`).trim()])) as Palette;
  }
  return known;
}

/** Call `redraw` when the theme changes. Answers how to stop. */
export function onTheme(redraw: () => void): () => void {
  const query = matchMedia("(prefers-color-scheme: dark)");
  const changed = (): void => {
    known = null;
    redraw();
  };
  query.addEventListener("change", changed);
  return () => query.removeEventListener("change", changed);
}

export type Pen = CanvasRenderingContext2D;

export function level(pen: Pen, y: number, from: number, to: number, colour: string, width: number, dash: number[] = []): void {
  pen.strokeStyle = colour;
  pen.lineWidth = width;
  pen.setLineDash(dash);
  pen.beginPath();
  pen.moveTo(from, y);
  pen.lineTo(to, y);
  pen.stroke();
  pen.setLineDash([]);
}

/** A line through the points; a missing one breaks it. */
export function trace(pen: Pen, spots: ([number, number] | null)[], colour: string, width: number): void {
  pen.strokeStyle = colour;
  pen.lineWidth = width;
  pen.lineJoin = "round";
  pen.beginPath();
  let down = false;
  for (const spot of spots) {
    if (spot) down ? pen.lineTo(...spot) : pen.moveTo(...spot);
    down = spot !== null;
  }
  pen.stroke();
}

export function dot(pen: Pen, [x, y]: [number, number], r: number, colour: string): void {
  pen.fillStyle = colour;
  pen.beginPath();
  pen.arc(x, y, r, 0, 2 * Math.PI);
  pen.fill();
}

export function diamond(pen: Pen, [x, y]: [number, number], r: number, fill: string, edge: string, width: number): void {
  pen.beginPath();
  pen.moveTo(x, y - r);
  pen.lineTo(x + r, y);
  pen.lineTo(x, y + r);
  pen.lineTo(x - r, y);
  pen.closePath();
  pen.fillStyle = fill;
  pen.fill();
  pen.strokeStyle = edge;
  pen.lineWidth = width;
  if (width) pen.stroke();
}

/** Slanting strokes: what lies beyond a specification, or cannot be known. */
export function hatch(pen: Pen, x: number, y: number, width: number, height: number, colour: string): void {
  if (height <= 0 || width <= 0) return;
  pen.save();
  pen.beginPath();
  pen.rect(x, y, width, height);
  pen.clip();
  pen.strokeStyle = colour;
  pen.globalAlpha = 0.45;
  pen.lineWidth = 1.5;
  pen.beginPath();
  for (let at = x - height; at < x + width; at += 9) {
    pen.moveTo(at, y + height);
    pen.lineTo(at + height, y);
  }
  pen.stroke();
  pen.restore();
}

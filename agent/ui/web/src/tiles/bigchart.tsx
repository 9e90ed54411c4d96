/** The large chart with labels in the page's language and the plant's time. */
import { scale } from "../core/device.ts";
import { drawBig } from "../chart/big.ts";
import { Canvas } from "../chart/canvas.tsx";
import { zone } from "../core/store.ts";
import type { Tile } from "../core/types.ts";
import { clock, limit } from "../words/format.ts";
import { titleOf } from "./tile.tsx";

export function BigChart({ data, old }: { data: Tile; old: boolean }) {
  const labels = {
    value: (x: number) => limit(x, data.decimals),
    time: (iso: string, seconds: boolean) => clock(Date.parse(iso), zone.value, seconds),
    scale: scale.value,
    font: getComputedStyle(document.body).fontFamily,
  };
  return <Canvas label={titleOf(data)} draw={(pen, width, height) => drawBig(pen, width, height, data, old, labels)} />;
}

/** The tiles of the station: one screen of them at a time, so only what is seen is drawn. */
import { useState } from "preact/hooks";
import { allTiles } from "../core/store.ts";
import { t } from "../words/texts.ts";
import { Icon } from "../look/icon.tsx";
import { Pager, slice } from "../home/pager.tsx";
import { rank, usePortrait, useSettled } from "../home/room.ts";
import { Tile } from "./tile.tsx";

export const FLOOD = 5;

/** Columns and rows for `count` tiles. */
export function grid(count: number, portrait: boolean): { cols: number; rows: number; size: number } {
  if (portrait) return { cols: count === 1 ? 1 : 2, rows: Math.min(3, Math.ceil(count / 2)), size: 6 };
  const cols = count <= 2 ? Math.max(1, count) : count === 4 ? 2 : 3;
  return { cols, rows: Math.min(3, Math.ceil(count / cols)), size: 9 };
}

export function Tiles() {
  const [wanted, turn] = useState(0);
  const all = allTiles();
  const shape = grid(all.length, usePortrait());
  const several = all.length > shape.size;
  // on one screen each tile keeps its place; on several the ones that call come first
  const sorted = several ? [...all].sort((a, b) => rank(a.attention) - rank(b.attention)) : all;
  const order = useSettled(sorted.map((one) => one.id));
  const { shown, page, pages } = slice(order, wanted, shape.size);
  const calling = all.filter((one) => one.attention === "now").length;
  const elsewhere = all.filter((one) => one.attention !== "none" && !shown.includes(one.id)).length;
  const flood = calling >= FLOOD;
  return (
    <section class="k-left" aria-label={t("kiosk.tiles")}>
      <h2 class="sr">{t("kiosk.tiles")}</h2>
      {flood && (
        <p class="flood" data-test="flood">
          <Icon name="diamond" /> {t("kiosk.flood", { count: calling })}
        </p>
      )}
      {all.length === 0 && <p class="k-none">{t("kiosk.noTiles")}</p>}
      <div class={`k-tiles ${shape.rows > 2 ? "dense" : ""} ${several ? "paged" : ""}`} style={{ "--cols": String(shape.cols), "--rows": String(shape.rows) }}>
        {shown.map((id) => (
          <Tile key={id} id={id} flood={flood} />
        ))}
      </div>
      <Pager page={page} pages={pages} turn={turn} test="tiles" note={elsewhere ? t("kiosk.elsewhere", { count: elsewhere }) : undefined} />
    </section>
  );
}

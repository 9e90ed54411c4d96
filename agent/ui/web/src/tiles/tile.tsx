/** One characteristic: value, unit, small chart, and what is the matter in shape, colour and words. One target. */
import { Canvas } from "../chart/canvas.tsx";
import { drawSpark } from "../chart/spark.ts";
import { old as oldScreen, tile as cellOf, tickets, zone } from "../core/store.ts";
import { tick } from "../core/time.ts";
import type { Tile as Data } from "../core/types.ts";
import { Icon } from "../look/icon.tsx";
import { clock, limit, num } from "../words/format.ts";
import { name, span, t, word } from "../words/texts.ts";
import { go } from "../core/route.ts";
import { begin } from "../report/draft.ts";

/** The tile's name; a chart of means says so. */
export function titleOf(data: Data): string {
  return data.stat === "mean" ? t("kiosk.tile.mean", { name: name(data.name) }) : name(data.name);
}

function specOf(data: Data, value: number): "below" | "above" | null {
  if (data.stat !== "x") return null;
  if (data.lsl !== null && value < data.lsl) return "below";
  return data.usl !== null && value > data.usl ? "above" : null;
}

/** The "rule" of a single value outside its specification. */
const OUTSIDE = "SPEC";

/** The violation in a few words: what it is compared with, or the run, then the rules; `brief`: the rules alone. */
export function breach(data: Data): { icon: string; what: string; text: string; brief: string } {
  const { rules, value, severity } = data.violation!;
  const spec = value === null ? null : specOf(data, value);
  const icon = spec || rules.includes(OUTSIDE) ? "cross" : severity === "warning" ? "diamond-o" : "diamond";
  const shown = rules.filter((one) => one !== OUTSIDE).join("\u00a0"); // a line breaks before the rules, not among them
  const what = (value === null ? "" : against(data, value, spec)) || rules.map(ruleWord).find((text) => text) || "";
  const ruled = t("kiosk.rule", { rules: shown });
  if (!what) return { icon, what: ruled, text: ruled, brief: ruled };
  return { icon, what, text: shown ? t("kiosk.tile.breach", { what, rules: shown }) : what, brief: shown ? ruled : what };
}

/** A rule in a few words; those of the range chart (R-N1) say that the spread is meant. */
function ruleWord(rule: string): string {
  const spread = rule.startsWith("R-");
  const text = word(`kiosk.rule.${spread ? rule.slice(2) : rule}`, "");
  return text && spread ? t("kiosk.rule.spread", { what: text }) : text;
}

/** What a value is compared with, when it lies outside. */
function against(data: Data, value: number, spec: "below" | "above" | null): string {
  const args = (bound: number): { limit: string } => ({ limit: limit(bound, data.decimals) });
  if (spec === "below") return t("kiosk.tile.belowSpec", args(data.lsl!));
  if (spec === "above") return t("kiosk.tile.aboveSpec", args(data.usl!));
  if (data.lcl !== null && value < data.lcl) return t("kiosk.tile.below", args(data.lcl));
  return data.ucl !== null && value > data.ucl ? t("kiosk.tile.above", args(data.ucl)) : "";
}

/** The words at the foot of the tile, with their shape. `flood`: one line above the tiles tells the rest. */
function state(data: Data, offline: boolean, flood: boolean): { icon: string | null; text: string } {
  const age = (): string => span(data.at ? (tick.value - Date.parse(data.at)) / 1000 : (data.age_s ?? 0));
  if (data.quality === "bad") return { icon: "bad", text: data.at || data.age_s !== null ? t("kiosk.tile.badSince", { age: age() }) : t("kiosk.tile.bad") };
  if (offline && data.at) {
    const what = data.violation ? breach(data).what : t("kiosk.tile.ok");
    return { icon: "stale", text: t("kiosk.tile.then", { time: clock(Date.parse(data.at), zone.value), what }) };
  }
  if (data.value === null) return { icon: "stale", text: t("kiosk.tile.none") };
  if (data.quality === "stale") return { icon: "stale", text: t("kiosk.tile.stale", { age: age() }) };
  if (data.violation) {
    const { icon, text, brief } = breach(data);
    return { icon, text: flood && data.attention === "now" ? brief : text };
  }
  if (data.quality === "uncertain") return { icon: "unc", text: t("kiosk.tile.uncertain") };
  return { icon: null, text: t("kiosk.tile.ok") };
}

export function isOld(data: Data, offline: boolean): boolean {
  return offline || data.quality === "bad" || data.quality === "stale" || data.value === null;
}

/** A violating tile opens the report already filled; any other its large chart. */
function touch(data: Data): void {
  if (!data.violation || data.violation.severity === "known") return go({ at: "tile", id: data.id });
  const known = data.category ?? tickets.value.find((one) => one.no === data.violation?.ticket)?.category ?? null;
  begin({ tile: data.id, category: known, step: known ? 2 : 1 });
  go({ at: "report" });
}

export function Tile({ id, flood }: { id: string; flood: boolean }) {
  const cell = cellOf(id);
  if (!cell) return null;
  const data = cell.value;
  const offline = oldScreen.value;
  const old = isOld(data, offline);
  const words = state(data, offline, flood);
  const lamp = old ? (data.attention === "now" ? "old was-now" : "old") : data.attention === "none" ? "" : data.attention;
  return (
    <button class={`tile ${lamp}`} type="button" data-test={`tile-${id}`} data-attention={data.attention} onClick={() => touch(data)}>
      <h3>{titleOf(data)}</h3>
      <p class="val">
        {data.value === null || data.quality === "bad" ? "—" : num(data.value, data.decimals)}
        <small>{data.unit}</small>
      </p>
      <span class="pic">
        <Canvas draw={(pen, width, height) => drawSpark(pen, width, height, data, old)} />
      </span>
      <p class="st">
        {words.icon && <Icon name={words.icon} />}
        <span>{words.text}</span>
      </p>
    </button>
  );
}

/** Is a typed value in specification, and can it be true at all? Pure. */
import type { Tile } from "../core/types.ts";
import { limit } from "../words/format.ts";
import { t } from "../words/texts.ts";

export type Judgement = "ok" | "below" | "above" | "odd";
type Limits = Pick<Tile, "lsl" | "usl" | "lcl" | "ucl" | "center">;

/** "odd": so far from everything known that a slipped key is likelier than the part. */
export function judge(limits: Limits, value: number): Judgement {
  const { lsl, usl, lcl, ucl, center } = limits;
  const known = [lsl, usl, lcl, ucl].filter((one): one is number => one !== null);
  if (known.length >= 2) {
    const [low, high] = [Math.min(...known), Math.max(...known)];
    const reach = 2 * (high - low);
    if (value < low - reach || value > high + reach) return "odd";
  } else {
    const near = known[0] ?? center;
    if (near && (Math.abs(value) > 5 * Math.abs(near) || Math.abs(value) < Math.abs(near) / 5)) return "odd";
  }
  if (lsl !== null && value < lsl) return "below";
  return usl !== null && value > usl ? "above" : "ok";
}

/** 370–570 µm, ≥ 400 N, ≤ 0.50 mm, or that there is none. */
export function specWords(data: Tile): string {
  const { lsl, usl, unit, decimals } = data;
  const show = (x: number): string => limit(x, decimals);
  if (lsl !== null && usl !== null) return t("kiosk.spec.both", { low: show(lsl), high: show(usl), unit });
  if (lsl !== null) return t("kiosk.spec.low", { low: show(lsl), unit });
  return usl !== null ? t("kiosk.spec.high", { high: show(usl), unit }) : t("kiosk.spec.none");
}

/** Whether the characteristic can be negative: only then has the pad a sign key. */
export function signed({ lsl, lcl, usl, center }: Limits): boolean {
  return [lsl, lcl, center].some((one) => one !== null && one < 0) || (usl !== null && usl <= 0);
}

/** What several tests need: the texts of a language, and plant data of the right shape. */
import en from "../../../texts/en.json";
import zh from "../../../texts/zh.json";
import type { Ticket, Tile } from "../src/core/types.ts";
import { provide, speak, type Lang } from "../src/words/texts.ts";

provide({ zh: async () => ({ default: zh }), en: async () => ({ default: en }) });

export async function inLanguage(lang: Lang): Promise<void> {
  await speak(lang);
}

export function tile(given: Partial<Tile> = {}): Tile {
  const base = {
    id: "width", name: { zh: "熔宽", en: "Width" }, unit: "µm", decimals: 1, station: "OP40", stat: "x", chart: "imr", n: 1,
    center: 468, lcl: 438, ucl: 498, lsl: 370, usl: 570, entry: "signal", value: 460, at: "2026-11-22T02:42:00Z", quality: "good",
    age_s: 1, attention: "none", points: [], open: [], violation: null,
  } satisfies Tile;
  return { ...base, ...given };
}

export function ticket(given: Partial<Ticket> = {}): Ticket {
  const base = {
    no: "SZ1-E3-261122-007", short: "261122-007", title: "x", state: "NEW", cycle: 1, severity: "watch", category: "welding",
    station: "OP40", characteristic: null, owner: null, reporter: null, raised_at: "2026-11-22T02:20:00Z", occurrences: 1,
    last_at: null, attention: "none", lead: "x", strip: [], actions: [], outbox: { waiting: 0, delivered: 0, dead: 0 },
  } satisfies Ticket;
  return { ...base, ...given };
}

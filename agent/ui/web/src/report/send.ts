/** From the draft to an entry in the row. */
import { head, tile, zone } from "../core/store.ts";
import { now } from "../core/time.ts";
import { put } from "../queue/queue.ts";
import type { Entry } from "../queue/shelf.ts";
import { badge } from "../scan/badge.ts";
import { num } from "../words/format.ts";
import { name, render, t, type Named } from "../words/texts.ts";
import { discard, type Draft } from "./draft.ts";

/** What the tile showed when it was touched: value, rules, the last points. */
export function evidence(id: string | null): string {
  const data = id ? tile(id)?.value : undefined;
  if (!data) return "";
  const last = data.points.slice(-5).map((point) => (point.y === null ? "—" : num(point.y, data.decimals)));
  const points = last.length ? t("kiosk.report.points", { values: last.join(" "), unit: data.unit }) : "";
  const said = data.violation ? render(data.violation.text, zone.value, now()) : "";
  return [said, points].filter(Boolean).join(t("kiosk.join"));
}

/** The description in the language of the tablet: a person's words are stored as they are. */
export function describe(draft: Draft): string {
  const part = draft.part ? t("kiosk.report.part", { code: draft.part }) : "";
  return [...draft.phrases, draft.note.trim(), part, evidence(draft.tile)].filter(Boolean).join(t("kiosk.join"));
}

/** A category's name in both languages: a label may be read in the other one. */
function categoryName(id: string | null): Named {
  const own = id ?? "—";
  return head.value?.categories.find((one) => one.id === id)?.name ?? { zh: own, en: own };
}

export function categoryWord(id: string | null): string {
  return name(categoryName(id));
}

/** Keep the report on the tablet and let it be sent. Resolves when it is durable. */
export async function sendReport(draft: Draft): Promise<Entry> {
  const person = badge.value;
  const json: { [field: string]: unknown } = { category: draft.category, severity: draft.severity };
  const station = head.value?.station.id;
  const description = describe(draft);
  if (station) json.station = station;
  if (draft.tile) json.characteristic = draft.tile;
  if (description) json.description = description;
  if (draft.photos.length) json.photos = draft.photos.map((photo) => photo.sha);
  const label = {
    key: "kiosk.queue.ticket",
    args: { category: categoryName(draft.category), severity: { key: `tickets.severity.${draft.severity}` } },
  };
  const who = person?.name ?? null;
  const entry = await put({ kind: "ticket", lane: "", path: "api/v1/tickets", json, badge: person?.id ?? null, who, label, photos: draft.photos });
  discard();
  return entry;
}

/** Texts for people, from the same files as the agent's (agent/texts): flat keys, `{name}` placeholders. */
import { computed, signal } from "@preact/signals";
import type en from "../../../../texts/en.json";
import type zh from "../../../../texts/zh.json";
import { duration, moment, num, short } from "./format.ts";

export type Lang = "zh" | "en";
export type Key = keyof typeof zh & keyof typeof en;
/** What a server sends instead of a sentence (agent/model.py): someone's own words, or a key with args. */
export type Arg =
  | string | number | null | Arg[]
  | { at: string } | { seconds: number } | { num: number | null; digits?: number }
  | { key: string; args?: { [name: string]: Arg } } | Named;
export type Text = string | { key: string; args?: { [name: string]: Arg } } | null | undefined;
export type Named = { zh: string; en: string };
type Table = Record<string, string>;

const tables: Partial<Record<Lang, Table>> = {};
export const lang = signal<Lang>("zh");
const table = computed<Table>(() => tables[lang.value] ?? {});

export type Loaders = Record<Lang, () => Promise<{ default: Table }>>;
let load: Loaders;

/** Where this page has its texts from: one file per language, fetched when it is first spoken. */
export function provide(loaders: Loaders): void {
  load = loaders;
}

/** Fetch a language's texts, then show the page in it. Rejects when the file cannot be had; the old language stays. */
export async function speak(next: Lang): Promise<void> {
  tables[next] ??= (await load[next]()).default;
  lang.value = next;
  if (typeof document !== "undefined") document.documentElement.lang = next === "zh" ? "zh-CN" : "en";
}

function fill(template: string, args: { [name: string]: Arg }, zone: string, now: number | undefined): string {
  return template.replace(/\{(\w+)\}|\{\{|\}\}/g, (whole, name: string | undefined) => {
    if (name === undefined) return whole.slice(1);
    return name in args ? render(args[name], zone, now) : "—";
  });
}

/** One of the page's own texts. */
export function t(key: Key, args: { [name: string]: Arg } = {}): string {
  return fill(table.value[key] ?? key, args, "UTC", undefined);
}

/** A text whose key is made at run time (state, kind of deadline …); `fallback` when there is no such key. */
export function word(key: string, fallback: string): string {
  return table.value[key] ?? fallback;
}

/** A server's Text (or one of its args) in words, as agent/texts render() does it: same keys, same figures. */
export function render(value: Arg | undefined, zone: string, now?: number): string {
  if (value === null || value === undefined) return "—";
  if (typeof value === "string") return value;
  if (typeof value === "number") return short(value);
  if (Array.isArray(value)) return value.map((part) => render(part, zone, now)).join(lang.value === "zh" ? "、" : ", ");
  if ("at" in value) return moment(Date.parse(value.at), zone, now);
  if ("seconds" in value) return duration(value.seconds, units());
  if ("zh" in value) return name(value);
  if ("num" in value) return value.num === null ? "—" : num(value.num, value.digits ?? 2);
  return fill(table.value[value.key] ?? value.key, value.args ?? {}, zone, now);
}

/** The plant's own names in the page's language. */
export function name(named: Named): string {
  return named[lang.value] || named.zh;
}

export function units(): { d: string; h: string; min: string; s: string } {
  return { d: t("unit.d"), h: t("unit.h"), min: t("unit.min"), s: t("unit.s") };
}

/** A span of time in words of the page's language. */
export function span(seconds: number): string {
  return duration(seconds, units());
}

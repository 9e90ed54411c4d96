/** Who stands at the tablet: set by a badge, gone after five minutes or with the end of the ticket. */
import { computed, signal } from "@preact/signals";
import { tick } from "../core/time.ts";
import type { Person } from "../core/types.ts";

export const LAPSE_MS = 5 * 60_000;

const signed = signal<{ person: Person; until: number } | null>(null);

/** The person now signed, or null. */
export const badge = computed<Person | null>(() => (signed.value && tick.value < signed.value.until ? signed.value.person : null));
/** Seconds until the name goes by itself. */
export const left = computed(() => (signed.value ? Math.max(0, (signed.value.until - tick.value) / 1000) : 0));

export function sign(person: Person, at: number): void {
  signed.value = { person, until: at + LAPSE_MS };
}
export function signOff(): void {
  signed.value = null;
}

export type Code =
  | { kind: "badge"; person: Person }
  | { kind: "stranger"; code: string }
  | { kind: "part"; code: string };

/** What a code is. A badge holds an employee number; one shaped like the known numbers but not among them is a stranger's. */
export function classify(code: string, people: Person[]): Code {
  const same = (person: Person): boolean => person.id.toLowerCase() === code.toLowerCase();
  const person = people.find(same);
  if (person) return { kind: "badge", person };
  const shape = (text: string): string => text.replace(/[A-Za-z]/g, "a").replace(/\d/g, "0");
  const alike = people.some((one) => shape(one.id) === shape(code));
  return { kind: alike ? "stranger" : "part", code };
}

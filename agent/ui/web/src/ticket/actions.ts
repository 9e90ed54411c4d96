/** What can be done with a ticket at the kiosk, and what each act asks for, one question a screen. */
import type { Ticket } from "../core/types.ts";

export type Field =
  | { name: string; kind: "text"; phrases: "contain" | "cause" | "fix" | "implement" | "cancel" | "verify" | "comment" | "reopen"; optional?: boolean }
  | { name: string; kind: "person" }
  | { name: string; kind: "date" }
  | { name: string; kind: "choice"; options: readonly string[] };

export const FIELDS: Record<string, Field[]> = {
  respond: [],
  contain: [{ name: "text", kind: "text", phrases: "contain" }],
  analyse: [
    { name: "root_cause", kind: "text", phrases: "cause" },
    { name: "countermeasure", kind: "text", phrases: "fix" },
    { name: "owner", kind: "person" },
    { name: "due", kind: "date" },
  ],
  implement: [{ name: "text", kind: "text", phrases: "implement" }],
  verify: [
    { name: "result", kind: "choice", options: ["effective", "ineffective"] },
    { name: "text", kind: "text", phrases: "verify", optional: true },
  ],
  comment: [{ name: "text", kind: "text", phrases: "comment" }],
  reassign: [{ name: "to", kind: "person" }],
  cancel: [{ name: "reason", kind: "text", phrases: "cancel" }],
  reopen: [{ name: "text", kind: "text", phrases: "reopen" }],
};

const ORDER = Object.keys(FIELDS);
/** The step that a state waits for: its key is the black one. */
const NEXT: Record<string, string> = { NEW: "respond", RESPONDED: "contain", CONTAINED: "analyse", ANALYSED: "implement", IMPLEMENTED: "verify" };

/** Acts this page knows among those the server allows, the awaited one first. */
export function acts(ticket: Pick<Ticket, "state" | "actions">): { main: string | null; others: string[] } {
  const known = ORDER.filter((one) => ticket.actions.includes(one));
  const next = NEXT[ticket.state];
  const main = next && known.includes(next) ? next : null;
  return { main, others: known.filter((one) => one !== main) };
}

/** Dates to choose from: `count` days from the given one, as YYYY-MM-DD. */
export function days(today: string, count: number): string[] {
  const first = Date.parse(`${today}T00:00:00Z`);
  return Array.from({ length: count }, (_, i) => new Date(first + i * 86_400_000).toISOString().slice(0, 10));
}

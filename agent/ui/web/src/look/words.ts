/** Marks and words of states, as look/README §2 says: every lamp has a shape and a word. */
import { word } from "../words/texts.ts";
import type { Attention, Mark, Severity, Ticket } from "../core/types.ts";

const RING: Record<string, string> = {
  NEW: "h0", RESPONDED: "h1", CONTAINED: "h2", ANALYSED: "h3", IMPLEMENTED: "h4", VERIFIED: "h5", CLOSED: "hc", CANCELLED: "hx",
};
const STEP: Record<Mark, string> = { met: "check", late: "checklate", run: "run", near: "tri", missed: "square", wait: "run", void: "x" };
const SEVERITY: Record<Severity, string> = { stop: "s1", quarantine: "s2", watch: "s3" };

export const ring = (state: string): string => RING[state] ?? "ring";
export const stepMark = (mark: Mark): string => STEP[mark];
export const severityMark = (severity: Severity): string => SEVERITY[severity] ?? "s3";
export const stateWord = (state: string): string => word(`tickets.state.${state}`, state);
export const severityWord = (severity: string): string => word(`tickets.severity.${severity}`, severity);
export const stepWord = (kind: string): string => word(`kiosk.step.${kind}`, kind);

/** The shape before a ticket's sentence. */
export function leadMark(ticket: Ticket): string {
  if (ticket.strip.some((step) => step.mark === "missed")) return "square";
  if (ticket.state === "NEW") return "bell";
  return ticket.attention === "soon" ? "tri" : "run";
}

export const textClass = (attention: Attention): string => (attention === "none" ? "" : `t-${attention}`);

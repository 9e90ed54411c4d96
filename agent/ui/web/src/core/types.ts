/** What the edge's kiosk API says, as JSON. Times are ISO strings in UTC. */
import type { Named, Text } from "../words/texts.ts";

export type Attention = "none" | "soon" | "now";
export type Severity = "stop" | "quarantine" | "watch";
export type Quality = "good" | "uncertain" | "bad" | "stale";
export type Mark = "met" | "late" | "run" | "near" | "missed" | "wait" | "void";

export interface Person {
  id: string;
  name: string;
  roles?: string[];
}
export interface Category {
  id: string;
  name: Named;
  hint?: Named;
  icon?: string;
}
export interface Point {
  at: string;
  y: number | null;
  mark: null | "warning" | "ticket";
  rules: string[];
}
export interface Violation {
  rules: string[];
  severity: "ticket" | "warning" | "known";
  at: string;
  value: number | null;
  text: Text;
  ticket: string | null;
}
export interface Tile {
  id: string;
  name: Named;
  unit: string;
  decimals: number;
  station: string;
  stat: "x" | "mean";
  chart: string;
  n: number;
  center: number | null;
  lcl: number | null;
  ucl: number | null;
  lsl: number | null;
  usl: number | null;
  entry: "signal" | "manual";
  value: number | null;
  at: string | null;
  quality: Quality;
  age_s: number | null;
  attention: Attention;
  points: Point[];
  open: number[];
  violation: Violation | null;
  category?: string | null;
}
export interface Deadline {
  kind: "R2" | "C24" | "A48" | "V5";
  name: Text;
  mark: Mark;
  due_at: string | null;
  stopped_at: string | null;
  used: number;
  text: Text;
}
export interface Ticket {
  no: string;
  short: string;
  title: Text;
  description?: string | null;
  state: string;
  cycle: number;
  severity: Severity;
  category: string | null;
  station: string | null;
  characteristic: string | null;
  owner: Person | null;
  reporter: Person | null;
  raised_at: string;
  occurrences: number;
  last_at: string | null;
  attention: Attention;
  lead: Text;
  strip: Deadline[];
  actions: string[];
  outbox: { waiting: number; delivered: number; dead: number };
}
export interface HistoryLine {
  at: string;
  actor: Person | null;
  via: string;
  kind: string;
  text: Text;
}
export interface TicketDetail extends Ticket {
  history: HistoryLine[];
}
export interface Office {
  up: boolean;
  since: string | null;
  waiting: number;
  oldest_s: number | null;
  limit_s?: number | null;
}
export interface Place {
  id: string;
  name: Named;
}
export interface Head {
  version: string;
  now: string;
  tz: string;
  site: string;
  edge: string;
  line: Place;
  station: Place;
  device: { id: string; name: string };
  stations: Place[];
  categories: Category[];
  sources: { total: number; good: number };
  office: Office;
  people: Person[];
  /** Within how many seconds a ticket raised now is answered. */
  respond_s: number | null;
}
export interface Snapshot extends Head {
  tiles: Tile[];
  tickets: Ticket[];
}
export interface MeasureAnswer {
  tile: Tile;
  violations: { rules?: string[]; rule?: string; text?: Text }[];
  ticket: string | null;
}
export interface Refusal {
  error?: { key?: string; args?: Record<string, never>; text?: Partial<Named> };
}

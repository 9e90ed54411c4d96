/** What the sandbox's control API says (agent/sandbox/control). People are named by employee number. */
import type { Text } from "../words/texts.ts";

export interface Person {
  id: string;
  name: string;
  open_id: string;
  note: Text;
  resigned: boolean;
}
export interface Group {
  chat_id: string;
  kind: "group" | "p2p";
  person: string | null;
  name: string;
  status: "normal" | "dissolved";
  owner: string | null;
  members: string[];
  bot_in: boolean;
  last_at: string | null;
  last: { from: string | null; text: string } | null;
  messages: number;
  ticket: string | null;
}
export interface Toast {
  type: string;
  content: string;
}
export interface Click {
  person: string;
  at: string;
  name: string | null;
  code: number;
  toast: Toast | null;
}
export interface Message {
  kind: "message";
  message_id: string;
  chat_id: string;
  from: string | null;
  msg_type: string;
  at: string;
  updated_at: string | null;
  version: number;
  recalled_at: string | null;
  text: string;
  card: Card | null;
  image_key: string | null;
  reads: { person: string; at: string }[];
  urgent: string[];
  ticket: string | null;
  clicks: Click[];
}
export interface SystemRow {
  kind: "system";
  chat_id?: string;
  what: string;
  at: string;
  by: string | null;
  people: string[];
  text: string | null;
}
export type Row = Message | SystemRow;
export interface Version {
  n: number;
  at: string;
  how: string;
  content: Card;
}
export interface Call {
  n: number;
  at: string;
  method: string;
  api: string;
  path: string;
  uuid: string | null;
  status: number | null;
  code: number | null;
  ms: number;
  fault: string | null;
}
export interface Violation {
  n: number;
  at: string;
  kind: string;
  text: Text;
}
export interface Fault {
  id: string;
  api: string;
  kind: string;
  times: number | null;
  left: number | null;
  hits: number;
}
export type Counters = Record<string, Record<string, number> | number>;
export interface Clock {
  now: string;
  can_forward: boolean;
  next_deadline: string | null;
}
export interface Snapshot {
  now: string;
  tz: string;
  app: { bot: { name: string } };
  office: { up: boolean; mode: string | null; since: string | null };
  clock: Clock;
  people: Person[];
  groups: Group[];
  faults: Fault[];
  connections: { id: string }[];
  counters: Counters;
  calls: Call[];
  violations: Violation[];
}

/** Card JSON 2.0, as far as it is drawn. */
export interface CardText {
  tag?: string;
  content?: string;
  text_size?: string;
  text_color?: string;
}
export interface Part {
  tag: string;
  [attribute: string]: unknown;
}
export interface Card {
  header?: { title?: CardText; subtitle?: CardText; template?: string; text_tag_list?: { text?: CardText; color?: string }[] };
  body?: { elements?: Part[] };
}

/** Sends what waits, in order, each entry exactly once (the server knows its Idempotency-Key).
 *
 *  Only 400, 413 and 422 park an entry (the server will never take it as it is), and for an act on a ticket also 409 with a
 *  reason (the rules say no). Everything else (no answer, 401, 403, 404, 429, 5xx) is asked again. Order holds within a lane
 *  (a ticket, a characteristic); an entry that failed thrice no longer holds up the other lanes. */
import type { Answer, Ask } from "../core/api.ts";
import type { Refusal } from "../core/types.ts";
import type { Named } from "../words/texts.ts";
import type { Entry, Shelf } from "./shelf.ts";

export interface SenderParts {
  shelf: Shelf;
  call(path: string, ask: Ask): Promise<Answer>;
  /** Local milliseconds. */
  now(): number;
  delivered(entry: Entry, answer: Answer): void;
  changed(): Promise<void>;
}
export type Outcome = "sent" | "parked" | "away" | "again";

const PARK = new Set([400, 413, 422]);
const PATIENCE = 3;
const CAP_MS = 60_000;

export function verdict(kind: Entry["kind"], answer: Answer): Outcome {
  if (answer.status >= 200 && answer.status < 300) return "sent";
  if (PARK.has(answer.status)) return "parked";
  if (kind === "action" && answer.status === 409 && (answer.data as Refusal | null)?.error) return "parked";
  return answer.status === 0 ? "away" : "again";
}

/** The reason in the server's words, in both languages, or null. */
export function reasonOf(answer: Answer): Named | null {
  const text = (answer.data as Refusal | null)?.error?.text;
  const zh = text?.zh ?? text?.en;
  return zh ? { zh, en: text?.en ?? zh } : null;
}

/** Pause before try number `tries` + 1. */
export function pauseMs(tries: number, random: () => number = Math.random): number {
  return Math.min(CAP_MS, 1000 * 2 ** Math.min(tries, 10)) * (0.5 + random() / 2);
}

export class Sender {
  constructor(private readonly parts: SenderParts) {}

  /** Try everything that is due once. Answers "away" when the server cannot be had, "again" when something still waits. */
  async sweep(): Promise<"empty" | "away" | "again"> {
    const held = new Set<string>();
    let left = false;
    for (const entry of await this.parts.shelf.all()) {
      if (entry.state !== "waiting" || held.has(entry.lane)) continue;
      if (entry.retryAt > this.parts.now()) {
        held.add(entry.lane);
        left = true;
        continue;
      }
      const outcome = await this.send(entry);
      if (outcome === "away") return "away";
      if (outcome === "again") {
        held.add(entry.lane);
        left = true;
        if (entry.tries + 1 < PATIENCE) return "again";
      }
    }
    return left ? "again" : "empty";
  }

  private async send(given: Entry): Promise<Outcome> {
    const { shelf } = this.parts;
    const { entry: ready, outcome: before } = await this.photos(given);
    if (before) return before;
    const entry = { ...ready, tried: true };
    if (!ready.tried) await shelf.put(entry);
    const ask = { method: "POST", json: entry.json, key: entry.id, badge: entry.badge, enteredAt: entry.enteredAt };
    const answer = await this.parts.call(entry.path, ask);
    const outcome = verdict(entry.kind, answer);
    if (outcome === "sent") {
      await shelf.drop(entry.seq);
      this.parts.delivered(entry, answer);
      await this.tidy(entry);
    } else if (outcome !== "away") await this.failed(entry, answer, outcome);
    await this.parts.changed();
    return outcome;
  }

  /** Photos first. One the server will never take is left out: the ticket matters more. */
  private async photos(given: Entry): Promise<{ entry: Entry; outcome: Outcome | null }> {
    let entry = given;
    for (const photo of given.photos) {
      if (photo.sent) continue;
      const blob = await this.parts.shelf.blob(photo.sha);
      const path = `api/v1/blobs/${photo.sha}`;
      const answer = blob ? await this.parts.call(path, { method: "PUT", bytes: blob, timeoutMs: 60_000 }) : null;
      const outcome = answer ? verdict("ticket", answer) : "parked";
      if (outcome === "away") return { entry, outcome };
      if (outcome === "again") {
        await this.failed(entry, answer!, outcome);
        await this.parts.changed();
        return { entry, outcome };
      }
      entry = outcome === "sent" ? marked(entry, photo.sha) : without(entry, photo.sha);
      await this.parts.shelf.put(entry);
    }
    return { entry, outcome: null };
  }

  private async failed(entry: Entry, answer: Answer, outcome: Outcome): Promise<void> {
    const tries = entry.tries + 1;
    const retryAt = this.parts.now() + pauseMs(tries);
    const state = outcome === "parked" ? "parked" : "waiting";
    await this.parts.shelf.put({ ...entry, tries, retryAt, state, status: answer.status, reason: reasonOf(answer) });
  }

  /** Forget photos that no entry needs any more. */
  private async tidy(done: Entry): Promise<void> {
    const rest = await this.parts.shelf.all();
    const needed = new Set(rest.flatMap((entry) => entry.photos.map((photo) => photo.sha)));
    for (const { sha } of done.photos) if (!needed.has(sha)) await this.parts.shelf.dropBlob(sha);
  }
}

function marked(entry: Entry, sha: string): Entry {
  return { ...entry, photos: entry.photos.map((photo) => (photo.sha === sha ? { ...photo, sent: true } : photo)) };
}

function without(entry: Entry, sha: string): Entry {
  const photos = entry.photos.filter((photo) => photo.sha !== sha);
  return { ...entry, photos, json: { ...entry.json, photos: photos.map((photo) => photo.sha) } };
}

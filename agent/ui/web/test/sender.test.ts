import "fake-indexeddb/auto";
import { beforeEach, describe, expect, it } from "vitest";
import type { Answer, Ask } from "../src/core/api.ts";
import { pauseMs, Sender, verdict } from "../src/queue/sender.ts";
import { openShelf, type Entry, type NewEntry, type Shelf } from "../src/queue/shelf.ts";

let count = 0;
let shelf: Shelf;
let now: number;
let calls: { path: string; ask: Ask }[];
let answers: (path: string, ask: Ask) => Answer;
let arrived: string[];

beforeEach(async () => {
  shelf = await openShelf(`test ${++count}`);
  now = 1000;
  calls = [];
  arrived = [];
  answers = () => ({ status: 201, data: {} });
});

/** A new sender on the same shelf: what a reload of the page is. */
function sender(): Sender {
  return new Sender({
    shelf,
    now: () => now,
    changed: async () => undefined,
    delivered: (entry) => arrived.push(entry.id),
    call: async (path, ask) => {
      calls.push({ path, ask });
      return answers(path, ask);
    },
  });
}

async function entry(id: string, given: Partial<NewEntry> = {}): Promise<Entry> {
  const base = { kind: "ticket", lane: id, path: "api/v1/tickets", json: { id }, badge: "104482", who: null, photos: [], enteredAt: "2026-11-22T02:00:00Z" };
  const rest = { label: { key: "x", args: {} }, state: "waiting", tried: false, tries: 0, retryAt: 0, status: 0, reason: null };
  return shelf.add({ id, ...base, ...rest, ...given } as NewEntry);
}
const refused = (status: number): Answer => ({ status, data: { error: { key: "x", text: { zh: "不行", en: "no" } } } });
const left = async (): Promise<Entry[]> => shelf.all();

describe("sending", () => {
  it("sends in order with the key, badge and time made on the tablet, and keeps nothing", async () => {
    await entry("a");
    await entry("b");
    expect(await sender().sweep()).toBe("empty");
    expect(calls.map((one) => one.ask.key)).toEqual(["a", "b"]);
    expect(calls[0]!.ask).toMatchObject({ method: "POST", badge: "104482", enteredAt: "2026-11-22T02:00:00Z", json: { id: "a" } });
    expect(arrived).toEqual(["a", "b"]);
    expect(await left()).toEqual([]);
  });

  it("asks again with the same key after a lost answer and a reload", async () => {
    await entry("a");
    const taken = new Set<string>();
    answers = (_path, ask) => {
      const repeat = taken.has(ask.key!);
      taken.add(ask.key!);
      return repeat ? { status: 201, data: {} } : { status: 0, data: null };
    };
    expect(await sender().sweep()).toBe("away");
    expect((await left())[0]).toMatchObject({ id: "a", state: "waiting", tried: true });
    expect(await sender().sweep()).toBe("empty");
    expect([...taken]).toEqual(["a"]);
    expect(await left()).toEqual([]);
  });

  it("stops at the first silence: the others would meet the same", async () => {
    await entry("a");
    await entry("b");
    answers = () => ({ status: 0, data: null });
    await sender().sweep();
    expect(calls.length).toBe(1);
  });

  it.each([400, 413, 422])("parks %i with the reason, and goes on", async (status) => {
    await entry("a");
    await entry("b");
    answers = (_path, ask) => (ask.key === "a" ? refused(status) : { status: 201, data: {} });
    expect(await sender().sweep()).toBe("empty");
    expect(await left()).toMatchObject([{ id: "a", state: "parked", status, reason: { zh: "不行", en: "no" } }]);
    await sender().sweep();
    expect(calls.length).toBe(2);
  });

  it.each([401, 403, 404, 409, 429, 500, 503])("asks again after %i", async (status) => {
    await entry("a");
    answers = () => refused(status);
    expect(await sender().sweep()).toBe("again");
    expect(await left()).toMatchObject([{ state: "waiting", tries: 1 }]);
    await sender().sweep();
    expect(calls.length).toBe(1); // not before its pause is over
    now += 60_000;
    answers = () => ({ status: 200, data: {} });
    expect(await sender().sweep()).toBe("empty");
  });

  it("parks an act that the rules refuse", async () => {
    await entry("a", { kind: "action" });
    answers = () => refused(409);
    await sender().sweep();
    expect(await left()).toMatchObject([{ state: "parked", reason: { zh: "不行" } }]);
  });

  it("keeps the order within a lane, and lets a stubborn entry hold up only its own lane after three tries", async () => {
    await entry("a", { lane: "T1" });
    await entry("b", { lane: "T1" });
    await entry("c", { lane: "T2" });
    answers = (_path, ask) => (ask.key === "a" ? refused(500) : { status: 200, data: {} });
    for (const arrivedSoFar of [[], [], ["c"]]) {
      await sender().sweep();
      expect(arrived).toEqual(arrivedSoFar);
      now += 60_000;
    }
    answers = () => ({ status: 200, data: {} });
    await sender().sweep();
    expect(arrived).toEqual(["c", "a", "b"]);
  });

  it("does not bring back an entry that somebody dropped meanwhile", async () => {
    const one = await entry("a");
    answers = () => refused(500);
    const sweep = sender().sweep();
    await shelf.drop(one.seq);
    await sweep;
    expect(await left()).toEqual([]);
  });
});

describe("photos", () => {
  const photos = [{ sha: "aa", size: 1 }, { sha: "bb", size: 1 }];
  beforeEach(async () => {
    for (const { sha } of photos) await shelf.putBlob(sha, new Blob([sha], { type: "image/jpeg" }));
  });

  it("go before the ticket, each once, and are forgotten afterwards", async () => {
    await entry("a", { photos, json: { photos: ["aa", "bb"] } });
    let bad = true;
    answers = (path) => (path.endsWith("bb") && bad ? { status: 0, data: null } : { status: 200, data: {} });
    await sender().sweep();
    bad = false;
    await sender().sweep();
    expect(calls.map((one) => one.path)).toEqual(["api/v1/blobs/aa", "api/v1/blobs/bb", "api/v1/blobs/bb", "api/v1/tickets"]);
    expect(await shelf.blobNames()).toEqual([]);
  });

  it("one that the server will never take is left out, the ticket goes", async () => {
    await entry("a", { photos, json: { photos: ["aa", "bb"] } });
    answers = (path) => (path.endsWith("aa") ? refused(413) : { status: 200, data: {} });
    await sender().sweep();
    expect(calls.at(-1)!.ask.json).toEqual({ photos: ["bb"] });
    expect(arrived).toEqual(["a"]);
  });
});

it("waits longer after each try, never more than a minute", () => {
  const pauses = [1, 2, 3, 20, 99].map((tries) => pauseMs(tries, () => 1));
  expect(pauses).toEqual([2000, 4000, 8000, 60_000, 60_000]);
  expect(verdict("ticket", { status: 200, data: null })).toBe("sent");
});

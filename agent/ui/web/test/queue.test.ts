import "fake-indexeddb/auto";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";

const given = { kind: "ticket", lane: "", path: "api/v1/tickets", badge: "104482", who: "刘海燕", label: { key: "x", args: {} } } as const;
const report = (severity: string, extra = {}) => ({ ...given, json: { category: "welding", severity }, ...extra });

/** A page: its modules anew, on the same storage. */
async function page(): Promise<typeof import("../src/queue/queue.ts")> {
  vi.resetModules();
  const queue = await import("../src/queue/queue.ts");
  await queue.startQueue();
  return queue;
}

beforeEach(() => {
  vi.stubGlobal("fetch", () => Promise.reject(new TypeError("no network")));
  vi.stubGlobal("navigator", {});
});
afterEach(() => vi.unstubAllGlobals());

describe("the row", () => {
  it("keeps entries over a reload, with key, place and time of their own", async () => {
    const before = await page();
    const one = await before.put(report("stop"));
    const two = await before.put(report("watch"));
    const after = await page();
    expect(after.entries.value.map((entry) => entry.id)).toEqual([one.id, two.id]);
    expect(one.id).not.toBe(two.id);
    expect(two.seq).toBeGreaterThan(one.seq);
    expect(after.waiting.value[0]).toMatchObject({ state: "waiting", badge: "104482", json: { severity: "stop" } });
    for (const entry of after.entries.value) await after.remove(entry);
    expect(after.entries.value).toEqual([]);
  });

  it("takes a finger that touched twice for one entry, and a second report for two", async () => {
    const queue = await page();
    const [one, two] = await Promise.all([queue.put(report("stop")), queue.put(report("stop"))]);
    expect(two.id).toBe(one.id);
    await queue.put(report("stop", { badge: "104471" }));
    expect(queue.entries.value.length).toBe(2);
    for (const entry of queue.entries.value) await queue.remove(entry);
  });

  it("is bounded: refuses when full instead of losing the oldest", async () => {
    const queue = await page();
    await queue.put(report("stop", { photos: [{ sha: "a", size: queue.LIMIT_BYTES }] }));
    expect(queue.full.value).toBe(true);
    await expect(queue.put(report("watch"))).rejects.toThrow("full");
    for (const entry of queue.entries.value) await queue.remove(entry);
    expect(queue.full.value).toBe(false);
  });

  it("delivers, tells the answer once and keeps it for the screen", async () => {
    vi.stubGlobal("fetch", () => Promise.resolve(new Response('{"no":"T-1"}', { status: 201 })));
    const queue = await page();
    const heard: unknown[] = [];
    queue.onDelivered((data) => heard.push(data));
    const entry = await queue.put(report("stop"));
    await vi.waitFor(() => expect(queue.entries.value).toEqual([]));
    expect(heard).toEqual([{ no: "T-1" }]);
    expect(queue.delivered.value.get(entry.id)?.data).toEqual({ no: "T-1" });
  });
});

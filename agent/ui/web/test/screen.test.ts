import { beforeEach, describe, expect, it } from "vitest";
import { apart, roomy, timeWords } from "../src/chart/scale.ts";
import { fit } from "../src/core/device.ts";
import { byUrgency, fitting, settle } from "../src/home/room.ts";
import { breach, isOld } from "../src/tiles/tile.tsx";
import { grid } from "../src/tiles/tiles.tsx";
import { cells, stepText } from "../src/look/strip.tsx";
import type { Deadline, Violation } from "../src/core/types.ts";
import { flush, head, old, picture, receive, tickets, tile as cellOf, tileIds, link } from "../src/core/store.ts";
import { acts, days } from "../src/ticket/actions.ts";
import { inLanguage, ticket, tile } from "./helper.ts";

beforeEach(() => inLanguage("zh"));

const step = (given: Partial<Deadline>): Deadline => ({ kind: "R2", name: null, mark: "run", due_at: null, stopped_at: null, used: 0, text: "x", ...given });

describe("the strip", () => {
  it("always has four cells in the same order", () => {
    expect(cells([step({ kind: "V5" }), step({ kind: "R2" })]).map((one) => `${one.kind} ${one.mark}`)).toEqual(["R2 run", "C24 void", "A48 void", "V5 run"]);
  });
  it("counts down to the deadline, then up; what is over keeps the server's words", () => {
    const at = Date.parse("2026-11-22T02:00:00Z");
    const words = (given: Partial<Deadline>): string => stepText(step(given), at, () => "用时 25 分");
    expect(words({ due_at: "2026-11-22T03:38:00Z" })).toBe("剩 1 小时 38 分");
    expect(words({ due_at: "2026-11-22T00:23:00Z", mark: "missed" })).toBe("超 1 小时 37 分");
    expect(words({ due_at: "2026-11-22T03:38:00Z", mark: "met" })).toBe("用时 25 分");
    expect(words({ mark: "void" })).toBe("不计");
  });
});

describe("a tile", () => {
  const violation: Violation = { rules: ["N1"], severity: "ticket", at: "", value: 431.6, text: "", ticket: null };
  it("says what the value is compared with", () => {
    expect(breach(tile({ lsl: null, usl: null, violation: { ...violation, rules: ["N1"] } }))).toMatchObject({ icon: "diamond", text: "低于下限 438·规则\u00a0N1" });
    expect(breach(tile({ violation: { ...violation, value: 600 } }))).toMatchObject({ icon: "cross", what: "高于规格 570" });
    expect(breach(tile({ violation: { ...violation, value: 460, rules: ["N3", "W4"], severity: "warning" } }))).toMatchObject({ icon: "diamond-o", text: "连升降 6 点·规则\u00a0N3\u00a0W4" });
    expect(breach(tile({ violation: { ...violation, value: 460, rules: ["R-N1"] } })).text).toBe("极差越控制限·规则\u00a0R-N1");
    expect(breach(tile({ violation: { ...violation, value: 460, rules: ["X9"] } })).text).toBe("规则 X9");
  });
  it("has a brief word too, for a flood", () => {
    expect(breach(tile({ violation: { ...violation, rules: ["N1"] } })).brief).toBe("规则 N1");
    expect(breach(tile({ violation: { ...violation, value: 600, rules: ["SPEC"] } })).brief).toBe("高于规格 570");
  });
  it("never compares a mean with the specification", () => {
    expect(breach(tile({ stat: "mean", violation: { ...violation, value: 600 } }))).toMatchObject({ icon: "diamond", what: "高于上限 498" });
  });
  it("is old without a link, a value or good quality", () => {
    expect([isOld(tile(), false), isOld(tile(), true), isOld(tile({ quality: "bad" }), false), isOld(tile({ value: null }), false)]).toEqual([false, true, true, true]);
  });
});

describe("the words of a chart", () => {
  it("stay on their lines where there is room, else move apart, and the centre line's go first", () => {
    expect(apart(100, 140, 180, 16)).toEqual({ upper: 100, center: 140, lower: 180 });
    expect(apart(100, 110, 120, 16)).toEqual({ upper: 100, center: null, lower: 120 });
    expect(apart(100, 104, 108, 16)).toEqual({ upper: 96, center: null, lower: 112 });
  });
  it("show seconds only where minutes would be the same", () => {
    const word = (time: string, seconds: boolean): string => time.slice(11, seconds ? 19 : 16);
    const every = (s: number): string[] => Array.from({ length: 17 }, (_, i) => new Date(Date.UTC(2026, 10, 22, 2) + i * s * 1000).toISOString());
    expect(timeWords(every(60), 8, word)).toEqual([{ index: 16, text: "02:16" }, { index: 8, text: "02:08" }, { index: 0, text: "02:00" }]);
    expect(timeWords(every(1), 8, word).map((one) => one.text)).toEqual(["02:00:16", "02:00:08", "02:00:00"]);
    expect(timeWords([], 8, word)).toEqual([]);
  });
});

describe("room", () => {
  it("is left between words in a line: the first ones are written", () => {
    expect(roomy([{ x: 100, width: 40 }, { x: 60, width: 40 }, { x: 50, width: 40 }, { x: 10, width: 30 }], 5)).toEqual([true, false, true, true]);
    expect(roomy([], 5)).toEqual([]);
  });
  it("makes the screens grow from the sizes they are drawn for", () => {
    expect([fit(1280, 800), fit(800, 1280), fit(1366, 768), fit(1440, 900), fit(1920, 1080), fit(1080, 1920), fit(3840, 2160)]).toEqual([1, 1, 1, 1.1, 1.3, 1.3, 1.3]);
  });
  it("gives each count of tiles a grid", () => {
    expect([1, 4, 6, 9, 30].map((count) => grid(count, false))).toEqual([
      { cols: 1, rows: 1, size: 9 }, { cols: 2, rows: 2, size: 9 }, { cols: 3, rows: 2, size: 9 }, { cols: 3, rows: 3, size: 9 }, { cols: 3, rows: 3, size: 9 },
    ]);
    expect(grid(6, true)).toEqual({ cols: 2, rows: 3, size: 6 });
  });
  it("takes the pager's place off only when there is more than fits", () => {
    expect([fitting(502, 128, 1, 4), fitting(502, 128, 1, 5), fitting(10, 128, 2, 9)]).toEqual([4, 3, 2]);
  });
  it("keeps lists still under a finger", () => {
    expect(settle(["a", "b", "c"], ["c", "b", "d"], true)).toEqual(["b", "c", "d"]);
    expect(settle(["a", "b", "c"], ["c", "b", "d"], false)).toEqual(["c", "b", "d"]);
  });
  it("puts first who must act now, then what falls due first", () => {
    const due = (at: string): Deadline[] => [step({ due_at: at })];
    const list = [
      ticket({ no: "1", attention: "none" }),
      ticket({ no: "2", attention: "soon", strip: due("2026-11-22T09:00:00Z") }),
      ticket({ no: "3", attention: "soon", strip: due("2026-11-22T08:00:00Z") }),
      ticket({ no: "4", attention: "now" }),
    ];
    expect(list.sort(byUrgency).map((one) => one.no)).toEqual(["4", "3", "2", "1"]);
  });
});

describe("the screen's data", () => {
  const snapshot = { now: "2026-11-22T02:42:00Z", tz: "Asia/Shanghai", office: { up: true }, tiles: [tile()], tickets: [ticket()] };
  it("begins with a snapshot and forgets what the next one does not name", () => {
    receive("snapshot", { ...snapshot, tiles: [tile(), tile({ id: "depth" })] });
    receive("snapshot", snapshot);
    expect(tileIds.value).toEqual(["width"]);
    expect(picture()).toMatchObject({ tz: "Asia/Shanghai", tiles: [{ id: "width" }], tickets: [{ no: "SZ1-E3-261122-007" }] });
  });
  it("draws only the last of several values, and not before its turn", () => {
    receive("snapshot", snapshot);
    receive("tile", tile({ value: 1 }));
    receive("tile", tile({ value: 2 }));
    expect(cellOf("width")!.value.value).toBe(460);
    flush();
    expect(cellOf("width")!.value.value).toBe(2);
  });
  it("drops events of before a new snapshot", () => {
    receive("snapshot", snapshot);
    receive("tile", tile({ value: 1 }));
    receive("snapshot", snapshot);
    flush();
    expect(cellOf("width")!.value.value).toBe(460);
  });
  it("takes a closed ticket from the list and merges the office's state", () => {
    receive("snapshot", snapshot);
    receive("ticket", ticket({ state: "CLOSED" }));
    receive("office", { up: false });
    flush();
    expect(tickets.value).toEqual([]);
    expect(head.value!.office.up).toBe(false);
  });
  it("is old until the link is up", () => {
    link.value = "wait";
    expect(old.value).toBe(true);
    link.value = "up";
    expect(old.value).toBe(false);
  });
});

describe("acts", () => {
  it("offer what the server allows, the awaited one first, unknown ones never", () => {
    expect(acts({ state: "NEW", actions: ["cancel", "comment", "respond", "explode"] })).toEqual({ main: "respond", others: ["comment", "cancel"] });
    expect(acts({ state: "CONTAINED", actions: ["comment"] })).toEqual({ main: null, others: ["comment"] });
  });
  it("dates go over the end of a month", () => {
    expect(days("2026-11-29", 3)).toEqual(["2026-11-29", "2026-11-30", "2026-12-01"]);
  });
});

import { createHash } from "node:crypto";
import { describe, expect, it } from "vitest";
import { reach, script } from "../build/worker.ts";
import { range, specs, toX, toY } from "../src/chart/scale.ts";
import { plain, sha256, uuid } from "../src/core/ids.ts";
import { Frames } from "../src/core/live.ts";
import { judge, signed } from "../src/measure/check.ts";
import { parse as value, type } from "../src/measure/form.ts";
import { fit } from "../src/queue/photo.ts";
import { split, splitHint } from "../src/report/phrases.ts";
import { entities, parse } from "../src/sandbox/card/marked.ts";
import { wish } from "../src/sandbox/press.ts";
import { tile } from "./helper.ts";

describe("ids", () => {
  it("are version 4 UUIDs, never twice", () => {
    const made = new Set(Array.from({ length: 500 }, uuid));
    expect(made.size).toBe(500);
    for (const id of made) expect(id).toMatch(/^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/);
  });
  it.each([0, 1, 55, 56, 63, 64, 119, 1000])("digests of %i bytes are right without crypto.subtle", async (length) => {
    const bytes = Uint8Array.from({ length }, (_, i) => (i * 37) % 256);
    const right = createHash("sha256").update(bytes).digest("hex");
    expect([...plain(bytes)].map((x) => x.toString(16).padStart(2, "0")).join("")).toBe(right);
    expect(await sha256(bytes)).toBe(right);
  });
});

describe("the stream", () => {
  it("is cut into frames wherever the pieces end", () => {
    const text = 'event: beat\r\ndata: {"now":1}\r\n\r\n: comment\n\nevent: tile\ndata: a\ndata: b\n\nevent: half';
    for (const size of [1, 3, 7, 200]) {
      const frames = new Frames();
      const found = [];
      for (let i = 0; i < text.length; i += size) found.push(...frames.feed(text.slice(i, i + size)));
      expect(found).toEqual([{ event: "beat", data: '{"now":1}' }, { event: "tile", data: "a\nb" }]);
    }
  });
});

describe("charts", () => {
  it("leave specifications off a chart of means and those far away", () => {
    expect(specs(tile({ stat: "mean" }))).toEqual({ lsl: null, usl: null });
    expect(specs(tile({ lsl: 420, usl: 900 }))).toEqual({ lsl: 420, usl: null });
    expect(specs(tile({ lcl: null, ucl: null }))).toEqual({ lsl: 370, usl: 570 });
  });
  it("hold limits and points, also when there is nothing or only one value", () => {
    const points = [{ at: "", y: 520, mark: null, rules: [] }, { at: "", y: null, mark: null, rules: [] }];
    const span = range(tile({ points }), { lsl: null, usl: null });
    expect(span.low).toBeLessThan(438);
    expect(span.high).toBeGreaterThan(520);
    expect(toY(span.high, span, 100, 5)).toBe(5);
    expect(range(tile({ lcl: null, ucl: null, center: null }), { lsl: null, usl: null })).toEqual({ low: 0, high: 1 });
    const flat = range(tile({ lcl: null, ucl: null, center: 5 }), { lsl: null, usl: null });
    expect(flat.high).toBeGreaterThan(flat.low);
  });
  it("let new points come in at the right", () => {
    expect([toX(0, 1, 240), toX(24, 25, 240), toX(0, 25, 240), toX(29, 30, 240)]).toEqual([240, 240, 0, 240]);
  });
});

describe("measuring", () => {
  const limits = { lsl: 400, usl: null, lcl: 405, ucl: 475, center: 440 };
  it("tells bad from impossible", () => {
    expect([436, 392, 44, 4360].map((x) => judge(limits, x))).toEqual(["ok", "below", "odd", "odd"]);
    expect(judge({ lsl: null, usl: 0.5, lcl: null, ucl: null, center: null }, 0.62)).toBe("above");
    expect(judge({ lsl: null, usl: null, lcl: null, ucl: null, center: null }, 1e9)).toBe("ok");
  });
  it("offers a sign only where values can be negative", () => {
    expect([signed(limits), signed({ ...limits, lcl: -1 })]).toEqual([false, true]);
  });
  it("types like a pad", () => {
    const keys = (text: string, decimals = 2): string => text.split(" ").reduce((now, key) => type(now, key, decimals), "");
    expect(keys("0 4 . 5 . 1")).toBe("4.51");
    expect(keys(". 5")).toBe("0.5");
    expect(keys("1 2 . 5", 0)).toBe("125");
    expect(keys("5 sign del del")).toBe("");
    expect(keys("1 . 2 3 4 5 6")).toBe("1.234");
    expect([value("-"), value("0."), value(""), value("-2.5")]).toEqual([null, 0, null, -2.5]);
  });
});

it("photos keep their shape and never grow", () => {
  expect([fit(4000, 3000), fit(3000, 4000), fit(800, 600)]).toEqual([{ width: 1600, height: 1200 }, { width: 1200, height: 1600 }, { width: 800, height: 600 }]);
});

it("phrases come from lists however the plant wrote them", () => {
  expect(splitHint("虚焊、飞溅, blow hole；")).toEqual(["虚焊", "飞溅", "blow hole"]);
  expect(split("误报，测头误判、点错了")).toEqual(["误报，测头误判", "点错了"]);
});

describe("the sandbox's cards", () => {
  it("read markdown into a tree", () => {
    expect(parse("<at id=ou_1></at> 请在 **12:20** 前\n<font color='red'>■ 超 &#42;1&#42;</font>")).toEqual([
      { kind: "at", id: "ou_1" }, { kind: "text", text: " 请在 " }, { kind: "bold", inside: [{ kind: "text", text: "12:20" }] },
      { kind: "text", text: " 前" }, { kind: "break" }, { kind: "colour", colour: "red", inside: [{ kind: "text", text: "■ 超 *1*" }] },
    ]);
    expect(parse("![a](img_1)[x](https://e)")).toEqual([{ kind: "image", key: "img_1" }, { kind: "link", to: "https://e", inside: [{ kind: "text", text: "x" }] }]);
  });
  it("show escaped words as they are", () => {
    expect(entities("&#60;at id=all&#62; &amp; &#x2A; &none; &#99999999;")).toBe("<at id=all> & * &none; &#99999999;");
    expect(parse("&#42;&#42;x&#42;&#42;")).toEqual([{ kind: "text", text: "**x**" }]);
  });
  it("press by name in a form, else by value", () => {
    const behaviors = [{ type: "callback", value: { ticket: "T", action: "respond" } }];
    expect(wish({ tag: "button", behaviors }, null)).toEqual({ value: { ticket: "T", action: "respond" } });
    expect(wish({ tag: "button", name: "f__submit", behaviors }, { a: "1" })).toEqual({ name: "f__submit", form_value: { a: "1" } });
  });
});

describe("the worker", () => {
  const bundle = {
    "a.js": { type: "chunk", fileName: "a.js", imports: ["c.js"], dynamicImports: ["zh.js"], facadeModuleId: "/x/index.html", viteMetadata: { importedCss: new Set(["a.css"]), importedAssets: new Set<string>() } },
    "c.js": { type: "chunk", fileName: "c.js", imports: ["a.js"] },
    "zh.js": { type: "chunk", fileName: "zh.js" },
    "s.js": { type: "chunk", fileName: "s.js", imports: ["c.js"], facadeModuleId: "/x/sandbox.html" },
  } as const;
  it("keeps what the kiosk can ask for, not the sandbox", () => {
    expect(reach(bundle as never, "index.html")).toEqual(["a.css", "a.js", "c.js", "zh.js"]);
  });
  it("has a name of its own for each content", () => {
    expect(script(["a.js"], "h1")).toContain('"andon-h1"');
    expect(script(["a.js"], "h1")).toContain('["./","a.js"]');
  });
});

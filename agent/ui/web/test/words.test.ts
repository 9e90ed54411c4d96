import { beforeEach, describe, expect, it } from "vitest";
import en from "../../../texts/en.json";
import zh from "../../../texts/zh.json";
import { keep } from "../build/texts.ts";
import { clock, day, exact, limit, moment, num, seconds, short } from "../src/words/format.ts";
import { name, render, span, t } from "../src/words/texts.ts";
import { inLanguage } from "./helper.ts";

const TZ = "Asia/Shanghai";
const AT = Date.parse("2026-11-22T02:42:06Z");

describe("figures", () => {
  it("have a true minus, thin spaces from five digits on, and no negative zero", () => {
    expect([num(-0.624, 2), num(1803, 0), num(44000, 0), num(1234567.8, 1), num(-0.001, 2)]).toEqual(["\u22120.62", "1803", "44\u202f000", "1\u202f234\u202f567.8", "0.00"]);
  });
  it("limits lose their trailing zeros, values keep them", () => {
    expect([limit(438, 1), limit(0.5, 2), limit(100, 0), num(431.6, 2)]).toEqual(["438", "0.5", "100", "431.60"]);
    expect([exact(1.33, 1), exact(1.3, 1), exact(-2, 1)]).toEqual(["1.33", "1.3", "\u22122.0"]);
    expect([short(431.60000001), short(-2)]).toEqual(["431.6", "\u22122"]);
  });
});

describe("times", () => {
  it("are the plant's, whatever the tablet's zone is", () => {
    expect([clock(AT, TZ), clock(AT, TZ, true), day(AT, TZ), clock(AT, "UTC")]).toEqual(["10:42", "10:42:06", "2026-11-22", "02:42"]);
  });
  it("carry the date only when it is not today", () => {
    expect(moment(AT, TZ, AT + 3_600_000)).toBe("10:42");
    expect(moment(AT, TZ, AT + 86_400_000)).toBe("11-22 10:42");
    expect([seconds(AT, TZ, AT + 3_600_000), seconds(AT, TZ, AT + 86_400_000)]).toEqual(["10:42:06", "11-22 10:42:06"]);
  });
});

describe("texts", () => {
  beforeEach(() => inLanguage("zh"));
  it("spans have two units at most", () => {
    expect([span(5), span(97 * 60), span(7200), span(-93_600)]).toEqual(["5 秒", "1 小时 37 分", "2 小时", "1 天 2 小时"]);
  });
  it("render as the agent does: nested texts, times, spans, figures, lists", () => {
    expect(render({ key: "tickets.wait.NEW", args: { who: "陈国栋", left: { seconds: 5880 } } }, TZ)).toBe("等陈国栋响应，剩 1 小时 38 分");
    const nested = { key: "tickets.wait.missed", args: { who: ["周敏", "李思彤"], clock: { key: "tickets.clock.A48", args: { amount: "48 h" } }, over: { seconds: 60 } } };
    expect(render(nested, TZ)).toBe("周敏、李思彤：48 h 对策超 1 分");
    expect(render({ at: "2026-11-22T02:42:06Z" }, TZ, AT)).toBe("10:42");
    expect([render({ num: 431.6, digits: 2 }, TZ), render({ num: null }, TZ), render(null, TZ)]).toEqual(["431.60", "—", "—"]);
  });
  it("show an unknown key as itself and a missing parameter as a dash", () => {
    expect(render({ key: "no.such.key" }, TZ)).toBe("no.such.key");
    expect(t("kiosk.step.left")).toBe("剩 —");
  });
  it("never take a person's words for a template", () => {
    expect(render("{who} <b>", TZ)).toBe("{who} <b>");
    expect(render({ key: "kiosk.sent.delivered", args: { no: "{no} $&" } }, TZ)).toBe("已送达，工单 {no} $&");
  });
  it("change at once with the language", async () => {
    await inLanguage("en");
    expect([t("kiosk.report"), span(97 * 60), name({ zh: "熔宽", en: "Width" })]).toEqual(["Report a problem", "1 h 37 min", "Width"]);
  });
});

describe("the text files", () => {
  const own = Object.keys(zh).filter((key) => /^(kiosk|unit|sandbox\.ui)\./.test(key)) as (keyof typeof zh)[];
  it("have the same placeholders in both languages", () => {
    const holes = (text: string): string[] => [...text.matchAll(/\{(\w+)\}/g)].map((found) => found[1]!).sort();
    const differ = own.filter((key) => {
      const [a, b] = [holes(zh[key]), holes((en as Record<string, string>)[key] ?? "")];
      return b.some((hole) => !a.includes(hole));
    });
    expect(differ).toEqual([]);
    expect(own.filter((key) => !(key in en))).toEqual([]);
  });
  it("speak without exclamation marks and apologies", () => {
    const loud = own.filter((key) => /[!！]|请稍候|抱歉|成功|sorry|please/i.test(zh[key] + (en as Record<string, string>)[key]));
    expect(loud).toEqual([]);
  });
  it("come to a page without what it never shows", () => {
    const kiosk = keep(zh, "kiosk");
    expect(Object.keys(kiosk).filter((key) => key.startsWith("sandbox.") || key.startsWith("tickets.card."))).toEqual([]);
    expect(kiosk["kiosk.report"]).toBe("上报异常");
    expect(kiosk["tickets.wait.NEW"]).toBeDefined();
    expect(keep({ "brand.new": "x" }, "kiosk")).toEqual({ "brand.new": "x" });
  });
});

import { describe, expect, it } from "vitest";
import { classify } from "../src/scan/badge.ts";
import { clean, strays, Wedge, type Press } from "../src/scan/wedge.ts";

const KEYS: Record<string, Partial<Press>> = { "\n": { key: "Enter", code: "Enter" } };

/** Press the characters `gap` ms apart; what each press was heard as. */
function type(wedge: Wedge, text: string, gap: number, from = 1000): ReturnType<Wedge["feed"]>[] {
  return [...text].map((char, i) => wedge.feed({ key: char, code: "", shift: false, at: from + i * gap, ...KEYS[char] }));
}

describe("the wedge", () => {
  it("takes quick keys with Enter for a scan", () => {
    expect(type(new Wedge(), "104482\n", 8).at(-1)).toEqual({ scan: "104482" });
  });
  it("leaves a typing person alone", () => {
    expect(type(new Wedge(), "104482\n", 120).at(-1)).toBeNull();
    expect(type(new Wedge(), "ab\n", 8).at(-1)).toBeNull();
  });
  it("begins anew after a pause", () => {
    const wedge = new Wedge();
    type(wedge, "xx", 8, 1000);
    expect(type(wedge, "104482\n", 8, 5000).at(-1)).toEqual({ scan: "104482" });
  });
  it("reads the keys themselves under a Chinese input method", () => {
    const wedge = new Wedge();
    const codes = ["KeyM", "Digit1", "Numpad2", "Minus", "KeyA"];
    codes.forEach((code, i) => wedge.feed({ key: "Process", code, shift: code === "KeyM", at: 1000 + i * 5 }));
    expect(wedge.feed({ key: "Process", code: "Enter", shift: false, at: 1030 })).toEqual({ scan: "M12-a" });
  });
  it("is not confused by shift keys between the characters", () => {
    const wedge = new Wedge();
    type(wedge, "M12", 5, 1000);
    wedge.feed({ key: "Shift", code: "ShiftLeft", shift: true, at: 1016 });
    expect(type(wedge, "280\n", 5, 1020).at(-1)).toEqual({ scan: "M12280" });
  });
  it("ends by silence for readers without a suffix, but only when it was long enough", () => {
    const wedge = new Wedge();
    type(wedge, "M1228026", 5);
    expect(wedge.silence()).toEqual({ scan: "M1228026" });
    type(wedge, "1234", 5, 9000);
    expect(wedge.silence()).toBeNull();
  });
  it("keeps a blank within a code from pressing a key, but not a person's", () => {
    const blank = { key: " ", code: "Space" };
    const wedge = new Wedge();
    type(wedge, "M12280", 5, 1000);
    expect(strays(blank, wedge.feed({ ...blank, shift: false, at: 1030 }))).toBe(true);
    expect(strays(blank, wedge.feed({ ...blank, shift: false, at: 9000 }))).toBe(false);
  });
  it("strips control characters and symbology prefixes", () => {
    expect(clean("\u0002]C1M12280\u001d26K22\u0003 ")).toBe("M1228026K22");
  });
});

describe("what a code is", () => {
  const people = [{ id: "104482", name: "刘海燕" }, { id: "A104471", name: "陈国栋" }];
  it("knows a badge, in any case", () => {
    expect(classify("a104471", people)).toMatchObject({ kind: "badge", person: { name: "陈国栋" } });
  });
  it("calls a number of the same shape a stranger", () => {
    expect(classify("999999", people).kind).toBe("stranger");
  });
  it("takes anything else for a part", () => {
    expect(classify("M1228026K220417", people).kind).toBe("part");
    expect(classify("999999", []).kind).toBe("part");
  });
});

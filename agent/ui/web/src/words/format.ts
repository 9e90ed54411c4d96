/** Figures and times as look/README §6 wants them: true minus, thin spaces from five digits on, plant time. */

const MINUS = "\u2212";

/** `x` with a fixed count of decimals. */
export function num(x: number, digits: number): string {
  const [whole = "", part] = Math.abs(x).toFixed(digits).split(".");
  const grouped = whole.length >= 5 ? whole.replace(/\B(?=(\d{3})+$)/g, "\u202f") : whole;
  const negative = x < 0 && Number(x.toFixed(digits)) !== 0;
  return (negative ? MINUS : "") + grouped + (part ? `.${part}` : "");
}

/** A value as it was entered: one decimal more than usual where it has one (a person may type that many). */
export function exact(x: number, digits: number): string {
  return num(x, Number(x.toFixed(digits)) === x ? digits : digits + 1);
}

/** A limit with at most `digits` decimals, without trailing zeros: 438, not 438.0. */
export function limit(x: number, digits: number): string {
  const text = num(x, digits);
  return text.includes(".") ? text.replace(/\.?0+$/, "") : text;
}

/** `x` with at most six significant digits and no trailing zeros (Python's %g within its plain range). */
export function short(x: number): string {
  return String(Number(x.toPrecision(6))).replace("-", MINUS);
}

const formats = new Map<string, Intl.DateTimeFormat>();

function parts(at: number, zone: string): Record<string, string> {
  let format = formats.get(zone);
  if (!format) {
    const wanted = { year: "numeric", month: "2-digit", day: "2-digit", hour: "2-digit", minute: "2-digit", second: "2-digit" };
    format = new Intl.DateTimeFormat("en-GB", { timeZone: zone, hourCycle: "h23", ...wanted } as Intl.DateTimeFormatOptions);
    formats.set(zone, format);
  }
  return Object.fromEntries(format.formatToParts(at).map((part) => [part.type, part.value]));
}

/** 2026-11-22 in the plant's zone. */
export function day(at: number, zone: string): string {
  const p = parts(at, zone);
  return `${p.year}-${p.month}-${p.day}`;
}

/** 10:42, or 10:42:06. */
export function clock(at: number, zone: string, seconds = false): string {
  const p = parts(at, zone);
  return `${p.hour}:${p.minute}${seconds ? `:${p.second}` : ""}`;
}

/** 10:42 today, otherwise 11-18 10:42. */
export function moment(at: number, zone: string, now?: number): string {
  const today = now !== undefined && day(at, zone) === day(now, zone);
  return today ? clock(at, zone) : `${day(at, zone).slice(5)} ${clock(at, zone)}`;
}

/** 10:42:06 today, otherwise 11-18 10:42:06. */
export function seconds(at: number, zone: string, now: number): string {
  const today = day(at, zone) === day(now, zone);
  return (today ? "" : `${day(at, zone).slice(5)} `) + clock(at, zone, true);
}

/** A span of `seconds` with at most two units: 1 小时 37 分. */
export function duration(seconds: number, unit: { d: string; h: string; min: string; s: string }): string {
  const whole = Math.round(Math.abs(seconds));
  const [d, h, m] = [Math.floor(whole / 86400), Math.floor((whole % 86400) / 3600), Math.floor((whole % 3600) / 60)];
  if (d) return `${d}${unit.d}` + (h ? ` ${h}${unit.h}` : "");
  if (h) return `${h}${unit.h}` + (m ? ` ${m}${unit.min}` : "");
  return m ? `${m}${unit.min}` : `${whole}${unit.s}`;
}

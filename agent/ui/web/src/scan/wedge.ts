/** A barcode or badge reader types like a keyboard, only faster: keys ≤ 75 ms apart, then Enter or Tab (or silence).
 *  Works with any focus and under a Chinese input method (then `key` is "Process" and `code` tells the key). */

export interface Press {
  key: string;
  code: string;
  shift: boolean;
  at: number;
}
export type Heard = { scan: string } | { held: number } | null;

const GAP_MS = 75;
const SILENCE_MS = 2 * GAP_MS;
/** A slow tablet may hear a reader's keys late, though stamped in time: a scan that has begun is waited for longer. */
const LATE_MS = 6 * GAP_MS;
const LEAST = 4;
const MOST = 256;
const PLAIN: Record<string, string> = {
  Minus: "-", Equal: "=", Slash: "/", Period: ".", Comma: ",", Semicolon: ";", Space: " ",
  NumpadSubtract: "-", NumpadAdd: "+", NumpadDecimal: ".", NumpadDivide: "/", NumpadMultiply: "*",
};
const SHIFTED: Record<string, string> = { Minus: "_", Equal: "+", Slash: "?", Semicolon: ":", Digit4: "$", Digit5: "%", Digit8: "*" };

/** The character of a key press; "" for keys that write none. */
export function character(press: Press): string {
  if (press.key.length === 1 && press.key.charCodeAt(0) >= 32) return press.key;
  if (press.key !== "Process" && press.key !== "Unidentified") return "";
  if (press.shift && SHIFTED[press.code]) return SHIFTED[press.code]!;
  const letter = /^Key([A-Z])$/.exec(press.code)?.[1];
  if (letter) return press.shift ? letter : letter.toLowerCase();
  return /^(?:Digit|Numpad)(\d)$/.exec(press.code)?.[1] ?? PLAIN[press.code] ?? "";
}

/** Without control characters, an AIM prefix (]C1, ]d2 …) and blanks at the ends. */
export function clean(code: string): string {
  return code.replace(/[\u0000-\u001f\u007f\u200b-\u200f\ufeff]/g, "").trim().replace(/^\][A-Za-z]\w/, "");
}

export class Wedge {
  private text = "";
  private last = 0;

  /** Take one key press. `scan`: a code is complete. `held`: that many fast characters so far (0 = slow, a person). */
  feed(press: Press): Heard {
    const quick = press.at - this.last <= GAP_MS;
    if (press.key === "Enter" || press.key === "Tab" || press.code === "Enter" || press.code === "NumpadEnter") {
      return this.end(quick);
    }
    const char = character(press);
    if (!char) return null; // Shift and the like come between the characters of a scan
    if (!quick || this.text.length >= MOST) this.text = "";
    this.text += char;
    this.last = press.at;
    return { held: this.text.length };
  }

  /** Silence: a reader without a suffix is done too, when it wrote enough to be no person. */
  silence(): Heard {
    return this.text.length >= 2 * LEAST ? this.end(true) : null;
  }

  private end(quick: boolean): Heard {
    const code = clean(this.text);
    this.text = "";
    return quick && code.length >= LEAST ? { scan: code } : null;
  }
}

/** Whether a key press that was heard so would press the key that has the focus: a blank within a code does, as Enter does. */
export function strays(press: Pick<Press, "key" | "code">, heard: Heard): boolean {
  return (press.key === " " || press.code === "Space") && heard !== null && "held" in heard && heard.held > 1;
}

type Field = HTMLInputElement | HTMLTextAreaElement;

function field(): Field | null {
  const active = document.activeElement;
  return active instanceof HTMLInputElement || active instanceof HTMLTextAreaElement ? active : null;
}

/** Listen on the whole window. A field that had the focus gets back what stood in it before the scan. What a person
 *  types elsewhere goes to `typed`, a moment later, when it is sure to be no scan: characters, "del" and "enter". */
export function listen(scanned: (code: string) => void, typed: (key: string) => void): void {
  const wedge = new Wedge();
  let before: { field: Field; value: string } | null = null;
  let timer: ReturnType<typeof setTimeout> | undefined;
  let held = "";
  let keys: string[] = [];
  const done = (heard: Heard): boolean => {
    if (!heard || !("scan" in heard)) return false;
    keys = [];
    if (before) {
      before.field.value = before.value;
      before.field.dispatchEvent(new Event("input", { bubbles: true }));
    }
    scanned(heard.scan);
    return true;
  };
  const pass = (): void => {
    for (const key of keys.splice(0)) if (key) typed(key);
  };
  const own = (event: KeyboardEvent, active: Field | null, heard: Heard): void => {
    if (active) return;
    const press = { key: event.key, code: event.code, shift: event.shiftKey, at: event.timeStamp };
    const [erases, ends] = [press.key === "Backspace", press.key === "Enter" || press.code === "NumpadEnter"];
    const first = heard !== null && "held" in heard && heard.held === 1;
    if (first || erases || ends) pass(); // what came before was no scan
    if (heard) keys.push(character(press).trim());
    if (erases) typed("del");
    if (!ends || document.activeElement instanceof HTMLButtonElement) return; // it presses the key that has the focus
    event.preventDefault();
    typed("enter");
  };
  const press = (event: KeyboardEvent): void => {
    if (event.ctrlKey || event.altKey || event.metaKey || (event.repeat && event.key !== "Backspace")) return;
    const active = field();
    const value = active?.value ?? "";
    const heard = wedge.feed({ key: event.key, code: event.code, shift: event.shiftKey, at: event.timeStamp });
    if (heard && "held" in heard && heard.held === 1) before = active && { field: active, value };
    clearTimeout(timer);
    const stray = !active && strays(event, heard);
    // the reader's Enter must not press the key that has the focus, nor must a blank within a code
    if (done(heard) || stray) {
      event.preventDefault();
      held = event.code;
    }
    if (!heard || "held" in heard) {
      own(event, active, heard);
      timer = setTimeout(() => done(wedge.silence()) || pass(), heard && heard.held > 1 ? LATE_MS : SILENCE_MS);
    }
  };
  const release = (event: KeyboardEvent): void => {
    if (event.code === held) event.preventDefault(); // a blank presses when it is let go
    held = "";
  };
  window.addEventListener("keydown", press, true);
  window.addEventListener("keyup", release, true);
}

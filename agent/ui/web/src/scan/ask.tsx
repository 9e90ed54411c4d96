/** "Scan your badge": a sheet over the screen that ends with a scan, or with the number typed on our keys or a keyboard. */
import { signal } from "@preact/signals";
import { useEffect, useRef } from "preact/hooks";
import { say } from "../core/route.ts";
import { head } from "../core/store.ts";
import { now } from "../core/time.ts";
import type { Person } from "../core/types.ts";
import { hold } from "../look/hold.ts";
import { Icon } from "../look/icon.tsx";
import { Pad } from "../measure/pad.tsx";
import { t } from "../words/texts.ts";
import { badge, classify, sign } from "./badge.ts";
import { hand } from "./hands.ts";

const asking = signal<{ then?(person: Person): void } | null>(null);
const typed = signal("");
const LEAST = 2;
const MOST = 24;

/** Ask for a badge; `then` is called with the person once somebody has signed. */
export function askBadge(then?: (person: Person) => void): void {
  const person = badge.value;
  if (person && then) then(person);
  else ask({ then });
}

function ask(next: { then?(person: Person): void } | null): void {
  typed.value = "";
  asking.value = next;
}

/** A code that may be a badge. Answers false when it is none (a part code). */
export function present(code: string): boolean {
  const found = classify(code, head.value?.people ?? []);
  typed.value = "";
  if (found.kind === "part") return false;
  if (found.kind === "stranger") {
    say(t("kiosk.badge.stranger", { code }), true);
    return true;
  }
  sign(found.person, now());
  say(t("kiosk.badge.signed", { name: found.person.name }));
  const then = asking.value?.then;
  ask(null);
  then?.(found.person);
  return true;
}

/** What a person types on a keyboard: for whoever asks, else it is the number on their badge. */
export function typing(key: string): void {
  if (asking.value) return type(key);
  if (hand()) return hand()!(key);
  if (!head.value || !/^[0-9A-Za-z]$/.test(key)) return;
  ask({});
  type(key);
}

function type(key: string): void {
  if (key === "enter") done();
  else if (key === "del") typed.value = typed.value.slice(0, -1);
  else typed.value = (typed.value + key).slice(0, MOST);
}

function done(): void {
  const code = typed.value;
  if (code.length >= LEAST && !present(code)) say(t("kiosk.badge.stranger", { code }), true);
}

function close(): void {
  ask(null);
}

export function BadgeSheet() {
  const open = asking.value !== null;
  const sheet = useRef<HTMLDivElement>(null);
  useEffect(() => (open ? hold(sheet.current!, close) : undefined), [open]);
  if (!open) return null;
  return (
    <div class="k-veil" role="dialog" aria-modal="true" aria-label={t("kiosk.badge.ask")} data-test="badge-sheet">
      <div class="k-sheet" ref={sheet} tabIndex={-1}>
        <h2>
          <Icon name="scan" /> {t("kiosk.badge.ask")}
        </h2>
        <p>{t("kiosk.badge.how")}</p>
        <p class="k-in on">
          <span>{t("kiosk.badge.number")}</span>
          <b data-test="badge-typed">{typed.value || "—"}</b>
        </p>
        <Pad press={type} dot={false} />
        <div class="k-end two">
          <button class="key k-main" type="button" data-test="badge-cancel" onClick={close}>
            {t("kiosk.back")}
          </button>
          <button class="key main k-main" type="button" disabled={typed.value.length < LEAST} data-test="badge-done" onClick={done}>
            {t("kiosk.badge.done")}
          </button>
        </div>
      </div>
    </div>
  );
}

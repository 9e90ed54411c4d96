/** "Scan your badge": a sheet over the screen that ends with a scan, or with the number typed on our own keys. */
import { signal } from "@preact/signals";
import { useEffect, useRef, useState } from "preact/hooks";
import { say } from "../core/route.ts";
import { head } from "../core/store.ts";
import { now } from "../core/time.ts";
import type { Person } from "../core/types.ts";
import { hold } from "../look/hold.ts";
import { Icon } from "../look/icon.tsx";
import { Pad } from "../measure/pad.tsx";
import { t } from "../words/texts.ts";
import { badge, classify, sign } from "./badge.ts";

const asking = signal<{ then?(person: Person): void } | null>(null);

/** Ask for a badge; `then` is called with the person once somebody has signed. */
export function askBadge(then?: (person: Person) => void): void {
  const person = badge.value;
  if (person && then) then(person);
  else asking.value = { then };
}

/** A code that may be a badge. Answers false when it is none (a part code). */
export function present(code: string): boolean {
  const found = classify(code, head.value?.people ?? []);
  if (found.kind === "part") return false;
  if (found.kind === "stranger") {
    say(t("kiosk.badge.stranger", { code }), true);
    return true;
  }
  sign(found.person, now());
  say(t("kiosk.badge.signed", { name: found.person.name }));
  const then = asking.value?.then;
  asking.value = null;
  then?.(found.person);
  return true;
}

function close(): void {
  asking.value = null;
}

export function BadgeSheet() {
  const [typed, setTyped] = useState("");
  const open = asking.value !== null;
  const sheet = useRef<HTMLDivElement>(null);
  useEffect(() => setTyped(""), [open]);
  useEffect(() => (open ? hold(sheet.current!, close) : undefined), [open]);
  if (!open) return null;
  const done = (): void => {
    if (!present(typed)) say(t("kiosk.badge.stranger", { code: typed }), true);
    setTyped("");
  };
  const key = (pressed: string): void => setTyped(pressed === "del" ? typed.slice(0, -1) : (typed + pressed).slice(0, 24));
  return (
    <div class="k-veil" role="dialog" aria-modal="true" aria-label={t("kiosk.badge.ask")} data-test="badge-sheet">
      <div class="k-sheet" ref={sheet} tabIndex={-1}>
        <h2>
          <Icon name="scan" /> {t("kiosk.badge.ask")}
        </h2>
        <p>{t("kiosk.badge.how")}</p>
        <p class="k-in on">
          <span>{t("kiosk.badge.number")}</span>
          <b data-test="badge-typed">{typed || "—"}</b>
        </p>
        <Pad press={key} dot={false} />
        <div class="k-end two">
          <button class="key k-main" type="button" data-test="badge-cancel" onClick={close}>
            {t("kiosk.back")}
          </button>
          <button class="key main k-main" type="button" disabled={typed.length < 2} data-test="badge-done" onClick={done}>
            {t("kiosk.badge.done")}
          </button>
        </div>
      </div>
    </div>
  );
}

/** The 2485 strip: four cells, always in this order, always all four; a cell is one deadline, its bar the time used. */
import { tick } from "../core/time.ts";
import type { Deadline, Mark } from "../core/types.ts";
import { render, span, t } from "../words/texts.ts";
import { Icon } from "./icon.tsx";
import { stepMark, stepWord } from "./words.ts";

export const KINDS = ["R2", "C24", "A48", "V5"] as const;

/** All four cells; one that the server left out shows as not counted. */
export function cells(strip: Deadline[]): Deadline[] {
  const none = { name: null, mark: "void" as Mark, due_at: null, stopped_at: null, used: 0, text: null };
  return KINDS.map((kind) => strip.find((step) => step.kind === kind) ?? { kind, ...none });
}

/** Time left, over or used, counted on the plant's clock so that it is right between two messages. */
export function stepText(step: Deadline, at: number, fallback: (step: Deadline) => string): string {
  if (step.mark === "void") return t("kiosk.step.void");
  if (!["run", "near", "missed", "wait"].includes(step.mark) || !step.due_at) return fallback(step);
  const left = (Date.parse(step.due_at) - at) / 1000;
  return left >= 0 ? t("kiosk.step.left", { left: span(left) }) : t("kiosk.step.over", { over: span(left) });
}

export function Strip({ strip, mini, say }: { strip: Deadline[]; mini?: boolean; say(step: Deadline): string }) {
  return (
    <ol class={mini ? "strip mini" : "strip"} aria-label={t("kiosk.strip")}>
      {cells(strip).map((step) => (
        <li key={step.kind} class={step.mark} data-test={`step-${step.kind}`} style={{ "--p": String(Math.min(1, Math.max(0, step.used))) }}>
          <b>{step.name ? render(step.name, "UTC") : stepWord(step.kind)}</b>{" "}
          <span class="w">
            <Icon name={stepMark(step.mark)} /> {mini ? say(step) : stepText(step, tick.value, say)}
          </span>
        </li>
      ))}
    </ol>
  );
}

/** Press a button of a card as the chosen person, and tell what came of it. */
import { num } from "../words/format.ts";
import { t, word } from "../words/texts.ts";
import { collect } from "./card/inputs.tsx";
import { ask, outcome, speaker } from "./state.ts";
import type { Message, Part, Toast } from "./types.ts";

interface Pressed {
  code: number;
  toast: Toast | null;
  ms: number;
}
interface Behavior {
  type: string;
  value?: unknown;
  default_url?: string;
}

/** The body of a press: by the component's name (a form's button) or by the value it carries. */
export function wish(button: Part, values: { [name: string]: string | string[] } | null): { [field: string]: unknown } {
  const callback = (button.behaviors as Behavior[] | undefined)?.find((one) => one.type === "callback");
  const which = button.name ? { name: button.name } : { value: callback?.value ?? button.value };
  return values ? { ...which, form_value: values } : which;
}

export async function press(message: Message, button: Part, form: HTMLFormElement | null): Promise<void> {
  const link = (button.behaviors as Behavior[] | undefined)?.find((one) => one.type === "open_url");
  if (link) return void (outcome.value = { type: "info", text: t("sandbox.ui.link", { url: link.default_url ?? "" }) });
  outcome.value = { type: "info", text: t("sandbox.ui.pressing") };
  const submits = button.form_action_type === "submit";
  const body = { person: speaker.value, message_id: message.message_id, ...wish(button, submits && form ? collect(form) : null) };
  const answer = await ask<Pressed>("press", body);
  if (!answer) return;
  const ms = t("sandbox.ui.ms", { ms: num(answer.ms, 0) });
  if (answer.code) outcome.value = { type: "error", text: `${word(`sandbox.ui.code.${answer.code}`, String(answer.code))} ${ms}` };
  else outcome.value = { type: answer.toast?.type ?? "info", text: `${answer.toast?.content ?? t("sandbox.ui.noToast")} ${ms}` };
}

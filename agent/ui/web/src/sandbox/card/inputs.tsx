/** What can be filled in or pressed on a card. */
import { useContext, useEffect, useRef, useState } from "preact/hooks";
import { hold } from "../../look/hold.ts";
import { t } from "../../words/texts.ts";
import { Around, Words } from "./around.tsx";
import { byOpenId, nameOf } from "../state.ts";
import type { CardText, Part } from "../types.ts";

interface Option {
  value: string;
  text?: CardText;
}
interface Confirm {
  title?: CardText;
  text?: CardText;
}

const STYLE: Record<string, string> = { primary: "p", primary_filled: "p", danger: "d", danger_filled: "d" };

/** The values of a form's fields by name; several chosen ones as a list. Fields left empty are left out. */
export function collect(form: HTMLFormElement): { [name: string]: string | string[] } {
  const values: { [name: string]: string | string[] } = {};
  const data = new FormData(form);
  for (const name of new Set(data.keys())) {
    const all = data.getAll(name).map(String).filter(Boolean);
    if (all.length) values[name] = form.querySelector(`[name="${CSS.escape(name)}"][multiple]`) ? all : all[0]!;
  }
  return values;
}

function Ask({ confirm, yes, no }: { confirm: Confirm | undefined; yes(): void; no(): void }) {
  const box = useRef<HTMLDivElement>(null);
  useEffect(() => hold(box.current!, no), []);
  return (
    <div class="ask" role="dialog" aria-modal="true" aria-label={confirm?.title?.content} tabIndex={-1} ref={box} data-test="confirm">
      <b>
        <Words text={confirm?.title} />
      </b>
      <p>
        <Words text={confirm?.text} />
      </p>
      <div class="btns">
        <button class="b" type="button" data-test="confirm-no" onClick={no}>
          {t("sandbox.ui.cancel")}
        </button>
        <button class="b p" type="button" data-test="confirm-yes" onClick={yes}>
          {t("sandbox.ui.confirm")}
        </button>
      </div>
    </div>
  );
}

export function Button({ part, press }: { part: Part; press: ((button: Part, form: HTMLFormElement | null) => void) | null }) {
  const [asking, setAsking] = useState<HTMLFormElement | null | undefined>(undefined);
  const confirm = part.confirm as Confirm | undefined;
  const go = (form: HTMLFormElement | null): void => press?.(part, form);
  const click = (event: Event): void => {
    const form = (event.currentTarget as HTMLElement).closest("form");
    if (confirm) setAsking(form);
    else go(form);
  };
  const value = (part.behaviors as { type: string; value?: unknown }[] | undefined)?.find((one) => one.type === "callback")?.value;
  return (
    <>
      <button
        class={`b ${STYLE[String(part.type)] ?? ""}`}
        type="button"
        disabled={!press || part.disabled === true}
        data-test="card-button"
        data-name={part.name as string | undefined}
        data-value={value ? JSON.stringify(value) : undefined}
        data-action={(value as { action?: string } | undefined)?.action}
        onClick={click}
      >
        <Words text={part.text as CardText} />
      </button>
      {asking !== undefined && (
        <Ask
          confirm={confirm}
          no={() => setAsking(undefined)}
          yes={() => {
            setAsking(undefined);
            go(asking);
          }}
        />
      )}
    </>
  );
}

const DATES: Record<string, ["date" | "time" | "datetime-local", string]> = {
  date_picker: ["date", "initial_date"],
  picker_time: ["time", "initial_time"],
  picker_datetime: ["datetime-local", "initial_datetime"],
};

/** A field of a form. `off`: an old version of the card; `said`: the words above it, its name where it has no label. */
export function Field({ part, off, said }: { part: Part; off: boolean; said: string }) {
  const { members } = useContext(Around);
  const name = String(part.name ?? "");
  const hint = (part.placeholder as CardText | undefined)?.content ?? "";
  const label = (part.label as CardText | undefined)?.content;
  const common = { name, disabled: off || part.disabled === true, "data-test": `field-${name}`, class: "f", "aria-label": label ? undefined : said || hint || name };
  const date = DATES[part.tag];
  let field = <span class="lb">[{part.tag}]</span>;
  if (part.tag === "input" && part.input_type === "multiline_text") {
    field = <textarea {...common} rows={Number(part.rows) || 3} maxLength={Number(part.max_length) || 1000} placeholder={hint} defaultValue={String(part.default_value ?? "")} />;
  } else if (part.tag === "input") {
    field = <input {...common} maxLength={Number(part.max_length) || 1000} placeholder={hint} defaultValue={String(part.default_value ?? "")} />;
  } else if (date) {
    field = <input {...common} type={date[0]} defaultValue={String(part[date[1]] ?? "")} />;
  } else if (part.tag.includes("select")) {
    const own = part.options as Option[] | undefined;
    const options = own ?? members.map((id) => ({ value: id, text: { content: nameOf(id) } }));
    field = (
      <select {...common} multiple={part.tag.startsWith("multi_")}>
        <option value="">{hint || t("sandbox.ui.choose")}</option>
        {options.map((one) => (
          <option key={one.value} value={one.value} selected={one.value === part.initial_option}>
            {one.text?.content ?? byOpenId(one.value)?.name ?? one.value}
          </option>
        ))}
      </select>
    );
  }
  return (
    <label class="field">
      {label && <span class="lb">{label}</span>}
      {field}
    </label>
  );
}

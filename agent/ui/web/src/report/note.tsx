/** One sentence in own words: phrases to touch, or a plain text field. */
import { useState } from "preact/hooks";
import { Header } from "../home/bar.tsx";
import { t } from "../words/texts.ts";

export const NOTE_MAX = 500;

export function NoteSheet(props: { title: string; text: string; phrases: string[]; done(text: string): void; back(): void; doneText: string; optional?: boolean }) {
  const [text, setText] = useState(props.text);
  const add = (phrase: string): void => setText(text.trim() ? `${text.trim()}${t("kiosk.join")}${phrase}` : phrase);
  return (
    <>
      <Header back={props.back} backText={t("kiosk.back")} title={props.title} />
      <main class="k-body sheet">
        <textarea
          class="k-text"
          maxLength={NOTE_MAX}
          value={text}
          placeholder={t("kiosk.note.hint")}
          data-test="note-text"
          onInput={(event) => setText(event.currentTarget.value)}
        />
        <div class="choices phrases">
          {props.phrases.map((phrase, i) => (
            <button key={phrase} class="choice" type="button" data-test={`phrase-${i}`} onClick={() => add(phrase)}>
              {phrase}
            </button>
          ))}
        </div>
        <div class="k-end">
          <button class="key k-main" type="button" data-test="note-clear" onClick={() => setText("")}>
            {t("kiosk.note.clear")}
          </button>
          <button class="key main k-main" type="button" disabled={!props.optional && !text.trim()} data-test="note-done" onClick={() => props.done(text.trim())}>
            {props.doneText}
          </button>
        </div>
      </main>
    </>
  );
}

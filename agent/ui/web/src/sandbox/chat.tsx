/** The open conversation: what the system says, words, cards in all their versions, and a line to speak. */
import type { RefObject } from "preact";
import { useEffect, useLayoutEffect, useRef, useState } from "preact/hooks";
import { clock, moment } from "../words/format.ts";
import { render, t } from "../words/texts.ts";
import { Around, image } from "./card/around.tsx";
import { Card } from "./card/card.tsx";
import { press } from "./press.ts";
import { ask, chosen, group, nameOf, outcome, rows, snapshot, speaker, zone } from "./state.ts";
import type { Message, SystemRow, Version } from "./types.ts";

function System({ row }: { row: SystemRow }) {
  const key = `sandbox.ui.sys.${row.what}${row.people.length ? ".people" : ""}`;
  const text = render({ key, args: { by: nameOf(row.by), people: row.people.map(nameOf), text: row.text ?? "" } }, zone.value);
  return (
    <p class="sys">
      {clock(Date.parse(row.at), zone.value)} {text}
    </p>
  );
}

function useVersions(message: Message, wanted: boolean): Version[] {
  const [versions, setVersions] = useState<Version[]>([]);
  useEffect(() => {
    if (!wanted) return;
    void ask<{ versions: Version[] }>(`messages/${encodeURIComponent(message.message_id)}`).then((found) => setVersions(found?.versions ?? []));
  }, [wanted, message.version]);
  return versions;
}

function Cards({ message }: { message: Message }) {
  const [open, setOpen] = useState(false);
  const [old, setOld] = useState<number | null>(null);
  const versions = useVersions(message, open);
  const shown = versions.find((one) => one.n === old);
  const card = shown?.content ?? message.card;
  const around = {
    members: group.value?.members ?? [],
    press: shown ? null : (button: Parameters<typeof press>[1], form: HTMLFormElement | null) => void press(message, button, form),
  };
  return (
    <div class={shown ? "holder old" : "holder"}>
      {message.version > 1 && (
        <button class="versions" type="button" data-test="card-version" data-version={message.version} onClick={() => (setOpen(!open), setOld(null))}>
          {t("sandbox.ui.version", { n: message.version })}
        </button>
      )}
      {open &&
        versions.map((one) => (
          <button key={one.n} class="versions" type="button" aria-pressed={one.n === (old ?? message.version)} data-test={`version-${one.n}`} onClick={() => setOld(one.n === message.version ? null : one.n)}>
            {one.n} <small>{clock(Date.parse(one.at), zone.value, true)}</small>
          </button>
        ))}
      <Around.Provider value={around}>{card && <Card key={old ?? 0} card={card} />}</Around.Provider>
    </div>
  );
}

function Marks({ message }: { message: Message }) {
  const last = message.clicks.at(-1);
  const parts = [
    message.reads.length ? t("sandbox.ui.read", { people: message.reads.map((one) => nameOf(one.person)) }) : "",
    message.urgent.length ? t("sandbox.ui.urgent", { people: message.urgent.map(nameOf) }) : "",
    last ? t("sandbox.ui.clicked", { who: nameOf(last.person), n: message.clicks.length }) : "",
    message.recalled_at ? t("sandbox.ui.recalled") : "",
  ];
  const said = parts.filter(Boolean).join("·");
  return said ? <small data-test="marks">{said}</small> : null;
}

function Bubble({ message }: { message: Message }) {
  const bot = message.from === null;
  const at = Date.parse(message.at);
  const now = Date.parse(snapshot.value!.now);
  const updated = message.updated_at ? t("sandbox.ui.updated", { at: moment(Date.parse(message.updated_at), zone.value, now) }) : "";
  return (
    <div class="msg" data-test={`message-${message.message_id}`} data-type={message.msg_type}>
      <span class="av">{nameOf(message.from).slice(0, 1)}</span>
      <div>
        <small>
          {nameOf(message.from)} {moment(at, zone.value, now)}
          {updated}
        </small>
        {message.card ? (
          <Cards message={message} />
        ) : message.image_key ? (
          <img class="pic" src={image(message.image_key)} alt="" />
        ) : (
          <p class="bub" data-test="words">
            {message.text}
          </p>
        )}
        {bot && <Marks message={message} />}
      </div>
    </div>
  );
}

function Say() {
  const [text, setText] = useState("");
  const [mention, setMention] = useState(false);
  const who = speaker.value;
  const send = async (): Promise<void> => {
    const direct = group.value?.kind === "p2p";
    const body = { person: who, chat_id: direct ? null : chosen.value, text: text.trim(), mention_bot: mention };
    if (text.trim() && who && (await ask("say", body))) setText("");
  };
  return (
    <form
      class="say"
      onSubmit={(event) => {
        event.preventDefault();
        void send();
      }}
    >
      <input value={text} aria-label={t("sandbox.ui.sayAs", { who: nameOf(who ?? "") })} placeholder={t("sandbox.ui.sayAs", { who: nameOf(who ?? "") })} data-test="say-text" onInput={(event) => setText(event.currentTarget.value)} />
      <label>
        <input type="checkbox" checked={mention} data-test="say-mention" onChange={(event) => setMention(event.currentTarget.checked)} /> {t("sandbox.ui.mention")}
      </label>
      <button class="b" type="submit" data-test="say-send" disabled={!text.trim()}>
        {t("sandbox.ui.say")}
      </button>
      <button class="b" type="button" data-test="read-all" onClick={() => void ask(`groups/${encodeURIComponent(chosen.value!)}/read`, { person: who })}>
        {t("sandbox.ui.readAll")}
      </button>
    </form>
  );
}

/** Room left above the newest message. */
const ABOVE = 12;
/** How long the words after a press stay over the conversation. */
const TOAST_MS = 10_000;

/** Keep the newest message (`row`) in view from its beginning, as a card may be taller than the window; again whenever
 *  something grew, until somebody reads elsewhere or fills in a form. */
function useNewest(row: string): { list: RefObject<HTMLDivElement | null>; inner: RefObject<HTMLDivElement | null>; read(): void } {
  const list = useRef<HTMLDivElement>(null);
  const inner = useRef<HTMLDivElement>(null);
  const reading = useRef(false);
  const place = (): void => {
    const [box, newest] = [list.current, inner.current?.lastElementChild];
    const filling = inner.current?.contains(document.activeElement) && document.activeElement?.matches("input, textarea, select");
    if (!box || !newest || reading.current || filling) return;
    box.scrollTop += newest.getBoundingClientRect().top - box.getBoundingClientRect().top - ABOVE;
  };
  useLayoutEffect(() => {
    const grown = new ResizeObserver(place);
    grown.observe(inner.current!);
    return () => grown.disconnect();
  }, []);
  useLayoutEffect(() => {
    reading.current = false;
    place();
  }, [row]);
  return { list, inner, read: () => void (reading.current = true) };
}

export function Chat() {
  const last = rows.value.at(-1);
  const { list, inner, read } = useNewest(last ? `${chosen.value} ${last.kind === "message" ? last.message_id : last.at + last.what}` : "");
  const found = group.value;
  const said = outcome.value;
  useEffect(() => {
    const timer = said && setTimeout(() => (outcome.value = null), TOAST_MS);
    return () => clearTimeout(timer ?? undefined);
  }, [said]);
  return (
    <main class="sb-chat" aria-label={found?.name ?? ""} data-test="chat" data-chat={chosen.value}>
      <div class="rows" ref={list} tabIndex={0} onWheel={read} onTouchMove={read} onPointerDown={read} onKeyDown={read}>
        <div ref={inner}>
          {!found && <p class="sys">{t("sandbox.ui.choose.group")}</p>}
          {rows.value.map((row) =>
            row.kind === "system" ? <System key={row.at + row.what} row={row} /> : <Bubble key={row.message_id} message={row} />,
          )}
        </div>
      </div>
      {said && (
        <p class={`toast ${said.type}`} role="status" data-test="toast" data-type={said.type} onClick={() => (outcome.value = null)}>
          {said.text}
        </p>
      )}
      {found && found.status === "normal" && <Say />}
    </main>
  );
}

/** The sandbox page: what the people would see in Feishu, and levers to make things go wrong. */
import { effect } from "@preact/signals";
import { render } from "preact";
import { useEffect } from "preact/hooks";
import { dress, firstLanguage, otherLanguage } from "../core/device.ts";
import { hang, Icon } from "../look/icon.tsx";
import { clock, day, moment } from "../words/format.ts";
import { lang, provide, t } from "../words/texts.ts";
import { Chat } from "./chat.tsx";
import { Groups } from "./groups.tsx";
import { Side } from "./side.tsx";
import { ask, chosen, follow, live, open, outcome, snapshot, zone } from "./state.ts";
import "./sandbox.css";

const HOUR_S = 3600;

function Levers() {
  const { office, clock: time } = snapshot.value!;
  const next = time.next_deadline ? moment(Date.parse(time.next_deadline), zone.value, Date.parse(time.now)) : null;
  return (
    <>
      <button class="key" type="button" data-test="forward-hour" disabled={!time.can_forward} onClick={() => void ask("clock", { forward_s: HOUR_S })}>
        {t("sandbox.ui.hour")}
      </button>
      <button class="key" type="button" data-test="forward-next" disabled={!time.can_forward || !next} onClick={() => void ask("clock", { to: "next" })}>
        {next ? t("sandbox.ui.nextAt", { at: next }) : t("sandbox.ui.next")}
      </button>
      <button class="key" type="button" data-test="office" data-up={String(office.up)} aria-pressed={!office.up} onClick={() => void ask("office", { up: !office.up, mode: "reset" })}>
        <Icon name={office.up ? "unlink" : "link"} />
        {t(office.up ? "sandbox.ui.cut" : "sandbox.ui.join")}
      </button>
    </>
  );
}

function Top() {
  const now = snapshot.value ? Date.parse(snapshot.value.now) : 0;
  return (
    <header>
      <Icon name="unlink" />
      <h1>{t("sandbox.ui.title")}</h1>
      <span class="sub">{t("sandbox.ui.sub")}</span>
      {!live.value && <span class="lamp soon">{t("sandbox.ui.away")}</span>}
      <span class="grow" />
      {snapshot.value && (
        <span>
          {t("sandbox.ui.time")}{" "}
          <b data-test="plant-time">
            {day(now, zone.value)} {clock(now, zone.value)}
          </b>
        </span>
      )}
      {snapshot.value && <Levers />}
      <button class="key" type="button" data-test="lang" lang={lang.value === "zh" ? "en" : "zh-CN"} onClick={otherLanguage}>
        {lang.value === "zh" ? "EN" : "中文"}
      </button>
    </header>
  );
}

/** First there must be a conversation to look at: the one of ?group=, else the newest. */
function first(): void {
  const known = snapshot.value;
  if (!known || chosen.value) return;
  const wanted = new URLSearchParams(location.search).get("group");
  const newest = [...known.groups].sort((a, b) => (b.last_at ?? "").localeCompare(a.last_at ?? ""))[0];
  const found = known.groups.find((one) => one.chat_id === wanted) ?? newest;
  if (found) void open(found.chat_id);
}

function App() {
  const ready = snapshot.value !== null;
  const groups = snapshot.value?.groups.length;
  useEffect(first, [ready, groups]);
  useEffect(() => {
    if (!outcome.value) return;
    const shown = outcome.value;
    const timer = setTimeout(() => outcome.value === shown && (outcome.value = null), 12_000);
    return () => clearTimeout(timer);
  }, [outcome.value]);
  return (
    <div class="sb chat">
      <Top />
      {ready && <Groups />}
      {ready && <Chat />}
      {ready && <Side />}
    </div>
  );
}

async function start(): Promise<void> {
  dress();
  provide({ zh: () => import("texts/sandbox/zh"), en: () => import("texts/sandbox/en") });
  await firstLanguage();
  effect(() => void (document.title = t("sandbox.ui.title")));
  hang();
  render(<App />, document.getElementById("app")!);
  follow();
}

void start();

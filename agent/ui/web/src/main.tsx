/** The kiosk: shell first, then what was on the screen last, then the live stream. */
import { render } from "preact";
import { effect } from "@preact/signals";
import { App } from "./app.tsx";
import { headers } from "./core/api.ts";
import { dress, enrol, firstLanguage, station, token } from "./core/device.ts";
import { Live } from "./core/live.ts";
import { go, home, say, touchedAt, view, watchTouches } from "./core/route.ts";
import { heardAt, link, picture, putTicket, receive, show } from "./core/store.ts";
import { startTicking } from "./core/time.ts";
import type { Snapshot, Ticket } from "./core/types.ts";
import { keepFresh } from "./core/fresh.ts";
import { place } from "./home/bar.tsx";
import { hang } from "./look/icon.tsx";
import { form, parse } from "./measure/form.ts";
import { kick, onDelivered, startQueue, theShelf } from "./queue/queue.ts";
import { sweepPhotos } from "./queue/photo.ts";
import { change, draft } from "./report/draft.ts";
import { present, typing } from "./scan/ask.tsx";
import { hand } from "./scan/hands.ts";
import { listen } from "./scan/wedge.ts";
import { provide, t } from "./words/texts.ts";
import "./look/all.css";

const KEEP_MS = 5000;
const IDLE_MS = 5 * 60_000;

function query(): string {
  return station.value ? `?station=${encodeURIComponent(station.value)}` : "";
}

/** A scanned code: a badge signs, a gauge's number is a value, a part code goes into the open report, anything else is told. */
function scanned(code: string): void {
  if (present(code)) return;
  if (view.value.at === "measure" && hand() && parse(code) !== null) return [...code, "enter"].forEach((key) => hand()?.(key));
  if (view.value.at === "report" && draft.value) {
    change({ part: code });
    say(t("kiosk.scan.part", { code }));
  } else say(t("kiosk.scan.other", { code }), true);
}

/** Show the last screen (hatched, with its age) until the first snapshot comes. */
async function restore(): Promise<void> {
  const kept = (await theShelf().kept("screen").catch(() => null)) as { at: number; snapshot: Snapshot } | null | undefined;
  if (!kept || link.value === "up") return;
  heardAt.value = kept.at;
  show(kept.snapshot);
}

let keptAt = 0;

function keep(): void {
  const snapshot = picture();
  if (!snapshot || heardAt.value === keptAt) return;
  keptAt = heardAt.value;
  theShelf().keep("screen", { at: keptAt, snapshot }).catch(() => undefined);
}

function connect(): void {
  const live = new Live({
    url: () => `api/v1/stream${query()}`,
    headers: () => headers({}),
    frame: receive,
    up: () => {
      link.value = "up";
      kick();
      keep();
    },
    down: (status) => {
      keep();
      if (status === 422) station.value = ""; // a station that is gone: the device's own, then
      link.value = status === 401 || status === 403 ? "denied" : "down";
    },
  });
  document.addEventListener("visibilitychange", () => {
    if (document.hidden && link.value === "up") link.value = "wait"; // what is seen next is old until a snapshot comes
  });
  live.start();
}

async function start(): Promise<void> {
  dress();
  enrol();
  provide({ zh: () => import("texts/kiosk/zh"), en: () => import("texts/kiosk/en") });
  await firstLanguage();
  hang();
  render(<App />, document.getElementById("app")!);
  effect(() => void (document.title = place()));
  startTicking();
  watchTouches();
  listen(scanned, typing);
  onDelivered((data, entry) => {
    if (entry.kind !== "measure" && (data as Ticket | null)?.no) putTicket(data as Ticket);
  });
  await startQueue();
  if (draft.value) go({ at: "report" });
  else if (form.value?.values.some(Boolean)) go({ at: "measure" });
  setInterval(() => {
    if (view.value.at !== "home" && Date.now() - touchedAt.value > IDLE_MS) home();
  }, 10_000);
  if (token.value) {
    await restore();
    connect();
    setInterval(keep, KEEP_MS);
    document.addEventListener("visibilitychange", keep);
  }
  void sweepPhotos(draft.value?.photos.map((photo) => photo.sha) ?? []).catch(() => undefined);
  keepFresh(() => view.value.at === "home" && !draft.value && Date.now() - touchedAt.value > 5000);
}

void start();

/** The home screen: state of the station, own tickets, two keys that never move. */
import { go, notice } from "../core/route.ts";
import { allTiles, head, zone } from "../core/store.ts";
import { tick } from "../core/time.ts";
import { Icon } from "../look/icon.tsx";
import { parked, waiting } from "../queue/queue.ts";
import { begin, draft } from "../report/draft.ts";
import { begin as beginMeasure } from "../measure/form.ts";
import { t, span } from "../words/texts.ts";
import { TopBar } from "./bar.tsx";
import { Side } from "./tickets.tsx";
import { Tiles } from "../tiles/tiles.tsx";

export function report(): void {
  if (!draft.value) begin();
  go({ at: "report" });
}

function Keys() {
  const manual = allTiles().filter((one) => one.entry === "manual");
  return (
    <nav class="k-keys" aria-label={t("kiosk.keys")}>
      <button class="key main" type="button" data-test="report" onClick={report}>
        <Icon name="bell" />
        {t("kiosk.report")}
      </button>
      <button
        class="key"
        type="button"
        data-test="measure"
        disabled={manual.length === 0}
        onClick={() => {
          beginMeasure(manual.length === 1 ? manual[0]!.id : null);
          go({ at: "measure" });
        }}
      >
        <Icon name="gauge" />
        <span>
          {t("kiosk.measure")}
          {manual.length === 0 && <small>{t("kiosk.measure.none")}</small>}
        </span>
      </button>
    </nav>
  );
}

export function Foot() {
  const oldest = waiting.value[0];
  const age = oldest ? `·${t("kiosk.queue.oldest", { age: span((tick.value - Date.parse(oldest.enteredAt)) / 1000) })}` : "";
  const refused = parked.value.length ? `·${t("kiosk.queue.parked", { count: parked.value.length })}` : "";
  const known = head.value;
  void zone.value;
  return (
    <footer class="k-foot">
      <span>{known ? t("kiosk.foot", { device: known.device.name || known.device.id, version: known.version }) : ""}</span>
      <span class={notice.value?.soon ? "t-soon" : ""} role="status" data-test="notice">
        {notice.value ? notice.value.text : t("kiosk.hint.badge")}
      </span>
      <span data-test="queue-count" data-count={waiting.value.length}>
        {t("kiosk.queue.count", { count: waiting.value.length })}
        {age}
        {refused}
      </span>
    </footer>
  );
}

export function Home() {
  return (
    <>
      <TopBar />
      <main class="k-home" data-test="home">
        <Tiles />
        <Side />
      </main>
      <Keys />
      <Foot />
    </>
  );
}

/** One characteristic in full: the large chart, its limits, and the two things to do with it. */
import { go, home } from "../core/route.ts";
import { old, tile as cellOf, zone } from "../core/store.ts";
import { tick } from "../core/time.ts";
import type { Tile } from "../core/types.ts";
import { Icon } from "../look/icon.tsx";
import { begin as beginMeasure } from "../measure/form.ts";
import { specWords } from "../measure/check.ts";
import { begin } from "../report/draft.ts";
import { moment, num } from "../words/format.ts";
import { render, t } from "../words/texts.ts";
import { Header } from "../home/bar.tsx";
import { BigChart } from "./bigchart.tsx";
import { isOld, titleOf } from "./tile.tsx";

function Figures({ data }: { data: Tile }) {
  const show = (x: number | null): string => (x === null ? "—" : `${num(x, data.decimals)}\u00a0${data.unit}`);
  return (
    <dl class="k-facts">
      <dt>{t("kiosk.detail.value")}</dt>
      <dd>
        <b>{show(data.value)}</b> {data.at && <span class="dim">{moment(Date.parse(data.at), zone.value, tick.value)}</span>}
      </dd>
      <dt>{t("kiosk.detail.limits")}</dt>
      <dd>
        {data.lcl === null || data.ucl === null ? "—" : t("kiosk.spec.both", { low: num(data.lcl, data.decimals), high: num(data.ucl, data.decimals), unit: data.unit })}
      </dd>
      <dt>{t("kiosk.detail.spec")}</dt>
      <dd>{specWords(data)}</dd>
      {data.stat === "mean" && <dt>{t("kiosk.detail.group")}</dt>}
      {data.stat === "mean" && <dd>{t("kiosk.detail.groupOf", { have: data.open.length, n: data.n })}</dd>}
      {data.violation && <dt>{t("kiosk.detail.violation")}</dt>}
      {data.violation && <dd class={`t-${data.attention}`}>{render(data.violation.text, zone.value, tick.value)}</dd>}
    </dl>
  );
}

export function Detail({ id }: { id: string }) {
  const data = cellOf(id)?.value;
  if (!data) return null;
  const stale = isOld(data, old.value);
  return (
    <>
      <Header back={home} backText={t("kiosk.back")} title={titleOf(data)} />
      <main class="k-body detail" data-test="detail">
        <section class={stale ? "k-chart old" : "k-chart"}>
          <BigChart data={data} old={stale} />
        </section>
        <aside class="k-aside">
          <Figures data={data} />
        </aside>
        <div class="k-end two">
          <button
            class="key k-main"
            type="button"
            data-test="detail-measure"
            disabled={data.entry !== "manual"}
            onClick={() => {
              beginMeasure(id);
              go({ at: "measure" });
            }}
          >
            <Icon name="gauge" />
            {data.entry === "manual" ? t("kiosk.measure") : t("kiosk.measure.signal")}
          </button>
          <button
            class="key main k-main"
            type="button"
            data-test="detail-report"
            onClick={() => {
              begin({ tile: id, category: data.category ?? null, step: data.category ? 2 : 1 });
              go({ at: "report" });
            }}
          >
            <Icon name="bell" />
            {t("kiosk.report")}
          </button>
        </div>
      </main>
    </>
  );
}

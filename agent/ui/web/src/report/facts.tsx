/** Beside the categories: station, part, reporter, the last thing measured; and what was already reported here. */
import { go } from "../core/route.ts";
import { allTiles, head, tickets, zone } from "../core/store.ts";
import { tick } from "../core/time.ts";
import { rank } from "../home/room.ts";
import { isOld, titleOf } from "../tiles/tile.tsx";
import { Icon } from "../look/icon.tsx";
import { stateWord } from "../look/words.ts";
import { badge } from "../scan/badge.ts";
import { askBadge } from "../scan/ask.tsx";
import { num } from "../words/format.ts";
import { name, render, span, t } from "../words/texts.ts";
import type { Draft } from "./draft.ts";

const RECENT_MS = 2 * 3_600_000;

function Calling() {
  const calling = allTiles().filter((one) => one.violation && one.value !== null && !isOld(one, false));
  const worst = calling.sort((a, b) => rank(a.attention) - rank(b.attention))[0];
  if (!worst) return null;
  return (
    <>
      <dt>{t("kiosk.facts.calling")}</dt>
      <dd class={`t-${worst.attention}`}>
        <Icon name={worst.violation!.severity === "ticket" ? "diamond" : "diamond-o"} /> {titleOf(worst)} {num(worst.value!, worst.decimals)}
        {"\u00a0"}
        {worst.unit}
      </dd>
    </>
  );
}

/** The newest open ticket of this station (of this characteristic, if one was touched): is it the same problem? */
function Same({ draft }: { draft: Draft }) {
  const mine = tickets.value.filter((one) => (draft.tile ? one.characteristic === draft.tile : tick.value - Date.parse(one.raised_at) < RECENT_MS));
  const newest = mine.sort((a, b) => Date.parse(b.raised_at) - Date.parse(a.raised_at))[0];
  if (!newest) return null;
  const age = span((tick.value - Date.parse(newest.raised_at)) / 1000);
  return (
    <div class="k-facts same">
      <div>
        <p class="small dim">{t("kiosk.same.since", { age })}</p>
        <p>
          <b>{render(newest.title, zone.value, tick.value)}</b>
        </p>
        <p class="small">{[newest.short.slice(-3), newest.owner?.name, stateWord(newest.state)].filter(Boolean).join("·")}</p>
      </div>
      <button class="key" type="button" data-test="same" onClick={() => go({ at: "ticket", no: newest.no })}>
        {t("kiosk.same")}
      </button>
    </div>
  );
}

export function Facts({ draft }: { draft: Draft }) {
  const person = badge.value;
  return (
    <aside class="k-aside">
      <dl class="k-facts">
        <dt>{t("kiosk.facts.station")}</dt>
        <dd>
          <b>{head.value ? name(head.value.station.name) : "—"}</b>
        </dd>
        <dt>{t("kiosk.facts.part")}</dt>
        <dd class={draft.part ? "id" : "dim"} data-test="part">
          {draft.part || t("kiosk.facts.scanPart")}
        </dd>
        <dt>{t("kiosk.facts.reporter")}</dt>
        <dd data-test="reporter">
          {person ? (
            <>
              <Icon name="person" /> {person.name}·{person.id}
            </>
          ) : (
            <button class="key" type="button" data-test="ask-badge" onClick={() => askBadge()}>
              {t("kiosk.facts.scanBadge")}
            </button>
          )}
        </dd>
        <Calling />
      </dl>
      <Same draft={draft} />
    </aside>
  );
}

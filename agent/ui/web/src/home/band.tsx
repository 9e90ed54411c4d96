/** The red hatched band: no link, since when, and what still works. Shown on every screen. */
import { head, heardAt, link, zone } from "../core/store.ts";
import { tick } from "../core/time.ts";
import { lasting, waiting } from "../queue/queue.ts";
import { Icon } from "../look/icon.tsx";
import { clock, day } from "../words/format.ts";
import { span, t } from "../words/texts.ts";

function since(): string {
  const at = heardAt.value;
  const today = day(at, zone.value) === day(tick.value, zone.value);
  return (today ? "" : `${day(at, zone.value).slice(5)} `) + clock(at, zone.value, true);
}

export function Band() {
  if (link.value !== "down" && link.value !== "denied") return null;
  const denied = link.value === "denied";
  const time = heardAt.value ? since() : "";
  const headline = denied ? t("kiosk.denied") : time ? t("kiosk.down", { time }) : t("kiosk.downNever");
  const rest = denied ? t("kiosk.deniedRest", { count: waiting.value.length }) : t(!head.value ? "kiosk.downNeverRest" : lasting.value ? "kiosk.downRest" : "kiosk.downMemory");
  return (
    <div class="k-band" role="alert" data-test="band" data-link={link.value}>
      <Icon name="unlink" />
      <p>
        <b>{headline}</b>
        <small>{rest}</small>
      </p>
      {time && head.value && <p class="age">{span((tick.value - heardAt.value) / 1000)}</p>}
    </div>
  );
}

/** The conversations: groups by what happened last; below them who was told what directly. */
import { moment } from "../words/format.ts";
import { t } from "../words/texts.ts";
import { chosen, nameOf, open, snapshot, zone } from "./state.ts";
import type { Group } from "./types.ts";

function Line({ one }: { one: Group }) {
  const at = one.last_at ? moment(Date.parse(one.last_at), zone.value, Date.parse(snapshot.value!.now)) : "";
  const gone = one.status === "dissolved";
  const direct = one.kind === "p2p";
  const name = direct ? nameOf(one.person) : one.name;
  return (
    <li class={one.chat_id === chosen.value ? "on" : ""}>
      <button type="button" data-test={direct ? `direct-${one.person}` : `group-${one.ticket ?? one.chat_id}`} data-chat={one.chat_id} onClick={() => void open(one.chat_id)}>
        <span class={gone ? "gone" : ""}>
          {name}
          {gone ? t("sandbox.ui.dissolved") : ""}
        </span>
        <small>{at}</small>
        <small class="last">{one.last ? t("sandbox.ui.said", { who: nameOf(one.last.from), text: one.last.text }) : t("sandbox.ui.nothing")}</small>
        <small>{one.messages > 0 && t("sandbox.ui.messages", { count: one.messages })}</small>
      </button>
    </li>
  );
}

export function Groups() {
  const all = [...(snapshot.value?.groups ?? [])].sort((a, b) => (b.last_at ?? "").localeCompare(a.last_at ?? ""));
  const groups = all.filter((one) => one.kind === "group");
  const direct = all.filter((one) => one.kind === "p2p");
  return (
    <nav class="sb-groups" aria-label={t("sandbox.ui.groups")} data-test="groups">
      <p class="none">{t("sandbox.ui.language")}</p>
      <ol>
        {groups.map((one) => (
          <Line key={one.chat_id} one={one} />
        ))}
        {groups.length === 0 && <li class="none">{t("sandbox.ui.noGroups")}</li>}
      </ol>
      <h2>{t("sandbox.ui.direct")}</h2>
      <ol data-test="direct">
        {direct.map((one) => (
          <Line key={one.chat_id} one={one} />
        ))}
        {direct.length === 0 && <li class="none">{t("sandbox.ui.noDirect")}</li>}
      </ol>
    </nav>
  );
}

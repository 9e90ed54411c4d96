/** Our own number keys: the tablet's keyboard stays away. Touched ones take no focus, so that Enter means "go on". */
import { Icon } from "../look/icon.tsx";
import { t } from "../words/texts.ts";

export function Pad({ press, dot = true, sign = false }: { press(key: string): void; dot?: boolean; sign?: boolean }) {
  const key = (label: string, value = label) => (
    <button key={value} class="key" type="button" data-test={`pad-${value}`} onClick={() => press(value)}>
      {label}
    </button>
  );
  return (
    <div class="pad" onMouseDown={(event) => event.preventDefault()}>
      {["7", "8", "9", "4", "5", "6", "1", "2", "3"].map((one) => key(one))}
      {dot ? key(".") : sign ? key("±", "sign") : <span />}
      {key("0")}
      <button class="key" type="button" aria-label={t("kiosk.pad.del")} data-test="pad-del" onClick={() => press("del")}>
        <Icon name="del" />
      </button>
      {dot && sign && key("±", "sign")}
    </div>
  );
}

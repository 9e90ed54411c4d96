/** The top bar: where am I, who is signed, are the links up, what time is it, the other language. */
import type { ComponentChildren } from "preact";
import { otherLanguage } from "../core/device.ts";
import { head, link, zone } from "../core/store.ts";
import { tick } from "../core/time.ts";
import { Icon } from "../look/icon.tsx";
import { badge, left, signOff } from "../scan/badge.ts";
import { clock } from "../words/format.ts";
import { lang, name, span, t } from "../words/texts.ts";
import { Band } from "./band.tsx";

const OLDEST_S = 900;

export function Clock() {
  return (
    <p class="clock">
      <time data-test="clock">{clock(tick.value, zone.value)}</time>
    </p>
  );
}

function Lamp({ up, text, soon, test }: { up: boolean; text: string; soon?: boolean; test: string }) {
  return (
    <span class={soon ? "lamp soon" : "lamp"} data-test={test} data-up={String(up)}>
      <Icon name={up ? "link" : "unlink"} />
      {text}
    </span>
  );
}

export function Links() {
  const known = head.value;
  if (link.value !== "up" || !known) return <Lamp up={false} text={t("kiosk.gateway")} test="link-gateway" />;
  const { sources, office } = known;
  const late = !office.up && (office.oldest_s ?? 0) > (office.limit_s ?? OLDEST_S);
  const cut = office.waiting ? t("kiosk.office.cutWaiting", { count: office.waiting }) : t("kiosk.office.cut");
  return (
    <>
      <Lamp up={sources.good === sources.total} text={t("kiosk.sources", { good: sources.good, total: sources.total })} test="link-sources" />
      <Lamp up={office.up} soon={late} text={office.up ? t("kiosk.office") : cut} test="link-office" />
    </>
  );
}

export function Who() {
  const person = badge.value;
  if (!person) return <span data-test="who">{t("kiosk.who.none")}</span>;
  return (
    <span data-test="who">
      <Icon name="person" /> {person.name}·{person.id} <span class="dim">{t("kiosk.who.left", { left: span(left.value) })}</span>
    </span>
  );
}

export function place(): string {
  const known = head.value;
  return known ? `${name(known.line.name)}·${name(known.station.name)}` : t("kiosk.title");
}

export function TopBar() {
  const person = badge.value;
  return (
    <>
      <header>
        <div class="k-top">
          <svg class="logo" viewBox="0 0 20 30" aria-hidden="true">
            <use href="#i-logo" />
          </svg>
          <div class="grow">
            <h1 data-test="place">{place()}</h1>
            <p class="who">
              <Who />
            </p>
          </div>
          <p class="links">
            <Links />
          </p>
          <Clock />
          {person && (
            <button class="key" type="button" data-test="sign-off" onClick={signOff}>
              {t("kiosk.signOff")}
            </button>
          )}
          <button class="key" type="button" lang={lang.value === "zh" ? "en" : "zh-CN"} data-test="lang" onClick={otherLanguage}>
            {lang.value === "zh" ? "EN" : "中文"}
          </button>
        </div>
        <p class="p-links">
          <Who />
          <Links />
        </p>
      </header>
      <Band />
    </>
  );
}

/** The bar of every other screen: back, the question, the step, the clock; below it the band while there is no link. */
export function Header(props: { back(): void; backText: string; title: string; step?: number; children?: ComponentChildren }) {
  return (
    <>
      <header class="k-top">
        <button class="key k-back" type="button" data-test="back" onClick={props.back}>
          <Icon name="back" />
          {props.backText}
        </button>
        <h1 class="grow" data-test="title">
          {props.title}
        </h1>
        {props.step && (
          <p class="step" aria-label={t("kiosk.step.of", { step: props.step })}>
            {[1, 2, 3].map((one) => (
              <i key={one} class={one <= props.step! ? "on" : ""} />
            ))}
            {props.step} / 3
          </p>
        )}
        {props.children}
        <Clock />
      </header>
      <Band />
    </>
  );
}

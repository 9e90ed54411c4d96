/** What this tablet is: its token and station (handed over once in the address), its language and theme. */
import { signal } from "@preact/signals";
import { lang, speak, type Lang } from "../words/texts.ts";

function read(key: string): string {
  try {
    return localStorage.getItem(key) ?? "";
  } catch {
    return "";
  }
}

function keep(key: string, value: string): void {
  try {
    localStorage.setItem(key, value);
  } catch {
    // without storage the page still works until it is closed
  }
}

export const token = signal(read("andon.token"));
export const station = signal(read("andon.station"));

/** Take `#token=…&station=…` out of the address (so that it is in no history and no picture) and keep it. */
export function enrol(): void {
  const given = new URLSearchParams(location.hash.slice(1));
  for (const [key, target] of [["token", token], ["station", station]] as const) {
    const value = given.get(key);
    if (value !== null) {
      target.value = value;
      keep(`andon.${key}`, value);
    }
  }
  if (given.has("token") || given.has("station")) history.replaceState(null, "", location.pathname + location.search);
}

/** The language of the last time, else Chinese. Falls back to Chinese when the other file cannot be had. */
export async function firstLanguage(): Promise<void> {
  const wanted: Lang = read("andon.lang") === "en" ? "en" : "zh";
  await speak(wanted).catch(() => speak("zh"));
}

export function otherLanguage(): void {
  const next: Lang = lang.value === "zh" ? "en" : "zh";
  void speak(next).then(
    () => keep("andon.lang", next),
    () => undefined,
  );
}

/** How much larger than drawn the kiosk is shown. */
export const scale = signal(1);

/** The screens are drawn for 1280 × 800 and 800 × 1280: on a larger one they grow with it, by steps, up to 1.3. */
export function fit(width: number, height: number): number {
  const grown = Math.min(Math.max(width, height) / 1280, Math.min(width, height) / 800);
  return Math.min(1.3, Math.max(1, Math.floor(grown * 20 + 1e-6) / 20));
}

function grow(to: number): void {
  scale.value = to;
  document.body.style.setProperty("--scale", String(to));
}

/** ?theme=dark or light; anything else follows the system. ?scale=1.2 sets how much larger all kiosk sizes are. */
export function dress(): void {
  const query = new URLSearchParams(location.search);
  const theme = query.get("theme");
  if (theme === "dark" || theme === "light") document.documentElement.dataset.theme = theme;
  const wanted = Number(query.get("scale"));
  if (wanted >= 0.8 && wanted <= 1.6) return grow(wanted);
  const sized = (): void => grow(fit(innerWidth, innerHeight));
  addEventListener("resize", sized);
  sized();
}

/** Ready phrases, so that nothing must be typed: first what the plant wrote beside the category, then the usual ones. */
import type { Category } from "../core/types.ts";
import { name, t } from "../words/texts.ts";

const parts = (list: string, marks: RegExp): string[] => list.split(marks).map((part) => part.trim()).filter(Boolean);

/** Our own lists are parted by 、 only: a phrase may hold a comma. */
export const split = (list: string): string[] => parts(list, /、/);
/** A plant writes its hints as it likes. */
export const splitHint = (hint: string): string[] => parts(hint, /[、，,;；|]/);

export function reportPhrases(category: Category | undefined): string[] {
  const own = category?.hint ? splitHint(name(category.hint)) : [];
  return [...new Set([...own, ...split(t("kiosk.phrases.report"))])];
}

/** A Vite plugin: `texts/PAGE/LANG` is that language's texts (agent/texts), less what the page can never show.
 *  Left out by name, not kept by name: a namespace nobody thought of is shown as words, not as its key. */
import { readFile } from "node:fs/promises";
import { resolve } from "node:path";
import type { Plugin } from "vite";

const ELSEWHERE = ["admin.", "api.", "cli.", "click.", "device.", "feishu."];
const CARDS = ["button", "card", "confirm", "done", "field", "form", "group", "label", "note", "nudge", "refused", "say"].map((part) => `tickets.${part}.`);
/** Prefixes that a page does not need. */
export const LEFT_OUT: Record<string, readonly string[]> = {
  kiosk: [...ELSEWHERE, ...CARDS, "sandbox."],
  sandbox: [...ELSEWHERE, "kiosk.", "spc.", "tickets."],
};

export function keep(all: Record<string, string>, page: string): Record<string, string> {
  const drop = LEFT_OUT[page] ?? [];
  return Object.fromEntries(Object.entries(all).filter(([key]) => !drop.some((prefix) => key.startsWith(prefix))));
}

export function texts(): Plugin {
  const name = /^texts\/(\w+)\/(zh|en)$/;
  let root = "";
  return {
    name: "andon-texts",
    enforce: "pre",
    configResolved(config) {
      root = config.root;
    },
    resolveId(source) {
      return name.test(source) ? `\0${source}` : null;
    },
    async load(id) {
      const found = id.startsWith("\0") ? name.exec(id.slice(1)) : null;
      if (!found) return null;
      const file = resolve(root, `../../texts/${found[2]}.json`);
      this.addWatchFile(file);
      const table = keep(JSON.parse(await readFile(file, "utf8")) as Record<string, string>, found[1]!);
      return { code: `export default ${JSON.stringify(table)}`, moduleType: "js" };
    },
  };
}

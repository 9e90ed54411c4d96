/** Feishu's markdown as far as our cards use it: bold, italic, struck, code, colour, mentions, links, pictures, entities.
 *  The result is a tree; nothing ever becomes HTML by itself. */

export type Node =
  | { kind: "text"; text: string }
  | { kind: "break" }
  | { kind: "at"; id: string }
  | { kind: "image"; key: string }
  | { kind: "bold" | "italic" | "struck" | "code"; inside: Node[] }
  | { kind: "colour"; colour: string; inside: Node[] }
  | { kind: "link"; to: string; inside: Node[] };

const RULES: [RegExp, (found: RegExpExecArray) => Node][] = [
  [/<at\b[^>]*?\bid\s*=\s*["']?([\w-]+)["']?[^>]*>(?:[^<]*<\/at>)?/, (m) => ({ kind: "at", id: m[1]! })],
  [/<person\b[^>]*?\bid\s*=\s*["']?([\w-]+)["']?[^>]*>(?:[^<]*<\/person>)?/, (m) => ({ kind: "at", id: m[1]! })],
  [/<font\b[^>]*?\bcolor\s*=\s*["']?([\w-]+)["']?[^>]*>([\s\S]*?)<\/font>/, (m) => ({ kind: "colour", colour: m[1]!, inside: parse(m[2]!) })],
  [/<br\s*\/?>|\n/, () => ({ kind: "break" })],
  [/!\[[^\]]*\]\(([^)\s]+)\)/, (m) => ({ kind: "image", key: m[1]! })],
  [/\[([^\]]+)\]\(([^)\s]+)\)/, (m) => ({ kind: "link", to: m[2]!, inside: parse(m[1]!) })],
  [/\*\*([\s\S]+?)\*\*/, (m) => ({ kind: "bold", inside: parse(m[1]!) })],
  [/~~([\s\S]+?)~~/, (m) => ({ kind: "struck", inside: parse(m[1]!) })],
  [/\*([^*\n]+?)\*/, (m) => ({ kind: "italic", inside: parse(m[1]!) })],
  [/`([^`\n]+)`/, (m) => ({ kind: "code", inside: [{ kind: "text", text: entities(m[1]!) }] })],
];

const NAMED: Record<string, string> = { amp: "&", lt: "<", gt: ">", quot: '"', nbsp: "\u00a0", apos: "'" };

/** &#42; &#x2A; and the few named ones as characters. */
export function entities(text: string): string {
  return text.replace(/&(?:#(\d{1,7})|#x([0-9a-fA-F]{1,6})|(\w{2,5}));/g, (whole, dec?: string, hex?: string, name?: string) => {
    if (name) return NAMED[name] ?? whole;
    const code = dec ? Number(dec) : Number.parseInt(hex ?? "", 16);
    return code <= 0x10ffff ? String.fromCodePoint(code) : whole;
  });
}

/** The tree of a markdown text. */
export function parse(text: string): Node[] {
  let first: { at: number; length: number; node: () => Node } | null = null;
  for (const [rule, make] of RULES) {
    const found = rule.exec(text);
    if (found && (!first || found.index < first.at)) first = { at: found.index, length: found[0].length, node: () => make(found) };
  }
  if (!first) return text ? [{ kind: "text", text: entities(text) }] : [];
  return [...parse(text.slice(0, first.at)), first.node(), ...parse(text.slice(first.at + first.length))];
}

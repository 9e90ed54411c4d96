/** What all parts of a card share: where they stand, and texts in Feishu's markdown. */
import type { ComponentChildren } from "preact";
import { createContext } from "preact";
import { t } from "../../words/texts.ts";
import { parse, type Node } from "./marked.ts";
import { byOpenId } from "../state.ts";
import type { CardText, Part } from "../types.ts";

export interface Surroundings {
  /** Employee numbers in the conversation: whom a person field offers. */
  members: string[];
  /** Null: an old version, nothing can be pressed. */
  press: ((button: Part, form: HTMLFormElement | null) => void) | null;
}
export const Around = createContext<Surroundings>({ members: [], press: null });

export const image = (key: string): string => `sandbox/api/images/${encodeURIComponent(key)}`;

export function nodes(tree: Node[]): ComponentChildren {
  return tree.map((node) => {
    switch (node.kind) {
      case "text":
        return node.text;
      case "break":
        return <br />;
      case "at":
        return <span class="at">@{node.id === "all" ? t("sandbox.ui.everyone") : (byOpenId(node.id)?.name ?? node.id)}</span>;
      case "image":
        return <img src={image(node.key)} alt="" />;
      case "bold":
        return <b>{nodes(node.inside)}</b>;
      case "italic":
        return <i>{nodes(node.inside)}</i>;
      case "struck":
        return <s>{nodes(node.inside)}</s>;
      case "code":
        return <code>{nodes(node.inside)}</code>;
      case "colour":
        return <span class={`c-${node.colour}`}>{nodes(node.inside)}</span>;
      case "link":
        return (
          <span class="at" title={node.to}>
            {nodes(node.inside)}
          </span>
        );
    }
  });
}

/** A text object: plain_text as it stands, lark_md as markdown. */
export function Words({ text }: { text: CardText | undefined }) {
  if (!text?.content) return null;
  const cls = [text.text_size === "notation" ? "lb" : "", text.text_color ? `c-${text.text_color}` : ""].join(" ").trim();
  return <span class={cls || undefined}>{text.tag === "lark_md" ? nodes(parse(text.content)) : text.content}</span>;
}

/** Card JSON 2.0 drawn as the chat client does it, as far as our cards use it. */
import type { ComponentChildren } from "preact";
import { createContext } from "preact";
import { useContext } from "preact/hooks";
import { t } from "../words/texts.ts";
import { Button, Field } from "./inputs.tsx";
import { parse, type Node } from "./marked.ts";
import { byOpenId } from "./state.ts";
import type { Card as CardData, CardText, Part } from "./types.ts";

export interface Surroundings {
  /** Employee numbers in the conversation: whom a person field offers. */
  members: string[];
  /** Null: an old version, nothing can be pressed. */
  press: ((button: Part, form: HTMLFormElement | null) => void) | null;
}
export const Around = createContext<Surroundings>({ members: [], press: null });

const image = (key: string): string => `sandbox/api/images/${encodeURIComponent(key)}`;

function nodes(tree: Node[]): ComponentChildren {
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

const parts = (given: unknown): Part[] => (Array.isArray(given) ? (given as Part[]) : []);

function Columns({ part }: { part: Part }) {
  const columns = parts(part.columns);
  const flow = part.flex_mode === "flow" || columns.every((one) => one.width === "auto");
  const cols = columns.map((one) => (one.width === "weighted" ? `minmax(0, ${Number(one.weight) || 1}fr)` : "auto")).join(" ");
  return (
    <div class={flow ? "btns" : "cols"} style={flow ? undefined : { gridTemplateColumns: cols }}>
      {columns.map((one, i) => (
        <div key={i} class="col">
          <Elements list={parts(one.elements)} />
        </div>
      ))}
    </div>
  );
}

function Panel({ part }: { part: Part }) {
  const title = (part.header as { title?: CardText } | undefined)?.title;
  return (
    <details open={part.expanded === true}>
      <summary>
        <Words text={title} />
      </summary>
      <Elements list={parts(part.elements)} />
    </details>
  );
}

function Element({ part }: { part: Part }) {
  const { press } = useContext(Around);
  switch (part.tag) {
    case "markdown":
      return <p class={part.text_size === "notation" ? "lb" : undefined}>{nodes(parse(String(part.content ?? "")))}</p>;
    case "div":
      return (
        <p>
          <Words text={part.text as CardText} />
        </p>
      );
    case "column_set":
      return <Columns part={part} />;
    case "form":
      return (
        <form onSubmit={(event) => event.preventDefault()} data-test={`form-${String(part.name)}`}>
          <Elements list={parts(part.elements)} />
        </form>
      );
    case "interactive_container":
      return (
        <div class="box">
          <Elements list={parts(part.elements)} />
        </div>
      );
    case "collapsible_panel":
      return <Panel part={part} />;
    case "img":
      return <img class="pic" src={image(String(part.img_key))} alt={(part.alt as CardText | undefined)?.content ?? ""} />;
    case "hr":
      return <hr />;
    case "person":
      return <p class="at">@{byOpenId(String(part.user_id))?.name ?? String(part.user_id)}</p>;
    case "button":
      return <Button part={part} press={press} />;
    default:
      return <Field part={part} off={!press} />;
  }
}

export function Elements({ list }: { list: Part[] }) {
  return (
    <>
      {list.map((part, i) => (
        <Element key={i} part={part} />
      ))}
    </>
  );
}

export function Card({ card }: { card: CardData }) {
  const { header = {}, body } = card;
  return (
    <article class={`card h-${header.template ?? "default"}`} data-test="card" data-template={header.template}>
      {header.title && (
        <header>
          <h3>
            <Words text={header.title} />
          </h3>
          {header.text_tag_list?.map((tag, i) => (
            <span key={i} class="tag">
              <Words text={tag.text} />
            </span>
          ))}
          {header.subtitle && (
            <p>
              <Words text={header.subtitle} />
            </p>
          )}
        </header>
      )}
      <div>
        <Elements list={body?.elements ?? []} />
      </div>
    </article>
  );
}

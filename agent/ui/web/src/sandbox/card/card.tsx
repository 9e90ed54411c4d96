/** Card JSON 2.0 drawn as the chat client does it, as far as our cards use it. */
import { useContext } from "preact/hooks";
import { Around, image, nodes, Words } from "./around.tsx";
import { Button, Field } from "./inputs.tsx";
import { parse } from "./marked.ts";
import { byOpenId } from "../state.ts";
import type { Card as CardData, CardText, Part } from "../types.ts";

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

/** The words of a plain line of text, else none. */
function lineOf(part: Part | undefined): string {
  return part?.tag === "div" ? ((part.text as CardText | undefined)?.content ?? "") : "";
}

function Element({ part, said }: { part: Part; said: string }) {
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
      return <Field part={part} off={!press} said={said} />;
  }
}

export function Elements({ list }: { list: Part[] }) {
  return (
    <>
      {list.map((part, i) => (
        <Element key={i} part={part} said={lineOf(list[i - 1])} />
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

"""One block of the neutral card → elements of card JSON 2.0. Pure.

What people typed stands in plain_text, which Feishu shows as it is; the two markdown elements (lead, steps) are
escaped.
Attributes: card-json-v2-components pages; unknown ones are errors in 2.0, so only needed ones are written.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

Element = dict[str, Any]
Block = Mapping[str, Any]

MARKS = {"met": "✓", "late": "✓", "run": "◔", "near": "▲", "missed": "■", "wait": "○", "void": "–"}
_COLOURS = {"missed": "red", "near": "orange"}
_SPECIAL = re.compile(r"[&<>*~`_\[\]\\$|!#]")
_LINE_START = re.compile(r"(?m)^(\s*)([-+=]|\d+(?=[.)]))")
_AUTO = re.compile(r"(?<=\w):(?=//)|:(?=\w+:)|(?i:(?<=www)\.)|@")
_ID = re.compile(r"[A-Za-z0-9_-]{1,64}\Z")
_INVISIBLE = re.compile("[\x00-\x08\x0b-\x1f\x7f\u202a-\u202e\u2066-\u2069\ud800-\udfff]")


@dataclass(frozen=True, slots=True)
class Pen:
    """How to write: a Text in words, a person as (open_id or None, name), a picture's sha as its key or None."""

    words: Callable[[Any], str]
    person: Callable[[str], tuple[str | None, str]]
    image: Callable[[str], str | None]


def cut(text: str, limit: int) -> str:
    """At most `limit` characters, the last one an ellipsis if something is missing.

    Without control and direction marks and half characters: they hide words, and UTF-8 cannot carry the latter."""
    text = _INVISIBLE.sub("", text)
    return text if len(text) <= limit else text[: limit - 1] + "…"


def escape(text: str) -> str:
    """Text that Feishu's markdown shows as it is: no formatting, no links, no mentions, no emoji codes.

    Entities `&#n;` as the rich-text page asks; `-`, `:` and digits only where they would mean something, so that ticket
    numbers and times stay readable.
    """
    safe = _SPECIAL.sub(lambda m: f"&#{ord(m[0])};", text.replace("\r", ""))
    safe = _AUTO.sub(lambda m: f"&#{ord(m[0])};", safe)
    return _LINE_START.sub(lambda m: m[1] + "".join(f"&#{ord(c)};" for c in m[2]), safe)


def plain(text: str, limit: int = 300) -> Element:
    return {"tag": "plain_text", "content": cut(text, limit)}


def line(text: str, limit: int = 300) -> Element:
    return {"tag": "div", "text": plain(text, limit)}


def small(text: str, limit: int = 100) -> Element:
    """Small and grey: labels, the foot."""
    return {"tag": "div", "text": {**plain(text, limit), "text_size": "notation", "text_color": "grey"}}


def columns(cells: Iterable[Sequence[Element]], width: Mapping[str, Any], flex: str) -> Element:
    parts = [{"tag": "column", **width, "elements": list(cell)} for cell in cells]
    return {"tag": "column_set", "flex_mode": flex, "columns": parts}


def lead(block: Block, pen: Pen) -> list[Element]:
    """Who does what until when; the people are mentioned, those without an open_id by name."""
    parts = []
    for person in block.get("people") or ():
        open_id, name = pen.person(person)
        known = open_id is not None and _ID.match(open_id)
        parts.append(f"<at id={open_id}></at>" if known else escape("@" + cut(name, 40)))
    parts.append(escape(cut(pen.words(block["text"]), 600)))
    return [{"tag": "markdown", "content": " ".join(parts)}]


def fields(block: Block, pen: Pen) -> list[Element]:
    """Label over value, two beside each other."""
    cells = [
        [small(pen.words(f["label"])), line(pen.words(f["value"]))] for f in block["fields"]
    ]  # fmt: skip
    weight = {"width": "weighted", "weight": 1}
    return [columns(cells[i : i + 2], weight, "bisect") for i in range(0, len(cells), 2)]


def note(block: Block, pen: Pen) -> list[Element]:
    label = [small(pen.words(block["label"]))] if block.get("label") else []
    return [*label, line(pen.words(block["text"]), 2000)]


def picture(block: Block, pen: Pen) -> list[Element]:
    key = pen.image(block["sha"])
    return [] if key is None else [{"tag": "img", "img_key": key, "alt": plain(pen.words(block.get("alt") or ""), 100)}]


def divider(block: Block, pen: Pen) -> list[Element]:
    return [{"tag": "hr"}]


def steps(block: Block, pen: Pen) -> list[Element]:
    """One line a step: mark, name, what is due or was used."""
    lines = []
    for step in block["steps"]:
        words = f"{cut(pen.words(step['label']), 60)}　{cut(pen.words(step['text']), 200)}".replace("\n", " ")
        told = f"{MARKS.get(step['mark'], '○')} {escape(words)}"
        colour = _COLOURS.get(step["mark"])
        lines.append(f"<font color='{colour}'>{told}</font>" if colour else told)
    return [{"tag": "markdown", "content": "\n".join(lines)}]


def foot(block: Block, pen: Pen) -> list[Element]:
    return [small(pen.words(block["text"]), 400)]


def button(action: Block, pen: Pen) -> Element:
    """A button that calls back with `value` (an object: SDKs drop strings)."""
    label = pen.words(action["label"])
    drawn: Element = {
        "tag": "button", "text": plain(label, 60), "type": _style(action.get("style")),
        "behaviors": [{"type": "callback", "value": dict(action["value"])}],
    }  # fmt: skip
    if action.get("confirm"):
        drawn["confirm"] = {"title": plain(label, 60), "text": plain(pen.words(action["confirm"]), 200)}
    return drawn


def actions(block: Block, pen: Pen) -> list[Element]:
    cells = [[button(action, pen)] for action in block["actions"]]
    return [columns(cells, {"width": "auto"}, "flow")] if cells else []


def _style(style: object) -> str:
    return str(style) if style in ("primary", "danger") else "default"


def form(block: Block, pen: Pen) -> list[Element]:
    """A form (on the card's root only). Component names are FORM__KIND__FIELD: unique in the card, and the callback
    can tell a person from a word by them."""
    name = block["name"]
    inner: list[Element] = [line(pen.words(block["title"]))] if block.get("title") else []
    for entry in block["fields"]:
        label = pen.words(entry["label"])
        asked = {"key": "feishu.form.required", "args": {"label": label}} if entry.get("required") else label
        inner += [small(pen.words(asked)), _input(f"{name}__{entry['kind']}__{entry['name']}", entry, pen)]
    submit = button({"label": block["submit"], "style": "primary", "value": block["value"]}, pen)
    inner.append({**submit, "name": f"{name}__submit", "form_action_type": "submit"})
    return [{"tag": "form", "name": name, "elements": inner}]


def _input(name: str, entry: Block, pen: Pen) -> Element:
    asked: Element = {"name": name, "required": bool(entry.get("required"))}
    match entry["kind"]:
        case "multiline":
            return {"tag": "input", **asked, "input_type": "multiline_text", "rows": 3, "max_length": 1000}
        case "date":
            return {"tag": "date_picker", **asked}
        case "person" if "options" not in entry:  # every member of the chat; behaviors is marked as required
            return {"tag": "select_person", **asked, "behaviors": [{"type": "callback", "value": {"quiet": True}}]}
        case "select" | "person":  # people by number: one that Feishu does not know would refuse the whole card
            options = [{"text": plain(pen.words(o["text"]), 60), "value": str(o["value"])} for o in entry["options"]]
            return {"tag": "select_static", **asked, "options": options[:60]}
    return {"tag": "input", **asked, "input_type": "text", "max_length": 1000}


DRAW: dict[str, Callable[[Block, Pen], list[Element]]] = {
    "lead": lead, "fields": fields, "note": note, "picture": picture, "divider": divider, "steps": steps,
    "form": form, "actions": actions, "foot": foot,
}  # fmt: skip

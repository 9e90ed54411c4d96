"""The whole card: header, blocks in their order, and what to leave out when it is too large. Pure.

Limits (im-v1/message/create): 30 KB of content, counted here as it travels (escaped inside a JSON string, UTF-8), and
200 elements including plain_text. Both counts stay a little below, since Feishu adds style tags to the size.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from agent.sinks.feishu.card.elements import DRAW, Block, Element, Pen, cut, plain, small

MAX_BYTES = 28_000
MAX_ELEMENTS = 190
_TEMPLATES = {"none": "grey", "soon": "orange", "now": "red"}
_LEAVE_OUT = (("picture", "note"), ("fields", "divider"), ("steps", "foot"), ("lead",), ("form", "actions"))
_PHONE = re.compile(r"(?<![0-9A-Za-z-])\+?\d{7,}(?![0-9A-Za-z-])|\d{3}[- ]\d{4}[- ]\d{4}")
_MAIL = re.compile(r"[\w.+-]+@[\w-]+(?:\.[\w-]+)+", re.A)


@dataclass(frozen=True, slots=True)
class Look:
    """What to leave away because Feishu refused it: mentions, pictures, words that look like a phone number or a mail
    (`reduced` 1), everything but number and buttons (2)."""

    mentions: bool = True
    pictures: bool = True
    reduced: int = 0


def mask(text: str) -> str:
    """Plain phone numbers and mail addresses replaced: Feishu's content review refuses them (230028)."""
    return _MAIL.sub("•••", _PHONE.sub("•••", text))


def draw(card: Mapping[str, Any], pen: Pen, look: Look | None = None) -> Element:
    """Card JSON 2.0 of a neutral card, within the limits. Blocks of unknown type are left out."""
    look = look or Look()
    pen = _limited(pen, look)
    blocks = [b for b in card["blocks"] if b["type"] in DRAW]
    if look.reduced > 1:
        blocks = [b for b in blocks if b["type"] in ("form", "actions")]
        blocks.append({"type": "foot", "text": {"key": "feishu.reduced", "args": {"no": card["no"]}}})
    dropped = 0
    for remaining in _ever_fewer(blocks):
        drawn = _assemble(card, remaining, dropped, pen, look)
        if fits(drawn):
            return drawn
        dropped += 1
    return _assemble(card, [], dropped, pen, look)


def content(drawn: Element) -> str:
    """The card as the message's content string."""
    return json.dumps(drawn, ensure_ascii=False, separators=(",", ":"))


def fits(drawn: Element) -> bool:
    """Whether Feishu would take it."""
    size = len(json.dumps(content(drawn), ensure_ascii=False).encode("utf-8", "replace"))
    return size <= MAX_BYTES and sum(1 for _ in _elements(drawn)) <= MAX_ELEMENTS


def header_title(card: Mapping[str, Any], words: Callable[[Any], str]) -> str:
    """The title; it always carries the ticket number, by which a lost card is found again."""
    title = cut(words(card["title"]), 80)
    return title if card["no"] in title else f"{title} · {card['no']}"


def _limited(pen: Pen, look: Look) -> Pen:
    if not look.mentions:
        person = pen.person
        pen = replace(pen, person=lambda p: (None, person(p)[1]))
    if not look.pictures:
        pen = replace(pen, image=lambda sha: None)
    if look.reduced:
        words = pen.words
        pen = replace(pen, words=lambda text: mask(words(text)))
    return pen


def _ever_fewer(blocks: list[Block]) -> Iterator[list[Block]]:
    """All blocks; then one fewer each time: pictures and notes from the bottom first, buttons last."""
    left = list(range(len(blocks)))
    yield blocks
    for kinds in _LEAVE_OUT:
        for index in [i for i in reversed(left) if blocks[i]["type"] in kinds]:
            left.remove(index)
            yield [blocks[i] for i in left]


def _assemble(card: Mapping[str, Any], blocks: list[Block], dropped: int, pen: Pen, look: Look) -> Element:
    elements = [element for block in blocks for element in DRAW[block["type"]](block, pen)]
    if dropped:
        elements.append(small(pen.words({"key": "feishu.card.more", "args": {"n": dropped}}), 200))
    return {
        "schema": "2.0",
        "config": {"update_multi": True},
        "header": _header(card, pen, look),
        "body": {"elements": elements},
    }


def _header(card: Mapping[str, Any], pen: Pen, look: Look) -> Element:
    number = str(card["no"])
    if look.reduced > 1:
        return {"title": plain(number), "template": _TEMPLATES.get(card.get("attention", ""), "grey")}
    header: Element = {
        "title": plain(header_title(card, pen.words), 140),
        "template": _TEMPLATES.get(card.get("attention", ""), "grey"),
    }
    subtitle = pen.words(card.get("subtitle") or "").replace(number, "").strip(" ·・|,，")
    if subtitle:
        header["subtitle"] = plain(subtitle, 80)
    if card.get("tag"):
        tag = {"tag": "text_tag", "text": plain(pen.words(card["tag"]), 20), "color": "neutral"}
        header["text_tag_list"] = [tag]
    return header


def _elements(part: Any) -> Iterator[Element]:
    """Everything with a tag, at any depth."""
    if isinstance(part, dict):
        if "tag" in part:
            yield part
        for value in part.values():
            yield from _elements(value)
    elif isinstance(part, list):
        for value in part:
            yield from _elements(value)

"""Reads a card as a person does: its title, its words, what can be pressed."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from agent.sandbox.cards import schema

PRESSABLE = schema.FIELDS | {"button", "overflow", "interactive_container"}
OLD_CLIENT = "请升级至最新版本客户端，以查看内容"
"""What Feishu hands out instead of a 2.0 card's body when nobody asks for `user_card_content` (seen in many logs)."""
_MARKUP = re.compile(r"<[^>]+>|\*\*|[*_~`#]")


@dataclass(frozen=True, slots=True)
class Part:
    """One component that can be pressed; `fields` are the inputs of its form, by name."""

    tag: str
    name: str | None
    value: Any
    spec: Mapping[str, Any]
    form: str | None = None
    fields: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)

    @property
    def submits(self) -> bool:
        return self.spec.get("form_action_type") == "submit"

    @property
    def calls_back(self) -> bool:
        """True if pressing it asks the agent: a callback behaviour, or a form that is sent."""
        return self.submits or any(b.get("type") == "callback" for b in self.spec.get("behaviors", ()))


def elements(card: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """The root components of a 2.0 card."""
    found = card.get("body", {}).get("elements", [])
    return list(found) if isinstance(found, list) else []


def inside(component: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    """A component and everything in it, outermost first."""
    yield component
    for name in ("elements", "columns"):
        for child in component.get(name) or ():
            if isinstance(child, Mapping):
                yield from inside(child)


def title(card: Mapping[str, Any]) -> str:
    """The header's title, "" without one."""
    header = card.get("header") or {}
    return str((header.get("title") or {}).get("content", ""))


def words(card: Mapping[str, Any]) -> str:
    """Title and plain words of a card, for lists and searches."""
    parts = [title(card), str(((card.get("header") or {}).get("subtitle") or {}).get("content", ""))]
    for root in elements(card):
        for component in inside(root):
            text = component.get("content") or (component.get("text") or {}).get("content", "")
            parts.append(_MARKUP.sub("", str(text)))
    return " ".join(part for part in parts if part)


def parts(card: Mapping[str, Any]) -> Iterator[Part]:
    """Everything that can be pressed or filled in."""
    for root in elements(card):
        form = root if root.get("tag") == "form" else None
        fields = {}
        if form is not None:
            fields = {str(c["name"]): c for c in inside(form) if c.get("tag") in PRESSABLE and c.get("tag") != "button"}
        for component in inside(root):
            tag = component.get("tag")
            if tag in PRESSABLE:
                name = str(form["name"]) if form is not None else None
                yield Part(str(tag), component.get("name"), _value(component), component, name, fields)


def _value(component: Mapping[str, Any]) -> Any:
    for behavior in component.get("behaviors", ()):
        if behavior.get("type") == "callback":
            return behavior.get("value")
    return component.get("value")


def callback_values(card: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    """The values that the card's components send back."""
    for part in parts(card):
        if isinstance(part.value, Mapping):
            yield part.value


def find(card: Mapping[str, Any], name: str | None, value: Any) -> Part | None:
    """The component with that name, or the one that sends that value."""
    for part in parts(card):
        if (name is not None and part.name == name) or (name is None and value is not None and part.value == value):
            return part
    return None


def reduced(card: Mapping[str, Any]) -> dict[str, Any]:
    """A card as GET and list hand it out by default: the header's title, and no body (2.0 cards)."""
    return {"title": title(card) or None, "elements": [[{"tag": "text", "text": OLD_CLIENT}]]}

"""Refusing a card in Feishu's words, and the two checks that every part needs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from agent.sandbox.cards import schema


class CardFault(Exception):
    """Why a card is refused; str() reads as Feishu's ext: "ErrCode: 200621; ErrPath: …; ErrMsg: …; ErrorValue: …"."""

    def __init__(self, code: int, message: str, value: str = "", path: str = "") -> None:
        where = f"ErrPath: {path}; " if path else ""
        what = f"; ErrorValue: {value}" if value else ""
        super().__init__(f"ErrCode: {code}; {where}ErrMsg: {message}{what};")
        self.code = code


def malformed(value: str, path: str) -> CardFault:
    """200621: the JSON is not a card."""
    return CardFault(200621, "parse card json err, please check whether the card json is correct", value, path)


def only(node: Any, allowed: frozenset[str], path: str) -> None:
    """Refuse anything but an object with these attributes (2.0: unknown attributes are errors)."""
    if not isinstance(node, dict):
        raise malformed("not an object", path)
    for name in node:
        if name not in allowed:
            raise malformed(f"unknown property: {name}", path)


def aligned(node: Mapping[str, Any], tag: str, path: str) -> None:
    """Refuse words that are not in the vocabulary of an attribute."""
    for name, value in node.items():
        words = schema.WORDS.get((tag, name)) or schema.ALIGN.get(name)
        if words is not None and (not isinstance(value, str) or value not in words):
            raise malformed(f"invalid value of {name}: {value}", path)

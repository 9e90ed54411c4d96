"""What a message may hold, by its type."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from agent.sandbox.cards.check import check
from agent.sandbox.cards.fault import CardFault
from agent.sandbox.rules.refusal import FeishuError
from agent.sandbox.world.world import SandboxWorld

TEXT_MAX, CARD_MAX = 150 * 1024, 30 * 1024
"""Bytes of `content`, before it is escaped into the request (the docs do not say which)."""
LOCALES = frozenset({"zh_cn", "en_us", "ja_jp"})


def parse(world: SandboxWorld, msg_type: str, raw: Any) -> dict[str, Any]:
    """`content` as an object, checked for its type. Raises 230001, 230025 or 230099."""
    if not isinstance(raw, str) or not raw:
        raise FeishuError(230001, "content is not a string")
    if len(raw.encode()) > (TEXT_MAX if msg_type == "text" else CARD_MAX):
        raise FeishuError(230025)
    try:
        content = json.loads(raw)
    except ValueError as error:
        raise FeishuError(230001, "content is not in json format") from error
    if not isinstance(content, dict):
        raise FeishuError(230001, "content is not an object")
    if msg_type == "interactive":
        check_card(world, content)
    elif msg_type == "text":
        if not isinstance(content.get("text"), str) or not content["text"]:
            raise FeishuError(230001, "text content is empty")
    elif msg_type == "post":
        _check_post(content)
    elif msg_type in ("image", "file"):
        key = content.get(f"{msg_type}_key")
        if not isinstance(key, str) or key not in world.media:
            raise FeishuError(230001, f"invalid {msg_type}_key")
    else:
        raise FeishuError(230001, f"the sandbox does not know msg_type {msg_type}")
    return content


def check_card(world: SandboxWorld, card: Any) -> None:
    """Raises 230099 with Feishu's sub-code for a card that the platform refuses."""

    def image(key: str) -> bool:
        return key in world.media and world.media[key].kind == "image"

    def person(value: str) -> bool:
        return world.directory.named(value) is not None

    try:
        check(card, image, person)
    except CardFault as fault:
        raise FeishuError(230099, msg=f"Failed to create card content, ext={fault}") from fault


def _check_post(content: Mapping[str, Any]) -> None:
    for locale, post in content.items():
        rows = post.get("content") if isinstance(post, dict) else None
        if locale not in LOCALES or not isinstance(rows, list) or not all(isinstance(row, list) for row in rows):
            raise FeishuError(230001, "invalid post content")
    if not content:
        raise FeishuError(230001, "invalid post content")

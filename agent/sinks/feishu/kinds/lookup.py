"""Past its idempotency window: did a message arrive? Looked up in its chat (im-v1/message/list; README.md)."""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Callable, Iterator, Mapping
from datetime import timedelta
from typing import Any

from agent.outbox.sink import Message
from agent.sinks.feishu.card.draw import mask
from agent.sinks.feishu.client import FeishuClient
from agent.sinks.feishu.kinds.groups import carries
from agent.sinks.feishu.retry import FarSays

log = logging.getLogger(__name__)
MESSAGES = "/open-apis/im/v1/messages"
_EARLIER = timedelta(minutes=5)
"""How far Feishu's clock may be behind ours."""
WORDS_EARLIER = timedelta(minutes=1)
"""The same for words: the same words may have been said before, a card of a ticket was not."""
_AT = re.compile(r"<at [^>]*>.*?</at>|@_user_\d+|@_all")
Item = Mapping[str, Any]


def look_up(
    client: FeishuClient, message: Message, chat: str, mine: Callable[[Item], bool], earlier: timedelta = _EARLIER
) -> str | None:
    """The id of the app's message in the chat that this one became, from a little before its first attempt on.

    An app that may not read the chat (scope im:message.group_msg) cannot know: None, and the message is sent again.
    Raises Unreachable.
    """
    assert message.first_tried_at is not None, "never tried, nothing to look up"
    since = int((message.first_tried_at - earlier).timestamp())
    query = [
        ("container_id_type", "chat"), ("container_id", chat), ("start_time", str(since)),
        ("sort_type", "ByCreateTimeAsc"), ("page_size", "50"),
    ]  # fmt: skip
    try:
        for item in client.pages("im.message.list", MESSAGES, query):
            by_us = (item.get("sender") or {}).get("sender_type") != "user"
            if by_us and not item.get("deleted") and item.get("message_id") and mine(item):
                return str(item["message_id"])
    except FarSays as error:
        log.warning("messages cannot be looked up, one is sent again: %s", error.reason)
    return None


def card_of(number: str) -> Callable[[Item], bool]:
    """Cards come back reduced (title, elements); the ticket number stands in the title."""

    def mine(item: Item) -> bool:
        return item.get("msg_type") == "interactive" and carries(_unescaped(_content(item)), number)

    return mine


def same_words(text: str) -> Callable[[Item], bool]:
    """The same words, as sent or with phone numbers masked; mentions and spaces do not count."""
    wanted = {_bare(text), _bare(mask(text))}

    def mine(item: Item) -> bool:
        return item.get("msg_type") in ("post", "text") and _bare("".join(_spoken(_content(item)))) in wanted

    return mine


def _content(item: Item) -> str:
    body = item.get("body")
    return str(body.get("content", "")) if isinstance(body, dict) else ""


def _unescaped(content: str) -> str:
    """JSON without \\u escapes: their last digit would pass for the beginning of a number's first word."""
    try:
        return json.dumps(json.loads(content), ensure_ascii=False)
    except ValueError:
        return content


def _bare(text: str) -> str:
    return "".join(_AT.sub("", text).split())


def _spoken(content: str) -> Iterator[str]:
    """The words of a text or rich text message, in order."""
    try:
        yield from _texts(json.loads(content))
    except ValueError:
        yield content


def _texts(part: Any) -> Iterator[str]:
    if isinstance(part, dict):
        if isinstance(part.get("text"), str):
            yield part["text"]
        for key, value in part.items():
            if key != "text":
                yield from _texts(value)
    elif isinstance(part, list):
        for value in part:
            yield from _texts(value)

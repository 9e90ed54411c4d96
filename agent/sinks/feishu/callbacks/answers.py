"""Pushes in plain values: Feishu's JSON → Click or event, Verdict → Feishu's JSON. Pure (events in README.md)."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, tzinfo
from typing import Any

from agent.model import Click, Text, Verdict, text
from agent.texts import render

CLICK = "card.action.trigger"
EVENTS = frozenset({
    "im.message.receive_v1", "im.message.reaction.created_v1", "im.message.reaction.deleted_v1",
    "im.message.message_read_v1", "im.chat.disbanded_v1", "im.chat.updated_v1", "im.chat.member.bot.added_v1",
    "im.chat.member.bot.deleted_v1", "im.chat.member.user.added_v1", "im.chat.member.user.deleted_v1",
    "im.chat.member.user.withdrawn_v1", "im.chat.access_event.bot_p2p_chat_entered_v1", "application.bot.menu_v6",
    "contact.user.created_v3", "contact.user.updated_v3", "contact.user.deleted_v3", "contact.department.created_v3",
    "contact.department.updated_v3", "contact.department.deleted_v3", "contact.scope.updated_v3",
    "drive.file.bitable_record_changed_v1",
})  # fmt: skip
"""Events that are handed on. Any other that may be subscribed is accepted and forgotten."""
_LEVELS = ("info", "success", "warning", "error")
_LANGUAGES = {"zh": "zh_cn", "en": "en_us"}
_ADDRESS = ("ticket", "action", "cycle")
_UNITS = {10: 1, 13: 1_000, 16: 1_000_000}
"""Digits of a point in time since 1970 → parts of a second."""


@dataclass(frozen=True, slots=True)
class Push:
    """One thing Feishu told. `id` recognises a repeat."""

    kind: str
    id: str
    event: Mapping[str, Any]
    at: datetime | None


def read_push(payload: bytes, frame_id: str) -> Push | None:
    """A push of schema 2.0, or a card callback of the old form (frames of type card); None if it is neither.

    Messages are recognised by message_id, as im-v1/message/events/receive asks; all else by header.event_id.
    """
    try:
        body = json.loads(payload)
    except ValueError:
        return None
    if not isinstance(body, dict):
        return None
    header, event = body.get("header"), body.get("event")
    if isinstance(header, dict) and isinstance(event, dict):
        kind = str(header.get("event_type", ""))
        message = event.get("message")
        known = message.get("message_id") if kind == "im.message.receive_v1" and isinstance(message, dict) else None
        return Push(kind, str(known or header.get("event_id") or frame_id), event, moment(header.get("create_time")))
    if isinstance(body.get("action"), dict) and "open_id" in body:
        context = {"open_message_id": body.get("open_message_id"), "open_chat_id": body.get("open_chat_id")}
        event = {"operator": body, "action": body["action"], "context": context}
        return Push(CLICK, str(body.get("token") or frame_id), event, None)
    return None


def moment(stamp: object) -> datetime | None:
    """Seconds, milliseconds or microseconds since 1970 (Feishu writes all three), None if it is none of them."""
    digits = str(stamp)
    if not digits.isdecimal() or len(digits) not in _UNITS:
        return None
    return datetime.fromtimestamp(int(digits) / _UNITS[len(digits)], UTC)


def is_quiet(push: Push) -> bool:
    """True for the selection of a person inside a form: it counts when the form is sent."""
    return _dict(_dict(push.event.get("action")).get("value")).get("quiet") is True


def as_click(push: Push, person: Callable[[str], str | None]) -> Click | None:
    """A button or form of one of our cards; None if it carries no ticket and action. `person`: open_id → number.

    What a button carries beside its address (a choice that is a button of its own) counts as filled in.
    """
    action, operator = _dict(push.event.get("action")), _dict(push.event.get("operator"))
    context, value = _dict(push.event.get("context")), _dict(action.get("value"))
    open_id = operator.get("open_id")
    if not isinstance(open_id, str) or not all(isinstance(value.get(k), str) for k in ("ticket", "action")):
        return None
    return Click(
        event_id=push.id,
        open_id=open_id,
        user_id=operator.get("user_id") or None,
        value=value,
        form={k: v for k, v in value.items() if k not in _ADDRESS} | _form(_dict(action.get("form_value")), person),
        message_id=str(context.get("open_message_id") or ""),
        chat_id=str(context.get("open_chat_id") or ""),
        clicked_at=push.at,
    )


def _form(values: Mapping[str, Any], person: Callable[[str], str | None]) -> dict[str, Any]:
    """FORM__KIND__FIELD → FIELD; a person becomes an employee number (if known), a date YYYY-MM-DD."""
    form: dict[str, Any] = {}
    for name, value in values.items():
        kind, _, field = name.split("__", 1)[-1].partition("__")
        if not field:
            form[name] = value
        elif kind == "date" and isinstance(value, str):
            form[field] = value[:10]  # "2026-11-25 +0800": the day as the person saw it
        elif kind == "person" and isinstance(value, str):
            form[field] = person(value) or value
        else:
            form[field] = value
    return form


def _dict(value: object) -> dict[str, Any]:
    """An object, also one that a client wrote as a string."""
    if isinstance(value, str):
        try:
            value = json.loads(value)
        except ValueError:
            return {}
    return value if isinstance(value, dict) else {}


def toast(level: str, words: Text, language: str, tz: tzinfo, now: datetime) -> dict[str, Any]:
    """The answer with a toast, in the configured language and in each client's own."""
    said = {lang: render(words, lang, tz, now) for lang in _LANGUAGES}
    i18n = {_LANGUAGES[lang]: one for lang, one in said.items()}
    return {"toast": {"type": level if level in _LEVELS else "info", "content": said[language], "i18n": i18n}}


UNSURE = Verdict("warning", text("feishu.click.unsure"))
UNKNOWN = Verdict("error", text("feishu.click.unknown"))
FAILED = Verdict("error", text("feishu.click.failed"))

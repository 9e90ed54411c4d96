"""A person presses something on a card: the client's own checks, the question to the agent, what the person then sees.

cardkit-v1/card-callback-communication: 3 s to answer, one random connection, never repeated; errors 200340 nobody
connected, 200341 too late, 200671 handler failed, 200672 bad answer, 200673 bad card, 200830 a 1.0 card.
"""

from __future__ import annotations

import asyncio
import json
import secrets
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any
from zoneinfo import ZoneInfo

from agent.errors import Refused
from agent.sandbox.cards import read
from agent.sandbox.push.hub import Hub
from agent.sandbox.push.queue import envelope
from agent.sandbox.rules.refusal import FeishuError
from agent.sandbox.world import content, messages
from agent.sandbox.world.people import Person
from agent.sandbox.world.things import Click, Message
from agent.sandbox.world.world import SandboxWorld

CARD_CLICK = "card" + ".action.trigger"  # in two parts: it is an event of Feishu's, not a key of agent/texts
PRESSABLE_FOR = timedelta(days=14)
TOASTS = frozenset({"info", "success", "warning", "error"})
SHAPES = {"date_picker": "%z", "picker_time": "%z", "picker_datetime": "%z"}
INITIAL = ("default_value", "initial_option", "initial_date", "initial_time", "initial_datetime", "selected_values")
NOBODY, LATE, FAILED, BAD_ANSWER, BAD_CARD, OLD_CARD = 200340, 200341, 200671, 200672, 200673, 200830


@dataclass(frozen=True, slots=True)
class Press:
    """What the person does: which component (by name or value), with which inputs."""

    name: str | None = None
    value: Any = None
    form_value: Mapping[str, Any] = field(default_factory=dict)
    extra: Mapping[str, Any] = field(default_factory=dict)
    """option, options, input_value, checked: of a component outside a form"""


async def press(world: SandboxWorld, hub: Hub, person: Person, message: Message, wish: Press, tz: str) -> Click:
    """Press and wait for the outcome. Raises Refused for what the client itself would not allow."""
    part = _allowed(world, person, message, wish)
    form = _filled(world, part, wish.form_value, tz) if part.submits else None
    event_id = uuid.uuid4().hex
    click = Click(event_id, person.id, world.now(), part.name, part.value, form)
    action: dict[str, Any] = {"value": part.value or {}, "tag": part.tag, "timezone": tz, **wish.extra}
    action |= {"name": part.name} if part.name else {}
    action |= {"form_value": form} if form is not None else {}
    event = {
        "operator": {"tenant_key": world.app.tenant_key, **person.ids()},
        "token": f"c-{secrets.token_hex(20)}",
        "action": action,
        "host": "im_message",
        "context": {"open_message_id": message.message_id, "open_chat_id": message.chat_id},
    }
    body = envelope(event_id, CARD_CLICK, event, world.now(), world.app.app_id, world.app.tenant_key)
    world.journal.count("clicks", "pressed")
    message.clicks.append(click)
    loop = asyncio.get_running_loop()
    started = loop.time()
    try:
        nobody = not hub.connections or (not world.office.up and world.office.mode == "reset")
        answer = None if nobody else await hub.ask_one(body)
    finally:
        click.pending = False
        click.ms = round((loop.time() - started) * 1000)
    click.code = NOBODY if nobody else _outcome(world, message, click, answer)
    _count(world, click.code)
    messages.touched(world, message)
    return click


def _allowed(world: SandboxWorld, person: Person, message: Message, wish: Press) -> read.Part:
    """The component, if this client would let this person press it now."""
    if message.msg_type != "interactive":
        raise Refused("sandbox.error.not_pressable", why={"key": "sandbox.press.card", "args": {}})
    part = read.find(message.content, wish.name, wish.value)
    if part is None:
        raise Refused("sandbox.error.no_part")
    if not part.calls_back:
        raise Refused("sandbox.error.no_callback")
    reasons = {
        "sandbox.press.resigned": person.resigned,
        "sandbox.press.recalled": message.recalled_at is not None,
        "sandbox.press.old": world.now() - message.at > PRESSABLE_FOR,
        "sandbox.press.disabled": bool(part.spec.get("disabled")),
    }
    for key, holds in reasons.items():
        if holds:
            raise Refused("sandbox.error.not_pressable", why={"key": key, "args": {}})
    return part


def _filled(world: SandboxWorld, part: read.Part, given: Mapping[str, Any], tz: str) -> dict[str, Any]:
    """The form's values as Feishu sends them: people as open_ids, dates with an offset. Raises Refused(required)."""
    offset = world.now().astimezone(ZoneInfo(tz)).strftime("%z")
    values: dict[str, Any] = {}
    missing = []
    for name, spec in part.fields.items():
        first = next((spec[i] for i in INITIAL if i in spec), "" if spec["tag"] == "input" else None)
        value = given.get(name, first)
        if value in (None, "", []) and spec.get("required"):
            missing.append(str((spec.get("label") or spec.get("placeholder") or {}).get("content") or name))
        if value is None:
            continue
        if spec["tag"] in SHAPES and value and " +" not in str(value) and " -" not in str(value):
            value = f"{value} {offset}"
        if spec["tag"].endswith("select_person"):
            value = [_open_id(world, v) for v in value] if isinstance(value, list) else _open_id(world, value)
        values[name] = value
    if missing:
        raise Refused("sandbox.error.required", fields=missing)
    return values


def _open_id(world: SandboxWorld, value: Any) -> Any:
    person = world.directory.people.get(str(value))
    return person.open_id if person else value


def _outcome(world: SandboxWorld, message: Message, click: Click, answer: dict[str, Any] | None) -> int:
    """Apply the answer's toast and card; the code that the person sees, 0 if all is well."""
    if answer is None:
        return LATE
    if answer["code"] != 200:
        return FAILED if answer["code"] else BAD_ANSWER
    data = answer["data"]
    if data is None:
        return 0
    if not isinstance(data, dict) or data.keys() - {"toast", "card"}:
        return BAD_ANSWER
    if "toast" in data:
        toast = _toast(data["toast"])
        if toast is None:
            return BAD_ANSWER
        click.toast = toast
    return _card(world, message, click, data["card"]) if data.get("card") else 0


def _toast(raw: Any) -> dict[str, str] | None:
    if not isinstance(raw, dict) or raw.get("type", "info") not in TOASTS:
        return None
    i18n = raw.get("i18n") or {}
    words = i18n.get("zh_cn") or raw.get("content")
    return {"type": raw.get("type", "info"), "content": words} if isinstance(words, str) else None


def _card(world: SandboxWorld, message: Message, click: Click, raw: Any) -> int:
    """Show the answer's card in place of the old one."""
    card = raw.get("data") if isinstance(raw, dict) and raw.get("type") == "raw" else None
    if not isinstance(card, dict):
        return BAD_CARD
    if card.get("schema") != "2.0":
        return OLD_CARD
    try:
        content.check_card(world, card)
    except FeishuError:
        return BAD_CARD
    if len(json.dumps(card, ensure_ascii=False).encode()) > content.CARD_MAX:
        return BAD_CARD
    click.card_applied = True
    messages.new_version(world, message, "click", card, click.event_id)
    return 0


def _count(world: SandboxWorld, code: int) -> None:
    outcome = {0: "answered", LATE: "late", NOBODY: "nobody"}.get(code, "failed")
    world.journal.count("clicks", outcome)

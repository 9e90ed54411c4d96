"""im/v1/messages and pins."""

from __future__ import annotations

from datetime import UTC, datetime

from agent.sandbox.feishu import shapes
from agent.sandbox.feishu.request import ID_TYPES, Answer, Blob, Req
from agent.sandbox.rules.limits import PER_CHAT
from agent.sandbox.rules.refusal import FeishuError, invalid
from agent.sandbox.world import messages
from agent.sandbox.world.journal import ms
from agent.sandbox.world.things import Group, Message

WHOLE_CARD = "user_card_content"
URGED_MAX = 200


def create(req: Req) -> Answer:
    """POST im/v1/messages?receive_id_type=…"""
    id_type = req.q("receive_id_type")
    if id_type not in (*ID_TYPES, "chat_id", "email"):
        raise invalid("receive_id_type")
    receive_id, msg_type, uuid = req.text("receive_id"), req.text("msg_type"), req.uuid()
    if uuid and (before := req.world.once(("message", uuid), messages.ONCE_FOR)):
        group = req.world.groups[req.world.messages[before[0]].chat_id]
    else:
        group = messages.receiver(req.world, id_type, receive_id)
    sent = messages.send(req.world, group, msg_type, req.text("content"), req.log_id, uuid, to=receive_id)
    return shapes.message(req.world, sent)


def reply(req: Req) -> Answer:
    """POST im/v1/messages/:message_id/reply."""
    parent, group = _found(req)
    uuid = req.uuid()
    if not (uuid and req.world.once(("message", uuid), messages.ONCE_FOR)):
        if parent.recalled_at is not None:
            raise FeishuError(230011)
        messages.check_open(req.world, group)
    content, kind = req.text("content"), req.text("msg_type")
    sent = messages.send(req.world, group, kind, content, req.log_id, uuid, parent, to=parent.message_id)
    return shapes.message(req.world, sent)


def _found(req: Req) -> tuple[Message, Group]:
    return messages.message_of(req.world, req.params["message_id"])


def patch(req: Req) -> Answer:
    """PATCH im/v1/messages/:message_id: a card."""
    message, group = _found(req)
    messages.patch(req.world, message, group, req.body.get("content"), req.log_id)
    return {}


def update(req: Req) -> Answer:
    """PUT im/v1/messages/:message_id: a text or post."""
    message, group = _found(req)
    messages.edit(req.world, message, group, req.text("msg_type"), req.body.get("content"), req.log_id)
    return shapes.message(req.world, message)


def get(req: Req) -> Answer:
    """GET im/v1/messages/:message_id."""
    message, group = _found(req)
    if not group.bot_in:
        raise FeishuError(230002)
    return {"items": [shapes.message(req.world, message, req.q("card_msg_content_type") == WHOLE_CARD)]}


def list_(req: Req) -> Answer:
    """GET im/v1/messages: a chat's messages between two times (whole seconds, both included)."""
    if req.q("container_id_type") not in ("chat", "thread") or not req.q("container_id"):
        raise invalid("container_id_type", "container_id")
    group = req.world.groups.get(req.q("container_id"))
    if group is None:
        raise FeishuError(230001, "invalid container_id")
    if not group.bot_in:
        raise FeishuError(230002)
    if group.dissolved_at is not None:
        raise FeishuError(230002)
    since, until = _second(req, "start_time", 0), _second(req, "end_time", 2**33)
    found = [req.world.messages[m] for m in group.messages]
    found = [m for m in found if since <= int(m.at.timestamp()) <= until]
    if req.q("sort_type") == "ByCreateTimeDesc":
        found.reverse()
    items, mark = req.page(found, 20, 50)
    whole = req.q("card_msg_content_type") == WHOLE_CARD
    return {"items": [shapes.message(req.world, m, whole) for m in items], **mark}


def _second(req: Req, name: str, default: int) -> int:
    try:
        value = int(req.q(name) or default)
        datetime.fromtimestamp(value, UTC)
    except (ValueError, OverflowError) as error:
        raise FeishuError(230001, f"invalid {name}") from error
    return value


def delete(req: Req) -> Answer:
    """DELETE im/v1/messages/:message_id: recall."""
    message, group = _found(req)
    messages.recall(req.world, message, group)
    return {}


def read_users(req: Req) -> Answer:
    """GET …/read_users: who has read it, within 7 days."""
    if not req.q("user_id_type"):
        raise invalid("user_id_type")
    id_type = req.id_type()
    message, group = _found(req)
    messages.check_reads(req.world, message, group)
    reads, mark = req.page(list(message.reads.items()), 20, 100)
    items = [
        {
            "user_id_type": id_type,
            "user_id": req.world.directory.people[number].by_type(id_type),
            "timestamp": ms(at),
            "tenant_key": req.world.app.tenant_key,
        }
        for number, at in reads
    ]
    return {"items": items, **mark}


def urgent_app(req: Req) -> Answer:
    """PATCH …/urgent_app: people of the chat; all invalid is 230001."""
    if not req.q("user_id_type"):
        raise invalid("user_id_type")
    message, group = _found(req)
    ids = req.strings("user_id_list", URGED_MAX)
    people, _, _ = req.people(ids, req.id_type())
    here = [p for p in people if p.id in group.members]
    if not here:
        raise FeishuError(230001, "no valid user in user_id_list")
    messages.urge(req.world, message, group, here)
    good = {value for value in ids if any(value in p.ids().values() for p in here)}
    return {"invalid_user_id_list": [value for value in ids if value not in good]}


def resource(req: Req) -> Answer:
    """GET …/resources/:file_key?type=image|file: what people sent. Not out of cards."""
    message, group = _found(req)
    kind = req.q("type")
    if kind not in ("image", "file"):
        raise FeishuError(234001)
    if not group.bot_in:
        raise FeishuError(234004)
    if message.msg_type == "interactive":
        raise FeishuError(234043)
    key = req.params["file_key"]
    if key not in str(message.content) or key not in req.world.media:
        raise FeishuError(234003)
    media = req.world.media[key]
    return Blob(media.data, media.mime, media.name)


def pin(req: Req) -> Answer:
    """POST im/v1/pins: pinning twice hands back the first pin."""
    message, group = messages.message_of(req.world, req.text("message_id"))
    messages.check_open(req.world, group)
    if message.recalled_at is not None:
        raise FeishuError(230011)
    if req.world.limits.take(("pin", message.message_id), PER_CHAT) is not None:
        raise FeishuError(230047)
    group.pins.setdefault(message.message_id, req.world.now())
    messages.touched(req.world, message)
    return {"pin": _pin(req, group, message.message_id)}


def unpin(req: Req) -> Answer:
    """DELETE im/v1/pins/:message_id."""
    message, group = _found(req)
    messages.check_open(req.world, group)
    group.pins.pop(message.message_id, None)
    messages.touched(req.world, message)
    return {}


def pins(req: Req) -> Answer:
    """GET im/v1/pins?chat_id=…"""
    group = req.world.groups.get(req.q("chat_id"))
    if group is None or not group.bot_in:
        raise FeishuError(230002)
    items, mark = req.page(list(group.pins), 20, 50)
    return {"items": [_pin(req, group, m) for m in items], **mark}


def _pin(req: Req, group: Group, message_id: str) -> dict[str, str]:
    return {
        "message_id": message_id,
        "chat_id": group.chat_id,
        "operator_id": req.world.app.app_id,
        "operator_id_type": "app_id",
        "create_time": ms(group.pins[message_id]),
    }

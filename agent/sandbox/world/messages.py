"""What happens to messages: sent, replied, updated, read, urged, recalled (im-v1/message)."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from agent.sandbox.rules.limits import PER_CHAT
from agent.sandbox.rules.refusal import LOCKED, FeishuError
from agent.sandbox.world import watch
from agent.sandbox.world.content import parse
from agent.sandbox.world.groups import changed, direct_chat
from agent.sandbox.world.people import Person
from agent.sandbox.world.things import Group, Message, Version
from agent.sandbox.world.world import SandboxWorld

ONCE_FOR = timedelta(hours=1)
"""A uuid sends at most one message in this time (im-v1/message/create, reply)."""
PATCH_FOR, READS_FOR = timedelta(days=14), timedelta(days=7)
EDITS_MAX = 20
URGENT_MAX = 200
VERSIONS_MAX = 500


def receiver(world: SandboxWorld, id_type: str, value: str) -> Group:
    """The chat that a receive_id means. Raises 230034, 230013, 230002 or 232009."""
    if id_type != "chat_id":
        person = world.directory.find(id_type, value)
        if person is None or person.resigned:
            raise FeishuError(230013)
        return direct_chat(world, person)
    group = world.groups.get(value)
    if group is None:
        raise FeishuError(230034)
    check_open(world, group)
    return group


def check_open(world: SandboxWorld, group: Group) -> None:
    """Raises 232009, 230002 or 230013 when the bot cannot speak in this chat."""
    if group.dissolved_at is not None:
        raise FeishuError(232009)
    if not group.bot_in:
        raise FeishuError(230002)
    if group.person is not None and world.directory.people[group.person].resigned:
        raise FeishuError(230013)


def send(
    world: SandboxWorld,
    group: Group,
    msg_type: str,
    raw: str,
    log_id: str,
    uuid: str | None = None,
    parent: Message | None = None,
    to: str = "",
) -> Message:
    """The bot sends a message, or gets back the one that this uuid sent within the hour. `to` is the caller's word."""
    fingerprint = watch.fingerprint(to, msg_type, raw)
    if uuid and (before := world.once(("message", uuid), ONCE_FOR)):
        watch.uuid_used_again(world, uuid, before[1], fingerprint, group.chat_id, before[0])
        return world.messages[before[0]]
    content = parse(world, msg_type, raw)
    if world.limits.take(("chat", group.chat_id), PER_CHAT) is not None:
        raise FeishuError(230020)
    message = put(world, group, None, msg_type, content, log_id, uuid, parent)
    if uuid:
        world.remember(("message", uuid), message.message_id, fingerprint)
    world.journal.count("cards" if msg_type == "interactive" else "messages", "sent")
    if group.direct:
        world.journal.count("messages", "direct")
    watch.message_sent(world, group, message)
    return message


def put(
    world: SandboxWorld,
    group: Group,
    sender: Person | None,
    msg_type: str,
    content: dict[str, Any],
    log_id: str = "",
    uuid: str | None = None,
    parent: Message | None = None,
) -> Message:
    """Add a message to a chat, whoever sent it."""
    now = world.now()
    message = Message(
        message_id=world.new_id("om"),
        chat_id=group.chat_id,
        sender=sender.id if sender else None,
        msg_type=msg_type,
        at=now,
        versions=[Version(1, now, "create", content, log_id)],
        uuid=uuid,
        parent_id=parent.message_id if parent else None,
        root_id=(parent.root_id or parent.message_id) if parent else None,
    )
    world.messages[message.message_id] = message
    group.messages.append(message.message_id)
    touched(world, message)
    changed(world, group)
    return message


def message_of(world: SandboxWorld, message_id: str) -> tuple[Message, Group]:
    """The message and its chat. Raises 230001 for an id that does not exist."""
    message = world.messages.get(message_id)
    if message is None:
        raise FeishuError(230001, "invalid message_id")
    return message, world.groups[message.chat_id]


def _mine(message: Message, code: int) -> None:
    if message.sender is not None:
        raise FeishuError(code)


def patch(world: SandboxWorld, message: Message, group: Group, raw: Any, log_id: str) -> None:
    """Replace a card (message-card/patch)."""
    if message.msg_type != "interactive":
        raise FeishuError(230054)
    _mine(message, 230027)
    if message.recalled_at is not None:
        raise FeishuError(230011)
    check_open(world, group)
    if world.now() - message.at > PATCH_FOR:
        raise FeishuError(230031)
    card = parse(world, "interactive", raw)
    if any(click.pending for click in message.clicks):
        raise FeishuError(230099, msg=f"Failed to create card content, ext=ErrCode: 11310; ErrMsg: {LOCKED};")
    if world.limits.take(("patch", message.message_id), PER_CHAT) is not None:
        raise FeishuError(230020)
    new_version(world, message, "patch", card, log_id)
    world.journal.count("cards", "updates")
    watch.card_updated(world, message, message.versions[-1])


def edit(world: SandboxWorld, message: Message, group: Group, msg_type: str, raw: Any, log_id: str) -> None:
    """Replace a text or post (im-v1/message/update), at most 20 times."""
    if message.msg_type not in ("text", "post") or msg_type not in ("text", "post"):
        raise FeishuError(230054)
    _mine(message, 230071)
    if message.recalled_at is not None:
        raise FeishuError(230011)
    check_open(world, group)
    if message.updates >= EDITS_MAX:
        raise FeishuError(230072)
    content = parse(world, msg_type, raw)
    message.msg_type = msg_type
    new_version(world, message, "put", content, log_id)


def new_version(world: SandboxWorld, message: Message, how: str, content: dict[str, Any], log_id: str) -> None:
    """Add a state to the history; beyond 500 the second oldest goes."""
    message.updates += 1
    message.versions.append(Version(message.updates + 1, world.now(), how, content, log_id))
    if len(message.versions) > VERSIONS_MAX:
        del message.versions[1]
    touched(world, message)
    changed(world, world.groups[message.chat_id])


def recall(world: SandboxWorld, message: Message, group: Group) -> None:
    """Take back the bot's own message; a second time is refused like a deleted one."""
    _mine(message, 230026)
    check_open(world, group)
    if message.recalled_at is not None:
        raise FeishuError(230110)
    message.recalled_at = world.now()
    touched(world, message)
    changed(world, group)


def check_reads(world: SandboxWorld, message: Message, group: Group) -> None:
    """Raises when read_users is not to be had: not own, not in the chat, older than 7 days."""
    _mine(message, 230012)
    if not group.bot_in:
        raise FeishuError(230002)
    if message.recalled_at is not None:
        raise FeishuError(230110)
    if world.now() - message.at > READS_FOR:
        raise FeishuError(230033)


def urge(world: SandboxWorld, message: Message, group: Group, people: list[Person]) -> None:
    """Urgent notice in the app. Doing it twice for one person is a violation (there is no idempotency)."""
    _mine(message, 230012)
    check_open(world, group)
    if message.recalled_at is not None:
        raise FeishuError(230110)
    for person in people:
        unread = [m for m in world.messages.values() if person.id in m.urgent and person.id not in m.reads]
        if len(unread) >= URGENT_MAX:
            raise FeishuError(230023)
    for person in people:
        if person.id in message.urgent:
            world.journal.violation("urgent_repeated", group.chat_id, message.message_id, person=person.id)
        else:
            message.urgent.append(person.id)
    touched(world, message)


def touched(world: SandboxWorld, message: Message) -> None:
    world.bus.publish("message", message.message_id, message)

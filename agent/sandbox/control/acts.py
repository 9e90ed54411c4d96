"""What else people do: write, read, react, leave, resign, end a group. Each tells the agent as Feishu would."""

from __future__ import annotations

import base64
import binascii
import json
from typing import Any

from agent.errors import Refused
from agent.sandbox.feishu import media, shapes
from agent.sandbox.rules.refusal import FeishuError
from agent.sandbox.world import groups, messages
from agent.sandbox.world.journal import ms
from agent.sandbox.world.people import Person
from agent.sandbox.world.things import Group, Message
from agent.sandbox.world.world import SandboxWorld

CHANGEABLE = ("name", "email", "mobile", "department", "leader")


def person_of(world: SandboxWorld, number: str) -> Person:
    person = world.directory.people.get(number)
    if person is None:
        raise Refused("sandbox.error.no_person", id=number)
    return person


def group_of(world: SandboxWorld, chat_id: str) -> Group:
    group = world.groups.get(chat_id)
    if group is None:
        raise Refused("sandbox.error.no_group", id=chat_id)
    return group


def open_group(world: SandboxWorld, chat_id: str) -> Group:
    group = group_of(world, chat_id)
    if group.dissolved_at is not None:
        raise Refused("sandbox.error.gone")
    return group


def message_of(world: SandboxWorld, message_id: str) -> Message:
    message = world.messages.get(message_id)
    if message is None:
        raise Refused("sandbox.error.no_message", id=message_id)
    return message


def _member(person: Person, group: Group) -> None:
    if person.id not in group.members:
        raise Refused("sandbox.error.not_member", name=person.name)


def say(
    world: SandboxWorld,
    person: Person,
    chat_id: str | None,
    text: str,
    mention_bot: bool = False,
    parent: Message | None = None,
    image: str | None = None,
) -> tuple[Message, str | None]:
    """A person writes, or sends a picture (base64). The message and the event's id, if the bot gets to see it."""
    group = groups.direct_chat(world, person) if chat_id is None else open_group(world, chat_id)
    _member(person, group)
    if image is not None:
        msg_type, content = "image", {"image_key": _picture(world, image)}
    else:
        at = f'<at user_id="{world.bot_open_id}">{world.app.bot_name}</at> ' if mention_bot else ""
        msg_type, content = "text", {"text": at + text}
    message = messages.put(world, group, person, msg_type, content, parent=parent)
    if not group.bot_in or not (group.direct or world.app.all_messages or (mention_bot and image is None)):
        return message, None
    return message, world.emit("im.message.receive_v1", _received(world, group, message, person))


def _picture(world: SandboxWorld, image: str) -> str:
    try:
        data = base64.b64decode(image, validate=True)
        media.check_image(data)
    except (binascii.Error, FeishuError) as error:
        raise Refused("sandbox.error.bad_request", why=f"image_base64: {error}") from error
    return media.keep(world, data, "image", media.mime_of(data) or "", "image", by_bot=False)


def _received(world: SandboxWorld, group: Group, message: Message, person: Person) -> dict[str, Any]:
    """The event's body: the text holds @_user_N, the mentions say who that is."""
    content = message.content
    mentions: list[dict[str, Any]] = []
    if message.msg_type == "text":
        words, mentions = shapes.mentioned(world, str(message.content["text"]))
        content = {"text": words}
    body: dict[str, Any] = {
        "message_id": message.message_id,
        "create_time": ms(message.at),
        "update_time": ms(message.at),
        "chat_id": group.chat_id,
        "chat_type": "p2p" if group.direct else "group",
        "message_type": message.msg_type,
        "content": json.dumps(content, ensure_ascii=False),
    }
    if mentions:
        body["mentions"] = [_mention(world, mention) for mention in mentions]
    if message.parent_id:
        body |= {"parent_id": message.parent_id, "root_id": message.root_id}
    sender = {"sender_id": person.ids(), "sender_type": "user", "tenant_key": world.app.tenant_key}
    return {"sender": sender, "message": body}


def _mention(world: SandboxWorld, mention: dict[str, Any]) -> dict[str, Any]:
    person = world.directory.named(mention["id"])
    return {
        "key": mention["key"],
        "id": person.ids() if person else {"open_id": world.bot_open_id},
        "mentioned_type": "user" if person else "bot",
        "name": mention["name"],
        "tenant_key": mention["tenant_key"],
    }


def remove_bot(world: SandboxWorld, group: Group, by: str | None) -> None:
    """Somebody puts the bot out; the group passes to a member if the bot owned it."""
    if not group.members:
        raise Refused("sandbox.error.not_member", name=world.app.bot_name)
    groups.remove_bot(world, group, by)


def read(world: SandboxWorld, person: Person, message: Message) -> bool:
    """A member has read a message; True if for the first time. In a direct chat the bot may be told."""
    group = world.groups[message.chat_id]
    _member(person, group)
    if person.id in message.reads or message.sender == person.id:
        return False
    message.reads[person.id] = world.now()
    messages.touched(world, message)
    if group.direct:
        tenant = world.app.tenant_key
        reader = {"reader_id": person.ids(), "read_time": ms(world.now()), "tenant_key": tenant}
        world.emit("im.message.message_read_v1", {"reader": reader, "message_id_list": [message.message_id]})
    return True


def react(world: SandboxWorld, person: Person, message: Message, emoji: str) -> str | None:
    """A one-tap reaction; the event carries no chat."""
    _member(person, world.groups[message.chat_id])
    event = {
        "message_id": message.message_id,
        "reaction_type": {"emoji_type": emoji},
        "operator_type": "user",
        "user_id": person.ids(),
        "action_time": ms(world.now()),
    }
    return world.emit("im.message.reaction.created_v1", event)


def menu(world: SandboxWorld, person: Person, event_key: str) -> str | None:
    """The bot's menu in the direct chat; the event carries no chat."""
    operator = {"operator_name": person.name, "operator_id": person.ids()}
    event = {"operator": operator, "event_key": event_key, "timestamp": int(world.now().timestamp())}
    return world.emit("application.bot.menu_v6", event)


def resign(world: SandboxWorld, person: Person) -> None:
    """A person leaves the company: out of all groups, gone for the app."""
    if person.resigned:
        return
    person.resigned = True
    for group in list(world.groups.values()):
        if group.dissolved_at is None and not group.direct:
            groups.remove(world, group, [person], by=person.id, left=True)
    gone = _contact(world, person)
    old = {"department_ids": [_department(world, person)], "open_id": person.open_id}
    world.emit("contact.user.deleted_v3", {"object": gone, "old_object": old})
    world.bus.publish("person", person.id, person)


def change(world: SandboxWorld, person: Person, wishes: dict[str, Any]) -> None:
    """New leader, department, name, mobile or mail; the event's old_object holds only what changed."""
    for number in filter(None, [wishes.get("leader")]):
        person_of(world, str(number))
    if wishes.get("department") not in (None, *world.directory.departments):
        raise Refused("sandbox.error.bad_request", why=f"department {wishes['department']}")
    before = _contact(world, person)
    old_department = _department(world, person)
    for name in CHANGEABLE:
        if name in wishes:
            setattr(person, name, wishes[name])
    after = _contact(world, person)
    old = {name: value for name, value in before.items() if after.get(name) != value}
    if _department(world, person) != old_department:
        old["department_ids"] = [old_department]
    if old or before.keys() != after.keys():
        world.emit("contact.user.updated_v3", {"object": after, "old_object": old})
        world.bus.publish("person", person.id, person)


def _contact(world: SandboxWorld, person: Person) -> dict[str, Any]:
    """A person as contact events show them: department_ids has no value there, the leader is an open_id."""
    shape = shapes.user(world, person, "open_id", "open_department_id")
    del shape["department_ids"]
    return shape


def _department(world: SandboxWorld, person: Person) -> str:
    return world.directory.departments[person.department].open_id

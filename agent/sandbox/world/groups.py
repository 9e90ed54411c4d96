"""What happens to groups: made, renamed, people in and out, dissolved (im-v1/chat, im-v1/chat-members)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import timedelta
from typing import Any

from agent.sandbox.rules.refusal import FeishuError, invalid
from agent.sandbox.world import watch
from agent.sandbox.world.people import Person, derive
from agent.sandbox.world.things import Group, System
from agent.sandbox.world.world import SandboxWorld

ONCE_FOR = timedelta(hours=10)
"""A uuid (with its owner) makes at most one group in this time (im-v1/chat/create)."""
NAME_MAX, DESCRIPTION_MAX = 60, 100
"""Feishu advises these; the sandbox insists, so that no reader sees a cut name."""
INVITE_MAX = 50
DEFAULTS: Mapping[str, Any] = {
    "chat_type": "private",
    "group_message_type": "chat",
    "join_message_visibility": "all_members",
    "leave_message_visibility": "all_members",
    "membership_approval": "no_approval_required",
    "add_member_permission": "all_members",
    "share_card_permission": "allowed",
    "at_all_permission": "all_members",
    "edit_permission": "all_members",
    "urgent_setting": "all_members",
    "video_conference_setting": "all_members",
    "hide_member_count_setting": "all_members",
    "moderation_permission": "all_members",
}


def settings_in(body: Mapping[str, Any]) -> dict[str, Any]:
    """The group settings that a request names."""
    return {name: body[name] for name in DEFAULTS if body.get(name) is not None}


def check_words(name: Any, description: Any) -> None:
    """Raises 99992402 for a name or description of the wrong type or longer than Feishu shows."""
    if name is not None and (not isinstance(name, str) or len(name) > NAME_MAX):
        raise invalid("name")
    if description is not None and (not isinstance(description, str) or len(description) > DESCRIPTION_MAX):
        raise invalid("description")


def create(
    world: SandboxWorld,
    body: Mapping[str, Any],
    owner: Person | None,
    people: list[Person],
    uuid: str | None,
) -> Group:
    """Make a group, or hand back the one that this uuid and owner made in the last 10 hours."""
    name, description = body.get("name"), body.get("description")
    key = ("chat", uuid or "", owner.id if owner else "")
    fingerprint = f"{name}\x1f{description}"
    if uuid and (before := world.once(key, ONCE_FOR)):
        watch.uuid_used_again(world, uuid, before[1], fingerprint, chat_id=before[0])
        return world.groups[before[0]]
    if body.get("chat_type") == "public" and len(name or "") < 2:
        raise FeishuError(232020)
    members = list(dict.fromkeys([p.id for p in ([owner] if owner else []) + people]))
    group = Group(
        chat_id=world.new_id("oc"),
        name=name or "",
        description=description or "",
        created_at=world.now(),
        owner=owner.id if owner else None,
        members=members,
        uuid=uuid,
        settings={**DEFAULTS, **settings_in(body)},
    )
    group.log.append(System("created", group.created_at, None, tuple(members)))
    world.groups[group.chat_id] = group
    if uuid:
        world.remember(key, group.chat_id, fingerprint)
    world.journal.count("groups", "created")
    watch.group_made(world, group)
    changed(world, group)
    return group


def direct_chat(world: SandboxWorld, person: Person) -> Group:
    """The one-to-one chat of a person with the bot; made on first use."""
    chat_id = "oc_" + derive("p2p", world.app.app_id, person.id)[:32]
    group = world.groups.get(chat_id)
    if group is None:
        group = Group(chat_id, "", world.now(), person=person.id, members=[person.id])
        world.groups[chat_id] = group
        changed(world, group)
    return group


def group_of(world: SandboxWorld, chat_id: str, *, bot_in: bool = True, alive: bool = True) -> Group:
    """The group. Raises 232006 unknown, 232009 dissolved, 232011 when the bot is not in it."""
    group = world.groups.get(chat_id)
    if group is None:
        raise FeishuError(232006)
    if alive and group.dissolved_at is not None:
        raise FeishuError(232009)
    if bot_in and not group.bot_in:
        raise FeishuError(232011)
    return group


def may_manage(world: SandboxWorld, group: Group) -> bool:
    """The bot owns the group, or made it and has the scope im:chat:operate_as_owner (the bot made every group here)."""
    return group.owner is None or world.app.operate_as_owner


def add(world: SandboxWorld, group: Group, people: Iterable[Person], by: str | None = None) -> list[str]:
    """Put people in; those already there are left as they are. The numbers that came in."""
    new = [p.id for p in people if p.id not in group.members]
    group.members.extend(new)
    if new:
        note(world, group, System("added", world.now(), by, tuple(new)))
    return new


def remove(
    world: SandboxWorld, group: Group, people: Iterable[Person], by: str | None = None, left: bool = False
) -> None:
    """Take people out, by the bot, by somebody, or (left) by themselves."""
    gone = [p for p in people if p.id in group.members]
    if not gone:
        return
    for person in gone:
        group.members.remove(person.id)
    if group.owner in {p.id for p in gone}:
        group.owner = group.members[0] if group.members else None
    note(world, group, System("left" if left else "removed", world.now(), by, tuple(p.id for p in gone)))
    event = chat_event(world, group, by)
    event["users"] = [{"name": p.name, "tenant_key": world.app.tenant_key, "user_id": p.ids()} for p in gone]
    world.emit("im.chat.member.user.deleted_v1", event)


def remove_bot(world: SandboxWorld, group: Group, by: str | None = None) -> None:
    """The bot leaves or is put out. Raises 232029 if it owns the group and nobody can follow."""
    if group.owner is None:
        if not group.members:
            raise FeishuError(232029)
        group.owner = group.members[0]
    group.bot_in = False
    note(world, group, System("bot_removed", world.now(), by))
    world.emit("im.chat.member.bot.deleted_v1", chat_event(world, group, by))


def dissolve(world: SandboxWorld, group: Group, by: str | None = None, keep_history: bool = False) -> None:
    """End the group. With `keep_history` (a person ticked it in the client) no event tells the bot."""
    group.dissolved_at, group.history_kept = world.now(), keep_history
    world.journal.count("groups", "dissolved")
    note(world, group, System("dissolved", group.dissolved_at, by))
    if not keep_history and group.bot_in:
        world.emit("im.chat.disbanded_v1", chat_event(world, group, by))


def rename(world: SandboxWorld, group: Group, body: Mapping[str, Any], owner: Person | None) -> None:
    """Apply an update; what is not named stays."""
    if body.get("name") is not None and body["name"] != group.name:
        group.name = body["name"]
        note(world, group, System("renamed", world.now(), None, text=group.name))
    if body.get("description") is not None:
        group.description = body["description"]
    group.settings.update(settings_in(body))
    if owner is not None:
        group.owner = owner.id
    changed(world, group)


def chat_event(world: SandboxWorld, group: Group, by: str | None) -> dict[str, Any]:
    """The fields that all chat events share; without a person the operator is the bot."""
    person = world.directory.people.get(by or "")
    return {
        "chat_id": group.chat_id,
        "operator_id": person.ids() if person else {"open_id": world.bot_open_id},
        "external": False,
        "operator_tenant_key": world.app.tenant_key,
        "name": group.name,
    }


def note(world: SandboxWorld, group: Group, happened: System) -> None:
    group.log.append(happened)
    world.bus.publish("system", f"{group.chat_id}/{len(group.log)}", (group, happened))
    changed(world, group)


def changed(world: SandboxWorld, group: Group) -> None:
    world.bus.publish("group", group.chat_id, group)

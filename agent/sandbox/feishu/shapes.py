"""How groups, messages and people look in Feishu's answers."""

from __future__ import annotations

import json
import re
from typing import Any

from agent.sandbox.cards import read
from agent.sandbox.world.journal import ms
from agent.sandbox.world.people import ROOT, Department, Person
from agent.sandbox.world.things import Group, Message
from agent.sandbox.world.world import SandboxWorld

_AT = re.compile(r"<at user_id=\"([^\"]+)\">(.*?)</at>")
RECALLED = "This message was recalled"


def chat_brief(world: SandboxWorld, group: Group, id_type: str) -> dict[str, Any]:
    """A group as lists show it."""
    shape: dict[str, Any] = {
        "chat_id": group.chat_id,
        "avatar": "",
        "name": group.name,
        "description": group.description,
        "external": False,
        "tenant_key": world.app.tenant_key,
        "chat_status": "normal",
    }
    if group.dissolved_at is not None:
        shape["chat_status"] = "dissolved_save" if group.history_kept else "dissolved"
    if group.owner is not None:
        shape["owner_id_type"] = id_type
        shape["owner_id"] = world.directory.people[group.owner].by_type(id_type)
    return shape


def chat_full(world: SandboxWorld, group: Group, id_type: str) -> dict[str, Any]:
    """A group as GET shows it; without the bot in it only name, counts and status."""
    counts = {"user_count": str(len(group.members)), "bot_count": str(int(group.bot_in))}
    brief = chat_brief(world, group, id_type)
    if not group.bot_in or group.dissolved_at is not None:
        return {name: brief[name] for name in ("avatar", "name", "chat_status")} | counts
    mode = {"chat_mode": "p2p" if group.direct else "group", "chat_tag": "inner"}
    return brief | counts | mode | ({} if group.direct else group.settings)


def message(world: SandboxWorld, item: Message, whole_card: bool = False) -> dict[str, Any]:
    """A message as GET and list show it: recalled ones without content, cards reduced unless `whole_card`."""
    person = world.directory.people.get(item.sender or "")
    content, mentions = _content(world, item, whole_card)
    shape: dict[str, Any] = {
        "message_id": item.message_id,
        "msg_type": item.msg_type,
        "create_time": ms(item.at),
        "update_time": ms(item.recalled_at or item.versions[-1].at),
        "deleted": item.recalled_at is not None,
        "updated": item.updates > 0,
        "chat_id": item.chat_id,
        "sender": {
            "id": person.open_id if person else world.app.app_id,
            "id_type": "open_id" if person else "app_id",
            "sender_type": "user" if person else "app",
            "tenant_key": world.app.tenant_key,
        },
        "body": {"content": content},
    }
    if mentions:
        shape["mentions"] = mentions
    if item.parent_id:
        shape |= {"parent_id": item.parent_id, "root_id": item.root_id}
    return shape


def _content(world: SandboxWorld, item: Message, whole_card: bool) -> tuple[str, list[dict[str, Any]]]:
    if item.recalled_at is not None:
        return RECALLED, []
    if item.msg_type == "interactive":
        card = item.content if whole_card else read.reduced(item.content)
        return json.dumps(card, ensure_ascii=False), []
    if item.msg_type == "text":
        text, mentions = mentioned(world, str(item.content["text"]))
        return json.dumps({"text": text}, ensure_ascii=False), mentions
    return json.dumps(item.content, ensure_ascii=False), []


def mentioned(world: SandboxWorld, text: str) -> tuple[str, list[dict[str, Any]]]:
    """<at> tags as @_user_N with the list of who that is."""
    found: list[dict[str, Any]] = []

    def replace(match: re.Match[str]) -> str:
        if match[1] == "all":
            return "@_all"
        person = world.directory.named(match[1])
        if person is None and match[1] != world.bot_open_id:
            return match[2]
        key = f"@_user_{len(found) + 1}"
        name = person.name if person else world.app.bot_name
        open_id = person.open_id if person else world.bot_open_id
        tenant = world.app.tenant_key
        found.append({"key": key, "id": open_id, "id_type": "open_id", "name": name, "tenant_key": tenant})
        return key

    return _AT.sub(replace, text), found


def status(person: Person) -> dict[str, bool]:
    gone = person.resigned
    return {
        "is_frozen": False,
        "is_resigned": gone,
        "is_activated": not gone,
        "is_exited": False,
        "is_unjoin": False,
    }


def user(world: SandboxWorld, person: Person, id_type: str, department_id_type: str) -> dict[str, Any]:
    """A person as contact/v3 shows them; the leader's id is of the type asked for."""
    department = world.directory.departments[person.department]
    shape: dict[str, Any] = {
        **person.ids(),
        "name": person.name,
        "email": person.email,
        "mobile": person.mobile,
        "mobile_visible": True,
        "status": status(person),
        "department_ids": [department_id(department, department_id_type)],
        "employee_no": person.id,
        "employee_type": 1,
        "job_title": person.title,
    }
    if person.leader is not None:
        shape["leader_user_id"] = world.directory.people[person.leader].by_type(id_type)
    return shape


def department_id(department: Department, id_type: str) -> str:
    return department.id if id_type == "department_id" else department.open_id


def department(world: SandboxWorld, item: Department, id_type: str, department_id_type: str) -> dict[str, Any]:
    parent = world.directory.departments.get(item.parent) or world.directory.departments[ROOT]
    shape: dict[str, Any] = {
        "name": item.name,
        "parent_department_id": department_id(parent, department_id_type),
        "department_id": item.id,
        "open_department_id": item.open_id,
        "member_count": len(world.directory.members(item)),
        "status": {"is_deleted": False},
    }
    if item.leader is not None:
        leader = world.directory.people[item.leader].by_type(id_type)
        shape["leader_user_id"] = leader
        shape["leaders"] = [{"leaderType": 1, "leaderID": leader}]
    return shape

"""im/v1/chats and their members."""

from __future__ import annotations

from agent.sandbox.feishu import shapes
from agent.sandbox.feishu.request import Answer, Req
from agent.sandbox.rules.refusal import FeishuError, invalid
from agent.sandbox.world import groups
from agent.sandbox.world.people import Person
from agent.sandbox.world.things import Group

BOTS_MAX = 5
SEARCH_MAX = 64
OWNER_ONLY = ("add_member_permission", "share_card_permission", "at_all_permission", "edit_permission", "owner_id")


def create(req: Req) -> Answer:
    """POST im/v1/chats. 232043 names unknown ids, 232022 a resigned one: then no group is made."""
    id_type = req.id_type()
    groups.check_words(req.body.get("name"), req.body.get("description"))
    people, resigned, unknown = req.people(req.strings("user_id_list", groups.INVITE_MAX), id_type)
    bots = req.strings("bot_id_list", BOTS_MAX)
    owner = _owner(req, id_type)
    if unknown or any(bot != req.world.app.app_id for bot in bots):
        raise FeishuError(232043, f"invalid ids: {unknown or bots}")
    if resigned:
        raise FeishuError(232022, f"resigned: {resigned}")
    group = groups.create(req.world, req.body, owner, people, req.uuid())
    return {**shapes.chat_full(req.world, group, id_type), **shapes.chat_brief(req.world, group, id_type)}


def _owner(req: Req, id_type: str) -> Person | None:
    value = req.body.get("owner_id")
    if not value:
        return None
    person = req.world.directory.find(id_type, str(value))
    if person is None:
        raise FeishuError(232030)
    if person.resigned:
        raise FeishuError(232022)
    return person


def get(req: Req) -> Answer:
    """GET im/v1/chats/:chat_id: also of a dissolved group, then with chat_status dissolved."""
    group = groups.group_of(req.world, req.params["chat_id"], bot_in=False, alive=False)
    return shapes.chat_full(req.world, group, req.id_type())


def _mine(req: Req) -> list[Group]:
    return [g for g in req.world.groups.values() if g.bot_in and g.dissolved_at is None and not g.direct]


def list_(req: Req) -> Answer:
    """GET im/v1/chats: groups that the bot is in, oldest first unless sort_type=ByActiveTimeDesc."""
    found = sorted(_mine(req), key=lambda g: g.created_at)
    if req.q("sort_type") == "ByActiveTimeDesc":
        found.sort(key=lambda g: _last_at(req, g), reverse=True)
    return _page_of(req, found)


def _last_at(req: Req, group: Group) -> float:
    at = req.world.messages[group.messages[-1]].at if group.messages else group.created_at
    return at.timestamp()


def search(req: Req) -> Answer:
    """GET im/v1/chats/search: all words of the query stand in name or description."""
    query = req.q("query")
    if len(query) > SEARCH_MAX:
        raise FeishuError(232001, "query is longer than 64")
    words = query.casefold().split()
    found = [g for g in _mine(req) if all(w in f"{g.name} {g.description}".casefold() for w in words)]
    return _page_of(req, found if words else [])


def _page_of(req: Req, found: list[Group]) -> Answer:
    id_type = req.id_type()
    items, mark = req.page(found, 20, 100)
    return {"items": [shapes.chat_brief(req.world, g, id_type) for g in items], **mark}


def update(req: Req) -> Answer:
    """PUT im/v1/chats/:chat_id."""
    group = groups.group_of(req.world, req.params["chat_id"])
    _no_direct(group)
    groups.check_words(req.body.get("name"), req.body.get("description"))
    allowed = groups.may_manage(req.world, group)
    if not allowed and group.settings["edit_permission"] == "only_owner":
        raise FeishuError(232002)
    if not allowed and any(req.body.get(name) is not None for name in OWNER_ONLY):
        raise FeishuError(232016, msg="Non-chat-owner or Non-chat-admin can only edit certain parts.")
    pair = (req.body.get("add_member_permission"), req.body.get("share_card_permission"))
    if pair not in ((None, None), ("all_members", "allowed"), ("only_owner", "not_allowed")):
        raise FeishuError(232001, "add_member_permission and share_card_permission must match")
    owner = _owner(req, req.id_type())
    if owner is not None and owner.id not in group.members:
        raise FeishuError(232012)
    groups.rename(req.world, group, req.body, owner)
    return {}


def dissolve(req: Req) -> Answer:
    """DELETE im/v1/chats/:chat_id. The history goes with it."""
    group = groups.group_of(req.world, req.params["chat_id"])
    _no_direct(group)
    if not groups.may_manage(req.world, group):
        raise FeishuError(232017)
    groups.dissolve(req.world, group)
    return {}


def _no_direct(group: Group) -> None:
    if group.direct:
        raise FeishuError(232008)


def add_members(req: Req) -> Answer:
    """POST …/members. succeed_type 0: unknown ids fail all, resigned ones are skipped; 1: what can; 2: all or none."""
    id_type = req.id_type("member_id_type", more=("app_id",))
    group = groups.group_of(req.world, req.params["chat_id"])
    _no_direct(group)
    how = req.q("succeed_type", "0")
    if how not in ("0", "1", "2"):
        raise invalid("succeed_type")
    if id_type == "app_id":
        return _add_bots(req, group)
    ids = req.strings("id_list", groups.INVITE_MAX)
    people, resigned, unknown = req.people(ids, id_type)
    if not ids:
        raise FeishuError(232027)
    if (unknown and how != "1") or (resigned and how == "2"):
        raise FeishuError(232043, f"invalid ids: {unknown + resigned}")
    groups.add(req.world, group, people)
    return {"invalid_id_list": resigned, "not_existed_id_list": unknown, "pending_approval_id_list": []}


def _add_bots(req: Req, group: Group) -> Answer:
    ids = req.strings("id_list", BOTS_MAX)
    unknown = [value for value in ids if value != req.world.app.app_id]
    if not ids or (unknown and req.q("succeed_type", "0") != "1"):
        raise FeishuError(232043 if ids else 232027)
    return {"invalid_id_list": [], "not_existed_id_list": unknown, "pending_approval_id_list": []}


def remove_members(req: Req) -> Answer:
    """DELETE …/members (with a body). With the own app_id the bot leaves, whatever its rights."""
    id_type = req.id_type("member_id_type", more=("app_id",))
    group = groups.group_of(req.world, req.params["chat_id"])
    _no_direct(group)
    ids = req.strings("id_list", BOTS_MAX if id_type == "app_id" else groups.INVITE_MAX)
    if id_type == "app_id":
        if req.world.app.app_id not in ids:
            raise FeishuError(232027)
        groups.remove_bot(req.world, group)
        return {"invalid_id_list": [value for value in ids if value != req.world.app.app_id]}
    if not groups.may_manage(req.world, group):
        raise FeishuError(232017)
    people, resigned, unknown = req.people(ids, id_type)
    if not people and not resigned:
        raise FeishuError(232027)
    if any(person.id == group.owner for person in people):
        raise FeishuError(232076)
    groups.remove(req.world, group, people)
    return {"invalid_id_list": unknown + resigned}


def list_members(req: Req) -> Answer:
    """GET …/members: people only, bots are left out."""
    id_type = req.id_type("member_id_type")
    group = groups.group_of(req.world, req.params["chat_id"])
    numbers, mark = req.page(group.members, 20, 100)
    people = [req.world.directory.people[number] for number in numbers]
    tenant = req.world.app.tenant_key
    items = [
        {"member_id_type": id_type, "member_id": p.by_type(id_type), "name": p.name, "tenant_key": tenant}
        for p in people
    ]
    return {"items": items, "member_total": len(group.members), **mark}


def is_in_chat(req: Req) -> Answer:
    """GET …/members/is_in_chat."""
    group = groups.group_of(req.world, req.params["chat_id"], bot_in=False, alive=False)
    return {"is_in_chat": group.bot_in and group.dissolved_at is None}

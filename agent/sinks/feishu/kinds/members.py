"""Who is in a chat: list, add, take out (im/v1/chats/:id/members). Idempotent by nature."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence

from agent.outbox.sink import Names
from agent.sinks.feishu.client import FeishuClient
from agent.sinks.feishu.people import People
from agent.sinks.feishu.retry import FarSays, Kind

log = logging.getLogger(__name__)
CHAT = "/open-apis/im/v1/chats/:chat_id"
SLICE = 50
"""People a call may add or take out."""
_MEMBERS = CHAT + "/members"
_OWNER_STAYS = 232076
_ROUNDS = 3


class Members:
    """The people of a chat. Each call may raise Unreachable or FarSays."""

    def __init__(self, client: FeishuClient, people: People) -> None:
        self._client, self._people = client, people

    def of(self, chat: str) -> set[str]:
        """The open_ids of all people in the chat (bots are left out by Feishu)."""
        query = [("member_id_type", "open_id"), ("page_size", "100")]
        found = self._client.pages("im.chat.members.get", _MEMBERS, query, {"chat_id": chat})
        return {str(member["member_id"]) for member in found if member.get("member_id")}

    def join(self, chat: str, people: Mapping[str, str], names: Names) -> set[str]:
        """Add people (employee number → open_id); an id that Feishu refuses is looked up anew, once.

        Returns the people who stay outside.
        """
        refused = self._add(chat, list(people.values()))
        if not refused:
            return set()
        again = [person for person, open_id in people.items() if open_id in refused]
        renewed = self._people.open_ids(again, names, refused)
        still = self._add(chat, list(renewed.values()))
        return {person for person in again if renewed.get(person, "") in still | {""}}

    def _add(self, chat: str, ids: Sequence[str]) -> set[str]:
        """Add open_ids in slices; returns those refused. succeed_type=1: one bad id does not stop the others."""
        refused: set[str] = set()
        for start in range(0, len(ids), SLICE):
            part = ids[start : start + SLICE]
            query = [("member_id_type", "open_id"), ("succeed_type", "1")]
            try:
                data = self._client.call(
                    "im.chat.members.create", "POST", _MEMBERS,
                    paths={"chat_id": chat}, query=query, body={"id_list": list(part)},
                )  # fmt: skip
            except FarSays as error:
                if error.kind is not Kind.PERSON:
                    raise
                refused |= self._sort_out(chat, part, error)
                continue
            refused |= {*(data.get("invalid_id_list") or ()), *(data.get("not_existed_id_list") or ())}
        return refused & set(ids)

    def _sort_out(self, chat: str, ids: Sequence[str], error: FarSays) -> set[str]:
        """Some id made the whole call fail: leave out those the answer names, else halve until the bad one is alone."""
        named = {open_id for open_id in ids if open_id in error.body}
        if named or len(ids) == 1:
            return (named or set(ids)) | self._add(chat, [i for i in ids if i not in (named or ids)])
        half = len(ids) // 2
        return self._add(chat, ids[:half]) | self._add(chat, ids[half:])

    def empty(self, chat: str) -> None:
        """Take people out until nobody is left, or only an owner of flesh and blood (somebody may join meanwhile)."""
        keep: set[str] = set()
        for _ in range(_ROUNDS):
            inside = sorted(self.of(chat) - keep)
            if not inside:
                return
            for start in range(0, len(inside), SLICE):
                try:
                    self.remove(chat, "open_id", inside[start : start + SLICE])
                except FarSays as error:
                    if error.code != _OWNER_STAYS or keep:
                        raise
                    keep = self._owner(chat)
                    break

    def remove(self, chat: str, id_type: str, ids: Sequence[str]) -> None:
        """Take out up to 50 people (id_type open_id) or bots (app_id; anybody may take out itself)."""
        self._client.call(
            "im.chat.members.delete", "DELETE", _MEMBERS,
            paths={"chat_id": chat}, query=[("member_id_type", id_type)], body={"id_list": list(ids)},
        )  # fmt: skip

    def _owner(self, chat: str) -> set[str]:
        query = [("user_id_type", "open_id")]
        data = self._client.call("im.chat.get", "GET", CHAT, paths={"chat_id": chat}, query=query)
        return {str(data.get("owner_id") or "?")}

"""Group chats: open, add people, empty, dissolve (im/v1/chats; README.md, Once each).

Creating is idempotent by `uuid` for 10 h (together with owner_id, which therefore never changes between attempts);
everything else is idempotent by nature. One member change at a time per chat: messages of a ticket come one by one.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Mapping, Sequence
from datetime import timedelta
from typing import Any

from agent.errors import Rejected, Unreachable
from agent.outbox.sink import Delivered, Message, Names, Reissue
from agent.sinks.feishu.card.elements import cut
from agent.sinks.feishu.client import FeishuClient
from agent.sinks.feishu.kinds.members import CHAT, SLICE, Members
from agent.sinks.feishu.people import People
from agent.sinks.feishu.retry import FarSays, Kind, Unknown

log = logging.getLogger(__name__)
WINDOW = timedelta(hours=10)
NOT_YET_S = 2.0
PATIENCE = 3
"""Attempts for which a message waits for what it needs: an edge hands back far ids that a new relay lacks."""
_CHATS = "/open-apis/im/v1/chats"
_BOT_OUTSIDE = 232011
Words = Callable[[Any], str]
Expired = Callable[[Message, timedelta], bool]


class Groups:
    """The message kinds open_group, add_people, leave_group, dissolve_group."""

    def __init__(self, client: FeishuClient, people: People, words: Words, expired: Expired, app_id: str) -> None:
        self._client, self._people, self._words, self._expired = client, people, words, expired
        self._app_id, self._members = app_id, Members(client, people)

    def open(self, message: Message, names: Names) -> Delivered | Reissue:
        """One group per ticket, owned by the bot unless an owner is named; whoever cannot join is named in the note."""
        payload, note, inside = message.payload, "", set[str]()
        people = self._people.open_ids(payload["people"], names)
        chat = names.far(payload["group"])
        if chat is not None:
            note = "already open"
        elif self._expired(message, WINDOW):
            chat, note = self._look_up(payload["ticket"]), "found by reconciliation"
            if chat is None:
                return Reissue()
        else:
            chat, inside = self._create(message, names, list(people.values()))
        try:
            if note or message.first_tried_at is not None:
                inside = self._members.of(chat)
            joining = {person: open_id for person, open_id in people.items() if open_id not in inside}
            if joining:
                names.remember(payload["group"], chat)  # a repeat is not to depend on what a known uuid is answered
            missing = {p for p in payload["people"] if p not in people} | self._join_all(chat, joining, names)
            if payload.get("owner") in missing:
                self._bring_superior(chat, str(payload["owner"]), names)
        except FarSays as error:
            if not _gone(error):
                raise
            return Delivered({payload["group"]: chat}, "already gone")
        return Delivered({payload["group"]: chat}, "; ".join(filter(None, (note, _missing(missing)))))

    def add(self, message: Message, names: Names) -> Delivered:
        """Add people to the group; those already in it stay."""
        payload = message.payload
        chat = needed(message, names, payload["group"])
        people = self._people.open_ids(payload["people"], names)
        try:
            outside = {p for p in payload["people"] if p not in people} | self._members.join(chat, people, names)
            for person in sorted(outside):
                self._bring_superior(chat, person, names)
        except FarSays as error:
            if error.kind is Kind.GONE:
                return Delivered(note="already gone")
            raise
        return Delivered(note=_missing(outside))

    def leave(self, message: Message, names: Names) -> Delivered:
        """Take all people out, then dissolve what is left."""
        chat = names.far(message.payload["group"]) or self.find(message.payload["ticket"])
        if chat is None:
            return Delivered(note="no such group")
        try:
            self._members.empty(chat)
        except FarSays as error:
            if _gone(error):
                return Delivered(note="already gone")
            if error.kind is not Kind.RIGHTS:
                raise
            log.warning("people cannot be taken out: %s", error.reason)
        return self._dissolve(chat)

    def dissolve(self, message: Message, names: Names) -> Delivered:
        """Dissolve the group; if the bot may not, it leaves."""
        chat = names.far(message.payload["group"]) or self.find(message.payload["ticket"])
        return Delivered(note="no such group") if chat is None else self._dissolve(chat)

    def find(self, number: str) -> str | None:
        """The bot's group that carries this ticket number in its name (else in its description).

        The list of the bot's own groups, not the search: that is fuzzy and its index may lag.
        """
        second = None
        for chat in self._client.pages("im.chat.list", _CHATS, [("page_size", "100")]):
            if chat.get("chat_status", "normal") != "normal" or not chat.get("chat_id"):
                continue
            if carries(str(chat.get("name", "")), number):
                return str(chat["chat_id"])
            if carries(str(chat.get("description", "")), number):
                second = second or str(chat["chat_id"])
        return second

    def _look_up(self, number: str) -> str | None:
        """As `find`; if the app may not list its groups, rather a second group than none."""
        try:
            return self.find(number)
        except FarSays as error:
            log.warning("groups cannot be looked up, the group is opened anew: %s", error.reason)
            return None

    def _create(self, message: Message, names: Names, ids: Sequence[str]) -> tuple[str, set[str]]:
        """The new (or, repeated, the first) group and who was put into it."""
        first, owner = list(ids[:SLICE]), self._owner(message, names)
        name, description = self._called(message)
        for _ in range(3):
            body = {"name": name, "description": description, "user_id_list": first, "owner_id": owner}
            body |= {"chat_type": "private"}
            query = [("user_id_type", "open_id"), ("set_bot_manager", "true"), ("uuid", message.key)]
            filled = {key: value for key, value in body.items() if value}
            try:
                data = self._client.call("im.chat.create", "POST", _CHATS, query=query, body=filled)
            except FarSays as error:
                if error.kind is Kind.PERSON and (first or owner):  # nobody, then one by one: adding tolerates bad ids
                    first, owner = [], None
                    names.remember(f"owner:{message.payload['ticket']}", "-")
                elif error.kind is Kind.CONTENT and description:
                    name, description = str(message.payload["ticket"]), ""
                else:
                    raise
                continue
            if data.get("chat_id"):
                return str(data["chat_id"]), set(first)
            found = self._look_up(message.payload["ticket"])  # what a repeated uuid gets is documented nowhere
            if found is None:
                raise Unknown("im.chat.create: no chat_id in the answer")
            return found, set()
        raise Unknown("im.chat.create: refused three times")

    def _called(self, message: Message) -> tuple[str, str]:
        number = str(message.payload["ticket"])
        name = " ".join(cut(self._words(message.payload["name"]), 60).split())
        if number not in name:
            name = f"{cut(name, 57 - len(number))} · {number}"
        description = cut(self._words(message.payload.get("description") or ""), 100)
        return name, description or number

    def _owner(self, message: Message, names: Names) -> str | None:
        """The named owner's open_id, decided once and kept: it is part of the idempotency key."""
        owner, kept = message.payload.get("owner"), names.far(f"owner:{message.payload['ticket']}")
        if not owner or kept is not None:
            return None if kept in (None, "-") else kept
        found = self._people.open_ids([owner], names).get(owner)
        names.remember(f"owner:{message.payload['ticket']}", found or "-")
        return found

    def _join_all(self, chat: str, people: Mapping[str, str], names: Names) -> set[str]:
        """Who could not be added; the group stands, so a refusal does not stop it."""
        try:
            return self._members.join(chat, people, names)
        except FarSays as error:
            if _gone(error):
                raise
            log.warning("people cannot be added: %s", error.reason)
            return set(people)

    def _bring_superior(self, chat: str, person: str, names: Names) -> None:
        """Somebody who is to act cannot join: whoever is above them, and can, joins instead."""
        for leader in self._people.instead_of(person, names):
            found = self._people.open_ids([leader], names)
            if found and not self._join_all(chat, found, names):
                log.info("%s is not in Feishu: %s joins instead", person, leader)
                return

    def _dissolve(self, chat: str) -> Delivered:
        try:
            self._client.call("im.chat.delete", "DELETE", CHAT, paths={"chat_id": chat})
            return Delivered()
        except FarSays as error:
            if _gone(error):
                return Delivered(note="already gone")
            if error.kind is not Kind.RIGHTS:
                raise
        try:
            self._members.remove(chat, "app_id", [self._app_id])
        except FarSays as error:
            if not _gone(error):
                raise
        return Delivered(note="left the group: only its owner may dissolve it")


def needed(message: Message, names: Names, logical: str) -> str:
    """The far id of the group or card that a message needs.

    Messages of a ticket come in order: what makes it (open_group, post_card) was settled before this one came up, so
    what is unknown after a few attempts was refused and will never come. Raises Unreachable, then Rejected.
    """
    found = names.far(logical)
    if found is not None:
        return found
    what, maker = ("card", "post_card") if logical.startswith("card:") else ("group", "open_group")
    if message.attempt <= PATIENCE:
        raise Unreachable(f"{what} not made yet", NOT_YET_S)
    raise Rejected(f"its {what} was never made: {maker} was refused or dropped; send {maker} again first, then this")


def carries(words: str, number: str) -> bool:
    """Whether the ticket number stands in the words, not merely as the start of a longer one."""
    return re.search(rf"(?<![0-9A-Za-z]){re.escape(number)}(?![0-9A-Za-z])", words) is not None


def _gone(error: FarSays) -> bool:
    return error.kind is Kind.GONE or error.code == _BOT_OUTSIDE


def _missing(people: set[str]) -> str:
    return f"not in the group (no account in Feishu, or refused): {', '.join(sorted(people))}" if people else ""

"""Employee number → open_id: from the directory, from what was learnt before, or by asking Feishu's contact API.

open_ids differ per app (contact-v3/user/batch_get_id, contact-v3/user/get), so they are learnt and kept.
"""

from __future__ import annotations

import logging
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any

from agent.clock import Clock
from agent.outbox.sink import Names
from agent.sinks.feishu.client import FeishuClient
from agent.sinks.feishu.retry import FarSays

log = logging.getLogger(__name__)
_BATCH = 50
_AGAIN_S = 600.0
_LEVELS = 3
Entry = Mapping[str, Any]


class People:
    """Resolves people. Whoever cannot be resolved is left out of the answer; the caller decides what that means.

    `last`: employee numbers of who answers when nobody else can.
    """

    def __init__(self, client: FeishuClient, clock: Clock, last: Sequence[str] = ()) -> None:
        self._client, self._clock, self._last = client, clock, last
        self._in_vain: dict[str, float] = {}

    def open_ids(self, people: Sequence[str], names: Names, bad: Collection[str] = ()) -> dict[str, str]:
        """Employee number → open_id, in the order asked, each once. `bad`: open_ids that Feishu refused just now.

        Raises Unreachable when Feishu cannot be asked.
        """
        found: dict[str, str] = {}
        unknown: dict[str, Entry] = {}
        for person in dict.fromkeys(people):
            entry = names.person(person) or {}
            known = local_open_id(person, entry, names, bad)
            if known is None:
                unknown[person] = entry
            else:
                found[person] = known
        learnt = {p: i for p, i in self._ask(unknown).items() if i not in bad}
        for person, open_id in learnt.items():
            names.remember(f"person:{person}", open_id)
        found |= learnt
        return {person: found[person] for person in dict.fromkeys(people) if person in found}

    def learn(self, people: Sequence[str], names: Names) -> None:
        """Get to know the open_ids of people who are about to be mentioned; who was not found is left for a while."""
        now = self._clock.monotonic()
        wanted = [p for p in people if now - self._in_vain.get(p, -_AGAIN_S) >= _AGAIN_S]
        found = self.open_ids(wanted, names) if wanted else {}
        self._in_vain.update({p: now for p in wanted if p not in found})

    def instead_of(self, person: str, names: Names) -> Iterator[str]:
        """Who answers for a person that Feishu cannot reach: leader upon leader, then the last resort, nobody twice."""
        seen, below = {person}, person
        for _ in range(_LEVELS):
            leader = str((names.person(below) or {}).get("leader") or "")
            entry = names.person(leader) if leader and leader not in seen else None
            if entry is None:
                break
            seen.add(leader)
            below = leader
            if entry.get("active", True):
                yield leader
        yield from (other for other in self._last if other not in seen)

    def _ask(self, unknown: Mapping[str, Entry]) -> dict[str, str]:
        """Ask by user_id first, the rest by mail and mobile."""
        learnt: dict[str, str] = {}
        for person, entry in unknown.items():
            if entry.get("user_id") and (open_id := self._by_user_id(str(entry["user_id"]))):
                learnt[person] = open_id
        rest = {p: e for p, e in unknown.items() if p not in learnt}
        mails = {str(e["email"]).lower(): p for p, e in rest.items() if e.get("email")}
        phones = {_digits(e["mobile"]): p for p, e in rest.items() if e.get("mobile")}
        return learnt | self._by_contact(mails, phones)

    def _by_user_id(self, user_id: str) -> str | None:
        try:
            data = self._client.call(
                "contact.user.get", "GET", "/open-apis/contact/v3/users/:user_id",
                paths={"user_id": user_id}, query=[("user_id_type", "user_id")],
            )  # fmt: skip
        except FarSays as error:
            log.warning("a person cannot be looked up: %s", error.reason)
            return None
        user = data.get("user")
        return str(user["open_id"]) if isinstance(user, dict) and user.get("open_id") else None

    def _by_contact(self, mails: Mapping[str, str], phones: Mapping[str, str]) -> dict[str, str]:
        """At most 50 mails and 50 mobiles a call; unknown ones come back without an id (and code 0)."""
        learnt: dict[str, str] = {}
        for start in range(0, max(len(mails), len(phones)), _BATCH):
            body = {"emails": list(mails)[start : start + _BATCH], "mobiles": list(phones)[start : start + _BATCH]}
            try:
                data = self._client.call(
                    "contact.batch_get_id", "POST", "/open-apis/contact/v3/users/batch_get_id",
                    query=[("user_id_type", "open_id")], body={k: v for k, v in body.items() if v},
                )  # fmt: skip
            except FarSays as error:
                log.warning("people cannot be looked up: %s", error.reason)
                break
            for user in data.get("user_list") or ():
                by = mails.get(str(user.get("email", "")).lower()) or phones.get(_digits(user.get("mobile", "")))
                if by is not None and user.get("user_id"):
                    learnt.setdefault(by, str(user["user_id"]))
        return learnt


def local_open_id(person: str, entry: Entry, names: Names, bad: Collection[str] = ()) -> str | None:
    """The open_id that is known here, without asking Feishu: the directory's, else the one learnt before."""
    for known in (entry.get("open_id"), names.far(f"person:{person}")):
        if known and known not in bad:
            return str(known)
    return None


def name_of(person: str, names: Names) -> str:
    """A person's name, or the employee number if nobody of that number is known."""
    entry = names.person(person) or {}
    return str(entry.get("name") or person)


def _digits(mobile: object) -> str:
    """A mobile number as it is compared and sent: digits and a leading +; +86 is Feishu's default and left out."""
    kept = "".join(c for c in str(mobile) if c.isdigit() or c == "+")
    return kept.removeprefix("+86")

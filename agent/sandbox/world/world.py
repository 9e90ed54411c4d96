"""The world behind the stand-in: one app, its tenant, its people, groups, messages. Touched by one event loop only."""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from agent import texts
from agent.clock import Clock
from agent.sandbox.push.queue import Pushes
from agent.sandbox.rules.faults import Faults
from agent.sandbox.rules.limits import Limits
from agent.sandbox.world.bus import Bus
from agent.sandbox.world.journal import Journal
from agent.sandbox.world.people import Directory, derive
from agent.sandbox.world.things import Group, Message

EVENTS = frozenset(
    {
        "im.message.receive_v1",
        "im.chat.disbanded_v1",
        "im.chat.member.user.deleted_v1",
        "im.chat.member.bot.deleted_v1",
        "contact.user.updated_v3",
        "contact.user.deleted_v3",
        "application.bot.menu_v6",
    }
)
"""Events the app has subscribed to in its console; others are not pushed. A click needs no subscription."""
CLIENT_CONFIG: Mapping[str, int] = {
    "ReconnectCount": -1,
    "ReconnectInterval": 2,
    "ReconnectNonce": 1,
    "PingInterval": 10,
}
"""What the long connection tells its client, in seconds; Feishu says 120, 30 and 120, too slow to watch."""
_ONCE_MAX = 20_000


@dataclass(frozen=True, slots=True)
class AppSettings:
    """What stands in the app's console: credentials, scopes that change behaviour, subscribed events."""

    app_id: str = "cli_sandbox00000001"
    app_secret: str = "sandbox-secret"  # noqa: S105  (opens nothing but this sandbox)
    bot_name: str = field(default_factory=lambda: texts.table("zh")["sandbox.bot"])
    tenant_key: str = "sandboxtenant001"
    operate_as_owner: bool = True
    """Scope im:chat:operate_as_owner: the bot may act as owner in groups it created."""
    all_messages: bool = False
    """Scope im:message.group_msg: every group message, not only those that @ the bot."""
    events: frozenset[str] = EVENTS
    token_ttl_s: int = 7200
    token_error_status: int = 400
    latency_s: float = 0.0
    """Real seconds that each call takes."""
    limits: bool = True
    client_config: Mapping[str, int] = field(default_factory=lambda: CLIENT_CONFIG)


@dataclass(slots=True)
class Office:
    """The office network: up, or cut so that calls are reset or left hanging."""

    up: bool = True
    mode: str | None = None
    since: datetime | None = None


@dataclass(frozen=True, slots=True)
class Media:
    """An uploaded picture or file; `by_bot` tells whose it is."""

    key: str
    kind: str
    data: bytes = field(repr=False)
    mime: str
    name: str
    by_bot: bool = True


class SandboxWorld:
    """All state. Groups and messages are changed by world/groups.py and world/messages.py."""

    def __init__(self, clock: Clock, directory: Directory, app: AppSettings | None = None) -> None:
        self.clock, self.directory, self.app = clock, directory, app or AppSettings()
        self.bus = Bus()
        self.journal = Journal(clock, self.bus)
        self.limits = Limits(clock, self.app.limits)
        self.faults = Faults()
        self.pushes = Pushes(clock, self.app.app_id, self.app.tenant_key)
        self.office = Office()
        self.groups: dict[str, Group] = {}
        self.messages: dict[str, Message] = {}
        self.media: dict[str, Media] = {}
        self.tokens: list[tuple[str, datetime]] = []
        self.limited_until: dict[str, tuple[float, float]] = {}
        self.next_deadline: datetime | None = None
        self._once: dict[tuple[str, ...], tuple[str, datetime, str]] = {}
        self.bot_open_id = "ou_" + derive("bot", self.app.app_id)[:32]

    def now(self) -> datetime:
        return self.clock.now()

    def new_id(self, prefix: str) -> str:
        """A fresh id such as om_…"""
        return f"{prefix}_{secrets.token_hex(16)}"

    # tenant tokens ------------------------------------------------------------------------------------------------

    def issue_token(self) -> tuple[str, int]:
        """(token, seconds left): the same one while it has 30 minutes or more, else a new one beside it."""
        now = self.now()
        self.tokens = [(token, until) for token, until in self.tokens if until > now]
        if self.tokens and self.tokens[-1][1] - now >= timedelta(minutes=30):
            token, until = self.tokens[-1]
        else:
            token, until = f"t-{secrets.token_hex(20)}", now + timedelta(seconds=self.app.token_ttl_s)
            self.tokens.append((token, until))
        return token, int((until - now).total_seconds())

    def token_valid(self, token: str) -> bool:
        return any(token == known and until > self.now() for known, until in self.tokens)

    def revoke_tokens(self) -> int:
        """All tokens die at once, as after a reset of the secret; how many there were."""
        count = len(self.tokens)
        self.tokens = []
        return count

    # idempotency --------------------------------------------------------------------------------------------------

    def once(self, key: tuple[str, ...], window: timedelta) -> tuple[str, str] | None:
        """(id of what the key made within the window, fingerprint of that request), or None."""
        found = self._once.get(key)
        if found is None or self.now() - found[1] >= window:
            return None
        return found[0], found[2]

    def remember(self, key: tuple[str, ...], made: str, fingerprint: str) -> None:
        self._once[key] = (made, self.now(), fingerprint)
        if len(self._once) > _ONCE_MAX:
            self._once.pop(next(iter(self._once)))

    # events -------------------------------------------------------------------------------------------------------

    def emit(self, event_type: str, event: dict[str, Any], copies: int = 1) -> str | None:
        """Push an event if the app has subscribed to it; its event_id or None."""
        if event_type not in self.app.events:
            return None
        event_id = self.pushes.add(event_type, event, copies)
        self.bus.publish("counters", "")
        return event_id

    def cut_office(self, mode: str) -> None:
        self.office = Office(False, mode, self.now())
        self.bus.publish("office", "")

    def restore_office(self) -> None:
        self.office = Office(True, None, self.now())
        self.bus.publish("office", "")

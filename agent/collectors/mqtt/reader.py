"""What reads the messages of a broker: the seam between the link and the meaning of topics and payloads.

A reader is made anew for each run and lives on the network thread (link.py); none of its methods may wait or raise.
Topics reads by the rules of the configuration file.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime

from paho.mqtt.client import topic_matches_sub

from agent.collectors.mqtt.decode import Rule, decode
from agent.collectors.mqtt.settings import MqttSettings
from agent.errors import BadSignal
from agent.model import Signal

_KNOWN_TOPICS = 10_000


@dataclass(slots=True)
class Taken:
    """What was read: the good and, each counted, the bad."""

    signals: list[Signal] = field(default_factory=list)
    bad: list[BadSignal] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Outgoing:
    """A message that the reader wants to be published."""

    topic: str
    payload: bytes
    qos: int = 0
    retain: bool = False


class Reader:
    """The hooks of the link. A reader must have `filters` and `take`; the others do nothing unless it needs them."""

    clean_session = False
    """True: the broker keeps nothing for us between two connections."""

    def filters(self) -> Sequence[str]:
        """What to subscribe to."""
        raise NotImplementedError

    def take(self, topic: str, payload: bytes, received_at: datetime) -> Taken:
        """Read a message. Never raises."""
        raise NotImplementedError

    def will(self, now: datetime) -> Outgoing | None:
        """The last will of the connection that is about to be made."""
        return None

    def connected(self, session_present: bool, now: datetime) -> None:
        """The broker accepted us."""

    def subscribed(self, now: datetime) -> None:
        """The broker granted all our subscriptions."""

    def lost(self, now: datetime) -> Taken | None:
        """A connection that had been accepted is over: what is to be said about the data that it brought."""
        return None

    def tick(self, now: datetime) -> Taken | None:
        """Called at least once a second while connected: what is due by time alone."""
        return None

    def outgoing(self) -> Sequence[Outgoing]:
        """What to publish now; each is handed out once."""
        return ()

    def farewell(self, now: datetime) -> Sequence[Outgoing]:
        """What to publish before we disconnect of our own will."""
        return ()


class Topics(Reader):
    """Reads messages by the rules of [[sources.NAME.topics]]."""

    def __init__(self, name: str, settings: MqttSettings) -> None:
        self._rules = [Rule.of(name, rule, settings.max_payload_bytes) for rule in settings.topics]
        self._by_topic: dict[str, list[Rule]] = {}

    def filters(self) -> Sequence[str]:
        return sorted({rule.filter for rule in self._rules})

    def take(self, topic: str, payload: bytes, received_at: datetime) -> Taken:
        rules, taken = self._rules_of(topic), Taken()
        if not rules:
            taken.bad.append(BadSignal("unexpected_topic", topic))
        for rule in rules:
            try:
                taken.signals += decode(rule, topic, payload, received_at)
            except BadSignal as bad:
                taken.bad.append(bad)
        return taken

    def _rules_of(self, topic: str) -> list[Rule]:
        rules = self._by_topic.get(topic)
        if rules is None:
            if len(self._by_topic) >= _KNOWN_TOPICS:
                self._by_topic.clear()
            rules = [rule for rule in self._rules if topic_matches_sub(_plain(rule.filter), topic)]
            self._by_topic[topic] = rules
        return rules


def _plain(topic_filter: str) -> str:
    """The filter without $share/group/ (MQTT 5 §4.8.2)."""
    return topic_filter.split("/", 2)[2] if topic_filter.startswith("$share/") else topic_filter

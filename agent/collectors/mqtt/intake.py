"""What came over MQTT and is on its way to the store: batches, what is owed a PUBACK, and how much may be held.

Belongs to the network thread (link.py); no sockets here. Order within a topic is kept: PUBACKs follow the order of
arrival (MQTT 3.1.1 §4.6), and once one message was turned away all later ones are, until the next connection.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from agent.clock import Clock
from agent.collectors.mqtt.reader import Reader, Taken
from agent.collectors.mqtt.settings import BrokerSettings
from agent.errors import BadSignal
from agent.model import Signal

BATCH = 500
"""Messages after which a batch is handed over although more may wait: a commit may as well begin."""


@dataclass(slots=True, eq=False)
class Token:
    """A message of QoS 1 that is owed a PUBACK. `connection` is the one that brought it last."""

    mid: int
    digest: int
    connection: int
    durable: bool = False


@dataclass(slots=True, eq=False)
class Batch:
    """What came in at once: `messages` counts all of them, `tokens` are those of QoS 1."""

    signals: list[Signal] = field(default_factory=list)
    bad: list[BadSignal] = field(default_factory=list)
    tokens: list[Token] = field(default_factory=list)
    messages: int = 0


class Intake:
    """Takes messages while there is room (twice the receive maximum: brokers overshoot it), turns away the rest."""

    def __init__(self, settings: BrokerSettings, clock: Clock, reader: Reader) -> None:
        self._clock, self._reader = clock, reader
        self._patience_s = settings.keepalive_s / 2
        self._cap = 2 * settings.max_inflight
        self._owed: dict[int, Token] = {}  # by packet id, which has 16 bits: bounded
        self._batch = Batch()
        self._connection = self._held = 0
        self._live = False
        self._full_since: float | None = None
        self.turned_away = False
        """A message of this connection was neither taken nor acknowledged; only a new connection brings it back."""
        self.dropped = 0
        """QoS 0 messages for which there was no room; they have no second time."""

    def connected(self, session_present: bool) -> None:
        """A new connection was accepted. Without a session packet ids start anew, and nothing is delivered again."""
        last = self._connection
        owed = self._owed.items() if session_present else ()
        self._owed = {mid: t for mid, t in owed if t.connection == last or not t.durable}
        self._connection += 1
        self._live = True
        self.turned_away = False

    def disconnected(self) -> None:
        """The connection is gone: what becomes durable now is acknowledged when it comes again."""
        self._live = False

    def take(self, mid: int, qos: int, dup: bool, topic: str | None, payload: bytes) -> int | None:
        """Take a message in; `topic` is None if it was not UTF-8. Never raises, whatever the message holds.

        Returns a packet id to acknowledge at once: the message came again although it is durable already.
        """
        digest = hash((topic, payload))
        known = self._owed.get(mid) if dup else None
        if known is not None and known.digest == digest and known.connection < self._connection:
            known.connection = self._connection  # the same delivery again, and it is still in our hands
            return self._settle(known)
        if self._held >= self._cap or self.turned_away:
            self.turned_away = self.turned_away or qos > 0
            self.dropped += qos == 0
            return None
        batch = self._batch
        if qos:
            token = self._owed[mid] = Token(mid, digest, self._connection)
            batch.tokens.append(token)
        batch.messages += 1
        self._held += 1
        if topic is None:
            batch.bad.append(BadSignal("bad_topic", repr(payload[:100])))
        elif not topic.startswith("$"):  # those are the broker's own
            self.add(self._reader.take(topic, payload, self._clock.now()))
        return None

    def add(self, taken: Taken) -> None:
        """Put what no message brought to the batch."""
        self._batch.signals += taken.signals
        self._batch.bad += taken.bad

    def batch(self) -> Batch | None:
        """What was taken since the last call, None if nothing."""
        batch = self._batch
        if not (batch.messages or batch.signals or batch.bad):
            return None
        self._batch = Batch()
        return batch

    def free(self, batch: Batch) -> list[int]:
        """The batch is durable: the packet ids to acknowledge on this connection.

        An id of an older connection may mean another message by now; its PUBACK waits for the redelivery.
        """
        self._held -= batch.messages
        mids = []
        for token in batch.tokens:
            token.durable = True
            if (mid := self._settle(token)) is not None:
                mids.append(mid)
        return mids

    def _settle(self, token: Token) -> int | None:
        if not (token.durable and self._live and token.connection == self._connection):
            return None
        if self._owed.get(token.mid) is token:
            del self._owed[token.mid]
        return token.mid

    def full(self) -> bool:
        """There is no room for another message."""
        return self._held >= self._cap

    def roomy(self) -> bool:
        """There is room again, enough for what was turned away."""
        return self._held <= self._cap // 2

    def may_read(self) -> bool:
        """Reading pauses while it is full; but not for long, since behind the messages waits the answer to our ping.

        After half a keepalive reading goes on, and what comes is turned away.
        """
        if not self.full():
            self._full_since = None
            return True
        now = self._clock.monotonic()
        if self._full_since is None:
            self._full_since = now
        return now - self._full_since > self._patience_s

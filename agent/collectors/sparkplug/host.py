"""The host application: follows every edge node from birth to death, and says on the broker that it is there.

Lives on the network thread of the link (agent/collectors/mqtt/reader.py); no sockets here.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from agent.clock import Clock
from agent.collectors.mqtt.reader import Outgoing, Reader, Taken
from agent.collectors.sparkplug import wire
from agent.collectors.sparkplug.metrics import BD_SEQ, Metrics
from agent.collectors.sparkplug.nodes import Node, Scope
from agent.collectors.sparkplug.order import Order
from agent.collectors.sparkplug.rebirths import NodeId, Rebirths
from agent.collectors.sparkplug.settings import SparkplugSettings
from agent.collectors.sparkplug.wire import Address, Message
from agent.errors import BadSignal

_BETWEEN_STATES_S = 0.2
_MOST_WAITING = 100
"""Nodes whose messages are held back at once."""
_DEVICES_A_NODE = 20
"""On average: with this and max_nodes the devices are bounded."""


class Host(Reader):
    """Reads Sparkplug messages. Order, births and deaths are those of the specification, §5."""

    def __init__(self, name: str, settings: SparkplugSettings, clock: Clock) -> None:
        self._name, self._settings, self._clock = name, settings, clock
        self.clean_session = settings.clean_session
        self._metrics = Metrics(name, settings)
        self._nodes: dict[NodeId, Node] = {}
        self._waiting: set[NodeId] = set()
        self._rebirths = Rebirths(settings.rebirth_pause_s)
        self._out: list[Outgoing] = []
        self._began_ms = 0
        self._up = self._online = False
        self._announced_at = float("-inf")
        self._contradicted = False

    # The connection.

    def filters(self) -> Sequence[str]:
        return self._settings.filters()

    def will(self, now: datetime) -> Outgoing | None:
        self._began_ms = max(self._began_ms, wire.milliseconds(now))
        return self._state(False)

    def connected(self, session_present: bool, now: datetime) -> None:
        """What was missed meanwhile is unknown: names and aliases count no more, unless the broker kept all for us."""
        self._up = True
        for key, node in self._nodes.items():
            if not session_present:
                self._forget(node)
            self._want(key, settle=True)

    def subscribed(self, now: datetime) -> None:
        self._online = True
        self._announce()

    def lost(self, now: datetime) -> Taken:
        """Without a connection nothing is known to be as it was (§5.2)."""
        self._up = self._online = False
        self._out.clear()
        taken = Taken()
        for node in self._nodes.values():
            self._follow(node, node.order.end(), taken)
            self._stale(node, now, taken)
        self._waiting.clear()
        return taken

    def farewell(self, now: datetime) -> Sequence[Outgoing]:
        if not self._settings.host_id:
            return ()
        return (wire.state(self._settings.host_id, False, max(self._began_ms, wire.milliseconds(now))),)

    def outgoing(self) -> Sequence[Outgoing]:
        out, self._out = self._out, []
        return out

    def _state(self, online: bool) -> Outgoing | None:
        host = self._settings.host_id
        return wire.state(host, online, self._began_ms) if host else None

    def _announce(self) -> None:
        """Say that we are here; if somebody else keeps saying the contrary, not faster than a few times a second."""
        now = self._clock.monotonic()
        self._contradicted = now - self._announced_at < _BETWEEN_STATES_S
        birth = self._state(True)
        if birth is not None and not self._contradicted:
            self._announced_at = now
            self._out.append(birth)

    # Messages.

    def take(self, topic: str, payload: bytes, received_at: datetime) -> Taken:
        taken = Taken()
        try:
            at = wire.address(topic)
            if at.kind == "STATE":
                if at.node == self._settings.host_id and wire.says_offline(payload) and self._online:
                    self._announce()
            elif at.kind not in ("NCMD", "DCMD"):  # commands of other hosts, or our own
                self._take(at, payload, received_at, taken)
        except BadSignal as bad:
            taken.bad.append(bad)
        return taken

    def _take(self, at: Address, payload: bytes, received_at: datetime, taken: Taken) -> None:
        key = at.group, at.node
        try:
            message = Message(
                at, wire.parse(payload, self._settings.max_payload_bytes), hash((at, payload)), received_at
            )
        except BadSignal as bad:
            if key in self._nodes:
                self._want(key)
            raise BadSignal(bad.kind, f"{at.kind} {at.group[:40]}/{at.node[:40]} {bad.sample}") from None
        if len(message.payload.metrics) > self._settings.max_metrics:
            raise BadSignal("too_many_metrics", f"{at.kind} {at.group[:40]}/{at.node[:40]}")
        node = self._node(key)
        node.heard = True
        if at.kind == "NDEATH":
            self._death(node, message, taken)
        elif at.kind == "NBIRTH":
            self._birth(node, message, taken)
        else:
            self._sequence(node, message, taken)

    def _node(self, key: NodeId) -> Node:
        node = self._nodes.get(key)
        if node is None:
            if len(self._nodes) >= self._settings.max_nodes:
                self._make_room(key)
            node = self._nodes[key] = Node(*key, Order(self._settings.reorder_timeout_s))
        return node

    def _make_room(self, key: NodeId) -> None:
        """Forget a node that says nothing any more. Raises BadSignal if there is none."""
        dead = next((k for k, n in self._nodes.items() if not any(s.born or s.by_name for s in n.scopes())), None)
        if dead is None:
            raise BadSignal("too_many_nodes", "/".join(key))
        del self._nodes[dead]
        self._waiting.discard(dead)
        self._rebirths.forget(dead)

    def _scope(self, node: Node, device: str) -> Scope:
        """The node's own metrics or a device's; it is remembered only once something is known of it."""
        if not device:
            return node.own
        if (scope := node.devices.get(device)) is not None:
            return scope
        if sum(len(other.devices) for other in self._nodes.values()) >= _DEVICES_A_NODE * self._settings.max_nodes:
            raise BadSignal("too_many_devices", f"{node.group}/{node.name}/{device}")
        return Scope(device)

    def _birth(self, node: Node, message: Message, taken: Taken) -> None:
        seq = _seq(message)
        if seq is None:
            taken.bad.append(BadSignal("bad_seq", f"NBIRTH {node.group}/{node.name}"))
        sent = message.payload.timestamp
        earlier = node.order.begin(seq, lambda other: other.payload.timestamp >= sent)
        self._follow(node, earlier, taken)
        node.bd_seq = _bd_seq(message)
        for device in node.devices.values():  # stale until their own births
            self._die(device, message.received_at, taken)
        node.devices.clear()
        self._metrics.born(node, node.own, message, taken)
        self._rebirths.settled((node.group, node.name))
        self._follow(node, node.order.ready(), taken)
        self._wait(node)

    def _death(self, node: Node, message: Message, taken: Taken) -> None:
        """Of the session that we know. The last will of an older connection may come late and says nothing; the death
        of a later one, whose birth we did not hear, lets us ask whether the node is there."""
        said = _bd_seq(message)
        if said is not None and node.bd_seq is not None and said != node.bd_seq:
            old = (said - node.bd_seq) % 256 > 127
            where = f"{node.group}/{node.name} bdSeq {said}, alive is {node.bd_seq}"
            taken.bad.append(BadSignal("old_death" if old else "unknown_death", where))
            if not old:
                self._want((node.group, node.name))
            return
        self._follow(node, node.order.end(), taken)
        self._stale(node, message.received_at, taken)
        self._forget(node)
        self._rebirths.settled((node.group, node.name))
        self._wait(node)

    def _sequence(self, node: Node, message: Message, taken: Taken) -> None:
        seq = _seq(message)
        if seq is None:
            taken.bad.append(BadSignal("bad_seq", f"{message.address.kind} {node.group}/{node.name}"))
            self._follow(node, [message], taken)
            return
        if node.order.repeated(seq, message.digest):
            taken.bad.append(BadSignal("duplicate", f"{message.address.kind} {node.group}/{node.name}"))
            return
        now = self._clock.monotonic()
        size = 0 if seq == node.order.expected else message.payload.ByteSize()  # unpacked
        self._follow(node, node.order.take(seq, message, size, now), taken)
        self._wait(node)
        due_at = node.order.due_at
        if due_at is not None and (due_at <= now or len(self._waiting) > _MOST_WAITING):
            self._give_up(node, taken)

    def _follow(self, node: Node, messages: Sequence[Message], taken: Taken) -> None:
        """Read messages of a node that are in order now."""
        for message in messages:
            try:
                scope = self._scope(node, message.address.device)
            except BadSignal as bad:
                taken.bad.append(bad)
                continue
            self._read(node, scope, message, taken)
            if scope.device and (scope.born or scope.by_name):
                node.devices[scope.device] = scope
            else:
                node.devices.pop(scope.device, None)

    def _read(self, node: Node, scope: Scope, message: Message, taken: Taken) -> None:
        kind = message.address.kind
        unborn = not node.born or (kind in ("DDATA", "DDEATH") and not scope.born)
        self._metrics.unknown = False
        if kind == "DBIRTH":
            self._metrics.born(node, scope, message, taken)
        elif kind == "DDEATH":
            self._die(scope, message.received_at, taken)
        else:
            self._metrics.data(node, scope, message, taken)
        if unborn:
            where = "/".join(filter(None, (node.group, node.name, scope.device)))
            taken.bad.append(BadSignal("before_birth", f"{kind} {where}"))
        if unborn or self._metrics.unknown:
            self._want((node.group, node.name))

    # What time alone brings.

    def tick(self, now: datetime) -> Taken | None:
        if not self._up:
            return None
        at, taken = self._clock.monotonic(), Taken()
        if self._contradicted and self._online:
            self._announce()
        for key in list(self._waiting):
            node = self._nodes[key]
            if node.order.due_at is not None and node.order.due_at <= at:
                self._give_up(node, taken)
        for key in self._rebirths.due(at):
            self._ask(key, now, taken)
        return taken

    def _ask(self, key: NodeId, now: datetime, taken: Taken) -> None:
        """Ask for a rebirth; who said nothing at all since the last time is not there."""
        self._out.append(wire.rebirth(*key, now))
        taken.bad.append(BadSignal("rebirth_requested", "/".join(key)))
        node = self._nodes[key]
        if not node.heard:
            self._stale(node, now, taken)
        node.heard = False

    def _give_up(self, node: Node, taken: Taken) -> None:
        """What is missing did not come in time: read on with what there is, and ask for everything anew."""
        taken.bad.append(BadSignal("gap", f"{node.group}/{node.name} seq {node.order.expected}"))
        self._follow(node, node.order.give_up(), taken)
        self._want((node.group, node.name))
        self._wait(node)

    def _wait(self, node: Node) -> None:
        key = node.group, node.name
        if node.order.due_at is None:
            self._waiting.discard(key)
        else:
            self._waiting.add(key)

    def _want(self, key: NodeId, settle: bool = False) -> None:
        if self._settings.commands:
            self._rebirths.want(key, self._clock.monotonic(), settle)

    # Death.

    def _stale(self, node: Node, now: datetime, taken: Taken) -> None:
        for scope in node.scopes():
            taken.signals += scope.stale(self._name, now)

    def _die(self, scope: Scope, now: datetime, taken: Taken) -> None:
        taken.signals += scope.stale(self._name, now)
        self._metrics.forget(scope)

    def _forget(self, node: Node) -> None:
        node.bd_seq = None
        for scope in node.scopes():
            self._metrics.forget(scope)
        node.devices.clear()


def _seq(message: Message) -> int | None:
    payload = message.payload
    return payload.seq if payload.HasField("seq") and payload.seq <= 255 else None


def _bd_seq(message: Message) -> int | None:
    for metric in message.payload.metrics:
        if metric.name == BD_SEQ and not metric.is_null:
            held = metric.WhichOneof("value")
            return int(getattr(metric, held)) if held in ("int_value", "long_value") else None
    return None

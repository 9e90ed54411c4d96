"""Metrics to signals: births name them, data speak of them by alias or name. What is bad is counted, one by one."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from agent.collectors.mqtt.reader import Taken
from agent.collectors.sparkplug.nodes import Known, Node, Scope
from agent.collectors.sparkplug.payload_pb2 import Metric
from agent.collectors.sparkplug.settings import SparkplugSettings
from agent.collectors.sparkplug.values import ARRAYS, UNSUPPORTED, Value, array, moment, quality, scalar
from agent.collectors.sparkplug.wire import Message
from agent.errors import BadSignal
from agent.model import Quality, Signal

BD_SEQ = "bdSeq"
_CONTROLS = ("Node Control/", "Device Control/")
_LONGEST_NAME = 1000
_MOST_SIGNALS = 50_000
"""In one message: arrays make many of few bytes."""
_UNREADABLE = frozenset(("not_finite", "out_of_range", "wrong_type", "no_value", "not_utf8", "bad_array", "too_long"))
"""The device meant to say something and we cannot tell what: the signal is bad from now on, not just counted."""


class Metrics:
    """Reads the metrics of one message at a time. `unknown` is set when a birth is needed to read on."""

    def __init__(self, source: str, settings: SparkplugSettings) -> None:
        self._source, self._settings = source, settings
        self._most_signals = max(_MOST_SIGNALS, settings.max_metrics)
        self._count = 0
        self.unknown = False

    def born(self, node: Node, scope: Scope, message: Message, taken: Taken) -> None:
        """A birth: all that it names is known from now on, what it does not tell any more is stale."""
        old = scope.by_name
        self.forget(scope)
        scope.born = True
        alive: set[str] = set()
        for metric in message.payload.metrics:
            try:
                known = self._define(node, scope, metric, old, taken, message)
            except BadSignal as bad:
                taken.bad.append(self._at(bad, message))
                continue
            if known is not None and (not self._settings.birth_values or self._tell(known, metric, message, taken)):
                alive.add(known.name)
        for known in old.values():
            if known.told and known.name not in alive:
                taken.signals += self._stale(known, known.tags(), message.received_at)
                if (heir := scope.by_name.get(known.name)) is not None:
                    heir.told = False

    def data(self, node: Node, scope: Scope, message: Message, taken: Taken) -> None:
        """NDATA or DDATA: what can be read is read, whatever else the message holds."""
        for metric in message.payload.metrics:
            try:
                known = self._find(node, scope, metric)
            except BadSignal as bad:
                taken.bad.append(self._at(bad, message))
                continue
            if known is not None:
                self._tell(known, metric, message, taken)

    def forget(self, scope: Scope) -> None:
        """The scope's names mean nothing until its next birth."""
        self._count -= scope.forget()

    def _stale(self, known: Known, tags: list[str], now: datetime) -> list[Signal]:
        return [Signal(self._source, tag, None, now, None, Quality.STALE, context=known.context) for tag in tags]

    def _define(
        self, node: Node, scope: Scope, metric: Metric, old: dict[str, Known], taken: Taken, message: Message
    ) -> Known | None:
        """Take a metric of a birth in; None for those that are no data."""
        name = _name(metric)
        if name is None:
            raise BadSignal("no_name", f"alias {metric.alias}" if metric.HasField("alias") else "")
        if name == BD_SEQ or name.startswith(_CONTROLS):
            return None
        known = self._remember(node, scope, name, metric)
        if (before := old.get(name)) is not None:
            known.size, known.told = before.size, before.told
        if metric.HasField("alias") and not self._alias(node, scope, metric.alias, known):
            taken.bad.append(self._at(BadSignal("alias_twice", str(metric.alias)), message, name))
        return known

    def _alias(self, node: Node, scope: Scope, alias: int, known: Known) -> bool:
        """False if the alias is used twice. Within a device it then says nothing; across devices the topic decides."""
        first = alias not in scope.by_alias or scope.by_alias[alias] is known
        scope.by_alias[alias] = known if first else None
        return first and not node.alias_elsewhere(alias, scope)

    def _remember(self, node: Node, scope: Scope, name: str, metric: Metric) -> Known:
        if not metric.datatype:
            raise BadSignal("no_datatype", name[:100])
        if (known := scope.by_name.get(name)) is not None:
            known.datatype = metric.datatype
            return known
        if self._count >= self._settings.max_metrics:
            raise BadSignal("too_many_metrics", name[:100])
        self._count += 1
        context = {"group": node.group, "node": node.name}
        if scope.device:
            context["device"] = scope.device
        tag = self._settings.name(node.group, node.name, scope.device, name)
        known = scope.by_name[name] = Known(name, tag, metric.datatype, context)
        return known

    def _find(self, node: Node, scope: Scope, metric: Metric) -> Known | None:
        name = _name(metric)
        if name is None:
            if not metric.HasField("alias"):
                raise BadSignal("no_name")
            known = scope.by_alias.get(metric.alias)
            if known is None:
                self.unknown = True
                raise BadSignal("unknown_alias", str(metric.alias))
            return known
        if name == BD_SEQ or name.startswith(_CONTROLS):
            return None
        found = scope.by_name.get(name)
        if found is not None:
            return found
        self.unknown = True
        if not metric.datatype:
            raise BadSignal("unknown_metric", name[:100])
        return self._remember(node, scope, name, metric)  # it says itself what it is

    def _tell(self, known: Known, metric: Metric, message: Message, taken: Taken) -> bool:
        """Hand on what a metric says. False if nothing could be made of it."""
        if len(taken.signals) >= self._most_signals:
            taken.bad.append(self._at(BadSignal("too_many_values"), message, known.name))
            return False
        before = known.tags() if known.told else []
        bad: list[BadSignal] = []
        try:
            said = self._read(known, metric, message, bad)
        except BadSignal as problem:
            bad.append(problem)
            said = []
            if problem.kind in _UNREADABLE:
                said = [self._signal(known, tag, None, metric, message, Quality.BAD) for tag in known.tags()]
        taken.bad += [self._at(problem, message, known.name) for problem in bad]
        taken.signals += said
        known.told = known.told or bool(said)
        now = set(known.tags())
        taken.signals += self._stale(known, [tag for tag in before if tag not in now], message.received_at)
        return bool(said)

    def _read(self, known: Known, metric: Metric, message: Message, bad: list[BadSignal]) -> list[Signal]:
        how = self._properties(known, metric, bad)
        ms = metric.timestamp if metric.HasField("timestamp") else message.payload.timestamp
        if ms and moment(ms) is None:
            bad.append(BadSignal("bad_time", str(ms)))
        datatype = metric.datatype or known.datatype
        if metric.is_null and datatype not in UNSUPPORTED:
            return [self._signal(known, tag, None, metric, message, Quality.BAD) for tag in known.tags()]
        values = array(datatype, metric) if datatype in ARRAYS else [scalar(datatype, metric)]
        known.size = len(values) if datatype in ARRAYS else None
        return [
            self._signal(known, tag, value, metric, message, how)
            for tag, value in zip(known.tags(), values, strict=True)
        ]

    def _properties(self, known: Known, metric: Metric, bad: list[BadSignal]) -> Quality:
        """The quality, and the unit for the context. What cannot be understood leaves the value uncertain."""
        if not metric.HasField("properties"):
            return Quality.GOOD
        keys, values = metric.properties.keys, metric.properties.values
        if len(keys) != len(values):
            bad.append(BadSignal("bad_properties", f"{len(keys)} keys, {len(values)} values"))
            return Quality.UNCERTAIN
        how: Quality | None = Quality.GOOD
        for key, value in zip(keys, values, strict=True):
            if key == "Quality":
                how = quality(value)
                if how is None:
                    bad.append(BadSignal("bad_quality", value.WhichOneof("value") or "none"))
            elif key == "engUnit" and isinstance(value.string_value, str) and value.string_value:
                known.context = {**known.context, "unit": value.string_value[:100]}
        return Quality.UNCERTAIN if how is None else how

    def _signal(
        self, known: Known, tag: str, value: Value | None, metric: Metric, message: Message, how: Quality
    ) -> Signal:
        """What is bad or stale carries no value: nobody measured it now."""
        if value is None or how in (Quality.BAD, Quality.STALE):
            value = Value(None)
        context = known.context
        if message.address.kind in ("NBIRTH", "DBIRTH"):
            context = {**context, "birth": "true"}
        if metric.is_transient:
            context = {**context, "transient": "true"}
        ms = metric.timestamp if metric.HasField("timestamp") else message.payload.timestamp
        return Signal(
            self._source,
            tag,
            value.number,
            message.received_at,
            moment(ms),
            how,
            text=value.text,
            context=context,
            historical=metric.is_historical,
        )

    def _at(self, bad: BadSignal, message: Message, name: str = "") -> BadSignal:
        """The same with a word on where it was seen."""
        a = message.address
        where = "/".join(part[:40] for part in (a.group, a.node, a.device, name) if part)
        return BadSignal(bad.kind, f"{a.kind} {where} {bad.sample}".rstrip())


def _name(metric: Any) -> str | None:
    """The metric's name; None if it has none and the alias must say. Raises BadSignal: not_utf8, bad_name."""
    name = metric.name
    if not name:
        return None
    if not isinstance(name, str):
        raise BadSignal("not_utf8", repr(name[:60]))
    if len(name) > _LONGEST_NAME or not name.isprintable():
        raise BadSignal("bad_name", repr(name[:60]))
    return name

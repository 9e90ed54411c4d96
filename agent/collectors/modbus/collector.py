"""Modbus TCP: reads registers in blocks, on an absolute schedule, one task a device. It cannot write.

An error is never a value: the tags concerned turn bad once, and stay so until a good answer comes.
"""

from __future__ import annotations

import asyncio
import logging
import random
from dataclasses import dataclass, field
from math import floor
from zlib import crc32

from agent.clock import Clock
from agent.collectors.modbus.device import Broken, Declined, Device
from agent.collectors.modbus.registers import Block, plan, real
from agent.collectors.modbus.settings import ModbusSettings, Register
from agent.errors import AgentError, BadSignal
from agent.model import Emit, Quality, Signal, SourceHealth

log = logging.getLogger(__name__)

_FIRST_PAUSE_S = 0.25
_REPLAN_S = 600.0
_ILLEGAL_ADDRESS = 2


def next_due(now: float, period_s: float, phase: float) -> float:
    """The first instant after `now` of the grid with this period, shifted by `phase` (0…1) of a period.

    A thousandth of a period before an instant counts as that instant: a timer may fire a little early.
    """
    shift = phase * period_s
    return (floor((now - shift) / period_s + 1e-3) + 1) * period_s + shift


@dataclass(slots=True)
class _Group:
    """Registers of one period. `blocks` is the plan, divided where the device does not know an address."""

    period_s: float
    planned: list[Block]
    due: float
    blocks: list[Block] = field(default_factory=list)
    replan_at: float = 0.0
    divide: bool = True


class ModbusCollector:
    """One device. What was read is gone if the pipeline cannot take it: the next reading is fresh."""

    def __init__(self, name: str, settings: ModbusSettings, clock: Clock, health: SourceHealth) -> None:
        self._name, self._settings, self._clock, self._health = name, settings, clock, health
        self._phase = crc32(name.encode()) / 2**32  # spreads the devices over the period; the same after a restart
        self._device = Device(settings)
        self._bad: set[str] = set()
        self._was_up = self._fruitful = False
        self._pause = _FIRST_PAUSE_S
        self._retry_at = 0.0

    async def run(self, emit: Emit) -> None:
        """Poll until cancelled. Raises whatever `emit` raises beyond AgentError."""
        loop = asyncio.get_running_loop()
        groups = self._groups(loop.time())
        try:
            while True:
                group = min(groups, key=lambda g: g.due)
                await asyncio.sleep(group.due - loop.time())
                await self._hand_over(emit, await self._poll(group))
                late = loop.time() - group.due
                if late > group.period_s:
                    self._count("modbus_missed", int(late / group.period_s))
                group.due = next_due(loop.time(), group.period_s, self._phase)
        finally:
            self._device.close()
            self._health.state = "down"

    def _groups(self, now: float) -> list[_Group]:
        s = self._settings
        by_period: dict[float, list[Register]] = {}
        for register in s.registers:
            by_period.setdefault(register.period_s or s.period_s, []).append(register)
        groups = []
        for period, registers in by_period.items():
            blocks = plan(registers, s.max_block, s.max_gap)
            groups.append(_Group(period, blocks, next_due(now, min(period, 1.0), self._phase)))
        return groups

    async def _poll(self, group: _Group) -> list[Signal]:
        """Read all blocks of a group; the good values, and the tags that turned bad with this."""
        now = asyncio.get_running_loop().time()
        if now >= group.replan_at:
            group.blocks, group.divide, group.replan_at = group.planned, True, now + _REPLAN_S
        signals: list[Signal] = []
        blocks: list[Block] = []
        declined = 0
        queue = list(reversed(group.blocks))
        while queue:
            block = queue.pop()
            try:
                signals += self._good(block, await self._read(block))
            except Declined as no:
                self._count(f"modbus_exception_{no.args[0]}")
                if no.args[0] == _ILLEGAL_ADDRESS and group.divide and len(block.registers) > 1:
                    queue += reversed(block.halves())  # perhaps it lacks only one of them, or one in a gap
                    continue
                declined += 1
                signals += self._turn_bad(block)
            except Broken as broken:
                self._lost(broken.args[0])
                signals += self._turn_bad(block)
            blocks.append(block)
        all_declined = declined == len(blocks)  # then dividing did not help: ask in large blocks until the next plan
        group.blocks, group.divide = (group.planned, False) if all_declined else (blocks, group.divide)
        return signals

    async def _read(self, block: Block) -> list[int]:
        if not self._device.connected:
            if doubt := self._device.doubt:
                self._count(doubt)
            await self._connect()
        try:
            words = await self._device.read(block.table, block.address, block.count)
        except Declined:
            self._answered()
            raise
        self._answered()
        return words

    def _answered(self) -> None:
        if self._health.state != "up":
            log.info("modbus %s: up", self._name)
        self._health.state = "up"
        self._fruitful, self._pause = True, _FIRST_PAUSE_S

    async def _connect(self) -> None:
        """Connect, unless the last connection gave nothing and its pause is not over. Raises Broken."""
        if asyncio.get_running_loop().time() < self._retry_at:
            raise Broken("")
        self._fruitful = False
        await self._device.connect()
        self._health.reconnects += self._was_up
        self._was_up = True

    def _lost(self, kind: str) -> None:
        """Count why the connection was lost; the pause grows while connections end without a single answer."""
        if not kind:
            return
        self._count(kind)
        if self._health.state != "down":
            log.warning("modbus %s: %s", self._name, kind)
        self._health.state = "down"
        if not self._fruitful:
            wait = self._pause * random.uniform(0.5, 1.0)  # noqa: S311  (jitter, not a secret)
            self._retry_at = asyncio.get_running_loop().time() + wait
            self._pause = min(self._settings.reconnect_max_s, self._pause * 2)
        self._fruitful = False

    def _good(self, block: Block, words: list[int]) -> list[Signal]:
        now = self._clock.now()
        signals = []
        for register, own in block.values(words):
            try:
                value = real(register, own)
            except BadSignal as bad:
                self._health.bad(bad.kind, bad.sample)
                signals += self._bad_signal(register)
                continue
            signals.append(Signal(self._name, register.tag, value, now))
        return signals

    def _turn_bad(self, block: Block) -> list[Signal]:
        return [signal for register in block.registers for signal in self._bad_signal(register)]

    def _bad_signal(self, register: Register) -> list[Signal]:
        """Say it once; it stays bad until a value comes."""
        if register.tag in self._bad:
            return []
        return [Signal(self._name, register.tag, None, self._clock.now(), quality=Quality.BAD)]

    async def _hand_over(self, emit: Emit, signals: list[Signal]) -> None:
        good = [signal for signal in signals if signal.value is not None]
        if good:
            self._health.received += len(good)
            self._health.last_data_at = good[-1].received_at
        if not signals:
            return
        try:
            await emit(signals)
        except AgentError as error:
            self._health.bad("not_stored", str(error))
            return  # what turned bad is said again with the next reading
        self._bad -= {signal.tag for signal in good}
        self._bad |= {signal.tag for signal in signals if signal.value is None}

    def _count(self, kind: str, by: int = 1) -> None:
        self._health.errors[kind] = self._health.errors.get(kind, 0) + by

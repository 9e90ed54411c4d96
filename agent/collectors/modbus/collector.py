"""Modbus: reads registers in blocks, on an absolute schedule, one task a connection. It cannot write.

An error is never a value: the tags concerned turn bad once, and stay so until a good answer comes.
"""

from __future__ import annotations

import asyncio
import logging
from zlib import crc32

from agent.clock import Clock
from agent.collectors.modbus.blocks import Block
from agent.collectors.modbus.line import Broken, Declined, Line
from agent.collectors.modbus.settings import ModbusSettings
from agent.collectors.modbus.units import Pause, Place, Poll, Unit, polls
from agent.errors import AgentError, BadSignal
from agent.model import Emit, Quality, Signal, SourceHealth

log = logging.getLogger(__name__)

_REPLAN_S = 600.0
_SMALLER = (2, 3)
"""Illegal address, illegal value (too many at once): smaller requests may be answered."""
_GATEWAY = (10, 11)
"""The gateway speaks, its unit does not."""


class ModbusCollector:
    """One connection and its units. What was read is gone if the pipeline cannot take it: the next reading is fresh."""

    def __init__(self, name: str, settings: ModbusSettings, clock: Clock, health: SourceHealth) -> None:
        self._name, self._settings, self._clock, self._health = name, settings, clock, health
        self._phase = crc32(name.encode()) / 2**32  # spreads the devices over the period; the same after a restart
        self._line = Line(settings, self._count)
        self._units: list[Unit] = []
        self._bad: set[str] = set()
        self._turning: set[str] = set()  # with the signals about to be handed over
        self._was_up = False
        self._pause = Pause(settings.reconnect_max_s)

    async def run(self, emit: Emit) -> None:
        """Poll until cancelled. Raises whatever `emit` raises beyond AgentError."""
        loop = asyncio.get_running_loop()
        plan = polls(self._settings, self._phase, loop.time())
        self._units = list({poll.unit.number: poll.unit for poll in plan}.values())
        try:
            while True:
                poll = min(plan, key=lambda p: p.due)
                await asyncio.sleep(max(0.0, poll.due - loop.time()))
                signals = await self._poll(poll)
                if signals:
                    await self._hand_over(emit, signals)
                now = loop.time()
                if (late := now - poll.due) > poll.period_s:
                    self._count("modbus_missed", by=int(late / poll.period_s))
                poll.advance(now, self._pause.until)
        finally:
            self._line.close()
            self._health.state = "down"

    async def _poll(self, poll: Poll) -> list[Signal]:
        """Read all blocks; the good values, and the tags that turned bad with this."""
        loop, unit = asyncio.get_running_loop(), poll.unit
        begun = loop.time()
        if begun >= poll.replan_at:
            poll.blocks, poll.divide, poll.replan_at = poll.planned, True, begun + _REPLAN_S
            poll.resting.clear()
            poll.decoders.clear()
        if begun < unit.pause.until or begun < self._pause.until:
            return self._turn_bad(poll.tags())
        unit.answered = False
        signals = await self._blocks(poll)
        if not unit.answered and self._line_is_up:
            self._failed(unit, loop.time() - begun)
        return signals

    async def _blocks(self, poll: Poll) -> list[Signal]:
        unit, loop = poll.unit, asyncio.get_running_loop()
        signals: list[Signal] = []
        blocks: list[Block] = []
        unheard: list[Block] = []  # since the last answer
        declined = 0
        over = False
        queue = list(reversed(poll.blocks))
        while queue:
            block = queue.pop()
            over = over or not await self._believable(unit)
            if not over and not poll.rests(block, loop.time()):
                try:
                    signals += self._good(poll, block, await self._ask(unit, block.place))
                    poll.resting.pop(block.place, None)
                    unheard = self._rest(poll, unheard)
                    blocks.append(block)
                    continue
                except Declined as no:
                    code = no.args[0]
                    unheard = [*unheard, block] if code in _GATEWAY else self._rest(poll, unheard)
                    if code in _SMALLER and poll.divide and len(block.registers) > 1:
                        queue += reversed(block.halves())  # perhaps it lacks only one of them, or one in a gap
                        continue
                    declined += 1
                except Broken:
                    unheard.append(block)
                # then the rest would only cost time
                over = len(unheard) >= (1 if unit.failures else 2) or not self._line_is_up
            blocks.append(block)
            signals += self._turn_bad([register.tag for register in block.registers])
        if unit.answered:
            self._rest(poll, unheard)
        all_declined = declined == len(blocks)  # then dividing did not help: ask in large blocks until the next plan
        poll.blocks, poll.divide = (poll.planned, False) if all_declined else (blocks, poll.divide)
        return signals

    def _rest(self, poll: Poll, blocks: list[Block]) -> list[Block]:
        """Its unit answers, but not to these: leave them alone for a while. Gives an empty list."""
        poll.rest(blocks, asyncio.get_running_loop().time(), self._settings.reconnect_max_s)
        return []

    async def _believable(self, unit: Unit) -> bool:
        """Make sure that an answer of this unit is no late one of an earlier request."""
        if not unit.ghosts:
            return True
        if (place := unit.probe()) is not None:
            try:
                await self._ask(unit, place)
            except Declined:
                unit.missed(place, asyncio.get_running_loop().time(), self._line.patience(unit.timeout_s, place[2]))
                unit.refused()
            except Broken:
                pass
            else:
                unit.believed()
            return not unit.ghosts
        if asyncio.get_running_loop().time() < unit.believe_at:
            unit.answered = True  # it was not asked: that is no failure
            return False
        unit.believed()
        return True

    async def _ask(self, unit: Unit, place: Place) -> bytes:
        """One request. Raises Declined or Broken, counted."""
        try:
            if not self._line.connected:
                if doubt := self._line.doubt:
                    self._count(doubt)
                await self._connect()
            data = await self._line.read(unit.number, place, unit.timeout_s)
        except Declined as no:
            self._count(f"modbus_exception_{no.args[0]}", unit)
            if no.args[0] not in _GATEWAY:
                self._alive(unit)
            raise
        except Broken as broken:
            self._count(broken.args[0], unit)
            if self._line.rtu and broken.args[0] != "modbus_connect":
                now = asyncio.get_running_loop().time()
                unit.missed(place, now, self._line.patience(unit.timeout_s, place[2]))
            raise
        self._alive(unit)
        return data

    @property
    def _line_is_up(self) -> bool:
        return self._pause.until == 0.0

    async def _connect(self) -> None:
        """Connect. Raises Broken; then all units wait for a growing pause."""
        try:
            await self._line.connect()
        except Broken as broken:
            self._pause.grow(asyncio.get_running_loop().time())
            self._down(broken.args[0])
            raise
        self._pause.reset()
        self._health.reconnects += self._was_up
        self._was_up = True

    def _alive(self, unit: Unit) -> None:
        if self._health.state != "up":
            log.info("modbus %s: up", self._name)
        elif unit.failures:
            log.info("modbus %s: unit %d is back", self._name, unit.number)
        self._health.state = "up"
        unit.alive()

    def _failed(self, unit: Unit, spent_s: float) -> None:
        """A unit gave nothing. Alone on its line it harms nobody; else all the silent ones share a part of the time."""
        silent = sum(1 for other in self._units if other.silent or other is unit)
        unit.failed(asyncio.get_running_loop().time(), spent_s, silent if len(self._units) > 1 else 0)
        if unit.failures == 1:
            log.warning("modbus %s: unit %d does not answer", self._name, unit.number)
        if all(other.failures for other in self._units):
            self._down("no unit answers")

    def _down(self, reason: str) -> None:
        if self._health.state != "down":
            log.warning("modbus %s: %s", self._name, reason)
        self._health.state = "down"

    def _good(self, poll: Poll, block: Block, payload: bytes) -> list[Signal]:
        now, name, decoder = self._clock.now(), self._name, poll.decoder(block)
        signals = []
        for (tag, number, rich), raw in zip(decoder.rows, decoder.raws(payload), strict=True):
            try:
                if rich is None:
                    signals.append(Signal(name, tag, number(raw), now))
                    continue
                value, text, quality = rich(raw)
            except BadSignal as bad:
                self._health.bad(bad.kind, f"{tag}: {bad.sample}")
                signals += self._turn_bad([tag])
                continue
            if quality is Quality.UNCERTAIN:
                self._health.bad("modbus_uncertain", f"{tag}: {raw}")
            signals.append(Signal(name, tag, value, now, quality=quality, text=text))
        return signals

    def _turn_bad(self, tags: list[str]) -> list[Signal]:
        """Say it once; a tag stays bad until a value comes."""
        now, fresh = self._clock.now(), [tag for tag in tags if tag not in self._bad]
        self._turning.update(fresh)
        return [Signal(self._name, tag, None, now, quality=Quality.BAD) for tag in fresh]

    async def _hand_over(self, emit: Emit, signals: list[Signal]) -> None:
        turning, self._turning = self._turning, set()
        if good := len(signals) - len(turning):
            self._health.received += good
            self._health.last_data_at = next(s.received_at for s in reversed(signals) if s.tag not in turning)
        try:
            await emit(signals)
        except AgentError as error:
            self._health.bad("not_stored", str(error))
            return  # what turned bad is said again with the next reading
        if self._bad or turning:
            self._bad -= {s.tag for s in signals}
            self._bad |= turning

    def _count(self, kind: str, unit: Unit | None = None, by: int = 1) -> None:
        self._health.errors[kind] = self._health.errors.get(kind, 0) + by
        if unit is not None and len(self._units) > 1:
            self._health.last_bad = f"unit {unit.number}: {kind}"

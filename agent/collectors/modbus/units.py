"""What is known of each unit behind a line: when to ask it, how long to leave it alone, whether to believe it. Pure."""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from math import floor

from agent.collectors.modbus.blocks import Block, Limits, plan, probe, shape
from agent.collectors.modbus.registers import Decoder
from agent.collectors.modbus.settings import ModbusSettings, Register

FIRST_PAUSE_S = 0.25
_SHARE = 10
"""All silent units together take at most one part in so many of the line's time."""
_GHOST_S = 1.0
_GOLDEN = 0.6180339887498949

Place = tuple[str, int, int]


def next_due(now: float, period_s: float, phase: float) -> float:
    """The first instant after `now` of the grid with this period, shifted by `phase` (0…1) of a period.

    A thousandth of a period before an instant counts as that instant: a timer may fire a little early.
    """
    shift = phase * period_s
    return (floor((now - shift) / period_s + 1e-3) + 1) * period_s + shift


class Pause:
    """Grows while nothing comes: doubled each time, jittered, never longer than `cap_s`."""

    __slots__ = ("_cap_s", "_next_s", "until")

    def __init__(self, cap_s: float) -> None:
        self._cap_s = cap_s
        self.reset()

    def reset(self) -> None:
        self._next_s = min(FIRST_PAUSE_S, self._cap_s)
        self.until = 0.0

    def grow(self, now: float, at_least_s: float = 0.0) -> None:
        wait = max(self._next_s * random.uniform(0.5, 1.0), at_least_s)  # noqa: S311  (jitter, not a secret)
        self.until = now + wait
        self._next_s = min(self._cap_s, self._next_s * 2)


@dataclass(slots=True, eq=False)
class Unit:
    """One unit. It is silent when two polls in a row brought no answer; then it is left alone for growing pauses."""

    number: int
    timeout_s: float
    limits: Limits
    pause: Pause
    failures: int = 0
    answered: bool = False
    blocks: list[Block] = field(default_factory=list)
    ghosts: set[tuple[int, int]] = field(default_factory=set)
    """On RTU, where an answer does not say which request it answers: the shapes of those that may still come."""
    believe_at: float = 0.0
    _refused: bool = False

    @property
    def silent(self) -> bool:
        return self.failures >= 2

    def alive(self) -> None:
        """It answered."""
        self.failures, self.answered = 0, True
        self.pause.reset()

    def failed(self, now: float, spent_s: float, silent: int) -> None:
        """A poll brought nothing and took `spent_s` of the line, which `silent` such units share with living ones."""
        self.failures += 1
        if self.silent:
            self.pause.grow(now, _SHARE * spent_s * silent)

    def missed(self, place: Place, now: float, patience_s: float) -> None:
        """An answer did not come, was not believed or cannot be told from another: it may still come."""
        self.ghosts.add(shape(place[0], place[2]))
        self.believe_at = now + max(_GHOST_S, 3 * patience_s)

    def believed(self) -> None:
        """Nothing late can come any more."""
        self.ghosts.clear()
        self._refused = False

    def refused(self) -> None:
        """It did not like the probe: only time helps."""
        self._refused = True

    def probe(self) -> Place | None:
        """A request whose answer cannot be taken for a late one; devices answer in the order they were asked."""
        return None if self._refused else probe(self.blocks, self.ghosts, self.limits)


@dataclass(slots=True, eq=False)
class Poll:
    """Registers of one unit and one period. `blocks` is the plan, divided where the device does not know an address."""

    unit: Unit
    period_s: float
    phase: float
    planned: list[Block]
    due: float
    blocks: list[Block] = field(default_factory=list)
    replan_at: float = 0.0
    divide: bool = True
    resting: dict[Place, Pause] = field(default_factory=dict)
    decoders: dict[Place, Decoder] = field(default_factory=dict)

    def decoder(self, block: Block) -> Decoder:
        """Made once for each block."""
        if (found := self.decoders.get(block.place)) is None:
            found = self.decoders[block.place] = Decoder(block)
        return found

    def advance(self, now: float, line_until: float) -> None:
        """To the next instant of the grid; after a failure sooner, if the period is long."""
        unit, self.due = self.unit, next_due(now, self.period_s, self.phase)
        if unit.failures or unit.ghosts or line_until > now:
            waits = unit.believe_at if unit.ghosts and unit.probe() is None else 0.0
            self.due = min(self.due, max(now + FIRST_PAUSE_S, unit.pause.until, line_until, waits))

    def rests(self, block: Block, now: float) -> bool:
        """Whether a block that the unit alone does not answer is left out this time."""
        pause = self.resting.get(block.place)
        return pause is not None and pause.until > now

    def rest(self, blocks: list[Block], now: float, cap_s: float) -> None:
        """The unit answers others, but not these."""
        for block in blocks:
            self.resting.setdefault(block.place, Pause(cap_s)).grow(now)

    def tags(self) -> list[str]:
        return [register.tag for block in self.planned for register in block.registers]


def polls(s: ModbusSettings, phase: float, now: float) -> list[Poll]:
    """All polls of a source. Their phases lie evenly: each a golden section of its period after the last."""
    by_unit: dict[int, dict[float, list[Register]]] = {}
    for register in s.registers:
        periods = by_unit.setdefault(s.unit_of(register), {})
        periods.setdefault(register.period_s or s.period_s, []).append(register)
    found: list[Poll] = []
    for number, periods in by_unit.items():
        unit = _unit(s, number)
        for period, registers in periods.items():
            blocks = plan(registers, unit.limits)
            unit.blocks += blocks
            own = (phase + len(found) * _GOLDEN) % 1.0
            found.append(Poll(unit, period, own, blocks, next_due(now, min(period, 1.0), own)))
    return found


def _unit(s: ModbusSettings, number: int) -> Unit:
    own = s.of_unit(number)
    never = tuple((span.table, span.first, span.last) for span in s.never_read if span.unit in (None, number))
    cuts = tuple((cut.table, cut.address) for cut in s.split_at if cut.unit in (None, number))
    assert own.timeout_s is not None and own.max_block is not None and own.max_gap is not None
    limits = Limits(own.max_block, own.max_gap, never, cuts)
    return Unit(number, own.timeout_s, limits, Pause(s.reconnect_max_s))

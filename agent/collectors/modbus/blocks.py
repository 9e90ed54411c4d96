"""Which registers are asked for together. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from agent.collectors.modbus.settings import BITS, Register

FUNCTIONS = {"coil": 1, "discrete": 2, "holding": 3, "input": 4}
"""All that is ever asked for."""


@dataclass(frozen=True, slots=True, eq=False)
class Block:
    """What one request reads: `count` registers (or bits) from `address`."""

    table: str
    address: int
    count: int
    registers: tuple[Register, ...]

    @property
    def place(self) -> tuple[str, int, int]:
        """What the request names."""
        return self.table, self.address, self.count

    def halves(self) -> list[Block]:
        """Two smaller blocks (of one register: itself); to find the address that a device does not know."""
        middle = len(self.registers) // 2
        parts = (self.registers[:middle], self.registers[middle:])
        return [_block(part) for part in parts] if middle else [self]


def shape(table: str, count: int) -> tuple[int, int]:
    """How an answer looks without what it says: function code and bytes of data."""
    return FUNCTIONS[table], size(FUNCTIONS[table], count)


def size(function: int, count: int) -> int:
    """Bytes of data in a good answer."""
    return (count + 7) // 8 if function <= 2 else 2 * count


def _block(registers: Sequence[Register]) -> Block:
    start = registers[0].address
    end = max(r.address + r.words for r in registers)
    return Block(registers[0].table, start, end - start, tuple(registers))


@dataclass(frozen=True, slots=True)
class Limits:
    """What a unit allows. Bits count as sixteenths of a register.

    `never`: (table, first, last) that no request may touch. `cuts`: (table, address) that none may reach across.
    """

    max_block: int = 120
    max_gap: int = 8
    never: tuple[tuple[str, int, int], ...] = ()
    cuts: tuple[tuple[str, int], ...] = ()

    def most(self, table: str) -> int:
        """Addresses in one request at most."""
        return self.max_block * (16 if table in BITS else 1)

    def gap(self, table: str) -> int:
        """Unused addresses in a row that may be read along."""
        return self.max_gap * (16 if table in BITS else 1)

    def allow(self, table: str, address: int, end: int) -> bool:
        """Whether one request may read from `address` to before `end`."""
        return (
            0 <= address < end <= 65536
            and end - address <= self.most(table)
            and not any(t == table and first < end and address <= last for t, first, last in self.never)
            and not any(t == table and address < cut < end for t, cut in self.cuts)
        )


def plan(registers: Iterable[Register], limits: Limits) -> list[Block]:
    """Neighbours together, as far as the limits allow."""
    blocks: list[list[Register]] = []
    end = 0
    for register in sorted(registers, key=lambda r: (r.table, r.address, r.words)):
        last, table = blocks[-1] if blocks else None, register.table
        after = register.address + register.words
        if (
            last is not None
            and last[0].table == table
            and register.address - end <= limits.gap(table)
            and limits.allow(table, last[0].address, max(end, after))
        ):
            last.append(register)
            end = max(end, after)
        else:
            blocks.append([register])
            end = after
    return [_block(block) for block in blocks]


def probe(blocks: Sequence[Block], taken: set[tuple[int, int]], limits: Limits) -> tuple[str, int, int] | None:
    """A request whose answer looks like none of `taken`: a block, or one a little shorter or longer. None if there is
    no such request within the limits.
    """
    places = [block.place for block in blocks]
    for table, address, count in list(places):
        step = 8 if table in BITS else 1
        places += [(table, address, count - n * step) for n in (1, 2) if count > n * step]
        longer = (table, address, count + step)
        if limits.max_gap and limits.allow(table, address, address + count + step):
            places.append(longer)
    return next((place for place in places if shape(place[0], place[2]) not in taken), None)

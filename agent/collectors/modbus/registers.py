"""Modbus registers as numbers, and which to ask for together. Pure.

Sources: Modbus Application Protocol V1.1b3 (functions 3 and 4), Modbus Messaging on TCP/IP V1.0b §3.1.3 (MBAP header).
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from decimal import Decimal
from math import isfinite

from agent.collectors.modbus.settings import Register
from agent.errors import BadSignal

FUNCTIONS = {"holding": 3, "input": 4}
_FORMATS = {"int16": ">h", "uint16": ">H", "int32": ">i", "uint32": ">I", "float32": ">f"}


def real(register: Register, words: Sequence[int]) -> float:
    """The value of `register` from its one or two raw registers (0…65535): raw × scale + offset.

    Worked out in decimal, so that 3 × 0.1 is 0.3 and a value on a limit is not beyond it. Raises BadSignal for NaN and
    infinity, which devices send when a sensor is missing.
    """
    swap_words, swap_bytes = register.order in ("CDAB", "DCBA"), register.order in ("BADC", "DCBA")
    ordered = reversed(words) if swap_words else words
    raw_bytes = b"".join(word.to_bytes(2, "little" if swap_bytes else "big") for word in ordered)
    raw = struct.unpack(_FORMATS[register.type], raw_bytes)[0]
    if register.scale == 1 and register.offset == 0:
        value = float(raw)
    elif isfinite(raw):
        value = float(Decimal(raw) * Decimal(repr(register.scale)) + Decimal(repr(register.offset)))
    else:
        value = raw
    if not isfinite(value):
        raise BadSignal("modbus_not_finite", register.tag)
    return value


@dataclass(frozen=True, slots=True)
class Block:
    """Registers that one request reads: `count` of them from `address`."""

    table: str
    address: int
    count: int
    registers: tuple[Register, ...]

    def values(self, words: Sequence[int]) -> list[tuple[Register, Sequence[int]]]:
        """Each register with its own part of the answer."""
        return [(r, words[r.address - self.address : r.address - self.address + r.words]) for r in self.registers]

    def halves(self) -> list[Block]:
        """Two smaller blocks (of one register: itself); to find the address that a device does not know."""
        middle = len(self.registers) // 2
        parts = (self.registers[:middle], self.registers[middle:])
        return [_block(part) for part in parts] if middle else [self]


def _block(registers: Sequence[Register]) -> Block:
    start = registers[0].address
    end = max(r.address + r.words for r in registers)
    return Block(registers[0].table, start, end - start, tuple(registers))


def plan(registers: Iterable[Register], max_block: int, max_gap: int) -> list[Block]:
    """Neighbours together: at most `max_block` registers a request and at most `max_gap` unused ones in a row."""
    blocks: list[list[Register]] = []
    end = 0
    for register in sorted(registers, key=lambda r: (r.table, r.address, r.words)):
        last = blocks[-1] if blocks else None
        after = register.address + register.words
        near = last is not None and last[0].table == register.table and register.address - end <= max_gap
        if near and last is not None and max(end, after) - last[0].address <= max_block:
            last.append(register)
            end = max(end, after)
        else:
            blocks.append([register])
            end = after
    return [_block(block) for block in blocks]


@dataclass(frozen=True, slots=True)
class Want:
    """The answer that a request asks for."""

    transaction: int
    unit: int
    function: int
    count: int


def fault(data: bytes, want: Want | None) -> str | None:
    """What is wrong with the bytes received since the request went out; None if nothing is, or more must come.

    One request at a time is on its way, so whatever is not exactly its answer casts doubt on all that follows.
    """
    if want is None:
        return "modbus_unasked"
    if len(data) < 8:
        return None
    transaction, protocol, length, unit, function = struct.unpack(">HHHBB", data[:8])
    if protocol != 0 or not 3 <= length <= 254 or len(data) > 6 + length:
        return "modbus_bad_frame"
    if transaction != want.transaction:
        return "modbus_wrong_transaction"
    if unit != want.unit:
        return "modbus_wrong_unit"
    if function == want.function | 0x80:
        return None if length == 3 else "modbus_wrong_length"
    if function != want.function:
        return "modbus_wrong_function"
    if length != 3 + 2 * want.count or (len(data) > 8 and data[8] != 2 * want.count):
        return "modbus_wrong_length"
    return None

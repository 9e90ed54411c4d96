"""Raw registers as values. Pure.

A device's byte order is one of four for nearly every device: the payload as it came or with the bytes of each register
swapped, read from the high or from the low end. So one `struct` a block and order unpacks everything at once.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Sequence
from decimal import Decimal
from fractions import Fraction
from functools import lru_cache, reduce
from math import isfinite
from typing import Any, NamedTuple

from agent.collectors.modbus.blocks import Block
from agent.collectors.modbus.settings import BITS, ORDERS, Register
from agent.errors import BadSignal
from agent.model import Quality

_FORMATS = {"int16": "h", "uint16": "H", "int32": "i", "uint32": "I", "int64": "q", "uint64": "Q",
            "float32": "f", "float64": "d", "bcd16": "H", "bcd32": "I", "bool": "H"}  # fmt: skip


class Said(NamedTuple):
    """What a register says."""

    value: float | None
    text: str | None = None
    quality: Quality = Quality.GOOD


Number = Callable[[Any], float]
Convert = Callable[[Any], Said]
_HUGE = 1e280
"""Scaled by less, no whole number of 64 bits leaves what a float can hold."""


def real(register: Register, words: Sequence[int]) -> float:
    """The number in a register's raw words (0…65535). Raises BadSignal if it is none."""
    block = Block(register.table, register.address, register.words, (register,))
    (raw,) = Decoder(block).raws(struct.pack(f">{len(words)}H", *words))
    number, rich = converter(register)
    value = number(raw) if rich is None else rich(raw).value
    assert value is not None, "a string is no number"
    return float(value)


class Decoder:
    """Made once for a block; `raws(payload)` gives what stands in it, in the order of `block.registers`.

    `rows` holds for each register its tag and what makes a value of it (see `converter`).
    """

    def __init__(self, block: Block) -> None:
        self.rows = [(register.tag, *converter(register)) for register in block.registers]
        self._bits = [r.address - block.address for r in block.registers] if block.table in BITS else None
        self._layers: list[tuple[bool, struct.Struct]] = []
        self._picks: list[int] | None = None
        if self._bits is None:
            self._lay_out(block)

    def _lay_out(self, block: Block) -> None:
        """Registers that do not overlap share a layer: one struct with gaps."""
        layers: dict[tuple[bool, str], list[list[tuple[int, str, int]]]] = {}
        seen: dict[tuple[bool, str, int, str], tuple[bool, str, int, int]] = {}
        wanted = []
        for r in block.registers:
            low_first, swapped = ORDERS.get(r.order, (False, False))
            if r.type == "string":
                low_first = False
            rearranged = r.order not in ORDERS or r.type == "string"
            code = f"{2 * r.words}s" if rearranged else _FORMATS[r.type]
            # words reversed and bytes not = bytes swapped, then all reversed: "<" of the swapped payload
            ends, turned = "<" if low_first else ">", low_first != swapped
            if (slot := (turned, ends, r.address, code)) not in seen:
                rows = layers.setdefault((turned, ends), [])
                row = next((i for i, row in enumerate(rows) if row[-1][2] <= r.address), len(rows))
                if row == len(rows):
                    rows.append([])
                rows[row].append((r.address, code, r.address + r.words))
                seen[slot] = (turned, ends, row, len(rows[row]) - 1)
            wanted.append(seen[slot])
        starts: dict[tuple[bool, str, int], int] = {}
        total = 0
        for (turned, ends), rows in layers.items():
            for index, layer in enumerate(rows):
                starts[turned, ends, index] = total
                total += len(layer)
                self._layers.append((turned, _struct(ends, block.address, layer)))
        picks = [starts[turned, ends, index] + n for turned, ends, index, n in wanted]
        self._picks = picks if picks != list(range(total)) else None

    def raws(self, payload: bytes) -> Sequence[Any]:
        """The raw contents."""
        if self._bits is not None:
            bits = int.from_bytes(payload, "little")
            return [bits >> at & 1 for at in self._bits]
        flat: tuple[Any, ...] = ()
        turned: bytes | None = None
        for swapped, layout in self._layers:
            if swapped and turned is None:
                turned = swap(payload)
            flat += layout.unpack_from(turned if swapped and turned is not None else payload)
        return flat if self._picks is None else [flat[at] for at in self._picks]


def swap(payload: bytes) -> bytes:
    """The bytes of each register exchanged."""
    turned = bytearray(payload)
    turned[::2], turned[1::2] = payload[1::2], payload[::2]
    return bytes(turned)


def _struct(ends: str, start: int, row: Sequence[tuple[int, str, int]]) -> struct.Struct:
    parts, at = [ends], start
    for address, code, end in row:
        parts.append(f"{2 * (address - at)}x{code}" if address > at else code)
        at = end
    return struct.Struct("".join(parts))


def converter(register: Register) -> tuple[Number, Convert | None]:
    """What makes a number of a register's raw content; and, if that is not all, what makes value, text and quality.

    Registers that are read alike share one.
    """
    r = register
    clamp = None if (r.clamp_low, r.clamp_high) == (None, None) else (r.clamp_low, r.clamp_high)
    enum = None if r.enum is None else tuple(r.enum.items())
    return _converter(r.type, r.order, r.bit, r.bits, r.length or 0, r.encoding, r.scale, r.offset, clamp, enum)


@lru_cache(maxsize=4096)
def _converter(
    kind: str, order: str, bit: int | None, bits: tuple[int, int] | None, length: int, encoding: str, scale: float,
    offset: float, clamp: tuple[float | None, float | None] | None, enum: tuple[tuple[int, str], ...] | None,
) -> tuple[Number, Convert | None]:  # fmt: skip
    if kind == "string":
        return float, _string(order, length, encoding)
    steps: list[Callable[[Any], Any]] = []
    if order not in ORDERS:
        steps.append(_rearranged(kind, order))
    if (whole := _whole(kind, bit, bits)) is not None:
        steps.append(whole)
    steps.append(_scaled(kind, scale, offset))
    number = steps[0] if len(steps) == 1 else lambda raw: reduce(lambda value, step: step(value), steps, raw)
    if enum is None and clamp is None:
        return number, None
    texts = dict(enum or ())
    low, high = clamp or (None, None)

    def said(raw: Any) -> Said:
        """A number without a text is uncertain, and so is a limit: the device did not say that."""
        value = float(number(raw))
        text = texts.get(int(value)) if texts else None
        quality = Quality.UNCERTAIN if texts and text is None else Quality.GOOD
        if low is not None and value < low:
            return Said(low, text, Quality.UNCERTAIN)
        if high is not None and value > high:
            return Said(high, text, Quality.UNCERTAIN)
        return Said(value, text, quality)

    return number, said


def _rearranged(kind: str, order: str) -> Callable[[Any], Any]:
    """For an order that is none of the usual four: letter by letter."""
    at, layout = [order.index(letter) for letter in sorted(order)], struct.Struct(">" + _FORMATS[kind])
    return lambda raw: layout.unpack(bytes(raw[i] for i in at))[0]


def _whole(kind: str, bit: int | None, bits: tuple[int, int] | None) -> Callable[[Any], Any] | None:
    if bits is not None:
        low, mask = bits[0], (1 << (bits[1] - bits[0] + 1)) - 1
        return lambda raw: raw >> low & mask
    if bit is not None:
        return lambda raw: raw >> bit & 1
    if kind == "bool":
        return lambda raw: int(raw != 0)
    return _bcd if kind in ("bcd16", "bcd32") else None


def _bcd(raw: int) -> int:
    try:
        return int(f"{raw:x}")
    except ValueError:
        raise BadSignal("modbus_not_bcd", f"{raw:x}") from None


def _scaled(kind: str, scale: float, offset: float) -> Number:
    """raw × scale + offset as the quotient of whole numbers, rounded once: 3 × 0.1 is 0.3, and a value on a limit is
    not beyond it. NaN and infinity, which devices send when a sensor is missing, are BadSignal.
    """
    floats = kind in ("float32", "float64")
    if scale == 1 and offset == 0:
        return _finite if floats else float
    by, plus = (Fraction(Decimal(repr(number))) for number in (scale, offset))
    below = by.denominator * plus.denominator
    factor, more = by.numerator * plus.denominator, plus.numerator * by.denominator
    if not floats and (abs(scale) + abs(offset)) < _HUGE:
        return lambda raw: (raw * factor + more) / below

    def scaled(raw: float) -> float:
        try:
            up, down = raw.as_integer_ratio()
            return (up * factor + more * down) / (below * down)
        except (OverflowError, ValueError):  # infinity, NaN, or it becomes too large
            raise BadSignal("modbus_not_finite", repr(raw)) from None

    return scaled


def _finite(raw: float) -> float:
    if isfinite(raw):
        return raw
    raise BadSignal("modbus_not_finite", repr(raw))


def _string(order: str, length: int, encoding: str) -> Convert:
    """Up to the first NUL, without spaces at the end."""
    reverse = ORDERS[order][0]

    def text(raw: bytes) -> Said:
        if reverse:
            raw = b"".join(raw[i : i + 2] for i in range(len(raw) - 2, -1, -2))
        own = raw[:length].split(b"\0", 1)[0]
        try:
            return Said(None, own.decode(encoding).rstrip())
        except UnicodeDecodeError:
            raise BadSignal("modbus_not_text", own.hex()) from None

    return text

"""Raw registers as values. Pure.

A device's byte order is one of four for nearly every device: the payload as it came or with the bytes of each register
swapped, read from the high or from the low end. So one `struct` a block and order unpacks everything at once.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Sequence
from decimal import Decimal
from fractions import Fraction
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


Convert = Callable[[Any], Said]


def real(register: Register, words: Sequence[int]) -> float:
    """The number in a register's raw words (0…65535). Raises BadSignal if it is none."""
    block = Block(register.table, register.address, register.words, (register,))
    (raw,) = Decoder(block).raws(struct.pack(f">{len(words)}H", *words))
    value = Decoder.said(register, raw).value
    assert value is not None, "a string is no number"
    return value


class Decoder:
    """Made once for a block; `raws(payload)` gives what stands in it, in the order of `block.registers`.

    `converts` holds for each register what makes a value of it, None if `float()` does.
    """

    def __init__(self, block: Block) -> None:
        self.converts = [converter(register) for register in block.registers]
        self.tags = [register.tag for register in block.registers]
        self._bits = [r.address - block.address for r in block.registers] if block.table in BITS else None
        self._layers: list[tuple[bool, struct.Struct]] = []
        self._picks: list[int] | None = None
        if self._bits is None:
            self._lay_out(block)

    @staticmethod
    def said(register: Register, raw: Any) -> Said:
        """One register's raw content as a value. Raises BadSignal."""
        convert = converter(register)
        return Said(float(raw)) if convert is None else convert(raw)

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


def converter(register: Register) -> Convert | None:
    """What makes a value of a register's raw content; None if `float()` is all there is to do."""
    if register.type == "string":
        return _string(register)
    steps = [step for step in (_rearranged(register), _integer(register)) if step is not None]
    last = _enum(register) or _scaled(register)
    if last is None and not steps:
        return None
    finish = last or (lambda raw: Said(float(raw)))
    if not steps:
        return finish
    if len(steps) == 1:
        only = steps[0]
        return lambda raw: finish(only(raw))
    first, second = steps
    return lambda raw: finish(second(first(raw)))


def _rearranged(r: Register) -> Callable[[Any], Any] | None:
    """For an order that is none of the usual four: letter by letter."""
    if r.order in ORDERS:
        return None
    at, layout = [r.order.index(letter) for letter in sorted(r.order)], struct.Struct(">" + _FORMATS[r.type])
    return lambda raw: layout.unpack(bytes(raw[i] for i in at))[0]


def _integer(r: Register) -> Callable[[Any], Any] | None:
    if r.bits is not None:
        low, mask = r.bits[0], (1 << (r.bits[1] - r.bits[0] + 1)) - 1
        return lambda raw: raw >> low & mask
    if r.bit is not None:
        bit = r.bit
        return lambda raw: raw >> bit & 1
    if r.type == "bool":
        return lambda raw: int(raw != 0)
    if r.type in ("bcd16", "bcd32"):
        return lambda raw: _bcd(r.tag, raw)
    return None


def _bcd(tag: str, raw: int) -> int:
    try:
        return int(f"{raw:x}")
    except ValueError:
        raise BadSignal("modbus_not_bcd", f"{tag}: {raw:x}") from None


def _enum(r: Register) -> Convert | None:
    """Value and text; a number without a text is uncertain."""
    if r.enum is None:
        return None
    known = {raw: Said(float(raw), words) for raw, words in r.enum.items()}
    clamped = _clamped(r)
    return lambda raw: clamped(known.get(raw) or Said(float(raw), None, Quality.UNCERTAIN))


def _scaled(r: Register) -> Convert | None:
    """raw × scale + offset as the quotient of whole numbers, rounded once: 3 × 0.1 is 0.3, and a value on a limit is
    not beyond it. NaN and infinity, which devices send when a sensor is missing, are BadSignal.
    """
    floats = r.type in ("float32", "float64")
    plain = r.scale == 1 and r.offset == 0
    if plain and not floats:
        return _clamped_number(r)
    scale, offset = (Fraction(Decimal(repr(number))) for number in (r.scale, r.offset))
    below = scale.denominator * offset.denominator
    factor, more = scale.numerator * offset.denominator, offset.numerator * scale.denominator
    tag, clamped = r.tag, _clamped(r)

    def exact(raw: int) -> Said:
        return clamped(Said((raw * factor + more) / below))

    def checked(raw: float) -> Said:
        try:
            up, down = raw.as_integer_ratio()
            return clamped(Said(raw if plain else (up * factor + more * down) / (below * down)))
        except (OverflowError, ValueError):  # infinity, NaN, or it becomes too large
            raise BadSignal("modbus_not_finite", tag) from None

    def finite(raw: float) -> Said:
        if not isfinite(raw):
            raise BadSignal("modbus_not_finite", tag)
        return Said(raw)

    if plain and (r.clamp_low, r.clamp_high) == (None, None):
        return finite
    return checked if floats else exact


def _clamped_number(r: Register) -> Convert | None:
    if (r.clamp_low, r.clamp_high) == (None, None):
        return None
    clamped = _clamped(r)
    return lambda raw: clamped(Said(float(raw)))


def _clamped(r: Register) -> Callable[[Said], Said]:
    """Within the limits, and uncertain if it was not: a limit is not what the device said."""
    low, high = r.clamp_low, r.clamp_high

    def clamp(said: Said) -> Said:
        value = said.value
        if value is not None and low is not None and value < low:
            return Said(low, said.text, Quality.UNCERTAIN)
        if value is not None and high is not None and value > high:
            return Said(high, said.text, Quality.UNCERTAIN)
        return said

    return (lambda said: said) if low is None and high is None else clamp


def _string(r: Register) -> Convert:
    """Up to the first NUL, without spaces at the end."""
    reverse, length, encoding, tag = ORDERS[r.order][0], r.length or 0, r.encoding, r.tag

    def text(raw: bytes) -> Said:
        if reverse:
            raw = b"".join(raw[i : i + 2] for i in range(len(raw) - 2, -1, -2))
        own = raw[:length].split(b"\0", 1)[0]
        try:
            return Said(None, own.decode(encoding).rstrip())
        except UnicodeDecodeError:
            raise BadSignal("modbus_not_text", f"{tag}: {own.hex()}") from None

    return text

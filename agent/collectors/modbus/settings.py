"""What a Modbus device, or a line or gateway with several, may say in the configuration file."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Any, Literal, Self

from pydantic import Field, field_validator, model_validator

from agent.collectors.settings import Host, Part

Table = Literal["coil", "discrete", "holding", "input"]
BITS = frozenset({"coil", "discrete"})
"""The tables whose addresses are single bits."""
WORDS = {"int16": 1, "uint16": 1, "int32": 2, "uint32": 2, "int64": 4, "uint64": 4,
         "float32": 2, "float64": 4, "bcd16": 1, "bcd32": 2, "bool": 1}  # fmt: skip
"""Registers that a value of a type takes; a string says it itself."""
ORDERS = {"ABCD": (False, False), "CDAB": (True, False), "BADC": (False, True), "DCBA": (True, True)}
"""The usual orders, for any number of registers: (the lowest register comes first, the low byte comes first)."""


def _usual(table: dict[str, Any]) -> Any:
    """The type of a register that names none. (A validator of the whole table would read it as Python, not as JSON.)"""
    return "bool" if table.get("table") in BITS else "uint16"


class Register(Part):
    """One value in a Modbus device: real = raw × scale + offset."""

    tag: str = Field(min_length=1, max_length=200, description="Name of the signal")
    unit: int | None = Field(None, ge=0, le=255, description="Unit that holds it, else the source's")
    table: Table = Field("holding", description="Function code 1 (coil), 2 (discrete), 3 (holding) or 4 (input)")
    address: int = Field(ge=0, le=65535, description="From 0, as in the request; register 40001 is holding 0")
    type: Literal[
        "bool",
        "int16",
        "uint16",
        "int32",
        "uint32",
        "int64",
        "uint64",
        "float32",
        "float64",
        "bcd16",
        "bcd32",
        "string",
    ] = Field(default_factory=_usual, description="How the bits are read; coils and discrete inputs are always bool")
    order: str = Field("ABCD", description="Order of the bytes on the wire; A is the highest")
    bit: int | None = Field(None, ge=0, le=63, description="With bool: the bit of the register; 0 is the lowest")
    bits: tuple[int, int] | None = Field(None, description="Lowest and highest bit of a field within an unsigned type")
    length: int | None = Field(None, ge=1, le=250, description="Bytes of a string, two a register")
    encoding: Literal["utf-8", "gb18030", "latin-1"] = Field("utf-8", description="How a string's bytes are read")
    scale: float = Field(1.0, allow_inf_nan=False, description="Factor")
    offset: float = Field(0.0, allow_inf_nan=False, description="Added after scaling")
    clamp_low: float | None = Field(None, allow_inf_nan=False, description="What is below becomes this, uncertain")
    clamp_high: float | None = Field(None, allow_inf_nan=False, description="What is above becomes this, uncertain")
    enum: dict[int, str] | None = Field(None, description="Texts by raw number; the signal has both")
    period_s: float | None = Field(None, ge=0.05, le=86400, description="Its own period, else the source's")

    @property
    def words(self) -> int:
        """Addresses taken: registers, or one bit."""
        if self.type == "string":
            return ((self.length or 0) + 1) // 2
        return WORDS[self.type]

    @field_validator("order")
    @classmethod
    def _ordered(cls, order: str) -> str:
        pairs = [order[i : i + 2] for i in range(0, len(order), 2)]
        for turned in (pairs, [pair[::-1] for pair in pairs]):
            if sorted(turned) in (["AB"], ["AB", "CD"], ["AB", "CD", "EF", "GH"]):
                return order
        raise ValueError(f"one of {', '.join(ORDERS)}; for 64 bits also ABCDEFGH with its pairs in another order")

    @model_validator(mode="after")
    def _fits(self) -> Self:
        for wrong in _wrong(self):
            raise ValueError(wrong)
        return self


def _wrong(r: Register) -> Iterator[str]:
    """What does not go together, each with its remedy."""
    if (r.type == "string") != (r.length is not None):
        yield f'length = {r.length}: name it with type = "string", and only there'
    if r.address + r.words > 65536:
        yield f"address = {r.address}: a {r.type} of {r.words} registers ends beyond 65535"
    if r.table in BITS and (r.type != "bool" or r.bit is not None):
        yield f"type = {r.type!r}: a {r.table} is one bit; leave type and bit out"
    if r.bit is not None and r.type != "bool":
        yield f'bit = {r.bit}: goes with type = "bool"; a field of bits is `bits = [lowest, highest]`'
    if r.bit is not None and r.bit > 15:
        yield f"bit = {r.bit}: a register has the bits 0 to 15; bit 16 is bit 0 of the next address"
    if r.bits is not None and r.type not in ("uint16", "uint32", "uint64"):
        yield f"bits = {list(r.bits)}: goes with uint16, uint32 or uint64"
    elif r.bits is not None and not 0 <= r.bits[0] <= r.bits[1] < 16 * r.words:
        yield f"bits = {list(r.bits)}: lowest and highest bit, from 0 to {16 * r.words - 1}"
    if r.order not in ORDERS and (r.type == "string" or len(r.order) != 2 * r.words):
        yield f"order = {r.order!r}: for a {r.type} one of {', '.join(ORDERS)}"
    if r.type == "string" and ((r.scale, r.offset) != (1, 0) or (r.clamp_low, r.clamp_high) != (None, None)):
        yield 'type = "string": has no scale, offset or clamp'
    if r.enum is not None and (r.type in ("string", "float32", "float64") or (r.scale, r.offset) != (1, 0)):
        yield "enum: goes with whole numbers and bool, without scale and offset"
    if r.clamp_low is not None and r.clamp_high is not None and r.clamp_low > r.clamp_high:
        yield f"clamp_low = {r.clamp_low}: is above clamp_high = {r.clamp_high}"


class Span(Part):
    """Addresses that are never part of a request."""

    unit: int | None = Field(None, ge=0, le=255, description="Of this unit, else of all")
    table: Table = Field(description="Table")
    first: int = Field(ge=0, le=65535, description="First address")
    last: int = Field(ge=0, le=65535, description="Last address")

    @model_validator(mode="after")
    def _upward(self) -> Self:
        if self.last < self.first:
            raise ValueError(f"last = {self.last}: is below first = {self.first}")
        return self


class Cut(Part):
    """An address at which a new request begins."""

    unit: int | None = Field(None, ge=0, le=255, description="Of this unit, else of all")
    table: Table = Field(description="Table")
    address: int = Field(ge=0, le=65535, description="No request reaches across the place before this address")


class Unit(Part):
    """What one unit needs otherwise than the source says."""

    unit: int = Field(ge=0, le=255, description="Unit identifier")
    timeout_s: float | None = Field(None, gt=0, le=60, description="Its own time for an answer")
    max_block: int | None = Field(None, ge=1, le=125, description="Its own limit of registers in a request")
    max_gap: int | None = Field(None, ge=0, le=123, description="Its own limit of unused registers read along")


class ModbusSettings(Part):
    """A Modbus device, or several behind one gateway or serial line. There is no way to write."""

    type: Literal["modbus"] = Field(description="The protocol")
    transport: Literal["tcp", "rtu", "rtu_over_tcp"] = Field("tcp", description="How it is reached")
    host: Host | None = Field(None, description="Host name or address; not for rtu")
    port: int = Field(502, ge=1, le=65535, description="TCP port")
    serial_port: str | None = Field(None, min_length=1, description="The serial line's device file; for rtu")
    baudrate: int = Field(19200, ge=300, le=4_000_000, description="Bits a second on the serial line")
    parity: Literal["even", "odd", "none"] = Field("even", description="Parity on the serial line")
    stop_bits: Literal[1, 2] = Field(1, description="Stop bits on the serial line")
    unit: int = Field(1, ge=0, le=255, description="Unit identifier; behind a gateway, the device's number")
    period_s: float = Field(1.0, ge=0.05, le=86400, description="Time between two readings")
    timeout_s: float = Field(1.0, gt=0, le=60, description="To connect, and for each answer")
    max_block: int = Field(120, ge=1, le=125, description="Registers in one request at most; bits: 16 times as many")
    max_gap: int = Field(8, ge=0, le=123, description="Unused registers read along to save a request")
    stale_after_s: float = Field(10.0, gt=0, le=31_536_000, description="Without data for longer the source is stale")
    reconnect_max_s: float = Field(10.0, gt=0, le=3600, description="Longest pause between two attempts to connect")
    never_read: tuple[Span, ...] = Field((), description="Addresses that are never asked for, not even in a gap")
    split_at: tuple[Cut, ...] = Field((), description="Addresses at which a new request begins")
    units: tuple[Unit, ...] = Field((), description="What single units need otherwise")
    registers: tuple[Register, ...] = Field(min_length=1, description="What to read")

    def unit_of(self, register: Register) -> int:
        """The unit that holds a register."""
        return self.unit if register.unit is None else register.unit

    def of_unit(self, number: int) -> Unit:
        """One unit's limits, the source's where it has none of its own."""
        own = next((u for u in self.units if u.unit == number), Unit(unit=number))
        given = own.model_dump(exclude_none=True)
        shared = {"timeout_s": self.timeout_s, "max_block": self.max_block, "max_gap": self.max_gap}
        return Unit.model_validate(shared | given)

    @model_validator(mode="after")
    def _reached(self) -> Self:
        if self.transport == "rtu" and (self.serial_port is None or self.host is not None):
            raise ValueError('transport = "rtu": needs serial_port (as /dev/ttyUSB0) and no host')
        if self.transport != "rtu" and (self.host is None or self.serial_port is not None):
            raise ValueError(f'transport = "{self.transport}": needs host and no serial_port')
        if self.transport != "tcp":
            for number in sorted({self.unit_of(register) for register in self.registers} - set(range(1, 248))):
                raise ValueError(f"unit = {number}: on a serial line units are 1 to 247")
        return self

    @model_validator(mode="after")
    def _unique(self) -> Self:
        if twice := [tag for tag, times in Counter(r.tag for r in self.registers).items() if times > 1]:
            raise ValueError(f"tag {min(twice)!r} stands twice")
        if again := [unit for unit, times in Counter(u.unit for u in self.units).items() if times > 1]:
            raise ValueError(f"units: unit {min(again)} stands twice")
        known = {self.unit_of(register) for register in self.registers}
        if unused := [unit.unit for unit in self.units if unit.unit not in known]:
            raise ValueError(f"units: unit {unused[0]} has no registers; name them with unit = {unused[0]}")
        shortest = min(register.period_s or self.period_s for register in self.registers)
        if self.stale_after_s <= shortest:
            raise ValueError(f"stale_after_s = {self.stale_after_s:g} is not above the period of {shortest:g} s")
        return self

    @model_validator(mode="after")
    def _may_be_read(self) -> Self:
        own = {unit.unit: unit.max_block for unit in self.units if unit.max_block is not None}
        for r in self.registers:
            number, end = self.unit_of(r), r.address + r.words
            most = own.get(number, self.max_block)
            if r.table not in BITS and r.words > most:
                raise ValueError(f"tag {r.tag!r}: takes {r.words} registers; raise max_block = {most}")
            for span in self.never_read:
                here = span.unit in (None, number) and span.table == r.table
                if here and r.address <= span.last and span.first < end:
                    raise ValueError(f"tag {r.tag!r}: lies in never_read {span.first} to {span.last}; leave one out")
            for cut in self.split_at:
                if cut.unit in (None, number) and cut.table == r.table and r.address < cut.address < end:
                    raise ValueError(f"tag {r.tag!r}: lies across split_at {cut.address}; move one")
        return self

    def stale_after(self, tag: str) -> float:
        """Seconds after which this value is stale: one that is read seldom is not, between two readings."""
        (period,) = (register.period_s or self.period_s for register in self.registers if register.tag == tag)
        return max(self.stale_after_s, 2 * period)

    def tags(self) -> frozenset[str]:
        return frozenset(register.tag for register in self.registers)

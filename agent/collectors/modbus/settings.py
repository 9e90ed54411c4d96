"""What a Modbus device in the configuration file may say."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import Field, model_validator

from agent.collectors.settings import Host, Part

WIDE = frozenset({"int32", "uint32", "float32"})
"""Register types that take two registers."""


class Register(Part):
    """One value in a Modbus device: real = raw × scale + offset."""

    tag: str = Field(min_length=1, max_length=200, description="Name of the signal")
    table: Literal["holding", "input"] = Field("holding", description="Function code 3 (holding) or 4 (input)")
    address: int = Field(ge=0, le=65535, description="From 0, as in the request; register 40001 is holding 0")
    type: Literal["int16", "uint16", "int32", "uint32", "float32"] = Field(
        "uint16", description="How the bits are read"
    )
    order: Literal["ABCD", "CDAB", "BADC", "DCBA"] = Field(
        "ABCD", description="Order of the bytes on the wire; A is the highest"
    )
    scale: float = Field(1.0, allow_inf_nan=False, description="Factor")
    offset: float = Field(0.0, allow_inf_nan=False, description="Added after scaling")
    period_s: float | None = Field(None, ge=0.05, le=86400, description="Its own period, else the source's")

    @property
    def words(self) -> int:
        """Registers taken: 1 or 2."""
        return 2 if self.type in WIDE else 1

    @model_validator(mode="after")
    def _inside(self) -> Self:
        if self.address + self.words > 65536:
            raise ValueError(f"address {self.address}: a {self.type} needs two registers")
        return self


class ModbusSettings(Part):
    """A Modbus TCP device and the registers we read. There is no way to write."""

    type: Literal["modbus"] = Field(description="The protocol")
    host: Host = Field(description="Device's host name or address")
    port: int = Field(502, ge=1, le=65535, description="Device's TCP port")
    unit: int = Field(1, ge=0, le=255, description="Unit identifier; behind a gateway, the device's number")
    period_s: float = Field(1.0, ge=0.05, le=86400, description="Time between two readings")
    timeout_s: float = Field(1.0, gt=0, le=60, description="To connect, and for each answer")
    max_block: int = Field(120, ge=2, le=125, description="Registers in one request at most")
    max_gap: int = Field(8, ge=0, le=123, description="Unused registers read along to save a request")
    stale_after_s: float = Field(10.0, gt=0, le=31_536_000, description="Without data for longer the source is stale")
    reconnect_max_s: float = Field(10.0, gt=0, le=3600, description="Longest pause between two attempts to connect")
    registers: tuple[Register, ...] = Field(min_length=1, description="What to read")

    @model_validator(mode="after")
    def _unique(self) -> Self:
        tags = [register.tag for register in self.registers]
        if twice := sorted({tag for tag in tags if tags.count(tag) > 1}):
            raise ValueError(f"tag {twice[0]!r} stands twice")
        shortest = min(register.period_s or self.period_s for register in self.registers)
        if self.stale_after_s <= shortest:
            raise ValueError(f"stale_after_s = {self.stale_after_s:g} is not above the period of {shortest:g} s")
        return self

    def stale_after(self, tag: str) -> float:
        """Seconds after which this value is stale: one that is read seldom is not, between two readings."""
        (period,) = (register.period_s or self.period_s for register in self.registers if register.tag == tag)
        return max(self.stale_after_s, 2 * period)

    def tags(self) -> frozenset[str]:
        return frozenset(register.tag for register in self.registers)

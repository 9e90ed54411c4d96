"""Which answers are believed: byte by byte, before the library sees them. Pure.

Sources: Modbus Application Protocol V1.1b3, Modbus Messaging on TCP/IP V1.0b §3.1.3 (MBAP header), Modbus over Serial
Line V1.02 §2.5.1 (RTU).
"""

from __future__ import annotations

import struct
from dataclasses import dataclass

from pymodbus.framer import FramerRTU

EXCEPTION = 0x80
READS = frozenset({1, 2, 3, 4})
"""The function codes that may leave this process."""


@dataclass(frozen=True, slots=True)
class Want:
    """The answer that a request asks for: `size` bytes of data."""

    transaction: int
    unit: int
    function: int
    size: int


def fault(data: bytes, want: Want | None) -> str | None:
    """What is wrong with the bytes received since the request went out (MBAP); None if nothing is, or more must come.

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
    if function == want.function | EXCEPTION:
        return None if length == 3 else "modbus_wrong_length"
    if function != want.function:
        return "modbus_wrong_function"
    if length != 3 + want.size or (len(data) > 8 and data[8] != want.size):
        return "modbus_wrong_length"
    return None


def fault_rtu(data: bytes, want: Want | None) -> str | None:
    """The same for an RTU frame, which carries no transaction but a checksum."""
    if want is None:
        return "modbus_unasked"
    if not data:
        return None
    if data[0] != want.unit:
        return "modbus_wrong_unit"
    if len(data) < 3:
        return None
    if data[1] == want.function | EXCEPTION:
        length = 5
    elif data[1] != want.function:
        return "modbus_wrong_function"
    elif data[2] != want.size:
        return "modbus_wrong_length"
    else:
        length = 5 + want.size
    if len(data) > length:
        return "modbus_bad_frame"
    if len(data) == length and FramerRTU.compute_CRC(data[:-2]) != int.from_bytes(data[-2:], "big"):
        return "modbus_bad_checksum"
    return None


def without_glitch(data: bytes) -> bytes:
    """An RTU frame without the 00 or FF that a two-wire line makes when its direction turns; no unit has these."""
    return data.lstrip(b"\x00\xff")

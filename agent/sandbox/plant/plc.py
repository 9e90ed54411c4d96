"""The plant's PLC: a Modbus TCP server on 127.0.0.1 whose holding registers show the process as it is at the moment.

Word order CDAB, as many PLCs send it. It refuses every write, and so shows that nothing is written.
"""

from __future__ import annotations

import asyncio
import logging
import struct
from collections.abc import Callable

from pymodbus.constants import ExcCodes
from pymodbus.server import ModbusTcpServer
from pymodbus.simulator import DataType, SimData, SimDevice

from agent.sandbox.plant.line import QUANTITIES, Quantity, Register
from agent.sandbox.plant.process import Process

_FIRST, _COUNT = 100, 12


def raw_words(register: Register, value: float) -> list[int]:
    """The registers, 0…65535 each, that hold `value`."""
    if register.type == "float32":
        high, low = struct.unpack(">HH", struct.pack(">f", value))
        return [low, high]
    return [round(value / register.scale) & 0xFFFF]


async def run_plc(
    port: int, process: Process, elapsed: Callable[[], float], ready: asyncio.Event | None = None
) -> None:
    """Serve until cancelled. `elapsed()` gives the seconds since the line's start. Raises RuntimeError if the port is
    taken."""
    logging.getLogger("pymodbus.logging").setLevel(logging.CRITICAL)
    measured = [(q, q.register) for q in QUANTITIES if q.register is not None]

    async def on_access(
        function_code: int, start: int, address: int, count: int, now: list[int], values: list[int] | list[bool] | None
    ) -> ExcCodes | None:
        if values is not None or function_code != 3:
            return ExcCodes.ILLEGAL_FUNCTION
        _refresh(now, start, measured, process, elapsed())
        return None

    data = SimData(_FIRST, count=_COUNT, values=0, datatype=DataType.REGISTERS, readonly=True)
    server = ModbusTcpServer(SimDevice(1, [data], action=on_access), address=("127.0.0.1", port))
    try:
        await server.serve_forever(background=True)
        if ready is not None:
            ready.set()
        await asyncio.Event().wait()
    finally:
        await server.shutdown()  # type: ignore[no-untyped-call]


def _refresh(
    registers: list[int], start: int, measured: list[tuple[Quantity, Register]], process: Process, t: float
) -> None:
    for quantity, register in measured:
        words = raw_words(register, process.value(quantity, t))
        place = register.address - start
        registers[place : place + len(words)] = words

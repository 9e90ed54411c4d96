"""One Modbus TCP connection, one request at a time. Any doubt ends the connection, so no late answer becomes a value.

pymodbus 3.16.1 takes a wrong function code as good, gives an empty list for a wrong byte count, accepts transaction 0,
raises inside data_received on a short frame and lets ConnectionResetError out; so each answer is checked by
`registers.fault` before pymodbus sees it (its public trace hooks), and reconnecting is ours.
"""

from __future__ import annotations

import asyncio
import logging
from typing import Any

from pymodbus.client import AsyncModbusTcpClient
from pymodbus.exceptions import ModbusException
from pymodbus.pdu import ModbusPDU

from agent.collectors.modbus.registers import Want, fault
from agent.collectors.modbus.settings import ModbusSettings

logging.getLogger("pymodbus.logging").setLevel(logging.CRITICAL)  # it would repeat at every poll what we count


class Broken(Exception):
    """The connection is no good and was closed; `args[0]` is the kind of error."""


class Declined(Exception):
    """The device answered with an exception code (`args[0]`); the connection is good."""


class Device:
    """A connection to a device. Only function codes 3 and 4 are ever sent."""

    def __init__(self, settings: ModbusSettings) -> None:
        self._settings = settings
        self._client: AsyncModbusTcpClient | None = None
        self._broken: asyncio.Future[str] | None = None
        self._want: Want | None = None

    @property
    def connected(self) -> bool:
        """True while nothing is known against the connection."""
        return self._client is not None and self._broken is not None and not self._broken.done()

    @property
    def doubt(self) -> str | None:
        """What was found wrong between two requests, None if nothing."""
        if self._client is None or self._broken is None or not self._broken.done():
            return None
        return self._broken.result()

    async def connect(self) -> None:
        """Connect anew. Raises Broken("modbus_connect")."""
        self.close()
        s = self._settings
        self._broken = asyncio.get_running_loop().create_future()
        self._client = AsyncModbusTcpClient(
            s.host,
            port=s.port,
            timeout=s.timeout_s + 1,  # ours ends first
            retries=0,
            reconnect_delay=0,
            trace_packet=self._on_bytes,
            trace_pdu=self._on_request,
            trace_connect=self._on_connect,
        )
        try:
            async with asyncio.timeout(s.timeout_s):
                good = await self._client.connect()
        except (OSError, TimeoutError):
            good = False
        if not good:
            self.close()
            raise Broken("modbus_connect")

    async def read(self, table: str, address: int, count: int) -> list[int]:
        """`count` registers, 0…65535 each. Raises Declined with the device's exception code, else Broken."""
        client, broken = self._client, self._broken
        if client is None or broken is None or broken.done():
            raise self._give_up(broken.result() if broken is not None and broken.done() else "modbus_disconnected")
        call = client.read_holding_registers if table == "holding" else client.read_input_registers
        request = asyncio.ensure_future(call(address, count=count, device_id=self._settings.unit))
        either: set[asyncio.Future[Any]] = {request, broken}
        try:
            await asyncio.wait(either, timeout=self._settings.timeout_s, return_when=asyncio.FIRST_COMPLETED)
            if broken.done():
                raise self._give_up(broken.result())
            if not request.done():
                raise self._give_up("modbus_timeout")
            answer = request.result()
        except (ModbusException, OSError, TimeoutError):
            raise self._give_up("modbus_disconnected") from None
        finally:
            self._want = None
            if not request.cancel() and not request.cancelled():
                request.exception()  # looked at, so that asyncio does not complain of it
        if answer.isError():
            raise Declined(answer.exception_code)
        return list(answer.registers)

    def close(self) -> None:
        """Close, at once; nothing that still arrives is looked at."""
        if self._client is not None:
            self._client.close()
        self._client = None

    def _give_up(self, kind: str) -> Broken:
        self.close()
        return Broken(kind)

    def _on_request(self, sending: bool, pdu: ModbusPDU) -> ModbusPDU:
        if sending:
            self._want = Want(pdu.transaction_id, pdu.dev_id, pdu.function_code, pdu.count)
        return pdu

    def _on_bytes(self, sending: bool, data: bytes) -> bytes:
        if sending or (kind := fault(data, self._want)) is None:
            return data
        self._doubt(kind)
        return b""

    def _on_connect(self, up: bool) -> None:
        if not up:
            self._doubt("modbus_disconnected")

    def _doubt(self, kind: str) -> None:
        if self._broken is not None and not self._broken.done():
            self._broken.set_result(kind)

"""One connection or serial line, one request at a time. Any doubt ends it, so no late answer becomes a value.

pymodbus 3.16.1 takes a wrong function code as good, gives an empty list for a wrong byte count, accepts transaction 0,
raises inside data_received on a short frame, lets ConnectionResetError out, takes the late answer of the last request
for the next one's on RTU, and begins its transaction numbers again with each connection. So each answer is checked by
`frames` before pymodbus sees it (its public trace hooks), and reconnecting and draining are ours.
"""

from __future__ import annotations

import asyncio
import logging
import socket
import termios
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

from pymodbus.client import AsyncModbusSerialClient, AsyncModbusTcpClient
from pymodbus.exceptions import ModbusException
from pymodbus.framer import FramerType
from pymodbus.pdu import ModbusPDU

from agent.collectors.modbus.blocks import size
from agent.collectors.modbus.frames import READS, Want, fault, fault_rtu, without_glitch
from agent.collectors.modbus.settings import ModbusSettings

logging.getLogger("pymodbus.logging").setLevel(logging.CRITICAL)  # it would repeat at every poll what we count

_QUIET_S = 0.03
"""A serial line is drained when it was silent for so long: longer than any adapter holds bytes back (16 ms)."""
_KEEPALIVE = {"TCP_KEEPIDLE": 10, "TCP_KEEPINTVL": 5, "TCP_KEEPCNT": 3, "TCP_USER_TIMEOUT": 25_000}
_PARITY = {"even": "E", "odd": "O", "none": "N"}


class Broken(Exception):
    """No believable answer; `args[0]` is the kind of error. The connection was closed, or the line must be drained."""


class Declined(Exception):
    """The device answered with an exception code (`args[0]`); the connection is good."""


class _Answer(ModbusPDU):
    """The data of an answer as bytes; what they mean is ours."""

    rtu_byte_count_pos = 2

    def decode(self, data: bytes) -> None:
        self.payload = bytes(data[1:])

    def __str__(self) -> str:
        return "answer"  # pymodbus makes a text of every answer for a log that nobody keeps


_ANSWERS = [type(f"Answer{code}", (_Answer,), {"function_code": code}) for code in sorted(READS)]


class Line:
    """The way to a device, or to several. Only the four reading function codes are ever sent.

    `count(kind)` hears of bytes that came between two requests on a serial line.
    """

    def __init__(self, settings: ModbusSettings, count: Callable[[str], object]) -> None:
        self._settings, self._count = settings, count
        self.rtu = settings.transport != "tcp"
        self._serial = settings.transport == "rtu"
        bits = 1 + 8 + (settings.parity != "none") + settings.stop_bits
        self._char_s = bits / settings.baudrate if self._serial else 0.0
        self._client: AsyncModbusTcpClient | AsyncModbusSerialClient | None = None
        self._broken: asyncio.Future[str] | None = None
        self._want: Want | None = None
        self._transaction = 0
        self._heard = 0.0
        self._partly = self._dirty = False
        self._failures = 0

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

    def patience(self, timeout_s: float, count: int) -> float:
        """How long to wait for an answer: a serial line needs its time to carry it."""
        return timeout_s + self._char_s * (13 + 2 * count)

    async def connect(self) -> None:
        """Connect anew. Raises Broken("modbus_connect")."""
        self.close()
        self._broken = asyncio.get_running_loop().create_future()
        self._client = client = self._make()
        for answer in _ANSWERS:
            client.register(answer)
        try:
            async with asyncio.timeout(self._settings.timeout_s):
                good = await client.connect()
        except (OSError, TimeoutError, ValueError, termios.error):  # the last two: a rate or parity it does not have
            good = False
        if not good:
            self.close()
            raise Broken("modbus_connect")
        client.ctx.next_tid = self._transaction
        self._dirty = self._serial  # whoever used the line before may still be answered
        self._failures = 0
        if not self._serial:
            _keep_alive(client.ctx.transport.get_extra_info("socket"))

    def _make(self) -> AsyncModbusTcpClient | AsyncModbusSerialClient:
        s = self._settings
        shared: dict[str, Any] = {
            "timeout": 3600,  # ours ends first
            "retries": 0,
            "reconnect_delay": 0,
            "trace_packet": self._on_bytes,
            "trace_pdu": self._on_request,
            "trace_connect": self._on_connect,
        }
        if s.transport == "rtu":
            path = s.serial_port or ""
            plain = Path(path).resolve().is_relative_to("/dev/pts")  # as socat makes them: no parity to be had
            parity = "N" if plain else _PARITY[s.parity]
            return AsyncModbusSerialClient(path, baudrate=s.baudrate, parity=parity, stopbits=s.stop_bits, **shared)
        framer = FramerType.RTU if self.rtu else FramerType.SOCKET
        return AsyncModbusTcpClient(s.host or "", port=s.port, framer=framer, **shared)

    async def read(self, unit: int, place: tuple[str, int, int], timeout_s: float) -> bytes:
        """The data of an answer. Raises Declined with the device's exception code, else Broken."""
        if self._serial:
            await self._silence(timeout_s)
        client, broken = self._client, self._broken
        if client is None or broken is None or broken.done():
            raise self._give_up(broken.result() if broken is not None and broken.done() else "modbus_disconnected")
        self._partly = False
        request = asyncio.ensure_future(_ask(client, unit, place))
        either: set[asyncio.Future[Any]] = {request, broken}
        try:
            await asyncio.wait(either, timeout=self.patience(timeout_s, place[2]), return_when=asyncio.FIRST_COMPLETED)
            if broken.done():
                raise self._give_up(broken.result())
            if not request.done():
                raise self._give_up("modbus_short_frame" if self._partly else "modbus_timeout")
            answer = request.result()
        except (ModbusException, OSError, TimeoutError):
            raise self._give_up("modbus_disconnected") from None
        finally:
            self._want = None
            if not request.cancel() and not request.cancelled():
                request.exception()  # looked at, so that asyncio does not complain of it
        self._failures = 0
        if answer.isError():
            raise Declined(answer.exception_code)
        return bytes(answer.payload)

    async def _silence(self, at_most_s: float) -> None:
        """Wait until the line was silent: 3.5 characters between two frames, longer when it must be drained.

        Raises Broken when it does not become silent.
        """
        loop = asyncio.get_running_loop()
        gap = max(3.5 * self._char_s, 0.00175)
        if self._dirty:
            gap = max(gap, _QUIET_S)
            self._heard = loop.time()
        until = loop.time() + max(at_most_s, 2 * gap)
        while (left := self._heard + gap - loop.time()) > 0:
            if loop.time() > until:
                self.close()
                raise Broken("modbus_unasked")
            await asyncio.sleep(left)
        self._dirty = False

    def close(self) -> None:
        """Close, at once; nothing that still arrives is looked at, nothing that waits is sent."""
        client, self._client = self._client, None
        if client is None:
            return
        if isinstance(client.ctx.transport, asyncio.Transport):
            client.ctx.transport.abort()
        client.close()

    def _give_up(self, kind: str) -> Broken:
        """A connection is closed. A serial line is drained; it is opened anew when that does not help."""
        self._failures += 1
        self._dirty = True
        if self._serial and kind != "modbus_disconnected" and self._failures % 5:
            self._broken = asyncio.get_running_loop().create_future()
        else:
            self.close()
        return Broken(kind)

    # Called by pymodbus.

    def _on_request(self, sending: bool, pdu: ModbusPDU) -> ModbusPDU:
        if sending:
            self._transaction = pdu.transaction_id
            self._want = Want(pdu.transaction_id, pdu.dev_id, pdu.function_code, size(pdu.function_code, pdu.count))
        return pdu

    def _on_bytes(self, sending: bool, data: bytes) -> bytes:
        if sending:
            if data[1 if self.rtu else 7] not in READS:
                raise PermissionError("only reading function codes leave this process")
            return data
        if self._serial:
            self._heard = asyncio.get_running_loop().time()
            if self._want is None:  # late, or noise: it is drained before the next request
                if not self._dirty:
                    self._count("modbus_unasked")
                self._dirty = True
                return b""
        if self.rtu:
            data = without_glitch(data)
        kind = fault_rtu(data, self._want) if self.rtu else fault(data, self._want)
        if kind is None:
            self._partly = True
            return data
        self._doubt(kind)
        return b""

    def _on_connect(self, up: bool) -> None:
        if not up:
            self._doubt("modbus_disconnected")

    def _doubt(self, kind: str) -> None:
        if self._broken is not None and not self._broken.done():
            self._broken.set_result(kind)


def _ask(client: AsyncModbusTcpClient | AsyncModbusSerialClient, unit: int, place: tuple[str, int, int]) -> Any:
    table, address, count = place
    match table:
        case "coil":
            return client.read_coils(address, count=count, device_id=unit)
        case "discrete":
            return client.read_discrete_inputs(address, count=count, device_id=unit)
        case "input":
            return client.read_input_registers(address, count=count, device_id=unit)
    return client.read_holding_registers(address, count=count, device_id=unit)


def _keep_alive(sock: socket.socket | None) -> None:
    """A connection whose other end is gone ends by itself, even if nothing is asked for hours."""
    if sock is None:
        return
    with suppress(OSError, AttributeError):
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        for option, value in _KEEPALIVE.items():
            sock.setsockopt(socket.IPPROTO_TCP, int(vars(socket)[option]), value)

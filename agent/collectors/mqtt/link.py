"""The network thread of an MQTT source: paho with its own poll() over the public loop_read, loop_write and loop_misc.

It reads until the socket is dry, hands over what came as one Batch, and sends PUBACKs for batches that were released as
durable. It never waits for the loop: that would hold up keepalive, and the broker would drop us. Each connection has a
fresh paho client, so that nothing of the last one lives on; the session at the broker does (MQTT 3.1.1 §3.1.2.4).
"""

from __future__ import annotations

import os
import random
import select
import socket
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any

from paho.mqtt.client import Client, ConnectFlags, DisconnectFlags, MQTTMessage
from paho.mqtt.enums import CallbackAPIVersion, MQTTErrorCode, MQTTProtocolVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode

from agent.clock import Clock
from agent.collectors.mqtt.intake import BATCH, Batch, Intake
from agent.collectors.mqtt.line import Line, LineClient, Malformed, Take, drain, works
from agent.collectors.mqtt.reader import Outgoing, Reader, Taken
from agent.collectors.mqtt.settings import BrokerSettings

_FIRST_PAUSE_S = 0.5
_STABLE_S = 10.0
"""A connection that held this long ends the growing of the pauses."""


class Link:
    """Connects, reads, acknowledges, reconnects for ever. `run()` belongs on a thread of its own.

    `deliver(batch)` and `report(event, detail)` are called on that thread and must not wait. Events: up, dropped (of
    QoS 0; detail = how many), connect_failed, refused, disconnected, subscribe_refused.
    """

    def __init__(
        self,
        settings: BrokerSettings,
        password: str | None,
        clock: Clock,
        reader: Reader,
        deliver: Callable[[Batch], object],
        report: Callable[[str, str], object],
    ) -> None:
        self._settings, self._password, self._clock = settings, password, clock
        self._deliver, self._report, self._reader = deliver, report, reader
        self._intake = Intake(settings, clock, reader)
        self._released: deque[Batch] = deque()
        self._bell, self._button = socket.socketpair()
        self._bell.setblocking(False)
        self._button.setblocking(False)
        self._stopping = self._accepted = self._ended = False
        self._seen = 0
        self._most = 16 * settings.max_payload_bytes + 65536

    def release(self, batch: Batch) -> None:
        """The batch is durable: acknowledge it. From any thread."""
        self._released.append(batch)
        self._ring()

    def stop(self) -> None:
        """Let run() end soon; what is not released stays unacknowledged and is delivered again. From any thread."""
        self._stopping = True
        self._ring()

    def _ring(self) -> None:
        with suppress(OSError):  # full: it rings already; closed: run() has ended
            self._button.send(b"\0")

    def run(self) -> None:
        """Serve one connection after the other until stop()."""
        pause = _FIRST_PAUSE_S
        try:
            while not self._stopping:
                started = self._clock.monotonic()
                if self._connection():
                    continue
                if self._accepted and self._clock.monotonic() - started > _STABLE_S:
                    pause = _FIRST_PAUSE_S
                self._rest(pause * random.uniform(0.5, 1.0))  # noqa: S311  (jitter, not a secret)
                pause = min(self._settings.reconnect_max_s, pause * 2)
        finally:
            self._bell.close()
            self._button.close()

    def _client(self) -> Client:
        s = self._settings
        five = s.protocol == "5"
        client = (LineClient if works() else Client)(
            CallbackAPIVersion.VERSION2,
            client_id=s.client_id,
            clean_session=None if five else self._reader.clean_session,
            protocol=MQTTProtocolVersion.MQTTv5 if five else MQTTProtocolVersion.MQTTv311,
            reconnect_on_failure=False,
            manual_ack=True,
        )
        if isinstance(client, LineClient):
            client.most = self._most
        client.connect_timeout = s.connect_timeout_s
        if s.username is not None:
            client.username_pw_set(s.username, self._password)
        if (will := self._reader.will(self._clock.now())) is not None:
            client.will_set(will.topic, will.payload, will.qos, will.retain)
        client.on_connect = self._on_connect
        client.on_subscribe = self._on_subscribe
        client.on_disconnect = self._on_disconnect
        client.on_message = self._on_message
        return client

    def _dial(self, client: Client) -> None:
        s = self._settings
        if s.protocol == "3.1.1":
            client.connect(s.host, s.port, s.keepalive_s)
            return
        wish = Properties(PacketTypes.CONNECT)  # type: ignore[no-untyped-call]
        wish.SessionExpiryInterval = 0 if self._reader.clean_session else s.session_expiry_s
        wish.ReceiveMaximum = s.max_inflight
        wish.MaximumPacketSize = self._most  # what is beyond the broker does not even send
        client.connect(s.host, s.port, s.keepalive_s, clean_start=self._reader.clean_session, properties=wish)

    def _connection(self) -> bool:
        """One connection from CONNECT to its end. True if the next shall follow at once: there is room again, and it
        brings back what was turned away."""
        client = self._client()
        self._accepted = self._ended = False
        accept_by = self._clock.monotonic() + self._settings.connect_timeout_s
        try:
            self._dial(client)
        except OSError as error:
            self._end("connect_failed", f"{type(error).__name__}: {error}")
            return False
        try:
            while not self._stopping and self._turn(client):
                if not self._accepted and self._clock.monotonic() > accept_by:
                    self._end("connect_failed", "no CONNACK")
                    break
                if self._intake.turned_away and self._intake.roomy():
                    return True
            return False
        finally:
            self._acknowledge(client)
            self._intake.disconnected()
            self._ended = True
            if self._accepted:
                self._say(self._reader.lost(self._clock.now()))
            self._leave(client)

    def _leave(self, client: Client) -> None:
        """Say DISCONNECT and wait, at most a second, until the broker hangs up: then it has read our PUBACKs.

        A new connection under our client id before that makes it throw them away unread (seen with mosquitto 2.0.11).
        paho closes its socket at once, so a second handle keeps the connection open.
        """
        sock = client.socket()
        if sock is None:
            return
        with socket.socket(fileno=os.dup(sock.fileno())) as line:
            if self._accepted:
                self._publish(client, self._reader.farewell(self._clock.now()))
            client.disconnect()
            sock.close()
            until = self._clock.monotonic() + 1.0 * self._accepted
            with suppress(OSError):  # a time-out or a reset; either way it is over
                while (left := until - self._clock.monotonic()) > 0:
                    line.settimeout(left)
                    if not line.recv(65536):
                        break

    def _end(self, event: str, detail: str) -> None:
        """Report why a connection ended; only the first reason counts."""
        if not self._ended:
            self._report(event, detail)
        self._ended = True

    def _turn(self, client: Client) -> bool:
        """Wait for something to do, at most a second, and do it. False when the connection is gone."""
        sock = client.socket()
        if sock is None:
            return False
        line = client.line if isinstance(client, LineClient) else None
        reading = self._intake.may_read()
        writing = client.want_write() or (line is not None and line.unsent)
        held = line is not None and reading and (line.waiting or line.buffered())
        poll = select.poll()  # select() fails for file descriptors above 1023
        poll.register(self._bell, select.POLLIN)
        poll.register(sock.fileno(), select.POLLIN * reading | select.POLLOUT * writing)
        ready = dict(poll.poll(0 if held else 1000))
        if self._bell.fileno() in ready:
            self._acknowledge(client)
        if held or ready.get(sock.fileno(), 0) & ~select.POLLOUT:
            self._intake.arrive()
            self._read(client, line)
        self._say(self._reader.tick(self._clock.now()))
        self._publish(client, self._reader.outgoing())
        if line is not None:
            line.flush()
        if client.want_write():
            client.loop_write()
        return client.loop_misc() == MQTTErrorCode.MQTT_ERR_SUCCESS

    def _read(self, client: Client, line: Line | None) -> None:
        """What there is to read, a batch at most."""
        if line is None:
            self._read_each(client)
        else:
            self._read_bulk(client, line)
        self._say(None)
        if dropped := self._intake.dropped:
            self._intake.dropped = 0
            self._report("dropped", str(dropped))

    def _read_each(self, client: Client) -> None:
        """Packets until the socket is dry. loop_read takes one a call and does not say whether there was one."""
        for _ in range(BATCH):
            seen = self._seen
            if client.loop_read() != MQTTErrorCode.MQTT_ERR_SUCCESS or self._seen == seen:
                break
            if not self._intake.may_read():
                break

    def _read_bulk(self, client: Client, line: Line) -> None:
        try:
            line.receive(self._taker(client, line), lambda: drain(client, line), self._intake.room())
        except Malformed as error:
            self._end("malformed", str(error))
            line.give_up()
            client.loop_read()

    def _taker(self, client: Client, line: Line) -> Take:
        take = self._intake.take

        def taken(mid: int, qos: int, dup: bool, topic: str | None, payload: bytes) -> None:
            owed = take(mid, qos, dup, topic, payload)
            if owed is not None:
                line.acknowledge((owed,))

        return taken

    def _say(self, more: Taken | None) -> None:
        """Hand over what was taken, and `more`."""
        if more is not None:
            self._intake.add(more)
        if (batch := self._intake.batch()) is not None:
            self._deliver(batch)

    def _publish(self, client: Client, messages: Sequence[Outgoing]) -> None:
        for message in messages:
            client.publish(message.topic, message.payload, message.qos, message.retain)

    def _acknowledge(self, client: Client | None) -> None:
        with suppress(BlockingIOError):
            self._bell.recv(4096)
        while self._released:
            mids = self._intake.free(self._released.popleft())
            if isinstance(client, LineClient) and client.line is not None:
                client.line.acknowledge(mids)
            elif client is not None:  # it is None only between connections, when free() gives nothing
                for mid in mids:
                    client.ack(mid, 1)

    def _rest(self, seconds: float) -> None:
        until = self._clock.monotonic() + seconds
        poll = select.poll()
        poll.register(self._bell, select.POLLIN)
        while not self._stopping and (left := until - self._clock.monotonic()) > 0:
            if poll.poll(1 + left * 1000):
                self._acknowledge(None)

    # Called by paho, on this thread. An exception would end it, so on_message lets none out (Intake.take).

    def _on_connect(self, client: Client, _data: Any, flags: ConnectFlags, reason: ReasonCode, _more: Any) -> None:
        if reason.is_failure:
            return self._end("refused", str(reason))
        self._accepted = True
        self._intake.connected(flags.session_present)
        self._reader.connected(flags.session_present, self._clock.now())
        client.subscribe([(name, int(self._settings.qos)) for name in self._reader.filters()])
        self._report("up", "")

    def _on_subscribe(self, _client: Client, _data: Any, _mid: int, reasons: list[ReasonCode], _more: Any) -> None:
        for reason in reasons:
            if reason.is_failure:
                self._report("subscribe_refused", str(reason))
        if not any(reason.is_failure for reason in reasons):
            self._reader.subscribed(self._clock.now())

    def _on_disconnect(self, _c: Client, _data: Any, _flags: DisconnectFlags, reason: ReasonCode, _more: Any) -> None:
        self._end("disconnected" if self._accepted else "connect_failed", str(reason))

    def _on_message(self, client: Client, _data: Any, message: MQTTMessage) -> None:
        self._seen += 1
        mid = self._intake.take(message.mid, message.qos, message.dup, _topic(message), bytes(message.payload))
        if mid is not None:
            client.ack(mid, 1)


def _topic(message: MQTTMessage) -> str | None:
    """None if it is not UTF-8."""
    try:
        return message.topic
    except UnicodeDecodeError:
        return None

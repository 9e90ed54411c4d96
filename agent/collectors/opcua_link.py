"""One OPC UA session and its subscription, on asyncua's services. Loaded only by a source of the type opcua.

asyncua 2.1 has a supervisor, a watchdog and a publish loop of its own, which log and go on where we must know that a
value may be missing; so only its single services are used here, and reconnecting is ours (OPC UA Part 4, 6.7): the
session is taken up again on a new channel, and what was sent meanwhile is asked for once more (Republish).
"""

from __future__ import annotations

import asyncio
import logging
import struct
from contextlib import suppress
from datetime import datetime
from typing import Any
from urllib.parse import unquote

from asyncua import Client, ua
from asyncua.crypto import uacrypto
from asyncua.ua.ua_binary import struct_from_binary
from cryptography.exceptions import InvalidSignature

from agent.clock import Clock
from agent.collectors.opcua import OpcuaSettings, number_or_text, quality_of, source_time
from agent.collectors.opcua_trust import Untrusted, secure
from agent.collectors.settings import read_secret
from agent.errors import BadSignal
from agent.model import Quality, Signal, SourceHealth

logging.getLogger("asyncua").setLevel(logging.CRITICAL + 1)  # it would repeat at every attempt what we count

MOST = 200
"""Values in one answer: asyncua takes about 50 µs to read one, and the loop is everybody's."""
_ITEMS = 100
_LARGEST_BYTES = 16 << 20
_OVERFLOW = 0x480  # StatusCode: InfoType DataValue, Overflow (Part 4, 7.39)
_REFUSED = ("Certificate", "SecurityChecks", "SecurityPolicy", "SecurityMode")
_NO_LOGIN = ("Identity", "UserAccess", "UserSignature")


_GARBLED = (ValueError, TypeError, AttributeError, LookupError, AssertionError, ArithmeticError, RecursionError)
"""What asyncua raises for answers that are no OPC UA; struct.error comes as its own NotEnoughData or as ValueError."""


class Lost(Exception):
    """The session or its subscription is no good any more; `args` are the kind of error and a detail."""


class Garbled(Exception):
    """An answer that cannot be read, of a service that was carried out."""


class Link:
    """A session. `connect`, then `receive` until one of `LOST` is raised; then `connect` again."""

    LOST = (
        Lost,
        Garbled,
        Untrusted,
        OSError,
        ua.UaError,
        struct.error,
        uacrypto.InvalidSignature,
        InvalidSignature,
        *_GARBLED,
    )

    def __init__(self, name: str, settings: OpcuaSettings, clock: Clock, health: SourceHealth) -> None:
        self._name, self._settings, self._clock, self._health = name, settings, clock, health
        self._client: Client | None = None
        self._renewing: asyncio.Task[None] | None = None
        self._subscription = 0
        self._sequence = 0
        self._acks: list[ua.SubscriptionAcknowledgement] = []
        self._unheard: set[int] = set()
        """Places of nodes whose present value must be asked for: the server tells only changes."""
        self._silence_s = settings.keepalive_s
        self._resumable = False
        self.fruitful = False
        """Whether this connection brought an answer to a Publish request."""
        self.missing: list[int] = []
        """Places of the nodes that the server does not let us watch."""

    def why(self, error: Exception) -> Lost:
        """Why the connection ended; also decides whether the session may be taken up again."""
        if isinstance(error, Lost):
            return error
        if isinstance(error, Untrusted):
            return Lost("opcua_server_untrusted", str(error))
        if isinstance(error, TimeoutError):
            kind = "opcua_keepalive_lost" if self.fruitful else "opcua_timeout"
            return Lost(kind, f"no answer for {self._silence_s if self.fruitful else self._settings.timeout_s:g} s")
        if isinstance(error, ua.UaStatusCodeError):
            self._resumable = False  # the server is there, and does not want this session
            status = ua.StatusCode(error.code).name
            if any(word in status for word in _REFUSED):
                return Lost("opcua_certificate_refused", status)
            if any(word in status for word in _NO_LOGIN):
                return Lost("opcua_login_refused", status)
            return Lost("opcua_session_lost" if self.fruitful else "opcua_refused", status)
        if isinstance(error, OSError):
            return Lost("opcua_disconnected" if self.fruitful else "opcua_connect", f"{type(error).__name__}: {error}")
        self._resumable = False
        return Lost("opcua_protocol", f"{type(error).__name__}: {error}")

    async def connect(self) -> None:
        """Take the session up again, or else begin a new one with a new subscription. Raises one of LOST, or
        ConfigError for a file that cannot be used."""
        self._hang_up()
        self.fruitful = False
        async with asyncio.timeout(self._settings.timeout_s * 4):
            if self._resumable and self._client is not None:
                with suppress(ua.UaStatusCodeError):  # it forgot the session
                    await self._resume(self._client)
                    return
                self._hang_up()
            self._resumable = False
            self._client = client = self._new_client()
            await secure(client, self._settings, self._clock.now())
            await self._channel(client)
            await client.create_session()
            await self._login(client)
        await self._subscribe(client)
        self._resumable = True
        self._renewing = asyncio.create_task(self._renew(client), name=f"opcua-{self._name}-renew")

    async def leave(self) -> None:
        """Close session and subscription if the server can be had."""
        client, up = self._client, self.fruitful
        if self._renewing is not None:
            self._renewing.cancel()
        if client is not None and up:
            with suppress(*self.LOST):
                async with asyncio.timeout(1):
                    await client.uaclient.close_session(True)
                    await client.close_secure_channel()
        self._hang_up()

    def _hang_up(self) -> None:
        if self._renewing is not None:
            self._renewing.cancel()
            self._renewing = None
        if self._client is not None:
            if (protocol := self._client.uaclient.protocol) is not None and protocol.transport is not None:
                protocol.transport.abort()
            self._client.disconnect_socket()

    async def _channel(self, client: Client) -> None:
        await client.connect_socket()
        _bounded(client)
        await client.send_hello()
        await client.open_secure_channel()

    async def _login(self, client: Client) -> None:
        s = self._settings
        password = None if s.password_file is None else read_secret("password_file", s.password_file)
        await client.activate_session(s.username, password, client.user_certificate)

    async def _resume(self, client: Client) -> None:
        await self._channel(client)
        client.uaclient.session.rebind_authentication_token()
        await self._login(client)
        self._renewing = asyncio.create_task(self._renew(client), name=f"opcua-{self._name}-renew")
        self._unheard = set(range(len(self._settings.nodes))) - set(self.missing)

    async def _renew(self, client: Client) -> None:
        """Renew the channel at 75 % of its life. If that fails, the server closes the channel and `receive` notices."""
        with suppress(*self.LOST):
            while True:
                await asyncio.sleep(client.secure_channel_timeout * 0.75 / 1000)
                await client.open_secure_channel(renew=True)
                client.uaclient.revolve_security_token()

    def _new_client(self) -> Client:
        s = self._settings
        client = Client(s.url, timeout=s.timeout_s)
        client.name = client.description = f"andon {self._name}"
        client.product_uri = "urn:andon-gateway"
        client.application_uri = s.application_uri or "urn:andon-gateway"
        client.session_timeout = int(s.keep_s * 1000)
        client.max_messagesize = _LARGEST_BYTES
        return client

    # ---- the subscription ----

    async def _subscribe(self, client: Client) -> None:
        s = self._settings
        request = ua.CreateSubscriptionRequest()
        parameters = request.Parameters
        parameters.RequestedPublishingInterval = s.publish_s * 1000
        parameters.RequestedMaxKeepAliveCount = max(1, round(s.keepalive_s / s.publish_s))
        parameters.RequestedLifetimeCount = max(
            3 * parameters.RequestedMaxKeepAliveCount, round(s.keep_s / s.publish_s)
        )
        parameters.MaxNotificationsPerPublish = MOST
        answer = await self._ask(client, request, ua.CreateSubscriptionResponse)
        made = answer.Parameters
        self._subscription, self._sequence, self._acks = made.SubscriptionId, 0, []
        self._unheard = set()
        self._silence_s = made.RevisedPublishingInterval * made.RevisedMaxKeepAliveCount / 1000 + s.timeout_s
        self.missing = list(range(len(s.nodes)))

    async def watch_missing(self) -> list[str]:
        """Ask the server to watch the nodes it does not watch yet; the tags of those it refuses."""
        assert self._client is not None
        uris = await self._namespaces(self._client)
        wanted: list[tuple[int, ua.NodeId]] = []
        refused: list[int] = []
        for place in self.missing:
            try:
                wanted.append((place, _node_id(self._settings.nodes[place].node, uris)))
            except LookupError as error:
                self._refuse(place, f"no namespace {error.args[0]}", refused)
        for start in range(0, len(wanted), _ITEMS):
            part = wanted[start : start + _ITEMS]
            request = ua.CreateMonitoredItemsRequest()
            request.Parameters.SubscriptionId = self._subscription
            request.Parameters.TimestampsToReturn = ua.TimestampsToReturn.Both
            request.Parameters.ItemsToCreate = [self._item(place, node) for place, node in part]
            answer = await self._ask(self._client, request, ua.CreateMonitoredItemsResponse)
            for (place, _), result in zip(part, answer.Results or [], strict=True):
                if not result.StatusCode.is_good():
                    self._refuse(place, result.StatusCode.name, refused)
        self.missing = refused
        return [self._settings.nodes[place].tag for place in refused]

    def _refuse(self, place: int, reason: str, refused: list[int]) -> None:
        node = self._settings.nodes[place]
        self._health.bad("opcua_node_refused", f"{node.tag}: {node.node}: {reason}")
        refused.append(place)

    def _item(self, place: int, node_id: ua.NodeId) -> ua.MonitoredItemCreateRequest:
        s, node = self._settings, self._settings.nodes[place]
        item = ua.MonitoredItemCreateRequest()
        item.ItemToMonitor.NodeId, item.ItemToMonitor.AttributeId = node_id, ua.AttributeIds.Value
        item.MonitoringMode = ua.MonitoringMode.Reporting
        wish = item.RequestedParameters = ua.MonitoringParameters()
        wish.ClientHandle = place + 1
        wish.SamplingInterval = (s.sampling_s if node.sampling_s is None else node.sampling_s) * 1000
        wish.QueueSize = node.queue_size or s.queue_size
        wish.DiscardOldest = True
        if node.deadband or node.trigger == "timestamp":
            by_time = node.trigger == "timestamp"
            kind = ua.DeadbandType[node.deadband_kind.title()] if node.deadband else ua.DeadbandType.None_
            wish.Filter = ua.DataChangeFilter(
                ua.DataChangeTrigger.StatusValueTimestamp if by_time else ua.DataChangeTrigger.StatusValue,
                int(kind),
                node.deadband,
            )
        return item

    async def _namespaces(self, client: Client) -> list[str]:
        request = ua.ReadRequest()
        request.Parameters.NodesToRead = [ua.ReadValueId(ua.NodeId(ua.ObjectIds.Server_NamespaceArray), 13)]
        (answer,) = (await self._ask(client, request, ua.ReadResponse)).Results
        return [str(uri) for uri in (answer.Value.Value if answer.Value is not None else None) or []]

    async def receive(self) -> list[Signal]:
        """The next changes; none if the server only says that it is alive. Raises one of LOST."""
        assert self._client is not None
        request = ua.PublishRequest()
        request.Parameters.SubscriptionAcknowledgements, self._acks = self._acks, []
        try:
            answer = await self._ask(self._client, request, ua.PublishResponse, self._silence_s)
        except Garbled as garbled:
            self._health.bad("opcua_undecodable", str(garbled))
            self._unheard = set(range(len(self._settings.nodes))) - set(self.missing)
            return await self._ask_for_unheard(self._client)
        self.fruitful = True
        result = answer.Parameters
        if result.SubscriptionId != self._subscription:
            return []
        message = result.NotificationMessage
        signals: list[Signal] = []
        missed = (message.SequenceNumber - self._sequence - 1) % 0xFFFFFFFF
        if self._sequence and 0 < missed < 0x7FFFFFFF:
            signals += await self._again(self._client, missed, result.AvailableSequenceNumbers or [])
        if message.NotificationData:
            self._sequence = message.SequenceNumber
            self._acks.append(ua.SubscriptionAcknowledgement(self._subscription, self._sequence))
            signals += self._signals(message)
        if self._unheard and not result.MoreNotifications:
            signals += await self._ask_for_unheard(self._client)
        return signals

    async def _ask_for_unheard(self, client: Client) -> list[Signal]:
        places, self._unheard = sorted(self._unheard), set()
        uris = await self._namespaces(client)
        signals: list[Signal] = []
        parts = [places[start : start + _ITEMS] for start in reversed(range(0, len(places), _ITEMS))]
        while parts:
            part = parts.pop()
            request = ua.ReadRequest()
            request.Parameters.TimestampsToReturn = ua.TimestampsToReturn.Both
            request.Parameters.NodesToRead = [
                ua.ReadValueId(_node_id(self._settings.nodes[place].node, uris), ua.AttributeIds.Value)
                for place in part
            ]
            try:
                values = (await self._ask(client, request, ua.ReadResponse)).Results or []
            except Garbled as garbled:
                if len(part) > 1:  # one of them cannot be read: find it
                    parts += [part[len(part) // 2 :], part[: len(part) // 2]]
                    continue
                self._health.bad("opcua_undecodable", f"{self._settings.nodes[part[0]].tag}: {garbled}")
                values = [ua.DataValue(StatusCode=ua.StatusCode(ua.StatusCodes.BadDecodingError))]
            now = self._clock.now()
            signals += [self._signal(place, value, now) for place, value in zip(part, values, strict=True)]
        return signals

    async def _again(self, client: Client, missed: int, kept: list[int]) -> list[Signal]:
        """What the server sent and we did not get: in order, as far as it still has it."""
        after = {number: (number - self._sequence - 1) % 0xFFFFFFFF for number in kept}
        wanted = sorted((number for number in after if after[number] < missed), key=after.__getitem__)
        if lost := missed - len(wanted):
            self._health.errors["opcua_missed"] = self._health.errors.get("opcua_missed", 0) + lost
        signals: list[Signal] = []
        for number in wanted:
            request = ua.RepublishRequest()
            request.Parameters.SubscriptionId = self._subscription
            request.Parameters.RetransmitSequenceNumber = self._sequence = number
            answer = await self._ask(client, request, ua.RepublishResponse)
            self._acks.append(ua.SubscriptionAcknowledgement(self._subscription, number))
            signals += self._signals(answer.NotificationMessage)
        return signals

    def _signals(self, message: ua.NotificationMessage) -> list[Signal]:
        now = self._clock.now()
        signals = []
        for data in message.NotificationData:
            if isinstance(data, ua.StatusChangeNotification):
                moved = "Transferred" in data.Status.name
                self._resumable = False
                raise Lost("opcua_subscription_transferred" if moved else "opcua_subscription_lost", data.Status.name)
            for item in data.MonitoredItems if isinstance(data, ua.DataChangeNotification) else ():
                place = item.ClientHandle - 1
                if 0 <= place < len(self._settings.nodes):
                    self._unheard.discard(place)
                    signals.append(self._signal(place, item.Value, now))
                else:
                    self._health.bad("opcua_unasked", f"handle {item.ClientHandle}")
        return signals

    def _signal(self, place: int, data: ua.DataValue, now: datetime) -> Signal:
        """A value with its quality; what cannot be read as one is counted, and bad."""
        node = self._settings.nodes[place]
        status = data.StatusCode.value if data.StatusCode is not None else 0
        if status & _OVERFLOW == _OVERFLOW:
            self._health.bad("opcua_overflow", f"{node.tag}: the queue in the server was full")
        quality = quality_of(status)
        at: datetime | None = None
        try:
            at = source_time(data.SourceTimestamp)
            if quality is not Quality.BAD:
                value, words = number_or_text(None if data.Value is None else data.Value.Value, node.index)
                words = node.texts.get(f"{value:g}") if value is not None else words
                return Signal(self._name, node.tag, value, now, at, quality, text=words)
        except BadSignal as bad:
            self._health.bad(bad.kind, f"{node.tag}: {bad.sample}")
        return Signal(self._name, node.tag, None, now, at, Quality.BAD)

    async def _ask(self, client: Client, request: Any, answer: Any, wait_s: float | None = None) -> Any:
        """One service. Raises a UaStatusCodeError if it was refused, Garbled for what cannot be read, else of LOST."""
        protocol = client.uaclient.protocol
        if protocol is None:
            raise ConnectionError("no connection")
        data = await protocol.send_request(request, wait_s)
        try:
            read = struct_from_binary(answer, data)
        except (ua.UaError, struct.error, *_GARBLED) as error:
            raise Garbled(f"{answer.__name__}: {type(error).__name__}: {error}") from error
        read.ResponseHeader.ServiceResult.check()
        return read


def _bounded(client: Client) -> None:
    """Close a connection on which a message grows without end."""
    protocol = client.uaclient.protocol
    assert protocol is not None
    take = protocol.data_received

    def data_received(data: bytes) -> None:
        take(data)
        held = len(protocol.receive_buffer or b"") + protocol._connection._incoming_size
        if held > _LARGEST_BYTES and protocol.transport is not None:
            protocol.transport.abort()

    protocol.data_received = data_received


def _node_id(text: str, uris: list[str]) -> ua.NodeId:
    """A node id as the settings have it. Raises LookupError with the namespace that the server does not have."""
    if not text.startswith("nsu="):
        return ua.NodeId.from_string(text)
    uri, identifier = text[4:].split(";", 1)
    uri = unquote(uri)
    if uri not in uris:
        raise LookupError(uri)
    return ua.NodeId.from_string(f"ns={uris.index(uri)};{identifier}")

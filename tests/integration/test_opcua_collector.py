"""The OPC UA collector against a real server (asyncua), with and without security, through cuts and restarts."""

from __future__ import annotations

import asyncio
import gc
import ipaddress
import socket
import time
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from asyncua import Server, ua
from asyncua.crypto.permission_rules import SimpleRoleRuleset
from asyncua.server.user_managers import CertificateUserManager, User, UserManager, UserRole
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.x509.oid import NameOID

from agent.clock import SystemClock
from agent.collectors.opcua import OpcuaCollector, OpcuaSettings
from agent.errors import AgentError
from agent.model import Quality, SourceHealth

URI = "http://maker.example/line3"
POLICIES = {
    "None": ua.SecurityPolicyType.NoSecurity,
    "Basic256Sha256 Sign": ua.SecurityPolicyType.Basic256Sha256_Sign,
    "Basic256Sha256 SignAndEncrypt": ua.SecurityPolicyType.Basic256Sha256_SignAndEncrypt,
    "Aes128Sha256RsaOaep Sign": ua.SecurityPolicyType.Aes128Sha256RsaOaep_Sign,
    "Aes128Sha256RsaOaep SignAndEncrypt": ua.SecurityPolicyType.Aes128Sha256RsaOaep_SignAndEncrypt,
    "Aes256Sha256RsaPss Sign": ua.SecurityPolicyType.Aes256Sha256RsaPss_Sign,
    "Aes256Sha256RsaPss SignAndEncrypt": ua.SecurityPolicyType.Aes256Sha256RsaPss_SignAndEncrypt,
}


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Sink:
    """An emit that keeps what it is given; `shut` makes it wait."""

    def __init__(self):
        self.signals, self.open, self.refuse = [], asyncio.Event(), 0
        self.open.set()

    async def __call__(self, signals):
        await self.open.wait()
        if self.refuse:
            self.refuse -= 1
            raise AgentError("full")
        self.signals += signals

    def of(self, tag):
        return [s.value for s in self.signals if s.tag == tag and s.quality is not Quality.BAD]

    def last(self, tag):
        return next((s for s in reversed(self.signals) if s.tag == tag), None)


def config(port, nodes, **over):
    base = {
        "type": "opcua", "url": f"opc.tcp://127.0.0.1:{port}/andon", "publish_s": 0.05, "sampling_s": 0,
        "keepalive_s": 0.5, "timeout_s": 2, "reconnect_max_s": 0.3, "nodes": nodes,
    }  # fmt: skip
    return OpcuaSettings.model_validate(base | over)


@asynccontextmanager
async def collecting(settings, emit):
    health = SourceHealth("plc", "opcua", 10)
    task = asyncio.create_task(OpcuaCollector("plc", settings, SystemClock(), health).run(emit))
    try:
        yield health
        assert not task.done(), task
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def until(condition, seconds=10.0):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        await asyncio.sleep(0.01)


@pytest.fixture(autouse=True)
def impatient(monkeypatch):
    """The first pause before a reconnect is short, so that the tests are."""
    monkeypatch.setattr("agent.collectors.opcua._FIRST_PAUSE_S", 0.05)


@asynccontextmanager
async def serving(port, folder=None, policies=("None",), users=None, more_namespaces=0):
    server = Server(user_manager=users)
    await server.init()
    server.set_endpoint(f"opc.tcp://127.0.0.1:{port}/andon")
    if folder is not None:
        await server.load_certificate(folder / "server.der")
        await server.load_private_key(folder / "server.pem")
        await server.set_application_uri("urn:andon:server")
    kinds = [POLICIES[name] for name in policies]
    server.set_security_policy(kinds, permission_ruleset=SimpleRoleRuleset() if folder else None)
    for i in range(more_namespaces):
        await server.register_namespace(f"http://other.example/{i}")
    ns = await server.register_namespace(URI)
    await server.start()
    try:
        yield Plc(server, ns)
    finally:
        await server.stop()


class Plc:
    """Variables of a server by name."""

    def __init__(self, server, ns):
        self.server, self.ns, self.nodes = server, ns, {}

    async def add(self, name, value, kind=None):
        objects = self.server.nodes.objects
        self.nodes[name] = await objects.add_variable(ua.NodeId(name, self.ns), name, value, kind)

    async def put(self, name, value, at=None, status=0, kind=None):
        variant = value if isinstance(value, ua.Variant) else ua.Variant(value, kind)
        data = ua.DataValue(variant, ua.StatusCode(status), SourceTimestamp=at or datetime.now(UTC))
        await self.server.write_attribute_value(self.nodes[name].nodeid, data)


def node(tag, ns=2, **over):
    return {"tag": tag, "node": f"ns={ns};s={tag}"} | over


def run(main):
    """A loop of its own; what the server's library forgot is collected while its warnings are still ours."""
    asyncio.run(main())


def test_values_of_every_kind_with_quality_and_time():
    at = datetime(2026, 11, 22, 2, 0, 0, 123456, tzinfo=UTC)
    values = {
        "float": (1.5, ua.VariantType.Float, 1.5, None),
        "int": (-7, ua.VariantType.Int16, -7.0, None),
        "big": (2**53 + 1, ua.VariantType.UInt64, float(2**53), None),
        "bool": (True, ua.VariantType.Boolean, 1.0, None),
        "text": ("SN-4711 焊", ua.VariantType.String, None, "SN-4711 焊"),
        "local": (ua.LocalizedText("热"), ua.VariantType.LocalizedText, None, "热"),
        "enum": (2, ua.VariantType.Int32, 2.0, "running"),
        "row": ([1.0, 2.5, 4.0], ua.VariantType.Double, 2.5, None),
    }

    async def main():
        port, sink = free_port(), Sink()
        async with serving(port) as plc:
            for name, (value, kind, _, _) in values.items():
                await plc.add(name, value, kind)
                await plc.put(name, value, at, kind=kind)
            nodes = [node(name) for name in values if name not in ("enum", "row")]
            nodes += [node("enum", texts={"2": "running"}), node("row", index=1)]
            nodes.append({"tag": "far", "node": "ns=2;s=row", "index": 3})
            async with collecting(config(port, nodes), sink) as health:
                await until(lambda: {s.tag for s in sink.signals} == {*values, "far"})
                for name, (_, _, value, text) in values.items():
                    got = sink.last(name)
                    assert (got.value, got.text, got.quality, got.source_at) == (value, text, Quality.GOOD, at), name
                    assert abs((datetime.now(UTC) - got.received_at).total_seconds()) < 10
                assert (sink.last("far").value, sink.last("far").quality) == (None, Quality.BAD)
                assert health.errors == {"no_such_index": 1}
                await plc.put("float", 2.5, status=ua.StatusCodes.UncertainLastUsableValue, kind=ua.VariantType.Float)
                await until(lambda: sink.last("float").quality is Quality.UNCERTAIN)
                assert sink.last("float").value == 2.5
                await plc.put("float", 3.5, status=ua.StatusCodes.BadSensorFailure, kind=ua.VariantType.Float)
                await until(lambda: sink.last("float").quality is Quality.BAD)
                assert sink.last("float").value is None
                await plc.put("float", float("nan"), kind=ua.VariantType.Float)
                await until(lambda: health.errors.get("not_finite") == 1)
                assert health.state == "up" and health.last_data_at is not None

    run(main)


def test_fast_changes_all_arrive_in_order():
    async def main():
        port, sink = free_port(), Sink()
        async with serving(port) as plc:
            await plc.add("fast", 0.0)
            settings = config(port, [node("fast", queue_size=1000)], publish_s=0.2)
            async with collecting(settings, sink) as health:
                await until(lambda: sink.of("fast") == [0.0])
                for i in range(1, 501):
                    await plc.put("fast", float(i))
                await until(lambda: sink.of("fast")[-1] == 500.0)
                assert sink.of("fast") == [float(i) for i in range(501)]
                assert health.errors == {}

    run(main)


def test_a_deadband_and_repeats_by_time():
    async def main():
        port, sink = free_port(), Sink()
        async with serving(port) as plc:
            for name in ("coarse", "again"):
                await plc.add(name, 10.0)
            nodes = [node("coarse", deadband=0.5), node("again", trigger="timestamp")]
            async with collecting(config(port, nodes), sink):
                await until(lambda: sink.of("again") and sink.of("coarse"))
                for value in (10.2, 10.4, 11.0, 11.1):
                    await plc.put("coarse", value)
                    await plc.put("again", 10.0)
                await until(lambda: len(sink.of("again")) == 5)
                assert sink.of("coarse") == [10.0, 11.0]
                times = [s.source_at for s in sink.signals if s.tag == "again"]
                assert len(set(times)) == 5

    run(main)


def test_a_wrong_node_is_bad_alone_and_watched_once_it_is_there(monkeypatch):
    monkeypatch.setattr("agent.collectors.opcua._RETRY_NODES_S", 0.2)

    async def main():
        port, sink = free_port(), Sink()
        async with serving(port, more_namespaces=3) as plc:
            await plc.add("good", 1.0)
            nodes = [
                {"tag": "good", "node": f"nsu={URI};s=good"},
                {"tag": "late", "node": f"nsu={URI};s=late"},
                {"tag": "alien", "node": "nsu=http://nobody.example/;i=1"},
            ]
            async with collecting(config(port, nodes), sink) as health:
                await until(lambda: sink.of("good") == [1.0] and health.errors.get("opcua_node_refused", 0) >= 2)
                assert [(s.tag, s.value) for s in sink.signals if s.quality is Quality.BAD] == [
                    ("late", None), ("alien", None),
                ]  # fmt: skip
                assert "no namespace http://nobody.example/" in health.last_bad
                await plc.add("late", 7.0)
                await until(lambda: sink.of("late") == [7.0])
                await plc.put("good", 2.0)
                await until(lambda: sink.of("good") == [1.0, 2.0])

    run(main)

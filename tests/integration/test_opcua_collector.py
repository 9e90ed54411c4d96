"""The OPC UA collector against a real server (asyncua), with and without security, through cuts and restarts."""

from __future__ import annotations

import asyncio
import ipaddress
import socket
import time
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta

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
    """A loop of its own, that ends after its connections did."""

    async def whole():
        await main()
        await asyncio.sleep(0.05)

    asyncio.run(whole())


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
                bad = [(s.tag, s.value) for s in sink.signals if s.quality is Quality.BAD]
                assert sorted(bad) == [("alien", None), ("late", None)], "each once"
                await plc.add("late", 7.0)
                await until(lambda: sink.of("late") == [7.0])
                await plc.put("good", 2.0)
                await until(lambda: sink.of("good") == [1.0, 2.0])

    run(main)


# ---- security ----


def write_pair(folder, name, uri, issuer=None, ca=False, days=1):
    """A certificate (DER) and its key (PEM); signed by `issuer`, a pair made before, or by itself."""
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    names = [x509.UniformResourceIdentifier(uri), x509.DNSName("localhost")]
    names.append(x509.IPAddress(ipaddress.ip_address("127.0.0.1")))
    signer, by = (key, subject) if issuer is None else (issuer[1], issuer[0].subject)
    now = datetime.now(UTC)
    usage = x509.KeyUsage(True, True, True, True, False, ca, ca, False, False)
    certificate = (
        x509.CertificateBuilder().subject_name(subject).issuer_name(by).public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=2)).not_valid_after(now + timedelta(days=days))
        .add_extension(x509.SubjectAlternativeName(names), False)
        .add_extension(x509.BasicConstraints(ca, None), True).add_extension(usage, True)
        .sign(signer, hashes.SHA256())
    )  # fmt: skip
    (folder / f"{name}.der").write_bytes(certificate.public_bytes(serialization.Encoding.DER))
    pem = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    (folder / f"{name}.pem").write_bytes(pem)
    (folder / f"{name}.pem").chmod(0o600)
    return certificate, key


@pytest.fixture(scope="module")
def keys(tmp_path_factory):
    """Certificates of a server, of us, of a user, of a stranger; and a CA that signed another server's."""
    folder = tmp_path_factory.mktemp("keys")
    for name in ("server", "gateway", "operator", "stranger"):
        write_pair(folder, name, f"urn:andon:{name}")
    ca = write_pair(folder, "plant-ca", "urn:plant:ca", ca=True)
    signed, old = folder / "signed", folder / "old"
    for other in (signed, old):
        other.mkdir()
        (other / "trust").mkdir()
    write_pair(signed, "server", "urn:andon:server", issuer=ca)
    write_pair(old, "server", "urn:andon:server", days=-1)
    (signed / "trust" / "ca.der").write_bytes((folder / "plant-ca.der").read_bytes())
    (old / "trust" / "server.der").write_bytes((old / "server.der").read_bytes())
    for name, text in (("password", "s3cret"), ("wrong", "guess")):
        (folder / name).write_text(text + "\n", "utf-8")
        (folder / name).chmod(0o600)
    return folder


def ours(keys, policy, mode="SignAndEncrypt", **over):
    own = {"certificate_file": keys / "gateway.der", "key_file": keys / "gateway.pem"}
    return {"security_policy": policy, "security_mode": mode} | own | over


@pytest.mark.parametrize("name", [name for name in POLICIES if name != "None"])
def test_every_policy_and_mode_with_a_pinned_server(keys, name):
    async def main():
        port, sink = free_port(), Sink()
        async with serving(port, keys, [name]) as plc:
            await plc.add("x", 1.0)
            safe = ours(keys, *name.split(), server_certificate_file=keys / "server.der")
            async with collecting(config(port, [node("x")], **safe), sink) as health:
                await until(lambda: sink.of("x") == [1.0])
                await plc.put("x", 2.0)
                await until(lambda: sink.of("x") == [1.0, 2.0])
                assert health.errors == {}

    run(main)


def test_a_trust_folder_takes_the_server_or_its_ca_and_nobody_else(keys):
    async def main():
        for folder, trust, kind in (
            (keys / "signed", keys / "signed" / "trust", None),
            (keys, keys, None),
            (keys, keys / "signed" / "trust", "opcua_server_untrusted"),
            (keys / "old", keys / "old" / "trust", "opcua_server_untrusted"),
        ):
            port, sink = free_port(), Sink()
            async with serving(port, folder, ["None", "Basic256Sha256 SignAndEncrypt"]) as plc:
                await plc.add("x", 1.0)
                safe = ours(keys, "Basic256Sha256", trust_dir=trust)
                async with collecting(config(port, [node("x")], **safe), sink) as health:
                    if kind is None:
                        await until(lambda sink=sink: sink.of("x") == [1.0])
                    else:
                        await until(lambda health=health, kind=kind: health.errors.get(kind, 0) >= 2)
                        assert health.state == "down" and sink.of("x") == []

    run(main)


def test_another_server_than_the_pinned_one_is_refused(keys):
    async def main():
        port, sink = free_port(), Sink()
        async with serving(port, keys, ["None", "Basic256Sha256 SignAndEncrypt"]) as plc:
            await plc.add("x", 1.0)
            safe = ours(keys, "Basic256Sha256", server_certificate_file=keys / "stranger.der")
            async with collecting(config(port, [node("x")], **safe), sink) as health:
                await until(lambda: health.errors.get("opcua_server_untrusted", 0) >= 2)
                assert health.state == "down" and sink.of("x") == []

    run(main)


class Door(UserManager):
    def get_user(self, iserver, username=None, password=None, certificate=None):
        return User(role=UserRole.User) if (username, password) == ("andon", "s3cret") else None


def test_user_and_password_by_file_and_a_wrong_one(keys):
    async def main():
        for file, good in (("password", True), ("wrong", False)):
            port, sink = free_port(), Sink()
            async with serving(port, keys, ["Basic256Sha256 SignAndEncrypt"], Door()) as plc:
                await plc.add("x", 1.0)
                safe = ours(keys, "Basic256Sha256", server_certificate_file=keys / "server.der")
                who = {"username": "andon", "password_file": keys / file}
                async with collecting(config(port, [node("x")], **safe, **who), sink) as health:
                    if good:
                        await until(lambda sink=sink: sink.of("x") == [1.0])
                    else:
                        await until(lambda health=health: health.errors.get("opcua_login_refused", 0) >= 2)
                        assert health.state == "down"

    run(main)


def test_a_user_certificate(keys):
    async def main():
        users = CertificateUserManager()
        await users.add_user(keys / "operator.der", "operator")
        for name, good in (("operator", True), ("stranger", False)):
            port, sink = free_port(), Sink()
            async with serving(port, keys, ["Basic256Sha256 SignAndEncrypt"], users) as plc:
                plc.server.set_identity_tokens([ua.X509IdentityToken])
                await plc.add("x", 1.0)
                safe = ours(keys, "Basic256Sha256", server_certificate_file=keys / "server.der")
                who = {"user_certificate_file": keys / f"{name}.der", "user_key_file": keys / f"{name}.pem"}
                async with collecting(config(port, [node("x")], **safe, **who), sink) as health:
                    if good:
                        await until(lambda sink=sink: sink.of("x") == [1.0])
                    else:
                        await until(lambda health=health: health.errors.get("opcua_login_refused", 0) >= 2)

    run(main)


# ---- faults ----


class Wire:
    """A proxy that can be cut, or go silent without closing (a pulled cable)."""

    def __init__(self, target):
        self.target, self.port, self.silent, self.refuse = target, free_port(), False, False
        self.writers = set()

    async def __aenter__(self):
        self.server = await asyncio.start_server(self.connection, "127.0.0.1", self.port)
        return self

    async def __aexit__(self, *_):
        self.server.close()
        self.cut()

    def cut(self):
        for writer in list(self.writers):
            writer.transport.abort()

    async def connection(self, reader, writer):
        if self.refuse:
            return writer.transport.abort()
        self.writers.add(writer)
        there, back = await asyncio.open_connection("127.0.0.1", self.target)
        self.writers.add(back)
        await asyncio.gather(self.carry(reader, back), self.carry(there, writer))
        self.writers -= {writer, back}

    async def carry(self, reader, writer):
        try:
            while data := await reader.read(65536):
                if not self.silent:
                    writer.write(data)
        except OSError:
            pass
        writer.transport.abort()


@pytest.mark.parametrize("policy", ["None", "Aes256Sha256RsaPss"])
def test_a_cut_line_loses_nothing_that_the_server_kept(keys, policy):
    name = "None" if policy == "None" else f"{policy} SignAndEncrypt"

    async def main():
        port, sink = free_port(), Sink()
        async with serving(port, keys, [name]) as plc, Wire(port) as wire:
            await plc.add("x", 0.0)
            await plc.add("still", 5.0)
            safe = {} if policy == "None" else ours(keys, policy, server_certificate_file=keys / "server.der")
            async with collecting(config(wire.port, [node("x"), node("still")], **safe), sink) as health:
                await until(lambda: sink.of("x") == [0.0] and sink.of("still"))
                for round in range(3):
                    wire.refuse = True
                    wire.cut()
                    for i in range(1, 21):
                        await plc.put("x", round * 20.0 + i)
                        await asyncio.sleep(0.01)
                    await until(lambda: health.state == "down")
                    wire.refuse = False
                    last = round * 20.0 + 20
                    await until(lambda last=last: health.state == "up" and sink.of("x")[-1] == last)
                assert sink.of("x") == [float(i) for i in range(61)]
                await until(lambda: sink.last("still").quality is Quality.GOOD)
                assert health.reconnects == 3
                assert set(health.errors) <= {"opcua_disconnected", "opcua_connect"}

    run(main)


def test_a_pulled_cable_is_noticed_by_the_missing_keepalive():
    async def main():
        port, sink = free_port(), Sink()
        async with serving(port) as plc, Wire(port) as wire:
            await plc.add("x", 0.0)
            async with collecting(config(wire.port, [node("x")], timeout_s=0.5), sink) as health:
                await until(lambda: sink.of("x") == [0.0])
                wire.silent = True
                await until(lambda: health.errors.get("opcua_keepalive_lost") == 1)
                assert health.state == "down" and sink.last("x").quality is Quality.BAD
                await plc.put("x", 1.0)
                wire.silent = False
                await until(lambda: sink.of("x")[-1] == 1.0)
                assert health.state == "up"

    run(main)


def test_a_quiet_server_is_not_given_up():
    async def main():
        port, sink = free_port(), Sink()
        async with serving(port) as plc:
            await plc.add("x", 0.0)
            async with collecting(config(port, [node("x")], timeout_s=0.5), sink) as health:
                await until(lambda: sink.of("x") == [0.0])
                await asyncio.sleep(2.5)
                assert (health.state, health.errors, len(sink.signals)) == ("up", {}, 1)

    run(main)


def test_a_server_that_is_away_at_first_and_restarts():
    async def main():
        port, sink = free_port(), Sink()
        async with collecting(config(port, [{"tag": "x", "node": f"nsu={URI};s=x"}]), sink) as health:
            await until(lambda: health.errors.get("opcua_connect", 0) >= 2)
            for round in range(3):  # the namespace has another index each time
                async with serving(port, more_namespaces=round) as plc:
                    await plc.add("x", float(round))
                    await until(lambda r=round: sink.of("x")[-1:] == [float(r)])
                    assert health.state == "up"
                await until(lambda: health.state == "down")
                assert sink.last("x").quality is Quality.BAD
            assert health.reconnects == 2

    run(main)


def test_a_session_and_a_subscription_that_the_server_ended():
    async def main():
        port, sink = free_port(), Sink()
        async with serving(port) as plc:
            await plc.add("x", 0.0)
            async with collecting(config(port, [node("x")]), sink) as health:
                await until(lambda: sink.of("x") == [0.0])
                service = plc.server.iserver.subscription_service
                await service.delete_subscriptions(list(service.subscriptions))
                await until(lambda: health.reconnects == 1)
                await plc.put("x", 1.0)
                await until(lambda: sink.of("x")[-1] == 1.0)
                assert sum(health.errors.values()) == 1

    run(main)


def test_a_slow_store_holds_the_server_back_and_nothing_grows_here():
    async def main():
        port, sink = free_port(), Sink()
        async with serving(port) as plc:
            await plc.add("x", 0.0)
            async with collecting(config(port, [node("x", queue_size=50)], keep_s=30), sink) as health:
                await until(lambda: sink.of("x") == [0.0])
                sink.open.clear()
                for i in range(1, 2001):
                    await plc.put("x", float(i))
                    if i % 50 == 0:
                        await asyncio.sleep(0.02)
                await asyncio.sleep(0.5)
                sink.refuse = 2
                sink.open.set()
                await until(lambda: sink.of("x")[-1] == 2000.0)
                assert sink.of("x") == sorted(sink.of("x"))
                assert health.errors == {"not_stored": 2, "opcua_held_back": 1}
                assert len(sink.of("x")) < 1000, "this server drops what its queues cannot hold, and does not mark it"
                assert health.state == "up"

    run(main)


@pytest.mark.parametrize("said", [b"", b"HTTP/1.1 400 Bad Request\r\n\r\n", b"ACKF\xff\xff\xff\x7f" + bytes(70000),
                                  b"ERRF\x10\0\0\0\0\0\x05\x80\xff\xff\xff\xff"])  # fmt: skip
def test_something_that_is_no_opc_ua_server_is_an_error_and_no_more(said):
    async def main():
        async def answer(reader, writer):
            try:
                await reader.read(100)
                writer.write(said)
                await asyncio.sleep(0.05)
            finally:
                writer.transport.abort()

        server = await asyncio.start_server(answer, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        async with collecting(config(port, [node("x")], timeout_s=0.5), Sink()) as health:
            await until(lambda: sum(health.errors.values()) >= 3)
            assert health.state == "down"
        server.close()

    run(main)

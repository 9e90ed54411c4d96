"""The MQTT collector against a real mosquitto, and against a broker that misbehaves."""

from __future__ import annotations

import asyncio
import getpass
import json
import os
import signal
import socket
import subprocess
import sys
import textwrap
import time
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import pytest
from paho.mqtt.client import Client
from paho.mqtt.enums import CallbackAPIVersion

from agent.clock import SystemClock
from agent.collectors.mqtt.collector import MqttCollector
from agent.collectors.mqtt.settings import MqttSettings
from agent.errors import AgentError
from agent.lifecycle import supervise
from agent.model import SourceHealth

ROOT = Path(__file__).parents[2]


class Mosquitto:
    """Debian's mosquitto on a free port, with its own folder."""

    def __init__(self, folder: Path, *lines: str) -> None:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        self.folder = folder
        self.process: subprocess.Popen[bytes] | None = None
        config = [
            f"listener {self.port} 127.0.0.1",
            "max_inflight_messages 1000",
            "max_queued_messages 0",
            f"user {getpass.getuser()}",
            *(lines or ("allow_anonymous true", "persistence true", f"persistence_location {folder}/")),
        ]
        (folder / "mosquitto.conf").write_text("\n".join(config) + "\n", "utf-8")

    def start(self) -> Mosquitto:
        self.process = subprocess.Popen(
            ["/usr/sbin/mosquitto", "-c", str(self.folder / "mosquitto.conf")], stderr=subprocess.DEVNULL
        )
        deadline = time.monotonic() + 5
        while time.monotonic() < deadline:
            try:
                socket.create_connection(("127.0.0.1", self.port), 0.2).close()
                return self
            except OSError:
                time.sleep(0.02)
        raise AssertionError("mosquitto did not start")

    def stop(self, number: int = signal.SIGTERM) -> None:
        """On SIGTERM it writes its sessions to disk."""
        if self.process is not None:
            self.process.send_signal(number)
            self.process.wait(5)
            self.process = None


@pytest.fixture
def broker(tmp_path):
    mosquitto = Mosquitto(tmp_path).start()
    yield mosquitto
    mosquitto.stop(signal.SIGKILL)


@pytest.fixture(autouse=True)
def impatient(monkeypatch):
    """The first pause before a reconnect is short, so that the tests are."""
    monkeypatch.setattr("agent.collectors.mqtt.link._FIRST_PAUSE_S", 0.1)


def publish(port, messages, qos=1, retain=False):
    """Send (topic, payload) pairs and wait until the broker has them."""
    client = Client(CallbackAPIVersion.VERSION2, client_id="test-publisher")
    client.max_inflight_messages_set(100)
    client.connect("127.0.0.1", port)
    client.loop_start()
    try:
        infos = [client.publish(topic, payload, qos=qos, retain=retain) for topic, payload in messages]
        for info in infos:
            info.wait_for_publish(5)
            assert info.is_published()
    finally:
        client.disconnect()
        client.loop_stop()


def numbered(first, last, topic="l3/density"):
    return [(topic, json.dumps({"value": n, "id": str(n)})) for n in range(first, last)]


def config(port, **over):
    return MqttSettings.model_validate(
        {"type": "mqtt", "port": port, "client_id": "andon", "topics": [{"filter": "l3/#"}], "connect_timeout_s": 2}
        | over
    )


def health_of(name="coater"):
    return SourceHealth(name, "mqtt", 60)


@asynccontextmanager
async def collecting(settings, emit, health=None):
    health = health or health_of()
    task = asyncio.create_task(MqttCollector("coater", settings, SystemClock(), health).run(emit))
    try:
        yield health, task
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


class Sink:
    """An emit that keeps what it is given."""

    def __init__(self) -> None:
        self.signals = []

    async def __call__(self, signals):
        self.signals += signals

    def ids(self):
        return [s.id for s in self.signals]


async def until(condition, seconds=5.0):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        await asyncio.sleep(0.01)


async def left_over(settings):
    """What the broker still holds for our session."""
    sink = Sink()
    async with collecting(settings, sink) as (health, _):
        await until(lambda: health.state == "up")
        await asyncio.sleep(0.3)
    return sink.ids()


@pytest.mark.parametrize("protocol", ["3.1.1", "5"])
def test_good_messages_arrive_and_bad_ones_never_stop_the_stream(broker, protocol):
    bad = [
        b"",
        b"\xff\xfe",
        b'{"value": NaN}',
        b'{"value": 1e999}',
        b"[" * 60_000,
        b"x" * 70_000,
        b"{}",
        b'{"value": true}',
    ]
    stamped = json.dumps({"value": "4.5", "id": "n1", "ts": "2026-11-22T10:00:00+08:00"})
    messages = []
    for n, payload in enumerate(bad):
        messages += [("l3/bad", payload), *numbered(n, n + 1)]
    messages += [("l3/density", stamped)]

    async def main():
        sink, settings = Sink(), config(broker.port, protocol=protocol)
        async with collecting(settings, sink) as (health, task):
            await until(lambda: health.state == "up")
            await asyncio.to_thread(publish, broker.port, messages)
            await until(lambda: len(sink.signals) == len(bad) + 1 and sum(health.errors.values()) == len(bad))
            assert not task.done()
        assert sink.ids() == [*map(str, range(len(bad))), "n1"]
        last = sink.signals[-1]
        assert (last.source, last.tag, last.value) == ("coater", "l3/density", 4.5)
        assert last.source_at.isoformat() == "2026-11-22T02:00:00+00:00"
        assert abs((SystemClock().now() - last.received_at).total_seconds()) < 5
        kinds = {"not_json", "not_utf8", "not_finite", "too_deep", "too_large", "missing_key", "not_a_number"}
        assert health.errors == dict.fromkeys(kinds, 1) | {"not_finite": 2}
        assert (health.received, health.last_data_at) == (len(bad) + 1, last.received_at)
        assert await left_over(settings) == [], "the bad ones were acknowledged too"

    asyncio.run(main())


@pytest.mark.parametrize("protocol", ["3.1.1", "5"])
def test_nothing_is_acknowledged_before_emit_returned(broker, protocol):
    async def main():
        settings, began = config(broker.port, protocol=protocol), asyncio.Event()

        async def never(signals):
            began.set()
            await asyncio.Event().wait()

        async with collecting(settings, never) as (health, _):
            await until(lambda: health.state == "up")
            await asyncio.to_thread(publish, broker.port, numbered(0, 20))
            await asyncio.wait_for(began.wait(), 5)
        assert await left_over(settings) == [str(n) for n in range(20)]
        assert await left_over(settings) == [], "now they were stored, and acknowledged"

    asyncio.run(main())


def test_a_killed_process_loses_nothing(broker):
    """kill -9 while emit is at work; what it had taken comes again, and so does what was sent while it was dead."""
    script = textwrap.dedent("""
        import asyncio, sys
        from agent.clock import SystemClock
        from agent.collectors.mqtt.collector import MqttCollector
        from agent.collectors.mqtt.settings import MqttSettings
        from agent.model import SourceHealth
        async def emit(signals):
            print(len(signals), flush=True)
            await asyncio.Event().wait()
        settings = MqttSettings.model_validate_json(sys.argv[1])
        health = SourceHealth("coater", "mqtt", 60)
        asyncio.run(MqttCollector("coater", settings, SystemClock(), health).run(emit))
    """)
    settings = config(broker.port)
    subscribed = asyncio.run(left_over(settings))
    assert subscribed == []
    publish(broker.port, numbered(0, 10))
    child = subprocess.Popen(
        [sys.executable, "-c", script, settings.model_dump_json()], stdout=subprocess.PIPE, text=True, cwd=ROOT
    )
    try:
        assert int(child.stdout.readline()) >= 1
    finally:
        os.kill(child.pid, signal.SIGKILL)
        child.wait(5)
        child.stdout.close()
    publish(broker.port, numbered(10, 15))
    assert asyncio.run(left_over(settings)) == [str(n) for n in range(15)]


def test_the_session_survives_a_restart_of_both(broker):
    async def main():
        settings = config(broker.port)
        assert await left_over(settings) == []
        await asyncio.to_thread(publish, broker.port, numbered(0, 5))
        broker.stop()
        broker.start()
        assert await left_over(settings) == [str(n) for n in range(5)]

    asyncio.run(main())


@pytest.mark.parametrize("protocol", ["3.1.1", "5"])
def test_after_a_broker_lost_everything_we_subscribe_anew(tmp_path, protocol):
    broker = Mosquitto(tmp_path, "allow_anonymous true", "persistence false").start()

    async def main():
        sink = Sink()
        async with collecting(config(broker.port, protocol=protocol), sink) as (health, task):
            await until(lambda: health.state == "up")
            await asyncio.to_thread(publish, broker.port, numbered(0, 1))
            await until(lambda: sink.ids() == ["0"])
            await asyncio.to_thread(broker.stop)
            await until(lambda: health.state == "down")
            await until(lambda: health.errors.get("connect_failed", 0) >= 1)
            broker.start()
            await until(lambda: health.state == "up")
            await asyncio.to_thread(publish, broker.port, numbered(1, 2))
            await until(lambda: sink.ids() == ["0", "1"])
            assert not task.done()
        assert health.reconnects == 1
        assert health.errors["disconnected"] == 1

    try:
        asyncio.run(main())
    finally:
        broker.stop()


def test_a_full_store_delays_but_loses_and_doubles_nothing(broker):
    class Full(AgentError):
        """The store is full."""

    async def main():
        sink, settings = Sink(), config(broker.port)
        refusals = 2

        async def emit(signals):
            nonlocal refusals
            if refusals:
                refusals -= 1
                raise Full
            await sink(signals)

        async with collecting(settings, emit) as (health, task):
            await until(lambda: health.state == "up")
            await asyncio.to_thread(publish, broker.port, numbered(0, 50))
            await until(lambda: len(sink.signals) >= 50)
            assert not task.done()
        assert sink.ids() == [str(n) for n in range(50)]
        assert health.errors == {"not_stored": 2}
        assert await left_over(settings) == []

    asyncio.run(main())


def test_a_bug_below_ends_the_collector_and_the_messages_come_again(broker):
    async def main():
        sink, health, failures = Sink(), health_of(), []
        collector = MqttCollector("coater", config(broker.port), SystemClock(), health)
        bugs = iter([ValueError("a bug")])

        async def emit(signals):
            for bug in bugs:
                raise bug
            await sink(signals)

        task = asyncio.create_task(
            supervise("coater", lambda: collector.run(emit), first_s=0.05, on_failure=failures.append)
        )
        await until(lambda: health.state == "up")
        await asyncio.to_thread(publish, broker.port, numbered(0, 3))
        await until(lambda: len(sink.signals) >= 3)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        assert failures == ["ValueError: a bug"]
        assert sink.ids() == ["0", "1", "2"]

    asyncio.run(main())


def test_a_connection_lost_in_mid_commit_gives_no_second_copy(broker):
    """Without an id of its own a message that comes twice could not be recognised further down."""

    async def main():
        sink, settings, go = Sink(), config(broker.port), asyncio.Event()

        async def emit(signals):
            await go.wait()
            await sink(signals)

        async with collecting(settings, emit) as (health, _):
            await until(lambda: health.state == "up")
            await asyncio.to_thread(publish, broker.port, [("l3/t", json.dumps({"value": n})) for n in range(10)])
            await until(lambda: health.received >= 1)
            await asyncio.to_thread(broker.stop)
            await until(lambda: health.state == "down")
            broker.start()
            await until(lambda: health.state == "up")
            await asyncio.sleep(0.3)  # the redelivery
            go.set()
            await until(lambda: len(sink.signals) >= 10)
            await asyncio.sleep(0.2)
        assert [s.value for s in sink.signals] == [float(n) for n in range(10)]
        assert await left_over(settings) == []

    asyncio.run(main())


def test_a_store_stuck_for_longer_than_keepalive_keeps_the_connection_and_bounds_the_memory(broker):
    """60 messages while there is room for 2 × 5: the rest waits at the broker, in order; pings go on."""

    async def main():
        sink, go = Sink(), asyncio.Event()
        settings = config(broker.port, keepalive_s=1, max_inflight=5)

        async def emit(signals):
            await go.wait()
            await sink(signals)

        async with collecting(settings, emit) as (health, _):
            await until(lambda: health.state == "up")
            await asyncio.to_thread(publish, broker.port, numbered(0, 60))
            await asyncio.sleep(2.7)
            assert (health.state, health.errors, health.reconnects) == ("up", {}, 0)
            assert health.received <= 10
            go.set()
            await until(lambda: len(sink.signals) >= 60)
        assert sink.ids() == [str(n) for n in range(60)]
        assert await left_over(settings) == []

    asyncio.run(main())


def test_retained_messages_are_taken_and_the_broker_s_own_topics_are_not(broker):
    async def main():
        publish(broker.port, [("l3/last", '{"value": 7, "ts": 1795314600}')], retain=True)
        sink = Sink()
        topics = [{"filter": "#"}, {"filter": "$SYS/#", "value": ""}]
        async with collecting(config(broker.port, topics=topics), sink) as (health, _):
            await until(lambda: len(sink.signals) >= 1)
            await asyncio.sleep(0.2)
        assert [(s.tag, s.value) for s in sink.signals] == [("l3/last", 7.0)]
        assert health.errors == {}

    asyncio.run(main())


def test_the_password_comes_from_a_file_and_a_wrong_one_is_tried_again(tmp_path, caplog):
    users, secret = tmp_path / "users", tmp_path / "secret"
    subprocess.run(
        ["mosquitto_passwd", "-b", "-c", str(users), "andon", "right-canary"], check=True, capture_output=True
    )
    secret.write_text("wrong-canary\n", "utf-8")
    secret.chmod(0o600)
    broker = Mosquitto(tmp_path, "allow_anonymous false", f"password_file {users}").start()

    async def main():
        health = health_of()
        collector = MqttCollector(
            "coater", config(broker.port, username="andon", password_file=str(secret)), SystemClock(), health
        )
        wrong = asyncio.create_task(collector.run(Sink()))
        await until(lambda: health.errors.get("refused", 0) >= 2)
        wrong.cancel()
        await asyncio.gather(wrong, return_exceptions=True)
        assert set(health.errors) == {"refused"}
        secret.write_text("right-canary\n", "utf-8")
        right = asyncio.create_task(collector.run(Sink()))
        await until(lambda: health.state == "up")
        right.cancel()
        await asyncio.gather(right, return_exceptions=True)
        return health

    try:
        with caplog.at_level("DEBUG"):
            health = asyncio.run(main())
    finally:
        broker.stop()
    assert "canary" not in caplog.text + repr(health)


class Mute:
    """A broker on asyncio that says what it is told to and nothing more."""

    def __init__(self, connack=b"\x20\x02\x00\x00", suback=b"\x90\x03\x00\x01\x01", then=b"", answer_pings=False):
        self.linger_s, self.hung_up_first = 0.0, False
        self.connack, self.suback, self.then, self.answer_pings = connack, suback, then, answer_pings
        self.connections, self.got = 0, b""

    async def __aenter__(self):
        self.server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.port = self.server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_):
        self.server.close()
        await self.server.wait_closed()

    async def _serve(self, reader, writer):
        self.connections += 1
        try:
            await reader.read(1000)
            writer.write(self.connack)
            if self.connack:
                await reader.read(1000)
                writer.write(self.suback + self.then)
            while data := await reader.read(1000):
                self.got += data
                if data.endswith(b"\xe0\x00"):  # DISCONNECT
                    with suppress(TimeoutError):
                        await asyncio.wait_for(reader.read(1), self.linger_s)
                        self.hung_up_first = True
                    break
                if self.answer_pings and b"\xc0\x00" in data:
                    writer.write(b"\xd0\x00")
        except OSError:
            pass
        finally:
            writer.close()


def test_we_leave_only_after_the_broker_has_read_what_we_said():
    """Else the next connection under our name would make it throw away PUBACKs that it has not read."""

    async def main():
        async with Mute(then=b"\x32\x09\x00\x04l3/t\x00\x077") as broker:
            broker.linger_s = 0.3
            started = time.monotonic()
            async with collecting(config(broker.port, topics=[{"filter": "l3/t", "value": ""}]), Sink()) as (health, _):
                await until(lambda: health.received == 1)
            assert b"\x40\x02\x00\x07" in broker.got
            assert not broker.hung_up_first
            assert 0.3 <= time.monotonic() - started < 0.9, "but not for long"

    asyncio.run(main())


def test_a_half_open_connection_is_found_by_keepalive():
    async def main():
        async with Mute() as broker, collecting(config(broker.port, keepalive_s=1), Sink()) as (health, _):
            await until(lambda: broker.connections >= 2)
            assert health.errors["disconnected"] >= 1
            assert b"\xc0\x00" in broker.got, "it was asked first"

    asyncio.run(main())


def test_a_broker_that_only_answers_pings_is_left_alone():
    async def main():
        async with (
            Mute(answer_pings=True) as broker,
            collecting(config(broker.port, keepalive_s=1), Sink()) as (health, _),
        ):
            await until(lambda: broker.got.count(b"\xc0\x00") >= 2)
            assert (broker.connections, health.state, health.errors) == (1, "up", {})

    asyncio.run(main())


def test_a_broker_that_does_not_say_connack_is_left():
    async def main():
        health = health_of()
        async with Mute(connack=b"") as broker, collecting(config(broker.port, connect_timeout_s=0.2), Sink(), health):
            await until(lambda: broker.connections >= 2)
            assert health.errors.keys() == {"connect_failed"}
            assert health.state == "down"

    asyncio.run(main())


def test_refusals_are_told_apart():
    async def main():
        async with Mute(connack=b"\x20\x02\x00\x05") as broker, collecting(config(broker.port), Sink()) as (health, _):
            await until(lambda: health.errors.get("refused", 0) >= 2)
            assert "uthori" in health.last_bad
        async with (
            Mute(suback=b"\x90\x03\x00\x01\x80") as broker,
            collecting(config(broker.port), Sink()) as (health, _),
        ):
            await until(lambda: health.errors.get("subscribe_refused", 0) >= 1)
            assert health.errors.keys() == {"subscribe_refused"}

    asyncio.run(main())


def test_rubbish_from_a_broker_ends_the_connection_not_the_collector():
    rubbish = [b"\xf0\x00", b"\x30\xff\xff\xff\xff\x7f", b"\x30\x01\x00", b"\x32\x03\x00\x01\xff", b"\x00" * 10]
    topic_not_utf8 = b"\x32\x07\x00\x02\xff\xfe\x00\x09" + b"1"

    async def main():
        for then in rubbish:
            async with Mute(then=then) as broker, collecting(config(broker.port), Sink()) as (health, task):
                await until(lambda b=broker: b.connections >= 2)
                assert not task.done(), f"{then!r} ended it"
                assert health.errors.keys() & {"malformed", "disconnected"}, f"{then!r} was not told: {health.errors}"
        async with Mute(then=topic_not_utf8) as broker, collecting(config(broker.port), Sink()) as (health, _):
            await until(lambda: health.errors == {"bad_topic": 1})
            await until(lambda: b"\x40\x02\x00\x09" in broker.got)
            assert broker.connections == 1

    asyncio.run(main())


def test_one_dead_broker_never_delays_another(broker):
    async def main():
        sink = Sink()
        with socket.socket() as deaf:
            deaf.bind(("127.0.0.1", 0))
            deaf.listen(0)  # accepts in the kernel, never answers
            dead = config(deaf.getsockname()[1], client_id="dead", connect_timeout_s=5)
            async with collecting(dead, Sink()), collecting(config(broker.port), sink) as (health, _):
                await until(lambda: health.state == "up", 1.0)
                started = time.monotonic()
                await asyncio.to_thread(publish, broker.port, numbered(0, 1))
                await until(lambda: sink.ids() == ["0"], 1.0)
                assert time.monotonic() - started < 1.0

    asyncio.run(main())

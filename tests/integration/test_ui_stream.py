"""The stream and the server on the wire: real uvicorn, real sockets, a wall clock that we move."""

from __future__ import annotations

import asyncio
import json
import signal
import socket
import stat
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
from fastapi import FastAPI
from test_ui_world import World, opened

from agent.clock import ManualClock
from agent.errors import ConfigError
from agent.plant.directory import replace_people
from agent.store.write import announce
from agent.ui.admin import build_admin
from agent.ui.server import Server

RAISE = {"category": "welding", "severity": "stop", "station": "OP40"}


@pytest.fixture
def world(tmp_path: Path, clock: ManualClock) -> Iterator[World]:
    yield from opened(tmp_path, clock)


@asynccontextmanager
async def serving(app: FastAPI, **where: Any) -> AsyncIterator[Server]:
    """A server that answers; stopped as the agent stops it, by cancelling."""
    server = Server(app)
    task = asyncio.create_task(server.serve(**where))
    ready = asyncio.create_task(server.ready.wait())
    await asyncio.wait({task, ready}, timeout=10, return_when=asyncio.FIRST_COMPLETED)
    if task.done():
        task.result()
    try:
        yield server
    finally:
        task.cancel()
        await asyncio.wait({task}, timeout=10)
        assert task.done()


class Stream:
    """One tablet that reads."""

    def __init__(self, response: httpx.Response) -> None:
        self.response = response
        self._lines = response.aiter_lines()

    async def next(self, *wanted: str, within_s: float = 5) -> tuple[str, Any]:
        """The next event, of these names if there are any."""
        async with asyncio.timeout(within_s):
            event = ""
            async for line in self._lines:
                if line.startswith("event: "):
                    event = line[7:]
                elif line.startswith("data: ") and (not wanted or event in wanted):
                    return event, json.loads(line[6:])
        raise EOFError


@asynccontextmanager
async def tablet(world: World, server: Server, query: str = "", token: str | None = None) -> AsyncIterator[Stream]:
    headers = {"Authorization": f"Bearer {token or world.kiosk}"}
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{server.port}", timeout=10) as client:  # noqa: SIM117
        async with client.stream("GET", f"/api/v1/stream{query}", headers=headers) as response:
            assert response.status_code == 200
            assert response.headers["content-type"].startswith("text/event-stream")
            yield Stream(response)


def run(world: World, test: Callable[[Server], Awaitable[None]]) -> None:
    """Play a test against a served world."""

    async def play() -> None:
        async with serving(world.app) as server:
            await test(server)

    asyncio.run(play())


def test_first_the_snapshot_then_what_happens(world: World) -> None:
    async def test(server: Server) -> None:
        async with tablet(world, server) as stream:
            event, snapshot = await stream.next()
            assert event == "snapshot"
            assert snapshot == (await world.acall("GET", "/api/v1/kiosk")).json()
            assert (await stream.next("beat", within_s=3))[1] == {"now": world.clock.now().isoformat()}

            told = (await world.acall("POST", "/api/v1/tickets", badge="10001", json=RAISE)).json()
            _, ticket = await stream.next("ticket", within_s=2)
            assert (ticket["no"], ticket["state"]) == (told["no"], "NEW")

            measured = {"characteristic": "WIDTH", "values": [101.0]}
            answer = await world.acall("POST", "/api/v1/measurements", json=measured)
            _, tile = await stream.next("tile", within_s=2)
            assert tile == answer.json()["tile"]

    run(world, test)


def test_beats_keep_coming(world: World) -> None:
    async def test(server: Server) -> None:
        async with tablet(world, server) as stream:
            await stream.next("beat")
            started = time.monotonic()
            await stream.next("beat")
            assert 1.5 < time.monotonic() - started < 3

    run(world, test)


def test_a_reader_hears_only_of_its_station(world: World) -> None:
    async def test(server: Server) -> None:
        async with tablet(world, server, "?station=OP50") as other, tablet(world, server, token=world.api) as line:
            _, snapshot = await other.next("snapshot")
            assert [t["id"] for t in snapshot["tiles"]] == ["GAP"]
            assert [t["id"] for t in (await line.next("snapshot"))[1]["tiles"]] == ["WIDTH", "GAP"]
            first = (await world.acall("POST", "/api/v1/tickets", json=RAISE)).json()["no"]
            second = (await world.acall("POST", "/api/v1/tickets", json={**RAISE, "station": "OP50"})).json()["no"]
            assert (await other.next("ticket"))[1]["no"] == second
            assert {(await line.next("ticket"))[1]["no"], (await line.next("ticket"))[1]["no"]} == {first, second}

    run(world, test)


def test_a_new_connection_begins_with_all_that_was_missed(world: World) -> None:
    async def test(server: Server) -> None:
        async with tablet(world, server) as stream:
            await stream.next("snapshot")
        no = (await world.acall("POST", "/api/v1/tickets", json=RAISE)).json()["no"]
        async with tablet(world, server) as stream:
            event, snapshot = await stream.next()
            assert event == "snapshot"
            assert [t["no"] for t in snapshot["tickets"]] == [no]

    run(world, test)


def test_a_tile_is_told_at_most_twice_a_second(world: World) -> None:
    async def test(server: Server) -> None:
        async with tablet(world, server) as stream:
            await stream.next("snapshot")
            started, seen = time.monotonic(), []
            for value in range(30):
                measured = {"characteristic": "WIDTH", "values": [100 + value / 100]}
                await world.acall("POST", "/api/v1/measurements", json=measured)
                await asyncio.sleep(0.03)
            while not seen or seen[-1]["value"] != 100.29:
                seen.append((await stream.next("tile"))[1])
            assert len(seen) <= 2 * (time.monotonic() - started) + 2

    run(world, test)


def test_time_left_is_told_again_when_the_plants_clock_jumps(world: World, clock: ManualClock) -> None:
    """快进, or a clock that was put right: no lamp changes, but "1 小时 59 分" no longer holds."""

    async def test(server: Server) -> None:
        async with tablet(world, server) as stream:
            await stream.next("snapshot")
            no = (await world.acall("POST", "/api/v1/tickets", json={**RAISE, "severity": "watch"})).json()["no"]
            _, first = await stream.next("ticket")
            await stream.next("beat")
            clock.advance(timedelta(minutes=7))
            _, again = await stream.next("ticket", within_s=3)
            assert (again["no"], again["attention"]) == (no, first["attention"])
            assert again["lead"]["args"]["left"]["seconds"] == first["lead"]["args"]["left"]["seconds"] - 420

    run(world, test)


def test_what_time_alone_changes_is_told(world: World, clock: ManualClock) -> None:
    """A tile grows stale, a lamp turns red: nobody commits anything."""

    async def test(server: Server) -> None:
        measured = {"characteristic": "GAP", "values": [100.0, 100.0, 100.0]}
        await world.acall("POST", "/api/v1/measurements", json=measured)
        body = {**RAISE, "station": "OP50", "severity": "watch"}
        await world.acall("POST", "/api/v1/tickets", json=body)
        async with tablet(world, server, "?station=OP50") as stream:
            _, snapshot = await stream.next("snapshot")
            assert snapshot["tiles"][0]["quality"] == "good"
            assert snapshot["tickets"][0]["attention"] == "soon"
            await stream.next("beat")
            clock.advance(timedelta(hours=2, minutes=1))
            found = {}
            while found.keys() != {"tile", "ticket"}:
                event, data = await stream.next("tile", "ticket")
                found[event] = data
            assert found["tile"]["quality"] == "stale"
            assert found["ticket"]["attention"] == "now"

    run(world, test)


def test_links_sources_and_counters_are_told_when_they_change(world: World, clock: ManualClock) -> None:
    async def test(server: Server) -> None:
        async with tablet(world, server) as stream:
            await stream.next("snapshot")
            world.link.up, world.link.since = True, clock.now()
            assert (await stream.next("office"))[1] == {
                "up": True, "since": clock.now().isoformat(), "waiting": 0, "oldest_s": None
            }  # fmt: skip
            world.source.last_data_at = clock.now()
            assert (await stream.next("sources"))[1] == {"total": 1, "good": 1}
            told = (await world.acall("POST", "/api/v1/tickets", json=RAISE)).json()
            assert (await stream.next("office"))[1]["waiting"] == told["outbox"]["waiting"]

            def deliver(conn: Any) -> None:
                conn.exec_driver_sql("UPDATE outbox SET state = 'delivered' WHERE lane = ?", (told["no"],))
                announce(conn, "outbox")

            await world.store.write(deliver)
            ticket = (await stream.next("ticket"))[1]
            while ticket["outbox"]["waiting"]:
                ticket = (await stream.next("ticket"))[1]
            assert ticket["outbox"]["delivered"] == told["outbox"]["waiting"]

    run(world, test)


def test_new_people_come_as_a_new_snapshot(world: World) -> None:
    async def test(server: Server) -> None:
        async with tablet(world, server) as stream:
            await stream.next("snapshot")

            def hire(conn: Any) -> None:
                replace_people(conn, [], [])
                announce(conn, "people")

            await world.store.write(hire)
            assert (await stream.next("snapshot"))[1]["people"] == []

    run(world, test)


def test_a_revoked_device_is_cut_off_at_once(world: World) -> None:
    async def test(server: Server) -> None:
        admin = build_admin(world.parts)
        async with tablet(world, server) as stream, tablet(world, server, token=world.api) as other:
            await stream.next("snapshot")
            answer = await world.acall("POST", "/v1/devices/OP40-A/revoke", admin, token=None)
            assert answer.status_code == 200
            with pytest.raises(EOFError):
                while True:
                    await stream.next(within_s=2)
            await other.next("snapshot")
            await other.next("beat")

    run(world, test)


def test_a_stalled_reader_costs_nothing_and_comes_back_to_the_present(world: World) -> None:
    async def test(server: Server) -> None:
        hub = world.app.state.hub
        stalled = socket.create_connection(("127.0.0.1", server.port))
        stalled.sendall(
            f"GET /api/v1/stream HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer {world.kiosk}\r\n\r\n".encode()
        )
        async with tablet(world, server) as good:
            await good.next("snapshot")
            for n in range(400):  # more than any socket buffer holds
                hub.publish("noise", {"n": n, "pad": "x" * 50_000})
                hub.flush()
                assert (await good.next("noise"))[1]["n"] == n
            assert hub.fell_behind == 1
            no = (await world.acall("POST", "/api/v1/tickets", json=RAISE)).json()["no"]
            await good.next("ticket")
            heard = await asyncio.to_thread(_read_until, stalled, b"event: snapshot", 2)
            assert no.encode() in heard[heard.rindex(b"event: snapshot") :]
        stalled.close()

    run(world, test)


def _read_until(sock: socket.socket, mark: bytes, times: int) -> bytes:
    """Read until `mark` was seen so often and half a second was quiet."""
    sock.settimeout(0.5)
    heard, until = b"", time.monotonic() + 10
    while time.monotonic() < until:
        try:
            heard += sock.recv(1 << 20)
        except TimeoutError:
            if heard.count(mark) >= times:
                break
    return heard


def test_a_reader_that_leaves_is_forgotten(world: World) -> None:
    async def test(server: Server) -> None:
        hub = world.app.state.hub
        async with tablet(world, server) as stream:
            await stream.next("snapshot")
            assert len(hub.readers) == 1
        for _ in range(50):
            if not hub.readers:
                break
            await asyncio.sleep(0.05)
        assert not hub.readers

    run(world, test)


def test_stopping_ends_open_streams_within_the_grace(world: World) -> None:
    async def play() -> tuple[float, int]:
        server = Server(world.app)
        task = asyncio.create_task(server.serve())
        await server.ready.wait()
        async with tablet(world, server) as stream:
            await stream.next("snapshot")
            started = time.monotonic()
            task.cancel()
            with pytest.raises(EOFError):
                while True:
                    await stream.next()
            await asyncio.wait({task}, timeout=10)
            assert task.cancelled()
        return time.monotonic() - started, server.port

    took, port = asyncio.run(play())
    assert took < 2
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", port))


def slow_app(entered: asyncio.Event, takes_s: float) -> FastAPI:
    app = FastAPI()

    @app.get("/slow")
    async def slow() -> str:
        entered.set()
        await asyncio.sleep(takes_s)
        return "done"

    return app


@pytest.mark.parametrize(("takes_s", "status"), [(0.8, 200), (30, 503)])
def test_a_request_under_way_gets_the_grace_and_no_more(takes_s: float, status: int) -> None:
    async def play() -> tuple[int, float]:
        entered = asyncio.Event()
        server = Server(slow_app(entered, takes_s))
        task = asyncio.create_task(server.serve())
        await server.ready.wait()
        async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{server.port}", timeout=10) as client:
            asking = asyncio.create_task(client.get("/slow"))
            await entered.wait()
            started = time.monotonic()
            task.cancel()
            await asyncio.wait({task}, timeout=10)
            took = time.monotonic() - started
            return (await asking).status_code, took

    found, took = asyncio.run(play())
    assert found == status
    assert took < 4


def test_a_failing_job_ends_the_server() -> None:
    async def broken() -> None:
        raise ValueError("a bug")

    app = FastAPI()
    app.state.jobs = [broken]
    with pytest.raises(ExceptionGroup) as caught:
        asyncio.run(Server(app).serve())
    assert "a bug" in str(caught.value.exceptions)


def test_the_handlers_of_signals_stay_ours(world: World) -> None:
    before = signal.getsignal(signal.SIGTERM), signal.getsignal(signal.SIGINT)
    found = []

    async def play() -> None:
        async with serving(world.app):
            found.append((signal.getsignal(signal.SIGTERM), signal.getsignal(signal.SIGINT)))

    with asyncio.Runner() as runner:
        runner.get_loop().run_until_complete(play())
    assert found == [before]


def test_a_port_that_is_taken_says_so() -> None:
    says = r"edge\.port = \d+: cannot listen .*; stop what has it, or take another"
    with socket.create_server(("127.0.0.1", 0)) as taken, pytest.raises(ConfigError, match=says):
        asyncio.run(Server(FastAPI()).serve(port=taken.getsockname()[1], setting="edge"))


@pytest.mark.parametrize("host", ["192.0.2.1", "nowhere.invalid"])
def test_an_address_of_another_machine_names_the_host(host: str) -> None:
    with pytest.raises(ConfigError, match=rf"relay\.host = '{host}': cannot listen there: .*; take an address of this"):
        asyncio.run(Server(FastAPI()).serve(host=host, port=0, setting="relay"))


def test_a_socket_in_a_folder_that_is_not_there_says_how_to_make_it(tmp_path: Path) -> None:
    path = tmp_path / "run" / "admin.sock"
    with pytest.raises(ConfigError) as caught:
        asyncio.run(Server(FastAPI()).serve(uds=path, setting="edge.admin_socket"))
    said = f"edge.admin_socket = '{path}': cannot listen there: No such file or directory; mkdir -p {path.parent}, or "
    assert str(caught.value).startswith(said)


def test_a_unix_socket_that_was_removed_is_made_anew(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever dials anew could not come in any more, until the process is started again."""
    monkeypatch.setattr("agent.ui.server.LOOK_S", 0.05)
    path = tmp_path / "admin.sock"

    async def answers() -> bool:
        transport = httpx.AsyncHTTPTransport(uds=str(path))
        async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as client:
            try:
                return (await client.get("/v1/devices")).status_code == 200
            except httpx.TransportError:
                return False

    async def play() -> None:
        async with serving(build_admin(world.parts), uds=path):
            assert await answers()
            for another in (False, True):
                path.unlink()
                if another:
                    with socket.socket(socket.AF_UNIX) as dead:
                        dead.bind(str(path))
                async with asyncio.timeout(10):
                    while not await answers():
                        await asyncio.sleep(0.02)
        assert not path.exists()

    asyncio.run(play())


def test_on_a_unix_socket_only_the_group_comes_in(world: World, tmp_path: Path) -> None:
    path = tmp_path / "admin.sock"
    stale = socket.socket(socket.AF_UNIX)
    stale.bind(str(path))
    stale.close()  # as a killed process leaves it

    async def play() -> int:
        async with serving(build_admin(world.parts), uds=path):
            assert stat.S_IMODE(path.stat().st_mode) == 0o660
            transport = httpx.AsyncHTTPTransport(uds=str(path))
            async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as client:
                return (await client.get("/v1/status")).status_code

    assert asyncio.run(play()) == 200
    assert not path.exists()


def test_a_file_is_no_place_for_a_socket(tmp_path: Path) -> None:
    path = tmp_path / "precious.txt"
    path.write_text("keep me")
    with pytest.raises(ConfigError, match=r"link\.socket = .*: cannot listen .*; a file that is no socket is in"):
        asyncio.run(Server(FastAPI()).serve(uds=path, setting="link.socket"))
    assert path.read_text() == "keep me"


def test_on_the_wire_too_a_large_body_is_413_and_the_server_hides_its_name(world: World) -> None:
    async def test(server: Server) -> None:
        async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{server.port}") as client:
            headers = {"Content-Type": "application/json", "Authorization": f"Bearer {world.kiosk}"}
            large = await client.post("/api/v1/tickets", content=b" " * 200_000, headers=headers)
            assert large.status_code == 413
            assert "server" not in large.headers

            async def endless() -> AsyncIterator[bytes]:
                for _ in range(200):
                    yield b" " * 1024

            chunked = await client.post("/api/v1/tickets", content=endless(), headers=headers)
            assert chunked.status_code == 413
            assert (await client.get("/healthz")).text == "ok\n"

    run(world, test)

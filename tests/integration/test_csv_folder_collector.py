"""The CSV folder with a real edge process that is killed in the middle of a file: every row is counted once."""

from __future__ import annotations

import asyncio
import signal
import socket
import sqlite3
import subprocess
import sys
import time
from pathlib import Path

import pytest

from agent.clock import SystemClock
from agent.collectors.csv_folder import CsvFolderCollector
from agent.collectors.csv_rows import CsvFolderSettings
from agent.errors import AgentError
from agent.model import SourceHealth

ROOT = Path(__file__).parents[2]
EDGE = """
[site]
id = "T1"
edge = "E1"
timezone = "Asia/Shanghai"
line = {{ id = "l", name = {{ zh = "线", en = "line" }} }}
stations = [{{ id = "OP1", name = {{ zh = "站", en = "station" }} }}]
[edge]
data_dir = "{folder}/data"
port = {port}
admin_socket = "{folder}/admin.sock"
[link]
socket = "{folder}/relay.sock"
[tickets]
default_owner = "1"
[deadlines.escalation]
enabled = false
[sources.aoi]
type = "csv_folder"
path = "{folder}/in"
scan_s = 0.1
settle_s = 0.2
after = "{after}"
state_dir = "{folder}/state"
values = [{{ column = "width" }}]
[[characteristics]]
id = "width"
name = {{ zh = "宽", en = "width" }}
unit = "mm"
station = "OP1"
source = "aoi"
tag = "width"
limits = {{ center = 0.0, sigma = 100000.0 }}
rules = {{ N1 = "off", W4 = "off", N3 = "off", R-N1 = "off" }}
"""


def points(folder):
    """The charted values, in order."""
    path = folder / "data" / "edge.db"
    if not path.exists():
        return []
    conn = sqlite3.connect(f"file:{path}?mode=ro", uri=True)
    try:
        both = "SELECT stream, seq, y FROM point UNION ALL SELECT stream, seq, y FROM journal WHERE seq IS NOT NULL"
        return [y for (y,) in conn.execute(f"SELECT y FROM ({both}) ORDER BY stream, seq")]
    except sqlite3.OperationalError:
        return []
    finally:
        conn.close()


def until(condition, process=None, seconds=60.0):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        assert process is None or process.poll() is None, "the edge has ended"
        time.sleep(0.02)


def start(folder):
    with (folder / "log").open("a") as log:
        return subprocess.Popen(
            [sys.executable, "-m", "agent", "run", "--role", "edge", "--config", str(folder / "agent.toml")],
            cwd=ROOT, stdout=log, stderr=log,
        )  # fmt: skip


@pytest.mark.parametrize("after", ["move", "leave"])
def test_an_edge_that_is_killed_in_the_middle_of_a_file_counts_every_row_once(tmp_path, after):
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    (tmp_path / "in").mkdir()
    (tmp_path / "agent.toml").write_text(EDGE.format(folder=tmp_path, port=port, after=after), "utf-8")
    rows = 12_000
    (tmp_path / "in" / "a.csv").write_text("time,width\n" + "".join(f"t,{i}\n" for i in range(rows)), "utf-8")
    killed_at = []
    for goal in (300, 3000, 7000):
        process = start(tmp_path)
        try:
            until(lambda goal=goal: len(points(tmp_path)) > goal, process)
        finally:
            process.send_signal(signal.SIGKILL)
            process.wait(20)
        killed_at.append(len(points(tmp_path)))
    assert all(n < rows for n in killed_at), killed_at
    process = start(tmp_path)
    place = tmp_path / "in" / ("done/a.csv" if after == "move" else "a.csv")
    try:
        until(lambda: len(points(tmp_path)) >= rows and place.exists(), process)
        time.sleep(0.5)
    finally:
        process.terminate()
        process.wait(20)
    assert points(tmp_path) == [float(i) for i in range(rows)]


def test_ten_thousand_files_a_store_that_refuses_and_a_loop_that_stays_free(tmp_path):
    for i in range(10_000):
        (tmp_path / f"{i:05}.csv").write_text(f"w\n{i}\n", "utf-8")
    settings = CsvFolderSettings.model_validate(
        {"type": "csv_folder", "path": tmp_path, "settle_s": 0, "scan_s": 0.1, "order": "name",
         "values": [{"column": "w"}]}
    )  # fmt: skip

    async def main():
        values, refuse, latest = [], [3], [0.0]

        async def emit(batch):
            if refuse[0]:
                refuse[0] -= 1
                raise AgentError("full")
            values.extend(s.value for s in batch)

        async def ticks():
            while True:
                at = time.monotonic()
                await asyncio.sleep(0.01)
                latest[0] = max(latest[0], time.monotonic() - at)

        health = SourceHealth("aoi", "csv_folder", 10)
        task = asyncio.create_task(CsvFolderCollector("aoi", settings, SystemClock(), health).run(emit))
        ticking = asyncio.create_task(ticks())
        deadline = time.monotonic() + 60
        while len(values) < 10_000 or any(tmp_path.glob("*.csv")):
            assert time.monotonic() < deadline and not task.done()
            await asyncio.sleep(0.05)
        for each in (task, ticking):
            each.cancel()
        await asyncio.gather(task, ticking, return_exceptions=True)
        assert values == [float(i) for i in range(10_000)]
        assert health.errors == {"not_stored": 3} and health.received == 10_000
        assert latest[0] < 0.5, "other sources were not delayed"

    asyncio.run(main())
    assert len(list((tmp_path / "done").iterdir())) == 10_000


def test_a_share_that_is_not_there_and_comes(tmp_path):
    folder = tmp_path / "share"
    settings = CsvFolderSettings.model_validate(
        {"type": "csv_folder", "path": folder, "settle_s": 0, "scan_s": 0.1, "values": [{"column": "w"}]}
    )

    async def main():
        values = []

        async def emit(batch):
            values.extend(s.value for s in batch)

        health = SourceHealth("aoi", "csv_folder", 10)
        task = asyncio.create_task(CsvFolderCollector("aoi", settings, SystemClock(), health).run(emit))
        await asyncio.sleep(0.5)
        assert health.state == "down" and health.errors["folder_unreadable"] >= 2
        folder.mkdir()
        (folder / "a.csv").write_text("w\n1\n", "utf-8")
        await asyncio.sleep(0.7)
        assert values == [1.0] and health.state == "up"
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)

    asyncio.run(main())

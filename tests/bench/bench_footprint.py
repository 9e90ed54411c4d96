"""What edge and relay cost: from start to ready, memory, and CPU while nothing happens, beside floors of the same run.

    python tests/bench/bench_footprint.py [--idle-s 20]

Floors: a Python process that only imports the third-party libraries the role cannot do without, and for idling one
whose asyncio loop wakes ten times a second. No assertion.
"""

from __future__ import annotations

import argparse
import http.client
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import psutil
from rig.kit.files import Wish
from rig.kit.plant import ROLES, Plant
from rig.kit.programs import Program

LIBRARIES = {
    "edge": "fastapi, uvicorn, sqlalchemy, pysqlite3.dbapi2, pydantic, httpx, orjson, paho.mqtt.client",
    "relay": "fastapi, uvicorn, sqlalchemy, pysqlite3.dbapi2, pydantic, httpx, orjson, lark_oapi",
}
STARTS = {"edge": 5, "relay": 3}
IDLE_LOOP = """
import asyncio
async def main():
    while True:
        await asyncio.sleep(0.1)
asyncio.run(main())
"""


def ready_s(plant: Plant, role: str) -> float:
    """Start a role and ask /readyz until it says 200; seconds."""
    program, started = plant.programs[role], time.perf_counter()
    program.start()
    while True:
        assert program.running, program.said()
        connection = http.client.HTTPConnection("127.0.0.1", plant.ports[role], timeout=2)
        try:
            connection.request("GET", "/readyz")
            if connection.getresponse().status == 200:
                return time.perf_counter() - started
        except OSError:
            pass
        finally:
            connection.close()
        time.sleep(0.01)


def import_s(role: str) -> float:
    """The floor: seconds of a process that imports the role's libraries and ends."""
    started = time.perf_counter()
    subprocess.run([sys.executable, "-W", "ignore", "-c", f"import {LIBRARIES[role]}"], check=True)
    return time.perf_counter() - started


def imported(plant: Plant, module: str) -> tuple[bool, int]:
    """Whether a running edge has imported a module, and how many modules it has, by -X importtime."""
    program = plant.programs["edge"]
    traced = Program("traced", [sys.executable, "-X", "importtime", *program.words[1:]], plant.folder / "traced.log")
    plant.programs["edge"] = traced
    ready_s(plant, "edge")
    traced.end()
    plant.programs["edge"] = program
    names = re.findall(r"^import time:.*\|\s*(\S+)$", traced.said(), re.MULTILINE)
    return any(name == module or name.startswith(f"{module}.") for name in names), len(names)


def cpu_s(pid: int) -> float:
    """CPU time of all threads of a process, in seconds (proc(5), schedstat: nanoseconds, finer than ticks)."""
    return sum(int(task.read_text().split()[0]) for task in Path(f"/proc/{pid}/task").glob("*/schedstat")) / 1e9


def cpu_share(pids: list[int], seconds: float) -> list[float]:
    """Share of a core that each of these processes takes from now on, over so many seconds."""
    before = [cpu_s(pid) for pid in pids]
    time.sleep(seconds)
    return [(cpu_s(pid) - used) / seconds for pid, used in zip(pids, before, strict=True)]


def libraries_held(role: str) -> tuple[int, int]:
    """The floor: RSS and USS in bytes of a process that has imported the role's libraries."""
    code = f"import {LIBRARIES[role]}; print(flush=True); input()"
    with subprocess.Popen([sys.executable, "-W", "ignore", "-c", code], stdin=-1, stdout=-1) as child:
        assert child.stdout is not None
        child.stdout.readline()
        memory = psutil.Process(child.pid).memory_full_info()
        child.kill()
    return memory.rss, memory.uss


def starts(plant: Plant) -> None:
    plant.stop()
    for role in ROLES:
        took, floors = [], [import_s(role) for _ in range(STARTS[role])]
        for _ in range(STARTS[role]):
            took.append(ready_s(plant, role))
            plant.programs[role].end()
        base = median(floors)
        all_of = " ".join(f"{s:.2f}" for s in took)
        print(
            f"{role}: start to ready {median(took):.2f} s median of {len(took)} ({all_of}); "
            f"floor: its libraries {base:.2f} s; {median(took) / base:.2f} x floor"
        )
    found, modules = imported(plant, "lark_oapi")
    print(f"edge: lark_oapi imported: {'YES' if found else 'no'} ({modules} modules in all)\n")


def footprint(plant: Plant, idle_s: float) -> None:
    for role in ROLES:
        ready_s(plant, role)
    time.sleep(5)  # people are learnt, the long connection stands
    with subprocess.Popen([sys.executable, "-c", IDLE_LOOP]) as loop:
        time.sleep(0.5)
        *shares, idle = cpu_share([*(plant.programs[role].pid for role in ROLES), loop.pid], idle_s)
        loop.kill()
    for role, share in zip(ROLES, shares, strict=True):
        assert plant.programs[role].running, plant.programs[role].said()
        process = psutil.Process(plant.programs[role].pid)
        memory, (rss, uss) = process.memory_full_info(), libraries_held(role)
        figures = [f"{size / 2**20:.0f}" for size in (memory.rss, memory.uss, rss, uss)]
        print(
            "{}: RSS {} MiB, USS {} MiB; floor (its libraries) RSS {}, USS {} MiB; ".format(role, *figures)
            + f"{memory.uss / uss:.2f} x floor; {process.num_threads()} threads"
        )
        print(
            f"{role}: {share * 100:.2f} % of a core idle over {idle_s:g} s; "
            f"floor (a loop at 10 Hz) {idle * 100:.2f} %; {share / idle:.1f} x floor"
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--idle-s", type=float, default=20.0)
    args = parser.parse_args()
    wish = Wish([f"c{i}" for i in range(10)])
    with tempfile.TemporaryDirectory(prefix="andon-bench-") as name, Plant(Path(name), wish) as plant:
        starts(plant)
        footprint(plant, args.idle_s)


if __name__ == "__main__":
    main()

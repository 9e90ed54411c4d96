"""The small shared parts: clock, texts, metrics, blobs, supervision, people files, devices."""

import asyncio
from datetime import UTC, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from agent.blobs import Blobs
from agent.clock import ManualClock, SharedClock
from agent.errors import BadSignal, ConfigError, Refused
from agent.lifecycle import supervise
from agent.metrics import Metrics
from agent.model import Actor, text
from agent.plant.devices import add_device, device_of, revoke_device
from agent.plant.directory import read_departments, read_people, replace_people
from agent.store.schema import upgrade
from agent.store.write import Store
from agent.texts import LANGUAGES, duration, render, table

NOW = datetime(2026, 11, 22, 2, 42, tzinfo=UTC)
SHANGHAI = ZoneInfo("Asia/Shanghai")


def test_wall_and_monotonic_time_move_together_or_the_wall_alone() -> None:
    clock = ManualClock(NOW)
    clock.advance(timedelta(hours=1))
    assert (clock.now() - NOW, clock.monotonic()) == (timedelta(hours=1), 3600)
    clock.step_wall(timedelta(days=-1))
    assert (clock.now() - NOW, clock.monotonic()) == (timedelta(hours=-23), 3600)
    with pytest.raises(ValueError, match="only goes forward"):
        clock.advance(-1)


def test_a_shared_clock_is_one_clock_in_every_process(tmp_path: Path) -> None:
    one, other = SharedClock(tmp_path / "clock"), SharedClock(tmp_path / "clock")
    before, mono = other.now(), other.monotonic()
    one.forward(3600)
    assert other.now() - before >= timedelta(hours=1)
    assert other.monotonic() - mono >= 3600
    with pytest.raises(ValueError, match="forward"):
        one.forward(-1)


@pytest.mark.parametrize(
    ("value", "zh", "en"),
    [
        ("自己的话 {x}", "自己的话 {x}", "自己的话 {x}"),
        (None, "—", "—"),
        (-1.5, "−1.5", "−1.5"),
        ({"num": 431.64, "digits": 1}, "431.6", "431.6"),
        ({"num": None}, "—", "—"),
        ({"at": NOW.isoformat()}, "10:42", "10:42"),
        ({"at": (NOW - timedelta(days=4)).isoformat()}, "11-18 10:42", "11-18 10:42"),
        ({"seconds": 5820}, "1 小时 37 分", "1 h 37 min"),
        ({"zh": "熔宽", "en": "bead width"}, "熔宽", "bead width"),
        (["甲", "乙"], "甲、乙", "甲, 乙"),
        (
            text("click.unknown_ticket", no="7"),
            "这里没有工单 7，可能已归档。",
            "Ticket 7 is not here; it may be archived.",
        ),
        (text("click.unknown_ticket"), "这里没有工单 —，可能已归档。", "Ticket — is not here; it may be archived."),
        (text("no.such.key"), "no.such.key", "no.such.key"),
    ],
)  # fmt: skip
def test_a_text_becomes_a_sentence_in_the_readers_language(value, zh: str, en: str) -> None:
    assert render(value, "zh", SHANGHAI, NOW) == zh
    assert render(value, "en", SHANGHAI, NOW) == en


def test_a_persons_own_words_are_never_a_template() -> None:
    hostile = "{0.__class__} {no}"
    assert render(text("click.unknown_ticket", no=hostile), "en", SHANGHAI).startswith(f"Ticket {hostile}")
    assert set(table("zh")) == set(table("en")) and LANGUAGES == ("zh", "en")
    assert duration(59, "zh") == "59 秒" and duration(90000, "en") == "1 d 1 h"


def test_metrics_are_prometheus_text() -> None:
    metrics = Metrics()
    metrics.declare("andon_x_total", "counter", "things")
    metrics.inc("andon_x_total", kind='a"\\\n')
    metrics.inc("andon_x_total", 2, kind='a"\\\n')
    assert metrics.render().splitlines() == [
        "# HELP andon_x_total things",
        "# TYPE andon_x_total counter",
        'andon_x_total{kind="a\\"\\\\\\n"} 3',
    ]


def test_blobs_are_named_by_what_they_hold(tmp_path: Path) -> None:
    blobs = Blobs(tmp_path)
    sha = blobs.put(b"photo")
    assert blobs.path(sha).read_bytes() == b"photo"
    assert blobs.put(b"photo", sha) == sha
    with pytest.raises(BadSignal, match="blob_hash"):
        blobs.put(b"other", sha)
    for name in ("../../etc/passwd", sha.upper(), "", "ab"):
        assert blobs.path(name) is None
    assert [p.name for p in tmp_path.rglob("*") if p.is_file()] == [sha], "no temporary files stay"


def test_a_blob_that_cannot_be_written_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr("agent.blobs.os.fsync", full)
        with pytest.raises(OSError, match="No space"):
            Blobs(tmp_path).put(b"photo")
    assert [p for p in tmp_path.rglob("*") if p.is_file()] == []
    assert Blobs(tmp_path).put(b"photo"), "and it can be written later"


def test_a_failing_task_is_started_again_and_stops_when_told() -> None:
    runs: list[int] = []
    reasons: list[str] = []

    async def work() -> None:
        runs.append(1)
        raise OSError("gone")

    async def main() -> None:
        task = asyncio.create_task(supervise("x", work, first_s=0.001, cap_s=0.004, on_failure=reasons.append))
        while len(runs) < 5:
            await asyncio.sleep(0.001)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(main())
    assert set(reasons) == {"OSError: gone"}


PEOPLE = "\ufeffid,name,leader,roles,active\n1,甲,2,operator,1\n2,乙,,leader quality,是\n3,丙,2,,0\n"


@pytest.fixture
def store(tmp_path: Path):
    upgrade(tmp_path / "edge.db")
    store = Store(tmp_path / "edge.db")
    store.open()
    yield store
    store.close()


def test_people_of_a_csv_file(tmp_path: Path, store: Store) -> None:
    path = tmp_path / "people.csv"
    path.write_text(PEOPLE, "utf-8")
    people = read_people(path)
    assert [(p.id, p.leader, sorted(p.roles), p.active) for p in people] == [
        ("1", "2", ["operator"], True), ("2", None, ["leader", "quality"], True), ("3", "2", ["operator"], False),
    ]  # fmt: skip
    assert store.submit(lambda conn: replace_people(conn, people, [])).result(5) is True
    assert store.submit(lambda conn: replace_people(conn, people, [])).result(5) is False, "nothing changed"


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ("id,name\n1,甲\n1,乙\n", "line 3, id = '1'"),
        ("id,name,leader\n1,甲,9\n", "1, leader = '9'"),
        ("id,name,roles\n1,甲,boss\n", "line 2, roles = 'boss'"),
        ("number,name\n1,甲\n", "columns are"),
    ],
)
def test_a_wrong_people_file_is_named_line_by_line(tmp_path: Path, content: str, says: str) -> None:
    path = tmp_path / "people.csv"
    path.write_text(content, "utf-8")
    with pytest.raises(ConfigError) as caught:
        read_people(path)
    assert says in str(caught.value)
    with pytest.raises(ConfigError, match="cannot be read"):
        read_departments(tmp_path / "nothing.csv")


def test_a_token_works_until_it_is_revoked_and_is_kept_nowhere(store: Store) -> None:
    token = store.submit(lambda conn: add_device(conn, NOW, "OP40-A", "kiosk", "tablet", "OP40")).result(5)
    assert store.submit(lambda conn: device_of(conn, token).id).result(5) == "OP40-A"
    assert store.submit(lambda conn: device_of(conn, token[:-1])).result(5) is None
    with pytest.raises(Refused, match=r"device\.taken"):
        store.submit(lambda conn: add_device(conn, NOW, "OP40-A", "kiosk", "tablet", "OP40")).result(5)
    assert token.encode() not in store.path.read_bytes() + store.path.with_name("edge.db-wal").read_bytes()
    assert store.submit(lambda conn: revoke_device(conn, NOW, "OP40-A")).result(5)
    assert store.submit(lambda conn: device_of(conn, token)).result(5) is None
    again = store.submit(lambda conn: add_device(conn, NOW, "OP40-A", "kiosk", "tablet", "OP40")).result(5)
    assert again != token


def test_an_actor_travels() -> None:
    actor = Actor("104482", frozenset({"operator", "quality"}), "kiosk", "OP40-A")
    assert Actor.from_json(actor.as_json()) == actor

"""The store: one commit for many jobs, a failing job takes only itself back, durable settings, a schema that fits."""

import threading
from concurrent.futures import Future
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import Connection, inspect, text
from sqlalchemy.exc import IntegrityError

import agent.outbox.rows
import agent.plant.rows
import agent.records.tickets.rows
import agent.relay.rows
from agent.errors import ConfigError
from agent.model import SYSTEM
from agent.store import audit
from agent.store.engine import PRAGMAS, open_writer
from agent.store.facts import count, counters, epoch, get_meta, put_meta
from agent.store.metadata import from_us, metadata, to_us
from agent.store.schema import HEAD, upgrade, version
from agent.store.write import Store, StoreFull, announce

NOW = datetime(2026, 11, 22, 8, 0, tzinfo=UTC)


@pytest.fixture
def store(tmp_path: Path):
    upgrade(tmp_path / "edge.db")
    store = Store(tmp_path / "edge.db")
    store.open()
    yield store
    store.close()


def test_schema_of_the_migrations_is_that_of_the_tables(tmp_path: Path) -> None:
    upgrade(tmp_path / "edge.db")
    engine = open_writer(tmp_path / "edge.db")
    found = inspect(engine)
    assert set(found.get_table_names()) - {"alembic_version"} == set(metadata.tables)
    for name, table in metadata.tables.items():
        columns = {c["name"]: c for c in found.get_columns(name)}
        assert {n: c["nullable"] for n, c in columns.items()} == {c.name: c.nullable for c in table.columns}, name
        assert {i["name"] for i in found.get_indexes(name)} >= {i.name for i in table.indexes}, name
        assert found.get_pk_constraint(name)["constrained_columns"] == [c.name for c in table.primary_key], name
    engine.dispose()
    files = Path(agent.store.schema.__file__).parent.glob("migrations/versions/0*.py")
    assert max(f.name[:4] for f in files) == HEAD


@pytest.mark.parametrize("at", ["0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-14:00"])
def test_a_moment_that_could_not_be_read_again_is_not_stored(at: str) -> None:
    with pytest.raises(OverflowError):
        to_us(datetime.fromisoformat(at))
    for edge in (datetime.min.replace(tzinfo=UTC), datetime.max.replace(tzinfo=UTC)):
        assert from_us(to_us(edge)) == edge


def test_an_error_of_the_store_does_not_repeat_what_people_wrote(store: Store) -> None:
    def twice(conn: Connection) -> None:
        for _ in range(2):
            conn.execute(text("INSERT INTO meta(key, value) VALUES ('k', :words)"), {"words": "what people wrote"})

    with pytest.raises(IntegrityError) as caught:
        store.submit(twice).result()
    assert "what people wrote" not in str(caught.value)


def test_upgrade_twice_changes_nothing_and_a_newer_file_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "edge.db"
    assert upgrade(path) is None
    assert upgrade(path) == HEAD
    engine = open_writer(path)
    with engine.begin() as conn:
        conn.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    assert version(engine) == "9999"
    engine.dispose()
    with pytest.raises(ConfigError, match="newer than this program"):
        upgrade(path)


def test_every_connection_has_the_durable_settings(store: Store) -> None:
    def settings(conn):
        return {name: conn.exec_driver_sql(f"PRAGMA {name}").scalar_one() for name in PRAGMAS}

    assert store.submit(settings).result(5) == PRAGMAS
    assert PRAGMAS["synchronous"] == 2


def test_a_failing_job_takes_back_only_itself(store: Store) -> None:
    def good(conn):
        put_meta(conn, "good", "1")

    def bad(conn):
        put_meta(conn, "bad", "1")
        raise ZeroDivisionError

    futures: list[Future[None]] = [store.submit(job) for job in (good, bad, good)]
    with pytest.raises(ZeroDivisionError):
        futures[1].result(5)
    futures[2].result(5)
    with store.read() as conn:
        assert (get_meta(conn, "good"), get_meta(conn, "bad")) == ("1", None)


def test_topics_are_heard_once_after_the_commit(store: Store) -> None:
    heard = []

    def listener(topics):
        with store.read() as conn:  # what is announced can be read
            heard.append((topics, get_meta(conn, "x")))

    store.on_commit(listener)

    def job(conn):
        announce(conn, "a")
        announce(conn, "a")
        put_meta(conn, "x", "1")

    store.submit(job).result(5)
    store.submit(lambda conn: put_meta(conn, "x", "2")).result(5)
    assert heard == [(frozenset({"a"}), "1")]


def test_a_reader_cannot_write(store: Store) -> None:
    with pytest.raises(Exception, match=r"readonly|read-only|query_only"), store.read() as conn:
        conn.execute(text("INSERT INTO meta VALUES ('a', 'b')"))


def test_moments_keep_microseconds_and_refuse_naive_times() -> None:
    at = NOW + timedelta(microseconds=1)
    assert from_us(to_us(at)) == at
    with pytest.raises(TypeError):
        to_us(datetime(2026, 1, 1))


def test_epoch_is_made_once_and_counters_add_up(store: Store) -> None:
    assert store.submit(epoch).result(5) == store.submit(epoch).result(5)
    store.submit(lambda conn: [count(conn, "outbox.accepted"), count(conn, "outbox.accepted", 4)]).result(5)
    assert store.submit(lambda conn: counters(conn, "outbox.")).result(5) == {"outbox.accepted": 5}


def test_the_audit_chain_shows_a_changed_line(store: Store) -> None:
    def lines(conn):
        for n in range(3):
            audit.record(conn, NOW, SYSTEM, "outbox.drop", {"n": n})
        return audit.broken_at(conn)

    assert store.submit(lines).result(5) is None

    def tamper(conn):
        conn.exec_driver_sql("UPDATE audit SET data = '{\"n\":7}' WHERE id = 2")
        return audit.broken_at(conn)

    assert store.submit(tamper).result(5) == 2


def test_close_finishes_what_waits(tmp_path: Path) -> None:
    upgrade(tmp_path / "edge.db")
    store = Store(tmp_path / "edge.db")
    store.open()
    futures = [store.submit(lambda conn: count(conn, "n")) for _ in range(200)]
    store.close()
    assert all(f.done() and f.exception() is None for f in futures)
    assert store.commits < 200, "jobs that wait together share a commit"


def test_what_sqlite_takes_back_is_served_to_nobody(store: Store) -> None:
    """On a full disk SQLite undoes the whole transaction: a job that ran before the failing one is undone with it."""

    def cap(conn):
        pages = conn.exec_driver_sql("PRAGMA page_count").scalar_one()
        conn.exec_driver_sql(f"PRAGMA max_page_count={pages + 3}")

    store.submit(cap).result(5)
    gate = threading.Event()
    hold = store.submit(lambda conn: gate.wait(5))
    undone: list[str] = []
    first = store.submit(lambda conn: put_meta(conn, "a", "kept?"), lambda: undone.append("a"))
    big = store.submit(lambda conn: put_meta(conn, "b", "x" * 200_000), lambda: undone.append("b"))
    last = store.submit(lambda conn: put_meta(conn, "c", "kept?"), lambda: undone.append("c"))
    gate.set()
    hold.exception(5)
    for future in (first, big, last):
        assert isinstance(future.exception(5), StoreFull)
    assert undone == ["a", "b", "c"]
    with store.read() as conn:
        assert [get_meta(conn, key) for key in "abc"] == [None, None, None]
    store.submit(lambda conn: put_meta(conn, "d", "small")).result(5)


def test_a_dead_store_thread_refuses_instead_of_hanging(store: Store) -> None:
    def dies(conn):
        raise SystemExit

    with pytest.raises(SystemExit):
        store.submit(dies).result(5)
    store._thread.join(5)
    assert store.ended
    with pytest.raises(StoreFull, match="ended"):
        store.submit(lambda conn: None)


def test_a_listener_that_fails_does_not_end_the_thread(store: Store) -> None:
    store.on_commit(lambda topics: 1 / 0)
    store.submit(lambda conn: announce(conn, "x")).result(5)
    store.submit(lambda conn: announce(conn, "x")).result(5)
    assert not store.ended

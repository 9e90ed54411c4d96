"""A folder of CSV files, read slice by slice without a loop: every row once, whatever happens to the files."""

from __future__ import annotations

import os
from datetime import UTC, datetime

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from agent.collectors.csv_folder import Folder
from agent.collectors.csv_rows import CsvFolderSettings, cells, identity_of, layout, signals
from agent.errors import BadSignal

NOW = datetime(2026, 11, 22, 2, 0, tzinfo=UTC)
HEAD = "time,serial,width\n"


def config(path, **over):
    base = {"type": "csv_folder", "path": path, "settle_s": 0, "values": [{"column": "width"}]}
    return CsvFolderSettings.model_validate(base | over)


class Machine:
    """Feeds a Folder and keeps what it read, as the store would: a known id is not counted again."""

    def __init__(self, folder, **over):
        self.path, self.over, self.mono = folder, over, 0.0
        self.seen, self.values, self.errors, self.again = set(), [], {}, 0
        self.start()

    def start(self):
        if hasattr(self, "folder"):
            self.folder.close()
        self.folder = Folder("m", config(self.path, **self.over))
        self.folder.start()

    def step(self, keep=True):
        read = self.folder.read(NOW, self.mono)
        for signal in read.signals:
            if (signal.tag, signal.id) in self.seen:
                self.again += 1
            else:
                self.seen.add((signal.tag, signal.id))
                self.values.append(signal.value)
        for bad in [*read.bad, *(self.folder.keep(read) if keep else [])]:
            self.errors[bad.kind] = self.errors.get(bad.kind, 0) + 1
        return read

    def run(self):
        self.mono += 100
        while self.step().rows:
            pass
        self.step()
        return self.values


def write(path, text, mtime=None, encoding="utf-8"):
    path.write_bytes(text if isinstance(text, bytes) else text.encode(encoding))
    if mtime is not None:
        os.utime(path, (mtime, mtime))


def names(folder):
    return sorted(p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file())


def test_a_file_is_read_in_order_and_moved(tmp_path):
    write(tmp_path / "b.csv", HEAD + "t,S1,1\nt,S2,2\n", 1000)
    write(tmp_path / "a.csv", HEAD + "t,S3,3", 2000)
    machine = Machine(tmp_path)
    assert machine.run() == [1.0, 2.0, 3.0], "the older file first; the last line needs no end"
    assert names(tmp_path) == ["done/a.csv", "done/b.csv"]
    write(tmp_path / "b.csv", HEAD + "t,S1,1\nt,S2,2\n", 3000)
    write(tmp_path / "c.csv", HEAD + "t,S1,1\n", 4000)
    assert machine.run() == [1.0, 2.0, 3.0, 1.0], "the same file again is known, another with the same row is not"
    assert machine.again == 2
    write(tmp_path / "b.csv", HEAD + "t,S9,9\n", 5000)
    assert machine.run()[-1] == 9.0, "an old name, another row"
    assert names(tmp_path / "done") == ["a.csv", "b.csv", "b.csv.1", "b.csv.2", "c.csv"]


def test_order_by_name(tmp_path):
    for name, at in (("3.csv", 1), ("1.csv", 2), ("2.csv", 3)):
        write(tmp_path / name, HEAD + f"t,s,{name[0]}\n", at)
    assert Machine(tmp_path, order="name").run() == [1.0, 2.0, 3.0]


def test_a_file_is_left_until_it_has_settled(tmp_path):
    machine = Machine(tmp_path, settle_s=5)
    write(tmp_path / "a.csv", HEAD + "t,s,1\n")
    assert not machine.step().rows
    machine.mono = 4
    write(tmp_path / "a.csv", HEAD + "t,s,1\nt,s,2\n")
    for machine.mono in (6, 10):
        assert not machine.step().rows
    machine.mono = 12
    machine.step()
    assert machine.values == [1.0, 2.0]


@pytest.mark.parametrize("marker", ["a.csv.done", "a.done"])
def test_a_marker_says_that_a_file_is_complete(tmp_path, marker):
    machine = Machine(tmp_path, settle_s=1000, done_marker=".done")
    write(tmp_path / "a.csv", HEAD + "t,s,1\n")
    assert machine.run() == []
    write(tmp_path / marker, "")
    assert machine.run() == [1.0]
    assert names(tmp_path) == ["done/a.csv"]


def test_a_renamed_temporary_file_and_what_is_no_file(tmp_path):
    outside = tmp_path / "outside.txt"
    write(outside, HEAD + "t,s,66\n")
    folder = tmp_path / "in"
    folder.mkdir()
    (folder / "link.csv").symlink_to(outside)
    (folder / "dir.csv").mkdir()
    os.mkfifo(folder / "pipe.csv")
    write(folder / "a.tmp", HEAD + "t,s,1\n")
    machine = Machine(folder)
    assert machine.run() == []
    (folder / "a.tmp").rename(folder / "a.csv")
    assert machine.run() == [1.0]
    assert machine.errors == {}


def test_bad_lines_stand_in_a_file_beside_it(tmp_path):
    write(tmp_path / "a.csv", HEAD.encode() + b"t,s,1\nt,s,NG\nt\nt,\xff,3\n\nt,s,nan\nt,s,-\nt,s,4\n")
    machine = Machine(tmp_path)
    assert machine.run() == [1.0, 4.0]
    assert machine.errors == {"not_a_number": 1, "short_row": 1, "bad_encoding": 1, "not_finite": 1}
    assert (tmp_path / "done/a.csv.rejected").read_bytes() == HEAD.encode() + b"t,s,NG\nt\nt,\xff,3\nt,s,nan\n"
    assert names(tmp_path) == ["done/a.csv", "done/a.csv.rejected"]


@pytest.mark.parametrize(
    ("text", "kind"), [("no,such\n1,2\n", "missing_column"), ("", "empty_file"), (b"\xff\xfe\n1\n", "bad_encoding")]
)
def test_a_file_that_cannot_be_read_goes_aside_with_its_reason(tmp_path, text, kind):
    write(tmp_path / "a.csv", text)
    machine = Machine(tmp_path)
    assert machine.run() == []
    assert machine.errors == {kind: 1}
    assert names(tmp_path) == ["failed/a.csv", "failed/a.csv.reason"]
    assert kind in (tmp_path / "failed/a.csv.reason").read_text("utf-8")


def test_a_locked_file_is_tried_again_and_then_given_up(tmp_path, monkeypatch):
    write(tmp_path / "a.csv", HEAD + "t,s,1\n")
    machine, real = Machine(tmp_path, give_up_s=60), os.open

    def locked(path, *rest):
        if str(path).endswith("a.csv"):
            raise PermissionError(13, "Permission denied")
        return real(path, *rest)

    with monkeypatch.context() as patched:
        patched.setattr("agent.collectors.csv_folder.os.open", locked)
        for machine.mono in (10, 20, 30):
            machine.step()
        assert machine.errors["no_permission"] >= 2 and names(tmp_path) == ["a.csv"]
    machine.mono = 65
    machine.step()
    assert machine.values == [1.0]
    write(tmp_path / "a.csv", HEAD + "t,s,2\n")
    monkeypatch.setattr("agent.collectors.csv_folder.os.open", locked)
    for machine.mono in range(100, 300, 5):
        machine.step()
    assert names(tmp_path) == ["done/a.csv", "failed/a.csv", "failed/a.csv.reason"]


def test_a_vanished_file_and_a_vanished_folder(tmp_path):
    folder = tmp_path / "in"
    folder.mkdir()
    for name in ("a.csv", "b.csv"):
        write(folder / name, HEAD + f"t,{name},1\n", 1000)
    machine = Machine(folder)
    machine.folder._queue = machine.folder._scan(0)
    (folder / "a.csv").unlink()
    machine.step()
    assert machine.errors == {"vanished": 1} and machine.values == [1.0]
    os.rename(folder, tmp_path / "gone")
    with pytest.raises(FileNotFoundError):
        machine.step()
    os.rename(tmp_path / "gone", folder)
    write(folder / "c.csv", HEAD + "t,c,3\n")
    assert machine.run() == [1.0, 3.0]


def test_many_small_files_and_one_large_file_come_in_slices(tmp_path):
    for i in range(300):
        write(tmp_path / f"{i:04}.csv", HEAD + f"t,s,{i}\n", 1000 + i)
    write(tmp_path / "large.csv", HEAD + "".join(f"t,s,{i}\n" for i in range(300, 20_000)), 9000)
    machine = Machine(tmp_path)
    sizes = []
    while (read := machine.step()).rows:
        sizes.append(read.rows)
    assert machine.values == [float(i) for i in range(20_000)]
    assert max(sizes) <= 500


@pytest.mark.parametrize("after", ["move", "leave", "delete"])
@settings(max_examples=30, deadline=None)
@given(deaths=st.lists(st.tuples(st.integers(0, 6), st.booleans()), max_size=5))
def test_a_death_at_any_slice_counts_no_row_twice_and_loses_none(tmp_path_factory, after, deaths):
    folder = tmp_path_factory.mktemp("in")
    write(folder / "a.csv", HEAD + "".join(f"t,s,{i}\n" for i in range(1800)), 1000)
    write(folder / "b.csv", HEAD + "t,s,1800\nbad\n", 2000)
    state = {"state_dir": folder / "state"} if after == "leave" else {}
    machine = Machine(folder, after=after, **state)
    for steps, before_the_move in deaths:
        for _ in range(steps):
            machine.step()
        if before_the_move:
            machine.step(keep=False)
        machine.start()
    assert machine.run() == [float(i) for i in range(1801)]
    left = {"move": ["done/a.csv", "done/b.csv"], "leave": ["a.csv", "b.csv"], "delete": []}[after]
    assert [n for n in names(folder) if n.endswith(".csv")] == left


def test_a_growing_file_is_read_on_also_after_a_restart_and_under_another_name(tmp_path):
    over = {"mode": "append", "after": "leave", "state_dir": tmp_path / "state", "glob": "log*.csv"}
    log = tmp_path / "log.csv"
    write(log, HEAD + "t,s,1\nt,s,")
    machine = Machine(tmp_path, **over)
    assert machine.run() == [1.0], "a line without its end is not a line"
    with log.open("a") as file:
        file.write("2\nt,s,3\n")
    assert machine.run() == [1.0, 2.0, 3.0]
    machine.start()
    assert machine.run() == [1.0, 2.0, 3.0] and machine.again == 0
    with log.open("a") as file:
        file.write("t,s,4\n")
    log.rename(tmp_path / "log.1.csv")
    write(log, HEAD + "t,s,5\n")
    assert sorted(machine.run()) == [1.0, 2.0, 3.0, 4.0, 5.0] and machine.again == 0
    machine.start()
    assert len(machine.run()) == 5 and machine.again == 0
    write(log, HEAD + "t,s,6\n")
    assert machine.run()[-1] == 6.0


def test_a_broken_position_file_is_set_aside_and_the_store_knows_the_rows(tmp_path):
    write(tmp_path / "log.csv", HEAD + "t,s,1\nt,s,2\n")
    machine = Machine(tmp_path, mode="append", after="leave", state_dir=tmp_path / "state")
    machine.run()
    (tmp_path / "state" / "m.positions.json").write_bytes(b"{broken")
    machine.start()
    assert machine.run() == [1.0, 2.0] and machine.again == 2


def test_positions_that_cannot_be_kept_are_an_error_of_the_configuration(tmp_path):
    write(tmp_path / "file", "")
    with pytest.raises(Exception, match="state_dir"):
        Machine(tmp_path, after="leave", state_dir=tmp_path / "file" / "below")


# ---- rows ----


def of(line, head=None, **over):
    s = config("/nowhere", **over)
    where = layout(s, cells(s, head.encode(s.encoding)) if head else ())
    return signals(s, "m", where, cells(s, line.encode(s.encoding)), "id", NOW)


def test_wide_rows_with_context_time_zone_and_decimal_comma():
    found = of(
        "22.11.2026;10:00:00;SN 7;L1;1,5;-2,25e1;OK;",
        "日期;时间;序列号;批;宽;高;结果;空",
        encoding="gb18030", delimiter=";", decimal=",", time=["日期", "时间"], time_format="%d.%m.%Y %H:%M:%S",
        time_zone="Asia/Shanghai", context={"serial": "序列号", "lot": "批"},
        values=[{"column": "宽", "tag": "width"}, {"column": "高"}, {"column": "结果", "text": True}, {"column": "空"}],
    )  # fmt: skip
    assert [(s.tag, s.value, s.text) for s in found] == [
        ("width", 1.5, None),
        ("高", -22.5, None),
        ("结果", None, "OK"),
    ]
    assert {s.source_at for s in found} == {datetime(2026, 11, 22, 2, 0, tzinfo=UTC)}
    assert found[0].context == {"serial": "SN 7", "lot": "L1"} and found[0].received_at == NOW


def test_long_rows_without_a_header_and_key_columns():
    over = {"header": False, "tag_column": 1, "values": [{"column": 2}], "key": [0, 1], "time": [3]}
    (found,) = of('"S,1",gap,0.25,2026-11-22T10:00:00+08:00', **over)
    assert (found.tag, found.value, found.id) == ("gap", 0.25, "S,1|gap")
    assert found.source_at == datetime(2026, 11, 22, 2, 0, tzinfo=UTC)
    for line, kind in (
        ("S,gap,1", "short_row"), ("S,,1,2026-11-22", "no_tag"), ("S,g,1,soon", "bad_time"),
        ("S,g,1,1999-01-01", "bad_time"), ("S,g,1e999,2026-11-22", "not_finite"),
    ):  # fmt: skip
        with pytest.raises(BadSignal) as bad:
            of(line, **over)
        assert bad.value.kind == kind


def test_a_quoted_cell_may_hold_a_line_end(tmp_path):
    write(tmp_path / "a.csv", HEAD + 't,"a\nb",1\nt,"open,2\nt,s,3\n')
    machine = Machine(tmp_path)
    assert 1.0 in machine.run() and 3.0 in machine.values


@given(line=st.binary(max_size=300), encoding=st.sampled_from(["utf-8", "utf-8-sig", "gb18030"]))
def test_any_bytes_are_signals_or_a_bad_signal(line, encoding):
    s = config("/n", header=False, encoding=encoding, values=[{"column": 1}], time=[0], key=[0, 2], context={"lot": 2})
    try:
        found = signals(s, "m", layout(s, ()), cells(s, line), identity_of("f", 1, line), NOW)
    except BadSignal:
        return
    assert all(signal.value is not None and len(signal.id) <= 200 for signal in found)


@settings(deadline=None)
@given(data=st.binary(max_size=2000), mode=st.sampled_from(["whole", "append"]))
def test_any_file_ends(tmp_path_factory, data, mode):
    folder = tmp_path_factory.mktemp("in")
    write(folder / "a.csv", HEAD.encode() + data)
    over = {"mode": "append", "after": "leave", "state_dir": folder / "s"} if mode == "append" else {}
    machine = Machine(folder, max_line_bytes=64, **over)
    machine.run()
    assert machine.folder._file is None


@pytest.mark.parametrize(
    "bad",
    [
        {"mode": "append"}, {"after": "leave"}, {"delimiter": ",", "decimal": ","}, {"delimiter": '"'}, {"glob": "a/*"},
        {"header": False}, {"time_zone": "Mars/Olympus"}, {"time_format": "%Q%"}, {"encoding": "latin-1"},
        {"values": []}, {"values": [{"column": "a"}, {"column": "a"}]}, {"write": 1},
    ],
)  # fmt: skip
def test_settings_that_are_refused(bad):
    with pytest.raises(ValidationError):
        config("/n", **bad)

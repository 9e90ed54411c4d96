"""The command line where something is in its way: wrong arguments, readers that leave, files that are none."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from agent.__main__ import main
from agent.commands.demo import take_folder
from agent.errors import ConfigError
from agent.sandbox.demo_file import WRITTEN_BY
from agent.store.schema import HEAD

CONFIG = Path(__file__).parents[2] / "config"


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """A configuration whose folders and sockets are below tmp_path."""
    for path in CONFIG.glob("*.example.csv"):
        (tmp_path / path.name).write_bytes(path.read_bytes())
    text = (CONFIG / "agent.example.toml").read_text("utf-8")
    text = text.replace("/var/lib/andon/", "").replace('"/run/andon/edge/admin.sock"', '"e"')
    text = text.replace('"/run/andon/relay/admin.sock"', '"r"').replace('"/run/andon/link/relay.sock"', '"l"')
    (tmp_path / "agent.toml").write_text(text, "utf-8")
    return tmp_path / "agent.toml"


@pytest.fixture(autouse=True)
def umask() -> Iterator[None]:
    """The command sets one for its process, which is ours here."""
    mask = os.umask(0o022)
    yield
    os.umask(mask)


@pytest.mark.parametrize(
    "words",
    [["tickets", "show"], ["outbox", "retry"], ["outbox", "drop", "--reason", "x"], ["device", "revoke"]],
    ids=lambda words: words[1],
)
@pytest.mark.parametrize("value", ["", "..", "a/b", "../status", "é", "a?b"])
def test_a_number_that_would_be_another_path_is_refused(
    file: Path, capsys: pytest.CaptureFixture[str], words: list[str], value: str
) -> None:
    assert main([*words, "--config", str(file), "--", value]) == 1
    said = capsys.readouterr()
    assert (said.out, f"= {value!r}: letters, digits" in said.err) == ("", True)


@pytest.mark.parametrize("words", [["--help"], ["check-config", "FILE"], ["spc", "evaluate", "--help"]])
def test_a_reader_that_leaves_is_no_failure(file: Path, words: list[str]) -> None:
    ours, theirs = os.pipe()
    os.close(ours)
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONUNBUFFERED"}
    command = [sys.executable, "-m", "agent", *(str(file) if word == "FILE" else word for word in words)]
    done = subprocess.run(command, stdout=theirs, stderr=subprocess.PIPE, env=environment, timeout=60, check=False)
    os.close(theirs)
    assert (done.returncode, done.stderr) == (0, b"")


def test_a_full_disk_behind_the_output_is_told() -> None:
    with open("/dev/full", "wb") as full:
        command = [sys.executable, "-m", "agent", "--help"]
        done = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, timeout=60, check=False)
    assert (done.returncode, done.stderr) == (1, b"andon: No space left on device\n")


def test_a_demo_deletes_only_what_a_demo_has_made(tmp_path: Path) -> None:
    for role in ("edge", "relay"):
        (tmp_path / role).mkdir()
        (tmp_path / role / f"{role}.db").write_bytes(b"a plant's")
    for _ in range(2):  # first without a configuration, then with a plant's own
        with pytest.raises(ConfigError, match="no demo wrote"):
            take_folder(tmp_path)
        assert (tmp_path / "edge" / "edge.db").exists()
        (tmp_path / "agent.toml").write_text("[site]\n")
    (tmp_path / "agent.toml").write_text(WRITTEN_BY + " More.\n")
    take_folder(tmp_path).close()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["agent.toml", "lock"]


def test_a_demo_in_no_folder_says_so(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "file").touch()
    assert main(["demo", "--keep", str(tmp_path / "file")]) == 78
    assert f"--keep = '{tmp_path}/file': cannot be used: File exists" in capsys.readouterr().err


def test_a_backup_is_one_file_and_says_why_not(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    where = ["--config", str(file)]
    assert main(["db", "backup", str(file.parent / "copy.db"), *where]) == 78
    assert "nothing has run here yet" in capsys.readouterr().err
    assert main(["db", "upgrade", "--json", *where]) == 0
    assert json.loads(capsys.readouterr().out)["to"] == HEAD
    assert main(["db", "backup", str(file.parent / "copy.db"), *where]) == 0
    assert [path.name for path in file.parent.glob("copy.db*")] == ["copy.db"]
    assert main(["db", "backup", str(file.parent / "copy.db"), *where]) == 78
    assert main(["db", "backup", str(file.parent / "no_such" / "copy.db"), *where]) == 1
    exists, nowhere = capsys.readouterr().err.splitlines()
    assert "exists already" in exists
    assert nowhere.startswith(f"andon: {file.parent}/no_such/copy.db: unable to open database")


def test_a_file_that_is_no_store_is_told(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["db", "check", "--config", str(file)]) == 78
    assert not (file.parent / "edge").exists()  # asking leaves nothing behind
    (file.parent / "edge").mkdir()
    (file.parent / "edge" / "edge.db").write_bytes(b"no store" * 1000)
    for words in (["check"], ["upgrade"], ["backup", str(file.parent / "copy.db")]):
        capsys.readouterr()
        assert main(["db", *words, "--config", str(file)]) == 1
        assert "file is not a database; " in capsys.readouterr().err


def test_people_read_the_time_of_their_site_and_programs_utc(
    file: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    at, none = "2026-11-24T20:30:15.123456+00:00", None
    ticket = {"no": "T1", "state": "NEW", "severity": "stop", "occurrences": 1, "owner": None, "title": "x",
              "raised_at": at, "strip": [{"kind": "R2", "mark": "run", "due_at": at}],
              "history": [{"at": at, "actor": None, "via": "spc", "text": "opened"}]}  # fmt: skip
    device = {"id": "A", "kind": "kiosk", "station": "OP40", "created_at": at, "seen_at": none, "revoked_at": at}
    item = {"uuid": "u", "lane": "l", "kind": "k", "state": "dead", "attempts": 1, "created_at": at, "reason": none}
    answers = {"tickets list": {"tickets": [ticket]}, "tickets show": ticket, "device list": {"devices": [device]},
               "outbox list": {"items": [item]}}  # fmt: skip
    for words, answer in answers.items():
        verb = words.split()[0]
        monkeypatch.setattr(f"agent.commands.{verb}.ask", lambda *given, answer=answer, **query: answer)
        command = [*words.split(), *(["T1"] if words.endswith("show") else []), "--config", str(file)]
        assert main(command) == 0
        said = capsys.readouterr().out
        assert "2026-11-25 04:30" in said, words
        assert "T20:30" not in said and "123456" not in said, words
        assert main([*command, "--json"]) == 0
        assert at in capsys.readouterr().out, words

"""`andon check-config` on wrong files: exit code 78, and a line each that names the field, the value and the remedy."""

from __future__ import annotations

import copy
import os
import re
import shutil
import socket
import tomllib
from collections.abc import Callable, Iterator
from datetime import date
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from agent.__main__ import EX_CONFIG, main
from agent.config import Config, problems, read_config

CONFIG = Path(__file__).parents[2] / "config"
GOOD = (CONFIG / "agent.example.toml").read_text("utf-8")

Check = Callable[[], list[str]]
"""Runs the command over the folder's agent.toml; gives the lines it said on standard error."""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with the example and its tables, to be spoilt."""
    for path in CONFIG.glob("*.example.csv"):
        shutil.copy(path, tmp_path)
    (tmp_path / "agent.toml").write_text(GOOD, "utf-8")
    return tmp_path


@pytest.fixture(autouse=True)
def umask() -> Iterator[None]:
    """The command sets one for its process, which is ours here."""
    mask = os.umask(0o022)
    yield
    os.umask(mask)


@pytest.fixture
def check(folder: Path, capsys: pytest.CaptureFixture[str]) -> Check:
    """The command fails with 78, without a word on standard output, and every line says who speaks."""

    def run() -> list[str]:
        code = main(["check-config", str(folder / "agent.toml")])
        said = capsys.readouterr()
        assert (code, said.out) == (EX_CONFIG, "")
        lines = said.err.splitlines()
        assert all(line.startswith("andon: ") for line in lines)
        return [line.removeprefix("andon: ") for line in lines]

    return run


def spoil(folder: Path, *changes: tuple[str, str], file: str = "agent.toml") -> None:
    """Put each second text where the first one stands (first place only)."""
    text = (folder / file).read_text("utf-8")
    for old, new in changes:
        assert old in text, old
        text = text.replace(old, new, 1)
    (folder / file).write_text(text, "utf-8")


WRONG = [
    ("unknown setting", 'timezone = "Asia/Shanghai"', 'timezon = "Asia/Shanghai"',
     "site.timezon = 'Asia/Shanghai': no such setting; look for a typing error"),
    ("unknown table", "[feishu]  ", "[fieshu]  ", "fieshu = '…': no such setting"),
    ("missing", 'default_owner = "10021"', "", "tickets.default_owner = None: missing; config/agent.example.toml"),
    ("wrong type", "port = 8443", 'port = "kiosk"', "edge.port = 'kiosk': Input should be a valid integer"),
    ("too large", "port = 8443", "port = 84430", "edge.port = 84430: Input should be less than or equal to 65535"),
    ("the relay's letter", 'edge = "E3"', 'edge = "R3"', "site.edge = 'R3': edge code, e.g. E3; R… is the relay's own"),
    ("zone", 'timezone = "Asia/Shanghai"', 'timezone = "Shanghai"',
     "site.timezone = 'Shanghai': not a time zone; use an IANA name such as Asia/Shanghai"),
    ("duration", 'amount = "2h"', 'amount = "2 hours"',
     'deadlines.clocks.R2.amount = \'2 hours\': write a duration above 0 and up to 366d, such as "2h"'),
    ("working hours", 'basis = "wall"', 'basis = "working_hours"',
     "deadlines.clocks.R2.basis = 'working_hours': only \"wall\""),
    ("nobody to tell", 'fallback = ["10008"]', "fallback = []",
     "deadlines.escalation.fallback = []: name at least one employee number"),
    ("http abroad", "https://open.feishu.cn", "http://open.feishu.cn",
     "feishu.base_url = 'http://open.feishu.cn': write https://HOST (http only to 127.0.0.1)"),
    ("protocol", 'type = "modbus"', 'type = "profinet"', "sources.leak_tester.type = 'profinet': one of mqtt, modbus"),
    ("in a source", "port = 502 ", "port = 0 ", "sources.leak_tester.port = 0: "),
    ("in a register", 'order = "CDAB"', 'order = "CADB"', "sources.leak_tester.registers.0.order = 'CADB': "),
    ("in a topic", 'filter = "line3/op40/+"', 'filter = "line3/op40+"',
     "sources.welder.topics.0.filter = 'line3/op40+': + must be a whole level"),
    ("station", 'station = "OP40"', 'station = "OP41"',
     "characteristics.bead_width.station = 'OP41': not in [site]; one of ['OP40', 'OP50']"),
    ("source", 'source = "welder"', 'source = "wleder"', "characteristics.bead_width.source = 'wleder': no such table"),
    ("source of what is typed", '\nentry = "manual"', '\nentry = "manual"\nsource = "nobody"',
     "characteristics.pull_force.source = 'nobody': no such table; one of ['cells', 'inspection', 'leak_tester',"),
    ("category", 'category = "welding"', 'category = "wedling"',
     "characteristics.bead_width.category = 'wedling': one of"),
    ("id twice", 'id = "leak_rate"', 'id = "bead_width"', "characteristics.1.id = 'bead_width': this id stands twice"),
    ("limits", "lsl = 400.0", "lsl = 600.0", "lsl = 600.0 is not below usl = 500.0"),
    ("subgroup", "n = 5 ", "n = 1 ",
     'characteristics.bead_width = \'…\': n = 1 with chart = "xbar_r"; a range needs at least 2 values'),
    ("rule", 'N1 = "ticket"', 'N9 = "ticket"', "characteristics.bead_width.rules.N9 = 'ticket': no such rule"),
    ("infinite centre", "center = 450.0", "center = inf", "characteristics.bead_width.limits.center = inf: "),
    ("no sigma", "sigma = 8.9", "sigma = nan", "characteristics.bead_width.limits.sigma = nan: "),
    ("infinite lsl", "lsl = 400.0", "lsl = -inf", "characteristics.bead_width.lsl = -inf: "),
    ("infinite usl", "usl = 500.0", "usl = inf", "characteristics.bead_width.usl = inf: "),
    ("owner", 'default_owner = "10021"', 'default_owner = "10020"',
     "tickets.default_owner = '10020': not in directory.people_file; add or correct it"),
    ("team", 'team = ["10031"]', 'team = ["10030"]', "characteristics.bead_width.team = '10030': not in directory"),
    ("number in quotes", "port = 8443", 'port = "8443"', "edge.port = '8443': Input should be a valid integer"),
    ("true for 1", "workers = 4", "workers = true", "relay.workers = True: Input should be a valid integer"),
    ("a date", "port = 8443", "port = 2026-11-22", "edge.port = '2026-11-22': Input should be a valid integer"),
    ("a number without end", "port = 8443", f"port = 0x{'f' * 100}", "edge.port = 'about 2**400': "),
    ("longer than years", "stale_after_s = 60.0", "stale_after_s = 1e300", "sources.welder.stale_after_s = 1e+300: "),
    ("always stale", "stale_after_s = 10.0", "stale_after_s = 5.0",
     "sources.leak_tester = '…': stale_after_s = 5 is not above the period of 5 s"),
    ("no such register", 'tag = "leak_rate"               #', 'tag = "leek_rate" #',
     "characteristics.leak_rate.tag = 'leak_rate': sources.leak_tester has no such register; one of ['leek_rate']"),
    ("huge centre", "center = 450.0", "center = 1e308", "center = 1e+308: give a finite number of less than 1e+150"),
    ("icon", 'icon = "spark"', 'icon = "sparks"', "tickets.categories.welding.icon = 'sparks': "),
    ("no name", 'zh = "焊缝熔宽"', 'zh = ""', "characteristics.bead_width.name.zh = '': "),
    ("station twice", 'id = "OP50"', 'id = "OP40"', "site.stations = '…': id 'OP40' stands twice"),
    ("category twice", 'id = "surface"', 'id = "dimension"', "tickets.categories = '…': id 'dimension' stands twice"),
    ("a port in a name", '"localhost", "127.0.0.1"]', '"kiosk:8443"]',
     "edge.allowed_hosts.0 = 'kiosk:8443': write a name or an address alone"),
    ("port of no kind", "open.feishu.cn", "open.feishu.cn:99999", "feishu.base_url = 'https://open.feishu.cn:99999': "),
    ("a line break in an address", "open.feishu.cn", "open\\n.feishu.cn", "write scheme, host and port only"),
    ("a URL for a host", '"10.20.0.5"', '"tcp://10.20.0.5"', "sources.welder.host = 'tcp://10.20.0.5': "),
    ("no path", '"/var/lib/andon/edge"', '""', "edge.data_dir = '': name a file or folder"),
    ("a path no system takes", "/var/lib/andon/edge", "/var/\\u0000", "edge.data_dir = '/var/\\x00': name a file or"),
    ("a long socket", "/run/andon/link/", f"/run/{'x' * 100}/", ": at most 107 bytes; take a shorter path"),
    ("one port for both", "port = 8444", "port = 8443", "relay.port = 8443: edge.port is the same"),
    ("one folder for both", "/var/lib/andon/relay", "/var/lib/andon/edge", "relay.data_dir = '/var/lib/andon/edge': "),
    ("one socket for both", "/run/andon/relay/admin.sock", "/run/andon/edge/admin.sock", "edge.admin_socket is"),
    ("no file of people", "people.example.csv", "peple.csv", "peple.csv': cannot be read: No such file or directory; "),
    ("no file of departments", "departments.example.csv", "dep.csv", "dep.csv': cannot be read: No such file or"),
    ("a subgroup of text", "n = 5 ", 'n = "5" ', "characteristics.bead_width.n = '5': Input should be a valid integer"),
    ("an id that cannot be one", 'id = "leak_rate"', 'id = "leak rate"', "characteristics.1.id = 'leak rate': "),
]  # fmt: skip


@pytest.mark.parametrize(("old", "new", "says"), [case[1:] for case in WRONG], ids=[case[0] for case in WRONG])
def test_a_wrong_file_names_field_value_and_remedy(folder: Path, check: Check, old: str, new: str, says: str) -> None:
    spoil(folder, (old, new))
    assert says in "\n".join(check())


SECRETS = [
    ("app_id =", 'app_secret = "s3cret"\napp_id =', "feishu.app_secret = '…': "),
    ("app_id =", 'app_secert = "s3cret"\napp_id =', "feishu.app_secert = '…': "),
    ("app_id =", 'app_secret = ["s3cret"]\napp_id =', "feishu.app_secret = '…': "),
    ('client_id = "andon', 'password = "s3cret"\nclient_id = "andon', "sources.welder.password = '…': "),
    ('client_id = "andon', 'pwd = "s3cret"\nclient_id = "andon', "sources.welder.pwd = '…': "),
    ("[site]\n", 'api_token = "s3cret"\n[site]\n', "api_token = '…': "),
    ('"feishu_app_secret"', '{ value = "s3cret" }', "feishu.app_secret_file = '…': "),
    ('"10.20.0.5"', '"tcp://andon:s3cret@10.20.0.5"', "sources.welder.host = 'tcp://…@10.20.0.5': "),
    ("https://open", "https://andon:s3cret@open", "feishu.base_url = 'https://…@open.feishu.cn': "),
    ("open.feishu.cn", "open.feishu.cn/?token=s3cret", "feishu.base_url = 'https://open.feishu.cn/?…': "),
    ("app_id =", 'app_secret = "s3cret\napp_id =', "not TOML"),
    ("app_id =", f'app_secret = {"[" * 300}"s3cret"{"]" * 300}\napp_id =', "file = '…'"),
]  # fmt: skip


@pytest.mark.parametrize(("old", "new", "says"), SECRETS)
def test_a_secret_in_the_file_is_refused_and_never_repeated(
    folder: Path, check: Check, old: str, new: str, says: str
) -> None:
    spoil(folder, (old, new))
    said = "\n".join(check())
    assert says in said
    assert "s3cret" not in said


def test_two_sessions_of_one_name_at_a_broker_are_refused(folder: Path, check: Check) -> None:
    twin = '[sources.twin]\ntype = "mqtt"\nhost = "10.20.0.5"\nclient_id = "andon-module-3"\ntopics = [{filter = "a"}]'
    spoil(folder, ("[sources.leak_tester]", f"{twin}\n[sources.leak_tester]"))
    assert check() == [
        "sources.twin.client_id = 'andon-module-3': sources.welder has it at the same broker; give each its own"
    ]


def test_windows_files_are_read(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "agent.toml").write_bytes(b"\xef\xbb\xbf" + GOOD.replace("\n", "\r\n").encode())
    assert main(["check-config", str(folder / "agent.toml")]) == 0
    assert capsys.readouterr().out.splitlines()[-1].startswith("ok: ")


def test_several_problems_are_all_listed_each_on_its_line(folder: Path, check: Check) -> None:
    spoil(
        folder, ("port = 8443", 'port = "kiosk"'), ("workers = 4", "workers = 0"), ("poll_s = 25", "pol_s = 25"),
        ('language = "zh"', 'language = "de"'), ("qos = 1", "qos = 2"), ("sigma = 8.9", "sigma = -8.9"),
    )  # fmt: skip
    named = {re.match(r"[\w.]+", line)[0] for line in check()}
    assert named == {
        "edge.port",
        "relay.workers",
        "link.pol_s",
        "feishu.language",
        "sources.welder.qos",
        "characteristics.bead_width.limits.sigma",
    }


def test_of_several_sources_every_problem_is_listed(folder: Path, check: Check) -> None:
    spoil(folder, ("qos = 1", "qos = 2"), ("port = 502 ", "port = 0 "), ('order = "CDAB"', 'order = "CADB"'))
    named = {re.match(r"[\w.]+", line)[0] for line in check()}
    assert named == {
        "sources.welder.qos", "sources.leak_tester.port", "sources.leak_tester.registers.0.order",
    }  # fmt: skip


def test_what_is_named_and_is_nowhere_is_listed_by_its_field(folder: Path, check: Check) -> None:
    spoil(folder, ('station = "OP40"', 'station = "OP41"'), ('category = "welding"', 'category = "wedling"'),
          ('source = "leak_tester"', 'source = "leek_tester"'))  # fmt: skip
    named = {re.match(r"[\w.]+", line)[0] for line in check()}
    assert named == {
        "characteristics.bead_width.station", "characteristics.bead_width.category", "characteristics.leak_rate.source",
    }  # fmt: skip


def test_everybody_who_is_unknown_is_listed(folder: Path, check: Check) -> None:
    spoil(folder, ('default_owner = "10021"', 'default_owner = "10020"'), ('fallback = ["10008"]', 'fallback = ["9"]'))
    spoil(folder, ("it,10001", "it,10009"), file="departments.example.csv")
    lines = check()
    for says in (
        "tickets.default_owner = '10020'",
        "deadlines.escalation.fallback = '9'",
        "departments.it.head = '10009'",
    ):
        assert any(line.startswith(says) for line in lines), says
    assert len(lines) == 3


def test_every_wrong_line_of_both_tables_is_listed(folder: Path, check: Check) -> None:
    spoil(folder, ("module-3,engineer", "module-3,enginer"), ("10007,module-3", "10070,module-3"),
          file="people.example.csv")  # fmt: skip
    spoil(folder, ("it,10001", ",10001"), file="departments.example.csv")
    lines = check()
    assert len(lines) == 3
    for says in ("roles = 'enginer'", "leader = '10070'", "departments.example.csv, line 5, id = ''"):
        assert any(says in line for line in lines), says


def test_a_file_that_is_not_there_is_named_by_its_setting(folder: Path, check: Check) -> None:
    spoil(folder, ("people.example.csv", "nobody.csv"), ("departments.example.csv", "none.csv"))
    (folder / "none.csv").write_bytes("id,head\nit,é\n".encode("latin-1"))
    people, departments = check()
    assert people.startswith(f"directory.people_file = '{folder}/nobody.csv': cannot be read: No such file or")
    assert departments.startswith(f"directory.departments_file = '{folder}/none.csv': cannot be read: 'utf-8' codec")
    assert people.endswith("; name a CSV file that is there, or leave the setting out")
    assert departments.endswith("; save it as CSV in UTF-8")


TABLES = [
    ("no such column", "people", "name,leader", "name,boss", "people.example.csv = 'id,name,boss,", "columns are"),
    ("leader", "people", "10007,module-3,engineer", "10070,module-3,engineer", "10021, leader = '10070'", "add the"),
    ("role", "people", "module-3,engineer", "module-3,enginer", "line 5, roles = 'enginer'", "of admin engineer"),
    ("id twice", "people", "10008,孙静", "10007,孙静", "line 4, id = '10007'", "an id of its own"),
    ("no name", "people", "10008,孙静", "10008,", "line 4, name = ''", "a name"),
    ("no id", "departments", "it,10001", ",10001", "departments.example.csv, line 5, id = ''", "an id of its own"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("table", "old", "new", "field", "remedy"), [t[1:] for t in TABLES], ids=[t[0] for t in TABLES]
)
def test_a_wrong_table_of_people_names_line_value_and_remedy(
    folder: Path, check: Check, table: str, old: str, new: str, field: str, remedy: str
) -> None:
    spoil(folder, (old, new), file=f"{table}.example.csv")
    (line,) = (line for line in check() if field in line)
    assert remedy in line


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"[site\n", "not TOML: "),
        (b"[site]\nid = 'SZ1'\nid = 'SZ2'\n", "not TOML: "),
        ("[site]\nid = 'é'".encode("latin-1"), "not TOML: "),
        (b"a = " + b"[" * 5000, "not TOML: "),
        (b"a = " + b"9" * 5000, "not TOML: "),
        (b"a = 0x" + b"f" * 5000, "cannot be read: "),
        (None, "cannot be read: No such file"),
    ],
)
def test_what_is_no_toml_names_the_file_and_the_place(
    folder: Path, check: Check, content: bytes | None, says: str
) -> None:
    path = folder / "agent.toml"
    path.unlink() if content is None else path.write_bytes(content)
    (line,) = check()
    assert line.startswith(f"file = {str(path)!r}: {says}")


def test_an_empty_file_lists_what_is_needed(folder: Path, check: Check) -> None:
    (folder / "agent.toml").write_text("")
    lines = check()
    for needed in ("site", "tickets", "fallback"):
        assert any(needed in line for line in lines), needed


def test_nothing_is_connected_to_and_no_secret_is_read(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def refuse(*args: object) -> None:
        raise AssertionError("the check went to the network")

    for name in ("connect", "connect_ex", "bind", "sendto"):
        monkeypatch.setattr(socket.socket, name, refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    real = Path.read_text
    monkeypatch.setattr(Path, "read_text", lambda path, *more: refuse() if path.name == "pw" else real(path, *more))
    (folder / "pw").write_text("s3cret")
    (folder / "pw").chmod(0o600)
    spoil(folder, ("/etc/andon/secrets/welder", "pw"))
    assert main(["check-config", str(folder / "agent.toml")]) == 0
    *notes, ok = capsys.readouterr().out.splitlines()
    assert not [note for note in notes if "sources.welder" in note]
    assert ok.startswith("ok: ")


@pytest.mark.parametrize(
    ("content", "mode", "says"),
    [(None, 0, "No such file or directory"), ("", 0o600, "is empty"),
     ("pw", 0o644, "every user can read it; chmod o-rw"), ("pw", 0o602, "every user can read it; chmod o-rw")],
)  # fmt: skip
def test_a_password_file_that_will_not_do_is_remarked(
    folder: Path, capsys: pytest.CaptureFixture[str], content: str | None, mode: int, says: str
) -> None:
    spoil(folder, ("/etc/andon/secrets/welder", "pw"))
    if content is not None:
        (folder / "pw").write_text(content)
        (folder / "pw").chmod(mode)
    assert main(["check-config", str(folder / "agent.toml")]) == 0
    (note,) = (line for line in capsys.readouterr().out.splitlines() if "sources.welder" in line)
    assert note.startswith(f"note: sources.welder.password_file = '{folder}/pw': {says}; the source fails until")


def test_an_app_secret_that_everybody_can_read_is_remarked(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "feishu_app_secret").write_text("s3cret")
    (folder / "feishu_app_secret").chmod(0o644)
    main(["check-config", str(folder / "agent.toml")])
    said = capsys.readouterr().out
    assert f"note: feishu.app_secret_file = '{folder}/feishu_app_secret': every user can read it; chmod o-rw\n" in said


def test_the_file_is_taken_with_and_without_an_option(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = str(folder / "agent.toml")
    assert main(["check-config", "--config", file]) == main(["check-config", file]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[: len(lines) // 2] == lines[len(lines) // 2 :]
    with pytest.raises(SystemExit):
        main(["check-config", "--config", file, file])


def test_one_of_a_kind_is_counted_in_the_singular(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    text = GOOD.split("[sources.welder]")[0]
    (folder / "agent.toml").write_text(
        f'{text}\n[sources.one]\ntype = "mqtt"\nclient_id = "a"\ntopics = [{{ filter = "a" }}]\n'
    )
    (folder / "people.example.csv").write_text("id,name\n10021,甲\n")
    spoil(folder, ('quality = ["10022"]', ""), ('["10008"]', '["10021"]'), ("departments_file", "# "))
    assert main(["check-config", str(folder / "agent.toml")]) == 0
    assert capsys.readouterr().out == "ok: 1 source, 0 characteristics, 1 person\n"


def test_a_file_for_an_edge_alone_and_deadlines_out_of_order_are_remarked(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    text = re.sub(r"\n\[feishu\].*?\n(?=\n)", "\n", GOOD, flags=re.DOTALL).replace('amount = "48h"', 'amount = "12h"')
    (folder / "agent.toml").write_text(text, "utf-8")
    assert main(["check-config", str(folder / "agent.toml")]) == 0
    warning, note, *_, ok = capsys.readouterr().out.splitlines()
    assert warning == "warning: deadlines.clocks.A48 (43200 s) falls due before C24 (86400 s)"
    assert note == "note: no [feishu] table: this file serves an edge only"
    assert ok.startswith("ok: ")


DATA = tomllib.loads(GOOD)
FREE = {"rules", "texts", "context", "enum"}
"""Tables whose keys are no settings."""


def places(value: Any, place: tuple[str | int, ...] = ()) -> Iterator[tuple[str | int, ...]]:
    """Every table and every value of the example."""
    yield place
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, item in items:
        yield from places(item, (*place, key))


def at(data: Any, place: tuple[str | int, ...]) -> Any:
    for key in place:
        data = data[key]
    return data


def said_of(data: Any) -> str:
    with pytest.raises(ValidationError) as caught:
        Config.model_validate(data)
    return "\n".join(map(str, problems(caught.value)))


def test_a_strange_name_in_any_table_is_refused_by_its_place() -> None:
    tables = [p for p in places(DATA) if isinstance(at(DATA, p), dict) and not FREE & set(p) and p != ("sources",)]
    assert len(tables) > 40
    for place in tables:
        data = copy.deepcopy(DATA)
        at(data, place)["zzz"] = 1
        assert f"{'.'.join(map(str, (*place, 'zzz')))} = 1: no such setting" in said_of(data)


def test_a_value_of_a_strange_kind_in_any_setting_is_refused_by_its_place() -> None:
    leaves = [p for p in places(DATA) if p and not isinstance(at(DATA, p), (dict, list))]
    assert len(leaves) > 150
    for place in leaves:
        data = copy.deepcopy(DATA)
        at(data, place[:-1])[place[-1]] = date(2026, 11, 22)
        name = ".".join(map(str, place))
        assert name in said_of(data), name


def test_an_absolute_path_stays_and_a_relative_one_moves_with_the_file(folder: Path) -> None:
    moved = folder / "sub"
    moved.mkdir()
    (folder / "agent.toml").rename(moved / "agent.toml")
    config = read_config(moved / "agent.toml")
    assert config.directory.people_file == moved / "people.example.csv"
    assert config.sources["welder"].password_file == Path("/etc/andon/secrets/welder")

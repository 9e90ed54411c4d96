"""config/agent.example.toml shows every setting of every model, says what it is, and tells the truth about defaults."""

from __future__ import annotations

import csv
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, get_args

import pytest
from pydantic import BaseModel
from pydantic.fields import FieldInfo

from agent.collectors import SETTINGS
from agent.config import Config, load, read_config
from agent.plant.directory import read_departments, read_people

ROOT = Path(__file__).parents[2]
EXAMPLE = ROOT / "config" / "agent.example.toml"
TEXT = EXAMPLE.read_text("utf-8")
DATA = tomllib.loads(TEXT)

Place = tuple[str, ...]
"""Where a setting stands: the names of the tables down to it, for a source its type instead of its name."""


def inner_model(annotation: Any) -> type[BaseModel] | None:
    """The model in an annotation such as Model, Model | None, list[Model], tuple[Model, ...]."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    return next((m for a in get_args(annotation) if (m := inner_model(a)) is not None), None)


def tables(value: Any) -> list[Mapping[str, Any]]:
    """The tables that a value is: itself, or the items of a list of tables."""
    found = value if isinstance(value, list) else [value]
    return [table for table in found if isinstance(table, dict)]


def settings(
    model: type[BaseModel], shown: list[Mapping[str, Any]], place: Place = ()
) -> Iterator[tuple[Place, FieldInfo, list[Any]]]:
    """Every setting below a model: its place, its field, and the values that the example shows for it."""
    for name, field in model.model_fields.items():
        values = [table[name] for table in shown if name in table]
        if model is Config and name == "sources":
            for kind, entry in SETTINGS.items():
                of_kind = [table for value in values for table in value.values() if table["type"] == kind]
                yield from settings(load(entry), of_kind, ("sources", kind))
            continue
        yield (*place, name), field, values
        inner = inner_model(field.annotation)
        if inner is not None:
            yield from settings(inner, [table for value in values for table in tables(value)], (*place, name))


SHOWN = {place: (field, values) for place, field, values in settings(Config, [DATA])}


def remarks() -> dict[Place, str]:
    """What the example says beside a setting or a table where it first stands, or in the comment above it; by place."""
    kinds = {name: table["type"] for name, table in DATA["sources"].items()}
    found: dict[Place, str] = {}
    table: Place = ()
    above = ""
    for line in TEXT.splitlines():
        code, _, comment = line.partition("#")
        if header := re.match(r"\[+([\w.]+)\]+", code):
            names = header[1].split(".")
            if names[0] == "sources":
                names[1] = kinds[names[1]]
            table = tuple(names)
            found.setdefault(table, comment)
        elif key := re.match(r"(\w+) *=", code):
            found.setdefault((*table, key[1]), comment + above)
        if not code.strip():
            above = f"{above} {comment}" if comment else ""
        elif not re.match(r"\w+ *= *\{", code):  # a comment above inline tables counts for each of them
            above = ""
    return found


REMARKS = remarks()


def remark(place: Place) -> str | None:
    """What is said of a setting: beside its own line, or (in an inline table) where its table begins."""
    if place in REMARKS:
        return REMARKS[place]
    return REMARKS.get(place[:-1]) if len(place) > 1 else None


def default_of(field: FieldInfo) -> Any:
    """The default as TOML would hold it; `...` if the setting is required, None if it may be left out."""
    if field.is_required():
        return ...
    value = field.get_default(call_default_factory=True, validated_data={})
    return value.as_posix() if isinstance(value, Path) else list(value) if isinstance(value, tuple) else value


def as_toml(value: Any) -> str:
    return f'"{value}"' if isinstance(value, str) else str(value).lower() if isinstance(value, bool) else str(value)


def plain(field: FieldInfo) -> bool:
    """A setting with a value of its own, not a table of settings."""
    return inner_model(field.annotation) is None


def test_the_walk_sees_every_part_of_the_file() -> None:
    assert len(SHOWN) > 120
    deep = ("sources.modbus.registers.order", "deadlines.clocks.V5.amount", "tickets.categories.hint.zh")
    assert {tuple(place.split(".")) for place in deep} <= SHOWN.keys()


def test_every_setting_is_shown() -> None:
    assert [".".join(place) for place, (_, values) in SHOWN.items() if not values] == []


def test_every_setting_is_explained_where_it_stands() -> None:
    silent = []
    for place, (field, _) in SHOWN.items():
        said = remark(place)
        if plain(field) and (not said or (place not in REMARKS and not re.search(rf"\b{place[-1]}\b", said))):
            silent.append(".".join(place))
    assert [where for where in silent if not where.endswith((".zh", ".en"))] == []


def test_the_example_shows_or_tells_the_default() -> None:
    wrong = []
    for place, (field, values) in SHOWN.items():
        default, said = default_of(field), remark(place) or ""
        if not plain(field) or place[-2:-1] == ("name",) or place[-1] in ("zh", "en"):
            continue
        if default is ...:
            told = "required" in said or place[-2] in ("R2", "C24", "A48", "V5")
        elif default is None:
            told = "optional" in said
        else:
            told = default in values or f"default {as_toml(default)}" in said
        if not told:
            wrong.append((".".join(place), default, values[:1]))
    assert wrong == []


def test_the_categories_shown_are_the_default_ones() -> None:
    shown = [dict(category) for category in DATA["tickets"]["categories"]]
    for category in shown:
        category.pop("owner", None)
    defaults = (
        Config.model_fields["tickets"].annotation.model_fields["categories"].get_default(call_default_factory=True)
    )
    assert shown == [category.model_dump(exclude={"owner"}) for category in defaults]


def test_the_file_is_read_and_its_paths_are_relative_to_it(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    config = read_config(EXAMPLE)
    assert config.directory.people_file == EXAMPLE.parent / "people.example.csv"
    assert config.feishu is not None
    assert config.feishu.app_secret_file == EXAMPLE.parent / "feishu_app_secret"
    assert not config.feishu.app_secret_file.exists(), "a file is checked without its secrets"
    assert config.edge.data_dir == Path("/var/lib/andon/edge")
    assert [c.id for c in config.characteristics] == ["bead_width", "leak_rate", "pull_force"]


@pytest.mark.parametrize(("name", "read"), [("people", read_people), ("departments", read_departments)])
def test_the_example_tables_show_every_column(name: str, read: Any) -> None:
    path = EXAMPLE.parent / f"{name}.example.csv"
    with path.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(read(path)) == len(rows) > 3
    columns = {
        "people": "id name leader department roles email mobile open_id user_id active",
        "departments": "id head",
    }
    assert list(rows[0]) == columns[name].split()
    assert all(any(row[column] for row in rows) for column in rows[0]), "each column has a sample"
    if name == "people":
        assert {d.head for d in read_departments(path.with_name("departments.example.csv"))} <= {r["id"] for r in rows}
        assert {p.active for p in read_people(path)} == {True, False}


def test_the_command_says_ok_and_loads_no_client() -> None:
    """As its user meets it: a process of its own; and the check needs neither lark-oapi nor paho nor pymodbus."""
    script = (
        "import sys\nfrom agent.__main__ import main\ncode = main(sys.argv[1:])\n"
        "print(sorted({'lark_oapi', 'paho', 'pymodbus', 'google.protobuf', 'asyncua', 'amqtt'} & sys.modules.keys()))\n"
        "sys.exit(code)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, "check-config", str(EXAMPLE)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=30,
    )
    assert (done.returncode, done.stderr) == (0, "")
    *notes, ok, loaded = done.stdout.splitlines()
    assert notes[0].startswith("note: sources.welder.password_file = '/etc/andon/secrets/welder': ")
    assert all(note.startswith("note: sources.") for note in notes), "secrets that are not on this machine"
    assert (ok, loaded) == (f"ok: {len(DATA['sources'])} sources, 3 characteristics, 9 people", "[]")

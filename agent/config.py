"""One TOML file for both roles, composed of the parts' own settings. Unknown names are errors, secrets in files."""

from __future__ import annotations

import contextlib
import json
import os
import re
import tomllib
from collections.abc import Iterable, Iterator, Sequence
from importlib import import_module
from pathlib import Path
from typing import Any, TypeVar, get_args

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from agent.collectors import SETTINGS as COLLECTOR_SETTINGS
from agent.deadlines.settings import DeadlineSettings
from agent.errors import ConfigError
from agent.outbox.settings import LinkSettings
from agent.plant.settings import SPREAD, CharacteristicSettings, DirectorySettings, SiteSettings
from agent.records.tickets.settings import TicketSettings
from agent.relay.settings import RelaySettings
from agent.sinks.feishu.settings import FeishuSettings
from agent.spc.rules import RULES
from agent.ui.settings import EdgeSettings

M = TypeVar("M", bound=BaseModel)
SHOWN = 80
"""Characters of a wrong value that an error repeats."""
_DATE = "TOML date"
_SECRET = re.compile(r"secret|passw|token|credential|(^|_)(key|pin|pwd)$", re.IGNORECASE)
_SOCKET_MAX = 107
"""Bytes in the path of a Unix socket (unix(7): sun_path has 108, one ends it)."""


def load(name: str) -> Any:
    """The attribute behind a registry entry "module:attr"."""
    module, attribute = name.split(":")
    return getattr(import_module(module), attribute)


def checked(model: type[M], table: Any) -> M:
    """A table of the file as a model: only values of the very type, no number in quotes, no true for 1.

    Pydantic is strict and takes texts as paths only from JSON; what JSON does not have (dates) fits no setting.
    """
    return model.model_validate_json(json.dumps(table, default=lambda other: {_DATE: str(other)}), strict=True)


class Several(ValueError):
    """Problems that a validator found, each with its own field; `problems` lists them one by one."""

    def __init__(self, found: list[ConfigError]) -> None:
        super().__init__("; ".join(str(e) for e in found))
        self.found = found


class Config(BaseModel):
    """The whole file."""

    model_config = ConfigDict(extra="forbid", frozen=True, arbitrary_types_allowed=True)

    site: SiteSettings
    edge: EdgeSettings = Field(default_factory=EdgeSettings)
    relay: RelaySettings = Field(default_factory=RelaySettings)
    link: LinkSettings = Field(default_factory=LinkSettings)
    feishu: FeishuSettings | None = Field(default=None, description="needed by the relay")
    tickets: TicketSettings
    deadlines: DeadlineSettings = Field(default_factory=dict, validate_default=True)
    directory: DirectorySettings = Field(default_factory=DirectorySettings)
    sources: dict[str, Any] = Field(default_factory=dict)
    characteristics: list[CharacteristicSettings] = Field(default_factory=list)

    @field_validator("sources", mode="before")
    @classmethod
    def _sources(cls, tables: Any) -> Any:
        if not isinstance(tables, dict):
            raise ValueError("write one table per source: [sources.NAME]")
        found: list[ConfigError] = []
        sources = {name: _source(name, table, found) for name, table in tables.items()}
        if found:
            raise Several(found)
        return sources

    @model_validator(mode="after")
    def _consistent(self) -> Config:
        found = [problem for c in self.characteristics for problem in _references(self, c)]
        found += _repeats(self.characteristics)
        found += _sessions(self.sources)
        found += _shared(self)
        found += _nameless(self)
        if found:
            raise Several(found)
        return self


def _source(name: str, table: Any, found: list[ConfigError]) -> Any:
    """One source by its collector's own settings; what is wrong with it is added to `found`."""
    kind = table.get("type") if isinstance(table, dict) else None
    if not isinstance(kind, str) or kind not in COLLECTOR_SETTINGS:
        found.append(ConfigError(f"sources.{name}.type", kind, f"one of {', '.join(COLLECTOR_SETTINGS)}"))
        return None
    try:
        return checked(load(COLLECTOR_SETTINGS[kind]), table)
    except ValidationError as error:
        found += problems(error, f"sources.{name}.")
        return None


def _references(config: Config, c: CharacteristicSettings) -> Iterator[ConfigError]:
    """What a characteristic names that is nowhere."""
    where = f"characteristics.{c.id}"
    stations = {place.id for place in config.site.stations}
    categories = {category.id for category in config.tickets.categories}
    if c.station not in stations:
        yield ConfigError(f"{where}.station", c.station, f"not in [site]; one of {sorted(stations)}")
    if c.category not in categories:
        yield ConfigError(f"{where}.category", c.category, f"one of {sorted(categories)}")
    if (c.entry == "signal" or c.source is not None) and c.source not in config.sources:
        yield ConfigError(f"{where}.source", c.source, f"no such table; one of {sorted(config.sources)}")
    elif c.entry == "signal" and (tags := config.sources[str(c.source)].tags()) is not None and c.tag not in tags:
        yield ConfigError(f"{where}.tag", c.tag, f"sources.{c.source} has no such register; one of {sorted(tags)}")
    for rule, severity in c.rules.items():
        if rule not in RULES and rule != SPREAD:
            yield ConfigError(f"{where}.rules.{rule}", severity, f"no such rule; one of {', '.join(RULES)}, {SPREAD}")


def _repeats(characteristics: Sequence[CharacteristicSettings]) -> Iterator[ConfigError]:
    """Ids and tags that stand twice."""
    seen: set[str] = set()
    taken: dict[tuple[str | None, str | None], str] = {}
    for index, c in enumerate(characteristics):
        if c.id in seen:
            hint = "this id stands twice; give each characteristic its own"
            yield ConfigError(f"characteristics.{index}.id", c.id, hint)
        elif c.entry == "signal" and (other := taken.setdefault((c.source, c.tag), c.id)) != c.id:
            yield ConfigError(f"characteristics.{c.id}.tag", c.tag, f"{other} reads it already; chart a tag once")
        seen.add(c.id)


def _sessions(sources: dict[str, Any]) -> Iterator[ConfigError]:
    """Two clients of one id at a broker throw each other out for ever (MQTT 3.1.1, 3.1.4-2)."""
    taken: dict[tuple[str, int, str], str] = {}
    for name, source in sources.items():
        if source.type == "mqtt":
            other = taken.setdefault((source.host, source.port, source.client_id), name)
            if other != name:
                hint = f"sources.{other} has it at the same broker; give each its own"
                yield ConfigError(f"sources.{name}.client_id", source.client_id, hint)


def _shared(config: Config) -> Iterator[ConfigError]:
    """What edge and relay cannot both have. A file without [feishu] starts no relay."""
    edge, relay = config.edge, config.relay
    sockets = {"edge.admin_socket": edge.admin_socket}
    if config.feishu is not None:
        if edge.data_dir == relay.data_dir:
            yield ConfigError("relay.data_dir", str(relay.data_dir), "edge.data_dir is the same; give each its own")
        if edge.port == relay.port and (edge.host == relay.host or {"0.0.0.0", "::"} & {edge.host, relay.host}):  # noqa: S104
            yield ConfigError("relay.port", relay.port, "edge.port is the same; give each its own")
        sockets |= {"relay.admin_socket": relay.admin_socket, "link.socket": config.link.socket}
    taken: dict[Path, str] = {}
    for field, path in sockets.items():
        if (other := taken.setdefault(path, field)) != field:
            yield ConfigError(field, str(path), f"{other} is the same; give each its own")


def problems(error: ValidationError, prefix: str = "", data: Any = None) -> list[ConfigError]:
    """What pydantic found, one ConfigError per field: name, value and remedy. `data` is what was checked."""
    found = []
    items = error.errors(include_url=False)
    for item in items:
        if item["type"] == "too_short" and any(_inside(other["loc"], item["loc"]) for other in items):
            continue  # pydantic counts only the good ones of a list whose others are named anyway
        several = item.get("ctx", {}).get("error")
        if isinstance(several, Several):
            found += several.found
            continue
        where = prefix + ".".join(_named(item["loc"], data))
        hidden = _hides_secret(where, item["input"], item["type"])
        meant = _description(Config, item["loc"]) if not prefix else None
        remedy = _SECRETS_ELSEWHERE if hidden else _remedy(item["type"], item["msg"], meant)
        # where something is missing pydantic gives the table around it
        value = None if item["type"] == "missing" else "…" if hidden else _shown(item["input"], item["type"])
        found.append(ConfigError(where.rstrip(".") or "file", value, remedy))
    return found


def _named(loc: Sequence[str | int], data: Any) -> Iterator[str]:
    """The parts of a place; what has an id of its own is named by it, as in every other message, and not counted."""
    for part in loc:
        around, data = data, None
        with contextlib.suppress(LookupError, TypeError):
            data = around[part]
        ids = [item.get("id") for item in around if isinstance(item, dict)] if isinstance(around, list) else []
        own = data.get("id") if isinstance(data, dict) and ids else None
        named = isinstance(own, str) and re.fullmatch(r"[A-Za-z0-9_.-]{1,40}", own) and ids.count(own) == 1
        yield str(own) if named else str(part)


_SECRETS_ELSEWHERE = (
    "not a setting that may hold this; a secret stands in a file of its own, named by app_secret_file or password_file"
)


def _hides_secret(where: str, value: Any, kind: str) -> bool:
    """Whether the value may be a secret that somebody wrote into the file; then no error repeats it."""
    table, _, name = where.rpartition(".")
    return bool(kind != "missing" and _SECRET.search(name)) or (
        kind == "extra_forbidden" and isinstance(value, str) and table.startswith(("feishu", "sources"))
    )


def _shown(value: Any, kind: str) -> object:
    """A wrong value as an error repeats it: short, without what stands before @ or behind ? in an address."""
    if isinstance(value, dict) and len(value) == 1 and _DATE in value:
        value = value[_DATE]
    if isinstance(value, (list, tuple)) and not value:
        return []
    if kind == "json_invalid" or not isinstance(value, (str, int, float, bool, type(None))):
        return "…"
    if isinstance(value, str):
        value = re.sub(r"[^\s/]*@", "…@", value) if "@" in value else value
        value = re.sub(r"\?.*", "?…", value) if "://" in value else value
    elif isinstance(value, int) and value.bit_length() > 64:
        return f"about 2**{value.bit_length()}"
    return value[:SHOWN] + "…" if isinstance(value, str) and len(value) > SHOWN else value


def _inside(inner: Sequence[str | int], outer: Sequence[str | int]) -> bool:
    return len(inner) > len(outer) and tuple(inner[: len(outer)]) == tuple(outer)


def _description(model: Any, loc: Sequence[str | int]) -> str | None:
    """What the setting at this place means, in its own words."""
    field = None
    for part in (part for part in loc if isinstance(part, str)):
        fields = getattr(model, "model_fields", {})
        if part not in fields:
            return None
        field = fields[part]
        inner = [a for a in (field.annotation, *get_args(field.annotation)) if hasattr(a, "model_fields")]
        model = inner[0] if inner else None
    return field.description if field is not None else None


def _remedy(kind: str, message: str, meant: str | None) -> str:
    match kind:
        case "string_pattern_mismatch" if meant is not None:
            return f"{meant}; {message[0].lower()}{message[1:]}"
        case "missing":
            return "missing; config/agent.example.toml shows it"
        case "extra_forbidden":
            return "no such setting; look for a typing error, or see config/agent.example.toml"
    return message.removeprefix("Value error, ")


def _nameless(value: Any, where: str = "") -> Iterator[ConfigError]:
    """Paths that are empty (they would quietly mean the folder of the file) or that no system takes."""
    if isinstance(value, Path) and (value == Path() or "\0" in str(value)):
        yield ConfigError(where, "" if value == Path() else str(value), "name a file or folder")
    parts: Iterable[tuple[object, Any]] = ()
    if isinstance(value, BaseModel):
        parts = value
    elif isinstance(value, dict):
        parts = value.items()
    for name, part in parts:
        yield from _nameless(part, f"{where}.{name}".lstrip("."))


class BadConfig(ConfigError):
    """The file has problems; `found` lists them all."""

    def __init__(self, path: Path, found: list[ConfigError]) -> None:
        super().__init__(str(path), len(found), "; ".join(str(e) for e in found))
        self.found = found


def read_config(path: Path) -> Config:
    """Read and check a file; connects to nothing. Raises BadConfig with every problem found.

    Relative paths in the file are relative to the file.
    """
    try:
        data = tomllib.loads(path.read_text("utf-8-sig"))  # Windows' editor puts a BOM before it
    except OSError as error:
        raise BadConfig(path, [ConfigError("file", str(path), f"cannot be read: {error.strerror}")]) from error
    except (ValueError, RecursionError) as error:  # not UTF-8, not TOML, a number without end, brackets without end
        raise BadConfig(path, [ConfigError("file", str(path), f"not TOML: {error}")]) from error
    try:
        config = checked(Config, data)
    except ValidationError as error:
        raise BadConfig(path, problems(error, data=data)) from error
    except ConfigError as error:
        raise BadConfig(path, [error]) from error
    except (ValueError, RecursionError) as error:  # a number of too many digits, too many levels
        raise BadConfig(path, [ConfigError("file", str(path), f"cannot be read: {error}")]) from error
    anchored: Config = _anchored(config, path.resolve().parent)
    if found := list(_too_long(anchored)):
        raise BadConfig(path, found)
    return anchored


def _too_long(config: Config) -> Iterator[ConfigError]:
    """Sockets whose path the system would not take, once it begins at the root."""
    edge, relay, link = config.edge.admin_socket, config.relay.admin_socket, config.link.socket
    for field, path in (("edge.admin_socket", edge), ("relay.admin_socket", relay), ("link.socket", link)):
        if len(os.fsencode(path)) > _SOCKET_MAX:
            yield ConfigError(field, str(path), f"at most {_SOCKET_MAX} bytes; take a shorter path")


def _anchored(value: Any, base: Path) -> Any:
    """The same settings with every relative Path made absolute from the file's folder."""
    if isinstance(value, Path):
        return value if value.is_absolute() else base / value
    if isinstance(value, BaseModel):
        changed = {name: _anchored(getattr(value, name), base) for name in type(value).model_fields}
        return value.model_copy(update=changed)
    if isinstance(value, dict):
        return {key: _anchored(item, base) for key, item in value.items()}
    if isinstance(value, list):
        return [_anchored(item, base) for item in value]
    return value

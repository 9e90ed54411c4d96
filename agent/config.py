"""One TOML file for both roles, composed of the parts' own settings. Unknown names are errors, secrets in files."""

from __future__ import annotations

import tomllib
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path
from typing import Any, get_args

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from agent.collectors import SETTINGS as COLLECTOR_SETTINGS
from agent.deadlines.settings import DeadlineSettings
from agent.errors import ConfigError
from agent.outbox.settings import LinkSettings
from agent.plant.settings import CharacteristicSettings, DirectorySettings, SiteSettings
from agent.records.tickets.settings import TicketSettings
from agent.relay.settings import RelaySettings
from agent.sinks.feishu.settings import FeishuSettings
from agent.ui.settings import EdgeSettings


def load(name: str) -> Any:
    """The attribute behind a registry entry "module:attr"."""
    module, attribute = name.split(":")
    return getattr(import_module(module), attribute)


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
        return {name: _source(name, table) for name, table in tables.items()}

    @model_validator(mode="after")
    def _consistent(self) -> Config:
        stations = {place.id for place in self.site.stations}
        categories = {category.id for category in self.tickets.categories}
        seen: set[str] = set()
        taken: dict[tuple[str | None, str | None], str] = {}
        for c in self.characteristics:
            where = f"characteristics.{c.id}"
            if c.id in seen:
                raise ValueError(f"{where}: this id stands twice; give each characteristic its own")
            seen.add(c.id)
            if c.station not in stations:
                raise ValueError(f"{where}.station = {c.station!r}: not in [site]; one of {sorted(stations)}")
            if c.category not in categories:
                raise ValueError(f"{where}.category = {c.category!r}: one of {sorted(categories)}")
            if c.entry == "signal" and c.source not in self.sources:
                raise ValueError(f"{where}.source = {c.source!r}: no such table; one of {sorted(self.sources)}")
            if c.entry == "signal" and (other := taken.setdefault((c.source, c.tag), c.id)) != c.id:
                raise ValueError(f"{where}.tag = {c.tag!r}: {other} reads it already; chart a tag once")
        return self


def _source(name: str, table: Any) -> Any:
    kind = table.get("type") if isinstance(table, dict) else None
    if kind not in COLLECTOR_SETTINGS:
        raise ValueError(f"sources.{name}.type = {kind!r}: one of {', '.join(COLLECTOR_SETTINGS)}")
    try:
        return load(COLLECTOR_SETTINGS[kind]).model_validate(table)
    except ValidationError as error:
        raise ValueError("; ".join(str(e) for e in problems(error, f"sources.{name}."))) from error


def problems(error: ValidationError, prefix: str = "") -> list[ConfigError]:
    """What pydantic found, one ConfigError per field: name, value and remedy."""
    found = []
    for item in error.errors(include_url=False):
        where = prefix + ".".join(str(part) for part in item["loc"])
        value = item["input"] if isinstance(item["input"], (str, int, float, bool, type(None))) else "…"
        meant = _description(Config, item["loc"]) if not prefix else None
        found.append(ConfigError(where.rstrip(".") or "file", value, _remedy(item["type"], item["msg"], meant)))
    return found


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
        data = tomllib.loads(path.read_text("utf-8"))
    except OSError as error:
        raise BadConfig(path, [ConfigError("file", str(path), f"cannot be read: {error.strerror}")]) from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise BadConfig(path, [ConfigError("file", str(path), f"not TOML: {error}")]) from error
    try:
        config = Config.model_validate(data)
    except ValidationError as error:
        raise BadConfig(path, problems(error)) from error
    except ConfigError as error:
        raise BadConfig(path, [error]) from error
    anchored: Config = _anchored(config, path.resolve().parent)
    return anchored


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

"""What the file says of the plant: the site, its line and stations, and the characteristics that are charted."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal
from zoneinfo import ZoneInfo

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, field_validator, model_validator

from agent.spc.charts.base import VALUE_MAX, plottable

SPREAD = "R-N1"
"""Rule N1 on the chart of ranges (moving ranges): the spread, not the location, is out of control."""
_Id = Annotated[str, Field(pattern=r"^[A-Za-z0-9_.-]{1,40}$")]


def _zone(name: str) -> str:
    try:
        ZoneInfo(name)
    except (KeyError, ValueError, OSError) as error:
        raise ValueError("not a time zone; use an IANA name such as Asia/Shanghai") from error
    return name


def _small(value: float) -> float:
    if not plottable(value):
        raise ValueError(f"give a finite number of less than {VALUE_MAX:g}")
    return value


_Number = Annotated[float, AfterValidator(_small)]


class _Model(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Name(_Model):
    """A name in both languages."""

    zh: str = Field(min_length=1, description="Chinese")
    en: str = Field(min_length=1, description="English")


class Place(_Model):
    """A line or a work unit (ISA-95)."""

    id: _Id = Field(description="short and stable; stands in records")
    name: Name = Field(description="what people call it")


class SiteSettings(_Model):
    """[site]: where this agent stands. SITE-EDGE begins every ticket number."""

    id: str = Field(pattern=r"^[A-Z0-9]{1,8}$", description="site code, e.g. SZ1")
    edge: str = Field(pattern=r"^[A-QS-Z0-9][A-Z0-9]{0,7}$", description="edge code, e.g. E3; R… is the relay's own")
    timezone: Annotated[str, AfterValidator(_zone)] = Field(default="Asia/Shanghai", description="IANA name")
    line: Place = Field(description="the line this edge watches")
    stations: list[Place] = Field(min_length=1, description="its work units")

    @field_validator("stations")
    @classmethod
    def _once(cls, stations: list[Place]) -> list[Place]:
        ids = [place.id for place in stations]
        if twice := sorted({id_ for id_ in ids if ids.count(id_) > 1}):
            raise ValueError(f"id {twice[0]!r} stands twice; give each station its own")
        return stations

    @property
    def zone(self) -> ZoneInfo:
        """The time zone of the site."""
        return ZoneInfo(self.timezone)


class BaselineLimits(_Model):
    """Frozen limits found elsewhere (Phase I); they become limit version 1, a change a new version."""

    center: _Number = Field(description="centre line")
    sigma: _Number = Field(gt=0, description="sigma of single values within a subgroup, in the characteristic's unit")
    method: str = Field(default="configured", description="how they were found, e.g. Rbar/d2 of 25 subgroups")
    by: str = Field(default="config", description="who answers for them")


class CharacteristicSettings(_Model):
    """[[characteristics]]: what is measured, where from, how it is charted, who answers for it."""

    id: _Id = Field(description="short and stable; stands in records")
    name: Name = Field(description="what people call it")
    unit: str = Field(description="unit of its values")
    decimals: int = Field(default=2, ge=0, le=9, description="decimals shown")
    station: str = Field(description="id of a station of [site]")
    part_no: str = Field(default="", description="part type, if the characteristic belongs to one")
    entry: Literal["signal", "manual"] = Field(default="signal", description="read from a source or typed at the kiosk")
    source: str | None = Field(default=None, description="name of a [sources.*] table")
    tag: str | None = Field(default=None, description="topic or register name there")
    chart: Literal["imr", "xbar_r"] = Field(default="imr", description="imr: single values; xbar_r: subgroups")
    n: int = Field(default=1, ge=1, le=25, description="subgroup size; 1 for imr")
    limits: BaselineLimits = Field(description="frozen limits")
    lsl: _Number | None = Field(default=None, description="lower specification limit")
    usl: _Number | None = Field(default=None, description="upper specification limit")
    rules: dict[str, Literal["ticket", "warning", "off"]] = Field(
        default_factory=dict,
        description="severity per rule; others: N1, W4 ticket; N3 warning; R-N1 (ranges) ticket, imr warning",
    )
    owner: str | None = Field(default=None, description="employee number of who answers for it")
    team: list[str] = Field(default_factory=list, description="employee numbers brought into the group")
    category: str = Field(default="other", description="category of its tickets")
    severity: Literal["stop", "quarantine", "watch"] = Field(default="watch", description="severity of its tickets")

    @model_validator(mode="after")
    def _fits(self) -> CharacteristicSettings:
        wrong = []
        if self.entry == "signal" and not (self.source and self.tag):
            wrong.append('source and tag are missing; give both, or entry = "manual"')
        if self.chart == "imr" and self.n != 1:
            wrong.append(f'n = {self.n} with chart = "imr"; take n = 1, or chart = "xbar_r"')
        if self.chart == "xbar_r" and self.n < 2:
            wrong.append(f'n = {self.n} with chart = "xbar_r"; a range needs at least 2 values')
        if self.lsl is not None and self.usl is not None and self.lsl >= self.usl:
            wrong.append(f"lsl = {self.lsl} is not below usl = {self.usl}")
        if wrong:
            raise ValueError("; ".join(wrong))
        return self


class DirectorySettings(_Model):
    """[directory]: people and departments, as CSV files that are read at every start."""

    people_file: Path | None = Field(
        default=None, description="CSV: id,name,leader,department,roles,email,mobile,open_id,user_id,active"
    )
    departments_file: Path | None = Field(default=None, description="CSV: id,head")

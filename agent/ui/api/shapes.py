"""What goes in and out of the API, by name: inputs are checked by these models, outputs are described by them."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    AwareDatetime,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Discriminator,
    Field,
    StringConstraints,
    Tag,
)  # fmt: skip
from pydantic_core import PydanticCustomError

from agent.records.tickets.rules.opening import TEXT_MAX
from agent.spc.charts.base import VALUE_MAX

Words = Annotated[str, StringConstraints(max_length=TEXT_MAX)]
Id = Annotated[str, StringConstraints(min_length=1, max_length=120)]
Sha = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]
Number = Annotated[float, Field(allow_inf_nan=False, gt=-VALUE_MAX, lt=VALUE_MAX)]
Text = str | dict[str, Any]
"""A person's own words, or {"key", "args"} of the texts."""


def _written(value: Any) -> Any:
    if not isinstance(value, str) or not re.match(r"\d{4}-", value):
        raise PydanticCustomError("time_form", "write a time as in 2026-11-24T09:20:00+08:00")
    return value


def _of_this_century(at: datetime) -> datetime:
    if at < _FIRST:
        raise PydanticCustomError("time_unset", "write a time after 2000; the clock of who says this was never set")
    return at


_FIRST = datetime(2000, 1, 1, tzinfo=UTC)
Seen = Annotated[AwareDatetime, BeforeValidator(_written), AfterValidator(_of_this_century)]
"""When something was seen; what lies before the first year of our calendar could be stored and never be read again."""


class _In(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class RaiseIn(_In):
    """A problem that somebody reports."""

    title: Annotated[str, StringConstraints(max_length=200)] = ""
    description: Words = ""
    category: Id
    severity: Literal["stop", "quarantine", "watch"]
    station: Id | None = None
    characteristic: Id | None = None
    photos: list[Sha] = Field(default=[], max_length=9)
    event_id: Id | None = None


class ActIn(_In):
    """A step; `cycle` is the round of the page that offered it."""

    event_id: Id | None = None
    cycle: int | None = Field(default=None, ge=0, le=1_000_000)


class TextIn(ActIn):
    """A step told in words."""

    text: Words


class AnalyseIn(ActIn):
    """Cause and countermeasure; who carries it out until when (YYYY-MM-DD)."""

    root_cause: Words
    countermeasure: Words
    owner: Id | None = None
    due: Annotated[str, StringConstraints(max_length=40)] | None = None


class VerifyIn(ActIn):
    """Whether the countermeasure works."""

    result: Literal["effective", "ineffective"]
    text: Words = ""


class CancelIn(ActIn):
    """Why there is nothing to do."""

    reason: Words


class ReassignIn(ActIn):
    """The new owner's employee number."""

    to: Id


class MeasureIn(_In):
    """Values measured by hand, in the characteristic's unit."""

    characteristic: Id
    values: list[Annotated[Number, Field(strict=True)]] = Field(min_length=1, max_length=25)
    stream: Annotated[str, StringConstraints(max_length=80)] = ""


class KeyIn(_In):
    """Where a problem is; what is left out is this site's and line's own."""

    site: Annotated[str, StringConstraints(max_length=80)] = ""
    line: Annotated[str, StringConstraints(max_length=80)] = ""
    station: Annotated[str, StringConstraints(max_length=80)] = ""
    part_no: Annotated[str, StringConstraints(max_length=80)] = ""
    characteristic: Annotated[str, StringConstraints(max_length=120)] = ""
    stream: Annotated[str, StringConstraints(max_length=80)] = ""


class ViolationIn(_In):
    """A violation that another SPC system found; `event_id` is its own: a repeat is recognised by it."""

    event_id: Id
    key: KeyIn = KeyIn()
    rule: Annotated[str, StringConstraints(min_length=1, max_length=40)]
    at: Seen | None = None
    value: Annotated[Number, Field(strict=True)] | None = None


class ViolationsIn(_In):
    """Up to 500 of them."""

    violations: list[ViolationIn] = Field(min_length=1, max_length=500)


def _one_or_list(data: Any) -> str:
    given = data if isinstance(data, dict) else vars(data) if isinstance(data, BaseModel) else {}
    return "<list>" if "violations" in given else "<one>"


HandIn = Annotated[
    Annotated[ViolationIn, Tag("<one>")] | Annotated[ViolationsIn, Tag("<list>")], Discriminator(_one_or_list)
]
"""A violation, or a list of them."""


class ErrorBody(BaseModel):
    """Why not, as a text key and in both languages."""

    key: str
    args: dict[str, Any]
    text: dict[str, str]


class ErrorOut(BaseModel):
    """Any refusal."""

    error: ErrorBody


class PersonOut(BaseModel):
    """A person by employee number."""

    id: str
    name: str


class DeadlineOut(BaseModel):
    """One of the four deadlines; `used` is the share of its time that is gone."""

    kind: Literal["R2", "C24", "A48", "V5"]
    name: Text
    mark: Literal["met", "late", "run", "near", "missed", "wait", "void"]
    due_at: AwareDatetime
    stopped_at: AwareDatetime | None
    used: float
    text: Text


class TicketOut(BaseModel):
    """A ticket."""

    no: str
    short: str
    title: Text
    description: str
    state: str
    cycle: int
    severity: str
    category: str
    station: str | None
    characteristic: str | None
    owner: PersonOut | None
    reporter: PersonOut | None
    raised_at: AwareDatetime
    occurrences: int
    last_at: AwareDatetime
    attention: Literal["none", "soon", "now"]
    lead: Text
    strip: list[DeadlineOut]
    actions: list[str]
    outbox: dict[Literal["waiting", "delivered", "dead"], int]


class TicketDetailOut(TicketOut):
    """A ticket with what happened to it."""

    history: list[dict[str, Any]]
    occurrence_list: list[dict[str, Any]]


class TicketsOut(BaseModel):
    """A page of tickets, newest first; `next` is the `after` of the next page."""

    tickets: list[TicketOut]
    next: str | None


class TileOut(BaseModel):
    """A characteristic as its tile shows it."""

    id: str
    name: dict[str, str]
    unit: str
    decimals: int
    station: str
    category: str
    stat: Literal["x", "mean"]
    chart: str
    n: int
    center: float
    lcl: float
    ucl: float
    lsl: float | None
    usl: float | None
    entry: Literal["signal", "manual"]
    value: float | None
    at: AwareDatetime | None
    quality: Literal["good", "uncertain", "bad", "stale"]
    age_s: float | None
    attention: Literal["none", "soon", "now"]
    points: list[dict[str, Any]]
    open: list[float]
    violation: dict[str, Any] | None


class SnapshotOut(BaseModel):
    """All that a kiosk shows."""

    version: str
    now: AwareDatetime
    tz: str
    site: str
    edge: str
    line: dict[str, Any]
    station: dict[str, Any]
    device: dict[str, str]
    stations: list[dict[str, Any]]
    categories: list[dict[str, Any]]
    tiles: list[TileOut]
    tickets: list[TicketOut]
    sources: dict[str, int]
    office: dict[str, Any]
    people: list[dict[str, Any]]
    respond_s: int | None
    """Within how many seconds a ticket raised now is to be answered."""


class MeasureOut(BaseModel):
    """The tile after the measurement, and the violations it made."""

    tile: TileOut
    violations: list[dict[str, Any]]
    ticket: str | None


class ResultOut(BaseModel):
    """What a violation did."""

    event_id: str
    ticket: str
    result: Literal["opened", "appended", "recurred", "reopened", "duplicate"]


class ResultsOut(BaseModel):
    """One result for each violation, in their order."""

    results: list[ResultOut]


class BlobOut(BaseModel):
    """A picture that is kept."""

    sha: str
    size: int


_WHY = {
    400: "the body is not strict JSON", 401: "no token, or revoked", 403: "not for this token or origin",
    404: "no such thing", 409: "the rules say no", 413: "too large", 415: "not JSON", 421: "wrong host",
    422: "not valid; sending it again will not help", 503: "not now; see Retry-After",
}  # fmt: skip


Responses = dict[int | str, dict[str, Any]]


def errors(*more: int) -> Responses:
    """What every route may answer beside its result, for OpenAPI."""
    return {status: {"model": ErrorOut, "description": _WHY[status]} for status in (401, 403, 421, 422, *more)}


WRITES = (400, 413, 415, 503)

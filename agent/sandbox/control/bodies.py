"""What the control API takes."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field


class Body(BaseModel):
    """A request body; unknown fields are errors, so that a typing mistake is seen."""

    model_config = ConfigDict(extra="forbid")


class PressBody(Body):
    person: str
    message_id: str
    name: str | None = None
    value: dict[str, Any] | None = None
    form_value: dict[str, Any] = {}
    option: str | None = None
    options: list[str] | None = None
    input_value: str | None = None
    checked: bool | None = None


class SayBody(Body):
    person: str
    chat_id: str | None = None
    text: str = ""
    mention_bot: bool = False
    parent_id: str | None = None
    image_base64: str | None = None


class ReadBody(Body):
    person: str
    message_id: str


class ByBody(Body):
    """Who does it."""

    person: str


class MaybeByBody(Body):
    person: str | None = None
    keep_history: bool = False


class ReactBody(ReadBody):
    emoji: str = Field(min_length=1, max_length=40)


class MenuBody(ByBody):
    event_key: str = Field(min_length=1, max_length=30)


class ChangeBody(Body):
    name: str | None = None
    email: str | None = None
    mobile: str | None = None
    department: str | None = None
    leader: str | None = None


class EventBody(Body):
    event_type: str
    event: dict[str, Any]
    double: bool = False


class OfficeBody(Body):
    up: bool
    mode: Literal["reset", "hang"] = "reset"


class ClockBody(Body):
    """Exactly one of the three."""

    forward_s: float | None = None
    until: datetime | None = None
    to: Literal["next"] | None = None


class NextBody(Body):
    at: datetime | None


class DropBody(Body):
    id: str | None = None

"""One call as a handler sees it, and what a handler may answer."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar
from urllib.parse import parse_qs

from agent.sandbox.rules.refusal import FeishuError, invalid
from agent.sandbox.world.people import Person
from agent.sandbox.world.world import SandboxWorld

T = TypeVar("T")
ID_TYPES = ("open_id", "user_id", "union_id")
UUID_MAX = 50


@dataclass(frozen=True, slots=True)
class Flat:
    """An answer without `data`, such as the token's."""

    body: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Blob:
    """A download."""

    data: bytes
    mime: str
    name: str


Answer = dict[str, Any] | Flat | Blob


@dataclass(slots=True)
class Req:
    """A call: path parameters, query, JSON body or multipart parts."""

    world: SandboxWorld
    params: Mapping[str, str]
    query: Mapping[str, list[str]]
    raw: bytes
    log_id: str
    content_type: str = ""
    host: str = ""
    body: dict[str, Any] = field(default_factory=dict)

    def q(self, name: str, default: str = "") -> str:
        """A query parameter, the first if repeated."""
        return self.query.get(name, [default])[0]

    def id_type(self, name: str = "user_id_type", more: Sequence[str] = ()) -> str:
        """The id type asked for; open_id by default. Raises 99992402 for another word."""
        value = self.q(name, "open_id")
        if value not in (*ID_TYPES, *more):
            raise invalid(name)
        return value

    def text(self, name: str) -> str:
        """A required string of the body."""
        value = self.body.get(name)
        if not isinstance(value, str) or not value:
            raise invalid(name)
        return value

    def strings(self, name: str, most: int) -> list[str]:
        """A list of strings of the body, [] if absent. Raises 99992402 when it is longer than `most`."""
        value = self.body.get(name) or []
        if not isinstance(value, list) or not all(isinstance(v, str) for v in value) or len(value) > most:
            raise invalid(name)
        return value

    def uuid(self) -> str | None:
        """The idempotency key, in the query (chats) or the body (messages). Raises 99992402 beyond 50 characters."""
        value = self.q("uuid") or self.body.get("uuid") or None
        if value is not None and (not isinstance(value, str) or len(value) > UUID_MAX):
            raise invalid("uuid")
        return value

    def number(self, name: str, default: int, most: int) -> int:
        """A whole number of the query, 1 to `most`."""
        try:
            value = int(self.q(name, str(default)))
        except ValueError as error:
            raise invalid(name) from error
        if not 1 <= value <= most:
            raise invalid(name)
        return value

    def page(self, items: Sequence[T], default: int, most: int) -> tuple[list[T], dict[str, Any]]:
        """One page of the items and {has_more, page_token}."""
        size = self.number("page_size", default, most)
        token = self.q("page_token")
        try:
            start = int(base64.urlsafe_b64decode(token)) if token else 0
        except ValueError as error:
            raise invalid("page_token") from error
        more = start + size < len(items)
        mark = {"page_token": base64.urlsafe_b64encode(str(start + size).encode()).decode()} if more else {}
        return list(items[start : start + size]), {"has_more": more, **mark}

    def people(self, values: Sequence[str], id_type: str) -> tuple[list[Person], list[str], list[str]]:
        """(people at work, ids of resigned people, ids that do not exist)."""
        found = {value: self.world.directory.find(id_type, value) for value in values}
        good = [p for p in found.values() if p is not None and not p.resigned]
        resigned = [value for value, p in found.items() if p is not None and p.resigned]
        return good, resigned, [value for value, p in found.items() if p is None]


def read_body(req: Req, method: str) -> None:
    """Fill `body` from JSON. Raises 9499 as the gateway does for what is not an object."""
    if not req.raw or method == "GET" or req.content_type.startswith("multipart/"):
        return
    try:
        body = json.loads(req.raw)
    except ValueError as error:
        raise FeishuError(9499, msg="Bad Request: invalid json") from error
    if not isinstance(body, dict):
        raise FeishuError(9499, msg="Bad Request: not an object")
    req.body = body


def read_query(raw: bytes) -> dict[str, list[str]]:
    return parse_qs(raw.decode("ascii", "replace"), keep_blank_values=True)


def multipart(req: Req) -> dict[str, bytes]:
    """The parts of an upload by name. Raises 234001 for anything else. (lark-oapi sends parts without file names.)"""
    kind, _, rest = req.content_type.partition("boundary=")
    if not kind.startswith("multipart/form-data") or not rest:
        raise FeishuError(234001)
    boundary = b"--" + rest.split(";")[0].strip().strip('"').encode()
    parts: dict[str, bytes] = {}
    for chunk in req.raw.split(boundary)[1:-1]:
        head, _, data = chunk.removeprefix(b"\r\n").partition(b"\r\n\r\n")
        _, _, name = head.partition(b'name="')
        parts[name.partition(b'"')[0].decode("utf-8", "replace")] = data.removesuffix(b"\r\n")
    return parts

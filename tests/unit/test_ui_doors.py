"""The pure parts of the HTTP side: strict JSON, hosts, sizes, roles, picture headers, identities."""

from __future__ import annotations

import asyncio
import json
from dataclasses import replace
from datetime import UTC
from typing import Any

import pytest
from fastapi import Request
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from agent.model import Actor
from agent.texts import render
from agent.ui.api import shapes
from agent.ui.api.answers import MAX_DEPTH, Problem, strict_json, unfit
from agent.ui.api.caller import Caller
from agent.ui.api.once import Ask, ask_of
from agent.ui.api.photos import dimensions
from agent.ui.api.roles import API, KINDS, KIOSK, MAY, may
from agent.ui.gate import BLOB_MAX, JSON_MAX, LIST_MAX, limit_of, name_of


def nested(levels: int) -> bytes:
    return b"[" * levels + b"]" * levels


def test_json_may_be_as_deep_as_the_limit_and_no_deeper() -> None:
    assert strict_json(nested(MAX_DEPTH)) is not None
    with pytest.raises(Problem, match=r"api\.json"):
        strict_json(nested(MAX_DEPTH + 1))
    with pytest.raises(Problem, match=r"api\.json"):
        strict_json(b'{"a":' * MAX_DEPTH + b"{}" + b"}" * MAX_DEPTH)


ONE = {"event_id": "m-1", "key": {"station": "OP40"}, "rule": "N1"}
"""A violation as another system hands it in."""


@pytest.mark.parametrize(
    ("model", "body", "zh", "en"),
    [
        (shapes.HandIn, {"event_id": "m-1"}, "「rule」：缺这一项。补上再发。",
         "“rule”: it is missing. Add it and send again."),
        (shapes.HandIn, {"violations": [ONE, ONE | {"rule": 7}]},
         "「violations[1].rule」：收到 7，要填文字。改好再发。",
         "“violations[1].rule”: got 7, it takes text. Correct it and send again."),
        (shapes.HandIn, ONE | {"key": {"statoin": "OP40"}}, "「key.statoin」：没有这一项。去掉再发。",
         "“key.statoin”: there is no such field. Leave it out and send again."),
        (shapes.HandIn, ONE | {"at": "2026-11-24T09:20:00"},
         "「at」：收到 \"2026-11-24T09:20:00\"，要填带时区的时间，如 2026-11-24T09:20:00+08:00。改好再发。", None),
        (shapes.HandIn, [1], "「内容」：收到 [1]，要填对象 { … }。改好再发。",
         "“the body”: got [1], it takes an object { … }. Correct it and send again."),
        (shapes.RaiseIn, {"category": "x", "severity": "bad"},
         "「severity」：收到 \"bad\"，只能填 stop、quarantine、watch。改好再发。",
         "“severity”: got \"bad\", it takes one of stop, quarantine, watch. Correct it and send again."),
        (shapes.RaiseIn, {"category": "x" * 200, "severity": "stop"}, None,
         f"“category”: got \"{'x' * 59}…, it takes at most 120 characters or items. Shorten it and send again."),
        (shapes.RaiseIn, {"category": "x", "severity": "stop", "photos": ["1"]}, None,
         "“photos[0]”: got \"1\", it takes the form ^[0-9a-f]{64}$. Correct it and send again."),
        (shapes.MeasureIn, {"characteristic": "a", "values": ["1"]},
         "「values[0]」：收到 \"1\"，要填数。改好再发。", None),
        (shapes.MeasureIn, {"characteristic": "a", "values": []}, None,
         "“values”: got [], it takes at least 1 characters or items. Add to it and send again."),
        (shapes.MeasureIn, {"characteristic": "a", "values": [1e300]},
         "「values[0]」：收到 1e+300，须小于 1e+150。改好再发。", None),
    ],
)  # fmt: skip
def test_a_refused_body_is_told_by_field_value_and_remedy(
    model: Any, body: Any, zh: str | None, en: str | None
) -> None:
    with pytest.raises(ValidationError) as caught:
        TypeAdapter(model).validate_python(body)
    (first, *_) = caught.value.errors()
    said = {"key": "api.invalid", "args": unfit({**first, "loc": ("body", *first["loc"])}, body)}
    for lang, expected in (("zh", zh), ("en", en)):
        assert expected in (None, render(said, lang, UTC))


def test_a_refused_query_is_told_by_its_name() -> None:
    error = {"type": "less_than_equal", "loc": ("query", "limit"), "input": "900", "ctx": {"le": 500}}
    said = render({"key": "api.invalid", "args": unfit(error, None)}, "en", UTC)
    assert said == '“limit”: got "900", it must be at most 500. Correct it and send again.'


JSONS = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0")),
    lambda inner: st.lists(inner, max_size=3)
    | st.dictionaries(st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0")), inner, max_size=3),
    max_leaves=10,
)  # fmt: skip


@given(JSONS)
def test_all_other_json_is_read_as_it_is(data: Any) -> None:
    assert strict_json(json.dumps(data).encode()) == data


@given(st.binary(max_size=200))
def test_any_bytes_are_json_or_a_refusal(raw: bytes) -> None:
    try:
        data = strict_json(raw)
    except Problem as problem:
        assert problem.status_code == 400
    else:
        assert data == json.loads(raw)


@pytest.mark.parametrize(
    ("host", "name"),
    [("kiosk", "kiosk"), ("kiosk:8443", "kiosk"), ("[::1]:8443", "::1"), ("[fe80::1]", "fe80::1"), ("", ""),
     ("a:b:c", "a"), ("[", "")],
)  # fmt: skip
def test_the_name_in_a_host_header(host: str, name: str) -> None:
    assert name_of(host) == name


def test_sizes_go_by_what_a_path_takes() -> None:
    assert limit_of("/api/v1/blobs/abc") == BLOB_MAX == 4 << 20
    assert limit_of("/api/v1/violations") == LIST_MAX
    assert limit_of("/api/v1/tickets") == limit_of("/") == limit_of("/api/v1/blobs") == JSON_MAX == 64 << 10


def test_a_machine_reports_and_only_a_kiosk_lets_people_act() -> None:
    assert {action for action in MAY if may(API, action)} == MAY.keys() - {"act"}
    assert {action for action in MAY if may(KIOSK, action)} == MAY.keys()
    assert not any(may("wall", action) for action in MAY)
    assert set().union(*MAY.values()) == KINDS


@given(st.binary(max_size=400))
def test_any_bytes_are_a_picture_or_none(data: bytes) -> None:
    for start in (b"", b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n", b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR", b"\xff\xd8\xff\xc0"):
        found = dimensions(start + data)
        assert found is None or min(found) > 0


def test_a_size_behind_other_segments_is_found() -> None:
    comment = b"\xff\xfe" + (50).to_bytes(2, "big") + b"\xff\xc0" * 24  # looks like a frame, is none
    frame = (
        b"\xff\xff\xff\xc0" + (17).to_bytes(2, "big") + b"\x08" + (480).to_bytes(2, "big") + (640).to_bytes(2, "big")
    )
    assert dimensions(b"\xff\xd8" + comment + frame + b"\3" * 9) == (640, 480)


CALLER = Caller("OP40-A", "kiosk", "OP40", "OP40", "hash", Actor(None, frozenset({"kiosk"}), "kiosk", "OP40-A"))


def asked(
    caller: Caller, key: str | None, event_id: str | None, path: str = "/api/v1/tickets", body: bytes = b"{}"
) -> Ask:
    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": body, "more_body": False}

    scope = {"type": "http", "method": "POST", "path": path, "headers": [], "query_string": b""}
    return asyncio.run(ask_of(Request(scope, receive), caller, key, event_id))


def test_a_request_is_known_by_its_key_then_by_its_event_then_not_at_all() -> None:
    by_key = asked(CALLER, "k", None)
    assert by_key == asked(CALLER, "k", None)
    assert asked(CALLER, "k", "e").identity == by_key.identity
    by_event = asked(CALLER, None, "e")
    assert (by_event.key, by_event.identity) == (None, asked(CALLER, None, "e").identity)
    assert by_event.identity != by_key.identity
    assert asked(CALLER, None, None).identity != asked(CALLER, None, None).identity


def test_two_devices_never_share_an_identity() -> None:
    other = replace(CALLER, id="OP40-B")
    for key, event_id in (("k", None), (None, "k")):
        assert asked(CALLER, key, event_id).identity != asked(other, key, event_id).identity
    assert asked(CALLER, "k", None).key != asked(other, "k", None).key


def test_other_content_has_another_fingerprint() -> None:
    first = asked(CALLER, "k", None).fingerprint
    assert asked(CALLER, "k", None, body=b'{"a":1}').fingerprint != first
    assert asked(CALLER, "k", None, path="/api/v1/measurements").fingerprint != first


def test_a_violation_and_a_list_of_them_are_told_apart() -> None:
    either = TypeAdapter(shapes.HandIn)
    one = {"event_id": "e", "rule": "N1"}
    assert isinstance(either.validate_python(one), shapes.ViolationIn)
    assert isinstance(either.validate_python({"violations": [one]}), shapes.ViolationsIn)

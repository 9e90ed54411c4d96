"""OPC UA without a network: what a value means, what the settings refuse, and that nothing can be written."""

from __future__ import annotations

import ast
import asyncio
import uuid
from datetime import UTC, datetime
from pathlib import Path

import pytest
from asyncua import ua
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from agent.clock import ManualClock
from agent.collectors import opcua
from agent.collectors.opcua import OpcuaCollector, OpcuaSettings, number_or_text, quality_of, source_time
from agent.collectors.opcua_link import Link
from agent.errors import BadSignal, ConfigError
from agent.model import Quality, SourceHealth

HERE = Path(opcua.__file__).parent
BASE = {"type": "opcua", "url": "opc.tcp://plc:4840", "nodes": [{"tag": "x", "node": "ns=2;s=x"}]}
SAFE = {"security_policy": "Basic256Sha256", "certificate_file": "/c", "key_file": "/k"}


def config(**over):
    return OpcuaSettings.model_validate(BASE | over)


def link(clock, **over):
    health = SourceHealth("plc", "opcua", 10)
    return Link("plc", config(**over), clock, health), health


@pytest.mark.parametrize(
    ("status", "quality"),
    [(0, "good"), (0x00A60000, "good"), (0x00000480, "good"), (0x40000000, "uncertain"), (0x40920000, "uncertain"),
     (0x80000000, "bad"), (0x808A0000, "bad"), (0xC0000000, "bad"), (0xFFFFFFFF, "bad")],
)  # fmt: skip
def test_the_severity_of_a_status_is_the_quality(status, quality):
    assert quality_of(status) == quality


@pytest.mark.parametrize(
    ("value", "index", "found"),
    [(True, None, (1.0, None)), (7, None, (7.0, None)), ("ok", None, (None, "ok")), ([1.5, 2.5], 1, (2.5, None)),
     ([[1, 2], [3, 4]], 0, "unreadable_type"), ([1], 1, "no_such_index"), (1, 0, "no_such_index"),
     ([1], None, "unreadable_type"), (None, None, "no_value"), (float("nan"), None, "not_finite"),
     (10**400, None, "not_finite"), (b"\x01", None, "unreadable_type"), ("\udcff", None, "not_utf8"),
     ("x" * 1001, None, "too_large"), (ua.LocalizedText("热"), None, (None, "热")),
     (ua.StatusCode(), None, (0.0, None)), (uuid.UUID(int=1), None, (None, str(uuid.UUID(int=1))))],
)  # fmt: skip
def test_values(value, index, found):
    if isinstance(found, tuple):
        assert number_or_text(value, index) == found
        return
    with pytest.raises(BadSignal) as bad:
        number_or_text(value, index)
    assert bad.value.kind == found


def test_times():
    assert source_time(None) is None
    assert source_time(datetime(1601, 1, 1, tzinfo=UTC)) is None, "how OPC UA says: none"
    assert source_time(datetime(2026, 1, 2)) == datetime(2026, 1, 2, tzinfo=UTC)
    for year in (1999, 2100, 9999):
        with pytest.raises(BadSignal):
            source_time(datetime(year, 6, 1, tzinfo=UTC))


any_value = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text(), st.binary(), st.datetimes(), st.uuids()),
    lambda inner: st.lists(inner, max_size=3),
    max_leaves=6,
)


@given(value=any_value, index=st.none() | st.integers(0, 3), status=st.integers(0, 2**32 - 1),
       at=st.none() | st.datetimes(timezones=st.just(UTC)))  # fmt: skip
def test_any_value_is_a_signal_and_never_a_number_that_is_bad(value, index, status, at):
    clock = ManualClock(datetime(2026, 11, 22, tzinfo=UTC))
    own, health = link(clock, nodes=[{"tag": "x", "node": "i=1", "index": index}])
    variant = ua.Variant(None)
    variant.Value = value
    signal = own._signal(0, ua.DataValue(variant, ua.StatusCode(status), SourceTimestamp=at), clock.now())
    assert (signal.value is None and signal.text is None) == (signal.quality is Quality.BAD)
    assert ("opcua_overflow" in health.errors) == (status & 0x480 == 0x480)


@pytest.mark.parametrize(
    "bad",
    [
        {"url": "http://plc:4840"}, {"url": "opc.tcp://plc"}, {"url": "opc.tcp://u:p@plc:4840"}, {"url": "opc.tcp://x:y"},
        {"security_policy": "Basic256"}, SAFE, {"security_policy": "Basic256Sha256"}, {"username": "u"},
        {"password_file": "/p"}, {"user_certificate_file": "/u"}, {"nodes": []}, {"write": 1},
        {"username": "u", "password_file": "/p", "user_certificate_file": "/u", "user_key_file": "/k"},
        *({"nodes": [{"tag": "x", "node": node}]} for node in
          ("", "x", "ns=2", "ns=70000;i=1", "i=-1", "i=4294967296", "i=x", "g=7", "b=*", "svr=1;i=1", "nsu=;i=1")),
        {"nodes": [{"tag": "x", "node": "i=1"}, {"tag": "x", "node": "i=2"}]},
    ],
)  # fmt: skip
def test_settings_that_are_refused(bad):
    with pytest.raises(ValidationError):
        config(**bad)


@pytest.mark.parametrize(
    "node", ["i=2258", "ns=2;s=a;b=c", "nsu=http://m/x;s=焊", f"ns=1;g={uuid.UUID(int=5)}", "ns=1;b=AQI=", "s=x"]
)
def test_node_ids_that_are_taken(node):
    assert config(nodes=[{"tag": "x", "node": node}], **SAFE, trust_dir="/t").nodes[0].node == node


def test_without_the_library_the_error_names_the_extra(monkeypatch, clock):
    def missing(name):
        raise ModuleNotFoundError("No module named 'asyncua'", name="asyncua")

    monkeypatch.setattr(opcua, "import_module", missing)
    health = SourceHealth("plc", "opcua", 10)
    with pytest.raises(ConfigError, match=r"andon-gateway\[opcua\]"):
        asyncio.run(OpcuaCollector("plc", config(), clock, health).run(lambda signals: None))
    assert health.errors == {"library_missing": 1}


@pytest.mark.parametrize("path", sorted(HERE.glob("opcua*.py")), ids=lambda p: p.name)
def test_nothing_is_written_and_no_method_called(path):
    names = set()
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        names |= {node.attr} if isinstance(node, ast.Attribute) else {node.id} if isinstance(node, ast.Name) else set()
    banned = {n for n in names if "write" in n.lower() or n in ("call", "call_method", "CallRequest", "add_nodes")}
    assert banned == set()

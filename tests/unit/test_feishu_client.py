"""One call: token, short repeats, pauses, answers that are none."""

from __future__ import annotations

import json
import logging

import pytest
from test_feishu_fake import SECRET, START, Far, Waits, reply

from agent.clock import ManualClock
from agent.errors import Rejected, Unreachable
from agent.sinks.feishu.client import Answer, FeishuClient, NetworkDown
from agent.sinks.feishu.retry import STOPPED_S, FarSays, Kind, Unknown

GET = ("im.chat.get", "GET", "/open-apis/im/v1/chats/:chat_id")


class Bench:
    def __init__(self) -> None:
        self.clock, self.waits = ManualClock(START), Waits()
        self.far = Far(self.clock)
        self.far.chats["oc_1"] = {"owner_id": "ou_7", "chat_status": "normal", "members": []}
        self.client = FeishuClient(self.far, "cli_a1", SECRET, self.clock, self.waits)

    def get(self) -> dict[str, object]:
        return self.client.call(*GET, paths={"chat_id": "oc_1"})

    def plan(self, *answers: object, api: str = "im.chat.get") -> None:
        self.far.script[api].extend(answers)

    def tries(self, api: str = "im.chat.get") -> int:
        return len(self.far.named(api))


@pytest.fixture
def bench() -> Bench:
    return Bench()


def test_one_token_serves_until_ten_minutes_before_its_end(bench: Bench) -> None:
    assert [bench.get() for _ in range(3)] == [{"owner_id": "ou_7"}] * 3
    assert bench.tries("auth.token") == 1
    bench.clock.advance(7200 - 600 - 1)
    bench.get()
    assert bench.tries("auth.token") == 1
    bench.clock.advance(2)
    bench.get()
    assert bench.tries("auth.token") == 2


def test_a_short_lived_token_is_still_kept(bench: Bench) -> None:
    body = {"code": 0, "msg": "ok", "tenant_access_token": "t-short", "expire": 300}
    bench.plan(Answer(200, {}, json.dumps(body).encode()), api="auth.token")
    bench.get()
    bench.get()
    assert bench.tries("auth.token") == 1


def test_two_clients_share_no_token(bench: Bench) -> None:
    other = FeishuClient(bench.far, "cli_a1", SECRET, bench.clock, bench.waits)
    bench.get()
    other.call(*GET, paths={"chat_id": "oc_1"})
    assert bench.tries("auth.token") == 2


@pytest.mark.parametrize("status", [200, 400, 401])
def test_a_revoked_token_is_replaced_and_the_call_repeated_once(bench: Bench, status: int) -> None:
    bench.get()
    bench.plan(reply(99991663, status=status))
    assert bench.get() == {"owner_id": "ou_7"}
    assert bench.far.tokens[-1] != bench.far.tokens[1] and bench.tries("auth.token") == 2
    assert bench.waits.asked == []


def test_a_token_refused_twice_backs_off(bench: Bench) -> None:
    bench.plan(reply(99991663), reply(99991663), reply(99991663))
    with pytest.raises(Unreachable) as error:
        bench.get()
    assert error.value.retry_after is None and bench.tries() == 2


def test_a_rate_limit_pauses_this_api_only(bench: Bench) -> None:
    limited = reply(99991400, status=429, **{"X_Ogw_RateLimit_Reset": "7"})
    bench.plan(limited)
    with pytest.raises(Unreachable) as error:
        bench.get()
    assert 7 < (error.value.retry_after or 0) < 8
    bench.clock.advance(3)
    with pytest.raises(Unreachable) as error:
        bench.get()
    assert 4 < (error.value.retry_after or 0) < 5 and bench.tries() == 1, "nothing is sent during the pause"
    assert bench.client.call("im.chat.members.get", "GET", "/x", paths={"chat_id": "oc_1"})["items"] == []
    bench.clock.advance(5)
    assert bench.get() == {"owner_id": "ou_7"}


@pytest.mark.parametrize("reset", ["", "soon", "nan", "-3", None])
def test_an_unreadable_reset_still_pauses(bench: Bench, reset: str | None) -> None:
    bench.plan(reply(99991400, status=400, **({} if reset is None else {"x-ogw-ratelimit-reset": reset})))
    with pytest.raises(Unreachable) as error:
        bench.get()
    assert 0.5 <= (error.value.retry_after or 0) < 10


def test_busy_is_repeated_with_the_same_request(bench: Bench) -> None:
    bench.plan(reply(230049), reply(232019))
    assert bench.get() == {"owner_id": "ou_7"}
    assert len(bench.waits.asked) == 2 and all(1 <= wait <= 3 for wait in bench.waits.asked)
    assert bench.tries() == 3 and len(set(map(repr, bench.far.named("im.chat.get")))) == 1


def test_busy_for_long_is_left_to_the_outbox(bench: Bench) -> None:
    bench.plan(*[reply(230020)] * 9)
    with pytest.raises(Unreachable) as error:
        bench.get()
    assert 1 <= (error.value.retry_after or 0) <= 5 and bench.tries() == 4 and sum(bench.waits.asked) <= 9


def test_a_dropped_connection_is_tried_once_more(bench: Bench) -> None:
    bench.plan(NetworkDown("reset", dropped=True))
    assert bench.get() == {"owner_id": "ou_7"}
    bench.plan(*[NetworkDown("reset", dropped=True)] * 5)
    with pytest.raises(Unknown):
        bench.get()
    assert bench.tries() == 4 and bench.waits.asked == [0.2, 0.2]


def test_a_time_out_is_not_repeated_here(bench: Bench) -> None:
    bench.plan(NetworkDown("no answer in time", dropped=False))
    with pytest.raises(Unknown, match="no answer in time"):
        bench.get()
    assert bench.tries() == 1


@pytest.mark.parametrize(
    "content", [b"<html>502 Bad Gateway</html>", b'{"code":0,"data":{"ow', b"", b"[1,2]", b'{"code":"0"}', b"null",
                b"\xff\xfe", b'{"message":"hi"}'],
)  # fmt: skip
@pytest.mark.parametrize("status", [200, 502])
def test_what_is_no_answer_leaves_the_outcome_open(bench: Bench, content: bytes, status: int) -> None:
    bench.plan(Answer(status, {"Content-Type": "application/json"}, content))
    with pytest.raises(Unknown):
        bench.get()
    assert bench.tries() == 1


def test_an_endpoint_that_hands_out_no_token_is_unreachable(bench: Bench) -> None:
    bench.plan(Answer(200, {}, b'{"code":0,"msg":"ok"}'), api="auth.token")
    with pytest.raises(Unknown):
        bench.get()


def test_wrong_credentials_stop_everything_for_minutes(bench: Bench, caplog: pytest.LogCaptureFixture) -> None:
    bench.plan(reply(10014, msg="app secret invalid"), api="auth.token")
    with caplog.at_level(logging.DEBUG), pytest.raises(Unreachable) as error:
        bench.get()
    assert error.value.retry_after == STOPPED_S and "10014" in bench.client.trouble
    with pytest.raises(Unreachable):
        bench.client.call("im.message.list", "GET", "/x")
    assert bench.tries("auth.token") == 1 and bench.tries() == 0
    assert SECRET not in caplog.text + str(error.value)
    bench.clock.advance(STOPPED_S)
    assert bench.get() == {"owner_id": "ou_7"} and bench.client.trouble == ""


def test_trouble_that_nobody_has_asked_about_for_long_is_not_known(bench: Bench) -> None:
    bench.plan(reply(99991403, status=429))
    with pytest.raises(Unreachable):
        bench.get()
    bench.clock.advance(STOPPED_S + 60)
    assert "99991403" in bench.client.trouble, "the next attempt is still to come"
    bench.clock.advance(STOPPED_S)
    assert bench.client.trouble == ""


def test_a_refusal_names_code_words_and_log_id_but_no_address(bench: Bench) -> None:
    words = "Access denied. One of the following scopes is required: [im:chat]. https://open.feishu.cn/app/cli_a1/auth"
    bench.plan(reply(99991672, msg=words, **{"x_TT_logid": "20261122ABC"}))
    with pytest.raises(Rejected) as error:
        bench.get()
    assert isinstance(error.value, FarSays) and error.value.kind is Kind.RIGHTS
    for part in ("im.chat.get", "99991672", "[im:chat]", "20261122ABC"):
        assert part in str(error.value)
    assert "https" not in str(error.value)


def test_pages_are_followed_to_the_end_and_no_further(bench: Bench) -> None:
    for n in range(5):
        bench.far.chats[f"oc_{n}"] = {"chat_id": f"oc_{n}"}
    assert [c["chat_id"] for c in bench.client.pages("im.chat.list", "/x", [])] == [f"oc_{n}" for n in (1, 0, 2, 3, 4)]
    same = reply(data={"items": [{"a": 1}], "has_more": True, "page_token": "again"})
    bench.plan(*[same] * 9, api="im.chat.list")
    assert len(list(bench.client.pages("im.chat.list", "/x", []))) == 2, "a token that repeats ends the list"


def test_stopping_ends_waits_and_calls(bench: Bench) -> None:
    bench.plan(reply(230049))
    bench.waits.set()
    with pytest.raises(Unreachable, match="stopping"):
        bench.get()

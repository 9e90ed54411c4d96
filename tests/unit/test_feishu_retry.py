"""Feishu's retry table (agent/sinks/feishu/retry.py), line by line: code (and status) → what the outbox is told."""

from __future__ import annotations

import pytest

from agent.errors import Rejected, Unreachable
from agent.sinks.feishu.retry import STOPPED_S, Busy, FarSays, Kind, Unknown, classify, clean, failure

BUSY = [230020, 232019, 11232, 1000004, 1000005, 230049, 232068, 1470422, 1254290, 1254291, 1254607, 1255040, 1254608,
        1254036, 1254002, 1254040, 1254041, 1254042, 1254043, 1254044]  # fmt: skip
TOKEN = [99991663, 99991661, 99991671, 99991664, 99991665, 99991668, 99991677]
UNKNOWN = [2200, 5000, 1500, 1255001, 1255002, 1255003, 1255004, 1255005, 1470500, 232096]
WRONG = [99992402, 9499, 230001, 232001, 230025, 230099, 1254015, 1254045, 1254060, 1254074, 1254104, 1254037]
CONTENT = [230022, 230028, 232023]
RIGHTS = [230002, 232011, 230035, 230018, 230027, 232017, 232002, 232016, 99991672, 99991676, 1254302, 1254304, 41050,
          40004]  # fmt: skip
PERSON = [230013, 230029, 230053, 232022, 230034, 232030, 232043, 99992351, 99992360, 99992361, 99992364, 41012]
GONE = [232009, 230011, 230110]
STOPPED = [99991403, 99991401, 10003, 10014, 10015, 232034, 230006, 232025]


@pytest.mark.parametrize("status", [200, 400, 403, 429, 500])
@pytest.mark.parametrize("code", BUSY)
def test_busy_is_repeated_soon(code: int, status: int) -> None:
    error = failure(classify(code, status), code, "x")
    assert isinstance(error, Busy) and error.retry_after is not None and 1 <= error.retry_after <= 5


@pytest.mark.parametrize("code", UNKNOWN)
def test_unknown_outcomes_are_repeated_with_the_usual_backoff(code: int) -> None:
    error = failure(classify(code, 400), code, "x")
    assert isinstance(error, Unknown) and error.retry_after is None


@pytest.mark.parametrize("code", TOKEN)
@pytest.mark.parametrize("status", [200, 400, 401])
def test_token_codes_count_by_code_alone(code: int, status: int) -> None:
    assert classify(code, status) is Kind.TOKEN


@pytest.mark.parametrize(
    ("codes", "kind"),
    [(WRONG, Kind.WRONG), (CONTENT, Kind.CONTENT), (RIGHTS, Kind.RIGHTS), (PERSON, Kind.PERSON), (GONE, Kind.GONE),
     ([230031, 230033], Kind.TOO_OLD), ([230023, 230024, 230052, 230098], Kind.URGENT), ([1255006], Kind.CONFLICT)],
)  # fmt: skip
def test_refusals_are_dead_unless_somebody_knows_a_way_out(codes: list[int], kind: Kind) -> None:
    for code in codes:
        error = failure(classify(code, 200 if code > 1254000 else 400), code, "why")
        assert isinstance(error, Rejected) and isinstance(error, FarSays)
        assert (error.kind, error.code, error.reason) == (kind, code, "why")


@pytest.mark.parametrize("code", STOPPED)
def test_a_refused_app_is_tried_every_few_minutes(code: int) -> None:
    error = failure(classify(code, 400), code, "x")
    assert isinstance(error, Unreachable) and error.retry_after == STOPPED_S


@pytest.mark.parametrize(
    ("code", "status", "kind"),
    [(0, 200, Kind.OK), (99991400, 400, Kind.LIMIT), (99991400, 429, Kind.LIMIT), (None, 429, Kind.LIMIT),
     (None, 502, Kind.UNKNOWN), (None, 200, Kind.UNKNOWN), (None, 404, Kind.UNKNOWN), (0, 500, Kind.UNKNOWN),
     (777, 500, Kind.UNKNOWN), (777, 504, Kind.UNKNOWN), (777, 400, Kind.WRONG), (777, 200, Kind.WRONG),
     (777, 429, Kind.LIMIT)],
)  # fmt: skip
def test_without_a_listed_code_the_status_decides(code: int | None, status: int, kind: Kind) -> None:
    assert classify(code, status) is kind


def test_a_card_refusal_is_read_more_closely() -> None:
    locked = "Failed to create card content, ext=ErrCode: 11310; ErrMsg: card action is lock; code:230099"
    nobody = "Failed to create card content, ext=ErrCode: 100290; ErrMsg: There is an invalid user resource"
    assert classify(230099, 400, locked) is Kind.BUSY
    assert classify(230099, 400, nobody) is Kind.PERSON
    assert classify(230099, 400, "ext=ErrCode: 11310; ErrMsg: element exceeds the limit") is Kind.WRONG


def test_limits_wait_as_long_as_told() -> None:
    error = failure(Kind.LIMIT, 99991400, "x", 7.5)
    assert isinstance(error, Unreachable) and not isinstance(error, Busy) and error.retry_after == 7.5


@pytest.mark.parametrize(
    "secret", ["https://open.feishu.cn/x?q=1", "wss://msg-frontier.feishu.cn/ws/v2?ticket=abc", "t-g1044ghJRUIJJ5UQ2Z",
               "Bearer abcdef", "app_secret=abc"],
)  # fmt: skip
def test_words_of_the_far_side_lose_addresses_and_tokens(secret: str) -> None:
    told = clean(f"Access denied,\nsee {secret} please, one of [im:chat, im:message] is required. " + "x" * 500)
    assert secret not in told and "im:message" in told and "\n" not in told and len(told) <= 240

"""[deadlines]: defaults are the customer's 2485; what does not work is refused with the reason."""

import pytest
from pydantic import ValidationError

from agent.deadlines.policy import Policy
from agent.deadlines.settings import DeadlineSettings

DUTY = {"escalation": {"fallback": ["u_duty"]}}


def test_the_defaults_are_the_policy():
    assert DeadlineSettings.model_validate(DUTY).policy() == Policy()
    assert DeadlineSettings.model_validate(DUTY).warnings() == []


def test_every_setting_reaches_the_policy():
    policy = DeadlineSettings.model_validate(
        {
            "clocks": {"R2": {"amount": "30min"}, "V5": {"amount": "7d"}},
            "remind_at": 0.5,
            "escalation": {"enabled": False},
            "noise": {"linger_h": 1},
            "dedup": {"reopen_window_h": 2, "recurrence_link_days": 3, "min_card_update_interval_s": 10},
            "verification": {"four_eyes": False},
        }
    ).policy()
    assert [t.amount_s for t in policy.terms] == [1800, 86400, 172800, 604800]
    assert (policy.remind_at, policy.escalate, policy.four_eyes) == (0.5, False, False)
    assert (policy.linger_s, policy.reopen_s, policy.recurrence_s, policy.card_interval_s) == (3600, 7200, 259200, 10)


@pytest.mark.parametrize("escalation", [{}, {"fallback": []}, {"fallback": [" "]}])
def test_nobody_to_tell_is_no_configuration(escalation):
    with pytest.raises(ValueError, match="fallback"):
        DeadlineSettings.model_validate({"escalation": escalation})


@pytest.mark.parametrize(
    ("clock", "hint"),
    [
        ({"amount": "2h", "basis": "working_hours"}, 'only "wall"'),
        ({"amount": "2h", "start": "previous_step"}, 'only "raised"'),
        ({"amount": "2 weeks"}, "write a duration"),
        ({"amount": 2}, "write a duration"),
        ({"amount": "2h", "pause": True}, "Extra inputs"),
    ],
)
def test_what_does_not_work_is_refused_with_the_reason(clock, hint):
    with pytest.raises(ValidationError, match=hint):
        DeadlineSettings.model_validate(DUTY | {"clocks": {"R2": clock}})


def test_deadlines_out_of_order_are_warned_about():
    settings = DeadlineSettings.model_validate(DUTY | {"clocks": {"A48": {"amount": "12h"}}})
    (warning,) = settings.warnings()
    assert "A48" in warning and "C24" in warning

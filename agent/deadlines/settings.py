"""[deadlines]: the settings behind a Policy. What does not work yet is refused here, with the reason."""

from __future__ import annotations

from itertools import pairwise
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationInfo, field_validator

from agent.deadlines.escalation import NOBODY
from agent.deadlines.policy import DAY, HOUR, Policy, Term, parse_amount

STRICT = ConfigDict(extra="forbid", frozen=True)


def _amount(value: Any) -> Any:
    if isinstance(value, str):
        parse_amount(value)
        return value.strip()
    raise ValueError('write a duration as text, such as "2h"')


def _basis(value: Any) -> Any:
    if value != "wall":
        raise ValueError('only "wall" (elapsed time, around the clock) works in this version')
    return value


def _start(value: Any) -> Any:
    if value != "raised":
        raise ValueError('only "raised" (all deadlines from the raise) works in this version')
    return value


class ClockSettings(BaseModel):
    """One deadline."""

    model_config = STRICT

    amount: Annotated[str, BeforeValidator(_amount)] = Field(description='how long, such as "2h" or "5d"')
    basis: Annotated[Literal["wall"], BeforeValidator(_basis)] = Field(default="wall", description="what counts")
    start: Annotated[Literal["raised"], BeforeValidator(_start)] = Field(default="raised", description="from when")


class ClocksSettings(BaseModel):
    """[deadlines.clocks]: R2 first response, C24 containment, A48 cause and countermeasure, V5 verified."""

    model_config = STRICT

    R2: ClockSettings = ClockSettings(amount="2h")
    C24: ClockSettings = ClockSettings(amount="24h")
    A48: ClockSettings = ClockSettings(amount="48h")
    V5: ClockSettings = ClockSettings(amount="120h")

    def terms(self) -> tuple[Term, ...]:
        clocks = {kind: getattr(self, kind) for kind in type(self).model_fields}
        return tuple(Term(kind, parse_amount(c.amount), c.basis) for kind, c in clocks.items())


class EscalationSettings(BaseModel):
    """[deadlines.escalation]: a missed deadline goes to the owner's superior, once."""

    model_config = STRICT

    enabled: bool = True
    fallback: tuple[str, ...] = Field(
        default=(), validate_default=True, description="employee numbers told when no superior can be found"
    )

    @field_validator("fallback")
    @classmethod
    def _somebody_to_tell(cls, fallback: tuple[str, ...], info: ValidationInfo) -> tuple[str, ...]:
        """The agent must not start when a breach could reach nobody."""
        if info.data.get("enabled") and not any(person.strip() for person in fallback):
            raise ValueError(NOBODY)
        return fallback


class NoiseSettings(BaseModel):
    """[deadlines.noise]: when people leave the group of a solved problem."""

    model_config = STRICT

    linger_h: float = Field(default=24, ge=0, le=24 * 30, description="hours from solved to leaving the group")


class DedupSettings(BaseModel):
    """[deadlines.dedup]: what a repeat does."""

    model_config = STRICT

    reopen_window_h: float = Field(default=24, ge=0, le=24 * 30, description="hours after closing in which it reopens")
    recurrence_link_days: float = Field(default=30, ge=0, le=3650, description="days in which a new one is linked")
    min_card_update_interval_s: int = Field(default=30, ge=0, le=3600, description="seconds between counter updates")


class VerificationSettings(BaseModel):
    """[deadlines.verification]"""

    model_config = STRICT

    four_eyes: bool = Field(default=True, description="someone else than the implementer must verify")


class DeadlineSettings(BaseModel):
    """[deadlines]: the 2485, reminders, escalation, and what follows when a problem is solved."""

    model_config = STRICT

    clocks: ClocksSettings = ClocksSettings()
    remind_at: float = Field(default=0.75, gt=0, lt=1, description="share used up when the owner is reminded")
    escalation: EscalationSettings = Field(default_factory=dict, validate_default=True)
    noise: NoiseSettings = NoiseSettings()
    dedup: DedupSettings = DedupSettings()
    verification: VerificationSettings = VerificationSettings()

    def policy(self) -> Policy:
        """What is frozen in each record."""
        return Policy(
            terms=self.clocks.terms(),
            remind_at=self.remind_at,
            escalate=self.escalation.enabled,
            four_eyes=self.verification.four_eyes,
            linger_s=round(self.noise.linger_h * HOUR),
            reopen_s=round(self.dedup.reopen_window_h * HOUR),
            recurrence_s=round(self.dedup.recurrence_link_days * DAY),
            card_interval_s=self.dedup.min_card_update_interval_s,
        )

    def warnings(self) -> list[str]:
        """What is allowed but surely not meant: deadlines that fall due out of order."""
        terms = self.clocks.terms()
        return [
            f"deadlines.clocks.{late.kind} ({late.amount_s} s) falls due before {early.kind} ({early.amount_s} s)"
            for early, late in pairwise(terms)
            if late.amount_s < early.amount_s
        ]

"""Fixtures that any test may use. A part's own fixtures stand beside its tests."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from agent.clock import ManualClock


@pytest.fixture
def clock() -> ManualClock:
    """A clock that stands still: a Sunday at 10:00 in Shanghai."""
    return ManualClock(datetime(2026, 11, 22, 2, 0, tzinfo=UTC))

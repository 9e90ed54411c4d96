"""Charts: one file each, one line in CHARTS. An entry is "module:attr", loaded when a characteristic asks for it."""

from __future__ import annotations

from importlib import import_module
from typing import cast

from agent.spc.charts.base import Chart

CHARTS: dict[str, str] = {
    "imr": "agent.spc.charts.imr:Imr",
    "xbar_r": "agent.spc.charts.xbar_r:XbarR",
}


def load_chart(name: str) -> type[Chart]:
    """The chart class of this name. Raises ValueError for a name that is no chart."""
    if name not in CHARTS:
        raise ValueError(f"chart = {name!r}: one of {', '.join(CHARTS)}")
    module, _, attr = CHARTS[name].partition(":")
    return cast(type[Chart], getattr(import_module(module), attr))

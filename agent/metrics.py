"""Counters and gauges of this process, in Prometheus text form. Plain dicts."""

from __future__ import annotations

from collections.abc import Mapping

_Labels = tuple[tuple[str, str], ...]


class Metrics:
    """A registry: `inc` for counters, `put` for gauges; `declare` gives a name its kind and help text."""

    def __init__(self) -> None:
        self._help: dict[str, tuple[str, str]] = {}
        self._values: dict[str, dict[_Labels, float]] = {}

    def declare(self, name: str, kind: str, text: str) -> None:
        """Name a metric. `kind` is "counter" or "gauge"; a counter's name ends in `_total`."""
        self._help[name] = (kind, text)
        self._values.setdefault(name, {})

    def inc(self, name: str, by: float = 1, **labels: str) -> None:
        """Add to a counter."""
        series = self._values.setdefault(name, {})
        key = tuple(sorted(labels.items()))
        series[key] = series.get(key, 0) + by

    def put(self, name: str, value: float, **labels: str) -> None:
        """Set a gauge."""
        self._values.setdefault(name, {})[tuple(sorted(labels.items()))] = value

    def get(self, name: str, **labels: str) -> float:
        """The present value, 0 if never set."""
        return self._values.get(name, {}).get(tuple(sorted(labels.items())), 0)

    def render(self, extra: Mapping[str, float] | None = None) -> str:
        """The exposition text (Prometheus text format 0.0.4)."""
        lines: list[str] = []
        for name, series in sorted(self._values.items()):
            kind, text = self._help.get(name, ("untyped", ""))
            lines += [f"# HELP {name} {text}", f"# TYPE {name} {kind}"]
            lines += [
                f"{name}{_labels(key)} {value:g}" if value % 1 else f"{name}{_labels(key)} {int(value)}"
                for key, value in sorted(series.items())
            ]
        lines += [f"{name} {value:g}" for name, value in sorted((extra or {}).items())]
        return "\n".join(lines) + "\n"


def _labels(key: _Labels) -> str:
    if not key:
        return ""
    inner = ",".join(f'{k}="{_escape(v)}"' for k, v in key)
    return "{" + inner + "}"


def _escape(value: str) -> str:
    return value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")

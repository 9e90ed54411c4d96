"""Texts for people: one file per language (zh.json, en.json), flat keys, `{name}` placeholders; the page uses them too.

Everything stored or sent holds a key and parameters (`model.Text`); only here a sentence comes into being.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import datetime, timedelta, tzinfo
from functools import cache
from importlib.resources import files
from typing import Any

LANGUAGES = ("zh", "en")


@cache
def table(lang: str) -> Mapping[str, str]:
    """All texts of a language. Raises KeyError for an unknown language."""
    if lang not in LANGUAGES:
        raise KeyError(f"lang = {lang!r}: one of {', '.join(LANGUAGES)}")
    data: dict[str, str] = json.loads(files(__name__).joinpath(f"{lang}.json").read_text("utf-8"))
    return data


def render(value: Any, lang: str, tz: tzinfo, now: datetime | None = None) -> str:
    """A Text (or one of its args) in words.

    `value`: str, number, {"key", "args"}, {"zh", "en"}, {"at": ISO time}, {"seconds": s}, {"num": x, "digits": n},
    a list of these, or None (—).
    Times are told in `tz`: today without a date, else month-day (look/README 6). An unknown key is shown as itself.
    """
    if value is None:
        return "—"
    if isinstance(value, str):
        return value
    if isinstance(value, (int, float)):
        return f"{value:g}".replace("-", "−")
    if isinstance(value, (list, tuple)):
        return ("、" if lang == "zh" else ", ").join(render(v, lang, tz, now) for v in value)
    if "at" in value:
        return moment(datetime.fromisoformat(value["at"]), lang, tz, now)
    if "seconds" in value:
        return duration(float(value["seconds"]), lang)
    if lang in value:  # a name from the settings, in both languages
        return str(value[lang])
    if "num" in value:
        return "—" if value["num"] is None else f"{value['num']:.{int(value.get('digits', 2))}f}".replace("-", "−")
    template = str(table(lang).get(value["key"], value["key"]))
    args = {name: render(arg, lang, tz, now) for name, arg in value.get("args", {}).items()}
    return template.format_map(_Gaps(args))


class _Gaps(dict[str, str]):
    """A missing parameter shows as —, never as an error in the middle of a message."""

    def __missing__(self, key: str) -> str:
        return "—"


def moment(at: datetime, lang: str, tz: tzinfo, now: datetime | None = None) -> str:
    """10:42 today, otherwise 11-18 10:42."""
    local = at.astimezone(tz)
    if now is not None and local.date() == now.astimezone(tz).date():
        return f"{local:%H:%M}"
    return f"{local:%m-%d %H:%M}"


def duration(seconds: float, lang: str) -> str:
    """At most two units: 1 小时 37 分 / 1 h 37 min."""
    span = timedelta(seconds=round(abs(seconds)))
    hours, minutes = span.seconds // 3600, span.seconds % 3600 // 60
    day, hour, minute, second = (" 天", " 小时", " 分", " 秒") if lang == "zh" else (" d", " h", " min", " s")
    if span.days:
        return f"{span.days}{day}" + (f" {hours}{hour}" if hours else "")
    if hours:
        return f"{hours}{hour}" + (f" {minutes}{minute}" if minutes else "")
    return f"{minutes}{minute}" if minutes else f"{span.seconds}{second}"

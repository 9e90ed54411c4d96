"""Which token may call what: one table, kind of device × action. What a person may do is for the records to say."""

from __future__ import annotations

from collections.abc import Mapping

KIOSK, API = "kiosk", "api"
KINDS = frozenset({KIOSK, API})

MAY: Mapping[str, frozenset[str]] = {
    "look": KINDS,
    "raise": KINDS,
    "measure": KINDS,
    "hand_in": KINDS,
    "photo": KINDS,
    "act": frozenset({KIOSK}),
}
"""`hand_in` is a violation that another SPC system found. A machine may report; a person must act."""


def may(kind: str, action: str) -> bool:
    """True if a device of this kind may. An unknown kind may nothing. Raises KeyError for an unknown action."""
    return kind in MAY[action]

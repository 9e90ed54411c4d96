"""Values gathered into subgroups. Here a subgroup closes by count; who closes it earlier calls `close()`."""

from __future__ import annotations

from collections.abc import Iterable


class Subgroups:
    """The unfinished subgroup of one stream. Raises ValueError unless size >= 1."""

    __slots__ = ("_open", "size")

    def __init__(self, size: int) -> None:
        if size < 1:
            raise ValueError(f"size = {size!r}: at least 1 value")
        self.size = size
        self._open: tuple[float, ...] = ()

    @property
    def open(self) -> tuple[float, ...]:
        """The values of the unfinished subgroup, oldest first. Also the snapshot: `restore(open)` goes back to it."""
        return self._open

    def push(self, value: float) -> tuple[float, ...] | None:
        """Take a value; the subgroup, if this value completed it."""
        self._open += (value,)
        return self.close() if len(self._open) >= self.size else None

    def close(self) -> tuple[float, ...] | None:
        """End the subgroup as it is (another part type, a time-out, a gap); None if it had no value."""
        closed, self._open = self._open, ()
        return closed or None

    def restore(self, values: Iterable[float]) -> None:
        """Stand again with these values of an unfinished subgroup: after a restart or a rollback.

        Raises ValueError if they would have been a subgroup already.
        """
        values = tuple(values)
        if len(values) >= self.size:
            raise ValueError(f"{len(values)} open values: fewer than the subgroup's {self.size}")
        self._open = values

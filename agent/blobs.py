"""Blobs (photos, pictures): files named by the sha256 of their bytes, fsynced before any row names them."""

from __future__ import annotations

import hashlib
import os
import re
import tempfile
from pathlib import Path

from agent.errors import BadSignal

_SHA = re.compile(r"[0-9a-f]{64}")


class Blobs:
    """A folder of blobs, two levels deep."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def path(self, sha: str) -> Path | None:
        """The file of a blob, None if it is not here or the name is no sha256."""
        path = self._place(sha) if _SHA.fullmatch(sha) else None
        return path if path is not None and path.is_file() else None

    def put(self, data: bytes, sha: str | None = None) -> str:
        """Keep bytes durably; returns their sha256. Raises BadSignal if `sha` is given and does not match."""
        found = hashlib.sha256(data).hexdigest()
        if sha is not None and sha != found:
            raise BadSignal("blob_hash", f"the bytes have sha256 {found[:12]}…, not {sha[:12]}…")
        place = self._place(found)
        if place.is_file():
            return found
        place.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(dir=place.parent)
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            Path(name).replace(place)
        except OSError:
            Path(name).unlink(missing_ok=True)  # a full disk must not fill up with halves
            raise
        for folder in (place.parent, self._folder):
            entry = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
            os.fsync(entry)
            os.close(entry)
        return found

    def _place(self, sha: str) -> Path:
        return self._folder / sha[:2] / sha

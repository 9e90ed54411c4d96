"""A folder of CSV files: each row becomes signals once; a read file is moved away after the commit.

The folder belongs to one thread of its own, where a share that hangs delays nobody; it reads a slice, the loop hands
it to the store, and only then the thread goes on. So memory holds one slice, and a commit comes before the file moves.
"""

from __future__ import annotations

import asyncio
import fnmatch
import logging
import os
import random
import shutil
import stat
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from datetime import datetime
from functools import partial
from hashlib import sha256
from pathlib import Path
from typing import BinaryIO

from agent.clock import Clock
from agent.collectors.csv_rows import CsvFolderSettings, Layout, cells, identity_of, layout, signals
from agent.collectors.csv_state import GONE, Position, Positions
from agent.errors import AgentError, BadSignal
from agent.model import Emit, Signal, SourceHealth

log = logging.getLogger(__name__)

_ROWS, _BYTES, _FILES = 500, 256 << 10, 50
"""A slice ends after so many rows, bytes or files."""
_HEAD = 1024
_REJECTED = ".rejected"
_JOINED = 20  # lines that a quoted cell may run over


@dataclass(slots=True)
class Slice:
    """What was read at once: signals, bad lines with their files, files that ended and files that cannot be read."""

    signals: list[Signal] = field(default_factory=list)
    bad: list[BadSignal] = field(default_factory=list)
    rejected: list[tuple[str, bytes, bytes]] = field(default_factory=list)
    done: list[str] = field(default_factory=list)
    failed: list[tuple[str, BadSignal]] = field(default_factory=list)
    reached: dict[str, Position] = field(default_factory=dict)
    rows: int = 0
    size: int = 0

    @property
    def full(self) -> bool:
        return self.rows >= _ROWS or self.size >= _BYTES or len(self.done) + len(self.failed) >= _FILES


class Folder:
    """The folder, its files and how far they were read. Sync; one thread at a time."""

    def __init__(self, name: str, settings: CsvFolderSettings) -> None:
        self._name, self._s = name, settings
        self._file: tuple[str, Position, BinaryIO, Layout | None, bytes] | None = None
        self._queue: list[str] = []
        self._seen: dict[str, tuple[int, int, float]] = {}
        self._trouble: dict[str, tuple[float, float]] = {}
        self._begun: set[str] = set()
        state = None if settings.state_dir is None else settings.state_dir / f"{name}.positions.json"
        self._positions = Positions(state)

    def start(self) -> None:
        """Read what was remembered. Raises ConfigError if it cannot be kept."""
        self._positions.load()

    # ---- reading ----

    def read(self, now: datetime, mono: float) -> Slice:
        """The next slice; empty if there is nothing. Raises OSError if the folder cannot be read."""
        if self._file is None and not self._queue:
            self._queue = self._scan(mono)
        found = Slice()
        while not found.full and (self._file is not None or self._queue):
            name = self._file[0] if self._file is not None else self._queue.pop(0)
            try:
                if self._file is None and not self._open(name, found):
                    continue
                self._rows(found, now)
            except BadSignal as bad:
                self.close()
                found.failed.append((name, bad))
            except OSError as error:
                self.close()
                self._cannot(name, error, found, mono)
        return found

    def _scan(self, mono: float) -> list[str]:
        """Names of the files that are complete, in order."""
        s = self._s
        found: dict[str, os.stat_result] = {}
        everything: set[str] = set()
        with os.scandir(s.path) as entries:
            for entry in entries:
                everything.add(entry.name)
                if fnmatch.fnmatchcase(entry.name, s.glob) and not entry.name.endswith(_REJECTED):
                    try:
                        if entry.is_file(follow_symlinks=False):
                            found[entry.name] = entry.stat(follow_symlinks=False)
                    except FileNotFoundError:
                        continue
        if s.done_marker:
            found = {name: st for name, st in found.items() if everything & self._markers(name)}
        seen: dict[str, tuple[int, int, float]] = {}
        ready = []
        for name, st in found.items():
            size, mtime, since = self._seen.get(name, (-1, -1, mono))
            seen[name] = (st.st_size, st.st_mtime_ns, since if (size, mtime) == (st.st_size, st.st_mtime_ns) else mono)
            if self._trouble.get(name, (0.0, mono))[1] > mono or self._taken(name, st):
                continue
            if s.mode == "append" or s.done_marker or mono - seen[name][2] >= s.settle_s:
                ready.append(name)
        self._seen = seen
        self._trouble = {name: since for name, since in self._trouble.items() if name in found}
        self._positions.forget(everything, GONE if s.mode == "append" else 0)
        return sorted(ready, key=lambda name: (found[name].st_mtime_ns if s.order == "mtime" else 0, name))

    def _taken(self, name: str, st: os.stat_result) -> bool:
        position = self._positions.get(name)
        return position is not None and (position.size, position.mtime) == (st.st_size, st.st_mtime_ns)

    def _markers(self, name: str) -> set[str]:
        """The files by either of which a machine says that this one is complete."""
        end = self._s.done_marker
        return {name + end, Path(name).stem + end} - {name} if end else set()

    def _open(self, name: str, found: Slice) -> bool:
        """Open a file where it was left; False if it is none of ours. Raises OSError, or BadSignal for its header."""
        descriptor = os.open(self._s.path / name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        self._begun.discard(name)
        file = os.fdopen(descriptor, "rb")  # closed by close()
        safe = os.fsencode(name).decode("utf-8", "replace")
        self._file = (name, Position(safe), file, None, b"")
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            self.close()
            return False
        position = self._where(name, safe, file, found)
        for _ in range(self._s.skip_lines):
            file.readline(self._s.max_line_bytes)
        header = file.readline(self._s.max_line_bytes) if self._s.header else b""
        if self._s.header and not header.endswith(b"\n") and (self._s.mode == "append" or not header):
            self.close()
            if self._s.mode == "whole":
                raise BadSignal("empty_file", safe[:100])
            return False  # it has only begun
        where = layout(self._s, cells(self._s, header) if self._s.header else ())
        if position.offset == 0:
            position.offset, position.line = file.tell(), self._s.skip_lines + self._s.header
        file.seek(position.offset)
        self._file = (name, position, file, where, header)
        return True

    def _where(self, name: str, safe: str, file: BinaryIO, found: Slice) -> Position:
        """How far this file was read before: known by its first bytes, also under another name."""
        head = file.read(_HEAD)
        file.seek(0)
        known = [self._positions[name]] if name in self._positions else []
        if self._s.mode == "append":
            read = self._s.skip_lines + self._s.header  # before a row was read, files look alike
            known += [p for other, p in self._positions.items() if other != name and p.line > read]
            for position in known:
                size = position.head_size
                if size and sha256(head[:size]).hexdigest() == position.head:
                    grown = Position(position.name, offset=position.offset, line=position.line)
                    break
            else:
                if known and name in self._positions:
                    found.bad.append(BadSignal("file_replaced", safe))
                grown = Position(safe if name not in self._positions else f"{safe[:100]}~{_short(head)}")
            if os.fstat(file.fileno()).st_size < grown.offset:
                found.bad.append(BadSignal("file_replaced", safe))
                grown = Position(f"{safe[:100]}~{_short(head)}")
        else:
            grown = Position(safe)
        grown.head_size, grown.head = len(head), sha256(head).hexdigest()
        return grown

    def _rows(self, found: Slice, now: datetime) -> None:
        """Rows of the open file until the slice is full or the file ends."""
        assert self._file is not None
        name, position, file, where, header = self._file
        assert where is not None
        st = os.fstat(file.fileno())
        for number, line in self._lines(file, position, found):
            found.rows += 1
            found.size += len(line)
            try:
                if not line.strip():
                    continue
                if len(line) > self._s.max_line_bytes:
                    raise BadSignal("line_too_long", repr(line[:100]))
                row = cells(self._s, line)
                own = identity_of(position.name, number, line)
                found.signals += signals(self._s, self._name, where, row, own, now)
            except BadSignal as bad:
                found.bad.append(BadSignal(bad.kind, f"{position.name[:60]} line {number}: {bad.sample}"))
                found.rejected.append((name, header, line[: self._s.max_line_bytes]))
            if found.full:
                break
        else:
            position.size, position.mtime = st.st_size, st.st_mtime_ns
            then = os.fstat(file.fileno())
            if (then.st_size, then.st_mtime_ns) == (position.size, position.mtime):
                found.done.append(name)
            self.close()
        found.reached[name] = replace(position)

    def _lines(self, file: BinaryIO, position: Position, found: Slice) -> Iterator[tuple[int, bytes]]:
        """Numbered lines with their ends; one whose quotes are open goes on. `position` is after what was given."""
        most = self._s.max_line_bytes
        while line := file.readline(most + 1):
            first, taken = position.line + 1, 1
            begin = file.tell()
            if len(line) > most and not line.endswith(b"\n"):
                while (more := file.readline(most)) and not more.endswith(b"\n"):
                    found.size += len(more)
            joined = line
            while joined.count(b'"') % 2 and taken < _JOINED and len(joined) <= most:
                if not (more := file.readline(most + 1)):
                    break
                joined, taken = joined + more, taken + 1
            if joined.count(b'"') % 2 and taken > 1:  # never closed: only the first line is bad
                file.seek(begin)
                joined, taken = line, 1
            if self._s.mode == "append" and not joined.endswith(b"\n") and len(joined) <= most:
                file.seek(position.offset)
                return  # the machine is still writing this line
            position.offset, position.line = file.tell(), first + taken - 1
            yield first, joined

    def close(self) -> None:
        """Close what is open; the next start reads the rest again."""
        if self._file is not None:
            self._file[2].close()
        self._file = None

    def _cannot(self, name: str, error: OSError, found: Slice, mono: float) -> None:
        """A file that cannot be read now: gone, or tried again until it is given up."""
        if isinstance(error, FileNotFoundError):
            found.bad.append(BadSignal("vanished", name))
            return
        kind = "no_permission" if isinstance(error, PermissionError) else "file_error"
        bad = BadSignal(kind, f"{name}: {error.strerror}")
        since = self._trouble.get(name, (mono, 0.0))[0]
        if mono - since >= self._s.give_up_s:
            found.failed.append((name, bad))
        else:
            found.bad.append(bad)
        self._trouble[name] = (since, mono + min(30.0, max(self._s.scan_s, (mono - since) / 2)))

    # ---- after the commit ----

    def keep(self, read: Slice) -> list[BadSignal]:
        """Once a slice is durable: write bad lines, move files, remember positions. What could not be done is told."""
        trouble: list[BadSignal] = []
        for name, header, line in read.rejected:
            self._try(trouble, "rejected_not_written", name, partial(self._reject, name, header, line))
        if self._positions.path is not None and read.reached:
            self._positions.update(read.reached)
            self._positions.changed = True
        for name in read.done:
            if self._s.after != "leave":
                self._try(trouble, "not_moved", name, partial(self._put_away, name, self._s.done_dir))
        for name, bad in read.failed:
            trouble.append(bad)
            if self._s.after != "leave":
                self._try(trouble, "not_moved", name, partial(self._fail, name, bad))
        for name in [*read.done, *(name for name, _ in read.failed)]:
            self._not_again(name, read.reached.get(name))
        self._try(trouble, "positions_not_kept", self._name, self._positions.save)
        return trouble

    @staticmethod
    def _try(trouble: list[BadSignal], kind: str, name: str, act: Callable[[], object]) -> None:
        try:
            act()
        except OSError as error:
            trouble.append(BadSignal(kind, f"{name}: {error.strerror}"))

    def _reject(self, name: str, header: bytes, line: bytes) -> None:
        """Add a bad line to the file of bad lines, which can be mended and given in again."""
        path = self._s.path / (name + _REJECTED)
        fresh = name not in self._begun and self._s.mode == "whole"
        self._begun.add(name)
        with path.open("wb" if fresh else "ab") as file:
            if file.tell() == 0:
                file.write(header)
            file.write(line if line.endswith(b"\n") else line + b"\n")

    def _put_away(self, name: str, folder: str) -> Path | None:
        """Move or delete a file together with its marker and its bad lines; where it is now."""
        path, bad = self._s.path / name, self._s.path / (name + _REJECTED)
        target: Path | None = None
        if self._s.after == "delete" and folder == self._s.done_dir:
            path.unlink(missing_ok=True)
        else:
            target = _free(self._s.path / folder, name)
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.move(path, target)
            if bad.exists():
                shutil.move(bad, target.with_name(target.name + _REJECTED))
        for marker in self._markers(name):
            (self._s.path / marker).unlink(missing_ok=True)
        return target

    def _fail(self, name: str, bad: BadSignal) -> None:
        target = self._put_away(name, self._s.failed_dir)
        if target is not None:
            target.with_name(target.name + ".reason").write_text(str(bad) + "\n", "utf-8")

    def _not_again(self, name: str, reached: Position | None) -> None:
        """A file that is still there was meant to stay, or could not be moved; it is read again when it changes."""
        if reached is None:
            try:
                st = (self._s.path / name).stat(follow_symlinks=False)
            except OSError:
                return
            reached = Position(name, size=st.st_size, mtime=st.st_mtime_ns)
        if self._s.after == "leave" or (self._s.path / name).exists():
            self._positions[name] = reached
            self._positions.changed = True


def _free(folder: Path, name: str) -> Path:
    """A path in the folder that nothing has."""
    target, number = folder / name, 0
    while target.exists() or target.is_symlink():
        number += 1
        target = folder / f"{name}.{number}"
    return target


def _short(head: bytes) -> str:
    return sha256(head).hexdigest()[:12]


class CsvFolderCollector:
    """One folder. At least once: a file moves after its last row is durable, and the store knows rows it has."""

    def __init__(self, name: str, settings: CsvFolderSettings, clock: Clock, health: SourceHealth) -> None:
        self._name, self._settings, self._clock, self._health = name, settings, clock, health

    async def run(self, emit: Emit) -> None:
        """Collect until cancelled. Raises ConfigError, and whatever `emit` raises beyond AgentError."""
        loop = asyncio.get_running_loop()
        folder = Folder(self._name, self._settings)
        pool = ThreadPoolExecutor(1, thread_name_prefix=f"csv-{self._name}")
        try:
            await loop.run_in_executor(pool, folder.start)
            while True:
                try:
                    read = await loop.run_in_executor(pool, folder.read, self._clock.now(), self._clock.monotonic())
                except OSError as error:
                    self._unreadable(error)
                    read = Slice()
                else:
                    self._health.state = "up"
                self._account(read)
                if read.signals:
                    await self._keep(emit, read.signals)
                for bad in await loop.run_in_executor(pool, folder.keep, read):
                    self._health.bad(bad.kind, bad.sample)
                if not read.rows:
                    await asyncio.sleep(self._settings.scan_s)
        finally:
            self._health.state = "down"
            pool.submit(folder.close)
            pool.shutdown(wait=False)

    def _unreadable(self, error: OSError) -> None:
        self._health.bad("folder_unreadable", f"{self._settings.path}: {error.strerror}")
        if self._health.state != "down":
            log.warning("csv_folder %s: %s: %s", self._name, self._settings.path, error.strerror)
        self._health.state = "down"

    def _account(self, read: Slice) -> None:
        for bad in read.bad:
            self._health.bad(bad.kind, bad.sample)
        if read.signals:
            self._health.received += len(read.signals)
            self._health.last_data_at = read.signals[-1].received_at

    async def _keep(self, emit: Emit, found: list[Signal]) -> None:
        """Try until the signals are durable."""
        pause = 0.1
        while True:
            try:
                return await emit(found)
            except AgentError as error:
                self._health.bad("not_stored", str(error))
            await asyncio.sleep(pause * random.uniform(0.5, 1.0))  # noqa: S311  (jitter, not a secret)
            pause = min(5.0, pause * 2)

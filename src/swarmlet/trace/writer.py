"""`JournalWriter`: a recorder's sink, by which runs are appended to a journal.

One thread for each file takes what the runs of a process record and commits it in groups, so that neither
an event loop waits for the disk, nor the disk for one step after another. What a killed process leaves
behind is a prefix of what happened: events and values are committed in the order in which they were
recorded.
"""

from __future__ import annotations

import json
import os
import sqlite3
import threading
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING, Final, Protocol, TypeAlias, cast, final

import anyio
import anyio.lowlevel
from pydantic_core import PydanticSerializationError

from swarmlet.errors import JournalError
from swarmlet.trace.events import (
    CallEnded,
    Digest,
    Event,
    RunEnded,
    RunId,
    RunResumed,
    RunStarted,
    StepStarted,
    TextDelta,
    event_adapter,
)
from swarmlet.trace.record import call_usage
from swarmlet.trace.store import SUMMARY, WritableFile, explain, summary
from swarmlet.usage import Usage

if TYPE_CHECKING:
    from os import PathLike

_Recorded: TypeAlias = tuple[RunId, Event] | tuple[Digest, bytes]
_Item: TypeAlias = _Recorded | Callable[[], object] | None
"""What the thread is handed: something to write, a call to make once all before it is durable, or the end."""

_GROUP: Final = 1_000
"""The most items in one commit."""

_HIGH_WATER: Final = 2_000
"""So many items may wait for the writer thread before the event loop has to wait for it."""

_CLOSE_SECONDS: Final = 10.0
"""How long `close` waits for a disk that hangs."""


@final
class JournalWriter:
    """Appends what runs record to the journal at `path`, which is created if need be, with its folder.

    Give it to a `Recorder` as a sink. `event` and `value` may be called from any thread and take about a
    microsecond: they only queue. If they are called faster than the disk can take it, and thousands of
    items wait, they block until the queue is written (tens of milliseconds), so that memory stays bounded.
    Nothing here raises into a run: when a write fails, the reason stands in `error`, nothing further is
    written, and the journal keeps what it had.

    Several writers of one path in one process share a thread and a connection. A second *process* is
    refused. Opening raises `JournalError` in a sentence: the file is not a journal, is damaged, is of a
    newer swarmlet, cannot be written, or is being written by another process.
    """

    def __init__(self, path: str | PathLike[str]) -> None:
        self.path: Path = Path(path).expanduser().resolve()
        self._thread = _acquire(self.path)
        self._closed = False

    @property
    def error(self) -> JournalError | None:
        """Why writing stopped; `None` as long as all is well. Ask after `flush`."""
        return self._thread.error

    def event(self, run: RunId, event: Event) -> None:
        """Append `event` to the record of `run`. Pieces of text are not kept."""
        if not isinstance(event, TextDelta):
            self._put((run, event))

    def value(self, digest: Digest, content: bytes) -> None:
        """Keep a value, once for all runs."""
        self._put((digest, content))

    def _put(self, item: _Recorded) -> None:
        if not self._closed:
            self._thread.put(item)

    async def flush(self) -> None:
        """Return when all that was recorded before is on the disk, or when writing has failed (see `error`).

        May be cancelled, which changes nothing of what is written.
        """
        done = anyio.Event()
        if self._closed:
            done.set()
        else:
            call_in_loop = _loop_caller()
            self._thread.put(lambda: call_in_loop(done.set))
        await done.wait()

    def close(self) -> None:
        """Write what is left and let go of the file. Blocks until then, ten seconds at most. Idempotent."""
        if not self._closed:
            self._closed = True
            _release(self._thread)


class _TrioToken(Protocol):
    def run_sync_soon(self, call: Callable[[], object], /) -> None: ...


def _loop_caller() -> Callable[[Callable[[], object]], object]:
    """How another thread hands a call to the running event loop without waiting for it.

    `anyio.from_thread` waits, and an event loop that waits in `put` for the writer thread would never answer.
    """
    import asyncio  # here, as `import swarmlet` should not pay for an event loop that may not be used

    token = anyio.lowlevel.current_token().native_token
    if isinstance(token, asyncio.AbstractEventLoop):
        return token.call_soon_threadsafe
    return cast("_TrioToken", token).run_sync_soon


_threads: dict[tuple[int, Path], _WriterThread] = {}
"""The writer threads by process (threads do not survive a fork) and path."""

_guard = threading.Lock()


def _acquire(path: Path) -> _WriterThread:
    with _guard:
        thread = _threads.get((os.getpid(), path))
        if thread is None:
            thread = _threads[os.getpid(), path] = _WriterThread(path)
        elif thread.error:
            raise JournalError(str(thread.error))
        thread.users += 1
        return thread


def _release(thread: _WriterThread) -> None:
    with _guard:
        thread.users -= 1
        if not thread.users:
            _threads.pop((os.getpid(), thread.path), None)
            thread.stop()


class _WriterThread:
    """The one thread, with the one connection, through which a process writes one file."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.users = 0
        self.error: JournalError | None = None
        self._queue: SimpleQueue[_Item] = SimpleQueue()
        self._file = WritableFile(path)
        self._connection = self._file.connection
        self._tables = _Tables(self._connection)
        self._thread = threading.Thread(target=self._work, name=f"swarmlet journal {path.name}", daemon=True)
        self._thread.start()

    def put(self, item: _Item) -> None:
        """Queue `item`; wait for the thread if far too much is queued."""
        self._queue.put(item)
        if self._queue.qsize() > _HIGH_WATER and self._thread.is_alive():
            written = threading.Event()
            self._queue.put(written.set)
            written.wait()

    def stop(self) -> None:
        """Let the thread write what is queued and end."""
        self._queue.put(None)
        self._thread.join(_CLOSE_SECONDS)
        if self._thread.is_alive():
            self.error = JournalError(f"the journal {str(self.path)!r} could not be written in {_CLOSE_SECONDS:g} s")

    def _work(self) -> None:
        try:
            going = True
            while going:
                group = self._group()
                self._write([item for item in group if isinstance(item, tuple)])
                for item in group:
                    if callable(item):
                        with suppress(RuntimeError):  # the event loop that asked has ended
                            item()
                going = None not in group
        finally:
            self._file.close()

    def _group(self) -> list[_Item]:
        group = [self._queue.get()]
        with suppress(Empty):
            while len(group) < _GROUP:
                group.append(self._queue.get_nowait())
        return group

    def _write(self, items: list[_Recorded]) -> None:
        if not items or self.error:
            return
        try:
            self._connection.execute("BEGIN IMMEDIATE")
            self._tables.append(items)
            self._connection.execute("COMMIT")
        except Exception as error:  # noqa: BLE001  no failure may end the thread that flushes wait for
            self.error = explain(self.path, error)
            self.error.__cause__ = error
            with suppress(sqlite3.Error):
                self._connection.execute("ROLLBACK")


@dataclass(slots=True)
class _Tally:
    """What the table of runs says about how a run goes."""

    last: float
    state: str
    steps: int = 0
    usage: Usage = field(default_factory=Usage)

    def add(self, event: Event) -> None:
        self.last = event.at
        self.state = event.state if isinstance(event, RunEnded) else "running"
        if isinstance(event, StepStarted):
            self.steps += 1
        elif isinstance(event, CallEnded):
            self.usage += call_usage(event)


class _Tables:
    """Writes what was recorded as rows. Used by the writer thread only, in a transaction."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection
        self._tallies: dict[RunId, _Tally] = {}

    def append(self, items: Iterable[_Recorded]) -> None:
        values: list[tuple[Digest, bytes]] = []
        events: list[tuple[RunId, str, float, str | None, str]] = []
        touched: dict[RunId, _Tally] = {}
        for name, item in items:
            if isinstance(item, bytes):
                values.append((Digest(name), item))
                continue
            run = RunId(name)
            touched[run] = self._tally(run, item)
            path = None if isinstance(item, RunStarted | RunResumed | RunEnded) else _text(item.path)
            events.append((run, item.kind, item.at, path, _encode(item)))
        self._connection.executemany("INSERT OR IGNORE INTO contents VALUES (?, ?)", values)
        self._connection.executemany("INSERT INTO events (run, kind, at, path, event) VALUES (?, ?, ?, ?, ?)", events)
        self._connection.executemany(_UPDATE, (_update(run, tally) for run, tally in touched.items()))

    def _tally(self, run: RunId, event: Event) -> _Tally:
        tally = self._tallies.get(run)
        if tally is None:
            tally = self._tallies[run] = self._begin(run, event)
        tally.add(event)
        if isinstance(event, RunEnded):
            del self._tallies[run]
        return tally

    def _begin(self, run: RunId, event: Event) -> _Tally:
        """The tally of a run that is new, or that goes on after another process had it."""
        if isinstance(event, RunStarted):
            row = (run, _text(event.name), _text(event.node), _text(event.version), event.at, event.at)
            self._connection.execute(
                "INSERT OR IGNORE INTO runs VALUES (?, ?, ?, ?, ?, ?, 'running', 0, 0, 0, 0, 0, '0', 0)", row
            )
        found = self._connection.execute(f"SELECT {SUMMARY} FROM runs WHERE run = ?", (run,)).fetchone()  # noqa: S608
        if found is None:
            return _Tally(event.at, "running")
        known = summary(found)
        return _Tally(event.at, known.state, known.steps, known.usage)


_UPDATE: Final = (
    "UPDATE runs SET last = ?, state = ?, steps = ?, requests = ?, input_tokens = ?, cached_tokens = ?, "
    "output_tokens = ?, usd = ?, unpriced_requests = ? WHERE run = ?"
)


def _update(run: RunId, tally: _Tally) -> tuple[object, ...]:
    usage = tally.usage
    tokens = (usage.requests, usage.input_tokens, usage.cached_tokens, usage.output_tokens)
    return (tally.last, tally.state, tally.steps, *tokens, str(usage.usd), usage.unpriced_requests, run)


def _encode(event: Event) -> str:
    try:
        return event_adapter().dump_json(event).decode()
    except PydanticSerializationError:  # half a surrogate pair in a text, which some servers do send
        return _text(json.dumps(event_adapter().dump_python(event), ensure_ascii=False))


def _text(text: str) -> str:
    """`text` without what UTF-8 cannot say."""
    return text.encode(errors="replace").decode()

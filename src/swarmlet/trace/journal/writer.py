"""`JournalWriter`: a recorder's sink, by which runs are appended to a journal, whatever store it is kept in.

One thread for each store takes what the runs of a process record and commits it in groups, so that neither an event loop
waits for the disk, nor the disk for one step after another. What a killed process leaves behind is a prefix of what
happened: events and values are committed in the order in which they were recorded.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Protocol, cast, final

import anyio
import anyio.lowlevel

from swarmlet.errors import JournalError
from swarmlet.trace.events import Digest, Event, RunId, TextDelta
from swarmlet.trace.journal.base import Pruned, Store, Upkeep
from swarmlet.trace.journal.thread import HIGH_WATER, Claim, Drafts, Item, Job, Kept, Release, acquire, leave

if TYPE_CHECKING:
    from os import PathLike

    from swarmlet.trace.record import Draft


@final
class JournalWriter:
    """Appends what runs record to `journal`: a path (a file of SQLite, created if need be, with its folder) or a store.

    Give it to a `Recorder` as a sink. `event` and `value` may be called from any thread and take about a microsecond: they
    only queue. If they are called faster than the store can take it, and thousands of items wait, they block until the queue
    is written (tens of milliseconds), so that memory stays bounded. Nothing here raises into a run: when a write fails, the
    reason stands in `error`, nothing further is written, and the journal keeps what it had.

    A run that was not claimed is claimed by its first event, until it ends; if it goes on elsewhere, none of its events is
    written, and `taken` says so. Answers to runs of others are written without a claim.

    Several writers of one store in one process share a thread and a connection. Opening raises `JournalError` in a sentence:
    the file is not a journal, is damaged, is of a newer swarmlet, cannot be written, is being written by another process.
    """

    def __init__(self, journal: str | PathLike[str] | Store) -> None:
        from swarmlet.trace.journal import store_of  # late: the stores know this class

        self.store: Store = store_of(journal)
        self._thread = acquire(self.store)
        self._closed = False
        self._open: dict[RunId, Drafts] = {}
        """The drafts of each run since its last event."""

    @property
    def error(self) -> JournalError | None:
        """Why writing stopped; `None` as long as all is well. Ask after `flush`."""
        return self._thread.error

    def event(self, run: RunId, event: Event) -> None:
        """Append `event` to the record of `run`. Pieces of text are not kept."""
        if not isinstance(event, TextDelta):
            self._open.pop(run, None)
            self._put((self, run, event))

    def draft(self, run: RunId, draft: Draft) -> None:
        """Append the event that a draft stands for: it is written out by the writer's thread."""
        if self._closed:
            return
        drafts = self._open.get(run)
        if drafts is None:
            drafts = self._open[run] = Drafts()
        drafts.waiting.append(draft)
        if not drafts.queued:
            drafts.queued = True
            self._put((self, run, drafts))
        elif len(drafts.waiting) > HIGH_WATER:
            self._thread.wait()

    def value(self, digest: Digest, content: bytes) -> None:
        """Keep a value, once for all runs."""
        self._put(Kept(digest, content))

    async def claim(self, run: RunId) -> None:
        """Take `run` for this writer: before its first event, or to go on with it (then read its record afterwards).

        Raises `RunTaken` if it goes on in this process, or in another one that is alive. Does nothing if writing has failed.
        """
        if self._closed:
            return
        answer, call = _Answer(), _loop_caller()
        claim = Claim(self, run, lambda failure: call(partial(answer.set, failure)))
        self._thread.put(claim)
        try:
            await answer.given.wait()
        except BaseException:
            self._put(Release(self, run, claim))
            raise
        if answer.failure is not None:
            raise answer.failure

    def release(self, run: RunId) -> None:
        """Let go of `run` once all is written that was recorded of it: another process may go on with it."""
        self._open.pop(run, None)
        self._put(Release(self, run))

    def taken(self, run: RunId) -> bool:
        """Whether another process has taken `run` since, as far as this one knows from its last commit.

        From then on nothing of the run is written here, until it is released and claimed again.
        """
        return self._thread.is_taken(self, run)

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
        """Write what is left and let go of the store. Blocks until then, ten seconds at most. Idempotent."""
        if not self._closed:
            self._put(Release(self, None))
            self._closed = True
            leave(self._thread)

    def maintain(self, work: Callable[[Upkeep], Pruned | None]) -> Pruned | None:
        """Have `work` done by the writer's thread, between two commits, and wait for it."""
        job = Job(work)
        self._thread.put(job)
        job.done.wait()
        if job.failure is not None:
            raise job.failure
        return job.result

    def _put(self, item: Item) -> None:
        if not self._closed:
            self._thread.put(item)


@dataclass(slots=True)
class _Answer:
    """Of the thread to a task that waits for it."""

    given: anyio.Event = field(default_factory=anyio.Event)
    failure: JournalError | None = None

    def set(self, failure: JournalError | None) -> None:
        self.failure = failure
        self.given.set()


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

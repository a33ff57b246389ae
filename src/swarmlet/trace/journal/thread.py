"""The thread through which a process writes one store: it takes what is queued and commits it in groups."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from queue import Empty, SimpleQueue
from time import monotonic
from typing import TYPE_CHECKING, Final, TypeAlias, TypeVar, final

from swarmlet.errors import JournalError, RunTaken
from swarmlet.trace.events import Answered, Digest, Event, RunEnded, RunId
from swarmlet.trace.journal.base import Batch, Pruned, Store, Upkeep

if TYPE_CHECKING:
    from collections.abc import Hashable, Iterator

    from swarmlet.trace.record import Draft

T = TypeVar("T")

_GROUP: Final = 1_000
"""The most items in one commit; a list of drafts is one."""

HIGH_WATER: Final = 2_000
"""So many items may wait for the thread before the event loop has to wait for it."""

_CLOSE_SECONDS: Final = 10.0
"""How long `stop` waits for a disk that hangs."""


# What the thread is handed


@final
class Drafts:
    """Events of a run that follow one another: the event loop adds to them until the thread takes what there is."""

    __slots__ = ("queued", "waiting")

    def __init__(self) -> None:
        self.waiting: list[Draft] = []
        self.queued: bool = False
        """Whether the thread is to take them."""

    def take(self) -> list[Draft]:
        """What there is. What is added meanwhile is queued again, so that nothing is left behind."""
        self.queued = False
        count = len(self.waiting)
        taken = self.waiting[:count]
        del self.waiting[:count]
        return taken


Happened: TypeAlias = "tuple[object, RunId, Event | Drafts]"
"""What has happened in a run, and the writer by which it comes. A tuple, as there are very many."""

_Taken: TypeAlias = "tuple[object, RunId, Event | list[Draft]]"


@final
@dataclass(slots=True)
class Kept:
    """A recorded value."""

    digest: Digest
    content: bytes


@final
@dataclass(slots=True)
class Claim:
    """A writer wants a run."""

    by: object
    run: RunId
    reply: Callable[[JournalError | None], object]
    granted: bool = False


@final
@dataclass(slots=True)
class Release:
    """A writer lets go of a run."""

    by: object
    run: RunId | None
    """`None`: all that the writer has."""
    withdrawn: Claim | None = None
    """Set if nobody waits for this claim any more: only what it has got is released."""


@final
@dataclass(slots=True)
class Job:
    """Something to be done to the store between two commits."""

    work: Callable[[Upkeep], Pruned | None]
    done: threading.Event = field(default_factory=threading.Event)
    result: Pruned | None = None
    failure: JournalError | None = None


Item: TypeAlias = "Happened | Kept | Claim | Release | Job | Callable[[], object] | None"
"""Something to write or to do, a call to make once all before it is durable, or the end."""


_threads: dict[tuple[int, Hashable], WriterThread] = {}
"""The writer threads by process (threads do not survive a fork) and store."""

_guard = threading.Lock()


def acquire(store: Store) -> WriterThread:
    """The thread that writes `store` in this process, with one user more."""
    with _guard:
        thread = _threads.get((os.getpid(), store.key))
        if thread is None:
            thread = _threads[os.getpid(), store.key] = WriterThread(store)
        elif thread.error:
            raise JournalError(str(thread.error))
        thread.users += 1
        return thread


def leave(thread: WriterThread) -> None:
    """One user less. Waits until all is written; the last one ends the thread."""
    with _guard:
        thread.users -= 1
        last = not thread.users
        if last:
            _threads.pop((os.getpid(), thread.key), None)
            thread.stop()
    if not last:
        thread.wait()


@final
@dataclass(slots=True)
class _Held:
    """A run that a writer of this process has."""

    by: object
    explicit: bool
    """Whether it was claimed, and not just written to: then it is held until it is released."""
    taken: bool = False


@final
class WriterThread:
    """The one thread, with the one backend, through which a process writes one store."""

    def __init__(self, store: Store) -> None:
        self.key: Hashable = store.key
        self.users = 0
        self.error: JournalError | None = None
        self._name = store.name
        self._queue: SimpleQueue[Item] = SimpleQueue()
        self._held: dict[RunId, _Held] = {}
        self._refused: set[tuple[int, RunId]] = set()
        """Runs that writers write to without having got them."""
        self._backend = store.connect()
        self._pulse = self._backend.pulse
        self._renew_at = monotonic() + (self._pulse or 0.0)
        self._thread = threading.Thread(target=self._work, name=f"swarmlet journal {store.name}", daemon=True)
        self._thread.start()

    def put(self, item: Item) -> None:
        """Queue `item`; wait for the thread if far too much is queued."""
        self._queue.put(item)
        if self._queue.qsize() > HIGH_WATER and self._thread.is_alive():
            written = threading.Event()
            self._queue.put(written.set)
            written.wait()

    def is_taken(self, by: object, run: RunId) -> bool:
        """Whether what this writer says of the run is not written."""
        held = self._held.get(run)
        return (held is not None and held.by is by and held.taken) or (id(by), run) in self._refused

    def wait(self) -> None:
        """Wait until what is queued is written."""
        if self._thread.is_alive():
            written = threading.Event()
            self._queue.put(written.set)
            written.wait(_CLOSE_SECONDS)

    def stop(self) -> None:
        """Let the thread write what is queued and end."""
        self._queue.put(None)
        self._thread.join(_CLOSE_SECONDS)
        if self._thread.is_alive():
            self.error = JournalError(f"the journal {self._name} could not be written in {_CLOSE_SECONDS:g} s")

    def _work(self) -> None:
        try:
            while True:
                group = self._group()
                self._do(group)
                if None in group:
                    return
        finally:
            self._backend.close()

    def _group(self) -> list[Item]:
        group: list[Item] = []
        with suppress(Empty):
            wait = None if self._pulse is None else max(0.0, self._renew_at - monotonic())
            group.append(self._queue.get(timeout=wait))
            while len(group) < _GROUP:
                group.append(self._queue.get_nowait())
        return group

    def _do(self, group: list[Item]) -> None:
        self._write(group)
        self._let_go([item for item in group if isinstance(item, Release)])
        self._claim([item for item in group if isinstance(item, Claim)])
        for item in group:
            if isinstance(item, Job):
                self._carry_out(item)
            elif callable(item):
                with suppress(RuntimeError):  # the event loop that asked has ended
                    item()
        if self._pulse is not None and monotonic() >= self._renew_at:
            self._lose(self._try(self._backend.renew, set[RunId]()))
            self._renew_at = monotonic() + self._pulse

    def _write(self, group: list[Item]) -> None:
        values: dict[Digest, bytes] = {}
        for item in group:
            if isinstance(item, Kept):
                values[item.digest] = item.content
        happened: list[Happened] = [item for item in group if isinstance(item, tuple)]
        told = list(_taken(happened))
        if self.error or not (values or told):
            return
        self._claim_for(told)
        mine, answers = [item for item in told if self._writes(item)], [item for item in told if self._answers(item)]
        batch = Batch(values, [(run, event) for _, run, event in mine], [(run, event) for _, run, event in answers])
        lost = self._try(lambda: self._backend.append(batch), set[RunId]())
        self._lose(lost)
        ended = {run for _, run, event in mine if isinstance(event, RunEnded)}
        self._drop([run for run in ended if not self._held[run].explicit and not self._held[run].taken])

    def _claim_for(self, told: list[_Taken]) -> None:
        """Claim the runs that are written to without a claim."""
        new: dict[RunId, object] = {}
        for by, run, event in told:
            if run not in self._held and not isinstance(event, Answered):
                new.setdefault(run, by)
        if new:
            refused = self._try(lambda: self._backend.claim(list(new)), dict[RunId, str]())
            for run, by in new.items():
                self._held[run] = _Held(by, explicit=False, taken=run in refused)

    def _writes(self, item: _Taken) -> bool:
        by, run, event = item
        held = self._held.get(run)
        if held is None:
            return False
        if held.by is not by and not isinstance(event, Answered):
            self._refused.add((id(by), run))
        return held.by is by and not held.taken

    def _answers(self, item: _Taken) -> bool:
        by, run, event = item
        held = self._held.get(run)
        return isinstance(event, Answered) and (held is None or held.by is not by)

    def _lose(self, runs: set[RunId]) -> None:
        for run in runs:
            if run in self._held:
                self._held[run].taken = True

    def _let_go(self, items: list[Release]) -> None:
        for item in items:
            if item.withdrawn is not None and not item.withdrawn.granted:
                item.withdrawn.reply = _nobody
                continue
            runs = list(self._held) if item.run is None else [item.run]
            self._drop([run for run in runs if run in self._held and self._held[run].by is item.by])
            self._refused -= {key for key in self._refused if key[0] == id(item.by) and item.run in (None, key[1])}

    def _drop(self, runs: list[RunId]) -> None:
        mine = [run for run in runs if not self._held.pop(run).taken]
        if mine:
            self._try(lambda: self._backend.release(mine), None)

    def _claim(self, claims: list[Claim]) -> None:
        asked: dict[RunId, Claim] = {}
        for claim in claims:
            if claim.run in self._held or claim.run in asked:
                self._reply(
                    claim, RunTaken(f"run {claim.run!r} goes on in this process: it can be taken when it has ended there")
                )
            elif claim.reply is not _nobody:
                asked[claim.run] = claim
        refused = self._try(lambda: self._backend.claim(list(asked)), dict[RunId, str]()) if asked else {}
        for run, claim in asked.items():
            if run in refused:
                who = f"run {run!r} goes on in another process ({refused[run]})"
                self._reply(claim, RunTaken(f"{who}: it can be taken when that has ended, or has let go of it"))
                continue
            self._held[run] = _Held(claim.by, explicit=True)
            claim.granted = True
            self._reply(claim, None)

    def _reply(self, claim: Claim, failure: JournalError | None) -> None:
        with suppress(RuntimeError):  # the event loop that asked has ended
            claim.reply(failure)

    def _carry_out(self, job: Job) -> None:
        job.failure = self.error
        try:
            if job.failure is None:
                job.result = job.work(self._backend)
        except Exception as error:  # noqa: BLE001  # told to who asked for it
            job.failure = self._told(error)
        job.done.set()

    def _try(self, work: Callable[[], T], otherwise: T) -> T:
        if self.error:
            return otherwise
        try:
            return work()
        except Exception as error:  # noqa: BLE001  # no failure may end the thread that flushes wait for
            self.error = self._told(error)
            return otherwise

    def _told(self, error: Exception) -> JournalError:
        if isinstance(error, JournalError):
            return error
        told = JournalError(f"cannot use the journal {self._name}: {type(error).__name__}: {error}")
        told.__cause__ = error
        return told


def _taken(happened: list[Happened]) -> Iterator[_Taken]:
    """Drafts are taken whether or not they are written then, so that they do not pile up."""
    for by, run, event in happened:
        if not isinstance(event, Drafts):
            yield by, run, event
        elif drafts := event.take():
            yield by, run, drafts


def _nobody(_: JournalError | None) -> None:
    """Takes a reply that nobody waits for any more."""

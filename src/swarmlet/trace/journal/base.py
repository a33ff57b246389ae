"""What a store of journals must do, and what is said with it. Names no database.

A `Store` is opened for writing (`open`), which gives a `Writer`: the recorder's sink. Behind it one thread uses the store's
`Backend`. For reading, each call looks into the store through a `Look` of its own, also while somebody writes.

A run is written by one writer at a time: it *claims* the run, and lets go of it in the end. Where processes share a store,
a claim lasts as long as its process shows that it is alive; then another may take the run, and nothing that the first one
still says of it is written.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol, TypeAlias, final

from swarmlet.trace.events import Digest, Event, RunId

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable
    from contextlib import AbstractContextManager
    from datetime import timedelta

    from pydantic import JsonValue

    from swarmlet.errors import JournalError
    from swarmlet.trace.read import StepState
    from swarmlet.trace.record import Draft
    from swarmlet.usage import Usage

FORMAT = 3
"""Of tables. Raised when they, or the events, change in a way that older readers would misread."""


# What is read


@final
@dataclass(frozen=True, slots=True)
class RunSummary:
    """One run in the list of runs."""

    id: RunId
    """The run's id."""
    name: str
    """Name of the node that ran."""
    node: str
    """Where that node is defined: `module:qualified.name`."""
    state: StepState
    """How the run ended; `running` while it goes on, and `lost` if its process is gone without having ended it."""
    started_at: float
    """When, in seconds since 1970 (UTC)."""
    seconds: float
    """Wall time until its last event."""
    steps: int
    """How many steps it has started."""
    usage: Usage
    """What it cost, failed attempts included."""


@final
@dataclass(frozen=True, slots=True)
class Question:
    """A question that waits for a person's answer."""

    run: RunId
    """The run that asks."""
    name: str
    """Name of the run's node."""
    path: str
    """Who asks; the answer goes to this path."""
    about: str
    """`answer`, `approval` or `lost`: see `Asked.about`."""
    text: str | None
    """What is asked; `None` where content capture was off."""
    answers: JsonValue
    """JSON Schema of the answers that it takes; `None` where content capture was off."""
    tool: str
    """The tool that it is about, if there is one."""
    arguments: JsonValue
    """That tool's arguments, as the model wrote them."""
    since: float
    """When it was asked first."""
    until: float | None
    """When it times out."""


@final
@dataclass(frozen=True, slots=True)
class Wanted:
    """Which runs to list: all that fit every part."""

    name: str | None = None
    states: frozenset[StepState] | None = None
    prefix: str = ""
    runs: tuple[RunId, ...] | None = None
    idle: bool = False
    """Only those with which no process goes on."""
    limit: int | None = None


@final
@dataclass(frozen=True, slots=True)
class Row:
    """A row of the table of events: the event as JSON, and what the row repeats of it for queries. See `packing`."""

    kind: str
    at: float
    path: str | None
    event: str


class Look(Protocol):
    """One look into a store: all that it gives is of one moment. Raises `JournalError`."""

    def runs(self, wanted: Wanted) -> list[RunSummary]:
        """The runs that are wanted, newest first."""
        ...

    def events(self, run: RunId) -> Iterator[Row]:
        """The events of a run, in order."""
        ...

    def some(self, digests: Sequence[Digest]) -> dict[Digest, bytes]:
        """Those of the recorded values that are there; a few hundred at most."""
        ...

    def contents(self) -> Iterator[tuple[Digest, bytes]]:
        """All recorded values."""
        ...

    def conversations(self) -> Iterator[tuple[RunId, str, str]]:
        """Questions and answers of the runs that may go on, newest run first, as (run, its name, event as JSON)."""
        ...

    def stray_runs(self) -> list[RunId]:
        """Runs that have events and are not in the list."""
        ...

    def check(self) -> list[str]:
        """What the database itself finds wrong with its files."""
        ...


# Pruning


@final
@dataclass(frozen=True, slots=True)
class Rule:
    """Which runs to delete: those in `states`, but not the newest `keep`, and none whose last event is younger."""

    older_than: timedelta | None
    keep: int
    states: frozenset[StepState]


@final
@dataclass(frozen=True, slots=True)
class Pruned:
    """What was deleted."""

    runs: int
    events: int
    """Rows of them; see `packing`."""
    contents: int
    """Values that nothing names any more. Those that runs which go on may be about to name stay until the next time."""


# Writing

Told: TypeAlias = "tuple[RunId, Event | list[Draft]]"
"""An event, or several that follow one another, and the run that they are of."""


@final
@dataclass(frozen=True, slots=True)
class Batch:
    """What is written in one transaction: all of it or nothing."""

    values: dict[Digest, bytes]
    events: Sequence[Told]
    """Of runs that this writer has claimed."""
    answers: Sequence[Told] = ()
    """Answers to runs that it has not claimed: anybody may answer."""


class Upkeep(Protocol):
    """Deletes and tidies. Raises `JournalError`."""

    def prune(self, rule: Rule) -> Pruned:
        """Delete runs, and the values that nothing names."""
        ...

    def vacuum(self) -> None:
        """Give the room of what was deleted back to the disk."""
        ...


class Backend(Upkeep, Protocol):
    """What the writer's thread does to a store. Used by that thread alone, except for being made. Raises `JournalError`."""

    pulse: float | None
    """Seconds after which `renew` is due if nothing was written; `None` if there is nothing to renew."""

    def claim(self, runs: Sequence[RunId]) -> dict[RunId, str]:
        """Take runs for this writer. Gives those that it did not get, with who has them."""
        ...

    def append(self, batch: Batch) -> set[RunId]:
        """Write a batch. Gives the runs that somebody else has taken: of them nothing was written."""
        ...

    def release(self, runs: Sequence[RunId]) -> None:
        """Let others have these runs."""
        ...

    def renew(self) -> set[RunId]:
        """Say that this writer is alive. Gives the runs that somebody else has taken."""
        ...

    def close(self) -> None:
        """Let go of all runs and of the store. Does not raise."""
        ...


class Writer(Protocol):
    """Appends what runs record: a recorder's sink. Nothing that it does raises into a run, except `claim`."""

    @property
    def error(self) -> JournalError | None:
        """Why writing stopped; `None` as long as all is well."""
        ...

    def event(self, run: RunId, event: Event) -> None:
        """Append an event."""
        ...

    def draft(self, run: RunId, draft: Draft) -> None:
        """Append the event that a draft stands for."""
        ...

    def value(self, digest: Digest, content: bytes) -> None:
        """Keep a value, once for all runs."""
        ...

    async def claim(self, run: RunId) -> None:
        """Take a run, before its first event or to go on with it. Raises `RunTaken` if it goes on elsewhere."""
        ...

    def release(self, run: RunId) -> None:
        """Let go of a run."""
        ...

    def taken(self, run: RunId) -> bool:
        """Whether somebody else has taken the run since it was claimed here."""
        ...

    async def flush(self) -> None:
        """Return when all that was recorded before is durable, or when writing has failed."""
        ...

    def close(self) -> None:
        """Write what is left and let go of the store."""
        ...


class Store(Protocol):
    """Where a journal is kept. Making one opens nothing."""

    @property
    def name(self) -> str:
        """How messages name it. Holds no password."""
        ...

    @property
    def key(self) -> Hashable:
        """Stores of one process with the same key share one writer's thread."""
        ...

    def open(self) -> Writer:
        """A writer. Raises `JournalError` in a sentence that says what to do."""
        ...

    def connect(self) -> Backend:
        """What the writer's thread uses."""
        ...

    def looking(self) -> AbstractContextManager[Look]:
        """Look into the store; creates nothing."""
        ...

    def maintained(self, work: Callable[[Upkeep], Pruned | None]) -> Pruned | None:
        """Have `work` done where it disturbs no writer."""
        ...

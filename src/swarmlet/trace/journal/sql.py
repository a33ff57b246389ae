"""What all stores that speak SQL share: the tables' columns, how events become rows, and the queries.

SQL here is what SQLite and Postgres both understand, with `?` for values; a `Database` is a thin layer over a driver.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from decimal import Decimal, InvalidOperation
from typing import TYPE_CHECKING, Final, Protocol, TypeAlias, cast, final

from swarmlet.errors import JournalError
from swarmlet.trace.events import Digest, RunId, RunStarted
from swarmlet.trace.journal.base import Batch, Row, RunSummary, Told, Wanted
from swarmlet.trace.journal.packing import packed
from swarmlet.trace.journal.tally import Tally, as_shown, at_of, clean
from swarmlet.usage import Usage

if TYPE_CHECKING:
    from swarmlet.trace.read import StepState

EventRow: TypeAlias = tuple[str, str, float, str | None, str]
"""`run, kind, at, path, event`."""

TOUCH_SECONDS: Final = 3600.0
"""A value that is recorded again is marked as fresh at most so often."""

_COUNTED: Final = "last, state, steps, requests, input_tokens, cached_tokens, output_tokens, usd, unpriced_requests"
_SUMMARY: Final = f"r.run, r.name, r.node, r.started, {', '.join(f'r.{name}' for name in _COUNTED.split(', '))}"


class Database(Protocol):
    """A connection of a driver, as far as the tables need it."""

    def rows(self, sql: str, values: Sequence[object] = ()) -> list[tuple[object, ...]]:
        """All rows of a query."""
        ...

    def stream(self, sql: str, values: Sequence[object] = ()) -> Iterator[tuple[object, ...]]:
        """The rows of a query that may have more of them than fit into memory."""
        ...

    def many(self, sql: str, values: Iterable[Sequence[object]]) -> int:
        """Execute a statement for each of `values`. Gives how many rows it changed."""
        ...

    def add_events(self, rows: list[EventRow]) -> None:
        """Append to the table of events."""
        ...

    def add_contents(self, contents: dict[Digest, bytes], now: float) -> None:
        """Keep recorded values; of one that is there already, note that it was recorded again."""
        ...


def marks(values: Sequence[object]) -> str:
    """As many `?` as there are values."""
    return ", ".join("?" * len(values))


# Writing


@final
class Tables:
    """Writes what was recorded as rows. Used by the writer's thread only, in a transaction."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._tallies: dict[RunId, Tally] = {}

    def state(self, run: RunId) -> str:
        """How a run that this writer has stands."""
        return self._tallies[run].state if run in self._tallies else ""

    def forget(self, runs: Iterable[RunId]) -> None:
        """Somebody else may go on with these runs."""
        for run in runs:
            self._tallies.pop(run, None)

    def forget_all(self) -> None:
        """It is not known what was written."""
        self._tallies.clear()

    def append(self, batch: Batch, now: float) -> None:
        """Write a batch. Raises what the database raises; then nothing is to be known of any run."""
        try:
            self._append(batch, now)
        except BaseException:
            self.forget_all()
            raise

    def _append(self, batch: Batch, now: float) -> None:
        if batch.values:
            self._database.add_contents(batch.values, now)
        if not (batch.events or batch.answers):
            return
        self._begin(batch.events)
        for run, event in batch.events:
            self._tallies[run].add(event)
        touched = {run: self._tallies[run] for run, _ in batch.events}
        rows = packed((*batch.events, *batch.answers))
        self._database.add_events([(run, row.kind, row.at, row.path, row.event) for run, row in rows])
        self._database.many(_UPDATE, [_update(run, tally) for run, tally in touched.items()])
        self._database.many("UPDATE runs SET last = ? WHERE run = ?", [(at_of(event), run) for run, event in batch.answers])

    def _begin(self, told: Sequence[Told]) -> None:
        """Have the tallies of runs that are new, or that go on after another process had them."""
        new = {run: event for run, event in reversed(told) if run not in self._tallies}
        if not new:
            return
        started = [_new(run, event) for run, event in new.items() if isinstance(event, RunStarted)]
        self._database.many(_INSERT, started)
        found = self._database.rows(f"SELECT {_SUMMARY} FROM runs r WHERE run IN ({marks(list(new))})", list(new))  # noqa: S608  # only marks
        for row in found:
            self._tallies[RunId(cast("str", row[0]))] = tally_of(row)
        for run, event in new.items():
            self._tallies.setdefault(run, Tally(at_of(event), at_of(event), "running"))


_INSERT: Final = "INSERT INTO runs VALUES (?, ?, ?, ?, ?, ?, 'running', 0, 0, 0, 0, 0, '0', 0) ON CONFLICT DO NOTHING"
_UPDATE: Final = f"UPDATE runs SET {', '.join(f'{name} = ?' for name in _COUNTED.split(', '))} WHERE run = ?"  # noqa: S608  # names of ours


def _new(run: RunId, event: RunStarted) -> tuple[object, ...]:
    return (run, clean(event.name), clean(event.node), clean(event.version), event.at, event.at)


def _update(run: RunId, tally: Tally) -> tuple[object, ...]:
    usage = tally.usage
    tokens = (usage.requests, usage.input_tokens, usage.cached_tokens, usage.output_tokens)
    return (tally.last, tally.state, tally.steps, *tokens, str(usage.usd), usage.unpriced_requests, run)


# Reading


def tally_of(row: tuple[object, ...]) -> Tally:
    """A row of runs as a tally. Raises what a damaged row makes it raise."""
    _, _, _, started, last, state, steps, *tokens, usd, unpriced = row
    requests, given, cached, written = (_count(each) for each in tokens)
    usage = Usage(requests, given, cached, written, Decimal(_text(usd)), _count(unpriced))
    return Tally(_float(started), _float(last), _text(state), _count(steps), usage)


def _summary(row: tuple[object, ...]) -> RunSummary:
    *known, goes_on = row
    tally = tally_of(tuple(known))
    run, name, node = (_text(each) for each in known[:3])
    state = as_shown(tally.state, goes_on=bool(goes_on))
    if state not in _STATES:
        raise ValueError(state)
    return RunSummary(RunId(run), name, node, state, tally.started, tally.last - tally.started, tally.steps, tally.usage)


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise TypeError(value)
    return value


def _float(value: object) -> float:
    if not isinstance(value, int | float):
        raise TypeError(value)
    return float(value)


def _count(value: object) -> int:
    if not isinstance(value, int):
        raise TypeError(value)
    return value


_STATES: Final = frozenset({"running", "finished", "failed", "cancelled", "drained", "suspended", "lost"})
DAMAGED: Final = (TypeError, ValueError, OverflowError, InvalidOperation, RecursionError)
"""What rows with values that are not of their kinds lead to."""


class SqlLook:
    """One look through a connection. `live` is the SQL that tells whether a process goes on with the run `r.run`."""

    def __init__(self, database: Database, name: str, live: str) -> None:
        self._database = database
        self._name = name
        self._live = live

    def runs(self, wanted: Wanted) -> list[RunSummary]:
        """The runs that are wanted, newest first."""
        where, values = self._where(wanted)
        limit = "" if wanted.limit is None else f" LIMIT {int(wanted.limit)}"
        query = f"SELECT {_SUMMARY}, {self._live} FROM runs r{where} ORDER BY r.started DESC, r.run DESC{limit}"  # noqa: S608  # ours
        try:
            return [_summary(row) for row in self._database.rows(query, values)]
        except DAMAGED as error:
            raise self._damaged("its list of runs") from error

    def _where(self, wanted: Wanted) -> tuple[str, list[object]]:
        parts: list[str] = []
        values: list[object] = []
        if wanted.name is not None:
            parts.append("r.name = ?")
            values.append(wanted.name)
        if wanted.states is not None:
            parts.append(f"({' OR '.join(self._in_state(state) for state in sorted(wanted.states)) or '1 = 0'})")
        if wanted.idle:
            parts.append(f"NOT {self._live}")
        if wanted.runs is not None:
            parts.append(f"r.run IN ({marks(wanted.runs)})" if wanted.runs else "1 = 0")
            values += wanted.runs
        if wanted.prefix:
            parts.append("r.run >= ? AND r.run < ?")
            values += [wanted.prefix, wanted.prefix + chr(0x10FFFF)]
        return (f" WHERE {' AND '.join(parts)}" if parts else ""), values

    def _in_state(self, state: StepState) -> str:
        if state not in _STATES:
            raise JournalError(f"no run is ever in the state {state!r}; there are {', '.join(sorted(_STATES))}")
        if state == "running":
            return f"(r.state = 'running' AND {self._live})"
        if state == "lost":
            return f"(r.state = 'lost' OR (r.state = 'running' AND NOT {self._live}))"
        return f"r.state = '{state}'"

    def events(self, run: RunId) -> Iterator[Row]:
        """The events of a run, in order."""
        query = "SELECT kind, at, path, event FROM events WHERE run = ? ORDER BY seq"
        for kind, at, path, event in self._database.stream(query, (run,)):
            try:
                row = Row(_text(kind), _float(at), None if path is None else _text(path), _text(event))
            except DAMAGED as error:
                raise self._damaged(f"run {run!r}") from error
            yield row

    def some(self, digests: Sequence[Digest]) -> dict[Digest, bytes]:
        """Those of the recorded values that are there."""
        query = f"SELECT digest, content FROM contents WHERE digest IN ({marks(digests)})"  # noqa: S608  # only marks
        return {Digest(str(digest)): self._bytes(content, digest) for digest, content in self._database.rows(query, digests)}

    def contents(self) -> Iterator[tuple[Digest, bytes]]:
        """All recorded values."""
        for digest, content in self._database.stream("SELECT digest, content FROM contents"):
            yield Digest(str(digest)), self._bytes(content, digest)

    def _bytes(self, content: object, digest: object) -> bytes:
        if not isinstance(content, bytes):
            raise self._damaged(f"the value {digest!r}")
        return content

    def conversations(self) -> Iterator[tuple[RunId, str, str]]:
        """Questions and answers of the runs that may go on."""
        query = (
            "SELECT r.run, r.name, e.event FROM runs r JOIN events e ON e.run = r.run "
            "WHERE r.state NOT IN ('finished', 'failed') AND e.kind IN ('asked', 'answered') "
            "ORDER BY r.started DESC, r.run DESC, e.seq"
        )
        for run, name, event in self._database.stream(query):
            try:
                row = RunId(_text(run)), _text(name), _text(event)
            except DAMAGED as error:
                raise self._damaged(f"run {run!r}") from error
            yield row

    def stray_runs(self) -> list[RunId]:
        """Runs that have events and are not in the list."""
        query = "SELECT DISTINCT run FROM events e WHERE NOT EXISTS (SELECT 1 FROM runs r WHERE r.run = e.run) ORDER BY run"
        return [RunId(str(run)) for (run,) in self._database.rows(query)]

    def check(self) -> list[str]:
        """A server looks after its own files."""
        return []

    def _damaged(self, what: str) -> JournalError:
        return JournalError(f"cannot use the journal {self._name}: it is damaged ({what} cannot be read)")

"""`SqliteJournal`: the store that needs nothing else, one file of SQLite for one writing process."""

from __future__ import annotations

import time
from collections.abc import Generator, Iterable, Iterator, Sequence
from contextlib import closing, contextmanager, nullcontext, suppress
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, final

from swarmlet.errors import GraphError, JournalError
from swarmlet.trace.events import Digest, RunId
from swarmlet.trace.journal.base import Backend, Batch, Pruned, Rule, Store, Upkeep
from swarmlet.trace.journal.sql import DAMAGED, EventRow, SqlLook, Tables
from swarmlet.trace.journal.writer import JournalWriter

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Callable
    from contextlib import AbstractContextManager

CLAIMED = "EXISTS (SELECT 1 FROM claims c WHERE c.run = r.run)"
"""Whether the process that writes the file goes on with the run `r.run`."""


def store_of(journal: str | PathLike[str] | Store) -> Store:
    """The store that is meant by a path, or by itself."""
    if isinstance(journal, str) and "://" in journal:
        raise JournalError(
            "a journal is the path of a file or a store: for a server say PostgresJournal(url), from swarmlet.bridges.journals"
        )
    if isinstance(journal, str | PathLike):
        return SqliteJournal(journal)
    if isinstance(journal, type) or not hasattr(journal, "looking"):
        raise GraphError(f"a journal is the path of a file, or a store such as MemoryJournal(), not {journal!r}")
    return journal


@final
class SqliteJournal:
    """A journal in the file at `path`, which is made when it is first opened for writing. One process at a time writes it.

    Not for network file systems, where locks and shared memory do not hold what they promise.
    """

    def __init__(self, path: str | PathLike[str]) -> None:
        self.path: Path = Path(path).expanduser()

    @property
    def name(self) -> str:
        """The path."""
        return repr(str(self.path))

    @property
    def key(self) -> Path:
        """The file, however it is named."""
        return self.path.resolve()

    def open(self) -> JournalWriter:
        """A writer. Raises `JournalError`."""
        return JournalWriter(self)

    def connect(self) -> Backend:
        """What the writer's thread uses."""
        from swarmlet.trace.journal.sqlite_file import WritableFile

        path = self.key
        file = WritableFile(path)
        try:
            return SqliteBackend(file.connection, path, file.close, nullcontext())
        except BaseException:
            file.close()
            raise

    @contextmanager
    def looking(self) -> Generator[SqliteLook]:
        """Look into the file, also while another process writes it."""
        from swarmlet.trace.journal.sqlite_file import reading
        from swarmlet.trace.journal.sqlite_lock import is_written

        with reading(self.path) as (connection, found):
            live = "1 = 0" if not is_written(self.path) else CLAIMED if found > 1 else "1 = 1"
            yield SqliteLook(connection, self.name, live)

    def maintained(self, work: Callable[[Upkeep], Pruned | None]) -> Pruned | None:
        """Have `work` done by this process's writer, so no other process may write meanwhile."""
        with closing(self.open()) as writer:
            return writer.maintain(work)


@final
class SqliteDatabase:
    """A connection, as the tables want it."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self.connection = connection

    def rows(self, sql: str, values: Sequence[object] = ()) -> list[tuple[object, ...]]:
        """All rows of a query."""
        return self.connection.execute(sql, values).fetchall()

    def stream(self, sql: str, values: Sequence[object] = ()) -> Iterator[tuple[object, ...]]:
        """The rows of a query, one by one."""
        for row in self.connection.execute(sql, values):  # noqa: UP028  # `yield from` would close a cursor that is closed
            yield row

    def many(self, sql: str, values: Iterable[Sequence[object]]) -> int:
        """Execute a statement for each of `values`."""
        return max(0, self.connection.executemany(sql, values).rowcount)

    def add_events(self, rows: list[EventRow]) -> None:
        """Append to the table of events."""
        self.connection.executemany("INSERT INTO events (run, kind, at, path, event) VALUES (?, ?, ?, ?, ?)", rows)

    def add_contents(self, contents: dict[Digest, bytes], now: float) -> None:
        """Keep recorded values."""
        self.connection.executemany(
            "INSERT INTO contents VALUES (?, ?, ?) ON CONFLICT (digest) "
            "DO UPDATE SET touched = excluded.touched WHERE touched < excluded.touched - 3600",
            ((digest, content, now) for digest, content in contents.items()),
        )


@final
class SqliteLook(SqlLook):
    """A look into a file."""

    def __init__(self, connection: sqlite3.Connection, name: str, live: str) -> None:
        super().__init__(SqliteDatabase(connection), name, live)
        self._connection = connection

    def check(self) -> list[str]:
        """What SQLite finds wrong with the file."""
        found = [str(row[0]) for row in self._connection.execute("PRAGMA integrity_check(20)")]
        return [] if found == ["ok"] else found


@final
class SqliteBackend:
    """Writes one file. That nobody else writes it is settled, so a claim is only noted, for readers.

    `guard` is held for as long as the connection is used, where it is not this thread's alone.
    """

    pulse: float | None = None

    def __init__(
        self, connection: sqlite3.Connection, path: Path, close: Callable[[], object], guard: AbstractContextManager[object]
    ) -> None:
        self._connection = connection
        self._guard = guard
        self._path = path
        self._close = close
        self._database = SqliteDatabase(connection)
        self._tables = Tables(self._database)
        self._held: set[RunId] = set()
        self._noted: set[RunId] = set()
        self._left: set[RunId] = set()
        with self._transaction():
            connection.execute("DELETE FROM claims")  # of processes that were killed

    def claim(self, runs: Sequence[RunId]) -> dict[RunId, str]:
        """Nobody else can have them."""
        self._held |= set(runs)
        self._left -= set(runs)
        return {}

    def append(self, batch: Batch) -> set[RunId]:
        """Write a batch."""
        now = time.time()
        with self._transaction():
            self._note({run for run, _ in batch.events} - self._noted, now)
            self._tables.append(batch, now)
        return set()

    def _note(self, new: set[RunId], now: float) -> None:
        self._database.many("DELETE FROM claims WHERE run = ?", [(run,) for run in self._left])
        self._database.many("INSERT INTO claims VALUES (?, ?) ON CONFLICT DO NOTHING", [(run, now) for run in new])
        self._noted |= new
        self._left.clear()

    def release(self, runs: Sequence[RunId]) -> None:
        """Note that they go on no longer: at once if that is to be seen, else with the next batch, as a commit takes time."""
        open_ones = [run for run in runs if self._tables.state(run) == "running"]
        self._tables.forget(runs)
        self._held -= set(runs)
        self._left |= self._noted.intersection(runs)
        self._noted.difference_update(runs)
        if open_ones:
            with self._transaction():
                self._note(set(), 0.0)

    def renew(self) -> set[RunId]:
        """Nothing to do: the operating system knows who is alive."""
        return set()

    def prune(self, rule: Rule) -> Pruned:
        """Delete runs, and the values that nothing names."""
        from swarmlet.trace.journal.pruning import prune

        with self._transaction():
            self._note(self._held - self._noted, time.time())
        with self._explained():
            look = SqlLook(self._database, repr(str(self._path)), CLAIMED)
            return prune(self._database, look, rule, self._transaction)

    def vacuum(self) -> None:
        """Write the file anew, without gaps."""
        with self._explained():
            self._connection.execute("VACUUM")
            self._connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")

    def close(self) -> None:
        """Let go of the file."""
        with suppress(JournalError), self._transaction():
            self._connection.execute("DELETE FROM claims")
        self._close()

    @contextmanager
    def _explained(self) -> Generator[None]:
        import sqlite3

        from swarmlet.trace.journal.sqlite_file import explain

        try:
            with self._guard:
                yield
        except (sqlite3.Error, OSError, *DAMAGED) as error:
            raise explain(self._path, error) from error

    @contextmanager
    def _transaction(self) -> Generator[None]:
        import sqlite3

        with self._explained():
            self._connection.execute("BEGIN IMMEDIATE")
            try:
                yield
                self._connection.execute("COMMIT")
            except BaseException:
                with suppress(sqlite3.Error):
                    self._connection.execute("ROLLBACK")
                raise

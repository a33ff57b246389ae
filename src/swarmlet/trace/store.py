"""The journal's file: its tables, how it is opened, who may write it, and what is said when it cannot be.

One SQLite file, with one table each for runs, events and recorded values. `journal` sits on top and knows
what the rows mean. Here it is only settled that a file is ours, whole, and written by one process at a
time.

While a process writes, the file is in WAL mode, so that readers and the writer do not wait for one another.
When the writer closes, it is put back into one plain file, which a reader can open without creating
anything beside it.
"""

from __future__ import annotations

import os
import sqlite3
import sys
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Final, TypeAlias, cast, final

from swarmlet.errors import JournalError
from swarmlet.trace.events import RunId
from swarmlet.trace.read import StepState
from swarmlet.usage import Usage

if TYPE_CHECKING:
    from collections.abc import Generator

APPLICATION_ID: Final = 0x53574C54
"""`SWLT`: marks an SQLite file as a journal."""

SCHEMA_VERSION: Final = 1
"""Raised when the tables or the events change in a way that older readers would misread."""

BUSY_SECONDS: Final = 5.0
"""How long to wait for another program that holds the file, such as an `sqlite3` shell in a transaction."""

SCHEMA: Final = (
    """
    CREATE TABLE runs (
        run TEXT PRIMARY KEY, name TEXT NOT NULL, node TEXT NOT NULL, version TEXT NOT NULL,
        started REAL NOT NULL,
        -- from here on kept up to date with the events, so that listing runs reads no events
        last REAL NOT NULL, state TEXT NOT NULL, steps INTEGER NOT NULL, requests INTEGER NOT NULL,
        input_tokens INTEGER NOT NULL, cached_tokens INTEGER NOT NULL, output_tokens INTEGER NOT NULL,
        usd TEXT NOT NULL, unpriced_requests INTEGER NOT NULL
    ) WITHOUT ROWID
    """,
    "CREATE INDEX runs_by_start ON runs (started)",
    """
    CREATE TABLE events (
        seq INTEGER PRIMARY KEY, -- in the order in which they happened, over all runs
        run TEXT NOT NULL, kind TEXT NOT NULL, at REAL NOT NULL, path TEXT,
        event TEXT NOT NULL -- the whole event as JSON; `kind`, `at` and `path` repeat it for SQL
    )
    """,
    "CREATE INDEX events_by_run ON events (run)",
    "CREATE TABLE contents (digest TEXT PRIMARY KEY, content BLOB NOT NULL)",
    f"PRAGMA application_id = {APPLICATION_ID}",
    f"PRAGMA user_version = {SCHEMA_VERSION}",
)

SUMMARY: Final = (
    "run, name, node, started, last, state, steps, requests, input_tokens, cached_tokens, output_tokens, usd, unpriced_requests"
)
SummaryRow: TypeAlias = tuple[str, str, str, float, float, str, int, int, int, int, int, str, int]


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
    """How the run ended; `running` if it has not, or if its process was killed."""
    started_at: float
    """When, in seconds since 1970 (UTC)."""
    seconds: float
    """Wall time until its last event."""
    steps: int
    """How many steps it has started."""
    usage: Usage
    """What it cost, failed attempts included."""


def summary(row: SummaryRow) -> RunSummary:
    """The run that a row of `SUMMARY` tells of."""
    run, name, node, started, last, state, steps, *tokens, usd, unpriced = row
    requests, given, cached, written = cast("tuple[int, int, int, int]", tokens)
    usage = Usage(requests, given, cached, written, Decimal(usd), unpriced)
    return RunSummary(RunId(run), name, node, cast("StepState", state), started, last - started, steps, usage)


_REASONS: Final = {
    sqlite3.SQLITE_NOTADB: "it is not a swarmlet journal (not an SQLite file)",
    sqlite3.SQLITE_CORRUPT: "it is damaged",
    sqlite3.SQLITE_BUSY: "another program keeps it locked",
    sqlite3.SQLITE_FULL: "the disk is full",
    sqlite3.SQLITE_IOERR: "the disk reports an error",
    sqlite3.SQLITE_READONLY: "it may not be written",
    sqlite3.SQLITE_CANTOPEN: "it cannot be opened",
    sqlite3.SQLITE_PERM: "it may not be accessed",
}


def explain(path: Path, error: Exception) -> JournalError:
    """`error` as the one sentence that a user can act on."""
    if isinstance(error, JournalError):
        return error
    if isinstance(error, OSError):
        return JournalError(f"cannot use the journal {str(path)!r}: {error.strerror or error}")
    code = getattr(error, "sqlite_errorcode", None)
    reason = _REASONS.get(code & 0xFF, "") if isinstance(code, int) else ""
    return JournalError(f"cannot use the journal {str(path)!r}: {f'{reason} ({error})' if reason else error}")


@contextmanager
def reading(path: Path) -> Generator[sqlite3.Connection]:
    """A read-only connection to the journal at `path`. Raises `JournalError`. Creates no file."""
    if not path.exists():
        raise JournalError(f"there is no journal at {str(path)!r}")
    if not path.is_file():
        raise JournalError(f"cannot use the journal {str(path)!r}: it is no file")
    try:
        with closing(_open_reader(path)) as connection:
            if not _is_journal(connection, path):
                raise JournalError(f"the journal {str(path)!r} is empty: no run was recorded in it yet")
            yield connection
    except sqlite3.Error as error:
        raise explain(path, error) from error


def _open_reader(path: Path) -> sqlite3.Connection:
    connection = _connect(path, "ro")
    try:
        connection.execute("PRAGMA application_id").fetchone()
    except sqlite3.OperationalError as error:
        connection.close()
        if error.sqlite_errorcode != sqlite3.SQLITE_READONLY_ROLLBACK:
            raise
        # a writer was killed in the few milliseconds in which it works outside of the WAL
        WritableFile(path).close()
        return _connect(path, "ro")
    except BaseException:
        connection.close()
        raise
    return connection


@final
class WritableFile:
    """The journal at `path`, created if need be, opened by the one process that may write it."""

    def __init__(self, path: Path) -> None:
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            _refuse_foreign(path)
            self._lock = WriterLock(path)
            try:
                self.connection: sqlite3.Connection = _open_writer(path)
            except BaseException:
                self._lock.release()
                raise
        except (OSError, sqlite3.Error) as error:
            raise explain(path, error) from error

    def close(self) -> None:
        """Leave one plain file; while a reader is looking, the WAL stays beside it, which is as good."""
        with closing(self.connection), suppress(sqlite3.Error):
            self.connection.execute("PRAGMA busy_timeout = 0")
            self.connection.execute("PRAGMA journal_mode = DELETE")
        self._lock.release()


def _refuse_foreign(path: Path) -> None:
    """Raise if there is a file that is no journal, before a lock's file is put beside it."""
    if path.exists() and not path.is_file():
        raise JournalError(f"cannot use the journal {str(path)!r}: it is no file")
    if path.exists():
        with suppress(sqlite3.OperationalError), closing(_connect(path, "ro")) as connection:
            _is_journal(connection, path)


def _open_writer(path: Path) -> sqlite3.Connection:
    with suppress(FileExistsError):
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600))  # prompts are private
    connection = _connect(path, "rw")
    try:
        if not _is_journal(connection, path):
            _create_tables(connection)
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = FULL")
    except BaseException:
        connection.close()
        raise
    return connection


def _connect(path: Path, mode: str) -> sqlite3.Connection:
    return sqlite3.connect(
        f"{path.absolute().as_uri()}?mode={mode}",
        uri=True,
        timeout=BUSY_SECONDS,
        isolation_level=None,
        check_same_thread=False,  # opened where errors can be told, then used by the writer thread alone
    )


def _is_journal(connection: sqlite3.Connection, path: Path) -> bool:
    """Whether the file has our tables; `False` if it has none at all. Anything else is not ours to touch."""
    (application,) = connection.execute("PRAGMA application_id").fetchone()
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    if application == APPLICATION_ID:
        if version > SCHEMA_VERSION:
            raise JournalError(
                f"the journal {str(path)!r} has format {version}, and this swarmlet knows formats up to "
                f"{SCHEMA_VERSION}: a newer swarmlet wrote it, so upgrade swarmlet"
            )
        return True
    (tables,) = connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
    if application or version or tables:
        raise JournalError(f"{str(path)!r} is not a swarmlet journal but an SQLite file of another program")
    return False


def _create_tables(connection: sqlite3.Connection) -> None:
    connection.execute("BEGIN IMMEDIATE")  # a process that dies here leaves an empty file, not half a schema
    for statement in SCHEMA:
        connection.execute(statement)
    connection.execute("COMMIT")


class WriterLock:
    """Held by the one process that writes a journal; the operating system lets go of it when that process
    dies.

    SQLite would allow several writers, but before 3.51.3 two connections that both checkpoint can lose
    data. The lock is a file of its own, because opening and closing the journal itself would drop SQLite's
    own locks. Where there is no `flock` (Windows) nothing is locked: there it is the user's part to give
    each process a journal of its own.
    """

    def __init__(self, journal: Path) -> None:
        path = journal.with_name(f"{journal.name}-lock")
        self._file = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
        try:
            self._lock(journal)
        except BaseException:
            os.close(self._file)
            raise

    def _lock(self, journal: Path) -> None:
        if sys.platform != "win32":
            import fcntl

            try:
                fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                holder = os.read(self._file, 20).decode(errors="replace").strip() or "unknown"
                raise JournalError(
                    f"the journal {str(journal)!r} is being written by another process (pid {holder}): "
                    "give each process a journal of its own"
                ) from None
        os.ftruncate(self._file, 0)
        os.write(self._file, f"{os.getpid()}\n".encode())

    def release(self) -> None:
        """Let another process write. The lock's file stays: removing it would be a race."""
        os.close(self._file)

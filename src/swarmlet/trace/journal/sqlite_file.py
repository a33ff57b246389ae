"""The journal's file: its tables, how it is opened, who may write it, and what is said when it cannot be.

One SQLite file, with one table each for runs, events, recorded values, and the runs that go on. Here it is only settled that
a file is ours, whole, and written by one process at a time.

While a process writes, the file is in WAL mode, so that readers and the writer do not wait for one another. When the writer
closes, it is put back into one plain file, which a reader can open without creating anything beside it.
"""

from __future__ import annotations

import os
import sqlite3
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Final, final

from swarmlet.errors import JournalError
from swarmlet.trace.journal.base import FORMAT
from swarmlet.trace.journal.sqlite_lock import WriterLock

if TYPE_CHECKING:
    from collections.abc import Generator

APPLICATION_ID: Final = 0x53574C54
"""`SWLT`: marks an SQLite file as a journal."""

BUSY_SECONDS: Final = 5.0
"""How long to wait for another program that holds the file, such as an `sqlite3` shell in a transaction."""

_FORMAT_1: Final = (
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
)

_FROM_1_TO_2: Final = (
    # when it was recorded last, for the one who deletes values that nothing names
    "ALTER TABLE contents ADD COLUMN touched REAL NOT NULL DEFAULT 0",
    # the runs that go on in the process that has the writer's lock; without that lock nobody goes on
    "CREATE TABLE claims (run TEXT PRIMARY KEY, since REAL NOT NULL) WITHOUT ROWID",
    "CREATE INDEX runs_by_state ON runs (state, started)",
    "CREATE INDEX questions ON events (run, seq) WHERE kind IN ('asked', 'answered')",
)

_FROM_2_TO_3: Final = (
    # rows of the kind `steps`, which hold several events: see `packing`
    f"PRAGMA user_version = {FORMAT}",
)

SCHEMA: Final = (*_FORMAT_1, f"PRAGMA application_id = {APPLICATION_ID}", *_FROM_1_TO_2, *_FROM_2_TO_3)
_FROM: Final = {0: SCHEMA, 1: (*_FROM_1_TO_2, *_FROM_2_TO_3), 2: _FROM_2_TO_3}

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
_REMEDIES: Final = {
    sqlite3.SQLITE_FULL: "make room, then resume",
    sqlite3.SQLITE_READONLY: "make the file and its folder writable, or name another one",
    sqlite3.SQLITE_CORRUPT: "`swarmlet journal verify` says more; restore it from a backup, or name a new file",
    sqlite3.SQLITE_BUSY: "end that program's transaction",
}


def explain(path: Path, error: Exception) -> JournalError:
    """`error` as the one sentence that a user can act on."""
    if isinstance(error, JournalError):
        return error
    if isinstance(error, OSError):
        return JournalError(f"cannot use the journal {str(path)!r}: {error.strerror or error}")
    if not isinstance(error, sqlite3.Error):
        return JournalError(f"cannot use the journal {str(path)!r}: it is damaged ({type(error).__name__})")
    code = getattr(error, "sqlite_errorcode", None)
    primary = code & 0xFF if isinstance(code, int) else 0
    reason, remedy = _REASONS.get(primary, ""), _REMEDIES.get(primary, "")
    told = f"{reason} ({error})" if reason else f"{error}"
    return JournalError(f"cannot use the journal {str(path)!r}: {told}{f'; {remedy}' if remedy else ''}")


@contextmanager
def reading(path: Path) -> Generator[tuple[sqlite3.Connection, int]]:
    """A read-only connection to the journal at `path`, in a transaction, and its format. Raises `JournalError`. Creates no
    file."""
    if not path.exists():
        raise JournalError(f"there is no journal at {str(path)!r}")
    if not path.is_file():
        raise JournalError(f"cannot use the journal {str(path)!r}: it is no file")
    try:
        with closing(_open_reader(path)) as connection:
            connection.execute("BEGIN")
            found = format_of(connection, path)
            if not found:
                raise JournalError(f"the journal {str(path)!r} is empty: no run was recorded in it yet")
            yield connection, found
    except (OSError, sqlite3.Error, UnicodeDecodeError) as error:
        raise explain(path, error) from error


def _open_reader(path: Path) -> sqlite3.Connection:
    connection = connect(path, "ro")
    try:
        connection.execute("PRAGMA application_id").fetchone()
    except sqlite3.OperationalError as error:
        connection.close()
        if error.sqlite_errorcode != sqlite3.SQLITE_READONLY_ROLLBACK:
            raise
        # a writer was killed in the few milliseconds in which it works outside of the WAL
        WritableFile(path, migrate=False).close()
        return connect(path, "ro")
    except BaseException:
        connection.close()
        raise
    return connection


@final
class WritableFile:
    """The journal at `path`, created if need be, opened by the one process that may write it."""

    def __init__(self, path: Path, *, migrate: bool = True) -> None:
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            _refuse_foreign(path)
            self._lock = WriterLock(path)
            try:
                self.connection: sqlite3.Connection = _open_writer(path, migrate=migrate)
            except BaseException:
                self._lock.release()
                raise
        except (OSError, sqlite3.Error, UnicodeDecodeError) as error:
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
        with suppress(sqlite3.OperationalError), closing(connect(path, "ro")) as connection:
            format_of(connection, path)


def _open_writer(path: Path, *, migrate: bool) -> sqlite3.Connection:
    with suppress(FileExistsError):
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600))  # prompts are private
    connection = connect(path, "rw")
    try:
        found = format_of(connection, path)
        if migrate:
            make_tables(connection, found)
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = FULL")
        connection.execute(
            "PRAGMA cache_size = -16000"
        )  # kB: values come in no order, so that their index is all over the file
        connection.execute(
            "PRAGMA wal_autocheckpoint = 4000"
        )  # pages, 16 MB: a page that changes often is copied back less often
    except BaseException:
        connection.close()
        raise
    return connection


def connect(path: Path, mode: str) -> sqlite3.Connection:
    """A connection to a file that is not trusted: what stands in its schema may call no function that has effects."""
    connection = sqlite3.connect(
        f"{path.absolute().as_uri()}?mode={mode}",
        uri=True,
        timeout=BUSY_SECONDS,
        isolation_level=None,
        check_same_thread=False,  # opened where errors can be told, then used by the writer thread alone
    )
    connection.execute("PRAGMA trusted_schema = OFF")
    return connection


def format_of(connection: sqlite3.Connection, path: Path) -> int:
    """The format of the tables; 0 if there are none at all. Anything else is not ours to touch."""
    (application,) = connection.execute("PRAGMA application_id").fetchone()
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    if application == APPLICATION_ID:
        if version > FORMAT:
            raise JournalError(
                f"the journal {str(path)!r} has format {version}, and this swarmlet knows formats up to "
                f"{FORMAT}: a newer swarmlet wrote it, so upgrade swarmlet"
            )
        _check_tables(connection, path, version)
        return int(version)
    (tables,) = connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
    if application or version or tables:
        raise JournalError(f"{str(path)!r} is not a swarmlet journal but an SQLite file of another program")
    return 0


def _check_tables(connection: sqlite3.Connection, path: Path, version: int) -> None:
    """A view in place of a table, or a trigger, would make reading and writing do what somebody else wants."""
    rows = connection.execute("SELECT type, name, coalesce(sql, '') FROM sqlite_master").fetchall()
    found = {
        (kind if "VIRTUAL" not in sql.upper().split("(")[0] else "virtual", name)
        for kind, name, sql in rows
        if not str(name).startswith(("sqlite_autoindex", "sqlite_stat"))
    }
    tables = {"runs", "events", "contents"} if version == 1 else {"runs", "events", "contents", "claims"}
    if {name for kind, name in found if kind == "table"} != tables or {kind for kind, _ in found} - {"table", "index"}:
        raise JournalError(f"cannot use the journal {str(path)!r}: its tables are not those of a swarmlet journal")


def make_tables(connection: sqlite3.Connection, found: int) -> None:
    """Create the tables, or change those of an older format. A process that dies here leaves what was."""
    if found == FORMAT:
        return
    connection.execute("BEGIN IMMEDIATE")
    try:
        for statement in _FROM[found]:
            connection.execute(statement)
        connection.execute("COMMIT")
    except BaseException:
        with suppress(sqlite3.Error):
            connection.execute("ROLLBACK")
        raise

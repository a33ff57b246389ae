"""The file of a cache: its tables, how it is opened, and how several processes write it.

An SQLite file in WAL mode, so that nobody who reads waits for one who writes. Whoever writes also holds a lock in a file
beside it: before 3.51.3, SQLite can damage a file in WAL mode that two connections write or checkpoint in the same moment.
Where there is no `flock` (Windows) there is no such lock.
"""

from __future__ import annotations

import os
import sqlite3
import sys
import time
from collections.abc import Callable, Generator
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import Final, TypeAlias, final

from swarmlet.errors import JournalError

APPLICATION_ID: Final = 0x53574C43
"""`SWLC`: marks an SQLite file as a cache of replies."""

SCHEMA_VERSION: Final = 1
"""Raised when the tables change. A cache of an older version is emptied, one of a newer version is refused."""

BUSY_SECONDS: Final = 1.0
"""How long to wait for another program that holds the file."""

_ROOM: Final = 0.9
"""How full a cache is after it was found too full."""

_TOUCHED: Final = 1_000
"""How many uses are remembered until the next write, for the order in which entries go."""

_SCHEMA: Final = (
    """
    CREATE TABLE replies (
        key TEXT PRIMARY KEY, reply BLOB NOT NULL, size INTEGER NOT NULL,
        made REAL NOT NULL, used REAL NOT NULL -- seconds since 1970
    )
    """,
    "CREATE INDEX replies_by_use ON replies (used)",
    "CREATE INDEX replies_by_age ON replies (made)",
    "CREATE TABLE kept (size INTEGER NOT NULL) -- the sum of replies.size",
    "INSERT INTO kept VALUES (0)",
    "CREATE TRIGGER replies_in AFTER INSERT ON replies BEGIN UPDATE kept SET size = size + new.size; END",
    "CREATE TRIGGER replies_out AFTER DELETE ON replies BEGIN UPDATE kept SET size = size - old.size; END",
    f"PRAGMA application_id = {APPLICATION_ID}",
    f"PRAGMA user_version = {SCHEMA_VERSION}",
)

_REASONS: Final = {
    sqlite3.SQLITE_NOTADB: "it is not a cache of swarmlet's (not an SQLite file)",
    sqlite3.SQLITE_CORRUPT: "it is damaged; it is only a cache, so delete it",
    sqlite3.SQLITE_BUSY: "another program keeps it locked",
    sqlite3.SQLITE_FULL: "the disk is full",
    sqlite3.SQLITE_IOERR: "the disk reports an error",
    sqlite3.SQLITE_READONLY: "it may not be written",
    sqlite3.SQLITE_CANTOPEN: "it cannot be opened",
    sqlite3.SQLITE_PERM: "it may not be accessed",
}

_Change: TypeAlias = Callable[[str, tuple[str | bytes | float, ...]], object]
"""Executes one statement of a transaction."""


class Busy(Exception):  # never leaves the cache
    """Another process holds the file, and may let go of it later."""


def explain(path: Path, error: Exception) -> JournalError:
    """`error` as the one sentence that a user can act on."""
    if isinstance(error, JournalError):
        return error
    code = sqlite3.SQLITE_BUSY if isinstance(error, Busy) else getattr(error, "sqlite_errorcode", None)
    reason = _REASONS.get(code & 0xFF, "") if isinstance(code, int) else ""
    said = error.strerror if isinstance(error, OSError) else None
    return JournalError(f"cannot use the cache {str(path)!r}: {reason or said or error}")


def is_busy(error: Exception) -> bool:
    """Whether a failure passes when somebody else is done."""
    code = getattr(error, "sqlite_errorcode", None)
    return isinstance(error, Busy) or (isinstance(code, int) and code & 0xFF in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED))


@final
class CacheFile:
    """The open file. Not for several threads at once. Raises `JournalError`, `OSError`, `sqlite3.Error` or `Busy`."""

    def __init__(self, path: Path, max_bytes: int, ttl: float | None) -> None:
        self._max = max_bytes
        self._ttl = ttl
        self._touched: dict[str, float] = {}
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.exists() and not path.is_file():
            raise JournalError(f"cannot use the cache {str(path)!r}: it is no file")
        _refuse_foreign(path)
        self._lock = os.open(path.with_name(f"{path.name}-lock"), os.O_RDWR | os.O_CREAT, 0o600)
        try:
            with self._writing():
                self._connection = _open(path)
        except BaseException:
            os.close(self._lock)
            raise

    def get(self, key: str) -> bytes | None:
        """What was kept for `key` and is not too old."""
        now = time.time()
        found = self._connection.execute("SELECT reply, made FROM replies WHERE key = ?", (key,)).fetchone()
        if found is None or not isinstance(found[0], bytes) or (self._ttl is not None and now - found[1] >= self._ttl):
            return None
        if len(self._touched) < _TOUCHED:
            self._touched[key] = now
        return found[0]

    def put(self, key: str, content: bytes) -> None:
        """Keep `content`, and make room for it."""
        size = len(content) + len(key)
        if size > self._max:
            return
        now = time.time()
        with self._changing() as change:
            change("DELETE FROM replies WHERE key = ?", (key,))
            change("INSERT INTO replies VALUES (?, ?, ?, ?, ?)", (key, content, size, now, now))
            if self._ttl is not None:
                change("DELETE FROM replies WHERE made <= ?", (now - self._ttl,))
            self._make_room(key)

    def drop(self, key: str) -> None:
        """Keep nothing for `key`."""
        with self._changing() as change:
            change("DELETE FROM replies WHERE key = ?", (key,))

    def close(self) -> None:
        """Let go of the file."""
        try:
            with suppress(sqlite3.Error, Busy):
                with suppress(sqlite3.Error), self._changing():
                    pass  # writes down what was used
                with self._writing():  # the last to close a file in WAL mode checkpoints it
                    self._connection.close()
        finally:
            with suppress(sqlite3.Error):
                self._connection.close()
            os.close(self._lock)

    def _make_room(self, keep: str) -> None:
        (size,) = self._connection.execute("SELECT size FROM kept").fetchone()
        if size <= self._max:
            return
        gone: list[tuple[str]] = []
        for key, its in self._connection.execute("SELECT key, size FROM replies WHERE key <> ? ORDER BY used", (keep,)):
            if size <= self._max * _ROOM:
                break
            gone.append((key,))
            size -= its
        self._connection.executemany("DELETE FROM replies WHERE key = ?", gone)

    @contextmanager
    def _changing(self) -> Generator[_Change]:
        """A transaction, in which it is also written down which entries were used since the last."""
        with self._writing():
            self._connection.execute("BEGIN IMMEDIATE")
            try:
                used = [(at, key) for key, at in self._touched.items()]
                self._connection.executemany("UPDATE replies SET used = ? WHERE key = ?", used)
                yield self._connection.execute
                self._connection.execute("COMMIT")
                self._touched.clear()
            except BaseException:
                with suppress(sqlite3.Error):
                    self._connection.execute("ROLLBACK")
                raise

    @contextmanager
    def _writing(self) -> Generator[None]:
        """Keeps all other processes from writing. Raises `Busy`."""
        if sys.platform == "win32":
            yield
            return
        import fcntl

        until = time.monotonic() + BUSY_SECONDS
        while True:
            try:
                fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() >= until:
                    raise Busy from None
                time.sleep(0.002)
        try:
            yield
        finally:
            fcntl.flock(self._lock, fcntl.LOCK_UN)


def _refuse_foreign(path: Path) -> None:
    """Raise if there is a file that is no cache, before anything is put beside it."""
    if path.exists():
        with closing(_connect(path, "ro")) as connection, suppress(sqlite3.OperationalError):
            _is_cache(connection, path)


def _open(path: Path) -> sqlite3.Connection:
    with suppress(FileExistsError):
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600))  # what models say is private
    connection = _connect(path, "rw")
    try:
        if not _is_cache(connection, path):
            connection.execute("BEGIN IMMEDIATE")
            for table in ("replies", "kept"):
                connection.execute(f"DROP TABLE IF EXISTS {table}")
            for statement in _SCHEMA:
                connection.execute(statement)
            connection.execute("COMMIT")
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = NORMAL")  # a power cut may cost the last replies, not the file
        connection.execute("SELECT size FROM kept").fetchone()
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
        check_same_thread=False,  # one worker thread after the other uses it, never two at once
    )


def _is_cache(connection: sqlite3.Connection, path: Path) -> bool:
    """Whether the file has tables of this version; `False` if it has none, or older ones. All else is not ours to touch."""
    (application,) = connection.execute("PRAGMA application_id").fetchone()
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    if application == APPLICATION_ID:
        if version > SCHEMA_VERSION:
            raise JournalError(
                f"the cache {str(path)!r} has format {version}, and this swarmlet knows formats up to {SCHEMA_VERSION}: "
                "a newer swarmlet wrote it, so upgrade swarmlet or use another file"
            )
        return bool(version == SCHEMA_VERSION)
    (tables,) = connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
    if application or version or tables:
        raise JournalError(f"{str(path)!r} is not a cache of swarmlet's but an SQLite file of another program")
    return False

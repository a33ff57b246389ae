"""`PostgresJournal`: the store that many processes share. Each writes through one connection, which its writer's thread has."""

from __future__ import annotations

import time
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from importlib import import_module
from typing import TYPE_CHECKING, Final, TypeVar, final

from swarmlet.bridges.journals.leases import GOES_ON, OLDEST, Leases
from swarmlet.bridges.journals.schema import exists, prepare, use
from swarmlet.bridges.journals.words import explain, shown
from swarmlet.errors import JournalError
from swarmlet.trace.events import Digest, RunId
from swarmlet.trace.journal.base import Backend, Batch, Pruned, Rule, Upkeep
from swarmlet.trace.journal.pruning import prune
from swarmlet.trace.journal.sql import DAMAGED, EventRow, SqlLook, Tables
from swarmlet.trace.journal.writer import JournalWriter

if TYPE_CHECKING:
    from collections.abc import Hashable

    from swarmlet.bridges.journals.schema import Connection

T = TypeVar("T")

_CONNECT_SECONDS: Final = 5
_COPY: Final = "COPY events (run, kind, at, path, event) FROM STDIN"

_AGAIN_SECONDS: Final = 0.2
"""Between two tries to get a lost connection back."""


@final
class PostgresJournal:
    """A journal in one `schema` of a Postgres 13 or newer, made at the first use by a writer.

    `lease` is for how many seconds a process that says nothing counts as alive: after that, others may take its runs. It is
    also for how long a writer tries to get a lost connection back, before its journal has failed.
    """

    def __init__(self, url: str, *, schema: str = "swarmlet", lease: float = 10.0) -> None:
        if not schema or "\0" in schema or len(schema.encode()) > 63:
            raise JournalError(f"schema={schema!r} is no name for a schema: give one of 1 to 63 bytes")
        if not 0 < lease < float("inf"):
            raise JournalError(f"lease= is a number of seconds above 0, not {lease!r}")
        self._url = url
        self._schema = schema
        self._lease = lease
        self._name = ""

    def __repr__(self) -> str:
        return f"<PostgresJournal {self.name}>"

    @property
    def name(self) -> str:
        """Where it is, without the password."""
        if not self._name:
            _needs_driver()
            self._name = shown(self._url, self._schema)
        return self._name

    @property
    def key(self) -> Hashable:
        """The URL and the schema."""
        return self._url, self._schema

    def open(self) -> JournalWriter:
        """A writer. Connects, so it may block for seconds. Raises `JournalError`."""
        return JournalWriter(self)

    def connect(self) -> Backend:
        """What the writer's thread uses."""
        return PostgresBackend(self._connect, self._schema, self.name, self._lease)

    @contextmanager
    def looking(self) -> Generator[SqlLook]:
        """Look into it through a connection of its own, in one snapshot; changes nothing."""
        with explained(self.name):
            connection = self._connect()
            try:
                connection.execute("BEGIN ISOLATION LEVEL REPEATABLE READ, READ ONLY")
                if not exists(connection, self._schema, self.name):
                    raise JournalError(f"there is no journal at {self.name}: no swarm has written to it yet")
                yield SqlLook(PostgresDatabase(connection), self.name, GOES_ON)
            finally:
                connection.close()

    def maintained(self, work: Callable[[Upkeep], Pruned | None]) -> Pruned | None:
        """Have `work` done through a connection of its own, beside the writers."""
        return work(_Maintenance(self._connect, self._schema, self.name))

    def _connect(self) -> Connection:
        _needs_driver()
        import psycopg

        try:
            connection = psycopg.connect(
                self._url,
                autocommit=True,
                connect_timeout=_CONNECT_SECONDS,
                application_name="swarmlet journal",
                tcp_user_timeout=round(1000 * max(self._lease, _CONNECT_SECONDS)),
            )
        except psycopg.ProgrammingError:
            raise JournalError(
                "cannot use the journal in Postgres: its URL cannot be read; it looks like postgresql://user@host:5432/database"
            ) from None  # the cause may quote the password
        connection.execute("SELECT set_config('lock_timeout', %s, false)", (f"{_CONNECT_SECONDS}s",))
        return connection


def _needs_driver() -> None:
    try:
        import_module("psycopg")
    except ImportError:
        raise JournalError("a journal in Postgres needs the package 'psycopg': pip install 'swarmlet[workers]'") from None


@contextmanager
def explained(name: str) -> Generator[None]:
    """Turn the driver's errors into `JournalError`."""
    import psycopg

    try:
        yield
    except (psycopg.Error, OSError, *DAMAGED) as error:
        raise explain(name, error) from error


@final
class PostgresDatabase:
    """A connection, as the tables want it."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def rows(self, sql: str, values: Sequence[object] = ()) -> list[tuple[object, ...]]:
        """All rows of a query."""
        return self._connection.execute(_spelled(sql), values).fetchall()

    def stream(self, sql: str, values: Sequence[object] = ()) -> Iterator[tuple[object, ...]]:
        """The rows of a query, a thousand at a time."""
        import psycopg

        cursor = self._connection.cursor(f"swarmlet_{time.monotonic_ns()}")
        try:
            cursor.itersize = 1000
            cursor.execute(_spelled(sql), values)
            yield from cursor
        finally:
            with suppress(psycopg.Error):  # who looks may have stopped half-way, and closed the connection
                cursor.close()

    def many(self, sql: str, values: Iterable[Sequence[object]]) -> int:
        """Execute a statement for each of `values`, without waiting for each."""
        listed = list(values)
        if not listed:
            return 0
        with self._connection.cursor() as cursor:
            cursor.executemany(_spelled(sql), listed)
            return max(0, cursor.rowcount)

    def add_events(self, rows: list[EventRow]) -> None:
        """Append to the table of events, without waiting for each row."""
        with self._connection.cursor() as cursor, cursor.copy(_COPY) as copy:
            for row in rows:
                copy.write_row(row)

    def add_contents(self, contents: dict[Digest, bytes], now: float) -> None:
        """Keep recorded values; in one order, so that writers do not lock one another out."""
        digests = sorted(contents)
        self._connection.execute(
            "INSERT INTO contents SELECT digest, content, %s FROM unnest(%b::text[], %b::bytea[]) AS t (digest, content) "
            "ON CONFLICT (digest) DO UPDATE SET touched = excluded.touched WHERE contents.touched < excluded.touched - 3600",
            (now, digests, [contents[digest] for digest in digests]),
        )


def _spelled(sql: str) -> bytes:
    """A query of ours with the marks that the driver knows; as bytes, since it is no literal."""
    return sql.replace("%", "%%").replace("?", "%s").encode()


@final
class PostgresBackend:
    """Writes runs, each for as long as it has it. Gets a lost connection back, and then knows what was written."""

    def __init__(self, connect: Callable[[], Connection], schema: str, name: str, lease: float) -> None:
        self.pulse: float | None = lease / 3
        self._connect = connect
        self._schema = schema
        self._name = name
        self._patience = lease
        self._leases = Leases(lease)
        self._batch = 0
        with explained(name):
            self._open()
            try:
                prepare(self._connection, schema, name)
                use(self._connection, schema)
                with self._connection.transaction():
                    self._leases.register(self._connection)
            except BaseException:
                self._connection.close()
                raise

    def _open(self) -> None:
        self._connection = self._connect()
        self._tables = Tables(PostgresDatabase(self._connection))

    def claim(self, runs: Sequence[RunId]) -> dict[RunId, str]:
        """Take runs."""

        def work() -> tuple[dict[RunId, str], dict[RunId, int]]:
            self._leases.renew(self._connection, 0)
            return self._leases.claim(self._connection, runs)

        refused, epochs = self._done(work)
        self._leases.keep(epochs)
        return refused

    def append(self, batch: Batch) -> set[RunId]:
        """Write a batch once, whatever becomes of the connection."""
        self._batch += 1

        def work() -> set[RunId]:
            if self._leases.last_batch(self._connection) >= self._batch:
                return set()
            now = self._leases.renew(self._connection, self._batch)
            lost = self._leases.taken(self._connection, {run for run, _ in batch.events})
            mine = [told for told in batch.events if told[0] not in lost]
            self._tables.append(Batch(batch.values, mine, batch.answers), now)
            return lost

        lost = self._done(work)
        self._lose(lost)
        return lost

    def release(self, runs: Sequence[RunId]) -> None:
        """Let others have these runs."""
        self._done(lambda: self._leases.release(self._connection, runs))
        self._lose(set(runs))

    def renew(self) -> set[RunId]:
        """Show that this writer is alive, and see what it has lost."""

        def work() -> set[RunId]:
            self._leases.renew(self._connection, 0)
            return self._leases.taken(self._connection)

        lost = self._done(work)
        self._lose(lost)
        return lost

    def _lose(self, runs: set[RunId]) -> None:
        self._tables.forget(runs)
        self._leases.forget(runs)

    def prune(self, rule: Rule) -> Pruned:
        """Through a connection of its own: it may take long, and the lease is to be renewed meanwhile."""
        return _Maintenance(self._connect, self._schema, self._name).prune(rule)

    def vacuum(self) -> None:
        """As above."""
        _Maintenance(self._connect, self._schema, self._name).vacuum()

    def close(self) -> None:
        """Let go of all runs and of the connection."""
        import psycopg

        with suppress(psycopg.Error), self._connection.transaction():
            self._leases.end(self._connection)
        self._connection.close()

    def _done(self, work: Callable[[], T]) -> T:
        """`work` in a transaction. A lost connection is opened anew, and what others have locked is tried again."""
        import psycopg

        end = time.monotonic() + self._patience
        while True:
            try:
                if self._connection.closed:
                    self._open()
                    use(self._connection, self._schema)
                with self._connection.transaction():
                    return work()
            except (psycopg.OperationalError, JournalError) as error:  # also deadlocks and timeouts of locks
                if time.monotonic() > end or _is_for_good(error):
                    raise explain(self._name, error) from error
                self._tables.forget_all()
                time.sleep(_AGAIN_SECONDS)
            except (psycopg.Error, OSError, *DAMAGED) as error:
                raise explain(self._name, error) from error


def _is_for_good(error: Exception) -> bool:
    """Whether waiting changes nothing: a full disk, a refused password."""
    code = getattr(error, "sqlstate", None) or ""
    return isinstance(error, JournalError) or code[:2] in ("28", "3D", "53")


@final
class _Maintenance:
    """Deletes and tidies through a connection of its own."""

    def __init__(self, connect: Callable[[], Connection], schema: str, name: str) -> None:
        self._connect = connect
        self._schema = schema
        self._name = name

    @contextmanager
    def _connected(self) -> Generator[Connection]:
        with explained(self._name):
            connection = self._connect()
            try:
                use(connection, self._schema)
                yield connection
            finally:
                connection.close()

    def prune(self, rule: Rule) -> Pruned:
        """Delete runs, and the values that nothing names."""
        with self._connected() as connection:
            database = PostgresDatabase(connection)
            look = SqlLook(database, self._name, GOES_ON)
            return prune(database, look, rule, connection.transaction, since=OLDEST, lock="FOR UPDATE")

    def vacuum(self) -> None:
        """Let Postgres reuse the room of what was deleted, and count anew."""
        with self._connected() as connection:
            for table in ("runs", "events", "contents", "claims", "holders"):
                connection.execute(f"VACUUM (ANALYZE) {table}".encode())

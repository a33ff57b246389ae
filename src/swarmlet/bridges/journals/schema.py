"""The tables of a journal in Postgres: how they are made, and how it is found out whether they are ours.

The columns are those that `swarmlet.trace.journal.sql` knows. Beyond them: each claim has an epoch, a number that is never
given again, and belongs to a holder, which is a process that shows by a lease that it is alive.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, TypeAlias

from swarmlet.errors import JournalError
from swarmlet.trace.journal.base import FORMAT

if TYPE_CHECKING:
    import psycopg

    Connection: TypeAlias = psycopg.Connection[tuple[object, ...]]

_LOCK: Final = 0x5_3A12_1E72
"""Names the lock under which tables are made."""

_TABLES: Final = """
CREATE TABLE format (format integer NOT NULL);
CREATE TABLE runs (
    run text COLLATE "C" PRIMARY KEY, name text NOT NULL, node text NOT NULL, version text NOT NULL,
    started double precision NOT NULL, last double precision NOT NULL, state text NOT NULL,
    steps bigint NOT NULL, requests bigint NOT NULL, input_tokens bigint NOT NULL, cached_tokens bigint NOT NULL,
    output_tokens bigint NOT NULL, usd text NOT NULL, unpriced_requests bigint NOT NULL
);
CREATE INDEX runs_by_start ON runs (started, run);
CREATE INDEX runs_by_state ON runs (state, started);
CREATE TABLE events (
    run text COLLATE "C" NOT NULL, seq bigint GENERATED ALWAYS AS IDENTITY, kind text NOT NULL,
    at double precision NOT NULL, path text COLLATE "C", event text NOT NULL,
    PRIMARY KEY (run, seq)
);
CREATE INDEX questions ON events (run, seq) WHERE kind IN ('asked', 'answered');
CREATE TABLE contents (
    digest text COLLATE "C" PRIMARY KEY, content bytea NOT NULL, touched double precision NOT NULL
);
CREATE TABLE holders (
    holder text PRIMARY KEY, place text NOT NULL, until timestamptz NOT NULL, batch bigint NOT NULL DEFAULT 0
);
CREATE TABLE claims (
    run text COLLATE "C" PRIMARY KEY, holder text NOT NULL, epoch bigint GENERATED ALWAYS AS IDENTITY,
    since double precision NOT NULL
);
CREATE INDEX claims_by_holder ON claims (holder);
"""


def use(connection: Connection, schema: str) -> None:
    """Let unqualified names mean those of `schema`."""
    from psycopg import sql

    connection.execute(sql.SQL("SET search_path TO {}").format(sql.Identifier(schema)))


def prepare(connection: Connection, schema: str, name: str) -> None:
    """Make the schema and its tables, if they are not there. Raises `JournalError` if they are somebody else's."""
    from psycopg import sql

    with connection.transaction():
        connection.execute("SELECT pg_advisory_xact_lock(%s)", (_LOCK,))
        if exists(connection, schema, name):
            connection.execute("UPDATE format SET format = %s WHERE format < %s", (FORMAT, FORMAT))
            return
        if not connection.execute("SELECT 1 FROM pg_namespace WHERE nspname = %s", (schema,)).fetchall():
            connection.execute(sql.SQL("CREATE SCHEMA {}").format(sql.Identifier(schema)))
        use(connection, schema)
        connection.execute(_TABLES)
        connection.execute("INSERT INTO format VALUES (%s)", (FORMAT,))


def exists(connection: Connection, schema: str, name: str) -> bool:
    """Whether the schema holds a journal; `False` if it holds nothing at all. Anything else is not ours to touch."""
    query = "SELECT tablename::text FROM pg_tables WHERE schemaname = %s"
    tables = {row[0] for row in connection.execute(query, (schema,)).fetchall()}
    if not tables:
        return False
    if not {"format", "runs", "events", "contents", "holders", "claims"} <= tables:
        raise JournalError(
            f"cannot use the journal {name}: that schema holds tables of another program: name another one with schema="
        )
    use(connection, schema)
    rows = connection.execute("SELECT format FROM format").fetchall()
    found = rows[0][0] if rows else None
    if not isinstance(found, int) or found > FORMAT:
        raise JournalError(
            f"the journal {name} has format {found}, and this swarmlet knows formats up to {FORMAT}: "
            "a newer swarmlet wrote it, so upgrade swarmlet"
        )
    return True

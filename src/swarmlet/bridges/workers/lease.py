"""Who of the workers is alive, by the clock of Postgres; and what becomes of the jobs of those who are not.

Each worker says every third of its lease that it is there. One who has not for a whole lease is taken for dead: whoever sees
that first, alone under a lock, has DBOS offer its jobs again. That may be wrong (it was paused, or cut off), which is why the
journal fences it. A job that takes several workers down with it is given up: it would take them all.
"""

from __future__ import annotations

import threading
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final, LiteralString, final

from swarmlet.log import get_logger

if TYPE_CHECKING:
    from collections.abc import Generator

    import psycopg
    from dbos import DBOSClient

MOST_TAKEOVERS: Final = 3
CONNECTING: Final = 5
_AGAIN: Final = 0.05
_LOCK: Final = 0x5_3A12_1EA5
_TABLES: LiteralString = """
CREATE TABLE IF NOT EXISTS swarmlet_workers (
    worker text PRIMARY KEY, seen timestamptz NOT NULL, lease double precision NOT NULL
);
CREATE TABLE IF NOT EXISTS swarmlet_takeovers (job text PRIMARY KEY, times integer NOT NULL, given_up boolean NOT NULL);
"""
_SEEN: LiteralString = """
INSERT INTO swarmlet_workers VALUES (%s, clock_timestamp(), %s)
ON CONFLICT (worker) DO UPDATE SET seen = excluded.seen, lease = excluded.lease
"""
_DEAD: LiteralString = """
SELECT worker FROM swarmlet_workers WHERE seen + lease * interval '1 second' < clock_timestamp() AND worker <> %s
"""
_FORGET: LiteralString = """
DELETE FROM swarmlet_workers WHERE worker = %s AND seen + 10 * lease * interval '1 second' < clock_timestamp()
"""
# not at once: it may only have been paused, and take one more job before it says that it is back
_TAKEN_OVER: LiteralString = """
INSERT INTO swarmlet_takeovers VALUES (%s, 1, false) ON CONFLICT (job) DO UPDATE SET times = swarmlet_takeovers.times + 1
RETURNING times
"""


@contextmanager
def alone(connection: psycopg.Connection) -> Generator[None, None, None]:
    """One process at a time. It asks again and again: DBOS's new indexes would wait for whoever waits within a query."""
    while (row := connection.execute("SELECT pg_try_advisory_lock(%s)", (_LOCK,)).fetchone()) is None or not row[0]:
        time.sleep(_AGAIN)
    try:
        yield
    finally:
        connection.execute("SELECT pg_advisory_unlock(%s)", (_LOCK,))


def given_up(url: str, job: str) -> str:
    """Why a job was cancelled, if it was not its caller."""
    import psycopg

    with psycopg.connect(url, autocommit=True, connect_timeout=CONNECTING) as connection:
        connection.execute(_TABLES)
        row = connection.execute("SELECT times FROM swarmlet_takeovers WHERE job = %s AND given_up", (job,)).fetchone()
    return f"it was given up, as {row[0]} workers died while they executed it" if row else "it was cancelled"


@final
class Lease:
    """A thread that keeps this worker alive in the eyes of others, and takes over the jobs of the dead."""

    def __init__(self, url: str, client: DBOSClient, worker: str, seconds: float) -> None:
        self._url = url
        self._client = client
        self._worker = worker
        self._seconds = seconds
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._work, name="swarmlet lease", daemon=True)

    def start(self) -> None:
        """Be there before the first job is taken."""
        import psycopg

        with psycopg.connect(self._url, autocommit=True, connect_timeout=CONNECTING) as connection, alone(connection):
            connection.execute(_TABLES)
            connection.execute(_SEEN, (self._worker, self._seconds))
        self._thread.start()

    def stop(self) -> None:
        """Be gone. What jobs there may still be are free at once."""
        self._over.set()
        if self._thread.ident is not None:
            self._thread.join(CONNECTING * 2)

    def _work(self) -> None:
        import psycopg

        while not self._over.is_set():
            try:
                with psycopg.connect(self._url, autocommit=True, connect_timeout=CONNECTING) as connection:
                    connection.execute("SELECT set_config('statement_timeout', '5s', false)")
                    self._keep(connection)
                    connection.execute("UPDATE swarmlet_workers SET seen = '-infinity' WHERE worker = %s", (self._worker,))
            except psycopg.Error as error:
                get_logger().warning("the workers' Postgres cannot be reached", error=type(error).__name__)
                self._over.wait(min(1.0, self._seconds / 3))

    def _keep(self, connection: psycopg.Connection) -> None:
        while not self._over.is_set():
            connection.execute(_SEEN, (self._worker, self._seconds))
            if connection.execute(_DEAD, (self._worker,)).fetchone() is not None:
                with alone(connection):
                    self._take_over(connection)
            self._over.wait(self._seconds / 3)

    def _take_over(self, connection: psycopg.Connection) -> None:
        dead = [str(row[0]) for row in connection.execute(_DEAD, (self._worker,)).fetchall()]
        for worker in dead:
            left = self._client.list_workflows(status="PENDING", executor_id=worker, load_input=False, load_output=False)
            for job in left:
                self._free(connection, job.workflow_id, job.queue_name)
            connection.execute(_FORGET, (worker,))
            if left:
                get_logger().warning("the runs of a dead worker are taken over", worker=worker, runs=len(left))

    def _free(self, connection: psycopg.Connection, job: str, queue: str | None) -> None:
        row = connection.execute(_TAKEN_OVER, (job,)).fetchone()
        if row is not None and int(row[0]) >= MOST_TAKEOVERS:
            connection.execute("UPDATE swarmlet_takeovers SET given_up = true WHERE job = %s", (job,))
            self._client.cancel_workflow(job)
            get_logger().error("a run was given up, as its workers died again and again", run=job)
        else:
            self._client.resume_workflow(job, queue_name=queue)

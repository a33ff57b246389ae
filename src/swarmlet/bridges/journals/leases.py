"""Claims on runs, and what keeps a process from writing a run that another one has taken.

A holder is one process's writer. Its lease, by the clock of the server, is renewed by each of its commits, and by its thread
when there is nothing to commit. A claim says which holder has a run; it has an epoch, which is never given again. Each
commit first locks the claims of its runs, and looks whether they still have the epochs that the holder was given: so nobody
can take a run between that look and the commit, and a process that was asleep finds out before it has written anything.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Final, cast, final
from uuid import uuid4

from swarmlet.trace.events import RunId

if TYPE_CHECKING:
    from swarmlet.bridges.journals.schema import Connection

GOES_ON: Final = (
    "EXISTS (SELECT 1 FROM claims c JOIN holders h ON h.holder = c.holder WHERE c.run = r.run AND h.until > clock_timestamp())"
)
"""Whether a process that is alive goes on with the run `r.run`."""

OLDEST: Final = (
    "SELECT min(c.since) FROM claims c JOIN holders h ON h.holder = c.holder "
    "WHERE h.until > clock_timestamp() - interval '1 day'"
)
"""When the oldest claim was made whose holder may only be asleep."""

_CLAIM: Final = """
INSERT INTO claims (run, holder, since) SELECT run, %s, extract(epoch FROM clock_timestamp()) FROM unnest(%s::text[]) AS t (run)
ORDER BY run RETURNING run, epoch
"""
_HOLDERS: Final = """
SELECT c.run, h.place FROM claims c LEFT JOIN holders h ON h.holder = c.holder AND h.until > clock_timestamp()
WHERE c.run = ANY (%s) AND h.holder IS NOT NULL AND c.holder <> %s
"""
_RENEW: Final = """
INSERT INTO holders (holder, place, until, batch) VALUES (%s, %s, clock_timestamp() + %s * interval '1 second', %s)
ON CONFLICT (holder) DO UPDATE SET until = excluded.until, batch = greatest(holders.batch, excluded.batch)
RETURNING extract(epoch FROM clock_timestamp())::double precision
"""


@final
class Leases:
    """The claims of one holder. Each method but `forget` is part of a transaction of the caller's."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._holder = uuid4().hex
        self._place = f"{socket.gethostname()} pid {os.getpid()}"
        self._epochs: dict[RunId, int] = {}

    def register(self, connection: Connection) -> None:
        """Begin to hold, and clear away what processes have left that are long gone."""
        connection.execute("DELETE FROM holders WHERE until < clock_timestamp() - interval '1 day'")
        connection.execute("DELETE FROM claims c WHERE NOT EXISTS (SELECT 1 FROM holders h WHERE h.holder = c.holder)")
        self.renew(connection, 0)

    def renew(self, connection: Connection, batch: int) -> float:
        """Hold for another `seconds`, and note that this batch is written. Gives the time by the server's clock."""
        row = connection.execute(_RENEW, (self._holder, self._place, self._seconds, batch)).fetchone()
        return cast("tuple[float]", row)[0]

    def last_batch(self, connection: Connection) -> int:
        """The last batch that was written."""
        row = connection.execute("SELECT batch FROM holders WHERE holder = %s", (self._holder,)).fetchone()
        return cast("tuple[int]", row)[0] if row else 0

    def claim(self, connection: Connection, runs: Sequence[RunId]) -> tuple[dict[RunId, str], dict[RunId, int]]:
        """Take runs. Gives those that others have, with who has them, and the epochs of the rest."""
        names = sorted(runs)
        # who prunes locks these rows too, and who else claims the runs locks the claims
        connection.execute("SELECT 1 FROM runs WHERE run = ANY (%s) ORDER BY run FOR SHARE", (names,))
        connection.execute("SELECT 1 FROM claims WHERE run = ANY (%s) ORDER BY run FOR UPDATE", (names,))
        found = connection.execute(_HOLDERS, (names, self._holder)).fetchall()
        refused = {RunId(str(run)): str(place) for run, place in found}
        free = [run for run in names if run not in refused]
        connection.execute("DELETE FROM claims WHERE run = ANY (%s)", (free,))
        given = connection.execute(_CLAIM, (self._holder, free)).fetchall()
        return refused, {RunId(str(run)): cast("int", epoch) for run, epoch in given}

    def keep(self, epochs: dict[RunId, int]) -> None:
        """These claims are made."""
        self._epochs |= epochs

    def taken(self, connection: Connection, runs: Iterable[RunId] | None = None) -> set[RunId]:
        """Those of the runs that somebody else has now; nobody can take the others before the transaction ends."""
        names = sorted(self._epochs if runs is None else runs)
        if not names:
            return set()
        query = "SELECT run, epoch FROM claims WHERE run = ANY (%s) ORDER BY run FOR SHARE"
        rows = connection.execute(query, (names,)).fetchall()
        found = {str(run): epoch for run, epoch in rows}
        return {run for run in names if run not in found or found[run] != self._epochs.get(run)}

    def release(self, connection: Connection, runs: Iterable[RunId]) -> None:
        """Let others have these runs."""
        epochs = [self._epochs[run] for run in runs if run in self._epochs]
        connection.execute("DELETE FROM claims WHERE holder = %s AND epoch = ANY (%s)", (self._holder, epochs))

    def forget(self, runs: Iterable[RunId]) -> None:
        """These claims are released, or lost."""
        for run in runs:
            self._epochs.pop(run, None)

    def end(self, connection: Connection) -> None:
        """Hold nothing any more."""
        connection.execute("DELETE FROM claims WHERE holder = %s", (self._holder,))
        connection.execute("DELETE FROM holders WHERE holder = %s", (self._holder,))

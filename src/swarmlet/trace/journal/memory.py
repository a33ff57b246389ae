"""`MemoryJournal`: the store of throw-away runs, and of tests. It does what a file does, and is gone with its process."""

from __future__ import annotations

import sqlite3
import weakref
from collections.abc import Generator
from contextlib import closing, contextmanager
from pathlib import Path
from threading import RLock
from typing import TYPE_CHECKING, final

from swarmlet.trace.journal.sqlite import CLAIMED, SqliteBackend, SqliteLook
from swarmlet.trace.journal.sqlite_file import make_tables
from swarmlet.trace.journal.writer import JournalWriter

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable

    from swarmlet.trace.journal.base import Backend, Pruned, Upkeep


@final
class MemoryJournal:
    """A journal in the memory of this process, for as long as this object is there."""

    def __init__(self) -> None:
        self._connection = sqlite3.connect(":memory:", isolation_level=None, check_same_thread=False)
        self._lock = RLock()
        make_tables(self._connection, 0)
        weakref.finalize(self, self._connection.close)

    @property
    def name(self) -> str:
        """What messages say."""
        return "in memory"

    @property
    def key(self) -> Hashable:
        """This object."""
        return id(self)

    def open(self) -> JournalWriter:
        """A writer."""
        return JournalWriter(self)

    def connect(self) -> Backend:
        """What the writer's thread uses."""
        return SqliteBackend(self._connection, Path(":memory:"), _nothing, self._lock)

    @contextmanager
    def looking(self) -> Generator[SqliteLook]:
        """Look into it; writing waits meanwhile."""
        with self._lock:
            yield SqliteLook(self._connection, self.name, CLAIMED)

    def maintained(self, work: Callable[[Upkeep], Pruned | None]) -> Pruned | None:
        """Have `work` done by the writer's thread."""
        with closing(self.open()) as writer:
            return writer.maintain(work)


def _nothing() -> None:
    """The memory stays when a writer is closed."""

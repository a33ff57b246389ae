"""The journal: where runs are kept, so that they can be read, explained and resumed after their process has ended.

    async with Swarm(journal="runs.sqlite") as swarm: ...       # or MemoryJournal(), or PostgresJournal(url)
    Journal("runs.sqlite").runs()

base        what a store must do, and what is said with it: the one file to read first
writer      `JournalWriter`, a recorder's sink; `thread` the one thread behind it, which commits in groups
reader      `Journal`: runs, traces, open questions; `values`, `verifying`, `exporting` and `pruning` do parts of its work
sql         tables, rows and queries of all stores that speak SQL; `tally` what the list of runs counts
sqlite      `SqliteJournal`, a file; `sqlite_file` and `sqlite_lock` how it is opened, and by whom
memory      `MemoryJournal`, for throw-away runs

Postgres is in `swarmlet.bridges.journals`. Nothing here knows what the events mean to a graph or an agent.
"""

from swarmlet.trace.journal.base import Pruned as Pruned
from swarmlet.trace.journal.base import Question as Question
from swarmlet.trace.journal.base import RunSummary as RunSummary
from swarmlet.trace.journal.base import Store as Store
from swarmlet.trace.journal.base import Writer as Writer
from swarmlet.trace.journal.exporting import read_export as read_export
from swarmlet.trace.journal.memory import MemoryJournal as MemoryJournal
from swarmlet.trace.journal.reader import Journal as Journal
from swarmlet.trace.journal.reader import default_path as default_path
from swarmlet.trace.journal.sqlite import SqliteJournal as SqliteJournal
from swarmlet.trace.journal.sqlite import store_of as store_of
from swarmlet.trace.journal.verifying import Verified as Verified
from swarmlet.trace.journal.writer import JournalWriter as JournalWriter

__all__ = [
    "Journal",
    "JournalWriter",
    "MemoryJournal",
    "Pruned",
    "Question",
    "RunSummary",
    "SqliteJournal",
    "Store",
    "Verified",
    "Writer",
    "default_path",
    "read_export",
    "store_of",
]

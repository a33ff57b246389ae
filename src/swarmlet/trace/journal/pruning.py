"""Deleting runs and the values that nothing names any more, in any store that speaks SQL.

The thread or connection that prunes does it in small transactions, so that writers of other runs wait for none of them long.
"""

from __future__ import annotations

from contextlib import AbstractContextManager
from time import time
from typing import TYPE_CHECKING, Final

from swarmlet.trace.events import Digest, RunId
from swarmlet.trace.journal.base import Look, Pruned, Rule, RunSummary, Wanted
from swarmlet.trace.journal.sql import TOUCH_SECONDS, Database, SqlLook, marks
from swarmlet.trace.journal.tally import LIKE_A_DIGEST

if TYPE_CHECKING:
    from collections.abc import Callable

_AT_ONCE: Final = 100
"""Runs, or hundreds of values, that one transaction deletes."""


def doomed(look: Look, rule: Rule) -> list[RunSummary]:
    """The runs that a rule would delete."""
    found = look.runs(Wanted(states=rule.states, idle=True))[rule.keep :]
    if rule.older_than is None:
        return found
    youngest = time() - rule.older_than.total_seconds()
    return [run for run in found if run.started_at + run.seconds < youngest]


def prune(
    database: Database,
    look: SqlLook,
    rule: Rule,
    transaction: Callable[[], AbstractContextManager[object]],
    *,
    since: str = "SELECT min(since) FROM claims",
    lock: str = "",
) -> Pruned:
    """Do what a rule says.

    `since` asks when the oldest claim was made that may still be used, and `lock` is what locks the rows that a query finds,
    where others write too.
    """
    runs, events = [run.id for run in doomed(look, rule)], 0
    deleted = 0
    for first in range(0, len(runs), _AT_ONCE):
        with transaction():
            some = _still(database, look, rule, runs[first : first + _AT_ONCE], lock)
            events += database.many("DELETE FROM events WHERE run = ?", [(run,) for run in some])
            database.many("DELETE FROM claims WHERE run = ?", [(run,) for run in some])
            deleted += database.many("DELETE FROM runs WHERE run = ?", [(run,) for run in some])
    with transaction():
        contents = _unnamed(database, since)
        database.many("DELETE FROM contents WHERE digest = ?", [(digest,) for digest in sorted(contents)])
    return Pruned(deleted, events, len(contents))


def _still(database: Database, look: SqlLook, rule: Rule, runs: list[RunId], lock: str) -> list[RunId]:
    """Those of `runs` with which nobody has gone on in the meantime; from now on nobody will."""
    if not lock:
        return runs
    database.rows(f"SELECT run FROM runs WHERE run IN ({marks(runs)}) ORDER BY run {lock}", runs)  # noqa: S608  # only marks
    return [run.id for run in look.runs(Wanted(states=rule.states, runs=tuple(runs), idle=True))]


def _unnamed(database: Database, since: str) -> set[Digest]:
    """The values that no event names, and that none can be about to name.

    A run that goes on has recorded its values after it was claimed, so what is older than the oldest claim is safe to judge.
    """
    (oldest,) = database.rows(since)[0]
    query, values = "SELECT digest FROM contents", list[object]()
    if isinstance(oldest, int | float):
        query, values = f"{query} WHERE touched < ?", [oldest - 2 * TOUCH_SECONDS]
    left = {Digest(str(digest)) for (digest,) in database.stream(query, values)}
    if left:
        for (event,) in database.stream("SELECT event FROM events"):
            left.difference_update(map(Digest, LIKE_A_DIGEST.findall(str(event))))
    return left

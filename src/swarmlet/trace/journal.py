"""The journal: where runs are kept, so that they can be read, explained and resumed after their process has
ended.

`JournalWriter` (in `writer`) appends to it, `Journal` reads it, also while another process writes.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, final

from pydantic import ValidationError

from swarmlet.errors import JournalError
from swarmlet.trace.events import Digest, event_adapter
from swarmlet.trace.read import StepState, Trace
from swarmlet.trace.store import SUMMARY, RunSummary, SummaryRow, reading, summary
from swarmlet.trace.writer import JournalWriter

if TYPE_CHECKING:
    from os import PathLike

__all__ = ["Journal", "JournalWriter", "RunSummary", "default_path"]


def default_path(environ: Mapping[str, str] = os.environ) -> Path:
    """The journal where none is named: that of `SWARMLET_JOURNAL`, else a file in the user's state folder."""
    if named := environ.get("SWARMLET_JOURNAL"):
        return Path(named).expanduser()
    state = Path(environ.get("XDG_STATE_HOME", ""))
    if not state.is_absolute():  # the XDG rule: anything else is ignored
        state = Path.home() / ".local" / "state"
    return state / "swarmlet" / "journal.sqlite"


@final
class Journal:
    """Reads the journal at `path`, also while another process writes it. Opens the file for each call and
    creates none.

    Every method raises `JournalError` if there is no journal, or if it cannot be read.
    """

    def __init__(self, path: str | PathLike[str]) -> None:
        self.path: Path = Path(path).expanduser()

    def runs(self, *, limit: int | None = None, name: str | None = None, state: StepState | None = None) -> list[RunSummary]:
        """The runs, newest first: at most `limit`, only those of the node `name`, only those in `state`."""
        query = (
            f"SELECT {SUMMARY} FROM runs WHERE name = coalesce(?, name) AND state = coalesce(?, state) "  # noqa: S608
            "ORDER BY started DESC, run DESC LIMIT ?"
        )
        with reading(self.path) as connection:
            rows: list[SummaryRow] = connection.execute(query, (name, state, -1 if limit is None else limit)).fetchall()
        return [summary(row) for row in rows]

    def find(self, run: str) -> RunSummary:
        """The one run that `run` means: an id, the beginning of an id, or `last` for the newest.

        Raises `JournalError` that names the candidates if there is none or more than one.
        """
        if run == "last":
            found = self.runs(limit=1)
        else:
            found = self._beginning_with(run)
            found = [summary for summary in found if summary.id == run] or found
        if len(found) == 1:
            return found[0]
        if found:
            raise JournalError(f"{len(found)} runs begin with {run!r}: {_ids(found)}")
        newest = self.runs(limit=5)
        there_are = f"the newest are {_ids(newest)}" if newest else "it holds none yet"
        raise JournalError(f"there is no run {run!r} in the journal {str(self.path)!r}: {there_are}")

    def trace(self, run: str) -> Trace:
        """The record of a run, as far as it was written. `run` as in `find`.

        Recorded values are read from the file when they are asked for, not before.
        """
        run_id = self.find(run).id
        with reading(self.path) as connection:
            rows = connection.execute("SELECT event FROM events WHERE run = ? ORDER BY seq", (run_id,)).fetchall()
        try:
            events = [event_adapter().validate_json(text) for (text,) in rows]
        except ValidationError as error:
            raise JournalError(
                f"run {run_id!r} in the journal {str(self.path)!r} has an event that this "
                "swarmlet cannot read: a newer swarmlet may have written it"
            ) from error
        return Trace(events, self._content)

    def _beginning_with(self, prefix: str) -> list[RunSummary]:
        query = (
            f"SELECT {SUMMARY} FROM runs WHERE run >= ? AND run < ? || char(1114111) "  # noqa: S608
            "ORDER BY started DESC, run DESC"
        )
        with reading(self.path) as connection:
            rows: list[SummaryRow] = connection.execute(query, (prefix, prefix)).fetchall()
        return [summary(row) for row in rows]

    def _content(self, digest: Digest) -> bytes | None:
        with reading(self.path) as connection:
            row = connection.execute("SELECT content FROM contents WHERE digest = ?", (digest,)).fetchone()
        return None if row is None else bytes(row[0])


def _ids(summaries: list[RunSummary]) -> str:
    named = [summary.id for summary in summaries[:5]]
    return ", ".join([*named, "..."] if len(summaries) > len(named) else named)

"""`Journal`: reads what was written, also while somebody writes, and cleans up."""

from __future__ import annotations

import json
import os
from collections.abc import Collection, Iterator, Mapping
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Final, cast, final

from swarmlet.errors import JournalError
from swarmlet.trace.events import Answered, Asked, Digest, Event, RunId
from swarmlet.trace.journal.base import Pruned, Question, Rule, RunSummary, Store, Upkeep, Wanted
from swarmlet.trace.journal.exporting import exported
from swarmlet.trace.journal.packing import STEPS, read_row
from swarmlet.trace.journal.pruning import doomed
from swarmlet.trace.journal.sqlite import store_of
from swarmlet.trace.journal.tally import decoded
from swarmlet.trace.journal.values import Values, read
from swarmlet.trace.journal.verifying import Verified, verify
from swarmlet.trace.read import StepState, Trace

if TYPE_CHECKING:
    from os import PathLike

    from pydantic import JsonValue

    from swarmlet.trace.journal.base import Look

OVER: Final[frozenset[StepState]] = frozenset({"finished"})
"""The states in which a run cannot be resumed."""


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
    """Reads a journal, also while another process writes it: a file, by its path, or a store. Opens it for each call, and
    creates none.

    Every method raises `JournalError` if there is no journal, or if it cannot be read. All of them block.
    """

    def __init__(self, journal: str | PathLike[str] | Store) -> None:
        self.store: Store = store_of(journal)

    @property
    def name(self) -> str:
        """How messages name it."""
        return self.store.name

    def runs(self, *, limit: int | None = None, name: str | None = None, state: StepState | None = None) -> list[RunSummary]:
        """The runs, newest first: at most `limit`, only those of the node `name`, only those in `state`."""
        states: frozenset[StepState] | None = None if state is None else frozenset({state})
        with self.store.looking() as look:
            return look.runs(Wanted(name=name, states=states, limit=limit))

    def find(self, run: str) -> RunSummary:
        """The one run that `run` means: an id, the beginning of an id, or `last` for the newest.

        Raises `JournalError` that names the candidates if there is none or more than one.
        """
        with self.store.looking() as look:
            return self._find(look, run)

    def trace(self, run: str) -> Trace:
        """The record of a run, as far as it was written. `run` as in `find`.

        Recorded values are read from the store when they are asked for, not before.
        """
        with self.store.looking() as look:
            found = self._find(look, run)
            inline: dict[Digest, bytes] = {}
            events = [event for _, event in self._events(look, found.id, inline)]
        return Trace(events, Values(self.store, events, inline), lost=found.state == "lost")

    def content(self, digest: Digest) -> bytes | None:
        """A recorded value as JSON; `None` if there is none of that name."""
        with self.store.looking() as look:
            return read(look, digest, self.name)

    def inbox(self) -> list[Question]:
        """What people are asked and have not answered, of runs that may go on: of the newest run first."""
        asked: dict[tuple[RunId, str], tuple[str, float, Asked]] = {}
        with self.store.looking() as look:
            for run, name, text in look.conversations():
                event = decoded(text, run, self.name)
                if isinstance(event, Asked):
                    _, since, _ = asked.get((run, event.path), (name, event.at, event))
                    asked[run, event.path] = (name, since, event)
                elif isinstance(event, Answered):
                    asked.pop((run, event.path), None)
            return [self._question(look, run, name, since, event) for (run, _), (name, since, event) in asked.items()]

    def export(self, run: str) -> Iterator[str]:
        """A run as lines of JSON, with all its values: see `swarmlet.trace.journal.exporting`. `read_export` reads them."""
        with self.store.looking() as look:
            found = self._find(look, run).id
            inline: dict[Digest, bytes] = {}
            events = self._events(look, found, inline)
            yield from exported(found, events, lambda digest: inline.get(digest) or read(look, digest, self.name))

    def verify(self) -> Verified:
        """Read everything and tell what is wrong."""
        with self.store.looking() as look:
            return verify(look, self.name)

    def prune(
        self, *, older_than: timedelta | None = None, keep: int | None = None, states: Collection[StepState] = OVER
    ) -> Pruned:
        """Delete runs in `states`, with the values that nothing else names: those whose last event is `older_than` so long,
        and of these not the newest `keep` of all in `states`.

        By default only finished runs, as all others can be resumed. A run that goes on is never deleted. In a file, no other
        process may be writing.
        """
        rule = self._rule(older_than, keep, states)
        pruned = self.store.maintained(lambda upkeep: upkeep.prune(rule))
        return cast("Pruned", pruned)

    def prunable(
        self, *, older_than: timedelta | None = None, keep: int | None = None, states: Collection[StepState] = OVER
    ) -> list[RunSummary]:
        """The runs that `prune` would delete."""
        rule = self._rule(older_than, keep, states)
        with self.store.looking() as look:
            return doomed(look, rule)

    def vacuum(self) -> None:
        """Give the room of what was deleted back to the disk. In a file, no other process may be writing."""

        def work(upkeep: Upkeep) -> None:
            upkeep.vacuum()

        self._exists()
        self.store.maintained(work)

    def _rule(self, older_than: timedelta | None, keep: int | None, states: Collection[StepState]) -> Rule:
        if older_than is None and keep is None:
            raise JournalError("say which runs to delete: those older_than= a timedelta, all but the newest keep=, or both")
        if older_than is not None and older_than < timedelta(0):
            raise JournalError("older_than= is a time span into the past, and no less than 0")
        if keep is not None and keep < 0:
            raise JournalError("keep= is a number of runs, and no less than 0")
        if "running" in states:
            raise JournalError("a run that goes on cannot be deleted; states= takes those that do not")
        self._exists()
        return Rule(older_than, keep or 0, frozenset(states))

    def _exists(self) -> None:
        """What would be opened for writing would be created."""
        with self.store.looking():
            pass

    def _find(self, look: Look, run: str) -> RunSummary:
        found = look.runs(Wanted(limit=1)) if run == "last" else look.runs(Wanted(prefix=run))
        found = [summary for summary in found if summary.id == run] or found
        if len(found) == 1 and run:
            return found[0]
        if found and run:
            raise JournalError(f"{len(found)} runs begin with {run!r}: {_ids(found)}")
        newest = look.runs(Wanted(limit=5))
        there_are = f"the newest are {_ids(newest)}" if newest else "it holds none yet"
        raise JournalError(f"there is no run {run!r} in the journal {self.name}: {there_are}")

    def _events(self, look: Look, run: RunId, inline: dict[Digest, bytes]) -> Iterator[tuple[str | None, Event]]:
        for row in look.events(run):
            for event in read_row(row, run, self.name, inline):
                yield (None if row.kind == STEPS else row.event), event

    def _question(self, look: Look, run: RunId, name: str, since: float, event: Asked) -> Question:
        def value(digest: Digest | None) -> JsonValue:
            content = None if digest is None else read(look, digest, self.name)
            try:
                return None if content is None else cast("JsonValue", json.loads(content))
            except (ValueError, RecursionError):
                return None

        text = value(event.question)
        return Question(
            run=run,
            name=name,
            path=event.path,
            about=event.about,
            text=text if isinstance(text, str) or text is None else json.dumps(text),
            answers=value(event.answers),
            tool=event.tool,
            arguments=value(event.arguments),
            since=since,
            until=event.until,
        )


def _ids(summaries: list[RunSummary]) -> str:
    named = [summary.id for summary in summaries[:5]]
    return ", ".join([*named, "..."] if len(summaries) > len(named) else named)

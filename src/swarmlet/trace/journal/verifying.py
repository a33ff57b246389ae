"""Whether a journal is whole: the database, every event, every value, and what the list of runs says of them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, final

from swarmlet.errors import JournalError
from swarmlet.trace.events import Answered, Digest, RunEnded, RunResumed, RunStarted
from swarmlet.trace.journal.base import Look, RunSummary, Wanted
from swarmlet.trace.journal.packing import read_row, repeats
from swarmlet.trace.journal.tally import Tally, as_shown, digests_of
from swarmlet.trace.record import digest_of

if TYPE_CHECKING:
    from swarmlet.trace.events import Event


@final
@dataclass(frozen=True, slots=True)
class Verified:
    """What was looked at, and what is wrong with it: nothing, if `problems` is empty."""

    runs: int
    events: int
    contents: int
    problems: tuple[str, ...]


def verify(look: Look, store: str) -> Verified:
    """Look at everything."""
    problems = look.check()
    whole: set[Digest] = set()
    contents = 0
    for digest, content in look.contents():
        contents += 1
        if digest_of(content) == digest:
            whole.add(digest)
        else:
            problems.append(f"the value {digest} is not what its name says")
    runs = look.runs(Wanted())
    events = 0
    for run in runs:
        reading = _Reading(run, store, whole)
        problems += [f"run {run.id}: {problem}" for problem in reading.problems(look)]
        events += reading.count
    problems += [f"run {run}: it has events and is not in the list of runs" for run in look.stray_runs()]
    return Verified(len(runs), events, contents, tuple(problems))


class _Reading:
    """One run, from its first event to its last."""

    def __init__(self, run: RunSummary, store: str, whole: set[Digest]) -> None:
        self._run = run
        self._store = store
        self._whole = whole
        self._inline: dict[Digest, bytes] = {}
        self.count = 0

    def problems(self, look: Look) -> Iterator[str]:
        """What is wrong with it."""
        tally: Tally | None = None
        for row in look.events(self._run.id):
            try:
                events = read_row(row, self._run.id, self._store, self._inline)
            except JournalError:
                yield f"event {self.count + 1} cannot be read"
                return
            if not repeats(row, events):
                yield f"event {self.count + 1} ({row.kind}): its row says other things than the event"
            for event in events:
                self.count += 1
                yield from self._of_event(event, tally)
                if tally is None:
                    tally = Tally(event.at, event.at, "running")
                tally.add(event)
        if tally is None:
            yield "it has no events"
        elif self._differs(tally):
            yield "the list of runs says other things of it than its events"

    def _of_event(self, event: Event, tally: Tally | None) -> Iterator[str]:
        place = f"event {self.count} ({event.kind})"
        if (tally is None) != isinstance(event, RunStarted):
            yield f"{place} is out of order: run_started comes first, and once"
        if isinstance(event, RunStarted) and event.run != self._run.id:
            yield f"{place} is of run {event.run!r}"
        over = tally is not None and tally.state == "finished"
        if over and not isinstance(event, RunResumed | RunEnded | Answered):
            yield f"{place} comes after the end of the run"
        for digest in digests_of(event):
            if digest not in self._whole and digest not in self._inline:
                yield f"{place} names the value {digest}, which is not there"

    def _differs(self, tally: Tally) -> bool:
        run = self._run
        counted = (as_shown(tally.state, goes_on=run.state == "running"), tally.started, tally.steps, tally.usage)
        return counted != (run.state, run.started_at, run.steps, run.usage) or tally.last - tally.started != run.seconds

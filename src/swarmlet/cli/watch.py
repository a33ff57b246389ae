"""`swarmlet watch RUN`: follows a run that another process writes, until it ends or waits for a person."""

from __future__ import annotations

import sys
import time
from collections import deque
from collections.abc import Iterator
from itertools import islice
from typing import TYPE_CHECKING, Final, final

from swarmlet.cli import UsageError, is_coloured, journal_of, message
from swarmlet.swarm.progress.screen import screen
from swarmlet.swarm.progress.tally import Tally
from swarmlet.swarm.progress.words import lines_of, sentence
from swarmlet.trace.events import Asked, CallEnded, Event, RunEnded, RunResumed, RunStarted, StepEnded, StepRetried, StepStarted
from swarmlet.trace.journal.base import Wanted
from swarmlet.trace.journal.packing import read_row
from swarmlet.trace.journal.tally import encoded
from swarmlet.trace.record import call_usage
from swarmlet.trace.views import duration, fault_text, line
from swarmlet.usage import Usage

if TYPE_CHECKING:
    from argparse import ArgumentParser, Namespace, _SubParsersAction  # pyright: ignore[reportPrivateUsage]

    from swarmlet.trace.events import RunId
    from swarmlet.trace.journal import Journal

SUSPENDED: Final = 3
"""The exit status where the run waits for a person, as of `resume`."""


def register(subparsers: _SubParsersAction[ArgumentParser]) -> None:
    """Add the parser of `watch`."""
    parser = subparsers.add_parser(
        "watch",
        help="follow a run while it goes on, in this process or another",
        description="Follow a run while it goes on: a line for each step that ends, and in a terminal what is under way. With "
        "--json each event is a line of JSON. Ends with the run.",
        epilog="Exit status: 0 if it finished, 1 if it failed, was cancelled, drained or lost, 3 if it waits for a person.",
    )
    parser.add_argument("run_id", metavar="RUN", help="a run's id, the beginning of it, or `last`")
    parser.add_argument("--lines", type=int, default=10, metavar="N", help="of what was before, show N lines (default 10)")
    parser.add_argument("--every", type=float, default=0.5, metavar="S", help="look every S seconds (default 0.5)")


def run(options: Namespace) -> int:
    """Follow the run."""
    if not 0.05 <= options.every <= 3600 or options.lines < 0:
        raise UsageError("--every is from 0.05 to 3600 seconds, and --lines at least 0")
    journal = journal_of(options)
    following = _Following(journal, journal.find(options.run_id).id, as_json=options.json)
    shows = sys.stderr.isatty()
    if shows:
        screen.open(sys.stderr)
    try:
        for text in deque(following.news(), maxlen=None if options.json else options.lines):
            print(text, flush=True)
        while following.state == "running":
            if shows:
                screen.draw(lines_of([following.tally], time.time(), following.looks))
            time.sleep(options.every)
            for text in following.news():
                print(text, flush=True)
    finally:
        if shows:
            screen.close()
    message(sentence(following.tally, time.time()))
    return 0 if following.state == "finished" else SUSPENDED if following.state == "suspended" else 1


@final
class _Following:
    """Reads what was written since it last read. A journal's rows are only ever appended."""

    def __init__(self, journal: Journal, run: RunId, *, as_json: bool) -> None:
        self.tally = Tally(run, {}, None)
        self.state = "running"
        self.looks = 0
        self._journal = journal
        self._as_json = as_json
        self._seen = 0
        self._begun: dict[str, float] = {}
        self._spent: dict[str, Usage] = {}

    def news(self) -> Iterator[str]:
        """Lines of what is new."""
        self.looks += 1
        with self._journal.store.looking() as look:
            for row in islice(look.events(self.tally.run), self._seen, None):
                self._seen += 1
                for event in read_row(row, self.tally.run, self._journal.name, {}):
                    yield from self._told(event)
            found = look.runs(Wanted(runs=(self.tally.run,)))
        self.state = self.tally.state = found[0].state if found else "lost"

    def _told(self, event: Event) -> Iterator[str]:
        self.tally.take(event)
        if self._as_json:
            yield encoded(event).replace("\x7f", "\\u007f")
            return
        text = self._line(event)
        if text:
            begun = event.at if self.tally.begun is None else self.tally.begun
            yield f"{duration(max(0.0, event.at - begun)):>10}  {text}"

    def _line(self, event: Event) -> str:
        match event:
            case StepStarted():
                self._begun[event.path] = event.at
            case CallEnded():
                self._spent[event.path] = self._spent.get(event.path, Usage()) + call_usage(event)
            case StepEnded():
                return self._ended(event)
            case StepRetried():
                return f"retried    {line(event.path)}  again in {duration(event.wait)}: {line(fault_text(event.error))}"
            case Asked():
                return f"asks       {line(event.path)}  see `swarmlet inbox`"
            case RunStarted():
                return f"began      {line(event.name)}"
            case RunResumed():
                return f"resumed    for the {event.number}. time"
            case RunEnded():
                return f"{event.state:<9}  {line(self.tally.name)}"
            case _:
                pass
        return ""

    def _ended(self, event: StepEnded) -> str:
        begun, usage = self._begun.pop(event.path, event.at), self._spent.pop(event.path, None)
        spent = f"  {usage.total_tokens:,} tokens  {usage.usd:.6f} USD" if usage and usage.total_tokens else ""
        why = f"  {line(fault_text(event.error))}" if event.error else ""
        state = f"{event.state:<9}"
        if is_coloured() and event.state == "failed":
            state = f"\x1b[31m{state}\x1b[0m"
        return f"{state}  {line(event.path)}  {duration(event.at - begun)}{spent}{why}"

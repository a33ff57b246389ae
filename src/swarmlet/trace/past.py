"""`Past`: what earlier processes have recorded of a run, by path, for the process that goes on with it.

Built once from the events. It answers: has this step finished, and with what? Which turns of this agent are paid for? What
was running when the process was killed? What became void since is left out: what lay below an attempt that failed, and what
was done for other inputs.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TypeAlias, final

from swarmlet.trace.events import (
    Answered,
    Asked,
    CallEnded,
    CallFitted,
    CallSaved,
    CallStarted,
    Decided,
    RunEnded,
    RunResumed,
    StepEnded,
    StepRetried,
    StepStarted,
    ToolEnded,
    ToolStarted,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

    from swarmlet.trace.events import Digest, Event

Reply: TypeAlias = CallEnded | CallSaved
_TRIED_ANYWAY = "BudgetExceeded"
"""A failure that costs nothing to meet again, and that what is around it wants to see as it is."""
_PASSED_ON = frozenset({"StepFailed", "StepsFailed", "NoQuorum"})
"""Failures that are made of what has failed below."""
_NOT_SAID = frozenset(
    {
        "BudgetExceeded",
        "CircuitOpen",
        "ContextTooLong",
        "DeadlineExceeded",
        "ModelError",
        "ModelUnavailable",
        "NoApiKey",
        "PriceUnknown",
        "QuotaExhausted",
        "RateLimited",
        "RequestRejected",
    }
)
"""Failures of an agent that nothing of what its model has said has led to."""


@final
@dataclass(slots=True)
class PastStep:
    """One step as it was left."""

    started: StepStarted
    number: int
    """Where in the record its last event stands: what ended first comes first."""
    ended: StepEnded | None = None
    attempts: int = 0
    """Attempts of it that have failed."""
    again: bool = False
    """Whether it is to be executed again, though it has ended."""
    replies: dict[int, tuple[int, Reply]] = field(default_factory=dict[int, "tuple[int, Reply]"])
    """The replies that are paid for, by turn."""
    tools: dict[tuple[int, str], tuple[ToolStarted, ToolEnded | None]] = field(
        default_factory=dict[tuple[int, str], "tuple[ToolStarted, ToolEnded | None]"]
    )
    """Its calls of tools, by turn and id."""
    opening: tuple[Digest | None, ...] = ()
    """The messages with which its conversation began."""
    cut: set[int] = field(default_factory=set[int])
    """The turns before which its conversation was cut."""
    edited: bytes | None = None
    """The output that a user has put in its place."""
    used: bool = False
    """Whether that output was taken."""
    broke_off: bool = False
    """Whether its last call of a model came to nothing."""

    @property
    def settled(self) -> bool:
        """Whether its outcome stands: it is not executed again."""
        if self.edited is not None:
            return True
        return self.ended is not None and self.ended.state in ("finished", "failed") and not self.again

    def restart(self) -> None:
        """It is executed again: what led to its failure is left out, what was paid for before that stays."""
        ended, self.ended = self.ended, None
        if ended is None or ended.state != "failed":
            return
        self.attempts += 1
        if self.broke_off or not self.replies or (ended.error is not None and ended.error.type in _NOT_SAID):
            return
        last = max(self.replies)
        broken = [key for key, (_, end) in self.tools.items() if key[0] == last and (end is None or end.state != "finished")]
        for key in broken:
            started, _ = self.tools.pop(key)
            if started.effects:  # it may have acted, which is never forgotten
                self.tools[key] = started, None
        if not broken:  # what the model said has led to the failure
            self.replies.clear()
            self.tools.clear()

    def call_ended(self, event: CallEnded, number: int) -> None:
        """An attempt of a model call has ended."""
        self.broke_off = event.state != "finished"
        if event.state == "finished":
            self.replies[event.turn] = number, event


@final
class Past:
    """What is known of a run that another process has left."""

    def __init__(self, events: Iterable[Event]) -> None:
        self.steps: dict[str, PastStep] = {}
        self.calls: list[tuple[CallStarted, CallEnded | None]] = []
        """Every attempt of a model call that was sent, void or not: all of them may have been billed."""
        self.resumed: int = 0
        """How often the run was resumed already."""
        self._asked: dict[str, Asked] = {}
        self._unanswered: set[str] = set()
        self._answers: dict[str, tuple[int, Answered]] = {}
        self._decided: dict[tuple[str, str, str], int] = {}
        self._void: dict[str, int] = {}
        """By path, the number in the record before which all that lies below is void."""
        self._open: dict[tuple[str, int, int], int] = {}
        self._open_tools: dict[tuple[str, int, str], ToolStarted] = {}
        self._open_steps: dict[str, StepStarted] = {}
        self._exceeded: set[str] = set()
        """The paths below which a budget has run out."""
        self._count = 0
        for event in events:
            self._take(event, self._count)
            self._count += 1
        del self._open, self._exceeded

    def step(self, path: str) -> PastStep | None:
        """The step at `path`, if it was begun, and that still counts."""
        step = self.steps.get(path)
        return step if step is not None and self._counts(path, step.number) else None

    def answer(self, path: str) -> Answered | None:
        """What a person has said to the question that was asked at `path`."""
        number, answered = self._answers.get(path, (0, None))
        return answered if answered is not None and self._counts(path, number) else None

    def asked(self, path: str) -> Asked | None:
        """The question that was asked at `path`."""
        return self._asked.get(path)

    def unanswered(self, path: str) -> Asked | None:
        """The question that was asked at `path` and that nobody has answered since, not even with what does not count."""
        return self._asked[path] if path in self._unanswered else None

    def decided(self, path: str, by: str, chosen: str) -> bool:
        """Whether this choice is in the record, and of what still counts."""
        number = self._decided.get((path, by, chosen))
        return number is not None and self._counts(path, number) and self._void.get(path, -1) < number

    def unused_edits(self) -> list[str]:
        """Where a user has put an output, and no step has come to take it."""
        return [path for path, step in self.steps.items() if step.edited is not None and not step.used]

    def tools_with_effects(self) -> Iterator[ToolStarted]:
        """The tools that have begun to act on the world."""
        for path, step in self.steps.items():
            if self._counts(path, step.number):
                yield from (started for started, _ in step.tools.values() if started.effects)

    def left_open(self) -> Iterator[CallStarted | ToolStarted | StepStarted]:
        """What was going on when the process was killed: calls and tools first, then steps, the innermost first."""
        yield from (started for started, ended in self.calls if ended is None)
        yield from self._open_tools.values()
        yield from sorted(self._open_steps.values(), key=lambda started: -started.path.count("/"))

    def forget(self, path: str) -> None:
        """Let the step at `path` and all below it be as if it never was. What it has cost stays."""
        self.steps.pop(path, None)
        self._answers.pop(path, None)
        self._void[path] = self._count
        self._reopen_around(path)

    def forget_below(self, path: str) -> None:
        """As `forget`, without the step itself: it is tried again."""
        self._void[path] = self._count

    def replace(self, path: str, content: bytes) -> bool:
        """Have the step at `path` give this output, as JSON. Tells whether there is such a step."""
        step = self.step(path)
        if step is None:
            return False
        step.edited, step.again = content, False
        self.forget_below(path)
        self._reopen_around(path)
        return True

    def try_again(self, failed: Iterable[str]) -> None:
        """Have these steps executed again that have failed, those around them and those below."""
        paths = set(failed)
        around = {above for path in paths for above in (*paths_above(path), path)}
        for path, step in self.steps.items():
            if step.ended is None or step.ended.state != "failed":
                continue
            if path in around or any(above in paths for above in paths_above(path)):
                step.again = True
                step.restart()

    def _reopen_around(self, path: str) -> None:
        """What is below has changed, so the steps above are executed again, and the talk of an agent there begins anew."""
        for above in paths_above(path):
            if step := self.steps.get(above):
                step.again = True
                step.replies.clear()
                step.tools.clear()

    def _counts(self, path: str, number: int) -> bool:
        return not self._void or all(self._void.get(above, -1) < number for above in paths_above(path))

    def _take(self, event: Event, number: int) -> None:
        match event:
            case StepStarted() | StepEnded() | StepRetried() | ToolStarted() | ToolEnded():
                self._take_of_step(event, number)
            case CallStarted():
                self._open[event.path, event.turn, event.attempt] = len(self.calls)
                self.calls.append((event, None))
                self._opened(event)
            case CallEnded():
                self._close(event, number)
            case CallSaved() if event.path in self.steps:
                step = self.steps[event.path]
                step.replies[event.turn], step.broke_off = (number, event), False
                self._opened(event)
            case CallFitted() if event.path in self.steps:
                self.steps[event.path].cut.add(event.turn)
            case Asked():
                self._asked[event.path] = event
                self._unanswered.add(event.path)
                self._answers.pop(event.path, None)
            case Answered():
                self._answers[event.path] = number, event
                self._unanswered.discard(event.path)
            case Decided():
                self._decided[event.path, event.by, event.chosen] = number
            case RunEnded():
                self.try_again(event.failed)
            case RunResumed():
                self.resumed = event.number
            case _:
                pass

    def _take_of_step(self, event: StepStarted | StepEnded | StepRetried | ToolStarted | ToolEnded, number: int) -> None:
        step = self.steps.get(event.path)
        match event:
            case StepStarted():
                self._open_steps[event.path] = event
                self._begin(event, number)
            case StepRetried():
                self._void[event.path] = number
                if step is not None:
                    step.attempts = max(event.attempt, 0)
            case StepEnded() if step is not None:
                self._open_steps.pop(event.path, None)
                step.ended, step.number = event, number
                step.again = self._is_tried_anyway(event)
            case ToolStarted() if step is not None:
                self._open_tools[event.path, event.turn, event.id] = event
                step.tools[event.turn, event.id] = event, None
            case ToolEnded() if step is not None:
                self._open_tools.pop((event.path, event.turn, event.id), None)
                if known := step.tools.get((event.turn, event.id)):
                    step.tools[event.turn, event.id] = known[0], None if event.state == "lost" else event
            case _:  # of a step that has not begun: a record that somebody else has written
                pass

    def _is_tried_anyway(self, event: StepEnded) -> bool:
        """Whether a step has failed over a budget, itself or by what is below it."""
        if event.error is None:
            return False
        if event.error.type == _TRIED_ANYWAY:
            self._exceeded.update(paths_above(event.path))
            return True
        return event.error.type in _PASSED_ON and event.path in self._exceeded

    def _begin(self, event: StepStarted, number: int) -> None:
        known = self.steps.get(event.path)
        same = known is not None and known.started.inputs == event.inputs and self._counts(event.path, known.number)
        if known is None or not same or (known.ended is not None and known.ended.state == "finished"):
            if known is not None:
                self._void[event.path] = number
            self.steps[event.path] = PastStep(event, number)
            return
        known.restart()
        known.started, known.number, known.again = event, number, False

    def _opened(self, event: CallStarted | CallSaved) -> None:
        step = self.steps.get(event.path)
        if step is not None and event.turn == 1:
            step.opening = event.messages

    def _close(self, event: CallEnded, number: int) -> None:
        at = self._open.pop((event.path, event.turn, event.attempt), None)
        if at is None:
            return
        self.calls[at] = self.calls[at][0], event
        if step := self.steps.get(event.path):
            step.call_ended(event, number)


def paths_above(path: str) -> Iterator[str]:
    """The paths above `path`, the outermost first: `a`, `a/b`, `a/b[2]` for `a/b[2]/c`."""
    for at, character in enumerate(path):
        if character in "/[":
            yield path[:at]


def is_within(path: str, around: str) -> bool:
    """Whether `path` is `around` or lies below it."""
    return path.startswith(around) and path[len(around) : len(around) + 1] in ("", "/", "[")


def missing(digests: Mapping[str, Digest | None]) -> list[str]:
    """The names of values that are not in the record."""
    return [name for name, digest in digests.items() if digest is None]

"""Which recorded call answers which request: that of the same content; of several, that of the same step."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from itertools import takewhile
from pathlib import Path
from typing import final

from swarmlet.errors import NotRecorded
from swarmlet.testing.replays.call import Form, RecordedCall, key_of, visible
from swarmlet.testing.replays.shown import difference, nearest


@final
class Answers:
    """The calls of a recording, each given once.

    Requests that are the same, as the samples of a vote are, are told apart by their steps: each is given what its own step
    got, so that it does not matter which asks first. A step that the recording does not know gets what the step with the
    most similar path got, or else what was recorded first.
    """

    def __init__(self, calls: Sequence[RecordedCall], path: Path | None, hint: str) -> None:
        self.calls: tuple[RecordedCall, ...] = tuple(calls)
        self._is_file = path is not None
        self._name = "the recording" if path is None else f"the recording {str(path)!r}"
        self._hint = hint
        self._left: dict[str, list[RecordedCall]] = defaultdict(list)
        self._known = {call.key: call for call in reversed(self.calls)}
        self._asked: set[str] = set()
        for call in self.calls:
            self._left[call.key].append(call)

    def take(self, form: Form, step: str) -> RecordedCall | None:
        """The call that answers a request of this step; `None` if there is none left."""
        key = key_of(form)
        left = self._left.get(key)
        if left is None:
            return None
        self._asked.add(key)
        if not left:
            return None
        chosen = max(range(len(left)), key=lambda number: (*_fitness(left[number], step), -number))
        return left.pop(chosen)

    @property
    def left(self) -> tuple[RecordedCall, ...]:
        """The calls that were not given."""
        return tuple(call for calls in self._left.values() for call in calls)

    @property
    def unused(self) -> tuple[RecordedCall, ...]:
        """The calls whose request was never made. Those that were cancelled when they were recorded do not count."""
        return tuple(call for call in self.left if call.key not in self._asked and not call.cancelled)

    def missing(self, form: Form, step: str) -> NotRecorded:
        """The error for a request that has no answer, which says what comes nearest to it."""
        asked = f"step {visible(step)!r} asked {visible(str(form.get('model')))!r} for a reply that {self._name} does not have"
        return NotRecorded("\n".join([f"{asked}{self._reason(form, step)}", *([self._hint] if self._hint else [])]))

    def _reason(self, form: Form, step: str) -> str:
        key = key_of(form)
        if key in self._known:
            same = [call for call in self.calls if call.key == key]
            if all(call.cancelled for call in same):
                return ": in the recorded run, the call was cancelled before its reply came"
            return f" any more: the same request was recorded {_times(len(same))}, and is made once more"
        number = nearest(form, step, self.calls)
        if number is None:
            return ": it has no calls at all"
        near = self.calls[number]
        head = (
            f".\nThe nearest is on its line {number + 2}, step {visible(near.step)!r}; [-recorded-] and {{+asked+}} differ in:"
        )
        return "\n".join([head, *(f"  {line}" for line in difference(near.request, form))])


def told(call: RecordedCall) -> str:
    """A recorded call in a few words."""
    return f"the call of step {visible(call.step)!r} in turn {call.turn}, to {visible(call.model)!r}"


def _fitness(call: RecordedCall, step: str) -> tuple[bool, bool, int]:
    """Of the same step; else of any that came to something, and of those the one with the most similar path."""
    pairs = zip(reversed(call.step.split("/")), reversed(step.split("/")), strict=False)
    return call.step == step, not call.cancelled, sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], pairs))


def _times(count: int) -> str:
    return "once" if count == 1 else f"{count} times"

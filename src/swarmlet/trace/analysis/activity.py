"""One step's time, moment by moment: what it was doing.

Calls, tools, questions and retries say when they began and ended. Where several went on at once (two tools, a tool and the step
that it runs) a moment belongs to the first of `_RANK` among them; what belongs to none of them is the step's own code.
"""

from __future__ import annotations

import math
from itertools import pairwise
from typing import TYPE_CHECKING, Final, TypeAlias

from swarmlet.trace.analysis.kinds import Kind, Split, split_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from swarmlet.trace.events import CallEnded, CallStarted
    from swarmlet.trace.records import StepRecord

Doing: TypeAlias = Kind | None
"""`None`: a step below went on, to which the moment belongs."""
Span: TypeAlias = tuple[float, float, Doing]
"""From when to when, and what."""

_RANK: Final[tuple[Doing, ...]] = (
    *("away", "lost", None, "model", "first_token", "person", "tool", "limit", "budget", "retry"),
)


def spans(step: StepRecord) -> list[Span]:
    """What the record says that the step was doing, in all of its executions; may overlap. Ends may be infinite."""
    found: list[Span] = []
    for call in step.calls:
        _add_call(found, call.started, call.ended)
    for tool in step.tools:
        end = tool.ended.at if tool.ended else math.inf
        found.append((tool.started.at, end, "tool"))
    for retry in step.retries:
        found.append((retry.at, retry.at + retry.wait, "retry"))
    if step.asked:
        _add_questions(found, step)
    return found


def _add_call(found: list[Span], started: CallStarted, ended: CallEnded | None) -> None:
    at = started.at
    if started.waited > 0:
        found.append((at - started.waited, at, "limit"))
    if started.budget_waited > 0:
        found.append((at - started.waited - started.budget_waited, at - started.waited, "budget"))
    if ended is None:
        found.append((at, math.inf, "model"))
        return
    first = at + ended.first_token if ended.first_token is not None else at
    if first > at:
        found.append((at, min(first, ended.at), "first_token"))
    found.append((min(first, ended.at), ended.at, "model"))
    if ended.retry_in:
        found.append((ended.at, ended.at + ended.retry_in, "retry"))


def _add_questions(found: list[Span], step: StepRecord) -> None:
    answers = sorted(answer.at for answer in step.answered)
    for question in step.asked:
        end = next((at for at in answers if at >= question.at), math.inf)
        found.append((question.at, end, "person"))


def pieces(doing: Iterable[Span], begin: float, end: float) -> list[Span]:
    """What went on from `begin` to `end`, in order, as spans that do not overlap; between them, nothing that is told."""
    clipped: list[Span] = [
        (max(start, begin), min(stop, end), what) for start, stop, what in doing if stop > begin and start < end
    ]
    clipped.sort(key=_begin)
    return clipped if _apart(clipped) else _flattened(clipped)


def split(doing: Iterable[Span], begin: float, end: float, rest: Kind = "own") -> Split:
    """The seconds from `begin` to `end` by what went on in them; `rest` is what nothing else did."""
    found = pieces(doing, begin, end)
    if not found:
        return split_of({rest: end - begin}) if end > begin else Split()
    sums: dict[Kind, float] = {}
    covered = 0.0
    for start, stop, what in found:
        covered += stop - start
        if what is not None:
            sums[what] = sums.get(what, 0.0) + stop - start
    sums[rest] = sums.get(rest, 0.0) + max(0.0, end - begin - covered)
    return split_of(sums)


def _begin(span: tuple[float, object, object]) -> float:
    return span[0]


def _apart(ordered: Sequence[Span]) -> bool:
    """Whether none of the spans, which are in order, overlaps the next."""
    return all(one[1] <= other[0] for one, other in pairwise(ordered))


def _flattened(ordered: Sequence[Span]) -> list[Span]:
    """The spans as pieces that do not overlap: each moment is of the first kind in `_RANK` that goes on."""
    moments: list[tuple[float, int, Doing]] = []
    for start, stop, what in ordered:
        moments.append((start, 1, what))
        moments.append((stop, -1, what))
    moments.sort(key=_begin)
    going: dict[Doing, int] = dict.fromkeys(_RANK, 0)
    pieces: list[Span] = []
    here = ordered[0][0]
    for at, change, what in moments:
        if at > here:
            for kind in _RANK:
                if going[kind]:
                    pieces.append((here, at, kind))
                    break
            here = at
        going[what] += change
    return pieces

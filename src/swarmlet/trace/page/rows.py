"""The steps of a run as rows of a timeline: the tree, and what each step did from when to when."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, cast, final, get_args

from swarmlet.trace.analysis.activity import pieces as spans_apart
from swarmlet.trace.analysis.executions import RUN
from swarmlet.trace.analysis.kinds import KINDS, Kind
from swarmlet.trace.records import StepState

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from swarmlet.trace.analysis.activity import Span
    from swarmlet.trace.analysis.executions import Execution
    from swarmlet.trace.analysis.insight import Insight
    from swarmlet.trace.records import StepRecord
    from swarmlet.trace.views import Data

STATES: Final = cast("tuple[str, ...]", get_args(StepState))
COLUMNS: Final = (
    *("depth", "name", "node", "state", "begin", "end", "usd", "input", "output", "requests"),
    *("critical", "slack", "retries", "tools", "steps", "error", "pieces", "seconds"),
)
"""What a row says. `name` is what the path has more than the one above; `node` and `state` are places in their lists; `begin`
and `end` are seconds since the run began; `critical` the seconds on the critical path, `seconds` those of a step without what
it waited before, `steps` the executed ones below it; `pieces` is flat: begin, end, kind, begin, end, kind, ..."""
_PIECES: Final = 240
"""A row has no more pieces: of so many, none could be seen."""
_Piece = tuple[float, float, Kind]


@final
@dataclass(slots=True)
class Places:
    """Where each step stands among the rows, and when it went on."""

    index: dict[str, int] = field(default_factory=dict[str, int])
    begin: list[float | None] = field(default_factory=list[float | None])
    end: list[float | None] = field(default_factory=list[float | None])
    critical: dict[str, float] = field(default_factory=dict[str, float])


def rows(insight: Insight) -> tuple[Data, Places]:
    """The timeline, and where each path stands in it."""
    walked = list(_walk(insight.trace.root))
    places = Places(critical=_critical(insight))
    _times(insight, walked, places)
    below = _below(insight.timeline.executions)
    counts = _counts(walked)
    nodes: dict[str, int] = {"": 0}
    table: list[list[object]] = []
    for number, (step, depth, above) in enumerate(walked):
        node = nodes.setdefault(step.node, len(nodes))
        fault = step.ended.error if step.ended else None
        executed = step.started is not None
        usage = step.usage
        table.append(
            [
                depth,
                step.path.removeprefix(above),
                node,
                STATES.index(step.state),
                _short(places.begin[number]),
                _short(places.end[number]),
                float(usage.usd),
                usage.input_tokens,
                usage.output_tokens,
                usage.requests,
                _short(places.critical.get(step.path, 0.0)),
                _short(insight.slack(step.path)) if executed else None,
                len(step.retries) + sum(call.started.attempt > 1 for call in step.calls),
                len(step.tools),
                counts[number],
                fault.type if fault else None,
                _flat(_pieces_of(insight, step, below)) if executed else [],
                _short(step.seconds) if executed else None,
            ]
        )
    legs = [
        (places.index[leg.path], _short(leg.begin), _short(leg.end))
        for leg in insight.critical_path.legs
        if leg.path in places.index
    ]
    told: Data = {"columns": COLUMNS, "kinds": KINDS, "states": STATES, "nodes": list(nodes), "rows": table, "legs": legs}
    return told, places


def _walk(root: StepRecord) -> Iterable[tuple[StepRecord, int, str]]:
    """Each step, how deep it lies, and the path above."""
    stack = [(root, 0, "")]
    while stack:
        step, depth, above = stack.pop()
        yield step, depth, above
        stack.extend((child, depth + 1, step.path) for child in reversed(step.children))


def _critical(insight: Insight) -> dict[str, float]:
    sums: dict[str, float] = {}
    for leg in insight.critical_path.legs:
        sums[leg.path] = sums.get(leg.path, 0.0) + leg.seconds
    return sums


def _times(insight: Insight, walked: Sequence[tuple[StepRecord, int, str]], places: Places) -> None:
    """When each row went on; a group from the first to the last of what is below it."""
    places.begin, places.end = [None] * len(walked), [None] * len(walked)
    for number, (step, _, _) in enumerate(walked):
        places.index[step.path] = number
    for number in range(len(walked) - 1, -1, -1):
        step, _, above = walked[number]
        if ran := insight.timeline.by_path.get(step.path):
            _widen(places, number, min(one.ready for one in ran), max(one.end for one in ran))
        begin, end = places.begin[number], places.end[number]
        if number and begin is not None and end is not None:
            _widen(places, places.index[above], begin, end)


def _widen(places: Places, number: int, begin: float, end: float) -> None:
    known, until = places.begin[number], places.end[number]
    places.begin[number] = begin if known is None else min(known, begin)
    places.end[number] = end if until is None else max(until, end)


def _counts(walked: Sequence[tuple[StepRecord, int, str]]) -> list[int]:
    """How many executed steps are below each row, itself included."""
    counts = [0] * len(walked)
    chain: list[int] = []
    order: list[int] = []
    for number, (_, depth, _) in enumerate(walked):
        del chain[depth:]
        order.append(chain[-1] if chain else -1)
        chain.append(number)
    for number in range(len(walked) - 1, -1, -1):
        counts[number] += walked[number][0].started is not None
        if order[number] >= 0:
            counts[order[number]] += counts[number]
    return counts


# What a step did


def _below(executions: Sequence[Execution]) -> dict[int, list[Span]]:
    """When steps ran within each execution: that time is theirs."""
    found: dict[int, list[Span]] = {}
    for one in executions:
        if one.inside != RUN and one.end > one.start:
            found.setdefault(one.inside, []).append((one.start, one.end, None))
    return found


def _pieces_of(insight: Insight, step: StepRecord, below: dict[int, list[Span]]) -> list[_Piece]:
    pieces: list[_Piece] = []
    for one in insight.timeline.by_path.get(step.path, ()):
        at = one.ready
        for kind, seconds in insight.waiting(one).items():
            pieces.append((at, at + seconds, kind))
            at += seconds
        told = [*insight.doing(one), *below.get(one.index, ())]
        pieces += painted(told, one.start, one.end, insight.rest(one))
    return pieces if len(pieces) <= _PIECES else _coarse(pieces)


def painted(told: Sequence[Span], begin: float, end: float, rest: Kind) -> list[_Piece]:
    """The time from `begin` to `end` as pieces that do not overlap; what nothing tells is `rest`, what steps below did is left
    out."""
    found: list[_Piece] = []
    at = begin
    for start, stop, what in spans_apart(told, begin, end):
        _put(found, at, start, rest)
        _put(found, start, stop, what)
        at = stop
    _put(found, at, end, rest)
    return found


def _put(pieces: list[_Piece], begin: float, end: float, kind: Kind | None) -> None:
    if kind is None or end <= begin:
        return
    if pieces and pieces[-1][2] == kind and pieces[-1][1] >= begin:
        pieces[-1] = (pieces[-1][0], end, kind)
    else:
        pieces.append((begin, end, kind))


def _coarse(pieces: Sequence[_Piece]) -> list[_Piece]:
    """Too many pieces as slices of the same length, each of the kind that has most of it."""
    low, high = min(one[0] for one in pieces), max(one[1] for one in pieces)
    width = (high - low) / _PIECES or 1.0
    slices: list[dict[Kind, float]] = [{} for _ in range(_PIECES)]
    for begin, end, kind in pieces:
        for number in range(int((begin - low) / width), min(int((end - low) / width) + 1, _PIECES)):
            overlap = min(end, low + (number + 1) * width) - max(begin, low + number * width)
            slices[number][kind] = slices[number].get(kind, 0.0) + max(overlap, 0.0)
    found: list[_Piece] = []
    for number, kinds in enumerate(slices):
        if kinds and (seconds := sum(kinds.values())) > 0:
            begin = low + number * width
            most = max(kinds.items(), key=lambda pair: pair[1])[0]
            _put(found, begin, begin + (width if seconds > width / 2 else seconds), most)
    return found


def _flat(pieces: Sequence[_Piece]) -> list[object]:
    return [each for begin, end, kind in pieces for each in (_short(begin), _short(end), KINDS.index(kind))]


def _short(seconds: float | None) -> float | None:
    """Microseconds are enough."""
    return None if seconds is None else round(seconds, 6)

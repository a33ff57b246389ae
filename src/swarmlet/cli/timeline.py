"""`swarmlet show RUN --timeline`: the steps as bars over time, in characters and colours for what their time went to."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, TypeAlias, final

from swarmlet.cli import cell_width
from swarmlet.trace.analysis.activity import spans
from swarmlet.trace.analysis.executions import Timeline
from swarmlet.trace.events import RunResumed
from swarmlet.trace.records import parent_path
from swarmlet.trace.rows import Fold, TreeRow, tree_rows
from swarmlet.trace.views import duration, line

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from swarmlet.cli import Piece
    from swarmlet.trace import StepRecord, Trace

_Gap: TypeAlias = tuple[float, float]
_MARKS: Final = {
    "model": ("█", "blue"),
    "first_token": ("▓", "cyan"),
    "tool": ("▒", "magenta"),
    "own": ("░", "green"),
    "retry": ("x", "red"),
    "limit": ("·", "yellow"),
    "budget": ("$", "yellow"),
    "person": ("?", "bright_magenta"),
    "away": ("/", "dim"),
    "wait": ("-", "yellow"),
    "below": ("─", "dim"),
}
"""How each kind of time is drawn. `wait`: ready, and waiting for a place or the event loop; `below`: steps below it run."""
_SAID: Final = {
    "model": "model",
    "first_token": "until its first token",
    "tool": "tool",
    "own": "own code",
    "retry": "wait for the next attempt",
    "limit": "wait for limits",
    "budget": "wait for a budget",
    "person": "wait for a person",
    "away": "no process had the run",
    "wait": "wait for a place",
    "below": "steps below run",
}
_DENSITY: Final = "▁▂▃▄▅▆▇█"
"""Of a fold: how many of its steps run at once."""
_MOST_NAME: Final = 44
_MARKED: Final = "*"
_APART: Final = "   "


@final
@dataclass(frozen=True, slots=True)
class _Axis:
    """From seconds to columns."""

    begin: float
    seconds: float
    columns: int

    def column(self, at: float) -> int:
        """The column of a moment."""
        share = (at - self.begin) / self.seconds if self.seconds > 0 else 0.0
        return min(self.columns - 1, max(0, int(share * self.columns)))


def timeline(trace: Trace, width: int, *, fold: bool) -> Iterator[Sequence[Piece]]:
    """The lines of the picture: an axis, a bar for each step, and what the characters mean."""
    rows = list(tree_rows(trace.root, fold=fold))
    names = [_name(row) for row in rows]
    wide = min(max(map(cell_width, names)), max(_MOST_NAME, width // 3))
    critical = set(trace.critical_path().paths)
    around = {above for path in critical for above in _above(path)}
    times = [duration(row.of.seconds) for row in rows]
    last = max(map(len, times))
    gaps = list(_gaps(trace))
    axis = _Axis(trace.started.at, trace.seconds, max(10, width - wide - last - 5))
    yield [(" " * (wide + 3) + _ticks(axis), "dim")]
    used: set[str] = set()
    for row, name, took in zip(rows, names, times, strict=True):
        steps, marked = (row.of.steps, around) if isinstance(row.of, Fold) else ((row.of,), critical)
        on_path = any(step.path in marked for step in steps)
        bar = list(_bar(row.of, axis, trace.started.at + trace.seconds, gaps, used))
        label = _cut(name, wide)
        yield [
            (f"{_MARKED if on_path else ' '} ", "bold red"),
            (label + " " * (wide - cell_width(label) + 1), "bold" if on_path else ""),
            *bar,
            (f"  {took:>{last}}", ""),
        ]
    yield [("", "")]
    yield from _legend(used, width)


def _above(path: str) -> Iterator[str]:
    """A path, and those above it."""
    while path:
        yield path
        path = parent_path(path)


def _name(row: TreeRow) -> str:
    return row.lines + (str(row.of) if isinstance(row.of, Fold) else line(row.of.name))


def _cut(name: str, width: int) -> str:
    if cell_width(name) <= width:
        return name
    kept = name
    while kept and cell_width(kept) > width - 1:
        kept = kept[:-1]
    return f"{kept}…"


def _ticks(axis: _Axis) -> str:
    """Moments along the axis."""
    text = [" "] * axis.columns
    parts = max(1, min(5, axis.columns // 14))
    for part in range(parts):
        at = part * axis.columns // parts
        label = f"|{duration(axis.seconds * part / parts) if part else '0'}"
        text[at : at + len(label)] = label
    return "".join(text)[: axis.columns]


def _bar(of: StepRecord | Fold, axis: _Axis, now: float, gaps: Sequence[_Gap], used: set[str]) -> Iterator[Piece]:
    if isinstance(of, Fold):
        yield _dense(of, axis, now)
        return
    cells: list[str] = [""] * axis.columns
    for begin, end, kind in _without(_told(of, now), gaps):
        for column in range(axis.column(begin), axis.column(end) + 1):
            if not cells[column] or _RANKS[kind] < _RANKS[cells[column]]:
                cells[column] = kind
    used.update(cell for cell in cells if cell)
    here = 0
    while here < axis.columns:
        kind, begin = cells[here], here
        while here < axis.columns and cells[here] == kind:
            here += 1
        mark, style = _MARKS[kind] if kind else (" ", "")
        yield mark * (here - begin), style


_RANKS: Final = {
    kind: rank
    for rank, kind in enumerate(
        ("model", "first_token", "person", "tool", "retry", "limit", "budget", "wait", "own", "below", "away")
    )
}
"""What is drawn where several share a column."""


def _told(step: StepRecord, now: float) -> Iterator[tuple[float, float, str]]:
    """What a step did, and when."""
    begin, end = step.begin, step.end if step.end is not None else now
    if begin is None:
        return
    executions = [(start, ended.at if ended else now) for start, ended in step.earlier]
    if step.started:
        executions.append((step.started, end))
    else:
        yield begin, end, "below"
    for started, over in executions:
        if started.waited > 0:
            yield started.at - started.waited, started.at, "wait"
        yield started.at, over, "below" if step.children else "own"
    for start, stop, kind in spans(step):
        if kind is not None and kind in _MARKS:
            yield start, min(stop, end), kind


def _gaps(trace: Trace) -> Iterator[_Gap]:
    """When no process had the run."""
    if any(isinstance(event, RunResumed) for event in trace.events):
        for begin, end, _ in Timeline(trace.events, trace.root).away:
            yield trace.started.at + begin, trace.started.at + end


def _without(told: Iterable[tuple[float, float, str]], gaps: Sequence[_Gap]) -> Iterator[tuple[float, float, str]]:
    """The same, but nothing is done while no process has the run; a person may think."""
    for begin, end, kind in told:
        at = begin
        for left, back in gaps if kind != "person" else ():
            if at < back and left < end:
                if at < left:
                    yield at, left, kind
                yield max(at, left), min(end, back), "away"
                at = back
        if at <= end:
            yield at, end, kind


def _dense(fold: Fold, axis: _Axis, now: float) -> Piece:
    """How many of the steps run at once, column by column."""
    changes = [0] * (axis.columns + 1)
    for step in fold.steps:
        if step.begin is None:
            continue
        changes[axis.column(step.begin)] += 1
        changes[axis.column(step.end if step.end is not None else now) + 1] -= 1
    counts: list[int] = []
    running = 0
    for change in changes[:-1]:
        running += change
        counts.append(running)
    most = max(counts) or 1
    return "".join(" " if not count else _DENSITY[(count * 8 - 1) // most] for count in counts), "blue"


def _legend(used: set[str], width: int) -> Iterator[Sequence[Piece]]:
    """What the characters mean, on as many lines as that takes."""
    said: list[list[Piece]] = [[(f"{_MARKED} on the critical path", "bold")]]
    said += [[_MARKS[kind], (f" {text}", "")] for kind, text in _SAID.items() if kind in used]
    row: list[Piece] = []
    for entry in said:
        wide = sum(len(text) for text, _ in (*row, *entry))
        if row and wide + len(_APART) > width:
            yield row
            row = []
        row += [(_APART, ""), *entry] if row else entry
    yield row

"""A run as Chrome's trace events, which Perfetto and chrome://tracing show.

The first track is the critical path. Below it each step is a slice, with its calls, tools and waits inside; what runs beside
something else is on a track of its own, called by the node that is on it. Times are microseconds since the run began. No
contents.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from heapq import heappop, heappush
from typing import TYPE_CHECKING, Final, TypeAlias, final

from swarmlet.trace.analysis.activity import spans
from swarmlet.trace.views import fault_text, visible

if TYPE_CHECKING:
    from swarmlet.trace import CallRecord, StepRecord, Trace

Slice: TypeAlias = dict[str, object]
_PID: Final = 1
_PATH: Final = 0
"""The track of the critical path."""
_WAITS: Final = frozenset({"limit", "budget", "retry", "person"})


def chrome_events(trace: Trace) -> Iterator[Slice]:
    """The events, those that name tracks last."""
    start, now = trace.started.at, trace.started.at + trace.seconds
    name = visible(f"run {trace.run_id}: {trace.started.name}")
    yield {"ph": "M", "pid": _PID, "name": "process_name", "args": {"name": name}}
    for leg in trace.critical_path().legs:
        about: Slice = {"path": visible(leg.path), "share": round(leg.share, 4), "why": leg.why, **dict(leg.split.items())}
        yield _slice(_PATH, visible(leg.path or "(no step)"), "critical path", leg.begin, leg.end, about)
    tracks = _Tracks()
    bars = list(_bars(trace.root, now))
    bars.sort(key=lambda bar: bar.begin)  # a stable sort: what is around others stays before them
    for bar in bars:
        tracks.place(bar)
        yield _slice(bar.track, bar.name, bar.kind, bar.begin - start, bar.end - start, bar.about)
    yield _named(_PATH, "critical path")
    for number, called in enumerate(tracks.names, 1):
        yield _named(number, called)


@final
@dataclass(slots=True, eq=False)
class _Bar:
    """What is drawn, and in what."""

    name: str
    kind: str
    begin: float
    end: float
    about: Slice
    around: _Bar | None
    track: int = 0
    free: float = 0.0
    """From when on nothing is in it."""


@final
class _Tracks:
    """Bars of a track lie within one another or follow one another; what overlaps goes to another track."""

    def __init__(self) -> None:
        self.names: list[str] = []
        self._free: dict[str, list[tuple[float, int]]] = {}

    def place(self, bar: _Bar) -> None:
        """Find a track for the next bar in the order of time: that of what is around it, or one of its name."""
        around = bar.around
        bar.free = bar.begin
        if around is not None and around.free <= bar.begin and bar.end <= around.end:
            bar.track, around.free = around.track, bar.end
            return
        plain = bar.name.partition("[")[0]
        free = self._free.setdefault(plain, [])
        if free and free[0][0] <= bar.begin:
            bar.track = heappop(free)[1]
        else:
            self.names.append(plain)
            bar.track = len(self.names)
        heappush(free, (bar.end, bar.track))


def _bars(root: StepRecord, now: float) -> Iterator[_Bar]:
    stack: list[tuple[StepRecord, _Bar | None]] = [(root, None)]
    while stack:
        step, around = stack.pop()
        if step.started and step.begin is not None:
            end = step.end if step.end is not None else now
            around = _Bar(visible(step.name), "step", step.begin, end, _about(step), around)
            yield around
            yield from _inside(step, around)
        stack += [(child, around) for child in reversed(step.children)]


def _inside(step: StepRecord, around: _Bar) -> Iterator[_Bar]:
    for call in step.calls:
        over = call.ended.at if call.ended else around.end
        name = visible((call.ended and call.ended.model) or call.started.model)
        yield _Bar(name, "model", call.started.at, over, _call_about(call), around)
    for tool in step.tools:
        over = tool.ended.at if tool.ended else around.end
        about: Slice = {"state": tool.state, "turn": tool.started.turn}
        yield _Bar(visible(tool.started.tool), "tool", tool.started.at, over, about, around)
    for begin, until, kind in spans(step):
        if kind in _WAITS:
            yield _Bar(f"wait: {kind}", "wait", max(begin, around.begin), min(until, around.end), {}, around)


def _about(step: StepRecord) -> Slice:
    usage = step.usage
    about: Slice = {"path": visible(step.path), "node": visible(step.node), "state": step.state}
    if usage.requests:
        about |= {"input_tokens": usage.input_tokens, "cached_tokens": usage.cached_tokens}
        about |= {"output_tokens": usage.output_tokens, "usd": str(usage.usd)}
    if step.started and step.started.waited:
        about["waited"] = round(step.started.waited, 6)
    if step.ended and step.ended.error:
        about["error"] = visible(fault_text(step.ended.error))
    return about


def _call_about(call: CallRecord) -> Slice:
    usage = call.usage
    about: Slice = {"state": call.state, "turn": call.started.turn, "attempt": call.started.attempt}
    about |= {"input_tokens": usage.input_tokens, "cached_tokens": usage.cached_tokens}
    about |= {"output_tokens": usage.output_tokens, "usd": str(usage.usd)}
    if call.ended and call.ended.first_token is not None:
        about["first_token"] = round(call.ended.first_token, 6)
    return about


def _slice(track: int, name: str, kind: str, begin: float, end: float, about: Slice) -> Slice:
    span = {"ts": round(begin * 1e6, 3), "dur": round(max(0.0, end - begin) * 1e6, 3)}
    return {"ph": "X", "pid": _PID, "tid": track, "name": name, "cat": kind, **span, "args": about}


def _named(track: int, name: str) -> Slice:
    return {"ph": "M", "pid": _PID, "tid": track, "name": "thread_name", "args": {"name": name}}

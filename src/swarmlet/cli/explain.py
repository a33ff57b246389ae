"""Where a run's time and money went, in words: what `show` says before its tree, and what `plan` says of past runs."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING, Final, final

from swarmlet.trace.analysis.kinds import Kind, Split
from swarmlet.trace.views import duration, line
from swarmlet.usage import Usage

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from swarmlet.trace import Trace
    from swarmlet.trace.analysis.critical import CriticalPath, Leg
    from swarmlet.trace.analysis.what_if import WhatIf
    from swarmlet.trace.refed import Feed
    from swarmlet.trace.views import Data

_TOLD: Final = 3
"""Nodes, or kinds of time, that a sentence names."""
_SMALL: Final = 0.02
"""A smaller part of the whole is not worth a word."""

_LARGE: Final = 0.2

ADVICE: Final[Mapping[Kind, str]] = {
    "model": "it mostly waits for the model: a faster model, or a shorter reply (max_tokens=, a smaller output type)",
    "first_token": "it mostly waits for the first token: a shorter prompt, one that begins alike each time, or a faster model",
    "tool": "its tools take most of it",
    "own": "its own code takes most of it",
    "person": "it mostly waits for a person: ask earlier, beside other steps",
    "retry": "it mostly waits between attempts: see what fails, or wait less, retry=Retry(...)",
    "limit": "it mostly waits for the requests and tokens per minute of the swarm's Limits: raise them, or make fewer calls",
    "budget": "it mostly waits for room in a budget: raise it, or lower max_tokens=, which is what each call sets aside",
    "concurrency": "it mostly waits for a place: raise concurrency=",
    "queue": "it was ready while the event loop was busy: put long sync code into @node(thread=True)",
    "swarmlet": "it mostly waits on purpose, or between steps",
    "lost": "most of it was done again after its process was killed",
    "away": "most of it no process had the run",
}
"""What helps against time of each kind."""
_PLACES: Final = "; its steps waited for one another's places: a higher concurrency= lets more run at once"


@final
@dataclass(frozen=True, slots=True)
class Lever:
    """A node on the critical path, and what changing it would save."""

    node: str
    seconds: float
    """Of its legs on the critical path."""
    share: float
    steps: int
    split: Split
    """Those seconds by kind."""
    slowest: str
    """Path of the step with its longest leg."""
    places: bool
    """Whether its steps on the path waited for one another's places under a `concurrency=`."""
    none: WhatIf
    """The run, had its steps taken no time."""
    half: WhatIf
    """The run, had they taken half of it."""

    @property
    def kind(self) -> Kind:
        """What most of its time went to."""
        return self.split.items()[0][0]

    @property
    def advice(self) -> str:
        """What helps."""
        held = self.split.limit + self.split.budget >= self.split.total / 4  # more at once would only wait there
        return ADVICE[self.kind] + (_PLACES if self.places and not held else "")

    @property
    def data(self) -> Data:
        """For JSON: `node, seconds, share, steps, slowest, split, advice, saves, half_saves`."""
        return {
            "node": self.node,
            "seconds": self.seconds,
            "share": self.share,
            "steps": self.steps,
            "slowest": self.slowest,
            "split": dict(self.split.items()),
            "advice": self.advice,
            "saves": self.none.seconds_saved,
            "half_saves": self.half.seconds_saved,
        }


def levers_of(trace: Trace, most: int = _TOLD) -> list[Lever]:
    """The nodes whose own time on the critical path was longest, the one with the largest saving first.

    Without those that only run others, and would save what these take: these are told themselves.
    """
    path = trace.critical_path()
    legs: dict[str, list[Leg]] = {}
    for leg in path.legs:
        if leg.node:
            legs.setdefault(leg.node, []).append(leg)
    longest = sorted(legs, key=lambda node: -sum(leg.seconds for leg in legs[node]))[:most]
    found = [_lever(trace, node, legs[node]) for node in longest if any(leg.split.items() for leg in legs[node])]
    kept = [lever for lever in found if lever is not None and not _is_around(trace, lever)]
    return sorted(kept, key=lambda lever: -lever.none.seconds_saved)


def _is_around(trace: Trace, lever: Lever) -> bool:
    around = all(step.children and not step.calls for step in trace.node(lever.node))
    return around and lever.seconds < lever.none.seconds_saved / 2


def _lever(trace: Trace, node: str, legs: Sequence[Leg]) -> Lever | None:
    slowest = max(legs, key=lambda leg: leg.seconds)
    try:
        none, half = trace.what_if(node, seconds=0.0), trace.what_if(node, factor=0.5)
    except KeyError:  # its steps do nothing but run others of the same node
        return None
    return Lever(
        node=node,
        seconds=sum(leg.seconds for leg in legs),
        share=sum(leg.share for leg in legs),
        steps=len({leg.path for leg in legs}),
        split=Split.total_of(leg.split for leg in legs),
        slowest=slowest.path,
        places=any(leg.why == "place" and trace.split(leg.path).concurrency > 0 for leg in legs),
        none=none,
        half=half,
    )


def short_names(nodes: Iterable[str]) -> dict[str, str]:
    """How nodes are called in words: by their last name, where that tells them apart."""
    names = {node: line(node.rpartition(":")[2].rpartition(".")[2] or node) for node in nodes}
    counts: dict[str, int] = {}
    for name in names.values():
        counts[name] = counts.get(name, 0) + 1
    return {node: name if counts[name] == 1 else line(node) for node, name in names.items()}


# A run in words


def explained(trace: Trace, levers: Sequence[Lever]) -> Iterator[tuple[str, str]]:
    """What to know of a run before its steps: sentences, each with a word for what it is about."""
    path = trace.critical_path()
    if path.seconds > 0 and path.legs:
        names = short_names(leg.node for leg in path.legs)
        yield "time", f"{duration(path.seconds)} on the critical path: {_split(path.split, path.seconds)}"
        yield "path", _nodes(path.by_node(), names, path.seconds)
        yield from _changes(trace, path, levers, names)
    yield from _money(trace)
    waits = trace.waits().total
    if waits.total > _SMALL * path.seconds:
        yield "waits", f"{_split(waits)}; summed over steps that may wait beside one another"
    yield from _refed(trace.refed())


def _split(split: Split, whole: float | None = None) -> str:
    """Seconds by kind, the largest few."""
    total = whole or split.total
    told = [(kind, seconds) for kind, seconds in split.items() if seconds >= _SMALL * total][: _TOLD + 1]
    if not told:
        told = split.items()[:1]
    return ", ".join(f"{kind.replace('_', ' ')} {duration(seconds)} ({_percent(seconds, total)})" for kind, seconds in told)


def _nodes(seconds: Mapping[str, float], names: Mapping[str, str], whole: float) -> str:
    told = [(node, took) for node, took in seconds.items() if took >= _SMALL * whole][: _TOLD + 1]
    parts = [f"{names[node] if node else '(no step)'} {duration(took)} ({_percent(took, whole)})" for node, took in told]
    more = len(seconds) - len(told)
    return ", ".join(parts) + (f", and {more:,} more" if more > 0 else "")


def _changes(trace: Trace, path: CriticalPath, levers: Sequence[Lever], names: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    if not levers:
        return
    best = levers[0]
    if best.none.seconds_saved < _SMALL * (trace.seconds - path.split.only(("away", "lost", "person")).total):
        yield from _together(trace, max(levers, key=lambda lever: lever.seconds), names)
        return
    name, none, half = names.get(best.node, line(best.node)), best.none, best.half
    said = f"{name}: at half its time the run would take {duration(half.seconds_after)} instead of "
    said += f"{duration(half.seconds_before)} (-{_percent(half.seconds_saved, half.seconds_before)}), "
    yield "change", said + f"at none {duration(none.seconds_after)}"
    yield "", f"{best.advice}; its slowest step: {line(best.slowest)}"


def _together(trace: Trace, longest: Lever, names: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    """Nothing alone would help: what runs beside the longest takes as long."""
    close = _SMALL * trace.seconds
    beside = {step.node for step in trace.steps() if trace.slack(step) <= close and (step.seconds or 0.0) > close}
    others = sorted(short_names(beside - set(names)).values())[:_TOLD]
    if longest.share >= _LARGE and others:
        name = names.get(longest.node, line(longest.node))
        said = f"no single node: {name} has {_percent(longest.share, 1)} of the path, but {', '.join(others)} beside it "
        yield "change", said + f"{'take' if len(others) > 1 else 'takes'} as long, so only all of them together would help"


def _money(trace: Trace) -> Iterator[tuple[str, str]]:
    usage = trace.usage
    if not usage.requests:
        return
    costs: dict[str, Usage] = {}
    for step in trace.steps():
        if step.calls:
            own = Usage.total(call.usage for call in step.calls)
            costs[step.node] = costs[step.node] + own if step.node in costs else own
    names = short_names(costs)
    by_usd = bool(usage.usd)
    ordered = sorted(costs, key=lambda node: (costs[node].usd, costs[node].total_tokens), reverse=True)[:_TOLD]
    if by_usd:
        told = [f"{names[node]} {_usd(costs[node].usd)} USD ({_percent(costs[node].usd, usage.usd)})" for node in ordered]
    else:
        told = [
            f"{names[node]} {costs[node].total_tokens:,} tokens ({_percent(costs[node].total_tokens, usage.total_tokens)})"
            for node in ordered
        ]
    more = len(costs) - len(told)
    said = ", ".join(told) + (f", and {more:,} more" if more > 0 else "")
    dearest = ordered[0]
    if by_usd and costs[dearest].usd:
        less = usage.usd - costs[dearest].usd / 2
        said += f"; with {names[dearest]} at half its price {_usd(less)} instead of {_usd(usage.usd)} USD"
    yield "cost", said


def _refed(feed: Feed) -> Iterator[tuple[str, str]]:
    if not feed.refed or feed.refed < _SMALL * feed.input_tokens:
        return
    said = (
        f"{feed.refed:,} of {feed.input_tokens:,} prompt tokens ({_percent(feed.refed, feed.input_tokens)}) "
        "had been sent before in this run"
    )
    if feed.refed_usd:
        said += f", for {_usd(feed.refed_usd)} USD"
    if feed.refed_cached:
        said += f"; {feed.refed_cached:,} came from the provider's cache"
        said += f", which saved {_usd(feed.refed_saved)} USD" if feed.refed_saved else ""
    yield "re-fed", said


def _usd(amount: Decimal) -> str:
    return f"{amount:.6f}" if amount < 1 else f"{amount:,.2f}"


def _percent(part: float | Decimal, whole: float | Decimal) -> str:
    share = float(part) / float(whole) if whole else 0.0
    return f"{share:.0%}" if share >= 0.01 or not share else "<1%"

"""What past runs of a graph say of the next one: how much they took, and what would have made them quicker."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, final

from swarmlet.cli.explain import levers_of, short_names
from swarmlet.cli.many import ManyRuns, count_runs, percentile, place_of
from swarmlet.trace.analysis.kinds import Kind
from swarmlet.trace.views import Data, duration

if TYPE_CHECKING:
    from swarmlet.cli.explain import Lever
    from swarmlet.graph.shape import AnyNode
    from swarmlet.trace import Trace
    from swarmlet.trace.journal import Journal, RunSummary

_LOOKED: Final = 20
"""Runs whose critical path is walked."""
_WORTH: Final = 0.05
"""What saves a smaller part of the time is not proposed."""
_FREE: Final[dict[Kind, str]] = {
    "concurrency": "waits for a place under a concurrency=: raise it",
    "limit": "waits for requests or tokens per minute: raise the swarm's Limits, as far as the provider allows",
    "budget": "waits for room in a budget: raise it, or lower max_tokens=, which is what each call sets aside",
    "retry": "waits between attempts: see what fails, or wait less with retry=Retry(...)",
    "queue": "waits for the event loop: put long sync code into @node(thread=True)",
}
"""Waits that can be shortened without a token more."""


@final
@dataclass(frozen=True, slots=True)
class Change:
    """Something to change, and what it would have saved."""

    what: str
    node: str | None
    saves: float
    """Seconds, at most."""
    half: float | None
    """Seconds, if its steps took half of their time."""
    seconds: float
    """What a run took."""
    free: bool
    """Whether it needs no other model and no other code."""
    advice: str

    def __str__(self) -> str:
        share = f"{self.saves / self.seconds:.0%}" if self.seconds else "0%"
        said = f"{self.what}: up to {duration(self.saves)} of {duration(self.seconds)} ({share})"
        half = "" if self.half is None else f", {duration(self.half)} if it took half its time"
        return f"{said}{half}" + (f"; {self.advice}" if self.advice else "")

    def data(self) -> Data:
        """For JSON: `what, node, saves, half_saves, seconds, free, advice`."""
        return {
            "what": self.what,
            "node": self.node,
            "saves": self.saves,
            "half_saves": self.half,
            "seconds": self.seconds,
            "free": self.free,
            "advice": self.advice,
        }


@final
@dataclass(slots=True)
class Past:
    """What finished runs of a graph took."""

    summaries: Sequence[RunSummary] = ()
    places: ManyRuns = field(default_factory=ManyRuns)
    on_path: dict[str, float] = field(default_factory=dict[str, float])
    """The mean part of the critical path that a place had."""
    changes: list[Change] = field(default_factory=list[Change])
    """The cheapest first: what costs nothing, then by what it saves."""
    looked: int = 0
    changed: int = 0
    """Of those that were looked at, how many ran another version of the graph."""

    @property
    def runs(self) -> int:
        """How many there are."""
        return len(self.summaries)

    def spread(self, name: str) -> tuple[float, float]:
        """The median and the 90th percentile of what whole runs took."""
        return _spread([_MEASURES[name](run) for run in self.summaries])

    def row(self, path: str) -> Data | None:
        """What the steps at a place of the plan took; `None` if there were none."""
        count = self.places.nodes.get(path)
        if count is None or not count.steps:
            return None
        data: Data = {"steps": count.steps / self.runs, "failed": count.failed, "retries": count.retries}
        for name, values in (("seconds", count.seconds), ("tokens", count.tokens), ("usd", count.usd)):
            data[name] = dict(zip(("p50", "p90"), _spread(values), strict=True))
        return data | {"on_path": self.on_path.get(path, 0.0)}

    def cells(self, path: str) -> list[str]:
        """The same as texts."""
        count = self.places.nodes.get(path)
        share = self.on_path.get(path)
        on_path = f"{share:.0%}" if share else ""
        if count is None or not count.steps:
            return ["", "", "", "", "", "", on_path]
        seconds, tokens, usd = _spread(count.seconds), _spread(count.tokens), _spread(count.usd)
        spent = [f"{tokens[0]:,.0f}", f"{tokens[1]:,.0f}", f"{usd[0]:.6f}"] if count.calls else ["", "", ""]
        return [f"{count.steps / self.runs:.3g}", duration(seconds[0]), duration(seconds[1]), *spent, on_path]

    def data(self) -> Data:
        """For JSON: `runs, looked_at, changed` and `p50, p90` of `seconds, tokens, usd, calls`."""
        data: Data = {"runs": self.runs, "looked_at": self.looked, "changed": self.changed}
        for name in ("seconds", "tokens", "usd", "calls"):
            data[name] = dict(zip(("p50", "p90"), self.spread(name), strict=True))
        return data


_MEASURES: Final[dict[str, Callable[[RunSummary], float]]] = {
    "seconds": lambda run: run.seconds,
    "tokens": lambda run: float(run.usage.total_tokens),
    "usd": lambda run: float(run.usage.usd),
    "calls": lambda run: float(run.usage.requests),
}


def past_of(journal: Journal, node: AnyNode, limit: int | None) -> Past:
    """What the journal knows of finished runs of a node."""
    found = [run for run in journal.runs(name=node.name, state="finished") if run.node == node.origin][:limit]
    past = Past(found, count_runs(journal, found, by_place=True))
    looks: list[_Look] = []
    for run in found[:_LOOKED]:  # one trace at a time: it may have a hundred thousand steps
        trace = journal.trace(run.id)
        path = trace.critical_path()
        looks.append(_Look(trace.seconds, path.split.as_dict(), levers_of(trace, most=6)))
        past.changed += _is_other(trace, node)
        for leg in path.legs:
            place = place_of(leg.path)
            past.on_path[place] = past.on_path.get(place, 0.0) + leg.share
    past.looked = len(looks)
    past.on_path = {place: share / past.looked for place, share in past.on_path.items()}
    past.changes = _changes(looks)
    return past


@dataclass(frozen=True, slots=True)
class _Look:
    """What one run says."""

    seconds: float
    split: Mapping[Kind, float]
    """The seconds of its critical path by kind."""
    levers: Sequence[Lever]


def _is_other(trace: Trace, node: AnyNode) -> bool:
    """Whether the run had another version of the graph, where the record tells."""
    from swarmlet.graph.fingerprint import fingerprint, load
    from swarmlet.swarm.past import last_plan

    content = trace.content(last_plan(trace))
    try:
        return content is not None and load(content).digest != fingerprint(node).digest
    except ValueError:
        return False


def _changes(looks: Sequence[_Look]) -> list[Change]:
    if not looks:
        return []
    seconds = _middle([look.seconds for look in looks])
    free = [
        Change(text, None, saved, None, seconds, free=True, advice="it costs no token more")
        for kind, text in _FREE.items()
        if (saved := _middle([look.split[kind] for look in looks])) >= _WORTH * seconds and saved > 0
    ]
    levers: dict[str, list[Lever]] = {}
    for look in looks:
        for lever in look.levers:
            levers.setdefault(lever.node, []).append(lever)
    names = short_names(levers)
    found = [_change(names[node], node, of, len(looks), seconds) for node, of in levers.items()]
    worth = [change for change in found if change.saves >= _WORTH * seconds and change.saves > 0]
    return [*sorted(free, key=lambda change: -change.saves), *sorted(worth, key=lambda change: -change.saves)]


def _change(name: str, node: str, levers: Sequence[Lever], runs: int, seconds: float) -> Change:
    """Where it was not on the critical path, it would have saved nothing."""
    none = [0.0] * (runs - len(levers))
    advice = Counter(lever.advice for lever in levers).most_common(1)[0][0]
    return Change(
        what=f"a quicker `{name}`",
        node=node,
        saves=_middle([*none, *(lever.none.seconds_saved for lever in levers)]),
        half=_middle([*none, *(lever.half.seconds_saved for lever in levers)]),
        seconds=seconds,
        free=False,
        advice=advice,
    )


def _spread(values: Sequence[float]) -> tuple[float, float]:
    ordered = sorted(values)
    return percentile(ordered, 50), percentile(ordered, 90)


def _middle(values: Sequence[float]) -> float:
    return percentile(sorted(values), 50)

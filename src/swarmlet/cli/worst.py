"""What a run may take at most: calls, tokens and USD, from the graph alone.

A plan's outline counts calls; here the same places are walked to count tokens: each call writes `max_tokens` at most, and its
prompt with its reply fits the model's window. So what is said is a bound and no guess, and often far from what happens.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING, final

from swarmlet.agents.agent import Agent
from swarmlet.graph.bound import ITEMS, TOOL_CALLS, Bound
from swarmlet.graph.shape import Leaf
from swarmlet.models.profiles import profile_of
from swarmlet.policy.retry import Retry

if TYPE_CHECKING:
    from swarmlet.graph.shape import AnyNode


@final
@dataclass(frozen=True, slots=True)
class Worst:
    """The most that one execution may take, with all retries. `None` where the model's window or price is not known."""

    requests: Bound
    written: Bound
    """Tokens of replies."""
    read: Bound | None
    """Tokens of prompts."""
    nano_usd: Bound | None
    """Billionths of a USD."""
    models: frozenset[str]


def worst_case(node: AnyNode, model: str) -> Worst:
    """The most that a run of `node` may take, where `model` is the one that nothing else names."""
    return _Walk().worst(node, _Around(model, Retry().attempts, node.name))


@dataclass(frozen=True, slots=True)
class _Around:
    """What a node has from the nodes around it."""

    model: str
    attempts: int
    label: str


@final
class _Walk:
    def __init__(self) -> None:
        self._known: dict[tuple[int, _Around], Worst] = {}

    def worst(self, node: AnyNode, around: _Around) -> Worst:
        """Innermost first, without recursion, as nodes may be nested deeper than Python calls."""
        stack = [(node, around)]
        while stack:
            one, place = stack[-1]
            todo = [(i.node, i.around) for i in _inside(one, place) if (id(i.node), i.around) not in self._known]
            if todo and (id(one), place) not in self._known:
                stack += todo
                continue
            stack.pop()
            if (id(one), place) not in self._known:
                self._known[id(one), place] = self._sum(one, place)
        return self._known[id(node), around]

    def _sum(self, node: AnyNode, around: _Around) -> Worst:
        inside = [(each, self._known[id(each.node), each.around]) for each in _inside(node, around)]
        own = _own(node, around)
        parts = [(each.either, each.times, worst) for each, worst in inside]
        return Worst(
            requests=_total(own.requests, [(either, worst.requests * times) for either, times, worst in parts]),
            written=_total(own.written, [(either, worst.written * times) for either, times, worst in parts]),
            read=_known_total(own.read, [(either, worst.read, times) for either, times, worst in parts]),
            nano_usd=_known_total(own.nano_usd, [(either, worst.nano_usd, times) for either, times, worst in parts]),
            models=own.models.union(*(worst.models for _, worst in inside)),
        )


@dataclass(frozen=True, slots=True)
class _Inner:
    node: AnyNode
    around: _Around
    times: Bound
    either: bool


def _inside(node: AnyNode, around: _Around) -> Iterator[_Inner]:
    """What may run under a node, as `graph.outline` has it."""
    options = node.options
    attempts = around.attempts if options.retry is None else options.retry.attempts
    model = options.model or around.model
    for part in node.shape.parts():
        last = part.suffix.rpartition("/")[2]
        label = last if part.suffix.startswith("/") else around.label + last
        times = Bound.symbol(ITEMS + around.label) if part.times is None else Bound.of(part.times)
        yield _Inner(part.node, _Around(model, attempts, label), times, part.either)
    if isinstance(node.shape, Leaf):
        asked = Bound.symbol(TOOL_CALLS + node.name) if node.shape.calls > 1 else Bound()
        for tool in node.shape.tools:
            yield _Inner(tool, _Around(model, attempts, tool.name), asked, either=True)
    if options.fallback is not None:
        other: AnyNode = options.fallback  # type: ignore[assignment,unused-ignore]  # options hold it as an object
        yield _Inner(other, _Around(around.model, around.attempts, other.name), Bound.of(1), either=False)


def _own(node: AnyNode, around: _Around) -> Worst:
    """What its own calls take."""
    if not isinstance(node.shape, Leaf) or not node.shape.calls:
        return Worst(Bound(), Bound(), Bound(), Bound(), frozenset())
    attempts = around.attempts if node.options.retry is None else node.options.retry.attempts
    profile = profile_of(node.options.model or around.model)
    requests = node.shape.calls * attempts
    most = node.settings.max_tokens if isinstance(node, Agent) else profile.max_output
    most = min(most or 0, profile.max_output or most or 0)
    window, price = profile.context_window, profile.worst_price()
    read = None if window is None else requests * window
    nano = None
    if read is not None and price is not None:
        usd = price.input * (read - requests * most) + price.output * requests * most
        nano = Bound.of(int((usd * 1_000_000_000).to_integral_value()))
        read -= requests * most
    return Worst(
        Bound.of(requests),
        Bound.of(requests * most),
        None if read is None else Bound.of(read),
        nano,
        frozenset({profile.name}),
    )


def _total(own: Bound, parts: list[tuple[bool, Bound]]) -> Bound:
    one_of = Bound.either(bound for either, bound in parts if either)
    return Bound.total([own, one_of, *(bound for either, bound in parts if not either)])


def _known_total(own: Bound | None, parts: list[tuple[bool, Bound | None, Bound]]) -> Bound | None:
    found: list[tuple[bool, Bound]] = []
    for either, bound, times in parts:
        if bound is None:
            return None
        found.append((either, bound * times))
    return None if own is None else _total(own, found)


def at_most(bound: Bound, symbols: Mapping[str, int]) -> int | None:
    """The number, as far as its symbols are known; `None` if some are not."""
    known = {name: value for name, value in symbols.items() if name in bound.symbols}
    return None if len(known) < len(bound.symbols) else bound.at(known)


def usd_of(nano: int) -> Decimal:
    """Billionths of a USD as USD."""
    return Decimal(nano).scaleb(-9)

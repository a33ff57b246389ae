"""Random trees of nodes: specs of them, and what their leaves do.

Leaves take virtual time that no two of them share, so who is first is known.
"""

from __future__ import annotations

import re
import zlib
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Literal, TypeAlias, cast

from hypothesis import strategies as st

HUGE = 50_000.0
VALUES = 5
GIVEN_UP = 4
"""What a caller goes on with in place of what it has not waited for."""
OnError: TypeAlias = Literal["raise", "keep", "skip"]


@dataclass(frozen=True)
class LeafSpec:
    """`turns[i]` is what its i-th execution does: how long it takes, whether it fails, and what it adds."""

    name: str
    kind: Literal["async", "sync", "thread", "tidy"]
    turns: tuple[tuple[int, bool, int], ...]


@dataclass(frozen=True)
class CallerSpec:
    """A leaf that runs a node below itself, so many times, and then waits: one after the other, or side by side.

    It waits so many seconds for each (`patience`), or to the end, and goes on without what is not there then.
    """

    child: Spec
    times: int
    together: bool
    patience: float | None
    name: str = "caller"


@dataclass(frozen=True)
class GraphSpec:
    """Steps, each of which reads some earlier values (0 is the input)."""

    rows: tuple[tuple[Spec, tuple[int, ...]], ...]
    name: str = "g"


@dataclass(frozen=True)
class MapSpec:
    body: Spec
    items: int
    on_error: OnError
    concurrency: int | None
    at_least: int | None
    enough: int | None
    streamed: bool
    name: str = "m"


@dataclass(frozen=True)
class LoopSpec:
    body: Spec
    rounds: int
    until: int
    otherwise: Spec | None
    name: str = "turn"


@dataclass(frozen=True)
class SwitchSpec:
    arms: tuple[Spec, ...]
    default: Spec | None
    name: str = "switch"


@dataclass(frozen=True)
class MatchSpec:
    whole: Spec
    text: Spec
    name: str = "typed"


@dataclass(frozen=True)
class RaceSpec:
    runners: tuple[Spec, ...]
    name: str = "race"


@dataclass(frozen=True)
class HedgeSpec:
    body: Spec
    after: float
    tries: int


@dataclass(frozen=True)
class VoteSpec:
    body: Spec
    of: int
    quorum: int
    ties: Literal["fail", "first"]
    concurrency: int | None


@dataclass(frozen=True)
class BestSpec:
    body: Spec
    score: LeafSpec
    of: int
    enough: int | None
    concurrency: int | None


@dataclass(frozen=True)
class CascadeSpec:
    rungs: tuple[Spec, ...]
    accept: LeafSpec
    name: str = "cascade"


@dataclass(frozen=True)
class OptionsSpec:
    body: Spec
    concurrency: int | None
    timeout: float | None
    fallback: Spec | None


Spec: TypeAlias = (
    LeafSpec
    | CallerSpec
    | GraphSpec
    | MapSpec
    | LoopSpec
    | SwitchSpec
    | MatchSpec
    | RaceSpec
    | HedgeSpec
    | VoteSpec
    | BestSpec
    | CascadeSpec
    | OptionsSpec
)


def name_of(spec: Spec) -> str:
    """How the spec's node is called in paths."""
    return name_of(spec.body) if isinstance(spec, HedgeSpec | VoteSpec | BestSpec | OptionsSpec) else spec.name


def numbered(names: Iterable[str]) -> list[str]:
    """Further ones of one name are `name~2`, `name~3`."""
    counts: Counter[str] = Counter()
    found: list[str] = []
    for name in names:
        counts[name] += 1
        found.append(name if counts[name] == 1 else f"{name}~{counts[name]}")
    return found


def judge_of(spec: CascadeSpec) -> str:
    """How the judge is called in paths: never like a rung."""
    return numbered([*map(name_of, spec.rungs), spec.accept.name])[-1]


def inside(spec: object) -> Iterator[Spec]:
    """The spec and all below it."""
    if isinstance(spec, tuple):
        for one in cast("tuple[object, ...]", spec):
            yield from inside(one)
    elif hasattr(spec, "__dataclass_fields__"):
        yield cast("Spec", spec)
        yield from inside(tuple(vars(spec).values()))


@lru_cache(maxsize=10_000)
def size(spec: Spec) -> int:  # noqa: C901  # one case for each spec
    """How many leaves run at most."""
    match spec:
        case LeafSpec():
            return 1
        case CallerSpec():
            return 1 + spec.times * size(spec.child)
        case GraphSpec():
            return 1 + sum(1 + size(body) for body, _ in spec.rows)
        case MapSpec():
            return 2 + spec.items * size(spec.body)
        case LoopSpec():
            return spec.rounds * (1 + size(spec.body)) + (size(spec.otherwise) if spec.otherwise else 0)
        case SwitchSpec():
            return 1 + max(size(arm) for arm in (*spec.arms, *([spec.default] if spec.default else [])))
        case MatchSpec():
            return 2 + max(size(spec.whole), size(spec.text))
        case RaceSpec():
            return sum(map(size, spec.runners))
        case HedgeSpec():
            return spec.tries * size(spec.body)
        case VoteSpec():
            return spec.of * size(spec.body)
        case BestSpec():
            return spec.of * (1 + size(spec.body))
        case CascadeSpec():
            return sum(1 + size(rung) for rung in spec.rungs)
        case OptionsSpec():
            return size(spec.body) + (size(spec.fallback) if spec.fallback else 0)


# What leaves do: a function of their path


def turn_of(path: str) -> int:
    """The sum of the numbers in a path: which execution of its leaf it is."""
    return sum(map(int, re.findall(r"\[(\d+)\]", path)))


def noise(path: str) -> float:
    """A fraction that belongs to a path."""
    return zlib.crc32(path.encode()) / 2**32


def turn(leaf: LeafSpec, path: str) -> tuple[float, bool, int]:
    """How long it takes at this path, whether it fails, and what it adds."""
    ticks, fails, adds = leaf.turns[turn_of(path) % len(leaf.turns)]
    takes = 0.0 if leaf.kind in ("sync", "thread") else ticks + 0.01 + noise(path) / 2
    return takes, fails, adds


def answer(leaf: LeafSpec, path: str, value: int) -> int:
    """What it gives."""
    return (3 * value + turn(leaf, path)[2]) % VALUES


def mixed(values: Sequence[int]) -> int:
    return sum((index + 1) * value for index, value in enumerate(values)) % VALUES


def folded(values: Sequence[int | None]) -> int:
    """One value for what a map gave; `None` stands for a `Failed`."""
    return mixed([3 if value is None else value for value in values]) + len(values) % 2


def spread(value: int, items: int) -> list[int]:
    return [(value + index) % VALUES for index in range(items)]


def gathered(values: Iterable[int]) -> int:
    """One value for what children that run together gave, whoever was first."""
    return sum(values) % VALUES


def caller_takes(path: str) -> float:
    return 0.01 + noise(path) / 3


def start_of(path: str, index: int) -> float:
    """Seconds after which a caller starts its next child, if they run together."""
    return index * 0.9 + noise(f"{path}<{index}>") / 2


def arrival(path: str, index: int) -> float:
    """Seconds that a source takes to give its next item."""
    return 0.2 + noise(f"{path}<{index}>") / 2


def is_done(spec: LoopSpec, path: str) -> bool:
    """Whether a round's last step, at `path`, ends the loop."""
    (number,) = re.findall(r"\[(\d+)\]/decide$", path)
    return int(number) >= spec.until


def is_accepted(leaf: LeafSpec, path: str, value: int) -> bool:
    return answer(leaf, path, value) % 2 == 0


# Random specs


TURNS = st.lists(
    st.tuples(st.integers(0, 9), st.sampled_from([False, False, False, True]), st.integers(0, 4)), min_size=1, max_size=4
).map(tuple)
LEAVES = st.builds(
    LeafSpec, st.sampled_from("abc"), st.sampled_from(["async", "async", "async", "tidy", "sync", "thread"]), TURNS
)
WAITERS = st.builds(LeafSpec, st.sampled_from("abc"), st.sampled_from(["async", "tidy"]), TURNS)
BOUNDS = st.none() | st.integers(1, 3)
PATIENCE = st.none() | st.sampled_from([0.9, 3.4, HUGE])


def with_name(name: str) -> Callable[[LeafSpec], LeafSpec]:
    return lambda leaf: LeafSpec(name, leaf.kind, leaf.turns)


@st.composite
def graphs(draw: st.DrawFn, inner: st.SearchStrategy[Spec]) -> GraphSpec:
    count = draw(st.integers(0, 4) if draw(st.integers(0, 5)) == 0 else st.integers(1, 4))
    rows = [
        (draw(inner), tuple(draw(st.lists(st.integers(0, index), min_size=1, max_size=3, unique=True))))
        for index in range(count)
    ]
    return GraphSpec(tuple(rows), draw(st.sampled_from(["g", "h"])))


@st.composite
def maps(draw: st.DrawFn, inner: st.SearchStrategy[Spec]) -> MapSpec:
    on_error: OnError = draw(st.sampled_from(["raise", "keep", "skip"]))
    items = draw(st.integers(0, 4))
    enough = draw(st.none() | st.integers(1, 4)) if on_error != "keep" else None
    at_least = draw(st.none() | st.integers(1, min(enough or 4, 4))) if on_error != "raise" else None
    return MapSpec(draw(inner), items, on_error, draw(BOUNDS), at_least, enough, draw(st.booleans()))


@st.composite
def loops(draw: st.DrawFn, inner: st.SearchStrategy[Spec]) -> LoopSpec:
    return LoopSpec(draw(inner), draw(st.integers(1, 3)), draw(st.integers(0, 3)), draw(st.none() | inner))


@st.composite
def switches(draw: st.DrawFn, inner: st.SearchStrategy[Spec]) -> SwitchSpec:
    arms = [draw(inner) for _ in range(draw(st.integers(1, 2)))]
    return SwitchSpec(tuple(arms), draw(inner) if len(arms) == 1 else None)


@st.composite
def votes(draw: st.DrawFn, inner: st.SearchStrategy[Spec]) -> VoteSpec:
    of = draw(st.integers(1, 4))
    ties: Literal["fail", "first"] = draw(st.sampled_from(["fail", "first"]))
    return VoteSpec(draw(inner), of, draw(st.integers(1, of)), ties, draw(BOUNDS))


@st.composite
def options(draw: st.DrawFn, inner: st.SearchStrategy[Spec]) -> OptionsSpec:
    body = draw(inner)
    if isinstance(body, OptionsSpec) or (isinstance(body, LeafSpec) and body.kind in ("sync", "thread")):
        body = GraphSpec(((body, (0,)),), "sole")
    concurrency = draw(st.none() | st.integers(1, 3))
    timeout = draw(st.none() | st.sampled_from([2.5, 6.25, HUGE]))
    fallback = draw(st.none() | inner)
    if concurrency is None and timeout is None and fallback is None:
        timeout = HUGE
    return OptionsSpec(body, concurrency, timeout, fallback)


MAKERS: tuple[Callable[[st.SearchStrategy[Spec]], st.SearchStrategy[Any]], ...] = (
    graphs,
    graphs,
    maps,
    maps,
    loops,
    switches,
    votes,
    options,
    options,
    lambda inner: st.builds(MatchSpec, inner, inner),
    lambda inner: st.builds(RaceSpec, st.lists(inner, min_size=1, max_size=3).map(tuple)),
    lambda inner: st.builds(HedgeSpec, inner, st.sampled_from([0.0, 1.7, 4.3, HUGE]), st.integers(2, 3)),
    lambda inner: st.builds(
        BestSpec, inner, LEAVES.map(with_name("score")), st.integers(1, 3), st.none() | st.integers(0, 4), BOUNDS
    ),
    lambda inner: st.builds(
        CascadeSpec, st.lists(inner, min_size=2, max_size=3).map(tuple), LEAVES | LEAVES.map(with_name("accept"))
    ),
    lambda inner: st.builds(CallerSpec, inner, st.integers(1, 3), st.booleans(), PATIENCE),
)


@st.composite
def trees(draw: st.DrawFn, depth: int) -> Spec:
    """A spec of at most so many floors."""
    if depth == 0 or (depth < 3 and draw(st.integers(0, 2)) == 0):
        return draw(LEAVES)
    return cast("Spec", draw(draw(st.sampled_from(MAKERS))(trees(depth - 1))))


@st.composite
def crowds(draw: st.DrawFn) -> Spec:
    """Few places, and many who want one, most of whom lend theirs."""
    no_place = st.just(GraphSpec(()))  # it has no steps of its own
    children = no_place | WAITERS | st.builds(CallerSpec, no_place | WAITERS, st.integers(1, 2), st.booleans(), PATIENCE)
    callers = st.builds(CallerSpec, children, st.integers(1, 3), st.booleans(), PATIENCE)
    broken = st.builds(OptionsSpec, WAITERS, st.none(), st.none(), WAITERS | callers)
    ones = draw(st.lists(callers | callers | WAITERS | broken, min_size=2, max_size=4))
    rows = [(one, (draw(st.sampled_from([0, 0, index])),)) for index, one in enumerate(ones)]
    return OptionsSpec(GraphSpec(tuple(rows)), draw(st.integers(1, 2)), None, None)


def specs() -> st.SearchStrategy[Spec]:
    return st.integers(1, 4).flatmap(trees).filter(lambda spec: size(spec) <= 100)

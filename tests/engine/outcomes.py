"""What may come out of a spec, whatever the timing, and the bounds that hold on the way."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from typing import Any, cast

from tests.engine.naive import winner
from tests.engine.random_specs import (
    GIVEN_UP,
    BestSpec,
    CallerSpec,
    CascadeSpec,
    GraphSpec,
    HedgeSpec,
    LeafSpec,
    LoopSpec,
    MapSpec,
    MatchSpec,
    OptionsSpec,
    RaceSpec,
    Spec,
    SwitchSpec,
    VoteSpec,
    answer,
    folded,
    gathered,
    is_accepted,
    is_done,
    judge_of,
    mixed,
    name_of,
    numbered,
    spread,
    turn,
)


class TooMany(Exception):
    """There are too many outcomes to list."""


class Oracle:
    """Says what may come out of a spec, `None` for a failure, and finds the bounds that hold on the way."""

    def __init__(self, *, real: bool) -> None:
        self.real = real
        self.bounds: dict[str, int] = {}
        self.items: dict[str, int] = {}
        self.known: dict[tuple[Spec, int, str], frozenset[int | None]] = {}

    def could(self, spec: Spec, value: int, path: str) -> frozenset[int | None]:
        key = (spec, value, path)
        if key not in self.known:
            self.known[key] = frozenset(self.outcomes(spec, value, path))
        return self.known[key]

    def then(self, values: Iterable[int | None], go_on: Callable[[int], Iterable[int | None]]) -> set[int | None]:
        return {out for one in values for out in ([None] if one is None else go_on(one))}

    def outcomes(self, spec: Spec, value: int, path: str) -> Iterable[int | None]:  # noqa: C901  # one case for each spec
        match spec:
            case LeafSpec():
                return [None if turn(spec, path)[1] else answer(spec, path, value)]
            case CallerSpec():
                return self.caller(spec, value, path)
            case GraphSpec():
                return self.graph(spec, value, path)
            case MapSpec():
                return self.map(spec, value, path)
            case LoopSpec():
                found: Iterable[int | None] = [value]
                for number in range(spec.rounds):
                    found = self.then(found, partial(self.below, spec.body, f"{path}[{number}]/{name_of(spec.body)}"))
                    if is_done(spec, f"{path}[{number}]/decide"):
                        return found
                if spec.otherwise is None:
                    return [None]
                return self.then(found, partial(self.below, spec.otherwise, f"{path}/{name_of(spec.otherwise)}"))
            case SwitchSpec():
                arm = spec.arms[value % 2] if value % 2 < len(spec.arms) else cast("Spec", spec.default)
                return self.could(arm, value, f"{path}/{name_of(arm)}")
            case MatchSpec():
                words = "words~2" if name_of(spec.whole) == "words" else "words"
                one, name = (spec.text, f"{words}/{name_of(spec.text)}") if value % 2 else (spec.whole, name_of(spec.whole))
                return self.could(one, value, f"{path}/match/{name}")
            case RaceSpec():
                names = numbered(map(name_of, spec.runners))
                return one_of([self.could(one, value, f"{path}/{n}") for one, n in zip(spec.runners, names, strict=True)])
            case HedgeSpec():
                return one_of([self.could(spec.body, value, f"{path}[{number}]") for number in range(spec.tries)])
            case VoteSpec():
                each_ = [self.could(spec.body, value, f"{path}[{number}]") for number in range(spec.of)]
                return {winner(dict(enumerate(said)), spec.quorum, spec.ties) for said in product(each_)}
            case BestSpec():
                return self.best(spec, value, path)
            case CascadeSpec():
                return self.cascade(spec, value, path)
            case OptionsSpec():
                return self.options(spec, value, path)

    def below(self, spec: Spec, path: str, value: int) -> frozenset[int | None]:
        return self.could(spec, value, path)

    def caller(self, spec: CallerSpec, value: int, path: str) -> Iterable[int | None]:
        names = [f"{path}/{name}" for name in numbered([name_of(spec.child)] * spec.times)]
        if spec.together:
            given = product([self.child(spec, name, value) for name in names])
            return {None if None in outs else gathered(outs) for outs in given}
        found: Iterable[int | None] = [value]
        for name in names:
            found = self.then(found, partial(self.child, spec, name))
        return found

    def child(self, spec: CallerSpec, path: str, value: int) -> frozenset[int | None]:
        given_up: Iterable[int] = () if spec.patience is None or self.real else (GIVEN_UP,)
        return self.could(spec.child, value, path).union(given_up)

    def graph(self, spec: GraphSpec, value: int, path: str) -> set[int | None]:
        names = iter(numbered(n for row, reads in spec.rows for n in [*(["mix"] if len(reads) > 1 else []), name_of(row)]))
        worlds: set[tuple[int | None, ...]] = {(value,)}
        used: set[int] = set()
        for row, reads in spec.rows:
            used |= set(reads)
            name = [next(names) for _ in range(2 if len(reads) > 1 else 1)][-1]
            grown: set[tuple[int | None, ...]] = set()
            for one in worlds:
                values = [one[read] for read in reads]
                good = [v for v in values if v is not None]
                if len(good) < len(values):
                    grown.add((*one, None))
                else:
                    given = mixed(good) if len(good) > 1 else good[0]
                    grown |= {(*one, out) for out in self.could(row, given, f"{path}/{name}")}
            worlds = grown
            if len(worlds) > 2000:
                raise TooMany
        if not spec.rows:
            return {value}
        ends = [index for index in range(1, len(spec.rows) + 1) if index not in used]
        return {None if None in one else mixed([cast("int", one[index]) for index in ends]) for one in worlds}

    def map(self, spec: MapSpec, value: int, path: str) -> set[int | None]:
        body = f"{path}/{name_of(spec.body)}"
        if spec.concurrency:
            self.items[body] = spec.concurrency
        items = spread(value, spec.items)
        given = [self.could(spec.body, item, f"{body}[{index}]") for index, item in enumerate(items)]
        found: set[int | None] = set()
        for outs in product(given):
            good = [out for out in outs if out is not None]
            lost = len(outs) - len(good)
            enough = spec.enough if spec.enough is not None and spec.enough <= len(good) else None
            if (spec.on_error == "raise" and lost) or (spec.at_least is not None and len(good) < spec.at_least):
                found.add(None)
                if enough is None or spec.on_error != "raise":
                    continue
            if enough is not None:
                found |= {folded(some) for some in itertools.combinations(good, enough)}
            else:
                found.add(folded(outs if spec.on_error == "keep" else good))
        return found

    def best(self, spec: BestSpec, value: int, path: str) -> set[int | None]:
        samples: list[frozenset[tuple[int, int] | None]] = []
        for number in range(spec.of):
            scored: set[tuple[int, int] | None] = set()
            for one in self.could(spec.body, value, f"{path}[{number}]"):
                asked = f"{path}/{spec.score.name}[{number}]"
                scores = [None] if one is None else self.could(spec.score, one, asked)
                scored |= {None if one is None or score is None else (score, one) for score in scores}
            samples.append(frozenset(scored))
        found: set[int | None] = set()
        for tallied in product(samples):
            good = [(score, -index, out) for index, pair in enumerate(tallied) if pair for score, out in [pair]]
            high = [out for score, _, out in good if spec.enough is not None and score >= spec.enough]
            found |= set(high) if high else {max(good)[2] if good else None}
        return found

    def cascade(self, spec: CascadeSpec, value: int, path: str) -> set[int | None]:
        found: set[int | None] = set()
        for number, (rung, name) in enumerate(zip(spec.rungs, numbered(map(name_of, spec.rungs)), strict=True)):
            outs = self.could(rung, value, f"{path}/{name}")
            if number == len(spec.rungs) - 1:
                return found | outs
            asked = f"{path}/{judge_of(spec)}[{number}]"
            if turn(spec.accept, asked)[1]:
                found |= {None} if outs - {None} else set()
                if None not in outs:
                    return found
                continue
            taken = {out for out in outs if out is not None and is_accepted(spec.accept, asked, out)}
            found |= taken
            if len(taken) == len(outs):
                return found
        return found

    def options(self, spec: OptionsSpec, value: int, path: str) -> set[int | None]:
        if spec.concurrency:
            self.bounds[path] = spec.concurrency
        found = set(self.could(spec.body, value, path))
        if spec.timeout is not None and not self.real:
            found.add(None)
        if None in found and spec.fallback is not None:
            found = found - {None} | self.could(spec.fallback, value, f"{path}/~{name_of(spec.fallback)}")
        return found


def one_of(given: Sequence[frozenset[int | None]]) -> set[int | None]:
    """What may come out if any success may be the first."""
    found = {out for outs in given for out in outs if out is not None}
    return found | {None} if all(None in outs for outs in given) else cast("set[int | None]", found)


def product(given: Sequence[frozenset[Any]]) -> Iterator[tuple[Any, ...]]:
    count = 1
    for one in given:
        count *= len(one)
    if count > 3000:
        raise TooMany
    return itertools.product(*given)

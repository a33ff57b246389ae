"""A naive interpreter: computes without swarmlet what a run of a spec does.

It says which leaf runs when, at which path, and what comes out.
"""

from __future__ import annotations

import heapq
import itertools
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import cast

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
    arrival,
    caller_takes,
    folded,
    gathered,
    is_accepted,
    is_done,
    judge_of,
    mixed,
    name_of,
    numbered,
    spread,
    start_of,
    turn,
)

SAME = 1e-7
"""Instants that are nearer than this are the same: rounding apart, no two leaves end so near to one another."""


@dataclass(frozen=True)
class Err:
    """A failure: of which kind, at which path, for which causes."""

    kind: str
    path: str
    causes: tuple[Err, ...] = ()


@dataclass
class Play:
    """What one execution does: what comes out, when, and which leaves run from when to when on the way."""

    out: int | Err
    at: float
    leaves: dict[str, tuple[float, float]]

    @property
    def ok(self) -> bool:
        return not isinstance(self.out, Err)

    def value(self) -> int:
        assert isinstance(self.out, int)
        return self.out

    def error(self) -> Err:
        assert isinstance(self.out, Err)
        return self.out


def same(one: float, other: float) -> bool:
    return abs(one - other) < SAME


class Player:
    """Computes what runs of specs do in virtual time. Where that depends on what comes first at one instant, it is `unsure`."""

    def __init__(self) -> None:
        self.unsure = False
        self.given: dict[str, list[str]] = {}
        """The paths of the `Failed` in what the map before a step gives, by that step."""

    def cut(self, play: Play, at: float) -> dict[str, tuple[float, float]]:
        """Its leaves, if it is cancelled then."""
        if same(play.at, at):
            self.unsure = True
        kept: dict[str, tuple[float, float]] = {}
        for path, (start, end) in play.leaves.items():
            if same(start, at):
                self.unsure = True
            elif start < at:
                kept[path] = (start, min(end, at))
        return kept

    def until(self, last: Play, plays: Iterable[Play]) -> dict[str, tuple[float, float]]:
        """The leaves of several, if the end of one ends all."""
        leaves: dict[str, tuple[float, float]] = {}
        for one in plays:
            leaves |= one.leaves if one is last or one.at < last.at - SAME else self.cut(one, last.at)
        return leaves

    def ends(self, plays: Iterable[Play]) -> list[Play]:
        """The plays by their ends."""
        found = sorted(plays, key=lambda one: one.at)
        if any(same(one.at, other.at) for one, other in itertools.pairwise(found)):
            self.unsure = True
        return found

    def play(self, spec: Spec, value: int, path: str, at: float) -> Play:  # noqa: C901  # one case for each spec
        match spec:
            case LeafSpec():
                takes, fails, _ = turn(spec, path)
                out = Err("Boom", path) if fails else answer(spec, path, value)
                return Play(out, at + takes, {path: (at, at + takes)})
            case CallerSpec():
                return self.caller(spec, value, path, at)
            case GraphSpec():
                return self.graph(spec, value, path, at)
            case MapSpec():
                return self.map(spec, value, path, at)
            case LoopSpec():
                return self.loop(spec, value, path, at)
            case SwitchSpec():
                arm = spec.arms[value % 2] if value % 2 < len(spec.arms) else cast("Spec", spec.default)
                key = Play(0, at, {f"{path}/key": (at, at)})
                return self.after(key, self.play(arm, value, f"{path}/{name_of(arm)}", at))
            case MatchSpec():
                key = Play(0, at, {f"{path}/told": (at, at)})
                if not value % 2:
                    return self.after(key, self.play(spec.whole, value, f"{path}/match/{name_of(spec.whole)}", at))
                below = f"{path}/match/{'words~2' if name_of(spec.whole) == 'words' else 'words'}"
                read = self.after(key, Play(0, at, {f"{below}/read": (at, at)}))
                return self.after(read, self.play(spec.text, value, f"{below}/{name_of(spec.text)}", at))
            case RaceSpec():
                names = numbered(map(name_of, spec.runners))
                pairs = zip(spec.runners, names, strict=True)
                return self.first([self.play(one, value, f"{path}/{name}", at) for one, name in pairs], path)
            case HedgeSpec():
                return self.hedge(spec, value, path, at)
            case VoteSpec() | BestSpec():
                return self.samples(spec, value, path, at)
            case CascadeSpec():
                return self.cascade(spec, value, path, at)
            case OptionsSpec():
                return self.options(spec, value, path, at)

    def after(self, first: Play, second: Play) -> Play:
        return Play(second.out, second.at, first.leaves | second.leaves)

    def caller(self, spec: CallerSpec, value: int, path: str, at: float) -> Play:
        names = [f"{path}/{name}" for name in numbered([name_of(spec.child)] * spec.times)]
        if spec.together:
            starts = [at + start_of(path, index) for index in range(spec.times)]
            whole = self.together([self.child(spec, value, *pair) for pair in zip(names, starts, strict=True)])
        else:
            whole = Play(value, at, {})
            for name in names:
                whole = self.after(whole, self.child(spec, whole.value(), name, whole.at))
                if not whole.ok:
                    break
        end = whole.at + (caller_takes(path) if whole.ok else 0)
        return Play(whole.out, end, whole.leaves | {path: (at, end)})

    def child(self, spec: CallerSpec, value: int, path: str, at: float) -> Play:
        """A child of a caller, as long as that waits for it."""
        play = self.play(spec.child, value, path, at)
        if spec.patience is None or play.at < at + spec.patience - SAME:
            return play
        end = at + spec.patience
        return Play(GIVEN_UP, end, self.cut(play, end))

    def together(self, plays: Sequence[Play]) -> Play:
        """Several, each of which fails all of them."""
        failed = min((one for one in plays if not one.ok), key=lambda one: one.at, default=None)
        if failed is not None:
            return Play(failed.out, failed.at, self.until(failed, plays))
        leaves = {p: t for one in plays for p, t in one.leaves.items()}
        return Play(gathered(one.value() for one in plays), max(one.at for one in plays), leaves)

    def graph(self, spec: GraphSpec, value: int, path: str, at: float) -> Play:
        names = numbered(name for row, reads in spec.rows for name in [*(["mix"] if len(reads) > 1 else []), name_of(row)])
        queue = iter(names)
        plays: list[Play | None] = [Play(value, at, {})]
        used: set[int] = set()
        for row, reads in spec.rows:
            used |= set(reads)
            mixer = next(queue) if len(reads) > 1 else ""
            name = next(queue)
            sources = [plays[read] for read in reads]
            good = [one for one in sources if one is not None and one.ok]
            if len(good) < len(sources):
                plays.append(None)
                continue
            start = max(one.at for one in good)
            values = [one.value() for one in good]
            given = mixed(values) if mixer else values[0]
            play = self.play(row, given, f"{path}/{name}", start)
            plays.append(self.after(Play(0, start, {f"{path}/{mixer}": (start, start)} if mixer else {}), play))
        done = [one for one in plays if one is not None]
        failed = self.ends(one for one in done if not one.ok)
        if failed:
            first = failed[0]
            leaves = self.until(first, done)
            return Play(first.out, first.at, leaves)
        end = max(one.at for one in done)
        leaves = {p: t for one in done for p, t in one.leaves.items()}
        out = value
        if spec.rows:
            last = numbered([*names, "mix"])[-1] if "mix" in names else "mix"
            last = f"mix~{names_count(names) + 1}" if names_count(names) else last
            leaves[f"{path}/{last}"] = (end, end)
            out = mixed([one.value() for index, one in enumerate(done) if index and index not in used])
        return Play(out, end, leaves)

    def loop(self, spec: LoopSpec, value: int, path: str, at: float) -> Play:
        whole = Play(value, at, {})
        for number in range(spec.rounds):
            below = f"{path}[{number}]"
            whole = self.after(whole, self.play(spec.body, whole.value(), f"{below}/{name_of(spec.body)}", whole.at))
            if not whole.ok:
                return whole
            whole.leaves[f"{below}/decide"] = (whole.at, whole.at)
            if is_done(spec, f"{below}/decide"):
                return whole
        if spec.otherwise is None:
            return self.after(whole, Play(Err("RoundsExhausted", path), whole.at, {}))
        return self.after(whole, self.play(spec.otherwise, whole.value(), f"{path}/{name_of(spec.otherwise)}", whole.at))

    def first(self, plays: Sequence[Play], path: str) -> Play:
        """The first success of several."""
        ended = self.ends(plays)
        winner = next((one for one in ended if one.ok), None)
        if winner is None:
            causes = tuple(one.error() for one in ended)
            leaves = {p: t for one in plays for p, t in one.leaves.items()}
            return Play(Err("all", path, causes), ended[-1].at, leaves)
        return Play(winner.out, winner.at, self.until(winner, ended))

    def hedge(self, spec: HedgeSpec, value: int, path: str, at: float) -> Play:
        tries = [self.play(spec.body, value, f"{path}[0]", at)]
        latest = at
        while len(tries) < spec.tries:
            alarm = latest + spec.after
            ended = max(one.at for one in tries)
            success = min((one.at for one in tries if one.ok), default=ended + alarm)
            begin = alarm if any(one.ok for one in tries) else min(alarm, ended)
            if same(success, begin) or same(alarm, ended):
                self.unsure = True
            if success <= begin:
                break
            tries.append(self.play(spec.body, value, f"{path}[{len(tries)}]", begin))
            latest = begin
        if spec.after == 0:
            self.unsure = self.unsure or any(one.at - at < SAME for one in tries)
        return self.first(tries, path)

    def map(self, spec: MapSpec, value: int, path: str, at: float) -> Play:  # noqa: C901  # it is a simulation
        given = "stream" if spec.streamed else "fan"
        whole = Play(0, at, {f"{path}/{given}": (at, at)})
        values = spread(value, spec.items)
        body = f"{path}/{name_of(spec.body)}"
        plays: list[Play] = []
        running: list[tuple[float, int]] = []
        good: list[int] = []
        causes: list[Err] = []
        now = at
        pulled: float | None = None
        over = not values and not spec.streamed

        def failing() -> bool:
            known = over or not spec.streamed  # how many items there are
            return known and spec.at_least is not None and len(values) - len(causes) < spec.at_least

        def finish(out: Err | None = None) -> Play:
            leaves = whole.leaves | self.so_far(plays, running, now)
            if out is not None:
                return Play(out, now, leaves)
            leaves[f"{path}/fold"] = (now, now)
            self.given[f"{path}/fold"] = [plays[index].error().path for index in sorted(kept)]
            results = [plays[index].value() if plays[index].ok else None for index in sorted(good + kept)]
            return Play(folded(results), now, leaves)

        def too_few() -> Play:
            return finish(Err("all" if causes else "few", body, tuple(causes)))

        kept: list[int] = []
        if failing():
            return too_few()
        while True:
            while not over and (spec.concurrency is None or len(running) < spec.concurrency):
                if spec.streamed:
                    if pulled is None:
                        over = len(plays) == len(values)
                        pulled = None if over else now + arrival(f"{path}/stream", len(plays))
                        if over and failing():
                            return too_few()
                        if over:
                            continue
                    break
                plays.append(self.play(spec.body, values[len(plays)], f"{body}[{len(plays)}]", now))
                heapq.heappush(running, (plays[-1].at, len(plays) - 1))
                over = len(plays) == len(values)
            if over and not running:
                if failing():
                    return too_few()
                return finish()
            if pulled is not None and running and same(pulled, running[0][0]):
                self.unsure = True
            if pulled is not None and (not running or pulled < running[0][0]):
                now, pulled = pulled, None
                plays.append(self.play(spec.body, values[len(plays)], f"{body}[{len(plays)}]", now))
                heapq.heappush(running, (plays[-1].at, len(plays) - 1))
                continue
            now, index = heapq.heappop(running)
            if running and same(now, running[0][0]):
                self.unsure = True
            one = plays[index]
            if one.ok:
                good.append(index)
                if len(good) == spec.enough:
                    return finish()
            elif spec.on_error == "raise":
                return finish(one.error())
            else:
                causes.append(one.error())
                if spec.on_error == "keep":
                    kept.append(index)
                if failing():
                    return too_few()

    def samples(self, spec: VoteSpec | BestSpec, value: int, path: str, at: float) -> Play:  # noqa: C901  # as above
        """A vote, or the best of several: so many at once, each to its end and, for the best, its score."""
        plays: list[Play] = []
        running: list[tuple[float, int]] = []
        votes: dict[int, int] = {}
        scores: dict[int, int] = {}
        causes: list[Err] = []
        now = at

        def finish(out: int | Err) -> Play:
            return Play(out, now, self.so_far(plays, running, now))

        def waits() -> bool:
            """Whether a vote starts no more for now, as those that run may settle it."""
            if isinstance(spec, BestSpec) or not running or len(running) == len(plays):
                return False
            agreed = {**votes, **dict.fromkeys((number for _, number in running), leading(votes))}
            return len(elections(agreed, frozenset(range(len(plays), spec.of)), spec.quorum, spec.ties)) == 1

        while True:
            while len(plays) < spec.of and len(running) < (spec.concurrency or spec.of) and not waits():
                number = len(plays)
                one = self.play(spec.body, value, f"{path}[{number}]", now)
                if isinstance(spec, BestSpec) and one.ok:
                    votes[number] = one.value()
                    one = self.after(one, self.play(spec.score, one.value(), f"{path}/{spec.score.name}[{number}]", one.at))
                plays.append(one)
                heapq.heappush(running, (one.at, number))
            if not running:
                if not scores:
                    return finish(Err("all", path, tuple(causes)))
                return finish(votes[max(scores, key=lambda index: (scores[index], -index))])
            now, index = heapq.heappop(running)
            if running and same(now, running[0][0]):
                self.unsure = True
            one = plays[index]
            if not one.ok:
                causes.append(one.error())
            if isinstance(spec, BestSpec):
                if one.ok:
                    scores[index] = one.value()
                    if spec.enough is not None and one.value() >= spec.enough:
                        return finish(votes[index])
                continue
            if one.ok:
                votes[index] = one.value()
            still = {number for _, number in running} | set(range(len(plays), spec.of))
            outcomes = elections(votes, frozenset(still), spec.quorum, spec.ties)
            if len(outcomes) == 1:
                (out,) = outcomes
                return finish(Err("NoQuorum", path, tuple(causes)) if out is None else out)

    def so_far(self, plays: Sequence[Play], running: Iterable[tuple[float, int]], now: float) -> dict[str, tuple[float, float]]:
        """The leaves of several, if those that still run are cancelled now."""
        leaves: dict[str, tuple[float, float]] = {}
        still = {number for _, number in running}
        for number, one in enumerate(plays):
            leaves |= self.cut(one, now) if number in still else one.leaves
        return leaves

    def cascade(self, spec: CascadeSpec, value: int, path: str, at: float) -> Play:
        causes: list[Err] = []
        whole = Play(value, at, {})
        for number, (rung, name) in enumerate(zip(spec.rungs, numbered(map(name_of, spec.rungs)), strict=True)):
            whole = self.after(whole, self.play(rung, value, f"{path}/{name}", whole.at))
            if not whole.ok:
                causes.append(whole.error())
                continue
            if number == len(spec.rungs) - 1:
                return whole
            given_out = whole.value()
            asked = f"{path}/{judge_of(spec)}[{number}]"
            judged = self.after(whole, self.play(spec.accept, given_out, asked, whole.at))
            if not judged.ok:
                return judged
            if is_accepted(spec.accept, asked, given_out):
                return Play(given_out, judged.at, judged.leaves)
            whole = judged
        return Play(Err("all", path, tuple(causes)), whole.at, whole.leaves)

    def options(self, spec: OptionsSpec, value: int, path: str, at: float) -> Play:
        play = self.play(spec.body, value, path, at)
        if spec.timeout is not None and play.at > at + spec.timeout - SAME:
            end = at + spec.timeout
            play = Play(Err("DeadlineExceeded", path), end, self.cut(play, end))
        if play.ok or spec.fallback is None:
            return play
        other = self.play(spec.fallback, value, f"{path}/~{name_of(spec.fallback)}", play.at)
        whole = self.after(play, other)
        if not other.ok:
            whole.out = Err("all", path, (play.error(), other.error()))
        return whole


def names_count(names: Sequence[str]) -> int:
    """How many of the names are `mix`, numbered or not."""
    return sum(name == "mix" or name.startswith("mix~") for name in names)


def winner(votes: dict[int, int | None], quorum: int, ties: str) -> int | None:
    """The winner of a vote that is over."""
    groups: dict[int, list[int]] = {}
    for sample, value in votes.items():
        if value is not None:
            groups.setdefault(value, []).append(sample)
    most = max(map(len, groups.values()), default=0)
    leaders = {min(group): value for value, group in groups.items() if len(group) == most}
    if most < quorum or (ties == "fail" and len(leaders) > 1):
        return None
    return leaders[min(leaders)]


def leading(votes: dict[int, int]) -> int:
    """The answer with the most votes, then of the lowest sample; a new one if there is none."""
    said = list(votes.values())
    return min(set(said), key=lambda value: (-said.count(value), min(n for n in votes if votes[n] == value)), default=99)


def elections(votes: dict[int, int], still: frozenset[int], quorum: int, ties: str) -> set[int | None]:
    """Every outcome that a vote may have: the samples to come agree with one there is, or with none, or with one another."""
    answers = [*set(votes.values()), *range(100, 100 + len(still)), None]
    order = sorted(still)
    return {
        winner({**votes, **dict(zip(order, given, strict=True))}, quorum, ties)
        for given in itertools.product(answers, repeat=len(order))
        if canonical(given)
    }


def canonical(given: Sequence[int | None]) -> bool:
    """Whether new answers appear in order: which of them is which makes no difference."""
    fresh = list(dict.fromkeys(one for one in given if one is not None and one >= 100))
    return fresh == list(range(100, 100 + len(fresh)))

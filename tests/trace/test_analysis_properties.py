"""The critical path, slack and what-if of random runs: of made-up ones with any timing, and of executed ones."""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

import anyio
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from swarmlet import Again, Done, StepFailed, Swarm, current, each, graph, loop, node, race
from swarmlet.trace import Trace
from swarmlet.trace.analysis.kinds import KINDS
from swarmlet.trace.events import (
    CallEnded,
    CallStarted,
    Event,
    RunEnded,
    RunId,
    RunResumed,
    RunStarted,
    State,
    StepEnded,
    StepStarted,
)

ENOUGH = 1e-6


# Made-up runs


@dataclass
class Made:
    """Makes up the events of a run: graphs, maps, loops and races in one another, with steps of random lengths."""

    choose: random.Random
    steps: int = 0
    events: list[tuple[float, int, Event]] | None = None
    plain: bool = False
    """Without races and without bounds on how many steps run at once: those say nothing of how it would have been."""
    lengths: Mapping[str, float] = field(default_factory=dict[str, float])
    """How long steps are made, instead of as long as they are."""

    def run(self) -> list[Event]:
        self.events = []
        end = self.graph("all", 0.0, 0)
        told: list[Event] = [event for _, _, event in sorted(self.events, key=lambda one: one[:2])]
        first = RunStarted(at=0, run=RunId("r"), name="all", node="app:all")
        return [first, *told, RunEnded(at=end + self.choose.random() / 100, state="finished")]

    def tell(self, event: Event) -> None:
        assert self.events is not None
        self.events.append((event.at, len(self.events), event))

    def length(self) -> float:
        return self.choose.choice([0.0, 0.25, 1.0, 1.0, 3.0, self.choose.random() * 2])

    def step(
        self, path: str, ready: float, waited: float = 0.0, state: State = "finished", until: float | None = None
    ) -> float:
        self.steps += 1
        start = ready + waited
        end = start + self.length() if until is None else max(start, until)
        if path in self.lengths:
            end = start + self.lengths[path]
        self.tell(StepStarted(at=start, path=path, node=f"app:{path.rpartition('/')[2]}", waited=waited))
        if self.choose.random() < 0.5 and end - start > 0.5:
            key = {"path": path, "turn": 1, "attempt": 1}
            at = start + (end - start) / 4
            self.tell(CallStarted(at=at, model="m", waited=(at - start) / 2, **key))  # type: ignore[arg-type]
            self.tell(CallEnded(at=end - 0.01, state="finished", first_token=0.1, **key))  # type: ignore[arg-type]
        self.tell(StepEnded(at=end, path=path, state=state))
        return end

    def graph(self, path: str, ready: float, depth: int) -> float:
        """A graph whose parts each wait for some of the parts before."""
        ends: list[float] = []
        for number in range(self.choose.randint(1, 4)):
            waits = [end for end in ends if self.choose.random() < 0.6]
            ends.append(self.part(f"{path}/{'abcd'[number]}", max(waits, default=ready), depth + 1))
        return max(ends)

    def part(self, path: str, ready: float, depth: int) -> float:
        kind = self.choose.choice(["step", "step", "graph", "map", "loop", "race"]) if depth < 4 and self.steps < 60 else "step"
        if kind == "graph" or (kind == "race" and self.plain):
            return self.graph(path, ready, depth)
        if kind == "map" and self.plain:
            return max(self.graph(f"{path}[{number}]", ready, depth) for number in range(self.choose.randint(1, 4)))
        if kind == "map":
            return self.map(path, ready, depth)
        if kind == "loop":
            for number in range(self.choose.randint(1, 3)):
                ready = self.graph(f"{path}[{number}]", ready, depth)
            return ready
        if kind == "race":
            return self.race(path, ready)
        return self.step(path, ready, self.choose.choice([0.0, 0.0, 0.0001]))

    def map(self, path: str, ready: float, depth: int) -> float:
        """A map with places for two: each item waits until one is free."""
        free = [ready, ready]
        for number in range(self.choose.randint(1, 5)):
            begin = min(free)
            free.remove(begin)
            if begin > ready or depth > 3:
                free.append(self.step(f"{path}[{number}]", ready, begin - ready))
            else:
                free.append(self.graph(f"{path}[{number}]", ready, depth))
        return max(free)

    def race(self, path: str, ready: float) -> float:
        self.tell(StepStarted(at=ready, path=path, node="app:race", waited=0.0))
        end = self.step(f"{path}/one", ready)
        self.step(f"{path}/two", ready, state="cancelled", until=end)
        self.tell(StepEnded(at=end, path=path, state="finished"))
        return end


made_runs = st.integers(0, 2**32).map(lambda seed: Made(random.Random(seed)).run())


def check(trace: Trace) -> None:
    """What is true of every run."""
    path = trace.critical_path()
    assert path.seconds == pytest.approx(trace.seconds, abs=ENOUGH)
    assert sum(leg.seconds for leg in path.legs) == pytest.approx(trace.seconds, abs=ENOUGH)
    assert path.split.total == pytest.approx(trace.seconds, abs=ENOUGH)
    if trace.seconds > 0:
        assert sum(leg.share for leg in path.legs) == pytest.approx(1)
    for leg, following in zip(path.legs, path.legs[1:], strict=False):
        assert leg.end == following.begin
    for leg in path.legs:
        assert leg.split.total == pytest.approx(leg.seconds, abs=ENOUGH)
        assert min(leg.split.as_dict().values()) >= 0
    slacks = trace.slacks()
    assert set(slacks) == {step.path for step in trace.steps()}
    assert min(slacks.values(), default=0) >= 0
    last = {leg.path for leg in path.legs if trace.step(leg.path or trace.root.path).end is not None and leg.path}
    for step in trace.steps():
        if step.path in last and not step.earlier and not step.children:
            assert slacks[step.path] <= ENOUGH, step.path


def unchanged(trace: Trace) -> None:
    """What-if agrees with the record and with slack."""
    for step in trace.steps():
        assert trace.what_if(step.path, factor=1).seconds_saved == pytest.approx(0, abs=ENOUGH)
        took = step.seconds
        if step.earlier or took is None or step.state == "cancelled":
            continue
        assert trace.what_if(step.path, seconds=took).seconds_saved == pytest.approx(0, abs=ENOUGH)
        slack = trace.slack(step)
        assert trace.what_if(step.path, seconds=took + slack).seconds_saved == pytest.approx(0, abs=1e-5)
        assert trace.what_if(step.path, seconds=took + slack + 1).seconds_saved == pytest.approx(-1, abs=1e-5)
        if slack > ENOUGH:
            assert trace.what_if(step.path, seconds=0).seconds_saved == pytest.approx(0, abs=ENOUGH)


@settings(max_examples=150, deadline=None)
@given(made_runs)
def test_the_path_of_a_made_up_run_sums_to_its_wall_time_and_has_no_slack(events: list[Event]) -> None:
    check(Trace(events, {}))


@settings(max_examples=60, deadline=None)
@given(made_runs)
def test_a_step_may_take_its_slack_longer_and_no_more(events: list[Event]) -> None:
    unchanged(Trace(events, {}))


@settings(max_examples=60, deadline=None)
@given(made_runs, st.floats(0, 1), st.booleans())
def test_the_beginning_of_a_run_that_was_killed_explains_itself(events: list[Event], part: float, resumed: bool) -> None:
    count = max(1, int(len(events) * part))
    begun = events[:count]
    check(Trace(begun, {}, lost=True))
    if not resumed:
        return
    again = begun[-1].at + 100
    open_ = {event.path for event in begun if isinstance(event, StepStarted)}
    open_ -= {event.path for event in begun if isinstance(event, StepEnded)}
    lost = [StepEnded(at=again, path=path, state="lost") for path in sorted(open_, reverse=True)]
    missing = [
        _again(event, open_, again) for event in events[1:] if event in events[count:] or getattr(event, "path", "") in open_
    ]
    trace = Trace([*begun, *lost, RunResumed(at=again, number=1), *missing], {})
    check(trace)
    assert trace.critical_path().split.away == pytest.approx(100, abs=ENOUGH)
    assert trace.split().away <= 100 * len(trace.steps())


def _again(event: Event, open_: set[str], at: float) -> Event:
    return replace(event, at=event.at + at)


@settings(max_examples=150, deadline=None)
@given(st.integers(0, 2**32), st.integers(0, 100), st.sampled_from([0.0, 0.5, 5.0]))
@example(483, 2, 5.0)  # ready, by its rounded wait, just before the end of what it waited for
def test_what_would_have_been_is_never_told_better_than_it_would_have_been(seed: int, which: int, seconds: float) -> None:
    """A record does not say all that a step would have waited for. What is not known is taken to be waited for."""
    trace = Trace(Made(random.Random(seed), plain=True).run(), {})
    step = trace.steps()[which % len(trace.steps())]
    took = step.seconds
    assert took is not None
    real = Made(random.Random(seed), plain=True, lengths={step.path: seconds}).run()
    told = trace.what_if(step.path, seconds=seconds)
    assert told.seconds_after >= real[-1].at - ENOUGH
    if trace.slack(step) == 0 and seconds > took:
        assert told.seconds_after == pytest.approx(told.seconds_before + seconds - took)
    if trace.slack(step) >= seconds - took >= 0:
        assert real[-1].at == pytest.approx(trace.seconds)


# Executed runs


@node
async def first(seconds: float) -> float:
    await anyio.sleep(seconds)
    return seconds


@node
async def second(seconds: float) -> float:
    await anyio.sleep(seconds / 2)
    return seconds


@node
async def both(one: float, other: float) -> float:
    await anyio.sleep(0.001)
    return one + other


@node
async def inside(seconds: float) -> float:
    """A function that runs nodes itself."""
    await current().run(first, seconds)
    await anyio.sleep(0.002)
    return await current().run(second, seconds)


@node
async def once_more(number: float) -> Again[float] | Done[float]:
    await anyio.sleep(0.001)
    return Again(number - 0.001) if number > 0.002 else Done(number)


@graph
def pair(seconds: float) -> float:
    return both(first(seconds), second(seconds))


@node
async def total(items: list[float], looped: float, won: float, made: float) -> float:
    return sum(items) + looped + won + made


@graph
def everything(items: list[float]) -> float:
    return total(each(pair, concurrency=2)(items), loop(once_more, rounds=9)(0.004), race(first, second)(0.004), inside(0.003))


@node
async def broken(seconds: float) -> float:
    await anyio.sleep(seconds)
    raise ValueError("broken")


@graph
def failing(items: list[float]) -> float:
    return both(broken(0.004), inside(0.02))


def random_items(count: int) -> Iterator[list[float]]:
    choose = random.Random(7)
    for _ in range(count):
        yield [choose.choice([0.001, 0.003, 0.006]) for _ in range(choose.randint(0, 5))]


@pytest.mark.anyio
async def test_executed_runs_explain_themselves_with_a_plan_and_without(tmp_path: Path) -> None:
    for journal in (None, tmp_path / "runs.sqlite"):
        async with Swarm(journal=journal) as swarm:
            for items in random_items(4):
                trace = (await swarm.run(everything, items)).trace
                check(trace)
                for step in trace.steps():
                    assert trace.what_if(step.path, factor=1).seconds_saved == pytest.approx(0, abs=ENOUGH)
                path = trace.critical_path().paths
                assert path[-1] == "everything/total"
                assert "everything/race/second" not in path or "everything/race/first" not in path
                assert all(kind in KINDS for kind, _ in trace.split().items())


@pytest.mark.anyio
async def test_a_failed_run_explains_itself() -> None:
    async with Swarm() as swarm:
        with pytest.raises(StepFailed) as caught:
            await swarm.run(failing, [])
    assert caught.value.run is not None
    trace = caught.value.run.trace
    check(trace)
    assert trace.critical_path().paths == ("failing/broken",)


@pytest.mark.anyio
async def test_what_a_function_runs_is_within_its_time_and_not_its_own(tmp_path: Path) -> None:
    async with Swarm() as swarm:
        trace = (await swarm.run(inside, 0.02)).trace
    check(trace)
    below = trace.split("inside/first").total + trace.split("inside/second").total
    whole = trace.step("inside").seconds
    assert whole is not None
    assert trace.split("inside").total == pytest.approx(whole - below, abs=1e-3)
    assert trace.split("inside").own >= 0.002

"""Random trees of nodes against a naive interpreter: same outputs, same failures, same steps at the same times.

Each case is a tree of specs. `Builder` makes the nodes of it, and `Player` computes without swarmlet what a run of them does.
Where several things happen at the same instant, or a bound makes leaves wait, `Oracle` says what may come out.
SWARMLET_EXAMPLES sets the number of examples.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, cast

import anyio
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from swarmlet import StepsFailed
from tests.conftest import BACKENDS, Backend
from tests.engine.naive import SAME, Err, Player, same
from tests.engine.outcomes import Oracle
from tests.engine.random_runs import (
    EXAMPLES,
    check_cause,
    check_error,
    check_trace,
    in_any_order,
    in_virtual_time,
    many,
    possible,
)
from tests.engine.random_specs import (
    VALUES,
    BestSpec,
    GraphSpec,
    HedgeSpec,
    LeafSpec,
    LoopSpec,
    MapSpec,
    OptionsSpec,
    RaceSpec,
    Spec,
    VoteSpec,
    inside,
    name_of,
    specs,
)


def is_exact(spec: Spec) -> bool:
    """Whether no leaf waits for another's place."""
    return not any(isinstance(one, OptionsSpec) and one.concurrency is not None for one in inside(spec))


def near(one: dict[str, float], other: dict[str, float]) -> bool:
    return one.keys() == other.keys() and all(same(one[path], other[path]) for path in one)


@many
@given(specs(), st.integers(0, 4))
def test_a_random_node_does_what_the_naive_interpreter_says_at_the_same_times(spec: Spec, value: int) -> None:
    oracle = Oracle(real=False)
    allowed = possible(spec, value, oracle)
    ran = in_virtual_time(spec, value, oracle)
    check_trace(ran.running, ran.world)
    assert ran.output in allowed
    if ran.error is not None:
        check_error(ran.error, ran.running)
    player = Player()
    play = player.play(spec, value, name_of(spec), 0.0)
    assert play.ok == (ran.error is None) or player.unsure or not is_exact(spec)
    if player.unsure or not is_exact(spec):
        return
    assert near(ran.world.started, {path: start for path, (start, _) in play.leaves.items()})
    assert near(ran.world.ended, {path: end for path, (_, end) in play.leaves.items()})
    assert same(ran.at, play.at)
    if isinstance(play.out, Err):
        check_cause(ran.error, play.out)
    else:
        assert ran.output == play.out
        folds = player.given.keys() & play.leaves.keys()
        assert sorted(ran.world.seen_failed) == sorted(path for fold in folds for path in player.given[fold])
    again = in_virtual_time(spec, value, oracle)
    assert near(again.world.started, ran.world.started)


@many
@given(specs(), st.integers(0, 4), st.floats(0.001, 25))
def test_a_random_node_that_is_cancelled_leaves_nothing_alive_and_a_whole_record(spec: Spec, value: int, stop: float) -> None:
    oracle = Oracle(real=False)
    possible(spec, value, oracle)
    ran = in_virtual_time(spec, value, oracle, stop)
    check_trace(ran.running, ran.world)
    assert ran.running.trace.state == ("cancelled" if ran.cancelled else "failed" if ran.error else "finished")
    assert ran.at <= stop + SAME
    player = Player()
    leaves = player.cut(player.play(spec, value, name_of(spec), 0.0), stop)
    if not player.unsure and is_exact(spec):
        assert ran.world.started.keys() == leaves.keys()


def depends_on_timing(spec: Spec) -> bool:
    """Whether which steps run is not known without knowing who is first."""
    return any(
        isinstance(one, RaceSpec | HedgeSpec | VoteSpec)
        or (isinstance(one, BestSpec | MapSpec) and one.enough is not None)
        or (isinstance(one, MapSpec) and one.at_least is not None)
        for one in inside(spec)
    )


def fails_anywhere(spec: Spec) -> bool:
    leaf_fails = any(isinstance(one, LeafSpec) and any(fails for _, fails, _ in one.turns) for one in inside(spec))
    return leaf_fails or any(isinstance(one, LoopSpec) and one.otherwise is None for one in inside(spec))


@pytest.mark.parametrize("backend", BACKENDS.values(), ids=list(BACKENDS))
def test_a_random_node_keeps_its_promises_in_whatever_order_its_leaves_end(backend: Backend) -> None:
    name, loop_options = backend

    @settings(many, max_examples=EXAMPLES or 80)
    @given(specs(), st.integers(0, 4), st.integers(0, 1 << 16), st.booleans())
    def check(spec: Spec, value: int, seed: int, stopped: bool) -> None:
        oracle = Oracle(real=True)
        allowed = possible(spec, value, oracle)
        ran = anyio.run(in_any_order, spec, value, oracle, seed, stopped, backend=name, backend_options=loop_options)
        check_trace(ran.running, ran.world)
        if ran.cancelled:
            return
        assert ran.output in allowed
        if ran.error is not None:
            check_error(ran.error, ran.running)
        if not depends_on_timing(spec) and not fails_anywhere(spec):
            timeless = without_timeouts(spec)
            expected = Player().play(timeless, value, name_of(spec), 0.0)
            assert ran.world.started.keys() == expected.leaves.keys()

    check()


def without_timeouts(part: Any) -> Any:  # Any: a spec, or what specs are made of
    if isinstance(part, tuple):
        return tuple(map(without_timeouts, cast("Iterable[Any]", part)))
    if not hasattr(part, "__dataclass_fields__"):
        return part
    fields = {key: without_timeouts(one) for key, one in cast("dict[str, Any]", vars(part)).items()}
    fields |= {key: None for key in ("timeout", "patience") if key in fields}
    return type(part)(**fields)


def test_the_interpreter_itself_is_right_about_a_case_worked_out_by_hand() -> None:
    quick = LeafSpec("a", "async", ((1, False, 1),))
    slow = LeafSpec("b", "async", ((5, False, 2),))
    broken = LeafSpec("c", "async", ((0, True, 0),))
    spec = GraphSpec(((RaceSpec((slow, quick, broken)), (0,)), (slow, (0, 1))))
    player = Player()
    play = player.play(spec, 2, "g", 0.0)
    assert not player.unsure
    assert sorted(play.leaves) == ["g/b", "g/mix", "g/mix~2", "g/race/a", "g/race/b", "g/race/c"]
    assert play.leaves["g/race/b"] == (0.0, play.leaves["g/race/a"][1])
    assert play.out == (3 * ((2 + 2 * ((3 * 2 + 1) % VALUES)) % VALUES) + 2) % VALUES
    assert Oracle(real=False).could(spec, 2, "g") >= {play.out}
    alone = Player().play(RaceSpec((broken, broken)), 2, "race", 0.0)
    assert {one.path for one in alone.error().causes} == {"race/c", "race/c~2"}
    assert StepsFailed("x", [ValueError()]).path == "x"

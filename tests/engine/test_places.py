"""Places behind bounds (`concurrency=`), and steps that lend theirs to the nodes they wait for."""

from __future__ import annotations

import anyio
import pytest
import trio
from anyio.lowlevel import checkpoint
from hypothesis import given
from hypothesis import strategies as st

from swarmlet import current, each, graph, node
from tests.engine.outcomes import Oracle
from tests.engine.random_nodes import Boom, IntNode
from tests.engine.random_runs import begin, check_trace, ended, in_virtual_time, many, possible, started, virtually
from tests.engine.random_specs import Spec, crowds


@node
async def quick(value: int) -> int:
    await checkpoint()
    return value


@node
async def second_long(value: int) -> int:
    await trio.sleep(1)
    return value


@node
async def five_long(value: int) -> int:
    await trio.sleep(5)
    return value


@node
def added(values: list[int]) -> int:
    return sum(values)


@many
@given(crowds(), st.integers(0, 4))
def test_whoever_waits_for_a_place_gets_one_whoever_lends_theirs_to_whom(spec: Spec, value: int) -> None:
    oracle = Oracle(real=False)
    allowed = possible(spec, value, oracle)
    ran = in_virtual_time(spec, value, oracle)
    check_trace(ran.running, ran.world)
    assert ran.output in allowed


async def child(of: IntNode, value: int) -> None:
    await current().run(of, value)


def test_a_step_whose_children_end_one_after_the_other_takes_its_place_again_once() -> None:
    @node
    async def parent(value: int) -> int:
        await trio.sleep(0.5)  # the other step waits for the place by now
        async with anyio.create_task_group() as group:
            group.start_soon(child, quick, value)
            await trio.sleep(1.5)  # the first child has ended, and the place is another step's until 2.5
            await current().run(each(quick), [])
        return value

    @graph
    def whole(value: int) -> int:
        return added([parent(value), second_long(second_long(value))])

    async def main() -> object:
        with trio.fail_after(1000):
            return await begin(whole.with_options(concurrency=1), 1).execute()

    assert virtually(main) == 2


@pytest.mark.parametrize("child_has_begun", [False, True])
def test_a_step_that_gives_up_waiting_for_its_child_goes_on_at_once_and_the_run_ends_well(child_has_begun: bool) -> None:
    went_on: list[float] = []

    @node
    async def impatient(value: int) -> int:
        await trio.sleep(0.5)  # the other step waits for the place by now
        with anyio.move_on_after(1):
            await current().run(five_long, value)
        went_on.append(trio.current_time())
        await trio.sleep(1)
        return value

    @graph
    def whole(value: int) -> int:
        first = impatient(value)
        others = [] if child_has_begun else [five_long(value)]
        return added([first, *others, second_long(first), second_long(first)])

    async def main() -> tuple[list[str], object, float]:
        went_on.clear()
        began, tasks = trio.current_time(), trio.lowlevel.current_statistics().tasks_living
        with trio.fail_after(1000):
            running = begin(whole.with_options(concurrency=1), 1)
            output = await running.execute()
        went_on[:] = [at - began for at in went_on]
        assert trio.lowlevel.current_statistics().tasks_living == tasks
        assert sorted(started(running)) == sorted(ended(running))
        return started(running), output, trio.current_time() - began

    paths, output, seconds = virtually(main)
    assert went_on == [1.5]
    assert ("whole/impatient/five_long" in paths) == child_has_begun
    assert output == (3 if child_has_begun else 4)
    assert seconds == (2.5 if child_has_begun else 5.5) + 2, (
        "the two last steps run one at a time: the place is there, and once"
    )


def test_what_a_fallback_gives_is_there_when_the_fallback_ends() -> None:
    @node
    async def broken(value: int) -> int:
        await trio.sleep(0.5)  # the other step waits for the place by now
        raise Boom

    @graph
    def whole(value: int) -> int:
        return added([broken.with_options(fallback=quick)(value), second_long(second_long(value))])

    async def main() -> list[str]:
        running = begin(whole.with_options(concurrency=1), 1)
        await running.execute()
        return ended(running)

    paths = virtually(main)
    assert paths.index("whole/broken") < paths.index("whole/second_long~2")

"""Random trees of nodes, killed at random moments: what goes on with them ends as the naive interpreter says."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any, cast

import trio
from hypothesis import given
from hypothesis import strategies as st

from swarmlet.engine.restore import LOSSY
from swarmlet.swarm.running import Running
from swarmlet.trace.events import Event, StepEnded, StepStarted
from swarmlet.trace.past import Past
from tests.engine.outcomes import Oracle
from tests.engine.random_nodes import Builder, World
from tests.engine.random_runs import Ran, begin, check_error, check_over, in_virtual_time, many, possible, virtually
from tests.engine.random_specs import HUGE, Spec, specs


def resumed(spec: Spec, value: int, oracle: Oracle, before: Running, length: int) -> Ran:
    """The run, as it goes on in a process that finds the first so many events of it."""

    async def main() -> Ran:
        began = trio.current_time()

        async def wait(path: str, seconds: float) -> None:
            await trio.sleep(seconds)

        world = World(wait, bounds=oracle.bounds, items=oracle.items, now=lambda: trio.current_time() - began)
        running = begin(Builder(world).node(spec), value)
        events = before.recorder.events[:length]
        running.recorder.log += events
        running.recorder.earlier = before.recorder.content
        running.past = Past(events)
        running.__post_init__()
        output: int | None = None
        error: BaseException | None = None
        with trio.fail_after(HUGE * 100):
            try:
                output = cast("int", await running.execute())
            except Exception as caught:  # noqa: BLE001  # it is looked at below
                error = caught
        check_over(world)
        return Ran(running, world, output, error, trio.current_time() - began, False)

    return virtually(main)


def finished(events: Sequence[Event]) -> set[str]:
    """The steps whose output is in the record, as it was: a stream, say, is made again."""
    ended = [event for event in events if isinstance(event, StepEnded) and event.state == "finished"]
    return {event.path for event in ended if event.output is not None and event.type != LOSSY}


@many
@given(specs(), st.integers(0, 4), st.lists(st.floats(0, 1), min_size=1, max_size=2))
def test_a_random_node_that_is_killed_ends_as_the_naive_interpreter_says(spec: Spec, value: int, moments: list[float]) -> None:
    oracle = Oracle(real=False)
    allowed = possible(spec, value, oracle)
    ran = in_virtual_time(spec, value, oracle)
    for moment in moments:
        before = ran.running
        whole = len(before.recorder.events)
        length = 1 + int(moment * (whole - 2))
        ran = resumed(spec, value, oracle, before, length)
        events: list[Any] = ran.running.recorder.events
        assert ran.output in allowed
        if ran.error is not None:
            check_error(ran.error, ran.running)
        assert not finished(events[:length]) & set(ran.world.started), "what has finished is not executed again"
        ended = Counter(event.path for event in events if isinstance(event, StepEnded))
        assert ended == Counter(event.path for event in events if isinstance(event, StepStarted))
        done = Counter(event.path for event in events if isinstance(event, StepEnded) and event.state == "finished")
        assert {path for path, count in done.items() if count > 1}.isdisjoint(finished(events[:length]))

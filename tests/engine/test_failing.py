"""A failure stops everything beside it, leaves as one error with its path, and keeps what was done."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, cast

import anyio
import pytest
import trio.testing
from anyio.lowlevel import checkpoint

from swarmlet import GraphError, StepFailed, current, each, graph, node, run
from swarmlet.errors import DeadlineExceeded, RunError
from tests.engine.quickly import quickly

pytestmark = pytest.mark.anyio


@node
async def inc(count: int) -> int:
    await checkpoint()
    return count + 1


@node
async def fail(count: int) -> int:
    await checkpoint()
    raise ValueError(f"no {count}")


@node
def total(counts: list[int]) -> int:
    return sum(counts)


@node
async def forever(count: int) -> int:
    await anyio.sleep_forever()
    return count


async def test_a_failure_is_one_error_with_path_cause_and_what_was_done() -> None:
    @graph
    def part(count: int) -> int:
        return fail(inc(count))

    @graph
    def whole(count: int) -> int:
        return part(inc(count))

    with pytest.raises(StepFailed) as caught:
        await quickly(whole, 1)
    error = caught.value
    assert (error.path, str(error)) == ("whole/part/fail", "step 'whole/part/fail' failed: ValueError: no 3")
    assert isinstance(error.__cause__, ValueError)
    assert error.run is not None
    trace = error.run.trace
    assert (trace.state, trace.output("whole/inc"), trace.output("whole/part/inc")) == ("failed", 2, 3)
    assert trace.step("whole/part/fail").state == "failed"
    assert trace.ended is not None
    assert trace.ended.error is not None
    assert trace.ended.error.type == "StepFailed"
    assert error.run.usage.requests == 0
    assert error.run.id == trace.run_id


async def test_a_failing_step_stops_its_siblings_and_their_cleanup_runs_before_run_returns() -> None:
    cleaned: list[str] = []
    sibling_runs = anyio.Event()

    @node
    async def sibling(count: int) -> int:
        try:
            sibling_runs.set()
            await anyio.sleep_forever()
        finally:
            with anyio.CancelScope(shield=True):
                await checkpoint()
                await checkpoint()
            cleaned.append("sibling")
        return count

    @node
    async def failing() -> int:
        await sibling_runs.wait()
        raise ValueError("stop")

    @graph
    def inner(count: int) -> int:
        return sibling(count)

    @graph
    def whole(count: int) -> int:
        return total([inner(count), failing()])

    with pytest.raises(StepFailed) as caught:
        await quickly(whole, 1)
    assert cleaned == ["sibling"]
    assert caught.value.run is not None
    assert caught.value.run.trace.step("whole/inner/sibling").state == "cancelled"


async def test_steps_that_wait_for_a_failed_one_or_are_still_queued_never_start() -> None:
    started: list[int] = []

    @node
    def note(count: int) -> int:
        started.append(count)
        if count == 2:
            raise ValueError("two")
        return count

    @graph
    def whole(counts: list[int]) -> int:
        return total(each(note, concurrency=1)(counts))

    with pytest.raises(StepFailed):
        await quickly(whole, [1, 2, 3, 4])
    assert started == [1, 2]


async def test_two_failures_at_once_leave_as_a_group_with_their_paths() -> None:
    both_run = anyio.Event()

    @node
    async def left() -> int:
        await both_run.wait()
        raise ValueError("left")

    @node
    async def right() -> int:
        both_run.set()
        try:
            await anyio.sleep_forever()
        finally:
            raise LookupError("right")

    @graph
    def whole() -> int:
        return total([left(), right()])

    caught: list[RunError] = []
    try:
        await quickly(whole)
    except* StepFailed as group:
        caught += [error for error in group.exceptions if isinstance(error, StepFailed)]
    assert {error.path: type(error.__cause__) for error in caught} == {"whole/left": ValueError, "whole/right": LookupError}
    (partial,) = {error.run for error in caught if error.run is not None}
    assert partial.trace.state == "failed"
    assert [step.state for step in partial.trace.steps()] == ["failed", "failed"]


async def test_failures_in_nested_scopes_leave_as_one_flat_group() -> None:
    all_run = [anyio.Event() for _ in range(3)]

    @node
    async def failing(index: int) -> int:
        all_run[index].set()
        try:
            for event in all_run:
                await event.wait()
            if index > 0:
                await anyio.sleep_forever()
        finally:
            raise ValueError(index)

    @graph
    def two() -> int:
        return total([failing(0), failing(1)])

    @graph
    def whole() -> int:
        return total([two.with_options(timeout=60)(), failing(2)])

    with pytest.raises(ExceptionGroup) as caught:
        await quickly(whole)
    assert sorted(str(error.args[0]) for error in caught.value.exceptions) == [
        "whole/failing",
        "whole/two/failing",
        "whole/two/failing~2",
    ]


async def test_a_sibling_that_only_stops_is_not_in_the_error() -> None:
    @graph
    def whole(count: int) -> int:
        return total([forever(count), fail(count), forever(count)])

    with pytest.raises(StepFailed) as caught:
        await quickly(whole, 1)
    assert caught.value.path == "whole/fail"


async def test_a_group_raised_by_a_task_group_of_the_users_is_a_cause() -> None:
    @node
    async def spawns() -> int:
        async def failing() -> None:
            raise ValueError("child")

        async with anyio.create_task_group() as group:
            group.start_soon(failing)
        return 1

    with pytest.raises(StepFailed) as caught:
        await quickly(spawns)
    assert isinstance(caught.value.__cause__, ExceptionGroup)


async def test_an_error_of_another_run_is_a_cause_and_keeps_its_own_run() -> None:
    @node
    async def outer(count: int) -> int:
        return (await run(fail, count)).output

    with pytest.raises(StepFailed) as caught:
        await quickly(outer, 1)
    inner = caught.value.__cause__
    assert isinstance(inner, StepFailed)
    assert (caught.value.path, inner.path) == ("outer", "fail")
    assert inner.run is not None
    assert caught.value.run is not None
    assert inner.run.id != caught.value.run.id


async def test_an_error_that_cannot_be_told_is_told_by_its_name() -> None:
    class Mute(Exception):
        def __str__(self) -> str:
            raise RuntimeError("no words")

    @node
    def mute(count: int) -> int:
        raise Mute

    with pytest.raises(StepFailed, match=r"step 'mute\[0\]' failed: Mute$"):
        await quickly(each(mute), [1])


async def test_a_value_that_cannot_be_written_costs_no_run_its_result() -> None:
    class Mute:
        def __repr__(self) -> str:
            raise RuntimeError("no words")

    @node
    def knot(text: str) -> list[Any]:  # Any: it holds itself
        made: list[Any] = [text]
        made.append(made)
        return made

    @node
    def mute(of: list[Any]) -> Any:  # Any: pydantic does not know the class
        return Mute()

    @node
    def count(of: Any) -> int:  # Any: as above
        return 1

    @graph
    def whole() -> int:
        return count(mute(knot("half a character: \ud800")))

    result = await quickly(whole)
    assert result.output == 1
    assert result.trace.output("whole/mute") is None
    notes = [(event.path, event.message) for event in result.trace.events if event.kind == "noted"]
    assert notes[0][0] == "whole/mute"
    assert notes[0][1].startswith("'output' is not in the record, as it cannot be written: ")
    assert [path for path, _ in notes] == ["whole/mute", "whole/count"]
    assert (await quickly(count, Mute())).trace.events[0].kind == "run_started"


async def test_recording_does_not_use_up_an_iterator() -> None:
    @node
    def lazy(counts: list[int]) -> Iterator[int]:
        return map(int, counts)

    @node
    def add_up(counts: Iterator[int]) -> int:
        return sum(counts)

    @graph
    def whole(counts: list[int]) -> int:
        return add_up(lazy(counts))

    result = await quickly(whole, [1, 2, 3])
    assert result.output == 6
    notes = [event.message for event in result.trace.events if event.kind == "noted"]
    assert len(notes) == 2
    assert all("writing it would use it up; give a list instead of an iterator" in note for note in notes)
    items = cast("list[int]", (count for count in [1, 2]))
    assert (await quickly(each(inc), items)).output == [2, 3]


@pytest.mark.parametrize("stop", [KeyboardInterrupt, SystemExit])
async def test_what_stops_a_program_leaves_bare_after_its_siblings_have_cleaned_up(
    stop: type[BaseException], anyio_backend_name: str
) -> None:
    if anyio_backend_name == "asyncio":
        pytest.skip("asyncio takes these out of any task at once; the next test runs a loop for them")
    state: list[str] = []
    begun = anyio.Event()

    @node
    async def stopping(count: int) -> int:
        await begun.wait()
        raise stop

    @node
    async def beside(count: int) -> int:
        begun.set()
        try:
            await anyio.sleep_forever()
        finally:
            state.append("cleaned")
        return 1

    @graph
    def whole(count: int) -> int:
        return total([stopping(count), beside(count)])

    with pytest.raises(stop):
        await quickly(whole, 1)
    assert state == ["cleaned"]


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_ctrl_c_in_a_step_ends_the_program_as_ctrl_c(backend: str) -> None:
    @node
    async def stopping(count: int) -> int:
        await checkpoint()
        raise KeyboardInterrupt

    async def main() -> None:
        await run(each(stopping), [1])

    with pytest.raises(KeyboardInterrupt):
        anyio.run(main, backend=backend)


# Cancellation


async def test_a_cancelled_run_leaves_nothing_alive_and_says_so() -> None:
    alive: set[str] = set()
    all_run = anyio.Event()

    @node
    async def busy(name: str) -> str:
        alive.add(name)
        if len(alive) == 3:
            all_run.set()
        try:
            await anyio.sleep_forever()
        finally:
            with anyio.CancelScope(shield=True):
                await checkpoint()
            alive.remove(name)
        return name

    @node
    async def parent(name: str) -> str:
        return await current().run(busy, name)

    @graph
    def whole(names: list[str]) -> list[list[str]]:
        return [each(busy)(names), each(parent.with_options(timeout=60))(["c"])]

    with anyio.fail_after(5):
        async with anyio.create_task_group() as group:
            group.start_soon(lambda: run(whole, ["a", "b"]))
            await all_run.wait()
            assert alive == {"a", "b", "c"}
            group.cancel_scope.cancel()
    assert alive == set()


async def test_cancellation_passes_through_run_as_cancellation() -> None:
    with anyio.move_on_after(5) as scope:
        scope.cancel()
        await run(forever, 1)
    assert scope.cancelled_caught


async def test_a_step_that_fails_while_the_run_is_cancelled_does_not_replace_the_cancellation() -> None:
    runs = anyio.Event()

    @node
    async def stubborn() -> int:
        try:
            runs.set()
            await anyio.sleep_forever()
        finally:
            raise ValueError("while stopping")

    @graph
    def whole() -> int:
        return total([stubborn(), forever(1)])

    with anyio.fail_after(5):
        async with anyio.create_task_group() as group:

            async def caller() -> None:
                with pytest.raises(anyio.get_cancelled_exc_class()):
                    await run(whole)
                await checkpoint()

            group.start_soon(caller)
            await runs.wait()
            group.cancel_scope.cancel()


# Timeouts


async def test_a_timeout_stops_the_step_and_names_it() -> None:
    cleaned: list[int] = []

    @node
    async def slow(count: int) -> int:
        try:
            await anyio.sleep_forever()
        finally:
            cleaned.append(count)
        return count

    @graph
    def part(count: int) -> int:
        return total([slow(count), slow(2)])

    @graph
    def whole(count: int) -> int:
        return inc(part.with_options(timeout=0.01)(count))

    with pytest.raises(DeadlineExceeded) as caught:
        await quickly(whole, 1)
    assert str(caught.value) == "step 'whole/part' was stopped: it took longer than its timeout of 0.01 s"
    assert sorted(cleaned) == [1, 2]
    assert caught.value.run is not None
    trace = caught.value.run.trace
    assert [trace.step(f"whole/part/{name}").state for name in ("slow", "slow~2")] == ["cancelled", "cancelled"]
    assert trace.step("whole/part").state == "failed"


async def test_the_nearest_timeout_that_runs_out_is_the_one_that_is_named() -> None:
    @graph
    def inner(count: int) -> int:
        return forever.with_options(timeout=0.01)(count)

    @graph
    def outer(count: int) -> int:
        return inner.with_options(timeout=60)(count)

    with pytest.raises(DeadlineExceeded) as caught:
        await quickly(outer.with_options(timeout=60), 1)
    assert caught.value.path == "outer/inner/forever"
    with pytest.raises(DeadlineExceeded) as caught:
        await quickly(outer.with_options(timeout=0.005, name="hasty"), 1)
    assert caught.value.path == "hasty"


async def test_a_deadline_of_the_callers_is_the_callers() -> None:
    with pytest.raises(TimeoutError):
        with anyio.fail_after(0.01):
            await run(forever.with_options(timeout=60), 1)


async def test_an_item_that_takes_too_long_can_be_kept_as_a_failure() -> None:
    @node
    async def maybe(count: int) -> int:
        if count == 2:
            await anyio.sleep_forever()
        return count

    impatient = each(maybe.with_options(timeout=0.01), on_error="keep")
    one, late = cast("list[Any]", (await quickly(impatient, [1, 2])).output)  # Any: a number and a failure
    assert (one, late.path, late.type) == (1, "maybe[1]", "DeadlineExceeded")


def test_hours_of_timeouts_pass_at_once_on_a_virtual_clock() -> None:
    @node
    async def worker(hours: int) -> int:
        await anyio.sleep(hours * 3600)
        return hours

    @graph
    def whole(hours: list[int]) -> list[Any]:  # Any: hours, or a failure
        return each(worker.with_options(timeout=3 * 3600), on_error="keep")(hours)

    async def main() -> list[Any]:
        return (await run(whole, [1, 2, 4, 100])).output

    one, two, *late = trio.run(main, clock=trio.testing.MockClock(autojump_threshold=0))
    assert (one, two) == (1, 2)
    assert [(failure.path, failure.type) for failure in late] == [
        ("whole/worker[2]", "DeadlineExceeded"),
        ("whole/worker[3]", "DeadlineExceeded"),
    ]


# Wrong calls


async def test_a_run_with_wrong_arguments_or_of_no_node_is_refused_before_it_begins() -> None:
    with pytest.raises(GraphError, match=r"run\(inc\): too many positional arguments; it is <Node inc\(count: int\) -> int>"):
        await cast("Any", quickly)(inc, 1, 2)
    with pytest.raises(GraphError, match=r"run\(\) takes a node, not <function .*; make a node of a function with @node"):
        await cast("Any", quickly)(lambda: 1)

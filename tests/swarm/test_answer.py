"""Runs that wait for people: answered while they go on, or later in another process, and resumed in a third."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import anyio
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from swarmlet import Question, RunStopped, StepFailed, Swarm, SwarmletError, ask, each, graph, node, race
from swarmlet.errors import RunTaken, Suspended, Unanswered
from swarmlet.swarm.people import LATER
from swarmlet.trace import Journal
from swarmlet.trace.events import Answered, Asked, RunResumed, StepEnded
from swarmlet.trace.journal import MemoryJournal
from tests.swarm.prefixes import write_prefix

if TYPE_CHECKING:
    from swarmlet import Node, Run

pytestmark = pytest.mark.anyio

go = ask(bool, "Go on?")


@ask(int)
def number(topic: str) -> str:
    return f"How many {topic}?"


@node
def topics(topic: str) -> list[str]:
    return [f"{topic} {index}" for index in range(3)]


@node
def together(numbers: Sequence[int], sure: bool) -> str:
    return f"{sum(numbers)} {sure}"


@graph
def count(topic: str) -> str:
    return together(each(number)(topics(topic)), go())


PATHS = {"count/number[0]": 1, "count/number[1]": 2, "count/number[2]": 3, "count/ask": True}


def events(run: Run[Any], kind: type[Any]) -> list[Any]:
    return [event for event in run.trace.events if isinstance(event, kind)]


# While it goes on


async def test_the_reader_of_a_stream_answers_what_it_reads() -> None:
    async with Swarm() as swarm, swarm.stream(count, "tea") as stream:
        with anyio.fail_after(10):
            async for event in stream:
                if isinstance(event, Asked):
                    assert event.path in {question.path for question in stream.questions}
                    await stream.answer(event.path, PATHS[event.path], by="ann")
        assert stream.output == "6 True"
        assert [event.by for event in events(stream.result, Answered)] == ["ann"] * 4
        assert stream.questions == []


async def test_an_answer_to_a_stream_that_does_not_fit_is_refused_and_the_question_stays_open() -> None:
    async with Swarm() as swarm, swarm.stream(number, "tea") as stream:
        with anyio.fail_after(10):
            async for event in stream:
                if isinstance(event, Asked):
                    with pytest.raises(SwarmletError, match="does not fit"):
                        await stream.answer("number", "many")
                    with pytest.raises(SwarmletError, match="no question of 'other' is open; the open ones are: 'number'"):
                        await stream.answer("other", 3)
                    await stream.answer("number", 3)
                    with pytest.raises(SwarmletError, match="answered already"):
                        await stream.answer("number", 4)
        assert stream.output == 3


@pytest.mark.parametrize("journal", [True, False])
async def test_a_reader_who_will_not_answer_lets_the_run_go(journal: bool) -> None:
    async with Swarm(journal=MemoryJournal() if journal else None) as swarm:

        async def read() -> None:
            async with swarm.stream(number, "tea") as stream:
                async for event in stream:
                    if isinstance(event, Asked):
                        stream.suspend()

        with anyio.fail_after(10), pytest.raises(Suspended if journal else StepFailed) as caught:
            await read()
        assert journal or isinstance(caught.value.__cause__, Unanswered)


async def test_the_first_answer_counts_be_it_of_the_callback_or_of_the_stream() -> None:
    async def never(_: Question) -> object:
        await anyio.sleep_forever()
        return LATER

    async with Swarm(people=never) as swarm, swarm.stream(number, "tea") as stream:
        with anyio.fail_after(10):
            async for event in stream:
                if isinstance(event, Asked):
                    await stream.answer("number", 3)
        assert stream.output == 3

    async with Swarm(people=lambda _: 4) as swarm, swarm.stream(number, "tea") as stream:
        with anyio.fail_after(10):
            async for _ in stream:
                pass
        assert stream.output == 4


async def test_a_callback_that_answers_later_leaves_the_question_to_the_stream() -> None:
    async with Swarm(people=lambda _: LATER) as swarm, swarm.stream(number, "tea") as stream:
        with anyio.fail_after(10):
            async for event in stream:
                if isinstance(event, Asked):
                    await anyio.sleep(0.01)
                    await stream.answer("number", 3)
        assert stream.output == 3


async def test_another_task_answers_a_run_that_goes_on() -> None:
    asked = anyio.Event()
    found: list[Question] = []

    async def wait(question: Question) -> object:
        found.append(question)
        asked.set()
        await anyio.sleep_forever()
        return LATER

    async with Swarm(people=wait) as swarm, anyio.create_task_group() as group:

        async def answer() -> None:
            await asked.wait()
            assert await swarm.inbox() == found
            await swarm.answer(found[0].run, "number", 3)

        group.start_soon(answer)
        with anyio.fail_after(10):
            assert (await swarm.run(number, "tea")).output == 3


async def test_a_question_that_is_answered_while_the_rest_of_its_run_goes_on_does_not_suspend_it() -> None:
    begun = anyio.Event()
    times: list[str] = []

    @node
    async def work(topic: str) -> int:
        times.append(topic)
        begun.set()
        await anyio.sleep(0.1)
        return 1

    @graph
    def both(topic: str) -> str:
        return together([number(topic), work(topic)], go())

    async with Swarm(journal=MemoryJournal()) as swarm, anyio.create_task_group() as group:

        async def answer() -> None:
            await begun.wait()
            while len(questions := await swarm.inbox()) < 2:  # noqa: ASYNC110  # written by another thread
                await anyio.sleep(0.01)
            for question in questions:
                await swarm.answer(question.run, question.path, 2 if question.path.endswith("number") else True)

        group.start_soon(answer)
        with anyio.fail_after(10):
            run = await swarm.run(both, "tea")
        assert (run.output, times) == ("3 True", ["tea"])
        assert events(run, RunResumed) == []


async def test_a_drained_swarm_waits_for_nobody() -> None:
    store = MemoryJournal()
    asked = anyio.Event()

    async def wait(_: Question) -> object:
        asked.set()
        await anyio.sleep_forever()
        return LATER

    async with Swarm(people=wait, journal=store) as swarm:
        stopped: list[RunStopped] = []

        async def work() -> None:
            try:
                await swarm.run(number, "tea")
            except RunStopped as error:
                stopped.append(error)

        async with anyio.create_task_group() as group:
            group.start_soon(work)
            await asked.wait()
            with anyio.fail_after(10):
                await swarm.drain()
    assert stopped[0].run is not None
    async with Swarm(journal=store) as swarm:
        assert [question.path for question in await swarm.inbox()] == ["number"]
        await swarm.answer(stopped[0].run.id, "number", 3)
        assert (await swarm.resume(stopped[0].run.id, number)).output == 3


# Later


async def suspended(swarm: Swarm, asking: Node[..., Any], *args: object) -> str:
    with pytest.raises(Suspended) as caught:
        await swarm.run(asking, *args)
    assert caught.value.run is not None
    return caught.value.run.id


async def test_answers_are_checked_and_wrong_ones_say_why() -> None:
    async with Swarm(journal=MemoryJournal()) as swarm:
        run_id = await suspended(swarm, number, "tea")
        for wrong, path, value, message in [
            ("nowhere", "number", 3, "there is no run 'nowhere'"),
            (run_id, "other", 3, "no question of 'other' is open; the open ones are: 'number'"),
            (run_id, "number", "many", "does not fit"),
        ]:
            with pytest.raises(SwarmletError, match=message):
                await swarm.answer(wrong, path, value)
        await swarm.answer(run_id, "number", 3)
        with pytest.raises(SwarmletError, match="answered already"):
            await swarm.answer(run_id, "number", 3)
        assert (await swarm.resume(run_id, number)).output == 3
        with pytest.raises(SwarmletError, match="has finished"):
            await swarm.answer(run_id, "number", 3)


async def test_without_a_journal_only_runs_that_go_on_can_be_answered() -> None:
    async with Swarm() as swarm:
        with pytest.raises(SwarmletError, match="it has no journal"):
            await swarm.answer("20260101", "number", 3)


async def test_a_run_that_goes_on_in_another_swarm_is_answered_there(tmp_path: Path) -> None:
    asked = anyio.Event()

    async def wait(_: Question) -> object:
        asked.set()
        await anyio.sleep_forever()
        return LATER

    async def run() -> None:
        await swarm.run(number, "tea")

    path = tmp_path / "j.sqlite"
    async with Swarm(people=wait, journal=path) as swarm, Swarm(journal=path) as other, anyio.create_task_group() as group:
        group.start_soon(run)
        await asked.wait()
        (question,) = await other.inbox()
        with pytest.raises(RunTaken):
            await other.answer(question.run, "number", 3)
        group.cancel_scope.cancel()


async def test_a_run_is_suspended_as_often_as_it_takes_and_nobody_is_asked_twice() -> None:
    async with Swarm(journal=MemoryJournal()) as swarm:
        run_id = await suspended(swarm, count, "tea")
        for path, value in PATHS.items():
            with pytest.raises(Suspended) as caught:
                await swarm.resume(run_id, count)
            assert set(caught.value.questions) == set(list(PATHS)[list(PATHS).index(path) :])
            await swarm.answer(run_id, path, value)
        run = await swarm.resume(run_id, count)
    assert run.output == "6 True"
    assert sorted(event.path for event in events(run, Asked)) == sorted(PATHS)
    assert sorted(event.path for event in events(run, Answered)) == sorted(PATHS)


async def test_a_run_with_questions_killed_after_any_event_ends_as_it_would_have(tmp_path: Path) -> None:
    async with Swarm(journal=tmp_path / "whole.sqlite") as swarm:
        run_id = await suspended(swarm, count, "tea")
        for path, value in list(PATHS.items())[:2]:
            await swarm.answer(run_id, path, value)
        with pytest.raises(Suspended):
            await swarm.resume(run_id, count)
        for path, value in list(PATHS.items())[2:]:
            await swarm.answer(run_id, path, value)
        whole = (await swarm.resume(run_id, count)).trace
    for length in range(1, len(whole.events)):
        journal = tmp_path / f"{length}.sqlite"
        await write_prefix(journal, whole, length)
        answered = [event.path for event in whole.events[:length] if isinstance(event, Answered)]
        with anyio.fail_after(20):
            async with Swarm(journal=journal) as swarm:
                if len(answered) < len(PATHS):
                    with pytest.raises(Suspended) as caught:
                        await swarm.resume(run_id, count)
                    assert set(caught.value.questions) == set(PATHS) - set(answered)
                    for path in caught.value.questions:
                        await swarm.answer(run_id, path, PATHS[path])
                run = await swarm.resume(run_id, count)
        assert run.output == "6 True"
        assert sorted(event.path for event in events(run, Asked)) == sorted(PATHS)
        assert sorted(event.path for event in events(run, Answered)) == sorted(PATHS)
        finished = [event.path for event in events(run, StepEnded) if event.state == "finished"]
        assert len(finished) == len(set(finished))


async def test_a_fork_has_the_answers_of_the_run_that_it_is_made_from() -> None:
    async with Swarm(journal=MemoryJournal()) as swarm:
        run_id = await suspended(swarm, count, "tea")
        for path, value in PATHS.items():
            await swarm.answer(run_id, path, value)
        fork = await swarm.fork(run_id, count)
        assert fork.output == "6 True"
        assert sorted(event.path for event in events(fork, Answered)) == sorted(PATHS)


# In three processes

APP = """
import sys
import anyio
from swarmlet import ask, graph, node, Swarm
from swarmlet.errors import Suspended

@ask(int)
def number(topic: str) -> str:
    return f"How many {topic}?"

@node
def double(count: int) -> int:
    return 2 * count

@graph
def whole(topic: str) -> int:
    return double(number(topic))

async def main(journal: str, what: str, run_id: str) -> None:
    async with Swarm(journal=journal) as swarm:
        if what == "run":
            try:
                await swarm.run(whole, "tea")
            except Suspended as error:
                print(error.run.id, *error.questions)
        elif what == "answer":
            await swarm.answer(run_id, "whole/number", 21, by="ann")
        else:
            print((await swarm.resume(run_id, whole)).output)

if __name__ == "__main__":
    anyio.run(main, *sys.argv[2:], backend=sys.argv[1])
"""


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_a_run_is_suspended_answered_and_resumed_by_three_processes(tmp_path: Path, backend: str) -> None:
    (tmp_path / "app.py").write_text(APP)

    def app(what: str, run_id: str = "") -> list[str]:
        command = [sys.executable, str(tmp_path / "app.py"), backend, str(tmp_path / "j.sqlite"), what, run_id]
        return subprocess.run(command, capture_output=True, text=True, check=True, timeout=60).stdout.split()

    run_id, path = app("run")
    assert path == "whole/number"
    assert Journal(tmp_path / "j.sqlite").find(run_id).state == "suspended"
    assert app("answer", run_id) == []
    assert Journal(tmp_path / "j.sqlite").find(run_id).state == "suspended"
    assert app("resume", run_id) == ["42"]
    trace = Journal(tmp_path / "j.sqlite").trace(run_id)
    assert [event.by for event in trace.events if isinstance(event, Answered)] == ["ann"]
    assert len([event for event in trace.events if isinstance(event, Asked)]) == 1


# Any graph


@node
async def quick(topic: str) -> int:
    await anyio.lowlevel.checkpoint()
    return 0


@node
def add(numbers: list[int]) -> int:
    return sum(numbers)


@node
def texts(numbers: int) -> list[str]:
    return ["a", "b"][: 1 + numbers % 2]


def nodes(depth: int) -> st.SearchStrategy[Any]:
    """Graphs of questions and functions, of one signature."""
    leaves = st.sampled_from([number, quick])
    if not depth:
        return leaves
    inner = nodes(depth - 1)

    def serial(pair: tuple[Any, Any]) -> Any:
        first, second = pair

        @graph
        def chain(topic: str) -> int:
            return add(each(second)(texts(first(topic))))

        return chain

    def parallel(pair: tuple[Any, Any]) -> Any:
        first, second = pair

        @graph
        def fork(topic: str) -> int:
            return add([first(topic), second(topic)])

        return fork

    def racing(pair: tuple[Any, Any]) -> Any:
        return race(pair[0].with_options(name="left"), pair[1].with_options(name="right"))

    pairs = st.tuples(inner, inner)
    return st.one_of(leaves, pairs.map(serial), pairs.map(parallel), pairs.map(racing))


async def attempt(swarm: Swarm, made: Any, run_id: str) -> tuple[Run[Any] | None, Suspended | None]:
    try:
        return await (swarm.resume(run_id, made) if run_id else swarm.run(made, "tea")), None
    except Suspended as error:
        return None, error


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
@given(made=nodes(2), backend=st.sampled_from(["asyncio", "trio"]), data=st.data())
def test_any_graph_with_questions_ends_once_all_are_answered(made: Any, backend: str, data: st.DataObject) -> None:
    async def main() -> None:
        with anyio.fail_after(30):
            async with Swarm(journal=MemoryJournal()) as swarm:
                run, left = await attempt(swarm, made, "")
                answered = 0
                while left is not None:
                    assert left.run is not None
                    assert left.questions
                    assert {question.path for question in await swarm.inbox()} == set(left.questions)
                    some = data.draw(st.lists(st.sampled_from(left.questions), min_size=1, unique=True))
                    for path in some:
                        await swarm.answer(left.run.id, path, 1)
                    answered += len(some)
                    run, left = await attempt(swarm, made, left.run.id)
                assert run is not None
                asked = [event.path for event in events(run, Asked)]
                assert len(asked) == len(set(asked))
                assert len(events(run, Answered)) == answered
                assert await swarm.inbox() == []

    anyio.run(main, backend=backend)

"""Nodes that ask people: what comes back, who answers, and what happens where nobody is there."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from enum import Enum
from typing import Any, Literal

import anyio
import pytest
from pydantic import BaseModel

from swarmlet import (
    GraphError,
    Node,
    Question,
    StepFailed,
    Swarm,
    agent,
    ask,
    best,
    cascade,
    current,
    each,
    graph,
    hedge,
    loop,
    node,
    race,
    switch,
    vote,
)
from swarmlet.errors import Suspended, Unanswered
from swarmlet.graph.loop import Again, Done
from swarmlet.swarm.people import LATER
from swarmlet.testing import ScriptedServer, call
from swarmlet.trace.events import Answered, Asked, Noted
from swarmlet.trace.journal import MemoryJournal

pytestmark = pytest.mark.anyio


class Mood(Enum):
    GOOD = "good"
    BAD = "bad"


class Decision(BaseModel):
    approved: bool
    reason: str = ""


go = ask(bool, "Go on?")


@ask(Decision)
def decide(draft: str) -> str:
    """Whether a draft is good."""
    return f"Is this good: {draft}"


@ask(int)
async def number(topic: str) -> str:
    await anyio.lowlevel.checkpoint()
    return f"How many {topic}?"


def people(*answers: object) -> Callable[[Question], object]:
    """A callback that gives these answers, and then nobody's."""
    left = list(answers)

    async def answer(_: Question) -> object:
        return left.pop(0) if left else LATER

    return answer


async def answered(asking: Node[..., Any], *args: object, by: Callable[[Question], object]) -> Any:
    with anyio.fail_after(10):
        async with Swarm(people=by) as swarm:
            return (await swarm.run(asking, *args)).output


def events(swarm_run: Any, kind: type[Any]) -> list[Any]:
    return [event for event in swarm_run.trace.events if isinstance(event, kind)]


# The answer


async def test_a_question_of_constant_text_gives_the_answer() -> None:
    assert await answered(go, by=people(True)) is True


async def test_the_text_of_a_question_is_made_of_the_arguments_also_by_an_async_function() -> None:
    asked: list[Question] = []

    async def answer(question: Question) -> object:
        asked.append(question)
        return 3

    assert await answered(number, "teas", by=answer) == 3
    assert [(one.path, one.text, one.about, one.answers) for one in asked] == [
        ("number", "How many teas?", "answer", {"type": "integer"})
    ]


@pytest.mark.parametrize("given", [Decision(approved=True), {"approved": True}, {"approved": True, "reason": ""}])
async def test_an_answer_is_a_value_of_the_type_or_what_json_has_in_its_place(given: object) -> None:
    assert await answered(decide, "x", by=people(given)) == Decision(approved=True)


@pytest.mark.parametrize(
    ("kind", "given", "wanted"),
    [
        (Mood, "good", Mood.GOOD),
        (Mood, Mood.BAD, Mood.BAD),
        (Literal["a", "b"], "b", "b"),
        (tuple[int, str], [1, "x"], (1, "x")),
        (int | None, None, None),
        (list[Decision], [{"approved": False}], [Decision(approved=False)]),
    ],
)
async def test_answers_of_all_types_come_back(kind: Any, given: object, wanted: object) -> None:
    assert await answered(ask(kind, "What?"), by=people(given)) == wanted


async def test_a_sync_callback_answers_as_well() -> None:
    assert await answered(go, by=lambda _: False) is False


async def test_what_does_not_fit_is_asked_again_with_what_is_wrong() -> None:
    texts: list[str | None] = []

    async def answer(question: Question) -> object:
        texts.append(question.text)
        return "many" if len(texts) < 3 else 2

    assert await answered(number, "teas", by=answer) == 2
    assert texts[0] == "How many teas?"
    assert texts[1] is not None
    assert "does not fit" in texts[1]


async def test_a_callback_that_never_fits_leaves_the_question_unanswered() -> None:
    with pytest.raises(StepFailed) as caught:
        await answered(number, "teas", by=people(*["many"] * 9))
    assert isinstance(caught.value.__cause__, Unanswered)
    assert "did not fit 4 times" in str(caught.value)


async def test_a_callback_that_fails_fails_the_step() -> None:
    def broken(_: Question) -> object:
        raise OSError("the pager is down")

    with pytest.raises(StepFailed) as caught:
        await answered(go, by=broken)
    assert isinstance(caught.value.__cause__, OSError)
    assert caught.value.path == "ask"


async def test_question_and_answer_are_recorded() -> None:
    async with Swarm(people=people(True)) as swarm:
        run = await swarm.run(go)
    (asked,), (said,) = events(run, Asked), events(run, Answered)
    assert run.trace.value(asked.question) == "Go on?"
    assert run.trace.value(asked.answers) == {"type": "boolean"}
    assert run.trace.value(said.answer) is True
    assert run.trace.step("ask").asked == [asked]


async def test_without_capture_the_record_has_neither_question_nor_answer() -> None:
    async with Swarm(people=people(True), capture=False, journal=MemoryJournal()) as swarm:
        run = await swarm.run(go)
        assert run.output is True
        with pytest.raises(StepFailed, match="capture=True"):
            await swarm.run(go)
    (asked,), (said,) = events(run, Asked), events(run, Answered)
    assert (asked.question, asked.answers, said.answer) == (None, None, None)


# Nobody is there


@pytest.mark.parametrize("callback", [None, people()])
async def test_without_people_and_without_a_journal_the_error_says_what_to_do(callback: Any) -> None:
    async with Swarm(people=callback) as swarm:
        with pytest.raises(StepFailed) as caught:
            await swarm.run(go)
    assert isinstance(caught.value.__cause__, Unanswered)
    for remedy in ("Swarm(people=...)", "stream.answer", "Swarm(journal=...)"):
        assert remedy in str(caught.value)


async def test_a_fallback_stands_in_for_a_person_who_is_not_there() -> None:
    @node
    def by_itself() -> bool:
        return False

    async with Swarm() as swarm:
        assert (await swarm.run(go.with_options(fallback=by_itself))).output is False


async def test_with_a_journal_the_run_is_suspended_and_all_else_goes_on() -> None:
    done: list[str] = []

    @node
    async def work(topic: str) -> str:
        await anyio.sleep(0.01)
        done.append(topic)
        return topic

    @node
    def join(first: str, second: int) -> str:
        return f"{first} {second}"

    @graph
    def whole(topic: str) -> str:
        return join(work(topic), number(topic))

    async with Swarm(journal=MemoryJournal()) as swarm:
        with pytest.raises(Suspended) as caught:
            await swarm.run(whole, "tea")
        assert (caught.value.questions, done) == (("whole/number",), ["tea"])
        assert caught.value.run is not None
        assert caught.value.run.trace.state == "suspended"
        run_id = caught.value.run.id
        assert [(one.path, one.text) for one in await swarm.inbox()] == [("whole/number", "How many tea?")]
        await swarm.answer(run_id, "whole/number", 4, by="ann")
        assert await swarm.inbox() == []
        run = await swarm.resume(run_id, whole)
    assert (run.output, done) == ("tea 4", ["tea"])
    assert len(events(run, Asked)) == 1
    assert [said.by for said in events(run, Answered)] == ["ann"]


# Timeouts, on virtual time where there is one


async def slow(_: Question) -> object:
    await anyio.sleep(3600)
    return True


def virtually(test: Callable[[], Any]) -> None:
    """Run on trio's clock that jumps to the next deadline."""
    trio_testing = pytest.importorskip("trio.testing")
    anyio.run(test, backend="trio", backend_options={"clock": trio_testing.MockClock(autojump_threshold=0.02)})


def test_after_its_timeout_the_default_is_the_answer() -> None:
    async def test() -> None:
        async with Swarm(people=slow) as swarm:
            run = await swarm.run(ask(bool, "Go on?", timeout=60, default=False))
        assert run.output is False
        (said,) = events(run, Answered)
        assert (said.by, run.trace.value(said.answer)) == ("timeout", False)
        (asked,) = events(run, Asked)
        assert asked.until == pytest.approx(asked.at + 60)

    virtually(test)


def test_without_a_default_the_step_fails_after_its_timeout() -> None:
    async def test() -> None:
        async with Swarm(people=slow) as swarm:
            with pytest.raises(StepFailed, match="nobody has answered 'ask' in its 60 s") as caught:
                await swarm.run(ask(bool, "Go on?", timeout=60))
        assert isinstance(caught.value.__cause__, Unanswered)

    virtually(test)


def test_an_answer_before_the_timeout_counts() -> None:
    async def test() -> None:
        async def soon(_: Question) -> object:
            await anyio.sleep(59)
            return True

        async with Swarm(people=soon) as swarm:
            assert (await swarm.run(ask(bool, "Go on?", timeout=60, default=False))).output is True

    virtually(test)


async def test_a_suspended_run_that_is_resumed_too_late_has_the_default_at_once() -> None:
    asking = ask(bool, "Go on?", timeout=0.05, default=False)
    async with Swarm(journal=MemoryJournal()) as swarm:
        with pytest.raises(Suspended) as caught:
            await swarm.run(asking)
        assert caught.value.run is not None
        await anyio.sleep(0.06)
        run = await swarm.resume(caught.value.run.id, asking)
    assert run.output is False
    assert len(events(run, Asked)) == 1


async def test_a_question_that_timed_out_is_asked_anew_when_its_failed_run_is_resumed() -> None:
    asking = ask(bool, "Go on?", timeout=0.05)
    async with Swarm(journal=MemoryJournal()) as swarm:
        with pytest.raises(Suspended) as caught:
            await swarm.run(asking)
        assert caught.value.run is not None
        run_id = caught.value.run.id
        await anyio.sleep(0.06)
        with pytest.raises(StepFailed):
            await swarm.resume(run_id, asking)
        with pytest.raises(Suspended) as again:
            await swarm.resume(run_id, asking)
        assert again.value.run is not None
        first, second = events(again.value.run, Asked)
        assert second.until > first.until


# Everywhere


@node
def three(_: str) -> list[str]:
    return ["a", "b", "c"]


@node
def total(numbers: Sequence[int]) -> int:
    return sum(numbers)


@node
async def inside(topic: str) -> int:
    return await current().run(number, topic) + await current().run(number, topic)


@node
def judge(topic: str) -> Literal["few", "many"]:
    return "few"


@node
def plenty(topic: str) -> int:
    return 100


next_round: Any = Again[str] | Done[int]


@ask(next_round)
def once_more(topic: str) -> Any:
    return topic


@graph
def mapped(topic: str) -> int:
    return total(each(number)(three(topic)))


@node
def fast(topic: str) -> int:
    return 50


def high(_: int) -> bool:
    return True


def score(value: int) -> float:
    return value


@pytest.mark.parametrize(
    ("asking", "answers", "output", "paths"),
    [
        (mapped, [1, 1, 1], 3, ["mapped/number[0]", "mapped/number[1]", "mapped/number[2]"]),
        (inside, [2, 3], 5, ["inside/number", "inside/number~2"]),
        (vote(number, of=3), [7, 7], 7, ["number[0]", "number[1]", "number[2]"]),
        (best(number, of=2, score=score), [7, 7], 7, ["number[0]", "number[1]"]),
        (cascade(number, plenty, accept=high), [4], 4, ["cascade/number"]),
        (switch(judge, {"few": number, "many": plenty}), [9], 9, ["switch/number"]),
        (hedge(number, after=30), [5], 5, ["number[0]"]),
        (plenty.with_options(name="never"), [], 100, []),
    ],
    ids=lambda value: getattr(value, "name", ""),
)
async def test_people_are_asked_in_every_combinator(
    asking: Node[[str], int], answers: list[int], output: int, paths: list[str]
) -> None:
    async with Swarm(people=people(*answers), journal=MemoryJournal()) as swarm:
        run = await swarm.run(asking, "tea")
        assert run.output == output
        assert {event.path for event in events(run, Asked)} <= set(paths)


async def test_a_loop_asks_once_in_each_round() -> None:
    answers = people(Again("again"), Again("and again"), Done(3))
    body: Any = once_more
    assert await answered(loop(body, rounds=5), "first", by=answers) == 3


async def test_in_a_race_a_person_may_be_late() -> None:
    slow_person = people()
    async with Swarm(people=slow_person, journal=MemoryJournal()) as swarm:
        run = await swarm.run(race(number, fast), "tea")
        assert run.output == 50
        assert await swarm.inbox() == []


async def test_a_question_nobody_waits_for_any_more_is_not_in_the_inbox() -> None:
    @graph
    def both(topic: str) -> int:
        return total([race(number, fast)(topic), number(topic)])

    async with Swarm(journal=MemoryJournal()) as swarm:
        with pytest.raises(Suspended) as caught:
            await swarm.run(both, "tea")
        assert caught.value.questions == ("both/number",)
        assert [one.path for one in await swarm.inbox()] == ["both/number"]


async def test_a_person_who_thinks_holds_nobodys_place() -> None:
    order: list[str] = []
    worked = anyio.Event()

    @node
    async def work(topic: str) -> int:
        order.append("work")
        worked.set()
        return 1

    async def after_work(_: Question) -> object:
        await worked.wait()
        order.append("answer")
        return 2

    @graph
    def both(topic: str) -> int:
        return total([number(topic), work(topic)])

    assert await answered(both.with_options(concurrency=1), "tea", by=after_work) == 3
    assert order == ["work", "answer"]


async def test_an_agent_asks_a_person_by_a_tool_that_has_no_time_limit(scripted_server: ScriptedServer) -> None:
    scripted_server.script(call("number", topic="teas"), "Four.")

    @agent(str, tools=[number])
    def helper(text: str) -> str:
        return text

    assert helper.settings.tools[0].timeout is None
    async with Swarm(people=people(4)) as swarm:
        run = await swarm.run(helper, "how many?")
    assert run.output == "Four."
    assert [event.path for event in events(run, Asked)] == ["helper/number"]
    assert scripted_server.requests[1].messages[-1]["content"] == "4"


async def test_an_agent_whose_tool_asks_is_suspended_and_pays_for_no_turn_again(scripted_server: ScriptedServer) -> None:
    scripted_server.script(call("number", topic="teas"), "Four.")

    @agent(str, tools=[number])
    def helper(text: str) -> str:
        return text

    async with Swarm(journal=MemoryJournal()) as swarm:
        with pytest.raises(Suspended) as caught:
            await swarm.run(helper, "how many?")
        assert caught.value.run is not None
        await swarm.answer(caught.value.run.id, "helper/number", 4)
        run = await swarm.resume(caught.value.run.id, helper)
    assert run.output == "Four."
    assert len(scripted_server.requests) == 2


# Wrong definitions


class Opaque:
    pass


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (lambda: ask(bool, "Go on?", default=True), "there is none"),
        (lambda: ask(bool, "Go on?", timeout=0), "above 0"),
        (lambda: ask(int, "How many?", timeout=1, default="many"), "does not fit"),  # type: ignore[type-var,unused-ignore]
        (lambda: ask(Opaque, "What?"), "people cannot be asked for a Opaque"),
        (lambda: ask("bool", "What?"), "names a type as text"),
        (lambda: ask(bool, 3), "takes the text"),  # type: ignore[call-overload]  # pyright: ignore[reportCallIssue, reportArgumentType]
        (lambda: ask(len, "What?"), "needs the type"),  # type: ignore[call-overload,unused-ignore]  # pyright: ignore[reportArgumentType]
        (lambda: ask(bool, "What?", name="a/b"), "cannot be named"),
        (lambda: ask(bool)(3), "decorates a function"),  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    ],
)
def test_what_cannot_be_asked_is_refused_when_it_is_defined(wrong: Callable[[], object], message: str) -> None:
    with pytest.raises(GraphError, match=message):
        wrong()


async def test_a_question_that_is_no_text_fails_the_step() -> None:
    @ask(bool)
    def odd() -> str:
        return 3  # type: ignore[return-value]  # pyright: ignore[reportReturnType]

    with pytest.raises(StepFailed, match="is a str, not 3"):
        await answered(odd, by=people(True))


def test_a_question_is_drawn_and_planned_as_one() -> None:
    assert '[/"ask"/]' in go.to_mermaid()
    assert "ask" in str(mapped.plan)
    assert any(row.what == "ask" for row in mapped.plan.outline.rows)


async def test_people_is_a_function() -> None:
    with pytest.raises(GraphError, match="people="):
        Swarm(people="ann")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]


async def test_notes_tell_of_an_answer_in_the_record_that_does_not_fit() -> None:
    store = MemoryJournal()
    async with Swarm(journal=store) as swarm:
        with pytest.raises(Suspended) as caught:
            await swarm.run(number, "teas")
        assert caught.value.run is not None
        run_id = caught.value.run.id
        from swarmlet.engine import people as engine_people

        known = dict(engine_people._known)  # pyright: ignore[reportPrivateUsage]
        engine_people._known.clear()  # pyright: ignore[reportPrivateUsage]  # as in a process that has not imported the node
        try:
            await swarm.answer(run_id, "number", "many")
        finally:
            engine_people._known.update(known)  # pyright: ignore[reportPrivateUsage]
        with pytest.raises(Suspended) as again:
            await swarm.resume(run_id, number)
        assert again.value.run is not None
        assert any("asked again" in note.message for note in events(again.value.run, Noted))
        await swarm.answer(run_id, "number", 3)
        assert (await swarm.resume(run_id, number)).output == 3

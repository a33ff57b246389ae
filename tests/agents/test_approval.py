"""Tools that run only if a person says so, and what people are asked of a tool that was lost."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import anyio
import pytest

from swarmlet import Agent, Approve, GraphError, Question, Refuse, StepFailed, Swarm, agent, ask, current, tool
from swarmlet.errors import Suspended, ToolError
from swarmlet.swarm.people import LATER
from swarmlet.testing import CallTools, ScriptedServer, call
from swarmlet.trace.events import Answered, Asked, ToolEnded, ToolStarted
from swarmlet.trace.journal import MemoryJournal
from tests.swarm.prefixes import write_prefix

pytestmark = pytest.mark.anyio


class World:
    """What was done to it."""

    def __init__(self) -> None:
        self.paid: list[tuple[int, str]] = []

    def pay(self, cents: int, to: str = "ann") -> str:
        """Pay."""
        self.paid.append((cents, to))
        return f"paid {cents} to {to}"


@pytest.fixture
def world() -> World:
    return World()


def shop(*tools: Any) -> Agent[[str], str]:
    @agent(str, tools=tools)
    def buy(text: str) -> str:
        return text

    return buy


def says(*answers: object) -> Callable[[Question], object]:
    """A callback that gives these answers, and then nobody's."""
    left = list(answers)

    async def answer(_: Question) -> object:
        return left.pop(0) if left else LATER

    return answer


def events(swarm_run: Any, kind: type[Any]) -> list[Any]:
    return [event for event in swarm_run.trace.events if isinstance(event, kind)]


def told(server: ScriptedServer, request: int = 1) -> Any:
    return [message["content"] for message in server.requests[request].messages if message["role"] == "tool"]


@pytest.mark.parametrize("answer", [True, Approve(), {"arguments": None}])
async def test_an_approved_tool_runs(scripted_server: ScriptedServer, world: World, answer: object) -> None:
    scripted_server.script(call("pay", cents=5), "Done.")
    asked: list[Question] = []

    async def approve(question: Question) -> object:
        asked.append(question)
        return answer

    async with Swarm(people=approve) as swarm:
        run = await swarm.run(shop(tool(world.pay, approve=True)), "pay")
    assert (run.output, world.paid, told(scripted_server)) == ("Done.", [(5, "ann")], ["paid 5 to ann"])
    (question,) = asked
    assert (question.path, question.about, question.tool) == ("buy/pay", "approval", "pay")
    assert question.arguments == {"cents": 5}


@pytest.mark.parametrize(
    ("answer", "words"),
    [(False, "refused it."), (Refuse("too much"), "refused it: too much"), ({"reason": "too much"}, "refused it: too much")],
)
async def test_a_refused_tool_does_not_run_and_the_model_is_told_why(
    scripted_server: ScriptedServer, world: World, answer: object, words: str
) -> None:
    scripted_server.script(call("pay", cents=5), "Pity.")
    async with Swarm(people=says(answer)) as swarm:
        run = await swarm.run(shop(tool(world.pay, approve=True)), "pay")
    assert (run.output, world.paid) == ("Pity.", [])
    assert words in told(scripted_server)[0]
    assert events(run, ToolStarted) == []


@pytest.mark.parametrize("answer", [Approve({"cents": 3, "to": "bob"}), {"arguments": {"cents": 3, "to": "bob"}}])
async def test_a_person_may_change_the_arguments_and_the_record_and_the_model_learn_of_it(
    scripted_server: ScriptedServer, world: World, answer: object
) -> None:
    scripted_server.script(call("pay", cents=5), "Done.")
    async with Swarm(people=says(answer)) as swarm:
        run = await swarm.run(shop(tool(world.pay, approve=True)), "pay")
    assert world.paid == [(3, "bob")]
    (started,) = events(run, ToolStarted)
    assert json.loads(str(run.trace.value(started.arguments))) == {"cents": 3, "to": "bob"}
    assert "changed the arguments" in told(scripted_server)[0]
    assert "paid 3 to bob" in told(scripted_server)[0]


async def test_changed_arguments_are_validated_and_asked_for_again(scripted_server: ScriptedServer, world: World) -> None:
    scripted_server.script(call("pay", cents=5), "Done.")
    texts: list[str | None] = []

    async def answer(question: Question) -> object:
        texts.append(question.text)
        return {"arguments": {"cents": "a lot"}} if len(texts) == 1 else True

    async with Swarm(people=answer) as swarm:
        await swarm.run(shop(tool(world.pay, approve=True)), "pay")
    assert world.paid == [(5, "ann")]
    assert texts[1] is not None
    assert "do not fit" in texts[1]


async def test_a_function_of_the_arguments_says_what_is_to_be_approved(scripted_server: ScriptedServer, world: World) -> None:
    scripted_server.script(CallTools([call("pay", cents=5), call("pay", cents=500)]), "Done.")

    def much(arguments: dict[str, object]) -> bool:
        return arguments["cents"] != 5 and arguments["to"] == "ann"

    async with Swarm(people=says(False)) as swarm:
        run = await swarm.run(shop(tool(world.pay, approve=much)), "pay")
    assert world.paid == [(5, "ann")]
    assert [event.path for event in events(run, Asked)] == ["buy/pay~2"]


async def test_nobody_is_asked_about_arguments_that_do_not_fit(scripted_server: ScriptedServer, world: World) -> None:
    scripted_server.script(call("pay", cents="a lot"), "Sorry.")
    async with Swarm() as swarm:
        run = await swarm.run(shop(tool(world.pay, approve=True)), "pay")
    assert events(run, Asked) == []
    assert "do not fit" in told(scripted_server)[0]


async def test_where_the_function_that_decides_fails_the_tool_does_not_run(
    scripted_server: ScriptedServer, world: World
) -> None:
    scripted_server.script(call("pay", cents=5))

    def broken(_: dict[str, object]) -> bool:
        raise KeyError("limit")

    async with Swarm() as swarm:
        with pytest.raises(StepFailed, match="does not run: KeyError"):
            await swarm.run(shop(tool(world.pay, approve=broken)), "pay")
    assert world.paid == []


async def test_all_questions_of_a_turn_are_asked_at_once_and_its_other_tools_finish(
    scripted_server: ScriptedServer, world: World
) -> None:
    done: list[str] = []

    async def look(thing: str) -> str:
        """Look."""
        await anyio.sleep(0.01)
        done.append(thing)
        return thing

    calls = [call("pay", cents=1), call("look", thing="a"), call("pay", cents=2), call("look", thing="b")]
    scripted_server.script(CallTools(calls), "Done.")
    buy = shop(tool(world.pay, approve=True), look)
    async with Swarm(journal=MemoryJournal()) as swarm:
        with pytest.raises(Suspended) as caught:
            await swarm.run(buy, "pay")
        assert sorted(caught.value.questions) == ["buy/pay", "buy/pay~2"]
        assert sorted(done) == ["a", "b"]
        assert caught.value.run is not None
        await swarm.answer(caught.value.run.id, "buy/pay~2", False)
        await swarm.answer(caught.value.run.id, "buy/pay", True)
        run = await swarm.resume(caught.value.run.id, buy)
    assert world.paid == [(1, "ann")]
    assert sorted(done) == ["a", "b"]
    assert [text[:7] for text in told(scripted_server)] == ["paid 1 ", "a", "Not run", "b"]
    assert len(scripted_server.requests) == 2
    assert len(events(run, Asked)) == 2


async def test_an_approved_run_killed_after_any_event_ends_alike_and_nobody_is_asked_twice(
    scripted_server: ScriptedServer, world: World, tmp_path: Any
) -> None:
    scripted_server.answer(lambda request: "Done." if request.messages[-1]["role"] == "tool" else call("pay", cents=5))
    buy = shop(tool(world.pay, approve=True))
    async with Swarm(journal=tmp_path / "whole.sqlite") as swarm:
        with pytest.raises(Suspended) as caught:
            await swarm.run(buy, "pay")
        assert caught.value.run is not None
        run_id = caught.value.run.id
        await swarm.answer(run_id, "buy/pay", {"arguments": {"cents": 2, "to": "eve"}})
        whole = (await swarm.resume(run_id, buy)).trace
    assert world.paid == [(2, "eve")]
    for count in range(1, len(whole.events)):
        path = tmp_path / f"{count}.sqlite"
        await write_prefix(path, whole, count)
        seen = [type(event) for event in whole.events[:count]]
        ended = any(isinstance(event, ToolEnded) and event.state == "finished" for event in whole.events[:count])
        world.paid.clear()
        before = len(scripted_server.requests)
        with anyio.fail_after(20):
            async with Swarm(journal=path) as swarm:
                if Answered not in seen:
                    with pytest.raises(Suspended):
                        await swarm.resume(run_id, buy)
                    await swarm.answer(run_id, "buy/pay", {"arguments": {"cents": 2, "to": "eve"}})
                run = await swarm.resume(run_id, buy)
        assert run.output == "Done."
        assert world.paid == ([] if ended else [(2, "eve")])
        assert len(events(run, Asked)) == 1
        assert len(events(run, Answered)) == 1
        assert len(scripted_server.requests) - before <= 2


async def test_an_approval_is_for_one_call_and_not_for_the_next_alike(scripted_server: ScriptedServer, world: World) -> None:
    """The agent fails for good after the tool; resumed, it begins anew, and pays again only if that is approved again."""
    scripted_server.script(call("pay", cents=5), "no number", call("pay", cents=5), '{"value": 7}')

    @agent(int, tools=[tool(world.pay, approve=True)], repairs=0)
    def count(text: str) -> str:
        return text

    async with Swarm(journal=MemoryJournal(), people=says(True)) as swarm:
        with pytest.raises(StepFailed) as failed:
            await swarm.run(count, "pay")
        assert failed.value.run is not None
        run_id = failed.value.run.id
        with pytest.raises(Suspended):
            await swarm.resume(run_id, count)
        assert len(world.paid) == 1
        await swarm.answer(run_id, "count/pay", False)
        run = await swarm.resume(run_id, count)
    assert (run.output, len(world.paid)) == (7, 1)


async def test_a_node_that_asks_may_itself_have_to_be_approved(scripted_server: ScriptedServer) -> None:
    scripted_server.script(call("ask"), "Done.")
    buy = shop(tool(ask(bool, "Go on?"), approve=True))
    async with Swarm(journal=MemoryJournal()) as swarm:
        run_id = ""
        for answer in (True, False):
            with pytest.raises(Suspended) as caught:
                await (swarm.resume(run_id, buy) if run_id else swarm.run(buy, "pay"))
            assert caught.value.run is not None
            run_id = caught.value.run.id
            await swarm.answer(run_id, "buy/ask", answer)
        run = await swarm.resume(run_id, buy)
    assert [event.about for event in events(run, Asked)] == ["approval", "answer"]
    assert told(scripted_server) == ["false"]


# Lost


async def lost(server: ScriptedServer, buy: Agent[[str], str], path: Any, moment: type[Any] = ToolStarted) -> str:
    """A run whose process was killed while the tool ran."""
    server.script(call("pay", cents=5), "Done.")
    async with Swarm() as swarm:
        whole = (await swarm.run(buy, "pay")).trace
    count = 1 + next(number for number, event in enumerate(whole.events) if isinstance(event, moment))
    await write_prefix(path, whole, count)
    return whole.run_id


@pytest.mark.parametrize("answer", [True, Approve({"cents": 2})])
async def test_a_lost_tool_runs_again_if_a_person_says_so(
    scripted_server: ScriptedServer, tmp_path: Any, answer: object
) -> None:
    keys: list[tuple[int, str]] = []

    async def pay(cents: int) -> str:
        """Pay."""
        keys.append((cents, current().idempotency_key))
        return f"paid {cents}"

    buy = shop(tool(pay, effects=True))
    run_id = await lost(scripted_server, buy, tmp_path / "j.sqlite")
    scripted_server.script("Done.")
    async with Swarm(journal=tmp_path / "j.sqlite") as swarm:
        with pytest.raises(Suspended):
            await swarm.resume(run_id, buy)
        (question,) = await swarm.inbox()
        assert (question.about, question.path, question.arguments) == ("lost", "buy/pay", {"cents": 5})
        await swarm.answer(run_id, "buy/pay", answer)
        run = await swarm.resume(run_id, buy)
    assert run.output == "Done."
    assert [cents for cents, _ in keys] == [5, 5 if answer is True else 2]
    assert keys[0][1] == keys[1][1]


async def test_of_a_lost_tool_a_person_can_tell_what_has_happened(
    scripted_server: ScriptedServer, world: World, tmp_path: Any
) -> None:
    buy = shop(tool(world.pay, effects=True))
    run_id = await lost(scripted_server, buy, tmp_path / "j.sqlite")
    scripted_server.script("I see.")
    async with Swarm(journal=tmp_path / "j.sqlite", people=says(Refuse("the bank has it"))) as swarm:
        assert (await swarm.resume(run_id, buy)).output == "I see."
    assert len(world.paid) == 1
    assert "the bank has it" in told(scripted_server, 2)[0]


async def test_a_tool_that_is_lost_again_is_asked_about_again(
    scripted_server: ScriptedServer, world: World, tmp_path: Any
) -> None:
    buy = shop(tool(world.pay, effects=True, approve=True))
    scripted_server.script(call("pay", cents=5), "Done.", "Done.", "Done.")
    async with Swarm(people=says(True)) as swarm:
        whole = (await swarm.run(buy, "pay")).trace
    begun = 1 + next(number for number, event in enumerate(whole.events) if isinstance(event, ToolStarted))
    for again in range(2):
        path = tmp_path / f"{again}.sqlite"
        await write_prefix(path, whole, begun)
        async with Swarm(journal=path) as swarm:
            with pytest.raises(Suspended):
                await swarm.resume(whole.run_id, buy)
            await swarm.answer(whole.run_id, "buy/pay", True)
            whole = (await swarm.resume(whole.run_id, buy)).trace
        begun = 1 + max(number for number, event in enumerate(whole.events) if isinstance(event, ToolStarted))
    asked = [event.about for event in whole.events if isinstance(event, Asked)]
    assert asked == ["approval", "lost", "lost"]
    assert len(world.paid) == 3


async def test_a_tool_with_effects_that_waits_for_a_person_inside_is_not_lost(scripted_server: ScriptedServer) -> None:
    scripted_server.script(call("ask"), "Done.")
    buy = shop(tool(ask(bool, "Go on?"), effects=True))
    async with Swarm(journal=MemoryJournal()) as swarm:
        with pytest.raises(Suspended) as caught:
            await swarm.run(buy, "pay")
        assert caught.value.run is not None
        await swarm.answer(caught.value.run.id, "buy/ask", True)
        run = await swarm.resume(caught.value.run.id, buy)
    assert [event.about for event in events(run, Asked)] == ["answer"]


@pytest.mark.parametrize(("on_lost", "times"), [("retry", 2), ("fail", 1)])
async def test_what_is_done_of_itself_about_a_lost_tool(
    scripted_server: ScriptedServer, world: World, tmp_path: Any, on_lost: Any, times: int
) -> None:
    buy = shop(tool(world.pay, effects=True, on_lost=on_lost))
    run_id = await lost(scripted_server, buy, tmp_path / "j.sqlite")
    async with Swarm(journal=tmp_path / "j.sqlite") as swarm:
        if on_lost == "retry":
            scripted_server.script("Done.")
            assert (await swarm.resume(run_id, buy)).output == "Done."
        else:
            with pytest.raises(StepFailed) as caught:
                await swarm.resume(run_id, buy)
            assert isinstance(caught.value.__cause__, ToolError)
    assert len(world.paid) == times


@pytest.mark.parametrize("settings", [{"on_lost": "forget"}, {"approve": "yes"}])
def test_settings_of_a_tool_are_checked(settings: dict[str, Any], world: World) -> None:
    with pytest.raises(GraphError, match=next(iter(settings))):
        tool(world.pay, **settings)

"""Each call of a tool is a step of its own, and one that goes wrong leaves the record whole."""

from __future__ import annotations

from collections.abc import Callable
from contextvars import ContextVar

import anyio
import pytest

from swarmlet import Agent, agent, current, tool
from swarmlet.agents.tools import AnyTool
from swarmlet.testing import CallTools, ScriptedServer, call

from .helpers import begun_tools, ended_tools, failure, outcome, partial, say

pytestmark = pytest.mark.anyio

SEEN: ContextVar[str] = ContextVar("seen", default="nothing")


class Mute(Exception):
    """Cannot say what it is."""

    def __str__(self) -> str:
        raise RuntimeError("speechless")


def using(*tools: AnyTool) -> Agent[[str], str]:
    @agent(str, tools=tools)
    def boss(text: str) -> str:
        return text

    return boss


def told(server: ScriptedServer) -> list[str]:
    return list(server.requests[-1].tool_results.values())


async def key_async(number: int) -> str:
    if number == 1:  # the first call ends last
        await anyio.sleep(0.02)
    return current().idempotency_key.partition(":")[2]


def key_sync(number: int) -> str:
    assert number
    return current().idempotency_key.partition(":")[2]


@pytest.mark.parametrize("key", [key_async, key_sync])
async def test_every_call_of_a_tool_has_a_key_of_its_own(scripted_server: ScriptedServer, key: Callable[[int], object]) -> None:
    name = key.__name__
    scripted_server.script(CallTools([call(name, number=1), call(name, number=2)]), call(name, number=3), "done")

    run = await outcome(using(key), "go")

    assert list(scripted_server.requests[1].tool_results.values()) == [f"boss/{name}", f"boss/{name}~2"]
    assert told(scripted_server)[-1] == f"boss/{name}~3"
    assert {event.path for event in begun_tools(run)} == {"boss"}, "the events of tools are the agent's"


async def test_what_parallel_tools_start_lies_below_each_of_them_whatever_the_timing(scripted_server: ScriptedServer) -> None:
    second = anyio.Event()

    async def ask(number: int) -> str:
        if number == 1:
            await second.wait()
        said = await current().run(say, f"question {number}")
        second.set()
        return said

    scripted_server.when("question 1", "one")
    scripted_server.when("question 2", "two")
    scripted_server.script(CallTools([call("ask", number=1), call("ask", number=2)]), "done")

    run = await outcome(using(ask), "go")

    assert run.trace.output("boss/ask/say") == "one"
    assert run.trace.output("boss/ask~2/say") == "two"


async def set_async() -> str:
    before = SEEN.get()
    SEEN.set("leaked")
    return before


def set_sync() -> str:
    before = SEEN.get()
    SEEN.set("leaked")
    return before


@pytest.mark.parametrize("sets", [set_async, set_sync])
async def test_context_variables_of_one_call_do_not_reach_another(
    scripted_server: ScriptedServer, sets: Callable[[], object]
) -> None:
    name = sets.__name__
    scripted_server.script(call(name), CallTools([call(name)] * 2), "done")

    await outcome(using(sets), "go")

    assert told(scripted_server) == ["nothing"] * 3


@pytest.mark.parametrize("stop", [SystemExit, KeyboardInterrupt])
@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_what_stops_a_program_leaves_one_of_several_tools_as_itself(
    scripted_server: ScriptedServer, stop: type[BaseException], backend: str
) -> None:
    async def quit_now() -> str:
        raise stop(3)

    async def other() -> str:
        await anyio.sleep(10)
        return "never"

    scripted_server.script(CallTools([call("other"), call("quit_now")]))

    async def main() -> None:
        await outcome(using(quit_now, other), "go")

    with pytest.raises(stop):
        anyio.run(main, backend=backend)


async def test_an_error_that_cannot_say_what_it_is_is_a_failure_of_its_tool(scripted_server: ScriptedServer) -> None:
    async def mute() -> str:
        raise Mute

    scripted_server.script(call("mute"), "I see")

    run = await outcome(using(mute), "go")

    assert told(scripted_server) == ["Error: Mute"]
    assert [event.state for event in ended_tools(run)] == ["failed"]


async def test_an_error_that_cannot_say_what_it_is_can_fail_the_agent(scripted_server: ScriptedServer) -> None:
    async def mute() -> str:
        raise Mute

    scripted_server.script(call("mute"))

    error = await failure(using(tool(mute, on_error="raise")), "go")

    assert isinstance(error.__cause__ and error.__cause__.__cause__, Mute)
    assert [event.state for event in ended_tools(partial(error))] == ["failed"]

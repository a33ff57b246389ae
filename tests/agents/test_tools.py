"""Function tools: how they run, and what happens when they go wrong."""

from __future__ import annotations

import functools
import os
import threading
from collections.abc import Awaitable, Callable
from typing import Annotated, Any

import anyio
import pytest
from pydantic import AfterValidator, BaseModel

from swarmlet import Agent, GraphError, Limits, Swarm, agent, current, tool
from swarmlet.errors import ToolError, TurnsExhausted
from swarmlet.testing import Call, CallTools, Request, ScriptedServer, Tokens, call

from .helpers import because, begun_tools, ended_tools, failure, outcome, partial, value

pytestmark = pytest.mark.anyio


def using(*tools: Any, **settings: Any) -> Agent[[str], str]:  # Any: tools and settings of every kind
    @agent(str, tools=tools, **settings)
    def work(text: str) -> str:
        return text

    return work


def told(server: ScriptedServer) -> list[str]:
    """What the tools gave in the last turn, in the order of the calls."""
    return list(server.requests[-1].tool_results.values())


async def double(number: int) -> int:
    """Double a number."""
    return number * 2


async def broken() -> str:
    raise KeyError("no such city")


async def test_an_async_tool_runs_on_the_event_loop_and_its_result_goes_back(scripted_server: ScriptedServer) -> None:
    threads: list[int] = []

    async def where(city: str) -> str:
        """Find a city."""
        threads.append(threading.get_ident())
        return f"{city} is in Norway"

    scripted_server.script(call("where", city="Oslo"), "done")

    run = await outcome(using(where), "go")

    assert run.output == "done"
    assert threads == [threading.get_ident()]
    first, second = scripted_server.requests
    assert first.tools["where"]["description"] == "Find a city."
    assert told(scripted_server) == ["Oslo is in Norway"]
    assert second.messages[-2]["tool_calls"][0]["function"] == {"name": "where", "arguments": '{"city":"Oslo"}'}
    (begun,), (ended,) = begun_tools(run), ended_tools(run)
    assert (begun.path, begun.tool, begun.turn, ended.state) == ("work", "where", 1, "finished")
    assert value(run, begun.arguments) == '{"city":"Oslo"}'
    assert value(run, ended.result) == "Oslo is in Norway"


async def test_a_sync_tool_runs_in_a_worker_thread_and_knows_its_step(scripted_server: ScriptedServer) -> None:
    seen: list[tuple[int, str]] = []

    def where(city: str) -> str:
        seen.append((threading.get_ident(), current().path))
        return city

    scripted_server.script(call("where", city="Oslo"), "done")

    await outcome(using(where), "go")

    ((thread, path),) = seen
    assert thread != threading.get_ident()
    assert path == "work/where", "the call of the tool, not only its agent"


async def test_the_tools_of_one_turn_run_side_by_side_and_answer_in_order(scripted_server: ScriptedServer) -> None:
    arrived = anyio.Event()

    async def first() -> str:
        await arrived.wait()
        return "one"

    async def second() -> str:
        arrived.set()
        return "two"

    scripted_server.script(CallTools([call("first"), call("second")]), "done")

    await outcome(using(first, second), "go")

    assert told(scripted_server) == ["one", "two"]


async def test_sync_tools_run_side_by_side_too(scripted_server: ScriptedServer) -> None:
    meeting = threading.Barrier(3, timeout=5)

    def meet() -> str:
        meeting.wait()
        return "met"

    scripted_server.script(CallTools([call("meet")] * 3), "done")

    await outcome(using(meet), "go")

    assert told(scripted_server) == ["met"] * 3


async def test_no_more_tools_run_at_once_than_the_limit_says(scripted_server: ScriptedServer) -> None:
    running = most = 0

    async def work() -> None:
        nonlocal running, most
        running += 1
        most = max(most, running)
        for _ in range(3):
            await anyio.lowlevel.checkpoint()
        running -= 1

    scripted_server.script(CallTools([call("work")] * 9), "done")

    async with Swarm(limits=Limits(tools=2)) as swarm:
        await swarm.run(using(work), "go")

    assert most == 2
    assert len(told(scripted_server)) == 9


class Weather(BaseModel):
    degrees: int


async def weather() -> Weather:
    return Weather(degrees=-3)


async def nothing() -> None:
    return None


async def file_name() -> str:
    return os.fsdecode(b"caf\xe9")


async def zeros() -> str:
    return "a\x00b"


async def test_results_go_back_as_text_or_json(scripted_server: ScriptedServer) -> None:
    names = ["weather", "nothing", "file_name", "zeros"]
    scripted_server.script(CallTools([call(name) for name in names]), "done")

    await outcome(using(weather, nothing, file_name, zeros), "go")

    assert told(scripted_server) == ['{"degrees":-3}', "null", "caf\N{REPLACEMENT CHARACTER}", "a\x00b"]


async def test_a_sync_wrapper_round_an_async_function_is_awaited(scripted_server: ScriptedServer) -> None:
    def logged(function: Callable[[int], Awaitable[int]]) -> Callable[[int], Awaitable[int]]:
        @functools.wraps(function)
        def wrapper(number: int) -> Awaitable[int]:
            return function(number)

        return wrapper

    scripted_server.script(call("double", number=4), "done")

    await outcome(using(logged(double)), "go")

    assert told(scripted_server) == ["8"]


# What goes wrong is told


def odd(number: int) -> int:
    if number % 2 == 0:
        raise ValueError("must be odd")
    return number


def explode(number: int) -> int:
    raise KeyError(number)


async def checked(number: Annotated[int, AfterValidator(odd)]) -> int:
    return number


async def exploding(number: Annotated[int, AfterValidator(explode)]) -> int:
    return number


def stops() -> object:
    return next(iter(()))


async def several() -> None:
    async with anyio.create_task_group() as group:
        group.start_soon(broken)
        group.start_soon(broken)


async def never() -> None:
    await anyio.sleep_forever()


@pytest.mark.parametrize(
    ("given", "asked", "answer"),
    [
        (broken, call("broken"), "Error: KeyError: 'no such city'"),
        (double, call("double", number="many"), "Error: the arguments do not fit:\n- number: Input should be a valid integer"),
        (double, call("double"), "Error: the arguments do not fit:\n- number: Field required"),
        (double, call("double", number=1, size=2), "Error: the arguments do not fit:\n- size: Extra inputs are not permitted"),
        (double, Call("double", "{broken"), "Error: the arguments do not fit:\n- the arguments: Invalid JSON"),
        (double, Call("double", "[1]"), "Error: the arguments do not fit:"),
        (double, Call("double", '{"number": "\\ud800"}'), "Error: the arguments do not fit:"),
        (double, Call("double", ""), "Error: the arguments do not fit:\n- number: Field required"),
        (double, call("triple"), "Error: there is no tool 'triple'; there are: double"),
        (checked, call("checked", number=2), "Error: the arguments do not fit:\n- number: Value error, must be odd"),
        (exploding, call("exploding", number=2), "Error: the arguments cannot be read: KeyError: 2"),
        (stops, call("stops"), "Error: StopIteration"),
        (several, call("several"), "Error: ExceptionGroup"),
        (tool(never, timeout=0.01), call("never"), "Error: the tool took longer than its 0.01 s and was given up"),
    ],
)
async def test_what_goes_wrong_in_a_tool_is_told_to_the_model(
    scripted_server: ScriptedServer, given: object, asked: Call, answer: str
) -> None:
    scripted_server.script(asked, "I see")

    run = await outcome(using(given), "go")

    assert run.output == "I see"
    (text,) = told(scripted_server)
    assert text.startswith(answer)
    (ended,) = ended_tools(run)
    assert ended.state == "failed"
    assert ended.error is not None
    assert ended.error.type == "ToolError"


async def test_a_tool_that_fails_does_not_stop_the_others_of_its_turn(scripted_server: ScriptedServer) -> None:
    scripted_server.script(CallTools([call("broken"), call("double", number=1), call("missing")]), "done")

    await outcome(using(broken, double), "go")

    assert [text[:8] for text in told(scripted_server)] == ["Error: K", "2", "Error: t"]


async def test_an_agent_without_tools_says_that_there_are_none(scripted_server: ScriptedServer) -> None:
    @agent(int)
    def number(text: str) -> str:
        return text

    scripted_server.script(call("double"), '{"value": 3}')

    assert (await outcome(number, "go")).output == 3
    assert told(scripted_server) == ["Error: there is no tool 'double'; there are: none"]


async def test_an_agent_of_text_without_tools_has_one_turn_which_is_no_tools(scripted_server: ScriptedServer) -> None:
    scripted_server.script(call("double"))

    error = await failure(using(), "go")

    assert "still called tools in place of an answer, and it has none" in str(because(error, TurnsExhausted))


async def test_a_sync_tool_that_takes_too_long_is_left_to_itself_and_the_record_says_so(
    scripted_server: ScriptedServer,
) -> None:
    bell = threading.Event()

    def wait() -> None:
        bell.wait(10)

    scripted_server.script(call("wait"), "I see")

    try:
        run = await outcome(using(tool(wait, timeout=0.01)), "go")
    finally:
        bell.set()

    (note,) = run.trace.step("work").notes
    assert "threads cannot be stopped" in note.message
    assert told(scripted_server) == ["Error: the tool took longer than its 0.01 s and was given up"]


# What goes wrong is raised


@pytest.mark.parametrize(
    ("given", "asked", "kind"),
    [
        (broken, call("broken"), KeyError),
        (several, call("several"), ExceptionGroup),
        (stops, call("stops"), RuntimeError),
    ],
)
@pytest.mark.parametrize("alone", [True, False])
async def test_a_tool_told_to_raise_fails_its_agent_with_one_error(
    scripted_server: ScriptedServer, given: Any, asked: Call, kind: type[Exception], alone: bool
) -> None:
    scripted_server.script(CallTools([asked] if alone else [call("never"), asked, asked]))

    error = await failure(using(tool(given, on_error="raise"), never), "go")

    assert error.path == "work"
    assert asked.name in str(error)
    assert isinstance(because(error, ToolError).__cause__, kind)
    states = [one.state for one in ended_tools(partial(error))]
    assert "failed" in states
    assert len(states) == len(begun_tools(partial(error))), "what was begun has ended"


async def test_bad_arguments_of_a_tool_told_to_raise_fail_its_agent(scripted_server: ScriptedServer) -> None:
    scripted_server.script(call("double", number="x"))

    error = await failure(using(tool(double, on_error="raise")), "go")

    assert "the arguments do not fit" in str(because(error, ToolError))


async def test_a_slow_tool_told_to_raise_fails_its_agent(scripted_server: ScriptedServer) -> None:
    scripted_server.script(call("never"))

    error = await failure(using(tool(never, on_error="raise", timeout=0.01)), "go")

    assert "took longer than its 0.01 s" in str(because(error, ToolError))


# Turns


async def test_an_agent_that_only_calls_tools_is_stopped_after_max_turns(scripted_server: ScriptedServer) -> None:
    asked: list[int] = []

    async def note(number: int) -> None:
        asked.append(number)

    scripted_server.script(*[CallTools([call("note", number=n)], usage=Tokens(input=10, output=1)) for n in (1, 2, 3)])

    error = await failure(using(note, max_turns=3), "go")

    assert "max_turns=3" in str(because(error, TurnsExhausted))
    assert asked == [1, 2], "nobody would hear what the tools of the last turn give"
    assert partial(error).usage.requests == 3


async def test_each_turn_sends_the_one_before_as_its_prefix(scripted_server: ScriptedServer) -> None:
    scripted_server.script(call("double", number=1), call("double", number=2), "done")

    await outcome(using(double), "go")

    messages = [request.messages for request in scripted_server.requests]
    assert messages[1][: len(messages[0])] == messages[0]
    assert messages[2][: len(messages[1])] == messages[1]


@pytest.mark.parametrize("ids", [("same", "same", "same"), ("", "", "x"), ("same", "same-2", "same")], ids=str)
async def test_calls_of_one_id_are_told_apart(scripted_server: ScriptedServer, ids: tuple[str, ...]) -> None:
    calls = [Call("double", f'{{"number": {index}}}', id_) for index, id_ in enumerate(ids)]
    scripted_server.script(CallTools(calls), "done")

    run = await outcome(using(double), "go")

    assert told(scripted_server) == ["0", "2", "4"]
    step = run.trace.step("work")
    assert [value(run, one.ended and one.ended.result) for one in step.tools] == ["0", "2", "4"]


# What is refused when the agent is defined


def test_two_tools_of_one_name_are_refused() -> None:
    with pytest.raises(GraphError, match="both named 'double'"):
        using(double, tool(double))


def test_a_renamed_tool_may_stand_beside_the_other() -> None:
    assert [one.name for one in using(double, tool(double, name="twice")).settings.tools] == ["double", "twice"]


@pytest.mark.parametrize(("settings", "words"), [({"timeout": 0}, "above 0"), ({"on_error": "ignore"}, "'tell' or 'raise'")])
def test_settings_of_a_tool_that_make_no_sense_are_refused(settings: Any, words: str) -> None:
    with pytest.raises(GraphError, match=words):
        tool(double, **settings)


async def test_name_and_description_of_a_tool_can_be_given(scripted_server: ScriptedServer) -> None:
    seen: list[Request] = []

    def answer(request: Request) -> object:
        seen.append(request)
        return "done"

    scripted_server.answer(answer)

    await outcome(using(tool(double, name="times_two", description="Make it twice as much.")), "go")

    assert seen[0].tools["times_two"]["description"] == "Make it twice as much."


async def test_an_error_about_a_file_of_an_odd_name_can_be_told(scripted_server: ScriptedServer) -> None:
    async def read() -> str:
        raise FileNotFoundError(os.fsdecode(b"caf\xe9"))

    scripted_server.script(call("read"), "I see")

    await outcome(using(read), "go")

    assert told(scripted_server) == ["Error: FileNotFoundError: caf\N{REPLACEMENT CHARACTER}"]

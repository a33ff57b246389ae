"""What agents, their prompts, tools and teams find of the resources of the nodes around them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import pytest

from swarmlet import Message, Question, Swarm, agent, current, each, graph, node, team, tool
from swarmlet.testing import CallTools, ScriptedServer, call

pytestmark = pytest.mark.anyio


@dataclass
class Customer:
    name: str


ADA = Customer("Ada")


def name() -> str:
    return current().get(Customer).name


def in_a_thread() -> str:
    """Who it is."""
    return name()


async def on_the_loop() -> str:
    """Who it is."""
    return name()


@node
async def as_a_node() -> str:
    """Who it is."""
    return name()


@agent(str, tools=[as_a_node])
def helper(text: str) -> str:
    """You help."""
    return f"{text} of {name()}"


@agent(str, tools=[in_a_thread, on_the_loop, as_a_node, helper])
def boss(text: str) -> str:
    """You talk with customers."""
    return f"{text} of {name()}"


async def test_prompts_tools_and_agents_as_tools_find_it(scripted_server: ScriptedServer) -> None:
    three = CallTools([call("in_a_thread"), call("on_the_loop"), call("as_a_node")])
    scripted_server.script(three, call("helper", text="help"), call("as_a_node"), "helped", "done")
    async with Swarm() as swarm:
        assert (await swarm.run(boss.with_options(resources={Customer: ADA}), "hello")).output == "done"
    hello, told, asked, answered, helped = scripted_server.requests
    assert (hello.last, asked.last, answered.last, helped.last) == ("hello of Ada", "help of Ada", "Ada", "helped")
    assert list(told.tool_results.values()) == ["Ada"] * 3


async def test_a_tool_that_is_a_node_may_have_its_own(scripted_server: ScriptedServer) -> None:
    own = as_a_node.with_options(resources={Customer: Customer("Grace")})

    @agent(str, tools=[own])
    def one(text: str) -> str:
        return f"{text} of {name()}"

    scripted_server.script(call("as_a_node"), "done")
    async with Swarm() as swarm:
        await swarm.run(one.with_options(resources={Customer: ADA}), "hello")
    assert [scripted_server.requests[0].last, scripted_server.requests[1].last] == ["hello of Ada", "Grace"]


async def test_who_is_asked_and_what_says_whether_somebody_is_asked_find_it(scripted_server: ScriptedServer) -> None:
    seen: list[str] = []

    def needs_a_person(arguments: dict[str, object]) -> bool:
        seen.append(f"asks for {name()}")
        return True

    async def person(question: Question) -> bool:
        seen.append(f"a person decides for {name()}")
        return True

    @agent(str, tools=[tool(on_the_loop, effects=True, approve=needs_a_person)])
    def one(text: str) -> str:
        return text

    scripted_server.script(call("on_the_loop"), "done")
    async with Swarm(people=person) as swarm:
        await swarm.run(one.with_options(resources={Customer: ADA}), "hello")
    assert seen == ["asks for Ada", "a person decides for Ada"]
    assert scripted_server.requests[1].last == "Ada"


async def test_every_member_of_a_team_finds_it(scripted_server: ScriptedServer) -> None:
    @agent(str)
    def first(chat: Sequence[Message]) -> Sequence[Message]:
        """You begin."""
        return [Message.system(f"for {name()}"), *chat]

    @agent(str, tools=[on_the_loop])
    def second(chat: Sequence[Message]) -> Sequence[Message]:
        """You end."""
        return [Message.system(f"for {name()}"), *chat]

    scripted_server.script(call("hand_to_second", why=""), call("on_the_loop"), "done")
    async with Swarm() as swarm:
        run = await swarm.run(team(first, second).with_options(resources={Customer: ADA}), [Message.user("hello")])
    assert run.output.output == "done"
    assert all("for Ada" in request.system for request in scripted_server.requests)
    assert scripted_server.requests[-1].last == "Ada"


async def test_a_list_that_is_still_being_written_is_worked_on_with_it(scripted_server: ScriptedServer) -> None:
    @agent(list[str], early=True)
    def split(text: str) -> str:
        return f"{text} of {name()}"

    @node
    async def work(item: str) -> str:
        return f"{item} of {name()}"

    @graph
    def whole(text: str) -> list[str]:
        return each(work)(split(text))

    scripted_server.script({"value": ["a", "b"]})
    async with Swarm() as swarm:
        assert (await swarm.run(whole.with_options(resources={Customer: ADA}), "hello")).output == ["a of Ada", "b of Ada"]

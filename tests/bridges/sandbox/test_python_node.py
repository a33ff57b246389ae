"""`run_python` as a node, as a tool, and with the sandbox of a swarm."""

from __future__ import annotations

import json

import pytest

from swarmlet import GraphError, StepFailed, Swarm, agent, current, each, graph, node, run
from swarmlet.agents.tools import tool
from swarmlet.bridges.sandbox import Monty, Ran, Sandbox, SandboxLimits, SandboxMissing, python_in, run_python
from swarmlet.testing import ScriptedServer, call
from tests.bridges.sandbox.boxes import NO_BUBBLEWRAP, NO_MONTY, needs_monty

pytestmark = [pytest.mark.anyio, pytest.mark.skipif(bool(NO_BUBBLEWRAP and NO_MONTY), reason="no sandbox works here")]


@graph
def both(code: str) -> list[Ran]:
    return each(run_python)([code, code])


@node
async def one_within(code: str) -> str:
    return (await current().run(run_python, code, stdin="given")).stdout


@agent(str, tools=[run_python])
def clerk(question: str) -> str:
    """You answer with the help of programs."""
    return question


class Parrot(Sandbox):
    """A sandbox of the user's own, which runs nothing."""

    @property
    def name(self) -> str:
        return "parrot"

    async def run(self, code: str, *, stdin: str = "") -> Ran:
        return Ran("finished", code, "", "", 0, self.name, 0)


class NotThere(Parrot):
    async def run(self, code: str, *, stdin: str = "") -> Ran:
        raise SandboxMissing("no sandbox works here")


async def test_a_program_is_a_step_of_a_graph() -> None:
    result = await run(both, "print(6 * 7)")
    assert [ran.stdout for ran in result.output] == ["42\n", "42\n"]
    assert all(ran.ok and ran.sandbox in ("bubblewrap", "monty") for ran in result.output)


async def test_a_step_runs_a_program_with_input() -> None:
    assert (await run(one_within, "print(input())")).output == "given\n"


async def test_a_program_that_fails_is_a_result_and_no_error() -> None:
    result = await run(run_python, "1 / 0")
    assert (result.output.outcome, result.output.ok) == ("failed", False)


async def test_a_model_calls_it_as_a_tool_and_sees_what_came_of_it(scripted_server: ScriptedServer) -> None:
    scripted_server.script(call("run_python", code="print(6 * 7)", stdin=None), "It is 42.")
    assert (await run(clerk, "What is 6 * 7?")).output == "It is 42."
    seen = json.loads(*scripted_server.requests[-1].tool_results.values())
    assert (seen["outcome"], seen["stdout"], seen["reason"]) == ("finished", "42\n", "")


def test_a_model_is_told_what_the_tool_does_and_what_it_takes() -> None:
    shown = tool(run_python).definition
    assert shown.name == "run_python"
    assert "Run a complete Python program" in shown.description
    assert "print what you want to know" in shown.description
    assert shown.parameters["required"] == ["code", "stdin"]
    assert tool(python_in(Parrot())).definition == shown


async def test_the_sandbox_of_the_swarm_is_used() -> None:
    async with Swarm(resources={Sandbox: Parrot()}) as swarm:
        ran = (await swarm.run(run_python, "print(1)")).output
    assert (ran.sandbox, ran.stdout) == ("parrot", "print(1)")


async def test_the_sandbox_of_the_nearest_node_is_used() -> None:
    given = run_python.with_options(resources={Sandbox: Parrot()})
    async with Swarm(resources={Sandbox: NotThere()}) as swarm:
        assert (await swarm.run(given, "print(1)")).output.sandbox == "parrot"


@needs_monty
async def test_a_chosen_sandbox_is_used_whatever_the_swarm_has() -> None:
    quick = python_in(Monty(SandboxLimits(seconds=60, cpu_seconds=0.2)))
    async with Swarm(resources={Sandbox: Parrot()}) as swarm:
        assert (await swarm.run(quick, "while True: pass")).output.outcome == "timed_out"
        assert (await swarm.run(quick, "print(input())", stdin="given")).output.stdout == "given\n"


async def test_a_missing_sandbox_fails_the_step_with_what_to_do() -> None:
    async with Swarm(resources={Sandbox: NotThere()}) as swarm:
        with pytest.raises(StepFailed, match="no sandbox works here") as failed:
            await swarm.run(run_python, "print(1)")
    assert isinstance(failed.value.__cause__, SandboxMissing)


def test_what_is_no_sandbox_is_refused() -> None:
    with pytest.raises(GraphError, match="python_in\\(\\) takes a sandbox"):
        python_in(Monty)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]

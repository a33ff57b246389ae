"""A cancellation that nobody meant for the step is a failure of the step, on both loops."""

from __future__ import annotations

import asyncio

import anyio
import pytest
from anyio.lowlevel import checkpoint

from swarmlet import Failed, StepFailed, agent, each, graph, node, run
from swarmlet.errors import AwaitedCancelled
from swarmlet.testing import ScriptedServer, call

pytestmark = pytest.mark.anyio


@node
async def broken(number: int) -> int:
    """Awaits what somebody else has cancelled; on trio a library for asyncio may raise the same."""
    for _ in range(3):  # its sibling starts meanwhile
        await checkpoint()
    if number == 1:
        raise asyncio.CancelledError
    return number


@node
async def slow(number: int) -> int:
    await anyio.sleep_forever()
    return number


@node
def total(first: int, second: int) -> int:
    return first + second


@graph
def pair(number: int) -> int:
    return total(broken(number), slow(number))


@graph
def kept(numbers: list[int]) -> list[int | Failed]:
    return each(broken, on_error="keep")(numbers)


async def test_it_fails_the_step_and_cancels_its_siblings() -> None:
    with anyio.fail_after(5):
        with pytest.raises(StepFailed, match="cancelled by its owner") as caught:
            await run(pair, 1)
    assert caught.value.path == "pair/broken"
    assert isinstance(caught.value.__cause__, AwaitedCancelled)
    assert caught.value.run is not None
    states = {step.path: step.state for step in caught.value.run.trace.steps()}
    assert states == {"pair/broken": "failed", "pair/slow": "cancelled"}


async def test_a_map_keeps_it_like_any_other_failure() -> None:
    first, second = (await run(kept, [1, 2])).output
    assert isinstance(first, Failed)
    assert second == 2


async def test_a_real_cancellation_is_still_one() -> None:
    with anyio.move_on_after(0.05) as scope:
        await run(slow, 1)
    assert scope.cancelled_caught


async def test_the_model_is_told_of_it_where_a_tool_meets_it(scripted_server: ScriptedServer) -> None:
    async def look() -> str:
        """Look."""
        raise asyncio.CancelledError

    @agent(str, tools=[look])
    def ask(text: str) -> str:
        """You look."""
        return text

    scripted_server.script(call("look"), "never mind")
    assert (await run(ask, "look")).output == "never mind"
    assert "cancelled by its owner" in scripted_server.requests[1].last

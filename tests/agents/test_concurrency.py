"""Many calls at once: limits, isolation, and that nothing outlives its run."""

from __future__ import annotations

import anyio
import pytest
from tenacity import wait_fixed

from swarmlet import Limits, Retry, StepFailed, Swarm, agent, each, graph, node
from swarmlet.errors import DeadlineExceeded
from swarmlet.testing import Barrier, CallTools, Fail, Gate, Hang, Held, Paced, Request, ScriptedServer, call

from .helpers import ended, failure, outcome, partial, say, sent

pytestmark = pytest.mark.anyio


@node
async def fails_once_seen(text: str) -> str:
    """Fails as soon as the server has a request in flight."""
    await SEEN[0].wait_for_async(in_flight=1, timeout=30)
    raise LookupError(text)


SEEN: list[ScriptedServer] = []


@graph
def siblings(text: str) -> tuple[str, str]:
    return say(text), fails_once_seen(text)


async def test_fifty_agents_run_at_once_and_give_their_own_answers(scripted_server: ScriptedServer) -> None:
    scripted_server.answer(lambda request: Barrier(50, f"re: {request.text.rpartition(' ')[2]}"))

    run = await outcome(each(say), [f"number {n}" for n in range(50)])

    assert run.output == [f"re: {n}" for n in range(50)]
    assert scripted_server.max_in_flight == 50
    assert run.usage.requests == 50


async def test_one_agent_used_concurrently_shares_no_state(scripted_server: ScriptedServer) -> None:
    async def note(number: int) -> int:
        return number

    @agent(int, tools=[note], max_turns=4, repairs=1)
    def worker(number: int) -> str:
        return f"work on {number}"

    def answer(request: Request) -> object:
        number = int(str(request.messages[0]["content"]).split()[-1])
        said = len(request.messages)
        if said == 1:
            return CallTools([call("note", number=number)] * 2)
        assert all(result == str(number) for result in request.tool_results.values())
        return {"value": "no number"} if said == 4 else {"value": number}

    scripted_server.answer(answer)

    async with Swarm() as swarm, anyio.create_task_group() as group:
        for base in range(0, 30, 10):

            async def one(base: int = base) -> None:
                run = await swarm.run(each(worker), list(range(base, base + 10)))
                assert run.output == list(range(base, base + 10))
                assert run.usage.requests == 30

            group.start_soon(one)


async def test_no_more_calls_are_in_flight_than_the_limit_says(scripted_server: ScriptedServer) -> None:
    scripted_server.answer(lambda _: "ok")

    async with Swarm(limits=Limits(concurrency=3)) as swarm:
        run = await swarm.run(each(say), [str(n) for n in range(20)])

    assert scripted_server.max_in_flight <= 3
    assert len(run.output) == 20


async def test_the_limit_holds_over_all_runs_of_a_swarm_and_waits_are_in_the_record(
    scripted_server: ScriptedServer,
) -> None:
    gate = Gate()
    scripted_server.script(Held("first", gate), "second")
    waits: list[float] = []

    async with Swarm(limits=Limits(concurrency=1)) as swarm, anyio.create_task_group() as group:

        async def one() -> None:
            waits.extend(one.waited for one in sent(await swarm.run(say, "hi")))

        group.start_soon(one)
        await scripted_server.wait_for_async(requests=1, timeout=30)
        group.start_soon(one)
        await anyio.wait_all_tasks_blocked()
        assert len(scripted_server.requests) == 1, "the second waits for its turn"
        gate.open()

    first, second = sorted(waits)
    assert 0 <= first < second


async def test_a_call_that_waits_before_it_is_tried_again_holds_no_place(scripted_server: ScriptedServer) -> None:
    scripted_server.script(Fail(500), "second", "first")
    order: list[str] = []

    async with Swarm(limits=Limits(concurrency=1)) as swarm, anyio.create_task_group() as group:

        async def one(text: str) -> None:
            run = await swarm.run(say.with_options(retry=Retry(wait=wait_fixed(0.3))), text)
            order.append(run.output)

        group.start_soon(one, "a")
        await scripted_server.wait_for_async(requests=1, idle=True, timeout=30)
        group.start_soon(one, "b")

    assert order == ["second", "first"]


# Cancellation


@pytest.mark.parametrize("streamed", [False, True], ids=["whole", "streamed"])
async def test_cancelling_a_run_closes_its_request(scripted_server: ScriptedServer, streamed: bool) -> None:
    scripted_server.script(Paced("a text in pieces", gate=Gate()) if streamed else Hang())

    async def work() -> None:
        async with Swarm() as swarm:
            if streamed:
                async with swarm.stream(say, "hi") as stream:
                    async for _ in stream:
                        pass
            else:
                await swarm.run(say, "hi")

    async with anyio.create_task_group() as group:
        group.start_soon(work)
        await scripted_server.wait_for_async(in_flight=1, timeout=30)
        group.cancel_scope.cancel()

    await scripted_server.wait_for_async(disconnects=1, idle=True, timeout=30)


async def test_leaving_a_stream_early_closes_its_request(scripted_server: ScriptedServer) -> None:
    gate = Gate()
    gate.open(4)
    scripted_server.script(Paced("a text that comes in several pieces", gate=gate))

    async with Swarm() as swarm, swarm.stream(say, "hi") as stream:
        async for event in stream:
            if event.kind == "text_delta":
                break

    await scripted_server.wait_for_async(disconnects=1, idle=True, timeout=30)


async def test_a_timeout_closes_the_request_and_names_the_step(scripted_server: ScriptedServer) -> None:
    scripted_server.script(Hang())

    async with Swarm() as swarm:
        with pytest.raises(DeadlineExceeded) as caught:
            await swarm.run(say.with_options(timeout=1), "hi")

    assert caught.value.path == "say"
    assert caught.value.run is not None
    assert [one.state for one in ended(caught.value.run)] == ["cancelled"]
    await scripted_server.wait_for_async(disconnects=1, idle=True, timeout=30)


async def test_a_failed_sibling_closes_the_request(scripted_server: ScriptedServer) -> None:
    scripted_server.script(Hang())
    SEEN[:] = [scripted_server]

    error = await failure(siblings, "hi")

    assert error.path == "siblings/fails_once_seen"
    assert [one.state for one in ended(partial(error))] == ["cancelled"]
    await scripted_server.wait_for_async(disconnects=1, idle=True, timeout=30)


async def test_a_wait_before_another_try_ends_when_the_run_is_cancelled(scripted_server: ScriptedServer) -> None:
    scripted_server.script(Fail(500))

    async def work() -> None:
        async with Swarm() as swarm:
            await swarm.run(say.with_options(retry=Retry(wait=wait_fixed(30))), "hi")

    async with anyio.create_task_group() as group:
        group.start_soon(work)
        await scripted_server.wait_for_async(requests=1, idle=True, timeout=30)
        await anyio.wait_all_tasks_blocked()
        group.cancel_scope.cancel()

    assert len(scripted_server.requests) == 1


async def test_a_swarm_goes_on_after_a_cancelled_run(scripted_server: ScriptedServer) -> None:
    scripted_server.script(Hang(), "still here")

    async with Swarm(limits=Limits(concurrency=1)) as swarm:
        with pytest.raises(DeadlineExceeded):
            await swarm.run(say.with_options(timeout=1), "hi")
        assert (await swarm.run(say, "hi")).output == "still here"


async def test_a_failing_call_stops_the_other_calls_of_its_run(scripted_server: ScriptedServer) -> None:
    scripted_server.when("bad", Barrier(5, Fail(400)))
    scripted_server.when("good", Hang())

    with pytest.raises(StepFailed) as caught:
        await outcome(each(say), ["good", "good", "bad", "good", "good"])

    assert "[2]" in caught.value.path
    await scripted_server.wait_for_async(disconnects=4, idle=True, timeout=30)

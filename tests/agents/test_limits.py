"""Rate limits as a run sees them: waiting is in its trace, ends with it, and takes nothing from other models and runs."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import anyio
import pytest
from anyio.lowlevel import checkpoint
from tenacity import wait_none

from swarmlet import GraphError, Limits, OpenAIModel, Retry, Run, StepFailed, Swarm, Window, each
from swarmlet.bridges.limits import RedisLimits
from swarmlet.errors import DeadlineExceeded, ModelUnavailable
from swarmlet.models.pace import Store
from swarmlet.policy.meter import Ask, Charge, Later, Outcome
from swarmlet.testing import Gate, Held, RateLimit, ScriptedServer
from swarmlet.testing.replies import RateHeaders
from tests.bridges.limit_servers import redis_server

from .helpers import because, partial, patient, say, sent

pytestmark = pytest.mark.anyio

OTHER = "gpt-6-luna"


def waits(run: Run[Any]) -> list[float]:
    return [call.waited for call in sent(run)]


async def test_after_a_429_all_calls_of_the_model_wait_and_the_trace_says_so(scripted_server: ScriptedServer) -> None:
    scripted_server.when("refused", RateLimit(retry_after=0.6), times=1)
    scripted_server.answer(lambda _: "ok")
    waited: dict[str, list[float]] = {}

    async with Swarm() as swarm, anyio.create_task_group() as group:

        async def one(text: str, model: str) -> None:
            waited[text] = waits(await swarm.run(patient.with_options(model=model), text))

        group.start_soon(one, "refused", "gpt-4o-mini")
        await scripted_server.wait_for_async(requests=1, idle=True, timeout=30)
        await anyio.wait_all_tasks_blocked()
        group.start_soon(one, "same model", "gpt-4o-mini")
        group.start_soon(one, "other model", OTHER)

    assert len(waited["refused"]) == 2
    assert waited["refused"][0] < 0.1
    assert waited["same model"][0] > 0.3
    assert waited["other model"][0] < 0.3


async def test_what_the_headers_say_holds_the_next_calls_back(scripted_server: ScriptedServer) -> None:
    scripted_server.rate_headers = RateHeaders(limit_requests=300, remaining_requests=0)
    scripted_server.answer(lambda _: "ok")

    async with Swarm() as swarm:
        first = await swarm.run(say, "hi")
        second = await swarm.run(each(say), ["a", "b"])

    assert waits(first)[0] < 0.1
    assert min(waits(second)) > 0.1


async def test_a_window_that_is_given_spreads_the_calls_of_all_runs(scripted_server: ScriptedServer) -> None:
    scripted_server.answer(lambda _: "ok")
    waited: list[float] = []

    async with Swarm(limits=Limits(requests=(Window(2, 0.5, burst=2),))) as swarm, anyio.create_task_group() as group:

        async def one() -> None:
            waited.extend(waits(await swarm.run(each(say), ["a", "b"])))

        group.start_soon(one)
        group.start_soon(one)

    assert sorted(waited)[1] < 0.2
    assert sorted(waited)[2] > 0.2


async def test_a_wide_run_does_not_hold_up_a_small_one(scripted_server: ScriptedServer) -> None:
    gate = Gate()
    scripted_server.when("first", Held("ok", gate))
    scripted_server.answer(lambda _: "ok")

    async with Swarm(limits=Limits(concurrency=1)) as swarm, anyio.create_task_group() as group:

        async def wide() -> None:
            await swarm.run(each(say), ["first", *["wide"] * 20])

        async def small() -> None:
            await swarm.run(say, "small")

        group.start_soon(wide)
        await scripted_server.wait_for_async(in_flight=1, timeout=30)
        await anyio.wait_all_tasks_blocked()
        group.start_soon(small)
        await anyio.wait_all_tasks_blocked()
        gate.open()

    order = [request.text for request in scripted_server.requests]
    assert any("small" in text for text in order[1:4])


async def test_a_deadline_ends_the_wait_and_nothing_is_left_of_it(scripted_server: ScriptedServer) -> None:
    scripted_server.answer(lambda _: "ok")

    async with Swarm(limits=Limits(requests=(Window(1, 3600),))) as swarm:
        await swarm.run(say, "hi")
        with pytest.raises(DeadlineExceeded) as caught:
            await swarm.run(each(say).with_options(timeout=0.3), ["a", "b", "c"])

    assert caught.value.run is not None
    assert sent(caught.value.run) == [], "none of them was sent"
    assert len(scripted_server.requests) == 1


async def test_a_models_own_limits(scripted_server: ScriptedServer) -> None:
    scripted_server.answer(lambda _: "ok")
    slow = OpenAIModel("slow", model="gpt-4o-mini", limits=Limits(requests=(Window(1, 0.4, burst=1),)))

    async with Swarm(models=[slow]) as swarm:
        limited = await swarm.run(each(say).with_options(model="slow"), ["a", "b"])
        free = await swarm.run(each(say).with_options(model=OTHER), ["a", "b"])

    assert max(waits(limited)) > 0.3
    assert max(waits(free)) < 0.3


# --- shared with other processes


class Away:
    """A store that cannot be asked at first."""

    def __init__(self, fails: int) -> None:
        self.fails = fails
        self.closed = False

    def store(self, name: str) -> Store:
        return self

    async def take(self, ask: Ask) -> Charge | Later:
        await checkpoint()
        if self.fails:
            self.fails -= 1
            raise ModelUnavailable("the store is away")
        return Charge(anyio.current_time(), lease="x")

    async def close(self, charge: Charge, outcome: Outcome) -> None:
        await checkpoint()

    async def aclose(self) -> None:
        await checkpoint()
        self.closed = True


async def test_a_store_that_is_away_is_asked_again_and_closed_with_the_swarm(scripted_server: ScriptedServer) -> None:
    scripted_server.answer(lambda _: "ok")
    store = Away(2)

    async with Swarm(limit_store=store) as swarm:
        assert (await swarm.run(patient, "hi")).output == "ok"
        assert not store.closed
    assert store.closed


async def test_without_its_store_no_call_is_let_go(scripted_server: ScriptedServer) -> None:
    async with Swarm(limit_store=Away(99)) as swarm:
        with pytest.raises(StepFailed, match="the store is away") as caught:
            await swarm.run(patient, "hi")

    because(caught.value, ModelUnavailable)
    assert scripted_server.requests == []
    assert sent(partial(caught.value)) == []


def test_what_is_no_store_is_refused() -> None:
    with pytest.raises(GraphError, match="limit_store="):
        Swarm(limit_store="redis://localhost")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]


@pytest.fixture(scope="module")
def redis_url() -> Iterator[str]:
    with redis_server() as url:
        yield url


async def test_two_swarms_share_one_limit_in_redis(scripted_server: ScriptedServer, redis_url: str) -> None:
    scripted_server.answer(lambda _: "ok")  # its port is part of the limit's name, so each test has a limit of its own
    limits = Limits(requests=(Window(3, 3600),))

    async with Swarm(limits=limits, limit_store=RedisLimits(redis_url)) as one:
        await one.run(each(say), ["a", "b"])
        async with Swarm(limits=limits, limit_store=RedisLimits(redis_url)) as two:
            assert waits(await two.run(say, "c"))[0] < 1
            with pytest.raises(DeadlineExceeded):
                await two.run(say.with_options(timeout=0.5), "d")
        with pytest.raises(DeadlineExceeded):
            await one.run(say.with_options(timeout=0.5), "e")

    assert len(scripted_server.requests) == 3


async def test_a_429_pauses_the_other_swarm_too(scripted_server: ScriptedServer, redis_url: str) -> None:
    scripted_server.when("refused", RateLimit(retry_after=0.6), times=1)
    scripted_server.answer(lambda _: "ok")
    stores = [RedisLimits(redis_url), RedisLimits(redis_url)]
    waited: list[float] = []

    async with Swarm(limit_store=stores[0]) as one, Swarm(limit_store=stores[1]) as two:

        async def refused() -> None:
            await one.run(say.with_options(retry=Retry(wait=wait_none())), "refused")

        async with anyio.create_task_group() as group:
            group.start_soon(refused)
            await scripted_server.wait_for_async(requests=1, idle=True, timeout=30)
            await anyio.sleep(0.1)
            waited.extend(waits(await two.run(patient, "other")))

    assert waited[0] > 0.2

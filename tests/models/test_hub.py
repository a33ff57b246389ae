"""The models of a swarm: made ready once, counted in the queue alone, and closed whatever happens."""

from __future__ import annotations

import os
import threading

import anyio
import openai
import pytest
from anyio.lowlevel import checkpoint

from swarmlet import Limits, OpenAIModel, StepFailed, Swarm, agent, each
from swarmlet.errors import NoApiKey
from swarmlet.models.base import ChatReply, ChatRequest, OnText
from swarmlet.models.profiles import Profile, profile_of
from swarmlet.testing import ScriptedServer
from swarmlet.trace import CallStarted

pytestmark = pytest.mark.anyio


@agent(str)
def say(text: str) -> str:
    return text


class Slow:
    """A model that takes its time to get ready, and remembers what was done with it."""

    profile: Profile = profile_of("slow")

    def __init__(self, name: str = "slow", fails: Exception | None = None, *, hangs: bool = False) -> None:
        self.name = name
        self.readied = 0
        self.closed = 0
        self._fails = fails
        self._hangs = hangs

    async def ready(self) -> None:
        await anyio.sleep(0.1)
        self.readied += 1

    async def complete(self, request: ChatRequest, on_text: OnText | None = None) -> ChatReply:
        return ChatReply(text="ok")

    async def aclose(self) -> None:
        if self._hangs:
            await anyio.sleep_forever()
        await checkpoint()
        self.closed += 1
        if self._fails is not None:
            raise self._fails


async def test_a_model_is_made_ready_once_and_that_is_no_wait_in_the_queue() -> None:
    model = Slow()

    async with Swarm(model=model, limits=Limits(concurrency=50)) as swarm:
        run = await swarm.run(each(say), [str(number) for number in range(50)])

    assert model.readied == 1
    assert model.closed == 1
    assert max(event.waited for event in run.trace.events if isinstance(event, CallStarted)) < 0.09


async def test_the_client_is_made_in_a_worker_thread(scripted_server: ScriptedServer, monkeypatch: pytest.MonkeyPatch) -> None:
    threads: list[int] = []
    real = openai.AsyncOpenAI

    def made(*args: object, **kwargs: object) -> openai.AsyncOpenAI:
        threads.append(threading.get_ident())
        return real(*args, **kwargs)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]  # passed on

    monkeypatch.setattr(openai, "AsyncOpenAI", made)
    scripted_server.script("ok")

    async with Swarm() as swarm:
        await swarm.run(say, "hi")

    assert len(threads) == 1
    assert threads[0] != threading.get_ident()


async def test_a_missing_key_is_a_failed_attempt_in_the_trace(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    monkeypatch.delenv("OPENAI_BASE_URL", raising=False)

    async with Swarm() as swarm:
        with pytest.raises(StepFailed) as caught:
            await swarm.run(say, "hi")

    assert isinstance(caught.value.__cause__, NoApiKey)
    assert caught.value.run is not None
    assert [call.state for call in caught.value.run.trace.step("say").calls] == ["failed"]


async def test_a_model_of_two_swarms_is_closed_by_the_last(scripted_server: ScriptedServer) -> None:
    scripted_server.answer(lambda _: "ok")
    model = OpenAIModel("shared", base_url=scripted_server.base_url, api_key=os.environ["OPENAI_API_KEY"])

    async with Swarm(model=model) as outer:
        await outer.run(say, "hi")
        async with Swarm(model=model) as inner:
            await inner.run(say, "hi")
        client = model._connection.poster.client  # pyright: ignore[reportPrivateUsage]
        assert not client.is_closed()
        assert (await outer.run(say, "hi")).output == "ok"

    assert client.is_closed()


async def test_a_model_that_was_given_but_not_used_is_left_alone() -> None:
    used, unused = Slow(), Slow("unused")

    async with Swarm(model=used, models=[unused]) as swarm:
        await swarm.run(say, "hi")

    assert (used.closed, unused.closed) == (1, 0)


async def test_models_are_closed_although_the_scope_is_cancelled() -> None:
    model = Slow()

    with anyio.CancelScope() as scope:
        async with Swarm(model=model) as swarm:
            await swarm.run(say, "hi")
            scope.cancel()
            await anyio.sleep(1)

    assert scope.cancelled_caught
    assert model.closed == 1


async def test_a_model_that_cannot_be_closed_keeps_no_other_open(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("swarmlet.models.hub._CLOSING", 0.05)
    models = [Slow("broken", OSError("no")), Slow("hanging", hangs=True), Slow("good")]

    async def use() -> None:
        async with Swarm(models=models) as swarm:
            for model in models:
                await swarm.run(say.with_options(model=model.name), "hi")

    with pytest.raises(OSError, match="no"):
        await use()

    assert models[2].closed == 1

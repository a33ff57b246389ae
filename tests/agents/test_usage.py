"""What is counted of calls that went wrong, and what is stored of requests that grow."""

from __future__ import annotations

from decimal import Decimal

import anyio
import pytest

from swarmlet import Retry, StepFailed, Swarm, agent
from swarmlet.errors import DeadlineExceeded
from swarmlet.models.base import ChatReply, ChatRequest, OnText
from swarmlet.models.profiles import Profile, profile_of
from swarmlet.testing import Cut, Fail, Garbage, Hang, Quota, RateLimit, ScriptedServer, StreamError, call

from .helpers import asked, ended, failure, outcome, partial, patient, say, sent

pytestmark = pytest.mark.anyio


class Mute(Exception):
    """Cannot say what it is."""

    def __str__(self) -> str:
        raise RuntimeError("speechless")


class Failing:
    """A model of the user's own that fails with any exception."""

    name = "failing"
    profile: Profile = profile_of("failing")

    def __init__(self, error: Exception) -> None:
        self._error = error

    async def ready(self) -> None: ...

    async def complete(self, request: ChatRequest, on_text: OnText | None = None) -> ChatReply:
        raise self._error

    async def aclose(self) -> None: ...


@pytest.mark.parametrize(
    ("reply", "unknown"),
    [(RateLimit(), 0), (Fail(409), 0), (Fail(500), 1), (Cut(), 1), (Cut(after=0), 1), (Garbage("<html>"), 1)],
    ids=str,
)
async def test_every_attempt_is_a_request_and_only_a_refusal_is_known_to_be_free(
    scripted_server: ScriptedServer, reply: object, unknown: int
) -> None:
    scripted_server.script(reply, "ok")

    run = await outcome(patient, "hi")

    assert (run.usage.requests, run.usage.unpriced_requests) == (2, unknown)
    assert [event.unknown_cost for event in ended(run)] == [bool(unknown), False]
    assert run.trace.usage == run.usage
    assert run.trace.step("say").usage == run.usage


@pytest.mark.parametrize("reply", [Quota(), Fail(400), Fail(401)], ids=str)
async def test_a_refused_request_costs_nothing(scripted_server: ScriptedServer, reply: Fail) -> None:
    scripted_server.script(reply)

    usage = partial(await failure(patient, "hi")).usage

    assert (usage.requests, usage.unpriced_requests, usage.usd) == (1, 0, Decimal(0))


async def test_a_call_cancelled_in_flight_may_have_been_paid_for(scripted_server: ScriptedServer) -> None:
    scripted_server.script(Hang())

    async with Swarm() as swarm:
        with pytest.raises(DeadlineExceeded) as caught:
            await swarm.run(say.with_options(timeout=1), "hi")

    assert caught.value.run is not None
    assert (caught.value.run.usage.requests, caught.value.run.usage.unpriced_requests) == (1, 1)


async def test_a_broken_stream_may_have_been_paid_for(scripted_server: ScriptedServer) -> None:
    scripted_server.script(StreamError("server_error", after=1))

    async def read() -> None:
        async with Swarm() as swarm, swarm.stream(say.with_options(retry=Retry(attempts=1)), "hi") as stream:
            async for _ in stream:
                pass

    with pytest.raises(StepFailed) as caught:
        await read()

    assert caught.value.run is not None
    assert caught.value.run.usage.unpriced_requests == 1


async def test_a_model_error_that_cannot_say_what_it_is_ends_its_call() -> None:
    with anyio.fail_after(10):
        async with Swarm(model=Failing(Mute())) as swarm:
            with pytest.raises(StepFailed) as caught:
                await swarm.run(say, "hi")

    (end,) = ended(partial(caught.value))
    assert (end.state, end.unknown_cost) == ("failed", True)
    assert end.error is not None
    assert (end.error.type, end.error.message) == ("Mute", "")


async def note(number: int) -> int:
    return number


@agent(str, tools=[note], max_turns=20)
def worker(text: str) -> str:
    return text


async def test_a_conversation_is_stored_once_however_many_turns_repeat_it(scripted_server: ScriptedServer) -> None:
    sizes: list[int] = []
    for turns in (5, 10):
        scripted_server.script(*[call("note", number=number) for number in range(turns - 1)], "done")

        run = await outcome(worker, "x" * 20_000)

        kept = {digest for one in sent(run) for digest in (one.request, *one.messages) if digest}
        sizes.append(sum(len(run.trace.content(digest) or b"") for digest in kept))
        assert len({one.request for one in sent(run)}) == 1
        assert [len(one.messages) for one in sent(run)] == list(range(1, 2 * turns, 2))
        assert len(asked(run)[-1]["messages"]) == 2 * turns - 1
        assert asked(run)[-1]["messages"][0]["content"] == "x" * 20_000
        assert asked(run)[-1]["tools"][0]["name"] == "note"
    assert sizes[1] - sizes[0] < 5_000, "five turns more hold no further copy of the prompt"

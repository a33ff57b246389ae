from __future__ import annotations

import json
from dataclasses import replace

import anyio
import openai
import pytest
from openai import AsyncOpenAI

from swarmlet.testing import (
    Barrier,
    Cut,
    Fail,
    Garbage,
    Gate,
    Hang,
    Held,
    Overflow,
    Paced,
    Quota,
    RateHeaders,
    RateLimit,
    Say,
    ScriptedServer,
    ScriptError,
    Slow,
    StreamError,
)

from .asking import MODEL, ask, chunks_of, says, streamed_text, text_of
from .conftest import client_of

# The SDK leaves its own async generators unfinished after [DONE] or an error, which trio reports.
pytestmark = [pytest.mark.anyio, pytest.mark.filterwarnings("ignore:Exception ignored in.*async_generator")]


async def test_a_rate_limit_has_the_real_headers(server: ScriptedServer, client: AsyncOpenAI) -> None:
    limits = RateHeaders(remaining_requests=0, reset_requests=360, reset_tokens=0.006)
    server.script(RateLimit(retry_after=1.5, retry_after_ms=1500, limits=limits))

    with pytest.raises(openai.RateLimitError) as caught:
        await ask(client)

    headers = caught.value.response.headers
    assert caught.value.code == "rate_limit_exceeded"
    assert (headers["retry-after"], headers["retry-after-ms"]) == ("1.5", "1500")
    assert headers["x-ratelimit-remaining-requests"] == "0"
    assert (headers["x-ratelimit-reset-requests"], headers["x-ratelimit-reset-tokens"]) == ("6m0s", "6ms")
    assert caught.value.request_id == "req_000001"


@pytest.mark.parametrize(
    ("reply", "error", "code"),
    [
        (Quota(), openai.RateLimitError, "insufficient_quota"),
        (Overflow(), openai.BadRequestError, "context_length_exceeded"),
        (Fail(503), openai.InternalServerError, None),
        (Fail(404, "model_not_found", "no such model"), openai.NotFoundError, "model_not_found"),
    ],
)
async def test_errors_have_the_shape_of_the_api(
    server: ScriptedServer,
    client: AsyncOpenAI,
    reply: Fail,
    error: type[openai.APIStatusError],
    code: str | None,
) -> None:
    server.script(reply)

    with pytest.raises(error) as caught:
        await ask(client)

    assert caught.value.code == code
    assert caught.value.status_code == reply.status


async def test_every_reply_can_carry_rate_headers() -> None:
    with ScriptedServer(rate_headers=RateHeaders(limit_tokens=90)) as server:
        assert server.rate_headers is not None
        server.rate_headers = replace(server.rate_headers, limit_requests=8)
        server.script(Say("hi", headers={"x-ratelimit-remaining-tokens": "7"}))
        async with client_of(server) as client:
            raw = await client.chat.completions.with_raw_response.create(model=MODEL, messages=says("hi"))

    assert raw.headers["x-ratelimit-limit-tokens"] == "90"
    assert raw.headers["x-ratelimit-limit-requests"] == "8"
    assert raw.headers["x-ratelimit-remaining-tokens"] == "7"
    assert raw.headers["x-request-id"] == "req_000001"


async def test_a_wrong_key_is_refused(server: ScriptedServer) -> None:
    async with AsyncOpenAI(base_url=server.base_url, api_key="sk-other", max_retries=0) as client:
        with pytest.raises(openai.AuthenticationError):
            await ask(client)
        with pytest.raises(openai.AuthenticationError):
            await client.models.list()


@pytest.mark.parametrize("after", [None, 0, 20], ids=["before the head", "after the head", "in the body"])
async def test_a_connection_is_cut(server: ScriptedServer, client: AsyncOpenAI, after: int | None) -> None:
    server.script(Cut("never read", after=after), "read")

    with pytest.raises(openai.APIConnectionError):
        await ask(client)

    assert await text_of(client) == "read"
    assert server.disconnects == []


async def test_a_stream_is_cut_after_some_events(server: ScriptedServer, client: AsyncOpenAI) -> None:
    server.script(Cut("a text of several pieces", after=3))
    stream = await client.chat.completions.create(model=MODEL, messages=says("hi"), stream=True)
    seen: list[str] = []

    async def read() -> None:
        async with stream:
            async for chunk in stream:
                seen.append(chunk.choices[0].delta.content or "")

    with pytest.raises(openai.APIConnectionError):
        await read()

    assert seen == ["", "a text o", "f severa"]


async def test_an_error_comes_within_a_stream(server: ScriptedServer, client: AsyncOpenAI) -> None:
    server.script(StreamError(after=2), StreamError())

    with pytest.raises(openai.APIError, match="had an error"):
        await chunks_of(client)
    with pytest.raises(openai.InternalServerError):
        await ask(client)


async def test_garbage_under_a_good_status(server: ScriptedServer, client: AsyncOpenAI) -> None:
    server.script(Garbage("{not json"))

    with pytest.raises(json.JSONDecodeError):
        await ask(client)


async def test_a_cancelled_call_is_seen_as_a_disconnect(server: ScriptedServer, client: AsyncOpenAI) -> None:
    server.script(Hang(), "after")

    with anyio.fail_after(5):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(ask, client, "abandoned")
            await server.wait_for_async(in_flight=1)
            tasks.cancel_scope.cancel()
        await server.wait_for_async(disconnects=1, idle=True)
        assert await text_of(client) == "after"

    assert [request.last for request in server.disconnects] == ["abandoned"]


async def test_a_stream_that_is_left_is_seen_as_a_disconnect(server: ScriptedServer, client: AsyncOpenAI) -> None:
    gate = Gate()
    gate.open(2)
    server.script(Paced("a text of several pieces", gate=gate))
    stream = await client.chat.completions.create(model=MODEL, messages=says("hi"), stream=True)

    with anyio.fail_after(5):
        async with stream:
            seen = [(await anext(stream)).choices[0].delta.content for _ in range(2)]
        await server.wait_for_async(disconnects=1)

    assert seen == ["", "a text o"]


async def test_closing_ends_a_call_that_hangs() -> None:
    with ScriptedServer() as server:
        server.script(Hang())
        async with client_of(server) as client, anyio.create_task_group() as tasks:
            with anyio.fail_after(5):
                tasks.start_soon(_expect_lost_connection, client)
                await server.wait_for_async(in_flight=1)
                server.__exit__(None, None, None)


async def _expect_lost_connection(client: AsyncOpenAI) -> None:
    with pytest.raises(openai.APIConnectionError):
        await ask(client)


async def test_a_gate_holds_a_reply_until_the_test_opens_it(server: ScriptedServer, client: AsyncOpenAI) -> None:
    gate = Gate()
    server.script(Held("late", gate))
    texts: list[str | None] = []

    async def call() -> None:
        texts.append(await text_of(client))

    with anyio.fail_after(5):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(call)
            await server.wait_for_async(in_flight=1)
            assert texts == []
            gate.open()

    assert texts == ["late"]


async def test_a_barrier_proves_overlap(server: ScriptedServer, client: AsyncOpenAI) -> None:
    server.script(*[Barrier(5, f"{n}") for n in range(5)])

    with anyio.fail_after(5):
        async with anyio.create_task_group() as tasks:
            for _ in range(5):
                tasks.start_soon(text_of, client)

    assert server.max_in_flight == 5
    await server.wait_for_async(idle=True)
    assert server.in_flight == 0


async def test_a_barrier_that_is_never_met_fails_the_test(lenient: ScriptedServer, lenient_client: AsyncOpenAI) -> None:
    lenient.script(Barrier(2, "never", timeout=0.02))

    with pytest.raises(openai.InternalServerError) as caught:
        await ask(lenient_client)

    assert caught.value.response.headers["x-should-retry"] == "false"
    with pytest.raises(ScriptError, match=r"2 requests were never in flight at once .* at most 1 were"):
        lenient.verify()


async def test_wrappers_combine(server: ScriptedServer, client: AsyncOpenAI) -> None:
    server.script(Slow(Paced("slow and paced", seconds=0.001), seconds=0.001), Slow(Cut("x"), 0.001))

    assert streamed_text(await chunks_of(client)) == "slow and paced"
    with pytest.raises(openai.APIConnectionError):
        await ask(client)

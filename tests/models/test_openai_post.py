"""Requests after the first: what the SDK would send, and failures told as it tells them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import anyio
import pytest

from swarmlet.errors import ContextTooLong, ModelError, ModelUnavailable, RateLimited
from swarmlet.models.openai import OpenAIModel
from tests.models.talks import REQUEST, WHOLE, heard, serving

if TYPE_CHECKING:
    from anyio.abc import SocketStream

    from swarmlet.models.base import OnText

pytestmark = pytest.mark.anyio
Transport = Literal["sdk", "sockets"]


def unheard(_: str) -> None:
    """Listens to a stream."""


def answer(status: str, body: bytes, *headers: bytes) -> bytes:
    head = b"\r\n".join((b"HTTP/1.1 " + status.encode(), b"content-type: application/json", *headers))
    return head + b"\r\ncontent-length: %d\r\n\r\n" % len(body) + body


async def asked(transport: Transport, answers: list[bytes], on_text: OnText | None = None) -> tuple[list[bytes], list[object]]:
    """The requests that a server got which gives these answers, and what became of each call; one after the other."""
    requests: list[bytes] = []

    async def talk(stream: SocketStream, _: int) -> None:
        while request := await heard(stream):
            requests.append(request)
            if not (answer := answers.pop(0)):
                return
            await stream.send(answer)

    outcomes: list[object] = []
    async with serving(talk) as server:
        model = OpenAIModel("gpt-4o-mini", base_url=server.url, api_key="sk-scripted", transport=transport)
        while answers:
            try:
                outcomes.append((await model.complete(REQUEST, on_text)).text)
            except ModelError as error:
                outcomes.append(error)
        await model.aclose()
    return requests, outcomes


@pytest.mark.parametrize("transport", ["sdk", "sockets"])
async def test_a_later_request_is_the_first_one_again(transport: Transport) -> None:
    (first, *later), outcomes = await asked(transport, [WHOLE] * 3)
    assert outcomes == ["ok"] * 3
    assert b"authorization: Bearer sk-scripted" in first or b"Authorization: Bearer sk-scripted" in first
    for request in later:
        assert sorted(request.lower().split(b"\r\n")) == sorted(first.lower().split(b"\r\n"))


@pytest.mark.parametrize("transport", ["sdk", "sockets"])
async def test_cookies_are_sent_back(transport: Transport) -> None:
    requests, _ = await asked(transport, [WHOLE.replace(b"OK\r\n", b"OK\r\nset-cookie: seat=4; Path=/\r\n"), WHOLE, WHOLE])
    assert [b"seat=4" in request for request in requests] == [False, True, True]


@pytest.mark.parametrize("on_text", [None, unheard], ids=["whole", "streamed"])
async def test_a_failure_is_told_alike_on_the_first_and_on_later_calls(on_text: OnText | None) -> None:
    refused = b'{"error": {"message": "slow down", "type": "tokens", "code": "rate_limit_exceeded"}}'
    failures = [
        answer("429 Too Many Requests", refused, b"retry-after: 7", b"x-ratelimit-limit-requests: 60", b"x-request-id: r1"),
        answer("400 Bad Request", b'{"error": {"message": "too long", "code": "context_length_exceeded"}}'),
        answer("503 Service Unavailable", b"try later"),
        answer("500 Internal Server Error", b"[" * 100_000),
        answer("302 Found", b"{}"),
    ]
    for failure in failures:
        _, (first, *_) = await asked("sdk", [failure], on_text)
        _, (_, later) = await asked("sdk", [WHOLE, failure], on_text)
        assert type(first) is type(later)
        assert str(first) == str(later)
        assert vars(first) == vars(later)


async def test_the_server_s_wishes_are_heard_on_later_calls() -> None:
    refused = b'{"error": {"message": "slow down", "type": "tokens", "code": "rate_limit_exceeded"}}'
    _, (_, later) = await asked(
        "sdk", [WHOLE, answer("429 Too Many Requests", refused, b"retry-after: 7", b"x-request-id: r1")]
    )
    assert isinstance(later, RateLimited)
    assert (later.status, later.retry_after, later.request_id) == (429, 7, "r1")
    _, (_, later) = await asked("sdk", [WHOLE, answer("400 Bad Request", b'{"error": {"code": "context_length_exceeded"}}')])
    assert isinstance(later, ContextTooLong)


@pytest.mark.parametrize("transport", ["sdk", "sockets"])
async def test_a_server_that_hangs_up_later_is_unavailable(transport: Transport) -> None:
    _, (_, later) = await asked(transport, [WHOLE, b""])
    assert isinstance(later, ModelUnavailable)
    assert "cannot be reached at http://127.0.0.1" in str(later)


@pytest.mark.parametrize("transport", ["sdk", "sockets"])
async def test_a_redirect_is_followed_each_time(transport: Transport) -> None:
    paths: list[bytes] = []

    async def talk(stream: SocketStream, _: int) -> None:
        while request := await heard(stream):
            paths.append(request.split()[1])
            moved = b"HTTP/1.1 307 Moved\r\nlocation: /v2/chat/completions\r\ncontent-length: 0\r\n\r\n"
            await stream.send(moved if paths[-1].startswith(b"/v1") else WHOLE)

    async with serving(talk) as server:
        model = OpenAIModel("gpt-4o-mini", base_url=server.url, api_key="sk-scripted", transport=transport)
        assert [(await model.complete(REQUEST)).text for _ in range(3)] == ["ok"] * 3
        await model.aclose()
    assert paths == [b"/v1/chat/completions", b"/v2/chat/completions"] * 3


async def test_calls_at_once_may_all_be_the_first() -> None:
    async def talk(stream: SocketStream, _: int) -> None:
        while await heard(stream):
            await stream.send(WHOLE)

    async with serving(talk) as server:
        model = OpenAIModel("gpt-4o-mini", base_url=server.url, api_key="sk-scripted")
        for _ in range(2):
            async with anyio.create_task_group() as group:
                for _ in range(10):
                    group.start_soon(model.complete, REQUEST)
        await model.aclose()

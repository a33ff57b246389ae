"""The calls themselves: one attempt, whole or streamed. Imports the SDK, and is imported when the first call is made."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import anyio
import httpx2
import openai
from pydantic import ValidationError

from swarmlet.errors import ModelError, ModelUnavailable, ReplyMalformed
from swarmlet.models.base import ChatReply, OnText, ToolCall
from swarmlet.models.openai_errors import limits_told, translate
from swarmlet.models.openai_wire import Body, Chunk, Completion, ServerError, StreamedReply
from swarmlet.policy.ratelimit_headers import Reading

_AFTER_DONE = 1
"""Seconds that a server may take to end a stream whose last event it has sent."""


async def attempt(client: openai.AsyncOpenAI, body: Body, on_text: OnText | None, clean: Callable[[str], str]) -> ChatReply:
    """One HTTP request. With `on_text` the reply is streamed. `clean` takes the key out of texts. Raises a `ModelError`."""
    told = _Told(on_text, clean)
    failure: ModelError
    try:
        reply = await (_whole(client, body, told) if on_text is None else _streamed(client, body, told))
        return _cleaned(reply, clean, told.limits)
    except openai.APIError as error:
        failure = translate(error, clean)
    except httpx2.SSEError as error:
        failure = ReplyMalformed(clean(str(error)))
    except httpx2.RequestError as error:  # while a body is read, the SDK lets these through
        reason = str(error) or type(error).__name__
        failure = ModelUnavailable(clean(f"the connection to the model server broke: {reason}"))
    except _BrokenOff:
        failure = ModelUnavailable("the stream ended before the reply did")
    except ValidationError as error:
        failure = ReplyMalformed(f"the server's answer is not a chat completion: {_what(error)}")
    if told.anything:  # a listener cannot take words back, so this is not tried again
        failure.retryable = False
    failure.limits = failure.limits or told.limits
    raise failure


async def _whole(client: openai.AsyncOpenAI, body: Body, told: _Told) -> ChatReply:
    create: Any = client.chat.completions.with_raw_response.create  # Any: its overloads do not take a dict
    raw = await create(**body)
    told.heads(raw.headers)
    completion = Completion.model_validate_json(raw.content)
    _raise_error(completion.error, raw.http_request)
    return completion.reply(raw.headers.get("x-request-id"))


async def _streamed(client: openai.AsyncOpenAI, body: Body, told: _Told) -> ChatReply:
    begin = time.perf_counter()
    first: float | None = None
    built = StreamedReply()

    def take(chunk: Chunk) -> None:
        nonlocal first
        text = built.add(chunk)
        first = time.perf_counter() - begin if first is None else first
        if text:
            told(text)

    create: Any = client.chat.completions.with_streaming_response.create  # Any: as above
    async with create(**body, stream=True, stream_options={"include_usage": True}) as response:
        told.heads(response.headers)
        await _read_events(response.http_response, take)
    if built.finish_reason is None:
        raise _BrokenOff
    return built.reply(response.headers.get("x-request-id"), first)


async def _read_events(response: httpx2.Response, take: Callable[[Chunk], None]) -> None:
    """Give each chunk of a stream to `take`. Raises what is wrong with one.

    The generators below are never left half way, which trio reports as a leak (the SDK's own stream does that at [DONE]):
    they are read to their end or, where that is not worth waiting for, cancelled from inside.
    """
    failure: Exception | None = None
    done = False
    with anyio.CancelScope() as scope:
        async for event in httpx2.EventSource(response, max_event_size=None):  # its limit would leave them half way too
            if done or not event.data:
                continue
            done = event.data == "[DONE]"
            if done:
                scope.deadline = anyio.current_time() + _AFTER_DONE
                continue
            try:
                chunk = Chunk.model_validate_json(event.data)
                _raise_error(chunk.error, response.request)
                take(chunk)
            except Exception as error:  # noqa: BLE001  # raised below
                failure, done = error, True
                scope.cancel()
    if failure is not None:
        raise failure


def _raise_error(error: ServerError | None, request: httpx2.Request) -> None:
    """Raise the SDK's `APIError` for an error that the server sends under a status that says all is well."""
    if error is not None:
        raise openai.APIError(str(error.get("message") or "no reason given"), request, body=error)


class _BrokenOff(Exception):  # never leaves this file
    """A stream ended without a finish reason."""


class _Told:
    """Passes pieces of text on, remembers whether there were any, and what the head of the answer said of limits."""

    def __init__(self, on_text: OnText | None, clean: Callable[[str], str]) -> None:
        self._on_text = on_text
        self._clean = clean
        self.anything = False
        self.limits: Reading | None = None

    def heads(self, headers: Mapping[str, str]) -> None:
        self.limits = limits_told(headers)

    def __call__(self, text: str) -> None:
        self.anything = True
        if self._on_text is not None:
            self._on_text(self._clean(text))


def _cleaned(reply: ChatReply, clean: Callable[[str], str], limits: Reading | None) -> ChatReply:
    """`reply` without the key, should the server have quoted it anywhere, and with what it said of its limits."""
    return replace(
        reply,
        text=clean(reply.text),
        tool_calls=tuple(ToolCall(clean(call.id), clean(call.name), clean(call.arguments)) for call in reply.tool_calls),
        refusal=reply.refusal and clean(reply.refusal),
        finish_reason=clean(reply.finish_reason),
        model=clean(reply.model),
        service_tier=reply.service_tier and clean(reply.service_tier),
        request_id=reply.request_id and clean(reply.request_id),
        limits=limits,
    )


def _what(error: ValidationError) -> str:
    details = error.errors(include_url=False, include_input=False)[:3]
    return "; ".join(f"{'.'.join(str(part) for part in one['loc']) or 'the body'}: {one['msg']}" for one in details)

"""The calls themselves: one attempt, whole or streamed. Imports the SDK, and is imported when the first call is made."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import replace

import anyio
import httpx2
import openai
from pydantic import ValidationError

from swarmlet.errors import ModelError, ModelUnavailable, ReplyMalformed
from swarmlet.models.base import ChatReply, Draft, OnText, ToolCall
from swarmlet.models.openai_errors import limits_told, translate
from swarmlet.models.openai_events import Events, NoEvents
from swarmlet.models.openai_post import Poster, plain
from swarmlet.models.openai_wire import Body, Chunk, Completion, ServerError, StreamedReply
from swarmlet.policy.ratelimit_headers import Reading

_AFTER_DONE = 1
"""Seconds that a server may take to end a stream whose last event it has sent."""


async def attempt(poster: Poster, body: Body, on_text: OnText | None, clean: Callable[[str], str]) -> ChatReply:
    """One HTTP request. With `on_text` the reply is streamed. `clean` takes the key out of texts. Raises a `ModelError`."""
    told = _Told(on_text, clean)
    failure: ModelError
    try:
        reply = await (_whole(poster, body, told) if on_text is None else _streamed(poster, body, told))
        return _cleaned(reply, clean)
    except openai.APIError as error:
        failure = translate(error, clean)
    except NoEvents as error:
        failure = ReplyMalformed(clean(str(error)))
    except httpx2.RequestError as error:  # while a body is read, the SDK lets these through
        reason = str(error) or type(error).__name__
        failure = ModelUnavailable(clean(f"the connection to the model server broke: {reason}"))
    except _BrokenOff:
        failure = ModelUnavailable("the stream ended before the reply did")
    except ValidationError as error:
        failure = ReplyMalformed(f"the server's answer is not a chat completion: {_what(error)}")
    if told.anything and not isinstance(on_text, Draft):  # a listener cannot take words back, so this is not tried again
        failure.retryable = False
    failure.limits = failure.limits or told.limits
    raise failure


async def _whole(poster: Poster, body: Body, told: _Told) -> ChatReply:
    response, content = await poster.post(body)
    headers = _plain(response)
    told.heads(headers)
    completion = Completion.model_validate_json(content)
    _raise_error(completion.error, response.request)
    return completion.reply(headers.get("x-request-id"), told.limits)


def _plain(response: httpx2.Response) -> Mapping[str, str]:
    """The headers as a dict, in which a look-up is cheap; of those that come twice, the last."""
    return {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in response.headers.raw}


async def _streamed(poster: Poster, body: Body, told: _Told) -> ChatReply:
    begin = time.perf_counter()
    first: float | None = None
    built = StreamedReply()

    def take(chunk: Chunk) -> None:
        nonlocal first
        text = built.add(chunk)
        first = time.perf_counter() - begin if first is None else first
        if text:
            told(text)

    response = await poster.stream(body)
    headers = _plain(response)
    try:
        told.heads(headers)
        await _read_events(response, take)
    finally:
        await response.aclose()
    if built.finish_reason is None:
        raise _BrokenOff
    return built.reply(headers.get("x-request-id"), first, told.limits)


async def _read_events(response: httpx2.Response, take: Callable[[Chunk], None]) -> None:
    """Give each chunk of a stream to `take`. Raises what is wrong with one.

    The generators below are never left half way, which trio reports as a leak (the SDK's own stream does that at [DONE]):
    they are read to their end or, where that is not worth waiting for, cancelled from inside.
    """
    failure: Exception | None = None
    done = False
    events = Events(response.headers.get("content-type"))
    with anyio.CancelScope() as scope:
        async for part in plain(response):
            for data in () if done else events.feed(part):
                done = data == b"[DONE]"
                if done:
                    scope.deadline = anyio.current_time() + _AFTER_DONE
                    break
                try:
                    chunk = Chunk.model_validate_json(data)
                    _raise_error(chunk.error, response.request)
                    take(chunk)
                except Exception as error:  # noqa: BLE001  # raised below
                    failure, done = error, True
                    scope.cancel()
                    break
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


def _cleaned(reply: ChatReply, clean: Callable[[str], str]) -> ChatReply:
    """`reply` without the key, should the server have quoted it anywhere."""
    told = (reply.text, reply.refusal, reply.finish_reason, reply.model, reply.service_tier, reply.request_id)
    if not reply.tool_calls and all(text is None or clean(text) is text for text in told):
        return reply
    return replace(
        reply,
        text=clean(reply.text),
        tool_calls=tuple(ToolCall(clean(call.id), clean(call.name), clean(call.arguments)) for call in reply.tool_calls),
        refusal=reply.refusal and clean(reply.refusal),
        finish_reason=clean(reply.finish_reason),
        model=clean(reply.model),
        service_tier=reply.service_tier and clean(reply.service_tier),
        request_id=reply.request_id and clean(reply.request_id),
    )


def _what(error: ValidationError) -> str:
    details = error.errors(include_url=False, include_input=False)[:3]
    return "; ".join(f"{'.'.join(str(part) for part in one['loc']) or 'the body'}: {one['msg']}" for one in details)

"""The OpenAI client behind `ChatModel`. With `base_url=` any server that speaks Chat Completions.

The SDK is imported when the first call is made, because that takes about a second. Its own retries are off.
"""

from __future__ import annotations

import os
import time
from dataclasses import replace
from typing import TYPE_CHECKING, Any, final

import anyio
from pydantic import ValidationError

from swarmlet.errors import ModelError, ModelUnavailable, NoApiKey, ReplyMalformed
from swarmlet.models.base import ChatReply, ChatRequest, OnText, ToolCall
from swarmlet.models.openai_errors import translate
from swarmlet.models.openai_wire import Body, Chunk, Completion, ServerError, StreamedReply, request_body
from swarmlet.models.profiles import Profile, profile_of

if TYPE_CHECKING:
    from collections.abc import Callable

    import httpx2
    from openai import AsyncOpenAI

_AFTER_DONE = 1
"""Seconds that a server may take to end a stream whose last event it has sent."""


@final
class OpenAIConnection:
    """One client of the SDK, made when it is first needed and shared by the models that use the same endpoint and key."""

    def __init__(self, *, api_key: str | None = None, base_url: str | None = None, client: AsyncOpenAI | None = None) -> None:
        self._api_key = api_key
        self._base_url = base_url
        self._client = client.with_options(max_retries=0) if client is not None else None
        self._owned = client is None

    @property
    def client(self) -> AsyncOpenAI:
        """The SDK's client. Raises a `ModelError` in one sentence for a key or an endpoint that cannot be used."""
        if self._client is None:
            self._client = self._connect()
        return self._client

    def _connect(self) -> AsyncOpenAI:
        import httpx2
        import openai

        if not self._key:
            raise NoApiKey(
                "no API key: set OPENAI_API_KEY, or set OPENAI_BASE_URL to a compatible server that needs none, "
                "or pass a model: Swarm(model=OpenAIModel(..., base_url=..., api_key=...))"
            )
        if not (self._key.isascii() and self._key.isprintable()):
            raise NoApiKey("the API key holds a character that no HTTP header can carry: check OPENAI_API_KEY or api_key=")
        try:
            base = httpx2.URL(self._elsewhere or "https://api.openai.com/v1")
        except httpx2.InvalidURL:
            base = httpx2.URL()
        if base.scheme not in ("http", "https") or not base.host:
            raise ModelError("the base URL is not one: check that OPENAI_BASE_URL or base_url= begins with http:// or https://")
        blank = os.environ.get("OPENAI_BASE_URL") == ""  # the SDK would take it for a URL
        return openai.AsyncOpenAI(api_key=self._key, base_url=base if self._elsewhere or blank else None, max_retries=0)

    @property
    def _elsewhere(self) -> str | None:
        return self._base_url or os.environ.get("OPENAI_BASE_URL")

    @property
    def _key(self) -> str:  # nowhere a local variable: some tools show those of a traceback
        given = self._api_key or os.environ.get("OPENAI_API_KEY") or ""
        return given.strip() or ("none" if self._elsewhere else "")

    def clean(self, text: str) -> str:
        """`text` without the key: some servers quote it."""
        secret = self._client.api_key if self._client is not None else ""
        return text.replace(secret, "[key]") if len(secret) >= 8 else text

    async def aclose(self) -> None:
        """Close the client, if it was made here."""
        if self._owned and self._client is not None:
            client, self._client = self._client, None
            await client.close()


@final
class OpenAIModel:
    """A model of OpenAI, Azure or any server that speaks Chat Completions.

    `name` is what options choose it by, `model` what the server calls it (a deployment's name on Azure; the same if left
    out). `api_key` and `base_url` are by default what the SDK reads: `OPENAI_API_KEY`, `OPENAI_BASE_URL`. `client` is an
    `AsyncOpenAI` or `AsyncAzureOpenAI` of the caller's, who closes it. `profile` gives prices and window where the name
    does not tell.
    """

    def __init__(
        self,
        name: str,
        *,
        model: str | None = None,
        api_key: str | None = None,
        base_url: str | None = None,
        client: AsyncOpenAI | None = None,
        profile: Profile | None = None,
        connection: OpenAIConnection | None = None,
    ) -> None:
        self._name = name
        self._model = model or name
        self._profile = profile or profile_of(self._model)
        self._shared = connection
        self._connection = connection or OpenAIConnection(api_key=api_key, base_url=base_url, client=client)

    @property
    def name(self) -> str:
        """The name by which options choose it."""
        return self._name

    @property
    def profile(self) -> Profile:
        """Its window, prices and dates."""
        return self._profile

    async def complete(self, request: ChatRequest, on_text: OnText | None = None) -> ChatReply:
        """One attempt of one call: one HTTP request. Raises a `ModelError`."""
        client = self._connection.client
        body = request_body(request, self._profile) | {"model": self._model}
        import httpx2
        import openai

        clean = self._connection.clean
        told = _Told(on_text, clean)
        failure: ModelError
        try:
            reply = await (self._whole(client, body) if on_text is None else self._streamed(client, body, told))
            return _cleaned(reply, clean)
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
        raise failure

    async def _whole(self, client: AsyncOpenAI, body: Body) -> ChatReply:
        create: Any = client.chat.completions.with_raw_response.create  # Any: its overloads do not take a dict
        raw = await create(**body)
        completion = Completion.model_validate_json(raw.content)
        _raise_error(completion.error, raw.http_request)
        return completion.reply(raw.headers.get("x-request-id"))

    async def _streamed(self, client: AsyncOpenAI, body: Body, on_text: OnText) -> ChatReply:
        begin = time.perf_counter()
        first: float | None = None
        built = StreamedReply()

        def take(chunk: Chunk) -> None:
            nonlocal first
            text = built.add(chunk)
            first = time.perf_counter() - begin if first is None else first
            if text:
                on_text(text)

        create: Any = client.chat.completions.with_streaming_response.create  # Any: as above
        async with create(**body, stream=True, stream_options={"include_usage": True}) as response:
            await _read_events(response.http_response, take)
        if built.finish_reason is None:
            raise _BrokenOff
        return built.reply(response.headers.get("x-request-id"), first)

    async def aclose(self) -> None:
        """Close the client, if it is this model's own."""
        if self._shared is None:
            await self._connection.aclose()


async def _read_events(response: httpx2.Response, take: Callable[[Chunk], None]) -> None:
    """Give each chunk of a stream to `take`. Raises what is wrong with one.

    The generators below are never left half way, which trio reports as a leak (the SDK's own stream does that at [DONE]):
    they are read to their end or, where that is not worth waiting for, cancelled from inside.
    """
    from httpx2 import EventSource

    failure: Exception | None = None
    done = False
    with anyio.CancelScope() as scope:
        async for event in EventSource(response, max_event_size=None):  # its limit would leave them half way too
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
    import openai

    if error is not None:
        raise openai.APIError(str(error.get("message") or "no reason given"), request, body=error)


class _BrokenOff(Exception):  # never leaves this file
    """A stream ended without a finish reason."""


class _Told:
    """Passes pieces of text on, and remembers whether there were any."""

    def __init__(self, on_text: OnText | None, clean: Callable[[str], str]) -> None:
        self._on_text = on_text
        self._clean = clean
        self.anything = False

    def __call__(self, text: str) -> None:
        self.anything = True
        if self._on_text is not None:
            self._on_text(self._clean(text))


def _cleaned(reply: ChatReply, clean: Callable[[str], str]) -> ChatReply:
    """`reply` without the key, should the server have quoted it anywhere."""
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

"""The OpenAI client behind `ChatModel`. With `base_url=` any server that speaks Chat Completions.

The SDK is imported when the first call is made, because that takes about a second. Its own retries are off.
"""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING, Any, final

from pydantic import ValidationError

from swarmlet.errors import ModelError, ModelUnavailable, NoApiKey, ReplyMalformed
from swarmlet.models.base import ChatReply, ChatRequest, OnText
from swarmlet.models.openai_errors import translate
from swarmlet.models.openai_wire import Body, Chunk, Completion, StreamedReply, request_body
from swarmlet.models.profiles import Profile, profile_of

if TYPE_CHECKING:
    import httpx2
    from openai import AsyncOpenAI


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
        """The SDK's client. Raises `NoApiKey` in one sentence if there is neither a key nor another endpoint."""
        if self._client is None:
            self._client = self._connect()
        return self._client

    def _connect(self) -> AsyncOpenAI:
        import openai

        elsewhere = self._base_url or os.environ.get("OPENAI_BASE_URL")
        key = self._api_key or os.environ.get("OPENAI_API_KEY") or ("none" if elsewhere else None)
        if key is None:
            raise NoApiKey(
                "no API key: set OPENAI_API_KEY, or set OPENAI_BASE_URL to a compatible server that needs none, "
                "or pass a model: Swarm(model=OpenAIModel(..., base_url=..., api_key=...))"
            )
        return openai.AsyncOpenAI(api_key=key, base_url=self._base_url, max_retries=0)

    @property
    def secret(self) -> str:
        """The key, to be taken out of messages."""
        return self._client.api_key if self._client is not None else ""

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

        told = _Told(on_text)
        failure: ModelError
        try:
            return await (self._whole(client, body) if on_text is None else self._streamed(client, body, told))
        except openai.APIError as error:
            failure = translate(error, self._connection.secret)
        except httpx2.SSEError as error:
            failure = ReplyMalformed(str(error))
        except httpx2.TransportError as error:  # while a body is read, the SDK lets these through
            reason = str(error) or type(error).__name__
            failure = ModelUnavailable(f"the connection to the model server broke: {reason}")
        except _BrokenOff:
            failure = ModelUnavailable("the stream ended before the reply did")
        except (ValidationError, ValueError) as error:
            failure = ReplyMalformed(f"the server's answer is not a chat completion: {_first_line(error)}")
        if told.anything:  # a listener cannot take words back, so this is not tried again
            failure.retryable = False
        raise failure

    async def _whole(self, client: AsyncOpenAI, body: Body) -> ChatReply:
        create: Any = client.chat.completions.with_raw_response.create  # Any: its overloads do not take a dict
        raw = await create(**body)
        return Completion.model_validate_json(raw.content).reply(raw.headers.get("x-request-id"))

    async def _streamed(self, client: AsyncOpenAI, body: Body, on_text: OnText) -> ChatReply:
        # The SDK's own stream stops reading at [DONE] and leaves its generators open, which trio reports as a leak; so the
        # events are read to their end here.
        from httpx2 import EventSource

        begin = time.perf_counter()
        first: float | None = None
        built = StreamedReply()
        create: Any = client.chat.completions.with_streaming_response.create  # Any: as above
        async with create(**body, stream=True, stream_options={"include_usage": True}) as response:
            async for event in EventSource(response.http_response):
                if event.data == "[DONE]":
                    continue
                text = built.add(_chunk(event.data, response.http_response.request))
                first = time.perf_counter() - begin if first is None else first
                if text:
                    on_text(text)
        if built.finish_reason is None:
            raise _BrokenOff
        return built.reply(response.headers.get("x-request-id"), first)

    async def aclose(self) -> None:
        """Close the client, if it is this model's own."""
        if self._shared is None:
            await self._connection.aclose()


def _chunk(data: str, request: httpx2.Request) -> Chunk:
    """One event of a stream. Raises the SDK's `APIError` for an error that the server sends in place of a chunk."""
    import openai

    chunk = Chunk.model_validate_json(data)
    if chunk.error is not None:
        raise openai.APIError(str(chunk.error.get("message")), request, body=chunk.error)
    return chunk


class _BrokenOff(Exception):  # never leaves this file
    """A stream ended without a finish reason."""


class _Told:
    """Passes pieces of text on, and remembers whether there were any."""

    def __init__(self, on_text: OnText | None) -> None:
        self._on_text = on_text
        self.anything = False

    def __call__(self, text: str) -> None:
        self.anything = True
        if self._on_text is not None:
            self._on_text(text)


def _first_line(error: Exception) -> str:
    if isinstance(error, ValidationError):
        details = error.errors(include_url=False, include_input=False)
        return "; ".join(f"{'.'.join(str(part) for part in one['loc'])}: {one['msg']}" for one in details[:3])
    return str(error).partition("\n")[0][:200]

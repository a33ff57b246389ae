"""The OpenAI client behind `ChatModel`. With `base_url=` any server that speaks Chat Completions.

This file is part of `import swarmlet`, so it imports no SDK: what needs one is in `openai_calls`, which is loaded when the
first call is made. The SDK's own retries are off.
"""

from __future__ import annotations

import os
from contextlib import suppress
from importlib import import_module
from importlib.util import find_spec
from threading import Lock
from typing import TYPE_CHECKING, Literal, TypeAlias, final

import anyio.to_thread

from swarmlet.errors import GraphError, ModelError, NoApiKey
from swarmlet.models.base import ChatReply, ChatRequest, OnText
from swarmlet.models.pace import limit_name
from swarmlet.models.profiles import Profile, profile_of
from swarmlet.policy.limits import Limits

if TYPE_CHECKING:
    from httpx2 import AsyncClient
    from openai import AsyncOpenAI

    from swarmlet.models.openai_post import Poster

Transport: TypeAlias = Literal["sdk", "sockets", "aiohttp"]
"""What carries requests: the SDK's connections, h11 over anyio's sockets, or aiohttp (the extra `fast`; asyncio only)."""
_OPENAI = "https://api.openai.com/v1"


@final
class OpenAIConnection:
    """One client of the SDK, made when it is first needed and shared by the models that use the same endpoint and key."""

    def __init__(
        self,
        *,
        api_key: str | None = None,
        base_url: str | None = None,
        client: AsyncOpenAI | None = None,
        transport: Transport = "sdk",
    ) -> None:
        self._api_key = api_key
        self._base_url = base_url
        self._transport: Transport = transport
        self._client = client.with_options(max_retries=0) if client is not None else None
        self._owned = client is None
        self._poster: Poster | None = None
        self._making = Lock()
        self._limit_keys: dict[str, str] = {}

    @property
    def poster(self) -> Poster:
        """Posts by the SDK's client. Raises a `ModelError` in one sentence for a key or an endpoint that cannot be used."""
        with self._making:
            if self._poster is None:
                self._poster = self._connect()
            return self._poster

    def prepare(self) -> None:
        """Import the SDK and make its client. What cannot be made is left to the call, whose failure is recorded."""
        import_module("swarmlet.models.openai_calls")
        with suppress(Exception):
            _ = self.poster

    def _connect(self) -> Poster:
        import httpx2
        import openai

        from swarmlet.models.openai_post import Poster

        if self._client is not None:
            return Poster(self._client)
        if not self._key:
            raise NoApiKey(
                "no API key: set OPENAI_API_KEY, or set OPENAI_BASE_URL to a compatible server that needs none, "
                "or pass a model: Swarm(model=OpenAIModel(..., base_url=..., api_key=...))"
            )
        if not (self._key.isascii() and self._key.isprintable()):
            raise NoApiKey("the API key holds a character that no HTTP header can carry: check OPENAI_API_KEY or api_key=")
        try:
            base = httpx2.URL(self._elsewhere or _OPENAI)
        except httpx2.InvalidURL:
            base = httpx2.URL()
        if base.scheme not in ("http", "https") or not base.host:
            raise ModelError("the base URL is not one: check that OPENAI_BASE_URL or base_url= begins with http:// or https://")
        blank = os.environ.get("OPENAI_BASE_URL") == ""  # the SDK would take it for a URL
        where = base if self._elsewhere or blank else None
        http = _http_client(self._transport)
        self._client = openai.AsyncOpenAI(api_key=self._key, base_url=where, max_retries=0, http_client=http)
        return Poster(self._client, http)

    @property
    def _elsewhere(self) -> str | None:
        return self._base_url or os.environ.get("OPENAI_BASE_URL")

    @property
    def _key(self) -> str:  # nowhere a local variable: some tools show those of a traceback
        given = self._api_key or os.environ.get("OPENAI_API_KEY") or ""
        return given.strip() or ("none" if self._elsewhere else "")

    def endpoint(self, model: str) -> str:
        """Names who answers, whatever the key: this model, at this base URL."""
        elsewhere = self._elsewhere if self._owned or self._client is None else str(self._client.base_url)
        return f"{(elsewhere or _OPENAI).rstrip('/')}#{model}"

    def limit_key(self, model: str) -> str:
        """Names what the server limits together: this model, at this endpoint, with this key, which cannot be read from it."""
        if model not in self._limit_keys:  # asked once: a key that a client renews is still the same account's
            self._limit_keys[model] = (
                limit_name(self._elsewhere or _OPENAI, self._key, model)
                if self._owned or self._client is None
                else limit_name(str(self._client.base_url), self._client.api_key, model)
            )
        return self._limit_keys[model]

    def clean(self, text: str) -> str:
        """`text` without the key: some servers quote it."""
        secret = self._client.api_key if self._client is not None else ""
        return text.replace(secret, "[key]") if len(secret) >= 8 else text

    async def aclose(self) -> None:
        """Close the client, if it was made here."""
        if self._owned and self._client is not None:
            client, self._client, self._poster = self._client, None, None
            self._limit_keys.clear()
            await client.close()


@final
class OpenAIModel:
    """A model of OpenAI, Azure or any server that speaks Chat Completions.

    `name` is what options choose it by, `model` what the server calls it (a deployment's name on Azure; the same if left
    out). `api_key` and `base_url` are by default what the SDK reads: `OPENAI_API_KEY`, `OPENAI_BASE_URL`. `client` is an
    `AsyncOpenAI` or `AsyncAzureOpenAI` of the caller's, who closes it; a client made here is closed by the last swarm that
    uses the model. `profile` gives prices and window where the name does not tell. `limits` are the model's own, in place of
    the swarm's; models that the same server calls the same, with the same key, share what is allowed.
    `transport` is how requests reach the server: `"sdk"` on the SDK's own connections; `"sockets"`, HTTP/1.1 straight on
    sockets, or `"aiohttp"`, the SDK's aiohttp client (the extra `fast`), for about a quarter less CPU. On trio, where aiohttp
    does not run, that one uses sockets.
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
        limits: Limits | None = None,
        connection: OpenAIConnection | None = None,
        transport: Transport = "sdk",
    ) -> None:
        self._name = name
        self._model = model or name
        self._profile = profile or profile_of(self._model)
        _check_limits(limits)
        self._limits = limits
        self._shared = connection
        self._users = 0
        self._connection = connection or OpenAIConnection(
            api_key=api_key, base_url=base_url, client=client, transport=_known(transport)
        )

    @property
    def name(self) -> str:
        """The name by which options choose it."""
        return self._name

    @property
    def profile(self) -> Profile:
        """Its window, prices and dates."""
        return self._profile

    @property
    def limits(self) -> Limits | None:
        """Its own limits, if it has any."""
        return self._limits

    @property
    def endpoint(self) -> str:
        """Which model of which server answers: what caches of replies go by."""
        return self._connection.endpoint(self._model)

    @property
    def limit_key(self) -> str:
        """The name of the rate limit that it counts against; it tells neither endpoint nor key."""
        return self._connection.limit_key(self._model)

    async def ready(self) -> None:
        """Import the SDK and make its client, in a worker thread: that takes about a second, for which nobody else waits."""
        await anyio.to_thread.run_sync(self._connection.prepare)
        self._users += 1

    async def complete(self, request: ChatRequest, on_text: OnText | None = None) -> ChatReply:
        """One attempt of one call: one HTTP request. Raises a `ModelError`."""
        from swarmlet.models.openai_calls import attempt
        from swarmlet.models.openai_wire import request_body

        poster = self._connection.poster
        body = request_body(request, self._profile, model=self._model, streamed=on_text is not None)
        return await attempt(poster, body, on_text, self._connection.clean)

    async def aclose(self) -> None:
        """Close the client, if it is this model's own and nobody else who called `ready` uses it still."""
        self._users = max(0, self._users - 1)
        if self._shared is None and not self._users:
            await self._connection.aclose()


def _http_client(transport: Transport) -> AsyncClient:
    if transport == "sdk":
        from swarmlet.models.openai_pools import PoolsClient

        return PoolsClient()
    if transport == "aiohttp":
        from swarmlet.models.openai_aiohttp import AioHttpClient

        return AioHttpClient()
    from swarmlet.models.openai_http import SocketsClient

    return SocketsClient()


def _known(transport: Transport) -> Transport:
    given: object = transport
    if given not in ("sdk", "sockets", "aiohttp"):
        raise GraphError(f"OpenAIModel(transport=) is 'sdk', 'sockets' or 'aiohttp', not {given!r}")
    if given == "aiohttp" and find_spec("aiohttp") is None:
        raise GraphError("OpenAIModel(transport='aiohttp') needs aiohttp: pip install 'swarmlet[fast]'")
    return transport


def _check_limits(limits: object) -> None:
    if limits is None:
        return
    if not isinstance(limits, Limits):
        raise GraphError(f"OpenAIModel(limits=) takes Limits(...), not {limits!r}")
    if limits.tools != Limits().tools:
        raise GraphError("Limits(tools=) is a swarm's: a model calls no tools, so OpenAIModel(limits=) cannot bound them")

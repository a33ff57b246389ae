"""Posting requests: the SDK makes the first one, and those that follow are the same but for their body.

Of a client that is made here, nothing that the SDK puts at the head of a request (address, key, organisation, timeouts) ever
changes, and making it again for each one costs more than to send it. The SDK's HTTP client still sends every request, with its
proxies, redirects and cookies, and what goes wrong is told as the SDK tells it. A client of the user's makes each request
itself: its key may be renewed, and Azure's address depends on the model.
"""

from __future__ import annotations

import json
import ssl
from contextlib import contextmanager
from typing import TYPE_CHECKING, cast, final

import anyio
import httpx2
import openai

if TYPE_CHECKING:
    from collections.abc import AsyncIterable, Generator

    from swarmlet.models.openai_wire import Body

_PATH = "/chat/completions"
_Stream = openai.AsyncStream[object]
_LOST = (httpx2.RequestError, ssl.SSLError, anyio.EndOfStream)
"""What the SDK takes for a lost connection."""
_encode = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"), allow_nan=False).encode
"""As the SDK writes a body."""


@final
class Poster:
    """Posts chat requests by `client`. `http` is its HTTP client, where both were made here."""

    def __init__(self, client: openai.AsyncOpenAI, http: httpx2.AsyncClient | None = None) -> None:
        self.client = client
        self._http = http
        self._head: _Head | None = None

    async def post(self, body: Body) -> tuple[httpx2.Response, bytes]:
        """The answer, and its body. Raises the SDK's `APIError` if none comes, or one that is an error."""
        if self._http is None or self._head is None:
            response = await self.client.post(_PATH, cast_to=httpx2.Response, body=body, options=_options(self.client))
            self._learn(response)
            return response, response.content
        request = self._head.request(body, self._http.cookies)
        with _told_as_by_sdk(request):
            response = await self._http.send(request, stream=True)
            try:
                if not response.is_success:
                    raise await _failure(response)
                return response, b"".join([part async for part in plain(response)])
            finally:
                await response.aclose()

    async def stream(self, body: Body) -> httpx2.Response:
        """The answer, of which only the head was read. Raises as `post` does."""
        if self._http is None or self._head is None:
            given = await self.client.post(
                _PATH, cast_to=httpx2.Response, body=body, options=_options(self.client), stream=True, stream_cls=_Stream
            )
            response = cast("httpx2.Response", given)  # the SDK's types forget that it gives what it was told to cast to
            self._learn(response)
            return response
        request = self._head.request(body, self._http.cookies)
        with _told_as_by_sdk(request):
            response = await self._http.send(request, stream=True)
            if not response.is_success:
                raise await _failure(response)
        return response

    def _learn(self, response: httpx2.Response) -> None:
        if not response.history:  # else the request went elsewhere in the end, which is not for us to remember
            self._head = _Head(response.request)


def plain(response: httpx2.Response) -> AsyncIterable[bytes]:
    """The body as it comes, unpacked: without the detours that httpx2 makes for other ways of reading it."""
    if "content-encoding" not in response.headers and isinstance(response.stream, httpx2.AsyncByteStream):
        return response.stream
    return response.aiter_bytes()


def _options(client: openai.AsyncOpenAI) -> openai.RequestOptions:
    """What the SDK would take by itself, but that it makes deep copies of its defaults for each request."""
    return {"headers": {}, "params": {}, "max_retries": 0, "timeout": client.timeout, "security": {"bearer_auth": True}}


@final
class _Head:
    """All of a request but its body."""

    __slots__ = ("_extensions", "_headers", "_url")

    def __init__(self, request: httpx2.Request) -> None:
        self._url = request.url
        self._headers = httpx2.Headers(request.headers)
        for own in ("content-length", "cookie"):
            self._headers.pop(own, None)
        self._extensions = request.extensions

    def request(self, body: Body, cookies: httpx2.Cookies) -> httpx2.Request:
        """A request with this body."""
        content = _encode(body).encode()
        headers = httpx2.Headers(self._headers, encoding="utf-8")  # else it tries encodings until one fits
        headers["Content-Length"] = str(len(content))
        stream = httpx2.ByteStream(content)
        request = httpx2.Request("POST", self._url, headers=headers, stream=stream, extensions=self._extensions)
        request.read()  # so that transports need not send it in chunks
        if cookies:
            cookies.set_cookie_header(request)
        return request


@contextmanager
def _told_as_by_sdk(request: httpx2.Request) -> Generator[None]:
    """Raise what goes wrong within as the SDK raises it."""
    try:
        yield
    except httpx2.TimeoutException as error:
        raise openai.APITimeoutError(request=request) from error
    except _LOST as error:
        raise openai.APIConnectionError(request=request) from error


async def _failure(response: httpx2.Response) -> openai.APIStatusError:
    """What the SDK raises for such an answer; `body` is the `error` that the server tells, or else all of its JSON or text."""
    try:
        await response.aread()
        body: object = response.json()
    except (ValueError, RecursionError):
        body = response.text.strip()
    if isinstance(body, dict):
        fields = cast("dict[str, object]", body)
        body = fields.get("error", fields)
    return openai.APIStatusError(f"Error code: {response.status_code}", response=response, body=body)

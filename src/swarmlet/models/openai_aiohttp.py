"""The SDK's aiohttp client, for the extra `fast`; on trio, where aiohttp does not run, the same as without it."""

from __future__ import annotations

import asyncio
from typing import Any, final

import httpx2
import openai

from swarmlet.models.openai_http import direct


class AioHttpClient(openai.DefaultAioHttpClient):
    """Takes for each request what the running event loop can use."""

    def _init_transport(
        self, *_: Any, **options: Any
    ) -> httpx2.AsyncBaseTransport:  # Any: httpx2's options have no public type
        return _Either(super()._init_transport(**options), direct(options))

    def _init_proxy_transport(self, proxy: httpx2.Proxy, *_: Any, **options: Any) -> httpx2.AsyncBaseTransport:  # Any: as above
        return _Either(super()._init_proxy_transport(proxy, **options), httpx2.AsyncHTTPTransport(proxy=proxy, **options))


@final
class _Either(httpx2.AsyncBaseTransport):
    """aiohttp's transport on asyncio, the other one elsewhere."""

    def __init__(self, on_asyncio: httpx2.AsyncBaseTransport, elsewhere: httpx2.AsyncBaseTransport) -> None:
        self._on_asyncio = on_asyncio
        self._elsewhere = elsewhere

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        """The head of the answer."""
        if not _on_asyncio():
            return await self._elsewhere.handle_async_request(request)
        try:
            return await self._on_asyncio.handle_async_request(request)
        except httpx2.ConnectTimeout as error:
            if isinstance(error.__cause__, TimeoutError):
                raise
            # what the SDK's transport calls so is any broken connection
            raise httpx2.ReadError(str(error)) from error.__cause__

    async def aclose(self) -> None:
        """Close the connections of both."""
        await self._on_asyncio.aclose()
        await self._elsewhere.aclose()


def _on_asyncio() -> bool:
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True

"""The SDK's own connections, each in a pool of its own, so that a request costs the same however many are under way.

httpcore2 looks at every connection of its pool, and asks the system about each that is free, whenever a request comes or goes:
with fifty connections that is a third of a call, with hundreds most of it.
"""

from __future__ import annotations

import math
import sys
from collections import deque
from functools import partial
from typing import TYPE_CHECKING, Any, final

import anyio
import httpx2
import openai

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

_ONE = httpx2.Limits(max_connections=1, max_keepalive_connections=1, keepalive_expiry=None)


class PoolsClient(openai.DefaultAsyncHttpxClient):
    """The SDK's HTTP client but for that: its timeouts and limits, and the proxies of the environment."""

    def _init_transport(
        self, *_: Any, **options: Any
    ) -> httpx2.AsyncBaseTransport:  # Any: httpx2's options have no public type
        limits: httpx2.Limits = options.pop("limits", openai.DEFAULT_CONNECTION_LIMITS)
        verify, cert, trust_env = options.pop("verify", True), options.pop("cert", None), options.get("trust_env", True)
        context = httpx2.create_ssl_context(verify=verify, cert=cert, trust_env=trust_env)  # takes 20 ms: one for all
        return Pools(partial(super()._init_transport, verify=context, limits=_ONE, **options), limits)


@final
class Pools(httpx2.AsyncBaseTransport):
    """Gives each request to the pool that was used last of those that are free; those that are not needed expire."""

    def __init__(self, make: Callable[[], httpx2.AsyncBaseTransport], limits: httpx2.Limits) -> None:
        self._make = make
        self._expiry = math.inf if limits.keepalive_expiry is None else limits.keepalive_expiry
        self._places = anyio.Semaphore(limits.max_connections or sys.maxsize, fast_acquire=True)
        self._all: set[httpx2.AsyncBaseTransport] = set()
        self._free: deque[tuple[float, httpx2.AsyncBaseTransport]] = deque()
        """Those that are free, after when they were left: the latest last."""

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        """The head of the answer; its body is still to be read, and gives the connection back."""
        await self._place(request)
        pool: httpx2.AsyncBaseTransport | None = None
        try:
            pool = await self._take()
            response = await pool.handle_async_request(request)
        except BaseException:
            self.give_back(pool)
            raise
        if isinstance(response.stream, httpx2.AsyncByteStream):
            response.stream = _Body(response.stream, partial(self.give_back, pool))
        return response

    async def _place(self, request: httpx2.Request) -> None:
        try:
            self._places.acquire_nowait()
        except anyio.WouldBlock:
            timeouts: dict[str, float | None] = request.extensions.get("timeout") or {}
            with anyio.move_on_after(timeouts.get("pool")) as scope:
                await self._places.acquire()
            if scope.cancelled_caught:
                raise httpx2.PoolTimeout("no connection became free", request=request) from None

    async def _take(self) -> httpx2.AsyncBaseTransport:
        expired = anyio.current_time() - self._expiry
        while self._free and self._free[0][0] < expired:
            _, pool = self._free.popleft()
            self._all.discard(pool)
            with anyio.CancelScope(shield=True):  # else a connection may be left open
                await pool.aclose()
        if self._free:
            return self._free.pop()[1]
        pool = self._make()
        self._all.add(pool)
        return pool

    def give_back(self, pool: httpx2.AsyncBaseTransport | None) -> None:
        """Its request is over, or there was none."""
        self._places.release()
        if pool is not None and pool in self._all:
            self._free.append((anyio.current_time(), pool))

    async def aclose(self) -> None:
        """Close all connections."""
        self._free.clear()
        while self._all:
            await self._all.pop().aclose()


@final
class _Body(httpx2.AsyncByteStream):
    """The body of an answer. Closing it gives the connection back."""

    __slots__ = ("_body", "_give_back")

    def __init__(self, body: httpx2.AsyncByteStream, give_back: Callable[[], None]) -> None:
        self._body = body
        self._give_back: Callable[[], None] | None = give_back

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self._body.__aiter__()

    async def aclose(self) -> None:
        give_back, self._give_back = self._give_back, None
        try:
            await self._body.aclose()
        finally:
            if give_back is not None:
                give_back()

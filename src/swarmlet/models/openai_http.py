"""How the SDK's requests reach the server: HTTP/1.1 by h11 over anyio's sockets, on asyncio and trio alike.

`SocketsClient` is the HTTP client that is handed to `AsyncOpenAI(http_client=)`. It is the SDK's own but for the transport of
requests that take no proxy: the connections of httpx2's pool cost half of a call, and with hundreds of calls at once the more,
the more of them there are. Here a connection that is free is taken from a stack, whatever their number.
"""

from __future__ import annotations

import select
import ssl
import sys
from collections import deque
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any, Self, TypeAlias, final

import anyio
import h11
import httpx2
import openai
from anyio.abc import SocketAttribute

if TYPE_CHECKING:
    from collections.abc import Generator, Mapping
    from socket import socket

    from anyio.abc import ByteStream

_Origin: TypeAlias = tuple[str, str, int | None]
_PIECE = 64 * 1024
"""Bytes that are read at once."""
_LONGEST_HEAD = 100 * 1024
_BROKEN = (anyio.BrokenResourceError, anyio.ClosedResourceError, OSError, ssl.SSLError)


def direct(options: Mapping[str, Any]) -> Direct:
    """The transport for what httpx2 wants of one. Any: its options have no public type."""
    verify, cert, trust_env = options.get("verify", True), options.get("cert"), options.get("trust_env", True)
    context = httpx2.create_ssl_context(verify=verify, cert=cert, trust_env=trust_env)
    return Direct(context, options.get("limits", openai.DEFAULT_CONNECTION_LIMITS))


class SocketsClient(openai.DefaultAsyncHttpxClient):
    """An HTTP client with the SDK's timeouts and limits and the proxies of the environment; without a proxy it is `Direct`."""

    def _init_transport(self, *_: Any, **options: Any) -> httpx2.AsyncBaseTransport:  # Any: see `direct`
        return direct(options)


@final
class Direct(httpx2.AsyncBaseTransport):
    """Sends requests over connections of its own, and keeps those that are free for `limits.keepalive_expiry` seconds."""

    def __init__(self, context: ssl.SSLContext, limits: httpx2.Limits) -> None:
        context.set_alpn_protocols(["http/1.1"])
        self._context = context
        self._expiry = limits.keepalive_expiry
        self._places = anyio.Semaphore(limits.max_connections or sys.maxsize, fast_acquire=True)
        self._free: dict[_Origin, deque[_Connection]] = {}
        self._closed = False

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        """The head of the answer; its body is still to be read, and gives the connection back."""
        timeouts = _Timeouts(request)
        try:
            self._places.acquire_nowait()
        except anyio.WouldBlock:
            with _told_as(httpx2.PoolTimeout), anyio.fail_after(timeouts.pool):
                await self._places.acquire()
        try:
            connection = await self._take(request, timeouts)
        except BaseException:
            self._places.release()
            raise
        try:
            head = await connection.exchange(request, timeouts)
        except BaseException:
            await self.give_back(connection)
            raise
        return httpx2.Response(
            head.status_code,
            headers=head.headers.raw_items(),
            stream=_Body(self, connection, timeouts),
            extensions={"http_version": b"HTTP/" + head.http_version, "reason_phrase": head.reason},
        )

    async def _take(self, request: httpx2.Request, timeouts: _Timeouts) -> _Connection:
        origin = request.url.scheme, request.url.host, request.url.port
        free = self._free.setdefault(origin, deque())
        now = anyio.current_time()
        while free and free[0].expires_at < now:
            await anyio.aclose_forcefully(free.popleft().stream)
        while free:
            connection = free.pop()  # the one used last: those that are not needed expire
            if not connection.readable():
                return connection
            await anyio.aclose_forcefully(connection.stream)  # the server has closed it, or says what nobody has asked for
        return _Connection(origin, await self._connect(request, timeouts))

    async def _connect(self, request: httpx2.Request, timeouts: _Timeouts) -> ByteStream:
        scheme, host = request.url.scheme, request.url.host
        if scheme not in ("http", "https"):
            raise httpx2.UnsupportedProtocol(f"Request URL has an unsupported protocol '{scheme}://'.")
        port = request.url.port or (443 if scheme == "https" else 80)
        name: str = request.extensions.get("sni_hostname") or host
        with _told_as(httpx2.ConnectTimeout, httpx2.ConnectError), anyio.fail_after(timeouts.connect):
            if scheme == "http":
                return await anyio.connect_tcp(host, port)
            return await anyio.connect_tcp(
                host, port, tls=True, ssl_context=self._context, tls_standard_compatible=False, tls_hostname=name
            )

    async def give_back(self, connection: _Connection) -> None:
        """Keep the connection if its answer was read to the end and both sides want to go on; else close it."""
        self._places.release()
        if self._closed or not connection.start_again():
            await anyio.aclose_forcefully(connection.stream)
            return
        connection.expires_at = anyio.current_time() + (self._expiry if self._expiry is not None else float("inf"))
        self._free[connection.origin].append(connection)

    async def aclose(self) -> None:
        """Close the connections that are free; those in use are closed by their answers."""
        self._closed = True
        for free in self._free.values():
            while free:
                await anyio.aclose_forcefully(free.pop().stream)


@final
class _Timeouts:
    """Seconds, as the SDK has set them for a request."""

    __slots__ = ("connect", "exchange", "pool", "read")

    def __init__(self, request: httpx2.Request) -> None:
        given: dict[str, float | None] = request.extensions.get("timeout") or {}
        self.connect: float | None = given.get("connect")
        self.read: float | None = given.get("read")
        self.pool: float | None = given.get("pool")
        write = given.get("write")
        self.exchange: float | None = None if self.read is None or write is None else self.read + write


@final
class _Connection:
    """One connection, on which requests are sent one after the other."""

    __slots__ = ("_http", "_socket", "expires_at", "origin", "stream")

    def __init__(self, origin: _Origin, stream: ByteStream) -> None:
        self.origin: _Origin = origin
        self.stream: ByteStream = stream
        self.expires_at: float = 0.0
        self._socket: socket = stream.extra(SocketAttribute.raw_socket)  # noqa: S610  # no Django here
        self._http: h11.Connection = h11.Connection(h11.CLIENT, max_incomplete_event_size=_LONGEST_HEAD)

    async def exchange(self, request: httpx2.Request, timeouts: _Timeouts) -> h11.Response:
        """Send a request, and give the head of its answer, for which the server may take the time of a write and a read."""
        content = await request.aread()
        with _told_as(None, httpx2.LocalProtocolError):
            head = h11.Request(method=request.method, target=request.url.raw_path, headers=request.headers.raw)
            sent = (self._http.send(head), self._http.send(h11.Data(content)), self._http.send(h11.EndOfMessage()))
        with _told_as(httpx2.ReadTimeout, httpx2.ReadError), anyio.fail_after(timeouts.exchange):
            with suppress(*_BROKEN):  # a server may close as soon as it knows its answer: read that
                await self.stream.send(b"".join(filter(None, sent)))
            while True:
                event = await self._next_event()
                if isinstance(event, h11.Response):
                    return event

    async def piece(self, timeouts: _Timeouts) -> bytes | None:
        """The next bytes of the answer's body; `None` at its end."""
        event = self._said()
        if event is h11.NEED_DATA:
            with _told_as(httpx2.ReadTimeout, httpx2.ReadError), anyio.fail_after(timeouts.read):
                event = await self._next_event()
        return bytes(event.data) if isinstance(event, h11.Data) else None

    async def _next_event(self) -> object:
        while (event := self._said()) is h11.NEED_DATA:
            try:
                data = await self.stream.receive(_PIECE)
            except anyio.EndOfStream:
                data = b""
            if not data and self._http.their_state is h11.SEND_RESPONSE:
                raise httpx2.RemoteProtocolError("Server disconnected without sending a response.")
            self._http.receive_data(data)
        return event

    def _said(self) -> object:
        """What the server says next, as far as it was received."""
        try:  # not `_told_as`, which costs more than the event
            return self._http.next_event()
        except h11.ProtocolError as error:
            raise httpx2.RemoteProtocolError(str(error)) from error

    def readable(self) -> bool:
        """Whether something has come though nothing was asked; most often it is the end of the connection."""
        number = self._socket.fileno()
        if number < 0:
            return True
        if sys.platform == "win32":
            return bool(select.select([number], [], [], 0)[0])
        poll = select.poll()
        poll.register(number, select.POLLIN)
        return bool(poll.poll(0))

    def start_again(self) -> bool:
        """Make ready for the next request; whether that is possible."""
        if self._http.our_state is h11.DONE and self._http.their_state is h11.DONE:
            self._http.start_next_cycle()
            return True
        return False


@final
class _Body(httpx2.AsyncByteStream):
    """The body of an answer. No async generator: one that is left half way is a leak to trio."""

    __slots__ = ("_closed", "_connection", "_timeouts", "_transport")

    def __init__(self, transport: Direct, connection: _Connection, timeouts: _Timeouts) -> None:
        self._transport = transport
        self._connection = connection
        self._timeouts = timeouts
        self._closed = False

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> bytes:
        piece = await self._connection.piece(self._timeouts)
        if piece is None:
            raise StopAsyncIteration
        return piece

    async def aclose(self) -> None:
        if not self._closed:
            self._closed = True
            await self._transport.give_back(self._connection)


@contextmanager
def _told_as(late: type[httpx2.TransportError] | None, broken: type[httpx2.TransportError] | None = None) -> Generator[None]:
    """Raise what goes wrong within as an error of httpx2, which the SDK knows: `late` for a timeout, `broken` for the rest."""
    try:
        yield
    except TimeoutError as error:
        if late is None:
            raise
        raise late(str(error)) from error
    except (*_BROKEN, h11.ProtocolError) as error:
        if broken is None:
            raise
        raise broken(str(error)) from error

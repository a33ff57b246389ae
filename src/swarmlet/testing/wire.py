"""HTTP/1.1 on one connection: h11 reads and writes it, anyio carries it. It never hears of completions."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import anyio
from anyio.abc import ByteStream

from swarmlet.testing.bodies import Delivery

try:
    import h11
except ImportError as _missing:
    raise ImportError(
        "The scripted server needs h11, which comes with the extra 'testing': pip install 'swarmlet[testing]'"
    ) from _missing

ProtocolError = h11.RemoteProtocolError
"""What came from the client is no HTTP/1.1."""

_MOST_BYTES = 65_536
_LOST = (anyio.BrokenResourceError, anyio.ClosedResourceError)


@dataclass(frozen=True)
class HttpRequest:
    """One request as HTTP has it; header names in lower case, the path without its query."""

    method: str
    path: str
    headers: Mapping[str, str]
    body: bytes


class Connection:
    """The server's side of one connection, one request after another."""

    def __init__(self, stream: ByteStream) -> None:
        self._stream = stream
        self._http = h11.Connection(h11.SERVER)

    async def next_request(self) -> HttpRequest | None:
        """Read one request; `None` when the client is done with this connection.

        Raises:
            h11.RemoteProtocolError: what came is no HTTP/1.1.
        """
        if self._http.our_state is h11.DONE and self._http.their_state is h11.DONE:
            self._http.start_next_cycle()
        if self._http.our_state is not h11.IDLE:
            return None
        head = await self._event()
        if not isinstance(head, h11.Request):
            return None
        body = bytearray()
        while isinstance(event := await self._event(), h11.Data):
            body += event.data
        if not isinstance(event, h11.EndOfMessage):
            return None
        headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in head.headers}
        path = head.target.decode("latin-1").partition("?")[0]
        return HttpRequest(head.method.decode("ascii"), path, headers, bytes(body))

    async def _event(self) -> h11.Event | type[h11.NEED_DATA] | type[h11.PAUSED]:
        while (event := self._http.next_event()) is h11.NEED_DATA:
            data = await self._receive()
            if not data and self._http.their_state is h11.SEND_BODY:
                return h11.ConnectionClosed()  # a client that was cancelled in the middle of a request breaks no rule
            self._http.receive_data(data)
        return event

    async def _receive(self) -> bytes:
        try:
            return await self._stream.receive(_MOST_BYTES)
        except (anyio.EndOfStream, *_LOST):
            return b""

    async def hung_up(self) -> None:
        """Return once the client has closed the connection; what it sends before that is kept."""
        while data := await self._receive():
            self._http.receive_data(data)

    async def send(self, delivery: Delivery) -> bool:
        """Send a response, cut where it says so; whether the client was there to take it."""
        try:
            await (self._cut_off(delivery) if delivery.cut else self._whole(delivery))
        except _LOST:
            return False
        return True

    async def _whole(self, delivery: Delivery) -> None:
        *early, last = delivery.pieces
        await self._stream.send(self._head(delivery))
        for piece in early:
            await self._piece(delivery, piece)
        await _wait(delivery)
        # The end goes out with the last piece: a client may close as soon as it has read that.
        await self._stream.send(self._data(last) + (self._http.send(h11.EndOfMessage()) or b""))

    async def _cut_off(self, delivery: Delivery) -> None:
        if delivery.kept is not None:
            await self._stream.send(self._head(delivery))
            pieces = delivery.pieces if delivery.stream else (b"".join(delivery.pieces)[: delivery.kept],)
            for piece in pieces[: delivery.kept]:
                await self._piece(delivery, piece)
        self._http.send_failed()

    async def _piece(self, delivery: Delivery, piece: bytes) -> None:
        await _wait(delivery)
        await self._stream.send(self._data(piece))

    def _head(self, delivery: Delivery) -> bytes:
        length = sum(map(len, delivery.pieces))
        framing = {"transfer-encoding": "chunked"} if delivery.stream else {"content-length": str(length)}
        headers = list({**delivery.headers, **framing}.items())
        return self._http.send(h11.Response(status_code=delivery.status, headers=headers)) or b""

    def _data(self, piece: bytes) -> bytes:
        return self._http.send(h11.Data(data=piece)) or b""


async def _wait(delivery: Delivery) -> None:
    if not delivery.stream:
        return
    if delivery.pause:
        await anyio.sleep(delivery.pause)
    if delivery.gate is not None:
        await delivery.gate.passing()

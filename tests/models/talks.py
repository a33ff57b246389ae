"""Servers that do on their connections what a test says."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Awaitable, Callable, Coroutine
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, TypeAlias

import anyio
from anyio.abc import SocketAttribute, SocketStream

from swarmlet.models.base import ChatRequest, Message
from swarmlet.models.openai import OpenAIModel

if TYPE_CHECKING:
    from swarmlet.models.openai import Transport

REQUEST = ChatRequest(model="gpt-4o-mini", messages=(Message.user("hi"),))
BODY = b'{"choices": [{"message": {"content": "ok"}, "finish_reason": "stop"}]}'
WHOLE = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n%b" % (len(BODY), BODY)

Talk: TypeAlias = Callable[[SocketStream, int], Awaitable[None]]
"""What a server does on a connection; the number says which one it is, from 1."""


class Server:
    """A server that does on each connection what a test says."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.connections = 0


@asynccontextmanager
async def serving(talk: Talk) -> AsyncGenerator[Server]:
    """Such a server."""

    async def converse(stream: SocketStream) -> None:
        server.connections += 1
        async with stream:
            await talk(stream, server.connections)

    async with await anyio.create_tcp_listener(local_host="127.0.0.1") as listener, anyio.create_task_group() as group:
        server = Server(f"http://127.0.0.1:{listener.extra(SocketAttribute.local_port)}/v1")
        group.start_soon(listener.serve, converse)
        with anyio.fail_after(10):
            yield server
        group.cancel_scope.cancel()


async def heard(stream: SocketStream) -> bytes:
    """One request."""
    seen = b""
    while b"\r\n\r\n" not in seen or not seen.endswith(b"}"):
        try:
            seen += await stream.receive()
        except anyio.EndOfStream:
            return b""
    return seen


async def polite(stream: SocketStream, _: int) -> None:
    """Answers each request."""
    while await heard(stream):
        await stream.send(WHOLE)


@asynccontextmanager
async def asking(server: Server, transport: Transport = "sockets") -> AsyncGenerator[Callable[[], Coroutine[None, None, str]]]:
    """Asks a model at this server."""
    model = OpenAIModel("gpt-4o-mini", base_url=server.url, api_key="sk-scripted", transport=transport)

    async def ask() -> str:
        return (await model.complete(REQUEST)).text

    try:
        yield ask
    finally:
        await model.aclose()

"""The SDK's connections, one to a pool: shared like one pool's, and closed when they are not needed."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

import anyio
import httpx2
import pytest
from anyio.abc import SocketStream

from swarmlet.models.openai import OpenAIModel
from swarmlet.models.openai_pools import Pools
from swarmlet.testing import Hang, ScriptedServer
from tests.models.talks import REQUEST, WHOLE, Server, asking, heard, polite, serving

pytestmark = pytest.mark.anyio


async def test_calls_one_after_the_other_share_a_connection() -> None:
    async with serving(polite) as server, asking(server, "sdk") as ask:
        assert [await ask() for _ in range(5)] == ["ok"] * 5
        assert server.connections == 1


async def test_calls_at_once_have_a_connection_each_and_leave_it_to_later_ones() -> None:
    everybody = anyio.Event()

    async def talk(stream: SocketStream, number: int) -> None:
        while await heard(stream):
            if number == 20:
                everybody.set()
            await everybody.wait()
            await stream.send(WHOLE)

    async with serving(talk) as server, asking(server, "sdk") as ask:
        for _ in range(3):
            async with anyio.create_task_group() as group:
                for _ in range(20):
                    group.start_soon(ask)
        assert server.connections == 20


async def test_a_connection_that_the_server_has_closed_meanwhile_is_not_used() -> None:
    closed = anyio.Event()

    async def talk(stream: SocketStream, _: int) -> None:
        await heard(stream)
        await stream.send(WHOLE)
        await stream.send_eof()
        closed.set()
        await heard(stream)

    async with serving(talk) as server, asking(server, "sdk") as ask:
        assert await ask() == "ok"
        await closed.wait()
        await anyio.wait_all_tasks_blocked()
        assert await ask() == "ok"
        assert server.connections == 2


async def test_a_connection_that_was_free_for_long_is_closed_and_not_used_again() -> None:
    ended: list[int] = []

    async def talk(stream: SocketStream, number: int) -> None:
        await polite(stream, number)
        ended.append(number)

    async with serving(talk) as server, client(httpx2.Limits(keepalive_expiry=-1)) as http:
        for _ in range(3):
            assert (await http.post(server.url, content=b"{}")).status_code == 200
        await anyio.wait_all_tasks_blocked()
        assert server.connections == 3
        assert ended == [1, 2]


async def test_no_more_connections_are_opened_than_allowed_and_the_wait_for_one_has_its_timeout() -> None:
    async with serving(lambda stream, _: heard_for_ever(stream)) as server:
        async with client(httpx2.Limits(max_connections=1)) as http, anyio.create_task_group() as group:
            group.start_soon(ask_in_vain, http, server)
            await anyio.wait_all_tasks_blocked()
            with pytest.raises(httpx2.PoolTimeout):
                await http.post(server.url, content=b"{}", timeout=httpx2.Timeout(5, pool=0.01))
            group.cancel_scope.cancel()
        assert server.connections == 1


async def test_a_call_that_waits_for_a_connection_gets_the_first_that_is_free() -> None:
    async with serving(polite) as server, client(httpx2.Limits(max_connections=2)) as http:
        async with anyio.create_task_group() as group:
            for _ in range(10):
                group.start_soon(ask_once, http, server)
        assert server.connections <= 2


async def test_closing_closes_every_connection(scripted_server: ScriptedServer) -> None:
    scripted_server.script("ok", Hang())
    model = OpenAIModel("gpt-4o-mini")
    await model.complete(REQUEST)
    async with anyio.create_task_group() as group:
        group.start_soon(model.complete, REQUEST)
        await scripted_server.wait_for_async(in_flight=1)
        group.cancel_scope.cancel()
    await scripted_server.wait_for_async(disconnects=1, idle=True)
    await model.aclose()


async def heard_for_ever(stream: SocketStream) -> None:
    while await heard(stream):
        pass


async def ask_once(http: httpx2.AsyncClient, server: Server) -> None:
    assert (await http.post(server.url, content=b"{}")).status_code == 200


async def ask_in_vain(http: httpx2.AsyncClient, server: Server) -> None:
    await http.post(server.url, content=b"{}")


@asynccontextmanager
async def client(limits: httpx2.Limits) -> AsyncGenerator[httpx2.AsyncClient]:
    one = httpx2.Limits(max_connections=1, keepalive_expiry=None)
    transport = Pools(lambda: httpx2.AsyncHTTPTransport(limits=one), limits)
    async with httpx2.AsyncClient(transport=transport, timeout=5) as http:
        yield http

"""The connections under the SDK: kept while they are of use, and closed when they are not."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

import anyio
import httpx2
import pytest
from anyio.abc import SocketStream

from swarmlet.errors import GraphError, ModelUnavailable
from swarmlet.models.openai import OpenAIModel
from swarmlet.models.openai_http import Direct
from swarmlet.testing import Hang, ScriptedServer
from tests.models.talks import BODY, REQUEST, WHOLE, Server, asking, heard, polite, serving

pytestmark = pytest.mark.anyio


async def test_calls_one_after_the_other_share_a_connection() -> None:
    async with serving(polite) as server, asking(server) as ask:
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

    async with serving(talk) as server, asking(server) as ask:
        for _ in range(3):
            async with anyio.create_task_group() as group:
                for _ in range(20):
                    group.start_soon(ask)
        assert server.connections == 20


async def test_a_connection_that_the_server_has_closed_meanwhile_is_not_used() -> None:
    closed = anyio.Event()

    async def talk(stream: SocketStream, number: int) -> None:
        await heard(stream)
        await stream.send(WHOLE)
        await stream.send_eof()
        closed.set()
        await heard(stream)

    async with serving(talk) as server, asking(server) as ask:
        assert await ask() == "ok"
        await closed.wait()
        await anyio.wait_all_tasks_blocked()
        assert await ask() == "ok"
        assert server.connections == 2


async def test_a_server_that_wants_to_close_after_its_answer_gets_a_new_connection_next_time() -> None:
    async def talk(stream: SocketStream, _: int) -> None:
        await heard(stream)
        await stream.send(WHOLE.replace(b"OK\r\n", b"OK\r\nconnection: close\r\n"))

    async with serving(talk) as server, asking(server) as ask:
        assert [await ask() for _ in range(3)] == ["ok"] * 3
        assert server.connections == 3


async def test_an_answer_without_a_length_ends_with_its_connection() -> None:
    async def talk(stream: SocketStream, _: int) -> None:
        await heard(stream)
        await stream.send(b"HTTP/1.0 200 OK\r\ncontent-type: application/json\r\n\r\n" + BODY)

    async with serving(talk) as server, asking(server) as ask:
        assert [await ask() for _ in range(2)] == ["ok"] * 2


async def test_what_a_server_says_before_its_answer_is_passed_over() -> None:
    async def talk(stream: SocketStream, _: int) -> None:
        while await heard(stream):
            await stream.send(b"HTTP/1.1 103 Early Hints\r\nlink: </x>\r\n\r\n")
            for at in range(len(WHOLE)):
                await stream.send(WHOLE[at : at + 1])

    async with serving(talk) as server, asking(server) as ask:
        assert [await ask() for _ in range(2)] == ["ok"] * 2
        assert server.connections == 1


async def test_an_answer_that_comes_before_the_request_was_read_is_an_answer() -> None:
    async def talk(stream: SocketStream, _: int) -> None:
        await stream.receive(1)
        await stream.send(WHOLE)

    async with serving(talk) as server, asking(server) as ask:
        assert await ask() == "ok"


@pytest.mark.parametrize(
    ("said", "words"),
    [
        (b"", "disconnected without sending a response"),
        (b"HTTP/1.1 200 OK\r\ncontent-", "cannot be reached"),
        (WHOLE[:-1], "without sending complete message body"),
        (b"SSH-2.0-OpenSSH\r\n\r\n", "illegal status line"),
        (b"HTTP/1.1 200 OK\r\nx: " + b"x" * 200_000, "Receive buffer too long"),
    ],
    ids=["nothing", "half a head", "half a body", "another protocol", "an endless head"],
)
async def test_an_answer_that_is_none_is_a_model_that_cannot_be_reached(said: bytes, words: str) -> None:
    async def talk(stream: SocketStream, _: int) -> None:
        await heard(stream)
        if said:
            await stream.send(said)

    async with serving(talk) as server, asking(server) as ask:
        with pytest.raises(ModelUnavailable, match=words):
            await ask()


async def test_a_server_that_is_not_there_cannot_be_reached() -> None:
    async with serving(polite) as server:
        pass
    async with asking(server) as ask:
        with pytest.raises(ModelUnavailable, match="cannot be reached"):
            await ask()


async def test_what_is_waited_for_in_vain_is_a_timeout() -> None:
    async def silent(stream: SocketStream, _: int) -> None:
        await anyio.sleep_forever()

    async def slow(stream: SocketStream, _: int) -> None:
        await heard(stream)
        await stream.send(WHOLE[:-1])
        await anyio.sleep_forever()

    for talk in (silent, slow):
        async with serving(talk) as server, client() as http:
            with pytest.raises(httpx2.ReadTimeout):
                await http.post(server.url, content=b"{}", timeout=httpx2.Timeout(5, read=0.01, write=0.01))


async def test_at_most_so_many_connections_are_open_and_who_waits_for_one_may_time_out() -> None:
    async def silent(stream: SocketStream, _: int) -> None:
        await anyio.sleep_forever()

    async with (
        serving(silent) as server,
        client(httpx2.Limits(max_connections=1)) as http,
        anyio.create_task_group() as group,
    ):
        group.start_soon(http.post, server.url)
        await anyio.wait_all_tasks_blocked()
        with pytest.raises(httpx2.PoolTimeout):
            await http.post(server.url, timeout=httpx2.Timeout(5, pool=0.02))
        group.cancel_scope.cancel()


async def test_a_connection_that_was_free_for_long_is_not_used_again() -> None:
    async with serving(polite) as server, client(httpx2.Limits(keepalive_expiry=-1)) as http:
        for _ in range(3):
            assert (await http.post(server.url, content=b"{}")).status_code == 200
        assert server.connections == 3


async def test_a_cancelled_call_closes_its_connection(scripted_server: ScriptedServer) -> None:
    scripted_server.script(Hang())
    model = OpenAIModel("gpt-4o-mini", transport="sockets")
    async with anyio.create_task_group() as group:
        group.start_soon(model.complete, REQUEST)
        await scripted_server.wait_for_async(in_flight=1)
        group.cancel_scope.cancel()
    await scripted_server.wait_for_async(disconnects=1, idle=True)
    await model.aclose()


async def test_a_proxy_of_the_environment_is_used(monkeypatch: pytest.MonkeyPatch) -> None:
    async def proxy(stream: SocketStream, _: int) -> None:
        while request := await heard(stream):
            assert request.startswith(b"POST http://model.test/v1/chat/completions HTTP/1.1\r\n")
            await stream.send(WHOLE)

    async with serving(proxy) as server:
        monkeypatch.setenv("HTTP_PROXY", server.url.removesuffix("/v1"))
        async with asking(Server("http://model.test/v1")) as ask:
            assert await ask() == "ok"
        assert server.connections == 1


@pytest.mark.parametrize("streamed", [False, True], ids=["whole", "streamed"])
async def test_aiohttp_carries_calls_where_it_runs_and_changes_nothing_elsewhere(
    scripted_server: ScriptedServer, streamed: bool
) -> None:
    pytest.importorskip("aiohttp")
    scripted_server.script("one", "two", Hang())
    model = OpenAIModel("gpt-4o-mini", transport="aiohttp")
    heard: list[str] = []
    on_text = heard.append if streamed else None

    assert [(await model.complete(REQUEST, on_text)).text for _ in range(2)] == ["one", "two"]
    async with anyio.create_task_group() as group:
        group.start_soon(model.complete, REQUEST, on_text)
        await scripted_server.wait_for_async(in_flight=1)
        group.cancel_scope.cancel()
    await scripted_server.wait_for_async(disconnects=1, idle=True)
    await model.aclose()

    assert "".join(heard) == ("onetwo" if streamed else "")


async def test_a_server_that_hangs_up_on_aiohttp_is_no_timeout() -> None:
    pytest.importorskip("aiohttp")

    async def talk(stream: SocketStream, _: int) -> None:
        await heard(stream)

    async with serving(talk) as server:
        model = OpenAIModel("gpt-4o-mini", base_url=server.url, api_key="sk-scripted", transport="aiohttp")
        with pytest.raises(ModelUnavailable, match=r"cannot be reached.*disconnected"):
            await model.complete(REQUEST)
        await model.aclose()


async def test_an_unknown_transport_is_refused() -> None:
    with pytest.raises(GraphError, match="'sdk', 'sockets' or 'aiohttp', not 'pigeons'"):
        OpenAIModel("gpt-4o-mini", transport="pigeons")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]


@asynccontextmanager
async def client(limits: httpx2.Limits | None = None) -> AsyncGenerator[httpx2.AsyncClient]:
    transport = Direct(httpx2.create_ssl_context(), limits or httpx2.Limits())
    async with httpx2.AsyncClient(transport=transport, timeout=5) as http:
        yield http

"""What the server tells the test at the end."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import anyio
import openai
import pytest
from openai import AsyncOpenAI, OpenAI

import swarmlet.testing
from swarmlet.testing import Hang, Request, ScriptedServer, ScriptError

from .asking import MODEL, ask, says, text_of
from .conftest import client_of

pytestmark = pytest.mark.anyio


async def test_a_call_without_a_reply_left_is_a_500_that_is_not_retried() -> None:
    async def surprise() -> None:
        async with ScriptedServer() as server, client_of(server) as client:
            retrying = client.with_options(max_retries=3)
            with pytest.raises(openai.InternalServerError):
                await ask(retrying, "surprise")
            assert len(server.requests) == 1

    with pytest.raises(ScriptError, match="request 1 was not expected, no reply is left: 'surprise'"):
        await surprise()


def test_a_reply_nobody_asked_for_is_reported() -> None:
    def script_too_much() -> None:
        with ScriptedServer() as server:
            server.script("used?")
            server.when("never", "used", times=2)
            server.when("any number, none included", "fine")

    with pytest.raises(ScriptError) as caught:
        script_too_much()

    assert len(caught.value.problems) == 2
    assert "used?" in caught.value.problems[0]
    assert "2 time(s) less" in caught.value.problems[1]


async def test_an_invalid_request_is_a_400_and_fails_the_test(lenient: ScriptedServer, lenient_client: AsyncOpenAI) -> None:
    lenient.script("not for this")

    with pytest.raises(openai.BadRequestError, match="tool"):
        await lenient_client.chat.completions.create(
            model=MODEL, messages=[{"role": "tool", "tool_call_id": "none", "content": ""}]
        )

    assert lenient.requests[0].model == MODEL
    assert "request 1 is invalid" in lenient.problems[0]
    assert await text_of(lenient_client) == "not for this"


async def test_another_path_is_a_404_and_fails_the_test(lenient: ScriptedServer, lenient_client: AsyncOpenAI) -> None:
    with pytest.raises(openai.NotFoundError, match="Invalid URL"):
        await lenient_client.embeddings.create(model="x", input="y")

    assert lenient.problems == ["unexpected request: POST /v1/embeddings"]
    assert lenient.requests == []


async def test_what_the_answering_function_raises_reaches_the_test(
    lenient: ScriptedServer, lenient_client: AsyncOpenAI
) -> None:
    def fail(request: Request) -> str:
        raise KeyError(request.model)

    lenient.answer(fail)

    with pytest.raises(openai.InternalServerError):
        await ask(lenient_client)
    with pytest.raises(ScriptError, match="raised KeyError") as caught:
        lenient.verify()
    assert isinstance(caught.value.__cause__, KeyError)


def test_an_error_of_the_test_itself_is_not_hidden() -> None:
    def fail() -> None:
        with ScriptedServer() as server:
            server.script("not asked for")
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()


async def test_what_is_no_http_is_reported(lenient: ScriptedServer) -> None:
    port = int(lenient.base_url.rpartition(":")[2].partition("/")[0])
    with anyio.fail_after(5):
        async with await anyio.connect_tcp("127.0.0.1", port) as stream:
            await stream.send(b"\x00\x01 nonsense\r\n\r\n")
            with pytest.raises(anyio.EndOfStream):
                await stream.receive()

    assert "no HTTP/1.1" in lenient.problems[0]


def test_it_works_beside_sync_code(server: ScriptedServer) -> None:
    server.script("sync")
    with OpenAI(base_url=server.base_url, api_key=server.api_key, max_retries=0) as client:
        reply = client.chat.completions.create(model=MODEL, messages=says("hi"))

    assert reply.choices[0].message.content == "sync"
    server.wait_for(requests=1, idle=True)
    with pytest.raises(TimeoutError, match="1 requests so far"):
        server.wait_for(2, timeout=0.01)


async def test_waiting_in_vain_times_out_and_can_be_cancelled(server: ScriptedServer) -> None:
    with pytest.raises(TimeoutError, match="not seen within"):
        await server.wait_for_async(1, timeout=0.01)
    with anyio.fail_after(5), anyio.move_on_after(0.01) as scope:
        await server.wait_for_async(1, timeout=60)
    assert scope.cancelled_caught


def test_a_server_that_is_not_running_has_no_url() -> None:
    with pytest.raises(RuntimeError, match="not running"):
        _ = ScriptedServer().base_url


def test_the_exports_are_what_can_be_imported() -> None:
    for name in swarmlet.testing.__all__:
        assert getattr(swarmlet.testing, name) is not None
    assert dir(swarmlet.testing) == sorted(swarmlet.testing.__all__)
    with pytest.raises(AttributeError, match="Nothing"):
        getattr(swarmlet.testing, "Nothing")  # noqa: B009 the type checkers know that it is not there


PLUGGED = """
from openai import OpenAI

def test_default_client(scripted_server) -> None:
    scripted_server.script("hello")
    with OpenAI() as client:
        reply = client.chat.completions.create(model="x", messages=[{"role": "user", "content": "hi"}])
    assert reply.choices[0].message.content == "hello"

def test_left_over(scripted_server) -> None:
    scripted_server.script("left over")
"""


def test_the_fixture_serves_a_default_client_and_verifies(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")
    monkeypatch.setenv("PYTHONPATH", str(Path(swarmlet.testing.__file__).parents[2]))
    (tmp_path / "test_plugged.py").write_text(PLUGGED)

    command = [sys.executable, "-m", "pytest", "-p", "swarmlet.testing.plugin", "-p", "no:cacheprovider"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False)

    assert "2 passed, 1 error" in done.stdout, done.stdout + done.stderr
    assert "never asked for" in done.stdout


def test_the_plugin_imports_nothing_heavy() -> None:
    code = (
        "import sys, pytest, swarmlet; before = set(sys.modules)\n"
        "import swarmlet.testing.plugin; print(sorted(set(sys.modules) - before))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "['swarmlet.testing', 'swarmlet.testing.plugin']"


def test_a_missing_h11_is_told_in_one_sentence() -> None:
    code = (
        "import sys; sys.modules['h11'] = None\n"
        "try:\n    from swarmlet.testing import ScriptedServer\n"
        "except ImportError as error:\n    print(error)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "pip install 'swarmlet[testing]'" in done.stdout


async def test_a_hanging_call_does_not_keep_the_server_from_closing(server: ScriptedServer) -> None:
    server.script(Hang())
    async with client_of(server) as client:
        with anyio.move_on_after(0.05):
            await ask(client)

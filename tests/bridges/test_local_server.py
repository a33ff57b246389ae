"""The server: it answers like OpenAI's, and nothing of it is left when the block, or this process, ends."""

from __future__ import annotations

import importlib.util
import json
import os
import signal
import sys
from pathlib import Path

import anyio
import pytest
from anyio.abc import Process
from openai import AsyncOpenAI, AuthenticationError, BadRequestError

from swarmlet.bridges.local import LocalModel, LocalModelError, find_weights, local_model

pytestmark = [
    pytest.mark.anyio,
    pytest.mark.skipif(sys.platform != "linux", reason="looks for processes in /proc"),
    # The SDK leaves its inner generators open when it has read "[DONE]", which trio remarks on.
    pytest.mark.filterwarnings("ignore:Async generator:ResourceWarning"),
]

SECONDS = 120
TICKET: dict[str, object] = {
    "type": "object",
    "properties": {
        "kind": {"type": "string", "enum": ["billing", "delivery", "other"]},
        "urgent": {"type": "boolean"},
    },
    "required": ["kind", "urgent"],
    "additionalProperties": False,
}


@pytest.fixture(scope="module")
def gguf() -> Path:
    """The real weights, fetched once into the cache; a reason to skip if they cannot be had."""
    if importlib.util.find_spec("xllamacpp") is None:
        pytest.skip("xllamacpp is not installed")
    try:
        return anyio.run(find_weights)
    except LocalModelError as error:
        pytest.skip(f"no weights: {error}")


def client_of(model: LocalModel) -> AsyncOpenAI:
    """A client that tries again: llama.cpp sometimes closes an idle connection just when a request goes out on it."""
    return AsyncOpenAI(base_url=model.base_url, api_key=model.api_key, max_retries=3, timeout=SECONDS)


def children(parent: int | None = None) -> set[int]:
    """The ids of the processes below `parent`, or below this one, that run a server."""
    found: set[int] = set()
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            state, above = (folder / "stat").read_text().rsplit(")", 1)[1].split()[:2]
            command = (folder / "cmdline").read_bytes()
        except (FileNotFoundError, ProcessLookupError):  # it has ended meanwhile
            continue
        if int(above) == (parent or os.getpid()) and state != "Z" and b"serve.py" in command:
            found.add(int(folder.name))
    return found


def alive(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0]
    except FileNotFoundError:
        return False
    return state != "Z"


@pytest.mark.real_model
async def test_it_speaks_as_openai_does_and_is_gone_after_the_block(gguf: Path) -> None:
    said: list[str] = []
    with anyio.fail_after(SECONDS):
        async with local_model(gguf=gguf, slots=2, on_progress=said.append) as model:
            assert len(children()) == 1
            async with client_of(model) as client:
                await plain_chat_is_counted(client, model)
                await a_schema_is_forced(client, model)
                await a_stream_ends_with_its_usage(client, model)
                await a_request_that_does_not_fit_is_refused(client, model)
        assert children() == set()
    assert said == [f"Starting {gguf.stem} on this machine"]
    assert model.api_key not in repr(model)


async def plain_chat_is_counted(client: AsyncOpenAI, model: LocalModel) -> None:
    assert [listed.id for listed in (await client.models.list()).data] == [model.name]
    reply = await client.chat.completions.create(
        model=model.name,
        messages=[{"role": "developer", "content": "Be short."}, {"role": "user", "content": "Say hello."}],
        max_completion_tokens=8,
    )
    assert reply.choices[0].message.content
    assert reply.usage is not None
    assert 0 < reply.usage.completion_tokens <= 8


async def a_schema_is_forced(client: AsyncOpenAI, model: LocalModel) -> None:
    reply = await client.chat.completions.create(
        model=model.name,
        messages=[{"role": "user", "content": "Write a poem about the sea."}],
        response_format={
            "type": "json_schema",
            "json_schema": {"name": "t", "strict": True, "schema": TICKET},
        },
        max_completion_tokens=60,
        temperature=1.5,
    )
    ticket = json.loads(reply.choices[0].message.content or "")
    assert set(ticket) == {"kind", "urgent"}
    assert ticket["kind"] in ("billing", "delivery", "other")


async def a_stream_ends_with_its_usage(client: AsyncOpenAI, model: LocalModel) -> None:
    stream = await client.chat.completions.create(
        model=model.name,
        messages=[{"role": "user", "content": "Count to five."}],
        max_completion_tokens=12,
        stream=True,
        stream_options={"include_usage": True},
    )
    chunks = [chunk async for chunk in stream]
    assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices)
    assert chunks[-1].usage is not None
    assert chunks[-1].usage.completion_tokens > 0


async def a_request_that_does_not_fit_is_refused(client: AsyncOpenAI, model: LocalModel) -> None:
    with pytest.raises(BadRequestError, match="context"):
        await client.chat.completions.create(
            model=model.name, messages=[{"role": "user", "content": "word " * 5000}], max_completion_tokens=1
        )


@pytest.mark.real_model
async def test_it_answers_only_to_its_key_and_a_tool_conversation_fits_its_template(gguf: Path) -> None:
    with anyio.fail_after(SECONDS):
        async with local_model(gguf=gguf) as model:
            async with AsyncOpenAI(base_url=model.base_url, api_key="guessed", max_retries=0) as stranger:
                with pytest.raises(AuthenticationError):
                    await stranger.chat.completions.create(model="any", messages=[])
            async with client_of(model) as client:
                await a_tool_conversation_is_answered(client, model)


async def a_tool_conversation_is_answered(client: AsyncOpenAI, model: LocalModel) -> None:
    reply = await client.chat.completions.create(
        model=model.name,
        messages=[
            {"role": "user", "content": "Where is order 42?"},
            {
                "role": "assistant",
                "tool_calls": [{"id": "1", "type": "function", "function": {"name": "find_order", "arguments": "{}"}}],
            },
            {"role": "tool", "tool_call_id": "1", "content": "It is in Paris."},
        ],
        tools=[{"type": "function", "function": {"name": "find_order", "parameters": {"type": "object"}}}],
        max_completion_tokens=20,
        temperature=0,
    )
    assert reply.usage is not None
    assert reply.usage.completion_tokens > 0


@pytest.mark.real_model
async def test_cancelling_in_the_middle_of_a_reply_leaves_no_server(gguf: Path) -> None:
    async def tell_a_long_story() -> None:
        async with local_model(gguf=gguf, slots=1) as model, client_of(model) as client:
            stream = await client.chat.completions.create(
                model=model.name,
                messages=[{"role": "user", "content": "Tell a very long story."}],
                stream=True,
            )
            async for _ in stream:
                started.set()

    started = anyio.Event()
    with anyio.fail_after(SECONDS):
        async with anyio.create_task_group() as group:
            group.start_soon(tell_a_long_story)
            await started.wait()
            assert len(children()) == 1
            group.cancel_scope.cancel()
    assert children() == set()


@pytest.mark.real_model
async def test_cancelling_during_the_start_leaves_no_server(gguf: Path) -> None:
    async def start() -> None:
        async with local_model(gguf=gguf, slots=1):
            await anyio.sleep_forever()

    with anyio.fail_after(SECONDS):
        async with anyio.create_task_group() as group:
            group.start_soon(start)
            while not children():  # noqa: ASYNC110 - the next process, in the middle of its start
                await anyio.sleep(0.001)
            group.cancel_scope.cancel()
    assert children() == set()


@pytest.mark.real_model
async def test_an_error_in_the_block_comes_out_as_it_is_and_leaves_no_server(gguf: Path) -> None:
    with anyio.fail_after(SECONDS):
        with pytest.raises(ZeroDivisionError):
            async with local_model(gguf=gguf, slots=1):
                raise ZeroDivisionError
    assert children() == set()


PARENT = """
import os, sys, anyio
from swarmlet.bridges.local import local_model

async def main():
    async with local_model(gguf=sys.argv[1], slots=1):
        if os.fork() == 0:  # a fork holds the server's pipe open for as long as it lives
            os.execvp("sleep", ["sleep", "600"]) if sys.argv[2] == "exec" else os.kill(os.getpid(), 19)
        print("up", flush=True)
        await anyio.sleep_forever()

anyio.run(main)
"""


@pytest.mark.real_model
@pytest.mark.parametrize("held", ["exec", "fork"])
async def test_a_killed_parent_takes_the_server_with_it(gguf: Path, held: str) -> None:
    command = [sys.executable, "-c", PARENT, str(gguf), held]
    parent = await anyio.open_process(command, stderr=None, start_new_session=True)
    try:
        with anyio.fail_after(SECONDS):
            server = await server_of(parent)
            assert alive(server)
            parent.kill()
            while alive(server):  # noqa: ASYNC110 - it is not our child, so there is nothing to wait for
                await anyio.sleep(0.01)
    finally:
        os.killpg(parent.pid, signal.SIGKILL)
        await parent.aclose()


async def server_of(parent: Process) -> int:
    """The id of the server process below `parent`, once that says it is up."""
    assert parent.stdout is not None
    said = b""
    while b"up" not in said:
        said += await parent.stdout.receive()
    [server] = children(parent.pid)
    return server


async def test_missing_xllamacpp_is_told_before_anything_is_fetched(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "xllamacpp", None)
    with pytest.raises(LocalModelError, match=r"needs xllamacpp.*pip install 'swarmlet\[local\]'"):
        async with local_model(gguf="no-such.gguf"):
            pytest.fail("started without xllamacpp")


@pytest.mark.skipif(importlib.util.find_spec("xllamacpp") is None, reason="xllamacpp is not installed")
async def test_a_server_that_cannot_load_its_model_says_why(tmp_path: Path) -> None:
    broken = tmp_path / "broken.gguf"
    broken.write_bytes(b"GGUF" + bytes(100))
    with (
        anyio.fail_after(SECONDS),
        pytest.raises(LocalModelError, match=r"did not start\. It said: ") as caught,
    ):
        async with local_model(gguf=broken):
            pytest.fail("started without a model")
    assert "load" in str(caught.value)
    assert children() == set()

"""The key stays out of everything that is kept or shown; with `capture=False` so do prompts and replies."""

from __future__ import annotations

import json
import traceback
from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

import anyio
import pytest
from pydantic import BaseModel

from swarmlet import Agent, OpenAIModel, PartialRun, RunError, Swarm, agent, tool
from swarmlet.testing import Call, CallTools, Fail, Garbage, Refuse, Say, ScriptedServer, StreamError, call
from swarmlet.trace.events import Event, event_adapter

from .helpers import FAST

pytestmark = pytest.mark.anyio

KEY = "sk-proj-Zm9vYmFyYmF6cXV4-0123456789"
ECHO = {"x-request-id": KEY, "x-echo": f"Bearer {KEY}"}


class Answer(BaseModel):
    number: int


@agent(Answer, repairs=1)
def ask(text: str) -> str:
    return text


@agent(str)
def say(text: str) -> str:
    return text


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[ScriptedServer]:
    with ScriptedServer(api_key=KEY) as server:
        monkeypatch.setenv("OPENAI_BASE_URL", server.base_url)
        monkeypatch.setenv("OPENAI_API_KEY", KEY)
        yield server


def chain(error: BaseException | None) -> Iterator[BaseException]:
    """An exception and everything that hangs on it."""
    seen: set[int] = set()
    waiting = [error]
    while waiting:
        one = waiting.pop()
        if one is None or id(one) in seen:
            continue
        seen.add(id(one))
        yield one
        waiting += [one.__cause__, one.__context__]
        if isinstance(one, BaseExceptionGroup):
            waiting += cast("BaseExceptionGroup[BaseException]", one).exceptions


def shown(error: BaseException) -> Iterator[str]:
    """Every text that an exception shows, or holds in its fields."""
    for one in chain(error):
        yield from (str(one), repr(one), repr(one.args), repr(vars(one)))
        yield from traceback.format_exception(one)
        yield from traceback.TracebackException.from_exception(one, capture_locals=True).format()


async def everything(node: Agent[[str], Any], text: str, *, streamed: bool, **settings: Any) -> list[str]:
    """All that a run leaves: events, values, errors, as text."""
    events: list[Event] = []
    texts: list[str] = []
    with anyio.fail_after(30):
        async with Swarm(**settings) as swarm:
            texts += [repr(swarm), repr(vars(swarm))]
            try:
                if streamed:
                    async with swarm.stream(node.with_options(retry=FAST), text) as stream:
                        async for event in stream:
                            events.append(event)
                    run: Any = stream.result
                else:
                    run = await swarm.run(node.with_options(retry=FAST), text)
                texts.append(repr(run.output))
            except RunError as error:
                run = error.run
                texts += shown(error)
    trace = run.trace
    events += trace.events
    texts += [repr(run), repr(trace)]
    texts += [event_adapter().dump_json(event).decode() + repr(event) for event in events]
    texts += [(trace.content(digest) or b"").decode() for event in trace.events for digest in digests(event)]
    return texts


def digests(event: Event) -> Iterator[Any]:
    for name in ("request", "reply", "arguments", "result", "output"):
        if getattr(event, name, None):
            yield getattr(event, name)
    yield from filter(None, getattr(event, "inputs", {}).values())


def body(**message: Any) -> str:
    return json.dumps({"choices": [{"message": message, "finish_reason": "stop"}], "model": KEY, "service_tier": KEY})


def sse(*deltas: Any) -> Garbage:
    chunks = [{"choices": [{"delta": delta}], "model": KEY} for delta in deltas]
    chunks.append({"choices": [{"delta": {}, "finish_reason": "stop"}]})
    text = "".join(f"data: {json.dumps(one)}\n\n" for one in chunks)
    return Garbage(text, content_type="text/event-stream")


LIES: dict[str, list[object]] = {
    "error body": [Fail(401, message=f"Incorrect API key provided: {KEY}", headers=ECHO)],
    "error that is tried again": [Fail(500, message=f"key {KEY}", code=KEY, kind=KEY, headers=ECHO)] * 4,
    "error in html": [Garbage(f"<html>{'x' * 480} {KEY}</html>", status=400, content_type="text/html")],
    "key across the cut": [Garbage("x" * 1975 + KEY, status=400, content_type="text/plain")],
    "garbage": [Garbage(f"<html>{KEY}</html>")] * 4,
    "garbage json": [Garbage(json.dumps({"choices": KEY, KEY: KEY}))] * 4,
    "error under 200": [Garbage(json.dumps({"error": {"message": KEY, "code": KEY}}))] * 4,
    "content type": [Garbage("{}", content_type=KEY)] * 4,
    "reply": [Garbage(body(content=KEY))] * 2,
    "escaped reply": [Garbage(body(content=KEY).replace(KEY[:4], "\\u0073k-p"))] * 2,
    "refusal": [Refuse(KEY, headers=ECHO)],
    "headers": [Say('{"number": 1}', headers=ECHO)],
}


@pytest.mark.parametrize("name", LIES)
async def test_a_server_that_echoes_the_key_does_not_get_it_into_the_record(server: ScriptedServer, name: str) -> None:
    server.script(*LIES[name])

    for text in await everything(ask, "hi", streamed=False):
        assert KEY not in text
        assert KEY[:16] not in text, "not the better half of it either"


STREAMED_LIES: dict[str, list[object]] = {
    "error event": [StreamError("x", after=1, error=Fail(500, message=KEY, code=KEY))] * 4,
    "content type": [Garbage("{}", content_type=KEY)] * 4,
    "garbage": [Garbage(f"data: {KEY}\n\n", content_type="text/event-stream")] * 4,
    "a piece": [sse({"content": f"it is {KEY}"})],
    "refusal": [sse({"refusal": KEY})],
    "headers": [Say("hello", headers=ECHO)],
}


@pytest.mark.parametrize("name", STREAMED_LIES)
async def test_a_stream_that_echoes_the_key_does_not_get_it_into_the_record(server: ScriptedServer, name: str) -> None:
    server.script(*STREAMED_LIES[name])

    for text in await everything(say, "hi", streamed=True):
        assert KEY not in text


async def test_a_key_in_pieces_is_not_in_the_recorded_reply(server: ScriptedServer) -> None:
    server.script(sse({"content": KEY[:9]}, {"content": KEY[9:]}))

    for text in await everything(say, "hi", streamed=True):
        assert KEY not in text


async def test_a_tool_call_that_holds_the_key_does_not_get_it_into_the_record(server: ScriptedServer) -> None:
    async def note(text: str) -> str:
        return text

    @agent(str, tools=[note])
    def work(text: str) -> str:
        return text

    server.script(CallTools([Call("note", json.dumps({"text": KEY}), KEY), call(KEY)]), "done")

    for text in await everything(work, "hi", streamed=False):
        assert KEY not in text


@pytest.mark.parametrize("bad", [f"{KEY}\nX", f"{KEY}\N{SNOWMAN}"])
async def test_a_key_that_cannot_be_sent_is_not_shown(bad: str) -> None:
    model = OpenAIModel("x", api_key=bad, base_url="http://127.0.0.1:9/v1")

    for text in await everything(say, "hi", streamed=False, model=model):
        assert KEY not in text


async def test_the_password_in_an_address_is_not_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_BASE_URL", "http://user:hunter2hunter2@127.0.0.1:9/v1?token=hunter2hunter2")

    for text in await everything(say, "hi", streamed=False):
        assert "hunter2" not in text


async def test_model_objects_do_not_show_their_key() -> None:
    model = OpenAIModel("x", api_key=KEY)

    assert KEY not in repr(model)
    assert KEY not in repr(vars(model))


async def test_headers_are_not_recorded(server: ScriptedServer) -> None:
    server.script("hello")

    for text in await everything(say, "hi", streamed=False):
        assert "authorization" not in text.lower()
        assert "bearer" not in text.lower()


# capture=False

WORDS = "the confidential words"


async def leak(text: str) -> str:
    raise ValueError(f"cannot use {text}")


@agent(Answer, tools=[leak], repairs=1)
def quiet(text: str) -> str:
    """These are confidential words too: the confidential words."""
    return text


@agent(str, tools=[tool(leak, on_error="raise")])
def loud(text: str) -> str:
    return text


async def recorded(tmp_path: Path, node: Agent[[str], Any]) -> bytes:
    """What a run leaves in its trace and its journal."""
    path = tmp_path / "journal.db"
    async with Swarm(capture=False, journal=path) as swarm:
        try:
            trace = (await swarm.run(node.with_options(retry=FAST), WORDS)).trace
        except RunError as error:
            trace = cast("PartialRun", error.run).trace
    events = b"".join(event_adapter().dump_json(event) for event in trace.events)
    assert all(trace.content(digest) is None for event in trace.events for digest in digests(event))
    return events + files(tmp_path)


def files(folder: Path) -> bytes:
    return b"".join(file.read_bytes() for file in folder.iterdir())


@pytest.mark.parametrize(
    ("node", "replies"),
    [
        (quiet, [call("leak", text=WORDS), call("leak", text=1), json.dumps({"number": WORDS}), '{"number": 1}']),
        (quiet, [WORDS, WORDS]),
        (quiet, [Refuse(WORDS)]),
        (quiet, [Fail(400, message=f"cannot read {WORDS}")]),
        (quiet, [Fail(500, message=f"cannot read {WORDS}"), '{"number": 1}']),
        (loud, [call("leak", text=WORDS)]),
    ],
)
async def test_without_capture_no_word_of_a_prompt_is_recorded(
    server: ScriptedServer, tmp_path: Path, node: Agent[[str], Any], replies: list[object]
) -> None:
    server.script(*replies)

    assert b"confidential" not in await recorded(tmp_path, node)


async def test_without_capture_a_prompt_function_that_fails_is_recorded_without_its_words(tmp_path: Path) -> None:
    @agent(str)
    def fails(text: str) -> str:
        raise ValueError(text)

    assert b"confidential" not in await recorded(tmp_path, fails)

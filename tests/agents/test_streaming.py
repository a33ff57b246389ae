"""Replies piece by piece: what a listener hears, and what happens when a stream goes wrong."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import anyio
import pytest
from anyio.abc import ByteStream

from swarmlet import ModelError, Node, OpenAIModel, Run, StepFailed, Swarm, agent
from swarmlet.errors import ModelUnavailable, QuotaExhausted, Refused, ReplyMalformed, ReplyTruncated
from swarmlet.testing import CallTools, Cut, Garbage, Quota, Refuse, Say, ScriptedServer, StreamError, Tokens, call
from swarmlet.trace.events import CallEnded, Event, TextDelta

from .helpers import because, ended, errors_of, partial, patient, say

pytestmark = pytest.mark.anyio

LONG = "a text that is long enough for several pieces"


def pieces(events: list[Event]) -> list[TextDelta]:
    return [event for event in events if isinstance(event, TextDelta)]


def text_of(events: list[Event]) -> str:
    return "".join(piece.text for piece in pieces(events))


async def streamed(node: Node[[str], str], text: str = "hi", events: list[Event] | None = None, **swarm: Any) -> Run[str]:
    """The run of a node that is listened to; its events are added to `events`."""
    with anyio.fail_after(30):
        async with Swarm(**swarm) as opened, opened.stream(node, text) as stream:
            async for event in stream:
                if events is not None:
                    events.append(event)
            return stream.result


async def broken(node: Node[[str], str], events: list[Event] | None = None) -> StepFailed:
    with pytest.raises(StepFailed) as caught:
        await streamed(node, events=events)
    return caught.value


def chunk(delta: Any, finish: str | None = None, **more: Any) -> str:
    """An event of a stream, as the API sends it."""
    return f"data: {json.dumps({'choices': [{'index': 0, 'delta': delta, 'finish_reason': finish}], **more})}\n\n"


def stream_of(*events: str) -> Garbage:
    return Garbage("".join(events), content_type="text/event-stream; charset=utf-8")


async def test_the_pieces_join_to_the_reply(scripted_server: ScriptedServer) -> None:
    scripted_server.script(Say(LONG, usage=Tokens(input=1000, cached=400, output=11)))
    events: list[Event] = []

    run = await streamed(say, events=events)

    assert run.output == text_of(events) == LONG
    assert len(pieces(events)) > 1
    assert {(piece.path, piece.turn, piece.attempt) for piece in pieces(events)} == {("say", 1, 1)}
    (call_,) = ended(run)
    assert call_.first_token is not None
    assert (run.usage.input_tokens, run.usage.cached_tokens, run.usage.output_tokens) == (1000, 400, 11)
    assert run.usage.usd > 0
    body = scripted_server.requests[0].body
    assert (body["stream"], body["stream_options"]) == (True, {"include_usage": True})
    assert not [event for event in run.trace.events if isinstance(event, TextDelta)], "pieces are not kept"


async def test_without_a_listener_nothing_is_streamed(scripted_server: ScriptedServer) -> None:
    scripted_server.script("hi")

    async with Swarm() as swarm:
        run = await swarm.run(say, "hi")

    assert not scripted_server.requests[0].stream
    assert ended(run)[0].first_token is None


async def test_tool_calls_come_in_pieces_too(scripted_server: ScriptedServer) -> None:
    async def find(city: str, country: str) -> str:
        return f"{city}, {country}"

    @agent(str, tools=[find])
    def guide(text: str) -> str:
        return text

    calls = [call("find", city="Oslo", country="Norway"), call("find", city="Lima", country="Peru")]
    scripted_server.script(CallTools(calls, text="let me look"), "done")
    events: list[Event] = []

    run = await streamed(guide, events=events)

    assert run.output == "done"
    assert list(scripted_server.requests[1].tool_results.values()) == ["Oslo, Norway", "Lima, Peru"]
    assert [(piece.turn, piece.text) for piece in pieces(events)] == [(1, "let me l"), (1, "ook"), (2, "done")]


@pytest.mark.parametrize("index", [{}, {"index": 0}, {"index": None}], ids=str)
async def test_calls_without_an_index_of_their_own_are_told_apart_by_id(
    scripted_server: ScriptedServer, index: dict[str, Any]
) -> None:
    async def double(number: int) -> int:
        return 2 * number

    @agent(str, tools=[double])
    def work(text: str) -> str:
        return text

    scripted_server.script(
        stream_of(
            chunk({"tool_calls": [{**index, "id": "a", "function": {"name": "double", "arguments": '{"number"'}}]}),
            chunk({"tool_calls": [{**index, "function": {"arguments": ": 1}"}}]}),
            chunk({"tool_calls": [{**index, "id": "b", "function": {"name": "double", "arguments": '{"number": 2}'}}]}),
            chunk({}, "tool_calls"),
        ),
        "done",
    )

    await streamed(work)

    assert scripted_server.requests[1].tool_results == {"a": "2", "b": "4"}


async def test_a_refusal_and_a_cut_reply_are_errors_of_their_own(scripted_server: ScriptedServer) -> None:
    scripted_server.script(Refuse("never"), Say("cut o", finish="length", usage=Tokens(input=10, output=2)))

    assert "never" in str(because(await broken(say), Refused))
    error = await broken(say)
    because(error, ReplyTruncated)
    assert partial(error).usage.output_tokens == 2


# Before the first text a call is tried again; after it never


@pytest.mark.parametrize(
    ("reply", "kind"),
    [
        (Cut(LONG), ModelUnavailable),
        (Cut(LONG, after=0), ModelUnavailable),
        (Cut(LONG, after=1), ModelUnavailable),
        (Cut(CallTools([call("f", city="Oslo")]), after=3), ModelUnavailable),
        (StreamError(LONG, after=0), ModelUnavailable),
        (StreamError(LONG, after=1), ModelUnavailable),
        (stream_of(chunk({"role": "assistant", "content": ""})), ModelUnavailable),
        (stream_of("data: [DONE]\n\n"), ModelUnavailable),
        (stream_of(""), ModelUnavailable),
        (stream_of("data: {nonsense\n\n", chunk({"content": "x"})), ReplyMalformed),
        (stream_of('data: {"choices": 3}\n\n', chunk({"content": "x"})), ReplyMalformed),
        (stream_of('data: {"error": "text"}\n\n', chunk({"content": "x"})), ReplyMalformed),
        (stream_of(chunk({"tool_calls": [{"id": "a"}]}), chunk({}, "tool_calls")), ReplyMalformed),
        (stream_of(f"data: {'x' * 3_000_000}\n\n", chunk({"content": "x"})), ReplyMalformed),
        (Garbage("<html>502</html>", content_type="text/html"), ReplyMalformed),
        (Garbage('{"choices": []}'), ReplyMalformed),
    ],
)
async def test_a_stream_that_breaks_before_its_first_text_is_tried_again(
    scripted_server: ScriptedServer, reply: object, kind: type[ModelError]
) -> None:
    scripted_server.script(reply, "at last")
    events: list[Event] = []

    run = await streamed(patient, events=events)

    assert run.output == "at last"
    assert errors_of(run) == [kind.__name__, None]
    assert {piece.attempt for piece in pieces(events)} == {2}


@pytest.mark.parametrize(
    ("reply", "kind"),
    [
        (Cut(LONG, after=3), ModelUnavailable),
        (StreamError(LONG, after=3), ModelUnavailable),
        (stream_of(chunk({"content": "a tex"})), ModelUnavailable),
        (stream_of(chunk({"content": "a tex"}), "data: {nonsense\n\n", chunk({"content": "x"})), ReplyMalformed),
        (stream_of(chunk({"content": "a tex"}), "data: [DONE]\n\n"), ModelUnavailable),
    ],
)
async def test_a_stream_that_breaks_after_its_first_text_is_not_tried_again(
    scripted_server: ScriptedServer, reply: object, kind: type[ModelError]
) -> None:
    scripted_server.script(reply)
    events: list[Event] = []

    error = await broken(patient, events)

    because(error, kind)
    assert text_of(events).startswith("a tex")
    assert len(scripted_server.requests) == 1
    assert [event.retry_in for event in events if isinstance(event, CallEnded)] == [None]


async def test_an_error_event_is_read_for_what_it_says(scripted_server: ScriptedServer) -> None:
    scripted_server.script(StreamError(LONG, after=1, error=Quota()))

    error = await broken(patient)

    assert "You exceeded your current quota" in str(because(error, QuotaExhausted))


async def test_what_a_stream_may_hold_beside_chunks_does_no_harm(scripted_server: ScriptedServer) -> None:
    scripted_server.script(
        stream_of(
            ": keep-alive\n\n",
            "retry: 10\n\n",
            "event: ping\ndata:\n\n",
            'data: {"choices": [], "prompt_filter_results": []}\n\n',
            'data: {"choices": null, "usage": null}\n\n',
            'data: {"choices": [{"delta": null}]}\n\n',
            chunk({"content": "h\u00e9\x00"}, model="m"),
            chunk({"content": "\N{GRINNING FACE}"}, "a-new-reason"),
            'data: {"choices": [], "usage": {"prompt_tokens": 7, "completion_tokens": null}}\n\n',
            "data: [DONE]\n\n",
            "data: nonsense\n\n",
        )
    )

    run = await streamed(say)

    assert run.output == "h\u00e9\x00\N{GRINNING FACE}"
    assert (run.usage.input_tokens, run.usage.output_tokens) == (7, 0)
    assert ended(run)[0].finish_reason == "a-new-reason"


async def listen(converse: Callable[[ByteStream], Any], task_status: Any) -> None:
    async with await anyio.create_tcp_listener(local_host="127.0.0.1") as listener:
        task_status.started(listener.extra(anyio.abc.SocketAttribute.local_port))
        await listener.serve(converse)


@pytest.mark.parametrize("after", [b"", b'data: {"choices": []}\n\n' * 3], ids=["silent", "talking"])
async def test_a_server_that_never_ends_its_stream_does_not_hold_the_reply(after: bytes) -> None:
    async def converse(stream: ByteStream) -> None:
        async with stream:
            while b"}" not in await stream.receive():
                pass
            body = (chunk({"content": "all of it"}, "stop") + "data: [DONE]\n\n").encode() + after
            head = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"
            await stream.send(head + b"%x\r\n%s\r\n" % (len(body), body))
            await anyio.sleep_forever()

    async with anyio.create_task_group() as group:

        async def serve(*, task_status: Any) -> None:
            await listen(converse, task_status)

        port = await group.start(serve)
        model = OpenAIModel("x", base_url=f"http://127.0.0.1:{port}/v1", api_key="k")
        assert (await streamed(say, model=model)).output == "all of it"
        group.cancel_scope.cancel()


async def test_two_listeners_hear_their_own_runs(scripted_server: ScriptedServer) -> None:
    scripted_server.answer(lambda request: f"answer to {request.messages[-1]['content']}" * 3)
    heard: dict[str, list[Event]] = {"one": [], "two": []}

    async with anyio.create_task_group() as group:
        for name, events in heard.items():
            group.start_soon(streamed, say, name, events)

    assert {name: text_of(events) for name, events in heard.items()} == {name: f"answer to {name}" * 3 for name in heard}

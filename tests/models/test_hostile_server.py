"""Bodies that no well-behaved server sends: each is a reply, or one clear error, and nothing is left open."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any

import pytest

from swarmlet.errors import ModelError, ModelUnavailable, ReplyMalformed
from swarmlet.models.base import ChatReply, ChatRequest, Message, ToolCall
from swarmlet.models.openai import OpenAIModel
from swarmlet.testing import Garbage, Say, ScriptedServer, Tokens

pytestmark = pytest.mark.anyio

REQUEST = ChatRequest(model="gpt-4o-mini", messages=(Message.user("hi"),))


async def ask(*, streamed: bool = False) -> ChatReply:
    """One attempt of one call."""
    model = OpenAIModel("gpt-4o-mini")
    try:
        return await model.complete(REQUEST, list[str]().append if streamed else None)
    finally:
        await model.aclose()


def completion(message: Any, **more: Any) -> Garbage:
    return Garbage(json.dumps({"choices": [{"message": message, "finish_reason": "stop"}], **more}))


def usage(**numbers: Any) -> Garbage:
    return completion({"content": "ok"}, usage=numbers)


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ("", "the body: Invalid JSON"),
        ("null", "the body"),
        ("[]", "the body"),
        ("{}", "it has no choices"),
        ("<html>502 Bad Gateway</html>", "the body: Invalid JSON"),
        (b"\xff\xfe\x00", "the body: Invalid JSON"),
        ("[" * 100_000, "the body: Invalid JSON"),
        ("x" * 20_000_000, "the body: Invalid JSON"),
        ('{"choices": []}', "it has no choices"),
        ('{"choices": null}', "it has no choices"),
        ('{"choices": {}}', "choices: Input should be a valid array"),
        ('{"choices": [{}]}', "choices.0.message: Field required"),
        ('{"choices": [{"message": null}]}', "choices.0.message"),
        ('{"choices": [{"message": {"content": 3}}]}', "choices.0.message.content"),
        ('{"choices": [{"message": {"content": "a\\ud800b"}}]}', "the body: Invalid JSON"),
        ('{"choices": [{"message": {"tool_calls": [{"id": "a"}]}}]}', "tool_calls.0.function: Field required"),
        ('{"choices": [{"message": {"tool_calls": [{"id": "a", "function": {}}]}}]}', "function.name: Field required"),
        ('{"choices": [{"message": {"tool_calls": [{"function": {"name": ""}}]}}]}', "function.name"),
        ('{"choices": [{"message": {"tool_calls": [{"function": {"name": "f", "arguments": {}}}]}}]}', "arguments"),
    ],
    ids=lambda one: str(one)[:40],
)
async def test_a_body_that_is_no_completion_says_what_is_wrong_with_it(
    scripted_server: ScriptedServer, body: str | bytes, words: str
) -> None:
    scripted_server.script(Garbage(body))

    with pytest.raises(ReplyMalformed) as caught:
        await ask()

    assert caught.value.retryable
    assert str(caught.value).startswith("the server's answer is not a chat completion: ")
    assert words in str(caught.value)
    assert len(str(caught.value)) < 500


async def test_an_error_under_a_status_that_says_all_is_well_is_read_as_an_error(scripted_server: ScriptedServer) -> None:
    scripted_server.script(Garbage('{"error": {"message": "upstream is down", "code": 502}}'))

    with pytest.raises(ModelUnavailable, match="upstream is down"):
        await ask()


@pytest.mark.parametrize("streamed", [False, True], ids=["whole", "streamed"])
@pytest.mark.parametrize("content_type", ["text/plain", "", "application/octet-stream"])
async def test_a_wrong_content_type_is_no_reason_to_lose_a_whole_reply(
    scripted_server: ScriptedServer, content_type: str, streamed: bool
) -> None:
    reply = completion({"content": "ok"})
    scripted_server.script(Garbage(reply.body, content_type=content_type))

    if streamed:
        with pytest.raises(ReplyMalformed, match="text/event-stream"):
            await ask(streamed=True)
    else:
        assert (await ask()).text == "ok"


@pytest.mark.filterwarnings("ignore:Exception ignored in.*async_generator")  # httpx2 leaves its own open here (trio)
@pytest.mark.parametrize("streamed", [False, True], ids=["whole", "streamed"])
async def test_a_body_that_cannot_be_unpacked_is_a_lost_connection(scripted_server: ScriptedServer, streamed: bool) -> None:
    scripted_server.script(Say("ok", headers={"content-encoding": "gzip"}))

    with pytest.raises(ModelUnavailable, match="decompressing"):
        await ask(streamed=streamed)


@pytest.mark.parametrize(
    ("status", "kind"),
    [(202, ReplyMalformed), (299, ReplyMalformed), (301, ModelError), (418, ModelError), (599, ModelUnavailable)],
)
async def test_odd_statuses_are_model_errors(scripted_server: ScriptedServer, status: int, kind: type[ModelError]) -> None:
    scripted_server.script(Garbage("", status=status))

    with pytest.raises(kind):
        await ask()


async def test_words_of_a_server_are_kept_up_to_a_length(scripted_server: ScriptedServer) -> None:
    scripted_server.script(Garbage("x" * 1_000_000, status=500, content_type="text/plain"))

    with pytest.raises(ModelUnavailable) as caught:
        await ask()

    assert len(str(caught.value)) < 3000


@pytest.mark.parametrize(
    ("message", "reply"),
    [
        ({"content": None}, ChatReply()),
        ({"content": ""}, ChatReply()),
        ({"content": "nul \x00 \N{GRINNING FACE}"}, ChatReply(text="nul \x00 \N{GRINNING FACE}")),
        ({"content": "a", "tool_calls": None, "unknown": {"x": 1}}, ChatReply(text="a")),
        ({"tool_calls": [{"function": {"name": "f"}}]}, ChatReply(tool_calls=(ToolCall("", "f", ""),))),
        (
            {"tool_calls": [{"id": None, "type": "function", "function": {"name": "f", "arguments": None}}]},
            ChatReply(tool_calls=(ToolCall("", "f", ""),)),
        ),
    ],
    ids=str,
)
async def test_what_may_be_missing_is_not_missed(scripted_server: ScriptedServer, message: Any, reply: ChatReply) -> None:
    scripted_server.script(completion(message, model=None, service_tier=None))

    found = await ask()

    assert (found.text, found.tool_calls, found.finish_reason) == (reply.text, reply.tool_calls, "stop")


async def test_an_unknown_finish_reason_is_kept_as_it_is(scripted_server: ScriptedServer) -> None:
    scripted_server.script(Garbage('{"choices": [{"message": {"content": "a"}, "finish_reason": "bored"}]}'))

    assert (await ask()).finish_reason == "bored"


@pytest.mark.parametrize(
    ("reply", "tokens"),
    [
        (completion({"content": "ok"}), (0, 0, 0)),
        (completion({"content": "ok"}, usage=None), (0, 0, 0)),
        (completion({"content": "ok"}, usage="many"), (0, 0, 0)),
        (completion({"content": "ok"}, usage=[1]), (0, 0, 0)),
        (usage(), (0, 0, 0)),
        (usage(prompt_tokens=None, completion_tokens=None, prompt_tokens_details=None), (0, 0, 0)),
        (usage(prompt_tokens=-5, completion_tokens=-1), (0, 0, 0)),
        (usage(prompt_tokens="7", completion_tokens={}), (0, 0, 0)),
        (usage(prompt_tokens=7.0, completion_tokens=2.9), (7, 0, 2)),
        (usage(prompt_tokens=float("inf"), completion_tokens=float("nan")), (0, 0, 0)),
        (usage(prompt_tokens=10**30, completion_tokens=1), (10**30, 0, 1)),
        (usage(prompt_tokens=5, completion_tokens=1, prompt_tokens_details={"cached_tokens": 9}), (5, 5, 1)),
        (usage(prompt_tokens=5, completion_tokens=1, prompt_tokens_details={"cached_tokens": None}), (5, 0, 1)),
        (usage(prompt_tokens=5, completion_tokens=1, prompt_tokens_details="none"), (5, 0, 1)),
        (usage(prompt_tokens=5, completion_tokens=1, prompt_tokens_details={"cached_tokens": -3}), (5, 0, 1)),
    ],
    ids=lambda one: one.body[-60:] if isinstance(one, Garbage) else str(one),
)
async def test_a_reply_is_not_lost_because_its_usage_is_absurd(
    scripted_server: ScriptedServer, reply: Garbage, tokens: tuple[int, int, int]
) -> None:
    scripted_server.script(reply)

    found = await ask()

    assert found.text == "ok"
    assert (found.input_tokens, found.cached_tokens, found.output_tokens) == tokens
    price = OpenAIModel("gpt-4o-mini").profile.usd(None, *tokens)
    assert price is not None
    assert price >= Decimal(0)


async def test_usage_and_tier_and_request_id_are_read(scripted_server: ScriptedServer) -> None:
    scripted_server.script(Say("ok", usage=Tokens(input=100, cached=64, output=3), service_tier="priority"))

    found = await ask()

    assert (found.input_tokens, found.cached_tokens, found.output_tokens) == (100, 64, 3)
    assert (found.service_tier, found.request_id, found.model) == ("priority", "req_000001", "gpt-4o-mini")

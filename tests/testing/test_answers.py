from __future__ import annotations

import json
from typing import Literal

import pytest
from openai import AsyncOpenAI
from openai.types.chat import ChatCompletion, ChatCompletionChunk, ChatCompletionFunctionToolParam
from pydantic import BaseModel

from swarmlet import agent, run
from swarmlet.testing import Call, CallTools, Hang, Refuse, Request, Say, ScriptedServer, Tokens, call

from .asking import MODEL, ask, chunks_of, says, streamed_text, text_of
from .conftest import client_of

# The SDK leaves its own async generators unfinished after [DONE], which trio reports.
pytestmark = [pytest.mark.anyio, pytest.mark.filterwarnings("ignore:Exception ignored in.*async_generator")]


class Person(BaseModel):
    name: str
    role: Literal["writer", "reviewer"]
    tags: list[str]
    boss: Person | None


class Place(BaseModel):
    value: str


@agent(Person | Place)
def person_or_place() -> str:
    return "who?"


@agent(list[Person])
def people() -> str:
    return "who?"


@agent(Place)
def place() -> str:
    return "where?"


WEATHER: ChatCompletionFunctionToolParam = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
    },
}


async def test_replies_come_in_the_order_of_the_script(server: ScriptedServer, client: AsyncOpenAI) -> None:
    server.script("one", Say("two"))
    server.reply("three")

    assert [await text_of(client) for _ in range(3)] == ["one", "two", "three"]
    assert [request.n for request in server.requests] == [1, 2, 3]


async def test_a_model_is_sent_as_its_json(server: ScriptedServer, client: AsyncOpenAI) -> None:
    ada = Person(name="Ada", role="writer", tags=[], boss=None)
    server.reply(ada)

    reply = await client.chat.completions.parse(model=MODEL, messages=says("who?"), response_format=Person)

    assert reply.choices[0].message.parsed == ada
    assert server.requests[0].schema is not None


async def test_one_of_a_union_is_sent_as_the_agent_asks_for_it(scripted_server: ScriptedServer) -> None:
    ada, oslo = Person(name="Ada", role="writer", tags=[], boss=None), Place(value="Oslo")
    scripted_server.script(ada, {"value": [ada]}, oslo)

    assert (await run(person_or_place)).output == ada
    assert (await run(people)).output == [ada]
    assert (await run(place)).output == oslo


async def test_tool_calls_carry_their_arguments_as_json(server: ScriptedServer, client: AsyncOpenAI) -> None:
    server.reply(tool_calls=[call("get_weather", city="Oslo"), Call("get_weather", "{broken", "call_x")])

    reply = await client.chat.completions.create(model=MODEL, messages=says("?"), tools=[WEATHER])

    choice = reply.choices[0]
    assert choice.finish_reason == "tool_calls"
    first, second = [c for c in choice.message.tool_calls or [] if c.type == "function"]
    assert json.loads(first.function.arguments) == {"city": "Oslo"}
    assert (second.id, second.function.arguments) == ("call_x", "{broken")
    assert list(server.requests[0].tools) == ["get_weather"]


async def test_a_refusal_has_no_content(server: ScriptedServer, client: AsyncOpenAI) -> None:
    server.script(Refuse("no"))

    message = (await ask(client)).choices[0].message

    assert (message.refusal, message.content) == ("no", None)


async def test_usage_and_finish_can_be_told(server: ScriptedServer, client: AsyncOpenAI) -> None:
    server.reply("cut", finish="length", usage=Tokens(input=2000, output=7, cached=1024, reasoning=3))
    server.reply("", finish="content_filter")

    first, second = await ask(client), await ask(client)

    usage = first.usage
    assert usage is not None
    assert (usage.prompt_tokens, usage.completion_tokens, usage.total_tokens) == (2000, 7, 2007)
    assert usage.prompt_tokens_details is not None
    assert usage.prompt_tokens_details.cached_tokens == 1024
    assert [first.choices[0].finish_reason, second.choices[0].finish_reason] == ["length", "content_filter"]


async def test_usage_is_counted_if_it_is_not_told(server: ScriptedServer, client: AsyncOpenAI) -> None:
    server.reply("x" * 40)

    usage = (await ask(client, "y" * 400)).usage

    assert usage is not None
    assert (usage.prompt_tokens, usage.completion_tokens) == (100, 10)


async def test_a_text_over_the_cap_is_cut_and_finishes_with_length(server: ScriptedServer, client: AsyncOpenAI) -> None:
    server.reply("x" * 40)

    reply = await client.chat.completions.create(
        model=MODEL, messages=says("hi"), max_completion_tokens=5, service_tier="priority"
    )

    assert reply.choices[0].message.content == "x" * 20
    assert reply.choices[0].finish_reason == "length"
    assert reply.service_tier == "priority"


async def test_several_choices_are_answered(server: ScriptedServer, client: AsyncOpenAI) -> None:
    server.reply("same")

    reply = await client.chat.completions.create(model=MODEL, messages=says("hi"), n=3)

    assert [(choice.index, choice.message.content) for choice in reply.choices] == [
        (0, "same"),
        (1, "same"),
        (2, "same"),
    ]


async def test_a_streamed_text_ends_with_finish_and_usage(server: ScriptedServer, client: AsyncOpenAI) -> None:
    server.reply("a text of several pieces", usage=Tokens(input=11, output=6))

    chunks = await chunks_of(client)

    assert chunks[0].choices[0].delta.role == "assistant"
    assert streamed_text(chunks) == "a text of several pieces"
    assert chunks[-2].choices[0].finish_reason == "stop"
    assert chunks[-1].choices == []
    assert [chunk.usage and chunk.usage.total_tokens for chunk in chunks] == [*[None] * (len(chunks) - 1), 17]


async def test_a_stream_has_usage_only_if_it_was_asked_for(server: ScriptedServer, client: AsyncOpenAI) -> None:
    server.reply("hi")
    stream = await client.chat.completions.create(model=MODEL, messages=says("hi"), stream=True)
    async with stream:
        chunks = [chunk async for chunk in stream]

    assert all(chunk.usage is None and chunk.choices for chunk in chunks)


async def test_streamed_tool_calls_come_in_fragments(server: ScriptedServer, client: AsyncOpenAI) -> None:
    server.script(CallTools([call("get_weather", city="Oslo"), call("get_weather", city="Lima")]))

    chunks = await chunks_of(client)

    deltas = [d for c in chunks for choice in c.choices for d in choice.delta.tool_calls or []]
    texts = ["", ""]
    for delta in deltas:
        assert delta.function is not None
        texts[delta.index] += delta.function.arguments or ""
    assert [json.loads(text) for text in texts] == [{"city": "Oslo"}, {"city": "Lima"}]
    assert len([delta for delta in deltas if delta.id]) == 2
    assert chunks[-2].choices[0].finish_reason == "tool_calls"


async def test_rules_come_before_the_queue_and_the_queue_before_the_function(
    server: ScriptedServer, client: AsyncOpenAI
) -> None:
    async def echo(request: Request) -> str:
        return request.last.upper()

    server.when("classify", "A", times=1)
    server.when(lambda request: request.model == "never", "no")
    server.script("queued")
    server.answer(echo)

    texts = [await text_of(client, text) for text in ("classify me", "classify again", "echo")]

    assert texts == ["A", "queued", "ECHO"]


async def test_samples_of_the_schema_run_documentation_code(server: ScriptedServer, client: AsyncOpenAI) -> None:
    server.answer_from_schema()

    parsed = await client.chat.completions.parse(model=MODEL, messages=says("?"), response_format=Person)
    called = await client.chat.completions.create(model=MODEL, messages=says("?"), tools=[WEATHER], tool_choice="required")

    person = parsed.choices[0].message.parsed
    assert person is not None
    assert (person.name, person.role, person.tags) == ("text", "writer", ["text"])
    (made,) = called.choices[0].message.tool_calls or []
    assert made.type == "function"
    assert made.function.arguments == '{"city":"text"}'
    assert await text_of(client) == "text"


async def test_a_request_is_read_through_a_typed_view(server: ScriptedServer, client: AsyncOpenAI) -> None:
    server.reply("fine")

    await client.chat.completions.create(
        model=MODEL,
        messages=[
            {"role": "developer", "content": "be brief"},
            {
                "role": "user",
                "content": [{"type": "text", "text": "part one"}, {"type": "text", "text": "two"}],
            },
            {
                "role": "assistant",
                "content": None,
                "tool_calls": [{"id": "c1", "type": "function", "function": {"name": "get_weather", "arguments": "{}"}}],
            },
            {"role": "tool", "tool_call_id": "c1", "content": "rain"},
        ],
        max_completion_tokens=99,
    )

    (request,) = server.requests
    assert request.system == "be brief"
    assert request.text == "be brief\n\npart one\ntwo\n\nrain"
    assert request.tool_results == {"c1": "rain"}
    assert (request.last, request.model, request.max_tokens, request.stream) == ("rain", MODEL, 99, False)
    assert request.headers["authorization"] == "Bearer sk-scripted"


async def test_bodies_are_what_the_sdk_types_say(server: ScriptedServer, client: AsyncOpenAI) -> None:
    server.script("text", Refuse(), call("get_weather", city="Oslo"))

    for _ in range(3):
        raw = await client.chat.completions.with_raw_response.create(model=MODEL, messages=says("hi"))
        completion = ChatCompletion.model_validate_json(raw.text, strict=True)
        assert not completion.model_extra
        assert completion.choices[0].message.annotations == []
    server.reply("streamed")
    for chunk in await chunks_of(client):
        ChatCompletionChunk.model_validate(chunk.to_dict(), strict=True)


async def test_a_named_tool_is_called_with_a_sample(server: ScriptedServer, client: AsyncOpenAI) -> None:
    server.answer_from_schema()

    reply = await client.chat.completions.create(
        model=MODEL,
        messages=says("?"),
        tools=[{"type": "function", "function": {"name": "other"}}, WEATHER],
        tool_choice={"type": "function", "function": {"name": "get_weather"}},
    )

    (made,) = reply.choices[0].message.tool_calls or []
    assert made.type == "function"
    assert made.function.name == "get_weather"


async def test_tokens_are_counted_as_the_test_likes() -> None:
    with ScriptedServer(count_tokens=lambda text: len(text.split())) as server:
        server.reply("three words here")
        async with client_of(server) as client:
            usage = (await ask(client, "two words")).usage

    assert usage is not None
    assert (usage.prompt_tokens, usage.completion_tokens) == (2, 3)


def test_only_a_completion_has_usage(server: ScriptedServer) -> None:
    with pytest.raises(TypeError, match="no completion"):
        server.reply(Hang(), usage=Tokens(input=1))


async def test_models_are_listed(server: ScriptedServer, client: AsyncOpenAI) -> None:
    assert [model.id async for model in client.models.list()] == ["gpt-4o-mini", "gpt-6-luna"]

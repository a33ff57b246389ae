"""The reply as a value of the declared type, and replies that are no answer."""

from __future__ import annotations

import enum
import json
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Literal

import pytest
from pydantic import BaseModel, ValidationError, field_validator
from typing_extensions import TypedDict

from swarmlet import GraphError, ModelError, agent
from swarmlet.errors import ContentFiltered, ContextTooLong, OutputInvalid, Refused, ReplyTruncated
from swarmlet.testing import CallTools, Overflow, Refuse, Say, ScriptedServer, Tokens, call

from .helpers import because, failure, outcome, partial, say

pytestmark = pytest.mark.anyio


class Ticket(BaseModel):
    title: str
    size: int


class Note(BaseModel):
    text: str


@dataclass
class Point:
    x: int
    y: int


class Place(TypedDict):
    city: str


class Color(enum.Enum):
    RED = "red"
    BLUE = "blue"


class Even(BaseModel):
    number: int

    @field_validator("number")
    @classmethod
    def _even(cls, number: int) -> int:
        if number % 2:
            raise ValueError("must be even")
        return number


@agent(Ticket)
def ticket(text: str) -> str:
    """You write tickets."""
    return text


@agent(Even)
def even(text: str) -> str:
    return text


def taking(output: Any, **settings: Any) -> Any:  # Any: types that are known at run time only
    @agent(output, **settings)
    def reply(text: str) -> str:
        return text

    return reply


@pytest.mark.parametrize(
    ("output", "text", "expected"),
    [
        (str, "plain", "plain"),
        (Ticket, '{"title": "a", "size": 1}', Ticket(title="a", size=1)),
        (Ticket | Note, '{"value": {"text": "b"}}', Note(text="b")),
        (Ticket | None, '{"value": null}', None),
        (list[Ticket], '{"value": [{"title": "a", "size": 1}]}', [Ticket(title="a", size=1)]),
        (list[int], '{"value": []}', []),
        (Literal["yes", "no"], '{"value": "no"}', "no"),
        (Point, '{"x": 1, "y": 2}', Point(1, 2)),
        (Place, '{"city": "Oslo"}', {"city": "Oslo"}),
        (Color, '{"value": "blue"}', Color.BLUE),
        (int, '{"value": 3}', 3),
        (bool, '{"value": false}', False),
        (tuple[int, str], '{"value": [1, "a"]}', (1, "a")),
        (dict[str, int], '{"a": 1}', {"a": 1}),
        (Decimal, '{"value": "0.10"}', Decimal("0.10")),
    ],
    ids=str,
)
@pytest.mark.parametrize("streamed", [False, True], ids=["whole", "streamed"])
async def test_a_reply_becomes_a_value_of_the_declared_type(
    scripted_server: ScriptedServer, output: object, text: str, expected: object, streamed: bool
) -> None:
    from swarmlet import Swarm

    scripted_server.reply(text)
    node = taking(output)

    if streamed:
        async with Swarm() as swarm, swarm.stream(node, "go") as stream:
            async for _ in stream:
                pass
            found = stream.output
    else:
        found = (await outcome(node, "go")).output

    assert found == expected
    assert type(found) is type(expected)
    assert (scripted_server.requests[0].schema is None) == (output is str)


async def test_the_schema_holds_the_api_to_the_type(scripted_server: ScriptedServer) -> None:
    scripted_server.answer_from_schema()

    assert isinstance((await outcome(ticket, "go")).output, Ticket)
    described = scripted_server.requests[0].body["response_format"]["json_schema"]
    assert (described["name"], described["strict"]) == ("Ticket", True)


async def test_a_reply_that_does_not_fit_goes_back_with_the_reasons(scripted_server: ScriptedServer) -> None:
    scripted_server.script('{"title": "a"}', "```json", '{"title": "a", "size": 1}')

    run = await outcome(ticket, "go")

    assert run.output == Ticket(title="a", size=1)
    assert run.usage.requests == 3, "what was sent back was paid for"
    second, third = scripted_server.requests[1:]
    assert second.messages[-2] == {"role": "assistant", "content": '{"title": "a"}'}
    assert second.messages[-1]["role"] == "user"
    assert "- size: Field required" in second.messages[-1]["content"]
    assert "Invalid JSON" in third.messages[-1]["content"]
    assert third.messages[: len(second.messages)] == second.messages, "a prefix that a cache knows"


async def test_what_a_validator_says_goes_back_too(scripted_server: ScriptedServer) -> None:
    scripted_server.script('{"number": 3}', '{"number": 4}')

    assert (await outcome(even, "go")).output == Even(number=4)
    assert "- number: Value error, must be even" in scripted_server.requests[1].messages[-1]["content"]


async def test_an_empty_reply_goes_back_without_a_message_that_the_api_would_refuse(
    scripted_server: ScriptedServer,
) -> None:
    scripted_server.script("", '{"number": 2}')

    assert (await outcome(even, "go")).output == Even(number=2)


async def test_repairs_are_bounded(scripted_server: ScriptedServer) -> None:
    scripted_server.script(*["nonsense"] * 3)

    error = await failure(ticket, "go")

    reason = because(error, OutputInvalid)
    assert "does not fit the output type" in str(reason)
    because(reason, ValidationError)
    assert partial(error).usage.requests == 3


async def test_without_repairs_the_first_misfit_is_the_last(scripted_server: ScriptedServer) -> None:
    scripted_server.script("nonsense")

    because(await failure(taking(Ticket, repairs=0), "go"), OutputInvalid)


async def test_a_misfit_in_the_last_turn_is_told_as_what_it_is(scripted_server: ScriptedServer) -> None:
    scripted_server.script("nonsense")

    because(await failure(taking(Ticket, max_turns=1), "go"), OutputInvalid)


async def test_many_reasons_are_told_in_a_few_lines(scripted_server: ScriptedServer) -> None:
    scripted_server.script(json.dumps({"value": ["x"] * 500}), '{"value": [1]}')

    await outcome(taking(list[int]), "go")

    complaint = scripted_server.requests[1].messages[-1]["content"]
    assert "- value.0: Input should be a valid integer" in complaint
    assert "- and 490 more" in complaint
    assert len(complaint) < 2000


@pytest.mark.parametrize(
    ("reply", "kind", "words"),
    [
        (Refuse("I will not."), Refused, "I will not."),
        (Say("cut o", finish="length", usage=Tokens(input=10, output=5)), ReplyTruncated, "raise max_tokens="),
        (Say("", finish="content_filter", usage=Tokens(input=10, output=5)), ContentFiltered, "filter"),
        (CallTools([call("f")], finish="length", usage=Tokens(input=10, output=5)), ReplyTruncated, "5 tokens"),
    ],
    ids=str,
)
async def test_a_reply_that_is_no_answer_is_an_error_of_its_own_and_was_paid_for(
    scripted_server: ScriptedServer, reply: object, kind: type[ModelError], words: str
) -> None:
    scripted_server.script(reply)

    error = await failure(say, "hi")

    assert words in str(because(error, kind))
    assert error.__cause__ is not None
    assert partial(error).usage.requests == 1
    assert partial(error).usage.usd > 0


async def test_a_prompt_that_is_too_long_says_so(scripted_server: ScriptedServer) -> None:
    scripted_server.script(Overflow())

    assert "maximum context length" in str(because(await failure(say, "hi"), ContextTooLong))


async def test_a_dataclass_reply_is_validated_and_not_just_built(scripted_server: ScriptedServer) -> None:
    scripted_server.script('{"x": "one", "y": 2}', '{"x": 1, "y": 2}')

    assert (await outcome(taking(Point), "go")).output == Point(1, 2)


def test_an_output_that_json_cannot_say_is_refused_when_the_agent_is_defined() -> None:
    with pytest.raises(GraphError, match="bytes have no JSON form"):
        taking(bytes)


@pytest.mark.parametrize("settings", [{"max_turns": 0}, {"max_tokens": 0}, {"repairs": -1}], ids=str)
def test_settings_that_make_no_sense_are_refused(settings: dict[str, int]) -> None:
    with pytest.raises(GraphError, match=f"agent\\({next(iter(settings))}=\\)"):
        taking(str, **settings)

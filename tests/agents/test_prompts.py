"""What a prompt function may return, and the messages that are made of it."""

from __future__ import annotations

from typing import Any

import pytest

from swarmlet import Agent, GraphError, Image, Message, SwarmletError, agent, current
from swarmlet.testing import ScriptedServer

from .helpers import asked, because, failure, outcome

pytestmark = pytest.mark.anyio

PICTURE = Image("data:image/png;base64,AAAA", detail="low")


def giving(prompt: Any, **settings: Any) -> Agent[[], str]:  # Any: also what no prompt function should return
    @agent(str, **settings)
    def ask() -> Any:
        return prompt

    return ask


@agent(str)
def greet(name: str, *, loud: bool = False) -> str:
    """You greet
    people.
    """
    return f"Greet {name}{'!' if loud else '.'}"


@agent(str)
async def slow(name: str) -> str:
    return f"Greet {name} at {current().path}."


def test_render_shows_the_messages_without_a_model() -> None:
    assert greet.render("Ada", loud=True) == (Message.system("You greet\npeople."), Message.user("Greet Ada!"))


async def test_render_async_takes_sync_prompt_functions_too() -> None:
    assert await greet.render_async("Ada") == greet.render("Ada")


async def test_an_async_prompt_function_is_awaited_in_its_step(scripted_server: ScriptedServer) -> None:
    scripted_server.script("hello")

    run = await outcome(slow, "Ada")

    assert scripted_server.requests[0].messages == [{"role": "user", "content": "Greet Ada at slow."}]
    assert asked(run)[0]["messages"][0]["content"] == "Greet Ada at slow."


def test_render_of_an_async_prompt_function_says_what_to_call() -> None:
    with pytest.raises(GraphError, match=r"await slow.render_async\(...\)"):
        slow.render("Ada")


def test_given_instructions_take_the_place_of_the_docstring() -> None:
    @agent(
        str,
        instructions="""
        Be brief.
          Be kind.
    """,
    )
    def ask() -> str:
        """Not this."""
        return "hi"

    assert ask.render()[0] == Message.system("Be brief.\n  Be kind.")


def test_without_instructions_there_is_no_system_message() -> None:
    assert giving("hi").render() == (Message.user("hi"),)
    assert giving("hi", instructions="").render() == (Message.user("hi"),)


@pytest.mark.parametrize(
    ("prompt", "messages"),
    [
        ("text", (Message.user("text"),)),
        (PICTURE, (Message.user(PICTURE),)),
        (["look", PICTURE, "here"], (Message.user("look", PICTURE, "here"),)),
        (Message.user("one"), (Message.user("one"),)),
        (
            ["a", Message.assistant("b"), "c", PICTURE],
            (Message.user("a"), Message.assistant("b"), Message.user("c", PICTURE)),
        ),
        (("a",), (Message.user("a"),)),
        ("half \ud800 character", (Message.user("half \N{REPLACEMENT CHARACTER} character"),)),
        ("nul \x00", (Message.user("nul \x00"),)),
        ("\N{GRINNING FACE}", (Message.user("\N{GRINNING FACE}"),)),
    ],
)
async def test_text_images_and_messages_make_a_conversation(
    scripted_server: ScriptedServer, prompt: object, messages: tuple[Message, ...]
) -> None:
    scripted_server.script("ok")

    assert giving(prompt).render() == messages
    assert (await outcome(giving(prompt))).output == "ok"


async def test_text_and_images_are_parts_of_one_user_message_on_the_wire(scripted_server: ScriptedServer) -> None:
    scripted_server.script("ok")

    await outcome(giving(["look", PICTURE]))

    assert scripted_server.requests[0].messages[0]["content"] == [
        {"type": "text", "text": "look"},
        {"type": "image_url", "image_url": {"url": PICTURE.url, "detail": "low"}},
    ]


@pytest.mark.parametrize(
    ("prompt", "words"),
    [(None, "is NoneType"), (3, "is int"), ({"a": 1}, "is dict"), (["a", 3], "holds a int"), ([], "is empty")],
)
async def test_a_prompt_that_is_none_is_a_clear_error(prompt: object, words: str) -> None:
    error = await failure(giving(prompt))

    assert f"the prompt of agent 'ask' {words}" in str(because(error, SwarmletError))


async def test_what_a_prompt_function_raises_is_the_cause() -> None:
    @agent(str)
    def ask() -> str:
        raise LookupError("no data")

    assert str(because(await failure(ask), LookupError)) == "no data"


async def test_settings_go_with_the_request(scripted_server: ScriptedServer) -> None:
    scripted_server.script("ok")

    await outcome(giving("hi", max_tokens=7, temperature=0.5, seed=3))

    body = scripted_server.requests[0].body
    assert (body["max_completion_tokens"], body["temperature"], body["seed"], body["store"]) == (7, 0.5, 3, False)
    assert not body.keys() & {"max_tokens", "user", "tools", "tool_choice", "response_format", "stream"}


def test_an_agent_is_made_of_a_function() -> None:
    with pytest.raises(GraphError, match="@agent decorates a prompt function"):
        agent(str)("a prompt")  # type: ignore[call-overload,arg-type,unused-ignore]  # pyright: ignore[reportArgumentType, reportCallIssue]

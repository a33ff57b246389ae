"""What a prompt function may return, and the messages that are made of it."""

from __future__ import annotations

import base64
from pathlib import Path
from typing import Any

import pytest

from swarmlet import Agent, GraphError, Image, Message, StepFailed, Swarm, SwarmletError, agent, current, graph, node
from swarmlet.testing import ScriptedServer
from swarmlet.trace import Journal

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


# Pictures that are here


def png(width: int, height: int) -> bytes:
    return b"\x89PNG\r\n\x1a\n" + b"\0\0\0\rIHDR" + width.to_bytes(4, "big") + height.to_bytes(4, "big") + b"\x08\0\0\0\0"


KINDS = {
    "image/png": png(1, 1),
    "image/jpeg": b"\xff\xd8\xff\xe0rest",
    "image/gif": b"GIF89a rest",
    "image/webp": b"RIFF\0\0\0\0WEBPVP8 ",
}


@pytest.mark.parametrize("kind", KINDS)
def test_a_picture_of_bytes_is_a_data_url_of_what_its_first_bytes_say(kind: str) -> None:
    content = KINDS[kind]
    picture = Image.of(content, kind.upper(), detail="low")
    assert picture == Image(f"data:{kind};base64,{base64.b64encode(content).decode()}", "low")
    assert Image.of(content) == Image(picture.url)


@pytest.mark.parametrize(
    ("content", "kind", "says"),
    [
        (b"", None, "it is empty"),
        (b"%PDF-1.7 and so on", None, r"a picture is a PNG, JPEG, GIF or WebP: it begins with b'%PDF-1.7 and'"),
        (b"<svg/>", "image/svg+xml", "it begins with b'<svg/>'"),
        (png(1, 1), "image/jpeg", "the picture is called image/jpeg, but its first bytes say image/png"),
        (png(1, 1) + bytes(20 * 2**20), None, "more than 20 MiB"),
    ],
)
def test_what_no_model_takes_is_no_picture(content: bytes, kind: str | None, says: str) -> None:
    with pytest.raises(SwarmletError, match=says):
        Image.of(content, kind)


def test_a_picture_is_read_from_a_file(tmp_path: Path) -> None:
    (tmp_path / "a.jpg").write_bytes(png(3, 2))  # the name says nothing
    assert Image.read(tmp_path / "a.jpg", detail="high") == Image.of(png(3, 2), "image/png", detail="high")
    assert Image.read(str(tmp_path / "a.jpg")) == Image.of(png(3, 2))


def test_a_file_that_is_no_picture_is_named(tmp_path: Path) -> None:
    (tmp_path / "notes.png").write_text("not a picture")
    with pytest.raises(SwarmletError, match=r"notes\.png: a picture is a PNG"):
        Image.read(tmp_path / "notes.png")
    (tmp_path / "huge.png").write_bytes(png(1, 1) + bytes(21 * 2**20))
    with pytest.raises(SwarmletError, match=r"huge\.png: a picture of more than 20 MiB"):
        Image.read(tmp_path / "huge.png")
    with pytest.raises(FileNotFoundError):
        Image.read(tmp_path / "none.png")


def test_a_picture_shows_itself_in_a_line() -> None:
    assert repr(Image.of(png(1, 1) + bytes(2**20))) == (
        "Image('data:image/png;base64,iVBORw0KGgoAAAANSU... (1398162 characters)', detail='auto')"
    )
    assert repr(Image("https://example.org/a.png", "low")) == "Image('https://example.org/a.png', detail='low')"


@agent(str)
def look(picture: Image) -> list[str | Image]:
    return ["What is it?", picture]


async def test_a_picture_goes_to_the_model_and_costs_its_tiles_and_not_its_letters(scripted_server: ScriptedServer) -> None:
    scripted_server.script("a cat")
    picture = Image.of(png(512, 512) + bytes(300_000), detail="high")

    run = await outcome(look, picture)

    (message,) = scripted_server.requests[0].messages
    assert message["content"][1] == {"type": "image_url", "image_url": {"url": picture.url, "detail": "high"}}
    (call,) = run.trace.step("look").calls
    assert 8_500 <= call.started.estimated <= call.started.input_at_most <= 2_833 + 4 * 5_667 + 200


async def test_a_value_with_a_picture_comes_back_from_the_journal(tmp_path: Path, scripted_server: ScriptedServer) -> None:
    picture = Image.of(png(8, 8) + bytes(5_000))

    @node
    def give() -> Image:
        return picture

    @node
    async def check(given: Image) -> int:
        if not ready:
            raise ValueError("not yet")
        return len(given.url)

    @graph
    def flow() -> int:
        return check(give())

    ready: list[bool] = []
    async with Swarm(journal=tmp_path / "runs.sqlite") as swarm:
        with pytest.raises(StepFailed) as caught:
            await swarm.run(flow)
        ready.append(True)
        assert caught.value.run is not None
        assert (await swarm.resume(caught.value.run.id, flow)).output == len(picture.url)


async def test_without_capture_nothing_of_a_picture_is_recorded(tmp_path: Path, scripted_server: ScriptedServer) -> None:
    scripted_server.script("a cat")
    picture = Image.of(png(8, 8) + b"secret" * 1_000)
    async with Swarm(journal=tmp_path / "runs.sqlite", capture=False) as swarm:
        result = await swarm.run(look, picture)
    letters = picture.url[-1_000:-900]
    exported = "".join(Journal(tmp_path / "runs.sqlite").export(result.id))
    assert "look" in exported
    assert letters not in exported

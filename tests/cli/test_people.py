"""`swarmlet inbox`, `answer` and `resume`, and the question at the terminal."""

from __future__ import annotations

import json
import os
import select
import subprocess
import sys
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import pytest
from pydantic import BaseModel

from swarmlet.swarm.people import plain, shown
from swarmlet.trace.events import RunId
from swarmlet.trace.journal import Journal, Question

if TYPE_CHECKING:
    from collections.abc import Callable

APP = """
import sys
from typing import Literal
import anyio
from pydantic import BaseModel
from swarmlet import Swarm, ask, graph, node, race
from swarmlet.errors import Suspended
from swarmlet.swarm import people

class Order(BaseModel):
    what: str
    count: int

@ask(Literal["red", "green"], name="colour")
def colour(topic: str) -> str:
    return f"Which colour for {topic}?\\x1b[2J"

@ask(Order)
def order(colour: str) -> str:
    return f"How many {colour} ones?"

@node
def total(order: Order) -> dict[str, int]:
    print("noise")
    return {order.what: order.count}

@graph
def shop(topic: str) -> dict[str, int]:
    return total(order(colour(topic)))

@node
async def quick() -> bool:
    await anyio.sleep(0.5)
    return False

first = race(ask(bool, "Yes?"), quick)

def make_swarm() -> Swarm:
    return Swarm(journal="runs.sqlite")

def no_swarm() -> None:
    return None

async def main(what: str) -> None:
    async with Swarm(journal="runs.sqlite", people=people.terminal) as swarm:
        try:
            print((await (swarm.run(shop, "tea") if what == "shop" else swarm.run(first))).output, flush=True)
        except Suspended as error:
            print(*error.questions)

if __name__ == "__main__":
    anyio.run(main, sys.argv[2], backend=sys.argv[1])
"""


@pytest.fixture
def swarmlet(tmp_path: Path) -> Callable[..., tuple[int, str, str]]:
    (tmp_path / "app.py").write_text(APP)

    def run(*arguments: str) -> tuple[int, str, str]:
        command = [sys.executable, "-m", "swarmlet", *arguments]
        environment = {**os.environ, "SWARMLET_JOURNAL": "runs.sqlite"}
        done = subprocess.run(
            command,
            cwd=tmp_path,
            env=environment,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
            stdin=subprocess.DEVNULL,
        )
        return done.returncode, done.stdout, done.stderr

    return run


def start(folder: Path, what: str = "shop") -> str:
    command = [sys.executable, "app.py", "asyncio", what]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=60, check=True, stdin=subprocess.DEVNULL)
    return done.stdout.strip()


def test_a_run_is_listed_answered_and_resumed_from_the_shell(
    tmp_path: Path, swarmlet: Callable[..., tuple[int, str, str]]
) -> None:
    assert start(tmp_path) == "shop/colour"
    status, out, _ = swarmlet("inbox")
    assert (status, "shop/colour" in out, "\x1b" in out) == (0, True, False)
    status, out, _ = swarmlet("inbox", "--json")
    (question,) = json.loads(out)
    assert question["answers"] == {"enum": ["red", "green"], "type": "string"}

    status, out, err = swarmlet("resume", "last", "app:shop")
    assert (status, out) == (3, "")
    assert "swarmlet answer" in err
    assert "shop/colour" in err
    assert swarmlet("answer", "last", "shop/colour", "Green", "--by", "ann")[0] == 0
    status, out, err = swarmlet("resume", "last", "app:shop", "--swarm", "app:make_swarm")
    assert (status, out) == (3, "")
    assert swarmlet("answer", "last", "shop/order", '{"what": "tea", "count": 3}', "--module", "app")[0] == 0
    status, out, err = swarmlet("resume", "last", "app:shop")
    assert (status, json.loads(out)) == (0, {"tea": 3})
    assert "noise" in err
    assert swarmlet("inbox")[:2] == (0, "")


@pytest.mark.parametrize(
    ("arguments", "status", "words"),
    [
        (("answer", "last", "shop/colour", "blue", "--module", "app"), 1, "does not fit"),
        (("answer", "last", "shop/other", "red"), 1, "the open ones are: 'shop/colour'"),
        (("answer", "nowhere", "shop/colour", "red"), 1, "there is no run 'nowhere'"),
        (("answer", "last", "shop/colour", "red", "--module", "nowhere"), 2, "cannot be imported"),
        (("resume", "last", "app"), 2, "names no node"),
        (("resume", "last", "app:nothing"), 2, "has no 'nothing'"),
        (("resume", "last", "app:first"), 1, "another graph"),
        (("resume", "last", "app:shop", "--swarm", "app:nothing"), 2, "names no function"),
        (("resume", "last", "app:shop", "--swarm", "app:no_swarm"), 2, "gave NoneType, not a Swarm"),
    ],
)
def test_what_is_wrong_is_said_in_a_line(
    tmp_path: Path, swarmlet: Callable[..., tuple[int, str, str]], arguments: tuple[str, ...], status: int, words: str
) -> None:
    start(tmp_path)
    given, out, err = swarmlet(*arguments)
    assert (given, out) == (status, "")
    assert words in err


# Plain words


def question(schema: Any, about: str = "answer", text: str = "What?") -> Question:
    return Question(
        run=RunId("r"),
        name="n",
        path="n/a",
        about=about,
        text=text,
        answers=schema,
        tool="",
        arguments=None,
        since=0.0,
        until=None,
    )


class Decision(BaseModel):
    approved: bool
    reason: str = ""
    by: str | None = None


class Mood(Enum):
    GOOD = "good"
    BAD = "bad"


class Moody(BaseModel):
    mood: Mood
    since: int = 0


class Ordered(BaseModel):
    tea: bool
    name: str
    count: int


class Light(BaseModel):
    light: Literal["go", "go on", "stop"]
    why: str = ""


DECISION, MOOD, ORDER, LIGHT = (kind.model_json_schema() for kind in (Decision, Moody, Ordered, Light))


@pytest.mark.parametrize(
    ("schema", "text", "value"),
    [
        ({"type": "boolean"}, "yes", True),
        ({"type": "boolean"}, "No", False),
        ({"type": "integer"}, "7", 7),
        ({"type": "number"}, "7.5", 7.5),
        ({"type": "string"}, "7", "7"),
        ({"enum": ["Red", "green"]}, "red", "Red"),
        ({"enum": [1, 2]}, "2", 2),
        ({"const": "go"}, "GO", "go"),
        ({"anyOf": [{"type": "string"}, {"type": "integer"}]}, "7", 7),
        ({"anyOf": [{"type": "integer"}, {"type": "null"}]}, "none", None),
        ({"$ref": "#/$defs/Mood", "$defs": {"Mood": {"enum": ["good", "bad"]}}}, "bad", "bad"),
        ({"type": "array"}, "[1, 2]", [1, 2]),
        ({"type": "object"}, "nonsense", "nonsense"),
        (DECISION, "yes", {"approved": True}),
        (DECISION, "no: it is  too early", {"approved": False, "reason": "it is  too early"}),
        (DECISION, '{"approved": false}', {"approved": False}),
        (DECISION, "no:\n\nDear all,\nit is", {"approved": False, "reason": "Dear all,\nit is"}),
        (LIGHT, "go on", {"light": "go on"}),
        (LIGHT, "stop it is red", {"light": "stop", "why": "it is red"}),
        (DECISION, "perhaps", "perhaps"),
        (MOOD, "GOOD", {"mood": "good"}),
        (MOOD, "good, as ever", "good, as ever"),
        ({"anyOf": [{"type": "null"}, {"$ref": "#/$defs/D"}], "$defs": {"D": DECISION}}, "y", {"approved": True}),
        (ORDER, "tea 2", "tea 2"),
        ({"type": "boolean"}, "perhaps", "perhaps"),
        (None, "x", "x"),
    ],
)
def test_plain_words_are_read_by_the_schema(schema: Any, text: str, value: object) -> None:
    assert plain(text, question(schema)) == value


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("yes", True),
        ("n", False),
        ("too much", {"reason": "too much"}),
        ('{"arguments": {"a": 1}}', {"arguments": {"a": 1}}),
        ("7", {"reason": "7"}),
    ],
)
def test_of_a_tool_any_other_text_is_why_it_may_not_run(text: str, value: object) -> None:
    assert plain(text, question({}, "approval")) == value


@pytest.mark.parametrize(
    ("schema", "said"),
    [(DECISION, "yes / no, then reason"), (MOOD, "good / bad"), (ORDER, "JSON: Ordered"), ({"const": "go"}, "go")],
)
def test_a_question_says_which_words_will_do(schema: Any, said: str) -> None:
    assert shown(question(schema)).endswith(f"[{said}] ")


def test_nothing_in_a_question_reaches_the_terminal_as_a_command() -> None:
    assert "\x1b" not in shown(question({"type": "boolean"}, text="\x1b[2J Go on?"))


# The terminal


@pytest.mark.skipif(sys.platform == "win32", reason="no pseudo-terminals")
@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_whoever_sits_at_the_terminal_is_asked(tmp_path: Path, backend: str) -> None:
    (tmp_path / "app.py").write_text(APP)
    master, terminal = os.openpty()
    command = [sys.executable, "app.py", backend, "shop"]
    with subprocess.Popen(command, cwd=tmp_path, stdin=terminal, stdout=subprocess.PIPE, stderr=terminal, text=True) as process:
        os.close(terminal)
        read_until(process, master, "red / green]")
        os.write(master, b"\npurple\n")
        read_until(process, master, "does not fit: Input should be 'red' or 'green')\r\n[red / green]")
        os.write(master, b"green\n")
        read_until(process, master, "JSON: Order]")
        os.write(master, b'{"what": "tea", "count": 2}\n')
        output, _ = process.communicate(timeout=30)
        os.close(master)
    assert output.splitlines()[-1] == "{'tea': 2}"
    assert Journal(tmp_path / "runs.sqlite").runs()[0].state == "finished"


@pytest.mark.skipif(sys.platform == "win32", reason="no pseudo-terminals")
@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_a_question_that_nobody_wants_any_more_does_not_keep_the_process_alive(tmp_path: Path, backend: str) -> None:
    (tmp_path / "app.py").write_text(APP)
    master, terminal = os.openpty()
    command = [sys.executable, "app.py", backend, "first"]
    with subprocess.Popen(command, cwd=tmp_path, stdin=terminal, stdout=subprocess.PIPE, stderr=terminal, text=True) as process:
        os.close(terminal)
        read_until(process, master, "yes / no]")
        output, _ = process.communicate(timeout=30)
        os.close(master)
    assert (output.strip(), process.returncode) == ("False", 0)


def read_until(process: subprocess.Popen[str], terminal: int, words: str) -> None:
    seen = ""
    while words not in seen:
        ready, _, _ = select.select([terminal], [], [], 30)
        if not ready:
            process.kill()
            pytest.fail(f"{words!r} did not come, but {seen!r}")
        seen += os.read(terminal, 1000).decode()

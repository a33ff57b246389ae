"""Agents as users write them. No checker may flag a line; importing the file builds every agent."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Literal, NamedTuple

from pydantic import BaseModel, Field
from typing_extensions import TypedDict, assert_type

from swarmlet import Agent, Image, Message, agent, current, graph, node, tool


class Task(BaseModel):
    text: str


class Code(BaseModel):
    source: str


class Refusal(BaseModel):
    reason: str


@dataclass
class Point:
    x: int
    y: int


class Pair(NamedTuple):
    left: str
    right: str


class Movie(TypedDict):
    title: str
    year: int


# Outputs


@agent(Code)
def write(task: Task) -> str:
    """You write small, correct Python functions."""
    return f"Task:\n{task.text}"


@agent(str)
def say(task: Task, tone: str = "friendly") -> str:
    return f"{tone}: {task.text}"


@agent(list[Code])
def drafts(task: Task, *, count: int) -> str:
    return f"{count} of {task.text}"


@agent(Code | Refusal)
def write_or_refuse(task: Task) -> str:
    return task.text


@agent(Literal["easy", "hard"])
def rate(task: Task) -> str:
    return task.text


@agent(Point)
def locate(text: str) -> str:
    return text


@agent(int)
def guess(text: str) -> str:
    return text


@agent(bool)
def judge(text: str) -> str:
    return text


@agent(Code | None)
def try_it(text: str) -> str:
    return text


@agent(dict[str, int])
def tally(text: str) -> str:
    return text


@agent(tuple[str, int])
def measure(text: str) -> str:
    return text


@agent(Pair)
def split(text: str) -> str:
    return text


@agent(Movie)
def recall(text: str) -> str:
    return text


@agent(Annotated[int, Field(ge=0, le=10)])
def grade(text: str) -> str:
    return text


# Prompts


@agent(str)
def with_messages(text: str) -> list[Message]:
    return [Message.assistant("Hello"), Message.user(text)]


@agent(str)
def with_one_message(text: str) -> Message:
    return Message.user(text)


@agent(str)
def with_image(url: str) -> tuple[str, Image]:
    return "What is this?", Image(url)


@agent(str)
def with_parts(url: str) -> list[str | Image | Message]:
    return ["What is this?", Image(url), Image.of(b"GIF89a", "image/gif"), Image.read("a.png", detail="low")]


@agent(str)
async def with_await(text: str) -> str:
    return text + current().path


@agent(Code)
async def messages_with_await(text: str) -> list[Message]:
    return [Message.user(text)]


# Tools


def search(words: str, limit: int = 3) -> list[str]:
    """Search the docs."""
    return [words] * limit


async def fetch(url: str) -> str:
    """Fetch a page."""
    return url


@node
def add(left: int, right: int) -> int:
    """Add two numbers."""
    return left + right


class Library:
    def look_up(self, title: str) -> str:
        """Look up a book."""
        return title


@graph
def wired(text: str) -> int:
    """Count what is there."""
    return add(guess(text), 1)


extra: list[Callable[..., object]] = [search, fetch]


@agent(Code, tools=[search, fetch, add, wired, Library().look_up, tool(locate, name="where", timeout=5)])
def with_tools(task: Task) -> str:
    return task.text


@agent(str, tools=extra)
def with_list_of_tools(text: str) -> str:
    return text


@agent(str, tools=(tool(search, on_error="raise", description="Search."),), model="gpt-4o-mini", max_turns=3)
def with_settings(text: str) -> str:
    return text


@agent(str, instructions="Be brief.", truncated="keep", max_tokens=100, temperature=0.2, seed=7, repairs=0, name="brief")
def with_instructions(text: str) -> str:
    return text


# An agent is a node

widest: Agent[..., object] = locate
function: Callable[[str], Point] = locate

messages: tuple[Message, ...] = write.render(Task(text="sum"))
more: tuple[Message, ...] = drafts.render(Task(text="sum"), count=2)
content: str = write.render(task=Task(text="sum"))[0].text
small = write.with_options(model="small", name="small")
small_messages = small.render(Task(text="sum"))
assert_type(small_messages, tuple[Message, ...])


async def read_prompt() -> str:
    rendered = await with_await.render_async("hello")
    return rendered[0].text


@node
def first_source(codes: list[Code]) -> str:
    return codes[0].source


@node
def explain(outcome: Code | Refusal) -> str:
    return outcome.source if isinstance(outcome, Code) else outcome.reason


@graph
def outputs(task: Task) -> tuple[str, str, int]:
    code = write(task)
    assert_type(code, Code)
    text = say(task, tone="dry")
    assert_type(text, str)
    codes = drafts(task, count=3)
    assert_type(codes, list[Code])
    outcome = write_or_refuse(task)
    assert_type(outcome, Code | Refusal)
    level = rate(task)
    assert_type(level, Literal["easy", "hard"])
    point = locate(code.source)
    assert_type(point, Point)
    assert_type(point.x, int)
    tokens = tally(text)
    assert_type(tokens, dict[str, int])
    name, size = measure(level)
    assert_type(size, int)
    halves = split(name)
    assert_type(halves.left, str)
    movie = recall(halves.right)
    assert_type(movie["year"], int)
    return first_source(codes), explain(outcome), add(add(point.x, size), add(movie["year"], tokens["a"]))


@graph
def more_outputs(text: str) -> tuple[int, bool, Code | None, int]:
    points = grade(text)
    assert_type(points, int)
    verdict = judge(text)
    assert_type(verdict, bool)
    attempt = try_it(text)
    assert_type(attempt, Code | None)
    return guess(text), verdict, attempt, points


@graph
def prompts(text: str) -> list[str]:
    code = messages_with_await(text)
    assert_type(code, Code)
    said = with_await(code.source)
    assert_type(said, str)
    return [said, with_messages(text), with_one_message(text), with_image(text), with_parts(url=text)]


@graph
def tooled(task: Task) -> list[str]:
    code = with_tools(task)
    assert_type(code, Code)
    return [with_list_of_tools(code.source), with_settings(task.text), with_instructions(text=small(task).source)]


@agent(list[Code], early=True)
def written_early(text: str) -> str:
    return text


@graph
def begun_early(text: str) -> list[Code]:
    codes = written_early(text)
    assert_type(codes, list[Code])
    return codes

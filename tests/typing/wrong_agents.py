"""Wrong agents, and wrong use of right ones. Each line that is marked must be flagged by every checker, and no other line."""

from typing import Literal

from pydantic import BaseModel

from swarmlet import Agent, Image, Message, Node, agent, graph, node, tool


class Task(BaseModel):
    text: str


class Code(BaseModel):
    source: str


class Refusal(BaseModel):
    reason: str


@agent(Code)
def write(task: Task) -> str:
    return task.text


@agent(str)
def say(task: Task, tone: str = "friendly") -> str:
    return f"{tone}: {task.text}"


@agent(list[Code])
async def drafts(task: Task, *, count: int) -> str:
    return f"{count} of {task.text}"


@agent(Code | Refusal)
def write_or_refuse(task: Task) -> str:
    return task.text


@agent(Literal["easy", "hard"])
def rate(task: Task) -> str:
    return task.text


@node
def check(code: Code) -> bool:
    return bool(code.source)


@node
def route(level: Literal["easy", "medium"]) -> str:
    return level


def search(words: str) -> list[str]:
    return [words]


# Prompts that are no text


@agent(Code)  # error
def number_prompt(task: Task) -> int:
    return len(task.text)


@agent(Code)  # error
def model_prompt(task: Task) -> Task:
    return task


@agent(Code)  # error
def no_prompt(task: Task) -> None:
    print(task)


@agent(Code)  # error
async def bytes_prompt(task: Task) -> list[bytes]:
    return [task.text.encode()]


@agent(Code)
def wrong_body(task: Task) -> str:
    return task  # error


# Outputs and settings

no_type = agent(42)  # error
no_output = agent()  # error
tool_by_name = agent(Code, tools=["search"])  # error
early_by_word = agent(list[Code], early="yes")  # error
bad_truncated = agent(str, truncated="cut")  # error
tool_of_numbers = agent(Code, tools=[search, 3])  # error
one_tool = agent(Code, tools=search)  # error
tool_result = agent(Code, tools=[search("x")[0]])  # error
bad_tool = tool("search")  # error
bad_tool_setting = tool(search, on_error="ignore")  # error
bad_tool_timeout = tool(search, timeout="1s")  # error
unknown_setting = agent(Code, tool=[search])  # error
bad_tokens = agent(Code, max_tokens="many")  # error
bad_model = agent(Code, model=4)  # error
settings_by_position = agent(Code, [search])  # error


# Messages and images

bad_message = Message.user(3)  # error
bad_role = Message("robot", "hello")  # error
bad_detail = Image("https://example.org/a.png", detail="max")  # error
bad_content = Image.of("letters")  # error
bad_file_detail = Image.read("a.png", detail="max")  # error
bad_file = Image.read(b"GIF89a")  # error
not_subscripted: str = write.render(Task(text=""))  # error
wrong_render = write.render("text")  # error
missing_render = drafts.render(Task(text=""))  # error
wrong_agent: Agent[..., str] = write  # error
wrong_node: Node[..., Refusal] = write  # error


# Edges


@graph
def wrong_input(text: str) -> Code:
    return write(text)  # error


@graph
def missing_count(task: Task) -> list[Code]:
    return drafts(task)  # error


@graph
def wrong_tone(task: Task) -> str:
    return say(task, tone=3)  # error


@graph
def list_for_item(task: Task) -> bool:
    return check(drafts(task, count=3))  # error


@graph
def union_for_member(task: Task) -> bool:
    return check(write_or_refuse(task))  # error


@graph
def field_of_one_member(task: Task) -> str:
    return write_or_refuse(task).source  # error


@graph
def wrong_literal(task: Task) -> str:
    return route(rate(task))  # error


@graph
def text_for_model(task: Task) -> bool:
    return check(say(task))  # error


@graph
def wrong_field(task: Task) -> str:
    return write(task).text  # error


@graph
def wrong_return(task: Task) -> str:
    return write(task)  # error


@graph
def wrong_use(task: Task) -> int:
    code: str = write(task)  # error
    return len(code)


@graph
def awaited(task: Task) -> list[Code]:
    return await drafts(task, count=1)  # error

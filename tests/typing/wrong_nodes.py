"""Wrong wiring. Each line that is marked must be flagged by every checker, and no other line."""

from dataclasses import dataclass
from typing import Literal

from pydantic import BaseModel

from swarmlet import Node, Retry, current, graph, node


class Task(BaseModel):
    text: str
    tags: list[str] = []


class Code(BaseModel):
    source: str


class Report(BaseModel):
    passed: bool
    log: str = ""


@dataclass(frozen=True)
class Bundle:
    task: Task
    codes: list[Code]


@node
async def write(task: Task) -> Code:
    return Code(source=task.text)


@node
def review(code: Code, *, strict: bool = False) -> Report:
    return Report(passed=not strict, log=code.source)


@node(thread=True)
def compile_it(code: Code, flags: list[str] | None = None) -> Report:
    return Report(passed=True, log=f"{code.source} {flags}")


@node
def sort(code: Code) -> Literal["good", "bad"]:
    return "good" if code.source else "bad"


@node
def pair(task: Task) -> tuple[Code, Report]:
    return Code(source=task.text), Report(passed=True)


@node
def maybe(task: Task) -> Code | None:
    return None if task.tags else Code(source="")


build_task = node(Task)
build_bundle = node(Bundle)


# What cannot be lifted

number = node(42)  # error
text = node("write")  # error
unknown_option = node(threads=True)  # error
wrong_option = node(thread="yes")  # error
optional_name = node(name=3)  # error


# The types of nodes

wrong_result: Node[..., Code] = review  # error
wrong_parameter: Node[[Code], Code] = write  # error


@graph
def chain(task: Task) -> Report:
    return review(write(task))


@graph
def wrong_type(task: Task) -> Code:
    return write(Code(source=task.text))  # error


@graph
def wrong_ref(task: Task) -> Code:
    return write(chain(task))  # error


@graph
def field_instead_of_whole(task: Task) -> Code:
    return write(task.text)  # error


@graph
def missing_argument() -> Code:
    return write()  # error


@graph
def extra_argument(task: Task) -> Code:
    return write(task, 3)  # error


@graph
def wrong_keyword(task: Task) -> Code:
    return write(tsk=task)  # error


@graph
def doubled_argument(task: Task) -> Code:
    return write(task, task=task)  # error


@graph
def extra_keyword(task: Task) -> Report:
    return review(write(task), lax=True)  # error


@graph
def wrong_keyword_type(task: Task) -> Report:
    return review(write(task), strict="very")  # error


@graph
def keyword_only_by_position(task: Task) -> Report:
    return review(write(task), True)  # error


@graph
def wrong_default_type(task: Task) -> Report:
    return compile_it(write(task), flags=task.text)  # error


@graph
def wrong_field(task: Task) -> Report:
    return review(write(task.body))  # error


@graph
def wrong_field_of_ref(task: Task) -> str:
    return write(task).text  # error


@graph
def wrong_field_type(task: Task) -> Task:
    return build_task(text=chain(task).passed)  # error


@graph
def list_for_item(task: Task) -> Report:
    return review([write(task)])  # error


@graph
def item_for_list(task: Task) -> Bundle:
    return build_bundle(task, write(task))  # error


@graph
def wrong_items(task: Task) -> Bundle:
    return build_bundle(task, [write(task), task])  # error


@graph
def wrong_class_keyword(task: Task) -> Bundle:
    return build_bundle(task, code=[write(task)])  # error


@graph
def wrong_dataclass(task: Task) -> Bundle:
    return Bundle(task, [chain(task)])  # error


@graph
def missing_field() -> Task:
    return build_task(tags=["a"])  # error


@graph
def optional_for_sure(task: Task) -> Report:
    return review(maybe(task))  # error


@graph
def tuple_for_item(task: Task) -> Report:
    return review(pair(task))  # error


@graph
def wrong_part(task: Task) -> Report:
    code, report = pair(task)
    compile_it(code)
    return review(report)  # error


@graph
def too_many_parts(task: Task) -> Code:
    _code, _report, _more = pair(task)  # error
    return write(task)


@graph
def wrong_return(task: Task) -> Report:
    return write(task)  # error


@graph
def wrong_list_return(task: Task) -> list[Code]:
    return write(task)  # error


@graph
def wrong_dict_return(task: Task) -> dict[str, Code]:
    return {"code": chain(task)}  # error


@graph
def wrong_literal_return(task: Task) -> Literal["good", "fair"]:
    return sort(write(task))  # error


@graph
def no_return(task: Task) -> Code:  # error
    write(task)


@graph
def wrong_annotation(task: Task) -> Report:
    code: Report = write(task)  # error
    return review(code)  # error


@graph
def wrong_graph_argument(task: Task) -> Report:
    return chain(write(task))  # error


@graph
def node_for_its_result(task: Task) -> Report:
    compile_it(write(task))
    return review(write)  # error


@graph
def comparing_types(task: Task) -> int:
    return write(task) + 1  # error


@graph
def awaited(task: Task) -> Code:
    return await write(task)  # error


async def awaited_in_async(task: Task) -> Code:
    return await write(task)  # error


# Options

unknown = write.with_options(tries=3)  # error
no_retry = write.with_options(retry=3)  # error
no_timeout = write.with_options(timeout="5s")  # error
by_position = write.with_options("quick")  # error
bad_retry = Retry(tries=3)  # error
bad_exceptions = Retry(on="OSError")  # error
renamed = write.with_option(timeout=5)  # error
quick = write.with_options(timeout=5)


@graph
def with_options(task: Task) -> Code:
    return quick(task.text)  # error


# Child steps


@node
async def by_hand(task: Task) -> Report:
    step = current()
    code = await step.run(write, task.text)  # error
    await step.run(write)  # error
    await step.run(review, code, True)  # error
    print(step.tries)  # error
    return await step.run(write, task)  # error


@node
async def forgot_to_await(task: Task) -> Code:
    return current().run(write, task)  # error

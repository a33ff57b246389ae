"""Nodes and graphs as users write them. No checker may flag a line; importing the file builds every graph."""

from collections.abc import Callable
from dataclasses import dataclass, field
from enum import Enum
from typing import Literal

from pydantic import BaseModel
from typing_extensions import assert_type

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
    codes: list[Code] = field(default_factory=list[Code])


class Kind(Enum):
    EASY = "easy"
    HARD = "hard"


# What can be lifted


@node
async def write(task: Task) -> Code:
    return Code(source=task.text)


@node
def review(code: Code, *, strict: bool = False) -> Report:
    return Report(passed=not strict, log=code.source)


@node(thread=True)
def compile_it(code: Code, flags: list[str] | None = None) -> Report:
    return Report(passed=True, log=f"{code.source} {flags}")


@node(name="tidy-up")
async def tidy(code: Code) -> Code:
    return code


@node()
def bare_call(code: Code) -> Code:
    return code


@node
def nothing() -> None:
    return None


@node
def count(words: list[str], least: int = 0) -> int:
    return max(len(words), least)


@node
def total(*numbers: int) -> int:
    return sum(numbers)


@node
def sort(code: Code) -> Literal["good", "bad"]:
    return "good" if code.source else "bad"


@node
def kind_of(task: Task) -> Kind:
    return Kind.EASY if task.tags else Kind.HARD


@node
def pair(task: Task) -> tuple[Code, Report]:
    return Code(source=task.text), Report(passed=True)


@node
def index(task: Task) -> dict[str, Code]:
    return {task.text: Code(source="")}


@node
def maybe(task: Task) -> Code | None:
    return None if task.tags else Code(source="")


@node
def show(code: Code | None) -> str:
    return code.source if code else "-"


def plain(report: Report) -> str:
    return report.log


class Shouter:
    def __init__(self, marks: int) -> None:
        self.marks = marks

    async def __call__(self, text: str) -> str:
        return text.upper() + "!" * self.marks

    def whisper(self, text: str) -> str:
        return text.lower()


build_task = node(Task)
build_report = node(Report)
build_bundle = node(Bundle)
plain_node = node(plain)
shout = node(Shouter(3))
whisper = node(Shouter(1).whisper)
answer = node(lambda: 42)
in_thread = node(thread=True)(plain)


# A node is typed by its function

widest: Node[..., object] = write
function: Callable[[str], str] = shout


@graph
def one_step(task: Task) -> Code:
    code = write(task)
    assert_type(code, Code)
    return code


@graph
def chain(task: Task) -> Report:
    code = tidy(write(task))
    return review(bare_call(code))


@graph
def join(task: Task) -> Bundle:
    first = write(task)
    second = tidy(first)
    return Bundle(task, [first, second])


@graph
def keywords(task: Task) -> Report:
    code = write(task=task)
    return review(code=code, strict=True)


@graph
def defaults(task: Task) -> Report:
    code = write(task)
    report = compile_it(code)
    return compile_it(code, flags=[report.log])


@graph
def fields(bundle: Bundle) -> int:
    return count(bundle.task.tags, least=count([bundle.task.text, plain_node(review(bundle.codes[0]))]))


@graph
def from_classes(text: str) -> Bundle:
    task = build_task(text=text, tags=["a", text])
    assert_type(task, Task)
    bundle = build_bundle(task, codes=[write(task)])
    assert_type(bundle, Bundle)
    return bundle


@graph
def tuples(task: Task) -> tuple[Code, str]:
    code, report = pair(task)
    assert_type(code, Code)
    assert_type(report, Report)
    return code, plain_node(report)


@graph
def dicts(task: Task) -> dict[str, Code]:
    return {"first": write(task), "second": index(task)["second"]}


@graph
def optional(task: Task) -> str:
    return show(maybe(task))


@graph
def many(numbers: tuple[int, int]) -> int:
    return total(numbers[0], numbers[1], answer(), 5)


@graph
def texts(task: Task) -> list[str]:
    said = shout(task.text)
    assert_type(said, str)
    return [said, whisper(said), in_thread(chain(task))]


@graph
def nested(task: Task) -> tuple[Report, Bundle, str]:
    report = chain(task)
    assert_type(report, Report)
    return report, join(task), optional(task)


@graph
def twice(task: Task) -> Report:
    return nested(nested(task)[1].task)[0]


# Options keep the type

quick = write.with_options(timeout=2.5, name="quick")
patient = chain.with_options(retry=Retry(attempts=2, on=OSError), model="small", timeout=60)


@graph
def with_options(task: Task) -> tuple[Code, Report]:
    code = quick(task)
    assert_type(code, Code)
    return code, patient(task=task)


@node
async def by_hand(task: Task) -> Report:
    step = current()
    code = await step.run(write, task)
    assert_type(code, Code)
    report = await step.run(review, code, strict=True)
    assert_type(report, Report)
    return await step.run(chain, Task(text=f"{code.source} {report.log} {step.path} {step.attempt}"))


picture: str = chain.to_mermaid()

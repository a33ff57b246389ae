"""Where a checker is wrong about right code, or blind to wrong code; each marked line says for which checkers it is an error.

What no checker flags here that is wrong raises `GraphError` when the graph is defined. A checker that gets better fails the
test, and then the line moves to one of the other files.
"""

from enum import Enum
from typing import Literal

from pydantic import BaseModel

from swarmlet import Again, Agent, Done, Node, agent, graph, loop, node, switch


class Task(BaseModel):
    text: str


class Code(BaseModel):
    source: str


class Report(BaseModel):
    passed: bool


class Attempt(BaseModel):
    task: Task
    code: Code


class Level(Enum):
    LOW = 1
    HIGH = 2


@agent(Code)
def write(task: Task) -> str:
    return task.text


@node
def describe(task: Task) -> Report:
    return Report(passed=bool(task.text))


@node
def rate(task: Task) -> Literal["easy", "hard"]:
    return "easy" if task.text else "hard"


@node
def level_of(task: Task) -> Level:
    return Level.LOW if task.text else Level.HIGH


@node
def is_short(task: Task) -> bool:
    return len(task.text) < 10


@node
def show(value: Code | Report) -> str:
    return str(value)


# Right code. ty takes parameter lists as invariant, names included: `(task: Task)` is no `[Task]`. A helper that is generic
# in P and T, or that takes a `Callable`, is fine.

named: Node[[Task], Code] = write  # error: ty
named_agent: Agent[[Task], Code] = write  # error: ty


# Right code. mypy joins the results of the arms to their nearest common base, where the others make a union. The type of
# the node, written down, helps it.


@graph
def joined(task: Task) -> Code | Report:
    return switch(rate, {"easy": write, "hard": describe})(task)  # error: mypy


written_down: Node[[Task], Code | Report] = switch(rate, {"easy": write, "hard": describe})


@graph
def not_joined(task: Task) -> str:
    return show(written_down(task))


# Right code. The same for two kinds of `Done`; `Done[Code | Report]` is fine.


@node
def two_results(state: Attempt) -> Again[Attempt] | Done[Code] | Done[Report]:
    return Done(state.code)


@graph
def two_results_joined(state: Attempt) -> Code | Report:
    return loop(two_results, rounds=2)(state)  # error: mypy


# Wrong code. The keys of the arms widen the type of the key: a result type is covariant, so `Literal["easy", "hard"]` counts
# as `str`. mypy alone decides on the key first.

wrong_key = switch(rate, {"easy": write, "medium": write, "hard": write})  # error: mypy
wrong_enum_key = switch(level_of, {Level.LOW: write, "high": write}, default=write)  # error: mypy
wrong_key_type = switch(is_short, {True: write, "no": write, False: write})  # error: mypy


# Wrong code. What `otherwise` gives must be what the loop gives. mypy says so here; for the others the result is the union
# of both, which they flag where it is used as `Code`.


@node
def attempt(state: Attempt) -> Again[Attempt] | Done[Code]:
    return Done(state.code)


@node
def give_up(state: Attempt) -> Report:
    return Report(passed=not state.code)


wider_result = loop(attempt, rounds=3, otherwise=give_up)  # error: mypy


@graph
def wider_result_used(state: Attempt) -> Code:
    return wider_result(state)  # error: pyright, ty


# Wrong code that nobody sees. The type system has no word for "every value has an arm", nor for "at least 1".

not_covered = switch(rate, {"easy": write})
no_rounds = loop(attempt, rounds=0)


# Wrong code that nobody sees: for a checker a ref is the value, so it cannot know what has no value yet.


@graph
def too_early(task: Task) -> Code:
    if write(task).source == "":
        return write(Task(text=f"{task.text}!"))
    return write(task)

"""`each`, `loop` and `switch` as users write them. No checker may flag a line; importing the file builds every graph."""

from collections.abc import AsyncIterable, Sequence
from enum import Enum
from typing import Literal

from pydantic import BaseModel
from typing_extensions import assert_type

from swarmlet import Again, BudgetExceeded, Done, Failed, Node, agent, each, graph, loop, node, switch


class Task(BaseModel):
    text: str


class Code(BaseModel):
    source: str


class Report(BaseModel):
    passed: bool
    log: str = ""


class Attempt(BaseModel):
    task: Task
    code: Code
    log: str = ""


class Level(Enum):
    LOW = 1
    HIGH = 2


@agent(Code)
def write(task: Task) -> str:
    return task.text


@agent(Code)
def improve(task: Task, code: Code, log: str) -> str:
    return f"{task.text}\n{code.source}\n{log}"


@agent(list[Task])
def split(task: Task) -> str:
    return task.text


@node
async def check(code: Code, strict: bool = False) -> Report:
    return Report(passed=not strict, log=code.source)


@node
def start(task: Task, code: Code) -> Attempt:
    return Attempt(task=task, code=code)


@node
def verdict(state: Attempt, code: Code, report: Report) -> Again[Attempt] | Done[Code]:
    return Done(code) if report.passed else Again(Attempt(task=state.task, code=code, log=report.log))


@graph
def attempt(state: Attempt) -> Again[Attempt] | Done[Code]:
    code = improve(state.task, state.code, state.log)
    return verdict(state, code, check(code))


@graph
def solve(task: Task) -> Code:
    return loop(attempt, rounds=5)(start(task, write(task)))


# each


@node
def successes(results: list[Code | Failed]) -> list[Code]:
    return [result for result in results if not isinstance(result, Failed)]


@node
def reasons(results: list[Code | Failed]) -> list[str]:
    return [f"{result.path}: {result.message}" for result in results if isinstance(result, Failed)]


@node
def translate(text: str, language: str, *, formal: bool = False) -> str:
    return f"{text} in {language} {formal}"


def length(text: str) -> int:
    return len(text)


@graph
def mapped(task: Task) -> list[Code]:
    codes = each(write)(split(task))
    assert_type(codes, list[Code])
    return codes


@graph
def mapped_by_hand(first: Task, second: Task) -> tuple[list[Code], list[Code]]:
    return each(write, concurrency=4)([first, second]), each(write)((first, second))


@graph
def kept(tasks: list[Task]) -> tuple[list[Code], list[str]]:
    results = each(write, on_error="keep")(tasks)
    assert_type(results, list[Code | Failed])
    return successes(results), reasons(results)


@graph
def skipped(tasks: list[Task]) -> list[Code]:
    results = each(write, on_error="skip", concurrency=2)(tasks)
    assert_type(results, list[Code])
    return results


@graph
def kept_for_some_failures(tasks: list[Task]) -> list[Code | Failed]:
    results = each(write, on_error="keep", on=(TimeoutError, ValueError), at_least=2)(tasks)
    assert_type(results, list[Code | Failed])
    return results


@graph
def skipped_for_one_failure(tasks: list[Task]) -> list[Code]:
    results = each(write, on_error="skip", on=BudgetExceeded, enough=2)(tasks)
    assert_type(results, list[Code])
    return results


@graph
def raised(tasks: list[Task]) -> list[Code]:
    return each(write, on_error="raise")(tasks)


@graph
def broadcast(texts: list[str], language: str) -> list[str]:
    formal = each(translate)(texts, language, formal=True)
    return each(translate)(formal, language=language)


@graph
def of_agents(code: Code, logs: list[str], tasks: list[Task]) -> list[Code]:
    return each(improve)(tasks, code, logs[0])


@graph
def of_functions(texts: list[str]) -> list[int]:
    lengths = each(length)(texts)
    assert_type(lengths, list[int])
    return lengths


@graph
def of_each(rows: list[list[Task]]) -> list[list[Code]]:
    codes = each(each(write))(rows)
    assert_type(codes, list[list[Code]])
    return codes


@graph
def kept_in_each(rows: list[list[Task]]) -> list[list[Code | Failed] | Failed]:
    results = each(each(write, on_error="keep"), on_error="keep")(rows)
    assert_type(results, list[list[Code | Failed] | Failed])
    return results


@graph
def of_loops(attempts: list[Attempt]) -> list[Code]:
    return each(loop(attempt, rounds=3))(attempts)


@graph
def of_graphs(tasks: list[Task]) -> list[Code]:
    codes = each(solve, concurrency=3)(tasks)
    assert_type(codes, list[Code])
    return codes


@graph
def each_then_each(tasks: list[Task]) -> list[Report]:
    return each(check)(each(write)(tasks), strict=True)


# loop


@node
def countdown(left: int) -> Again[int] | Done[str]:
    return Again(left - 1) if left else Done("lift-off")


@node
def climb(height: int, step: int) -> Again[int] | Done[int]:
    return Again(height + step) if height < 100 else Done(height)


@node
def either(state: Attempt) -> Again[Attempt] | Done[Code | Report]:
    return Done(state.code) if state.log else Done(Report(passed=False))


@node
def once(state: int) -> Done[str]:
    return Done(str(state))


@node
def last_code(state: Attempt) -> Code:
    return state.code


def give_up(left: int) -> str:
    return f"stopped at {left}"


@graph
def looped(task: Task) -> Code:
    code = loop(attempt, rounds=5)(start(task, write(task)))
    assert_type(code, Code)
    return code


@graph
def looped_plainly(left: int) -> str:
    text = loop(countdown, rounds=10)(left)
    assert_type(text, str)
    return text


@graph
def looped_with_more(height: int) -> int:
    return loop(climb, rounds=10)(loop(climb, rounds=10)(height, step=5), 7)


@graph
def union_of_results(state: Attempt) -> Code | Report:
    result = loop(either, rounds=2)(state)
    assert_type(result, Code | Report)
    return result


@graph
def always_done(state: int) -> str:
    return loop(once, rounds=1)(state)


@graph
def otherwise(state: Attempt, left: int) -> tuple[Code, str]:
    code = loop(attempt, rounds=5, otherwise=last_code)(state)
    assert_type(code, Code)
    return code, loop(countdown, rounds=3, otherwise=give_up)(left)


# switch


@node
def rate(task: Task) -> Literal["easy", "hard"]:
    return "easy" if task.text else "hard"


@node
def level_of(task: Task) -> Level:
    return Level.LOW if task.text else Level.HIGH


@node
def is_short(task: Task) -> bool:
    return len(task.text) < 10


def words_in(task: Task) -> int:
    return len(task.text.split())


@node
def describe(task: Task) -> Report:
    return Report(passed=True, log=task.text)


@graph
def by_literal(task: Task) -> Code:
    code = switch(rate, {"easy": write, "hard": solve})(task)
    assert_type(code, Code)
    return code


@graph
def by_enum(task: Task) -> Code:
    return switch(level_of, {Level.LOW: write, Level.HIGH: solve.with_options(timeout=60)})(task)


@graph
def by_bool(task: Task) -> Code:
    return switch(is_short, {True: write, False: solve})(task=task)


@graph
def by_number(task: Task) -> Code:
    return switch(words_in, {0: write, 1: write}, default=solve)(task)


@graph
def in_each(tasks: list[Task]) -> list[Code]:
    codes = each(switch(is_short, {True: write, False: solve}))(tasks)
    assert_type(codes, list[Code])
    return codes


# Combinators are values

mapped_write: Node[[Sequence[Task] | AsyncIterable[Task]], list[Code]] = each(write)
looped_attempt = loop(attempt, rounds=2)
routed: Node[[Task], Code] = switch(rate, {"easy": write, "hard": solve})
patient = each(write).with_options(timeout=30, name="drafts")


@graph
def of_values(task: Task) -> list[Code]:
    return [routed(task), looped_attempt(start(task, write(task))), patient([task])[0], mapped_write([task, task])[1]]

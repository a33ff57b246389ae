"""Four ways from a problem to code. None of them sees the hidden tests."""

from __future__ import annotations

from dataclasses import dataclass

from examples.coding.agents import code_in, write
from examples.coding.flow import solve, tests_for
from examples.coding.shapes import Attempt, Code, Suite, Task
from examples.coding.trial import tried
from examples.humaneval.problems import Problem
from swarmlet import Node, agent, best, graph, node, vote

SAMPLES = 5


@dataclass(frozen=True)
class Answer:
    code: Code


@agent(str, max_tokens=500, temperature=0.8)
def sample(task: Task) -> str:
    """You write small, correct Python functions. Reply with one ```python block that has the code, and nothing else."""
    return f"{task.text}\n\nWrite the function, without its docstring."


@node
def task_of(problem: Problem) -> Task:
    return problem.task


@graph
def single(problem: Problem) -> Code:
    """One call."""
    return code_in(write(task_of(problem)))


@graph
def sampled(task: Task, tests: Suite) -> Attempt:
    return tried(task, code_in(sample(task)), tests)


@node
def share(attempt: Attempt) -> float:
    return attempt.report.passed / max(1, attempt.report.total)


def behaviour(attempt: Attempt) -> tuple[str, ...]:
    """What the code gives for the inputs of the tests, whatever they say that it should give."""
    return attempt.report.gave


@graph
def best_of(problem: Problem) -> Code:
    """Several calls and one for tests; the code that passes the most of them."""
    task = task_of(problem)
    tests = tests_for(task)
    return best(sampled, of=SAMPLES, score=share, enough=1.0, concurrency=2)(task, tests).code


@graph
def voted(problem: Problem) -> Code:
    """Several calls and one for tests, of which only the inputs count; the code that does what most do."""
    task = task_of(problem)
    tests = tests_for(task)
    return vote(sampled, of=SAMPLES, quorum=1, key=behaviour, ties="first", concurrency=3)(task, tests).code


@graph
def worked(problem: Problem) -> Code:
    """The workflow of `examples.coding`: written, reviewed, tested, run and mended."""
    return solve(task_of(problem)).code


WAYS: dict[str, Node[[Problem], Code]] = {"single": single, "best": best_of, "vote": voted, "workflow": worked}

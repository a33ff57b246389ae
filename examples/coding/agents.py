"""The agents: one writes, one writes tests, one reviews, one mends.

Code is asked for as plain text, because it is hard to write inside JSON, for models as for people. Tests are asked for as
typed cases, because a small model that is shown a function likes to write it, whatever it was asked for.
"""

from __future__ import annotations

import ast
import re

from pydantic import BaseModel, Field

from examples.coding.shapes import Attempt, Code, Suite, Task
from swarmlet import agent, node
from swarmlet.errors import OutputInvalid, Refused, ReplyTruncated

NO_REPLY = (ReplyTruncated, OutputInvalid, Refused)
"""The model has answered, and not as it was asked to. A server that cannot be reached is another matter: that ends the run."""
BLOCK = re.compile(r"```(?:python|py)?[ \t]*\n(.*?)(?:\n```|\Z)", re.DOTALL)


class Case(BaseModel):
    """One test."""

    call: str = Field(max_length=100, description="A call of the function with literal arguments")
    gives: str = Field(max_length=60, description="What it gives, as a Python literal: text in quotes")


class Cases(BaseModel):
    cases: list[Case] = Field(max_length=6)


@agent(str, max_tokens=500, temperature=0)
def write(task: Task) -> str:
    """You write small, correct Python functions. Reply with one ```python block that has the code, and nothing else."""
    return f"{task.text}\n\nWrite the function, without its docstring."


@agent(Cases, max_tokens=400, temperature=0)
def write_tests(task: Task) -> str:
    """You write test cases for Python functions: first the examples of the task, then edge cases of which you are sure."""
    return (
        f"{task.text}\n\nGive up to six test cases. Each is a call with literal arguments, and the literal value that it gives."
    )


@agent(str, max_tokens=500, temperature=0)
def review(task: Task, code: Code) -> str:
    """You review Python code against its task. Reply with one ```python block: the whole code, corrected where it is wrong."""
    return f"{task.text}\n\nThe code to review:\n{block(code)}\n\nGive the code, without a docstring."


@agent(str, max_tokens=500, temperature=0.8)
def mend(best: Attempt) -> str:
    """You mend Python code. Find out why its tests fail. Reply with one ```python block that has the whole corrected code.

    If the code does what the task says, and a test is wrong, repeat the code as it is.
    """
    return f"{best.task.text}\n\nThe code:\n{block(best.code)}\n\nThese tests fail:\n{best.report.log}\n\nCorrect it."


def block(code: Code) -> str:
    return f"```python\n{code.source}\n```"


@node
def code_in(reply: str) -> Code:
    return Code(fenced(reply))


@node
def tests_in(written: Cases) -> Suite:
    """The cases as assert statements, each once; those that are no Python are left out."""
    lines = (f"assert {case.call.strip()} == {literal(case.gives.strip())}" for case in written.cases)
    return Suite(tuple(dict.fromkeys(line for line in lines if is_test(line))))


def literal(text: str) -> str:
    """What was written, if it is a Python literal; else it is text of which the quotes were forgotten."""
    try:
        ast.literal_eval(text)
    except (ValueError, SyntaxError):
        return repr(text)
    return text


def fenced(reply: str) -> str:
    """The first fenced block of a reply, also if it was cut off, or all of the reply if there is none."""
    found = BLOCK.search(reply)
    return (found[1] if found else reply).strip("\n")


def is_test(line: str) -> bool:
    """Whether a line is one assert statement that compares what a call gives with something."""
    try:
        statements = ast.parse(line).body
    except (SyntaxError, ValueError):
        return False
    match statements:
        case [ast.Assert(test=ast.Compare(left=ast.Call(), ops=[ast.Eq()]))]:
            return "\n" not in line
        case _:
            return False


@node
def no_tests(task: Task) -> Suite:
    """What there is when the tester has failed: the code is then given as untested."""
    return Suite(())

"""The hidden tests: they say whether an answer counts, and no way ever sees them."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

from examples.coding.shapes import Code
from examples.coding.trial import run_python
from examples.humaneval.problems import Problem
from swarmlet import graph, node
from swarmlet.bridges.sandbox import Ran


@dataclass(frozen=True)
class Score:
    id: str
    passed: bool
    why: str


def mark_of(problem: Problem, code: Code) -> str:
    """Printed after the last test, so a program that just exits has not passed."""
    return hashlib.sha256(f"{problem.id}\0{code.source}".encode()).hexdigest()[:16]


@node
def checked_program(problem: Problem, code: Code) -> str:
    check = f"check({problem.name})\nprint('\\n' + {mark_of(problem, code)!r})"
    return f"__name__ = 'solution'\n{problem.given}\n{code.source}\n\n{problem.hidden}\n{check}\n"


@node
def judge(problem: Problem, code: Code, ran: Ran) -> Score:
    passed = mark_of(problem, code) in ran.stdout.splitlines()
    last = (ran.stderr.strip().splitlines() or [ran.reason])[-1]
    return Score(problem.id, passed, "" if passed else (last or "it ended before its tests did")[:200])


@graph
def score(problem: Problem, code: Code) -> Score:
    return judge(problem, code, run_python(checked_program(problem, code)))

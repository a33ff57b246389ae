"""Code and tests as one program for the sandbox, and what the program printed as a `Report`.

Each test runs on its own and is reported at once, so that the report tells how many hold also where one never ends. The
lines of the report start with a mark, so what the code under test prints itself is not taken for it.
"""

from __future__ import annotations

import ast
import hashlib
from collections.abc import Iterator
from contextlib import suppress

from pydantic import TypeAdapter

from examples.coding.shapes import Attempt, Code, Report, Suite, Task
from swarmlet import graph, node
from swarmlet.bridges.sandbox import Bubblewrap, Ran, SandboxLimits, python_in

BOX = Bubblewrap(SandboxLimits(seconds=60, cpu_seconds=10))
"""All of Python is needed here. `BOX.check()` says before anything is paid for whether it works, and what to install.

What bounds a program is the processor's time: how long it took on a busy machine says nothing about it."""
run_python = python_in(BOX)
ROW = TypeAdapter(tuple[bool, str])

HARNESS = """
def _report(mark, tests):
    import json, sys
    for test, call in tests:
        try:
            gave = repr(eval(call, globals()))[:200]
            try:
                exec(test, globals())
                holds = True
            except AssertionError:
                holds = False
        except BaseException as error:
            holds, gave = False, f"{type(error).__name__}: {error}"[:200]
        print("\\n" + mark + json.dumps([holds, gave]), flush=True)
"""


def mark_of(code: Code, tests: Suite) -> str:
    """The same for the same texts, so that a run that goes on finds the same program."""
    return hashlib.sha256("\0".join([code.source, *tests.asserts]).encode()).hexdigest()[:16] + " "


def call_in(test: str) -> str:
    """What a test compares: the call on its left side."""
    match ast.parse(test).body:
        case [ast.Assert(test=ast.Compare(left=call))]:
            return ast.unparse(call)
        case _:
            raise ValueError(f"not a test: {test}")


@node
def program(task: Task, code: Code, tests: Suite) -> str:
    rows = [(test, call_in(test)) for test in tests.asserts]
    return f"{task.given}\n{code.source}\n{HARNESS}\n_report({mark_of(code, tests)!r}, {rows!r})\n"


def rows_in(stdout: str, mark: str) -> Iterator[tuple[bool, str]]:
    """What came of each test. A line into which the code under test has printed, from a thread say, tells nothing."""
    for line in stdout.splitlines():
        if line.startswith(mark):
            with suppress(ValueError):
                yield ROW.validate_json(line.removeprefix(mark))


@node
def report_of(code: Code, tests: Suite, ran: Ran) -> Report:
    rows = list(rows_in(ran.stdout, mark_of(code, tests)))[: len(tests.asserts)]  # a program that forks reports twice
    log = [f"{test}\n  it gave {gave}" for test, (holds, gave) in zip(tests.asserts, rows, strict=False) if not holds]
    if len(rows) < len(tests.asserts):
        last = (ran.stderr.strip().splitlines() or [""])[-1][:200]  # a model reads it
        log.append(f"{tests.asserts[len(rows)]}\n  the program ended before that: {ran.reason} {last}".rstrip())
    return Report(sum(holds for holds, _ in rows), len(tests.asserts), "\n".join(log), tuple(gave for _, gave in rows))


@node
def attempt_of(task: Task, code: Code, tests: Suite, report: Report) -> Attempt:
    return Attempt(task, code, tests, report)


@graph
def tried(task: Task, code: Code, tests: Suite) -> Attempt:
    return attempt_of(task, code, tests, report_of(code, tests, run_python(program(task, code, tests))))

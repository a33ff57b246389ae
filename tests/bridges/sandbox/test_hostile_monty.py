"""Hostile programs in the interpreter for a part of Python: the same deeds, and what is peculiar to it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from swarmlet.bridges.sandbox import Monty, Outcome, SandboxLimits
from tests.bridges.sandbox.boxes import PATIENT, SMALL, children, needs_monty

pytestmark = [
    pytest.mark.anyio,
    needs_monty,
    pytest.mark.parametrize("anyio_backend", [("asyncio", {})], ids=["asyncio"]),
]

SHORT = replace(SMALL, seconds=60, cpu_seconds=0.5)
STOPPED: tuple[Outcome, ...] = ("timed_out", "out_of_memory")
FAILED: tuple[Outcome, ...] = ("failed",)

BOMBS: list[tuple[str, str, tuple[Outcome, ...], SandboxLimits]] = [
    ("computing for ever", "while True: pass", ("timed_out",), SHORT),
    ("computing for ever, and catching what stops it",
        "while True:\n    try:\n        while True: pass\n    except BaseException: pass", ("timed_out",), SHORT),
    ("sleeping for ever", "import time\nwhile True: time.sleep(10**9)", ("timed_out",), SMALL),
    ("sleeping in small pieces", "import time\nwhile True: time.sleep(0.01)", ("timed_out",), SMALL),
    ("sleeping without end", "import time\ntime.sleep(float('inf'))", ("timed_out", "failed"), SMALL),
    ("memory, in one list", "x = []\nwhile True: x.append('x' * 100_000 + str(len(x)))", ("out_of_memory",), PATIENT),
    ("memory, at one stroke", "x = [0] * 10**12", ("out_of_memory",), PATIENT),
    ("memory, doubled", "x = 'ab'\nwhile True: x += x", ("out_of_memory",), PATIENT),
    ("a number that is too large", "x = 10 ** 10 ** 8", STOPPED, SHORT),
    ("numbers that grow", "x = 3\nwhile True: x *= x", STOPPED, SHORT),
    ("a regular expression without end", "import re\nre.match('(a|a)+b|(a+)+c', 'a' * 5000)",
        (*STOPPED, "failed", "finished"), SHORT),
    ("recursion", "def f(): return f()\nf()", FAILED, PATIENT),
    ("recursion in a class", "class A:\n    def __repr__(self): return repr(self)\nprint(A())", FAILED, PATIENT),
    ("a list in itself", "x = []\nx.append(x)\nprint(x)\nx == x", ("finished", "failed"), PATIENT),
    ("depth of data",
        "x = []\nfor _ in range(200_000): x = [x]\nprint(x)",
        ("finished", "failed", *STOPPED, "too_much_output"), SHORT),
    ("depth of code", "[" * 20_000 + "]" * 20_000, FAILED, PATIENT),
    ("depth of an expression", "x = " + "-" * 50_000 + "1", ("failed", "finished"), PATIENT),
    ("length of an expression", "x = 1" + "+1" * 10_000, ("failed", "finished"), PATIENT),
    ("output without end", "while True: print('x' * 1000)", ("too_much_output",), PATIENT),
    ("errors without end", "import sys\nwhile True: print('x', file=sys.stderr)", ("too_much_output",), PATIENT),
    ("a line without end", "while True: print('x', end='')", ("too_much_output",), PATIENT),
    ("an error of ten megabytes", "raise ValueError('x' * 10_000_000)", ("too_much_output",), PATIENT),
    ("a value at the end that is large", "[0] * 1_000_000", ("finished",), PATIENT),
    ("an end in the middle of a line", "1 + \\", FAILED, PATIENT),
    ("threads", "import threading", FAILED, PATIENT),
    ("claims: time is up", "raise TimeoutError('feed time limit exceeded: 10s > 1s')", FAILED, PATIENT),
    ("claims: a reason", "print('the program was stopped: it took longer than 1 s')", ("finished",), PATIENT),
    ("tasks without end", "import asyncio\nasync def f():\n    await asyncio.gather(f(), f())\nasyncio.run(f())",
        ("failed", *STOPPED), SHORT),
]  # fmt: skip

WAYS_OUT = [
    "open('/etc/passwd').read()",
    "open('/etc/passwd', 'w')",
    "open('SECRET').read()",
    "__import__('os').system('id')",
    "import os\nos.system('id')",
    "import os\nos.listdir('/')",
    "import os\nos.environ['HOME']",
    "import os\nos.getenv('HOME')[0]",
    "import os\nos._exit(0)",
    "import os\nos.kill(1, 9)",
    "import os\nos.fork()",
    "from pathlib import Path\nPath('/etc/passwd').read_text()",
    "from pathlib import Path\nlist(Path('/').iterdir())",
    "from pathlib import Path\nPath('SECRET').unlink()",
    "import subprocess",
    "import socket",
    "import ctypes",
    "import urllib.request",
    "import multiprocessing",
    "import pickle",
    "import swarmlet",
    "import pydantic_monty",
    "import importlib",
    "import builtins\nbuiltins.open('/etc/passwd')",
    "import sys\nsys.modules['os'].system('id')",
    "import sys\nsys._getframe()",
    "import inspect",
    "().__class__.__base__.__subclasses__()",
    "(lambda: 0).__globals__",
    "(lambda: 0).__code__",
    "[].__class__.__mro__",
    "'{0.__class__.__mro__}'.format(1)",
    "try:\n    1 / 0\nexcept Exception as error:\n    error.__traceback__.tb_frame.f_globals",
    "getattr(1, '__cl' + 'ass__').__base__",
    "type.__subclasses__(object)",
    "print.__self__",
    "globals()['__builtins__']",
    'eval(\'__import__("os").system("id")\')',
    "exec('import socket')",
    "compile('1', '', 'eval')",
    "breakpoint()",
    "_input_lines.__class__.__base__",
    "input.__globals__",
]


@pytest.fixture(autouse=True)
def nothing_is_left() -> Iterator[None]:
    yield
    assert children() == []


@pytest.mark.parametrize(("code", "outcomes", "limits"), [pytest.param(*rest, id=name) for name, *rest in BOMBS])
async def test_a_hostile_program_is_contained_and_its_end_is_told(
    code: str, outcomes: tuple[Outcome, ...], limits: SandboxLimits
) -> None:
    ran = await Monty(limits).run(code)
    assert ran.outcome in outcomes, ran
    assert bool(ran.reason) != ran.ok
    assert len(ran.stdout) + len(ran.stderr) <= limits.output_kb * 1024


@pytest.mark.parametrize("code", WAYS_OUT)
async def test_there_is_no_way_out(code: str, tmp_path: Path) -> None:
    secret = tmp_path / "secret.txt"
    secret.write_text("a secret in a file")
    ran = await Monty(PATIENT).run(code.replace("SECRET", str(secret)) + "\nprint('ESCAPED')")
    assert ran.outcome == "failed", ran
    assert "ESCAPED" not in ran.stdout
    assert secret.read_text() == "a secret in a file"


async def test_what_the_interpreter_lacks_is_told_as_such() -> None:
    for code in ("def f():\n    yield 1", "import socket", "open('/etc/passwd')"):
        ran = await Monty(PATIENT).run(code)
        assert ran.outcome == "failed"
        assert "a part of Python only" in ran.reason


async def test_a_program_of_the_usual_kind_runs() -> None:
    program = """
import json, math, re
from dataclasses import dataclass

@dataclass
class Point:
    x: int
    y: int

def distance(a: Point, b: Point) -> float:
    return math.sqrt((a.x - b.x) ** 2 + (a.y - b.y) ** 2)

assert distance(Point(0, 0), Point(3, 4)) == 5
words = {word: len(word) for word in re.findall(r"\\w+", "the quick brown fox")}
if __name__ == "__main__":
    print(json.dumps(words), sorted(words, key=lambda word: -words[word])[0])
"""
    ran = await Monty(PATIENT).run(program)
    assert ran.ok, ran
    assert ran.stdout == '{"the": 3, "quick": 5, "brown": 5, "fox": 3} quick\n'

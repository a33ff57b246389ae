"""What every sandbox does, on every event loop."""

from __future__ import annotations

import itertools

import anyio
import pytest

from swarmlet.bridges.sandbox import Bubblewrap, Monty, Ran, SandboxLimits
from tests.bridges.sandbox.boxes import BACKENDS, PATIENT, SMALL, boxed

pytestmark = pytest.mark.anyio
Backend = type[Bubblewrap] | type[Monty]

every = pytest.mark.parametrize("backend", BACKENDS)


@every
async def test_what_a_program_prints_comes_back(backend: Backend) -> None:
    ran = await boxed(backend).run("import sys\nprint('out ä €')\nprint('err', file=sys.stderr)")
    name = boxed(backend).name
    assert (ran.outcome, ran.stdout, ran.stderr, ran.reason, ran.exit_code) == ("finished", "out ä €\n", "err\n", "", 0)
    assert ran.ok
    assert ran.sandbox == name
    assert ran.seconds > 0


@every
async def test_an_exception_comes_back_as_its_traceback(backend: Backend) -> None:
    ran = await boxed(backend).run("print('before')\n\ndef f():\n    return 1 / 0\nf()")
    assert (ran.outcome, ran.stdout, ran.exit_code) == ("failed", "before\n", 1)
    assert not ran.ok
    assert ran.reason == "the program raised ZeroDivisionError: division by zero"
    assert "line 4, in f" in ran.stderr
    assert ran.stderr.endswith("ZeroDivisionError: division by zero\n")


@every
async def test_code_that_is_no_python_fails_with_its_line(backend: Backend) -> None:
    ran = await boxed(backend).run("x = 1\nx = = 2\n")
    assert ran.outcome == "failed"
    assert "SyntaxError" in ran.reason
    assert "line 2" in ran.stderr


@every
@pytest.mark.parametrize("code", ["", "\n", "# only a comment", "x = 5", "'a value at the end'", "if True:\n    pass"])
async def test_a_program_that_prints_nothing_finishes(backend: Backend, code: str) -> None:
    ran = await boxed(backend).run(code)
    assert (ran.outcome, ran.stdout, ran.stderr) == ("finished", "", "")


@every
async def test_a_program_reads_its_input_line_by_line(backend: Backend) -> None:
    ran = await boxed(backend).run("print(input(), input('> '))", stdin="one\ntwo\nthree\n")
    assert (ran.outcome, ran.stdout) == ("finished", "> one two\n")


@every
async def test_a_program_that_reads_more_than_there_is_fails(backend: Backend) -> None:
    ran = await boxed(backend).run("input()\ninput()", stdin="one")
    assert ran.outcome == "failed"
    assert "EOF when reading a line" in ran.reason


@every
async def test_input_that_nobody_reads_does_no_harm(backend: Backend) -> None:
    assert (await boxed(backend).run("print(1)", stdin="line\n" * 100_000)).stdout == "1\n"


@every
async def test_a_program_that_sleeps_too_long_is_stopped(backend: Backend) -> None:
    ran = await boxed(backend, SMALL).run("import time\nprint('sleeps')\ntime.sleep(1000)")
    assert (ran.outcome, ran.stdout, ran.exit_code) == ("timed_out", "sleeps\n", None)
    assert ran.reason == "the program was stopped: it took longer than 1.5 s"


@every
async def test_a_program_that_computes_too_long_is_stopped(backend: Backend) -> None:
    ran = await boxed(backend, SandboxLimits(seconds=60, cpu_seconds=0.3)).run("while True: pass")
    assert (ran.outcome, ran.exit_code) == ("timed_out", None)
    assert ran.reason == "the program was stopped: it computed for more than 0.3 s"


@every
async def test_a_program_that_needs_too_much_memory_is_told_so(backend: Backend) -> None:
    ran = await boxed(backend).run("x = []\nwhile True: x.append('x' * 1_000_000 + str(len(x)))")
    assert (ran.outcome, ran.reason) == ("out_of_memory", "the program ran out of memory: it may use 128 MiB")


@every
async def test_what_was_printed_until_it_was_too_much_is_kept(backend: Backend) -> None:
    ran = await boxed(backend).run("while True: print('x' * 99)")
    assert (ran.outcome, ran.exit_code) == ("too_much_output", None)
    assert ran.stdout.startswith("x" * 99 + "\n")
    assert 64 * 1024 - 4 <= len(ran.stdout) <= 64 * 1024
    assert ran.reason == "the program was stopped: it printed more than 64 KiB"


@every
async def test_output_that_just_fits_is_not_too_much(backend: Backend) -> None:
    ran = await boxed(backend).run("print('x' * (64 * 1024 - 1))")
    assert (ran.outcome, len(ran.stdout)) == ("finished", 64 * 1024)


@every
async def test_stdout_and_stderr_share_one_limit(backend: Backend) -> None:
    ran = await boxed(backend).run("import sys\nfor f in (sys.stdout, sys.stderr) * 40: print('x' * 999, file=f)")
    assert ran.outcome == "too_much_output"
    assert len(ran.stdout) + len(ran.stderr) == 64 * 1024


@every
async def test_control_characters_come_back_as_they_are(backend: Backend) -> None:
    ran = await boxed(backend).run("print('a\\x00b\\x1b[31m\\x07\\x9bend\\r\\n')")
    assert ran.stdout == "a\0b\x1b[31m\x07\x9bend\r\n\n"


@every
@pytest.mark.parametrize(
    ("code", "stdin", "why"),
    [
        ("print('\ud800')", "", "the code has half of a surrogate pair at character 7"),
        ("print(1)", "x\udfff", "the stdin has half of a surrogate pair at character 1"),
        ("print('\0')", "", "the code has a NUL character at 7"),
        ("#" * 1_000_001, "", "the code has 1,000,001 characters, of 1,000,000 at most"),
        ("print(1)", "x" * 1_000_001, "the stdin has 1,000,001 characters"),
    ],
    ids=["surrogate", "surrogate-stdin", "nul", "huge", "huge-stdin"],
)
async def test_what_can_be_no_program_comes_back_as_failed(backend: Backend, code: str, stdin: str, why: str) -> None:
    ran = await boxed(backend).run(code, stdin=stdin)
    assert (ran.outcome, ran.stdout, ran.exit_code) == ("failed", "", None)
    assert ran.reason.startswith(f"the program was not run: {why}")


@every
@pytest.mark.parametrize("code", [None, b"print(1)", 5])
async def test_what_is_no_text_is_the_callers_mistake(backend: Backend, code: object) -> None:
    with pytest.raises(TypeError, match="the code of a sandboxed program is a str"):
        await boxed(backend).run(code)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]


@every
async def test_nothing_is_kept_from_one_program_to_the_next(backend: Backend) -> None:
    box = boxed(backend)
    assert (await box.run("x = 5\nimport sys\nsys.y = 6")).outcome in ("finished", "failed")
    assert "NameError" in (await box.run("print(x)")).reason


@every
async def test_programs_run_side_by_side_and_each_has_its_own_output(backend: Backend) -> None:
    box = boxed(backend, PATIENT, 4)
    ran: dict[int, Ran] = {}

    async def one(number: int) -> None:
        ran[number] = await box.run(f"print({number})\nimport time\ntime.sleep(0.01)\nprint({number})")

    async with anyio.create_task_group() as group:
        for number in range(12):
            group.start_soon(one, number)
    assert {number: ran[number].stdout for number in range(12)} == {number: f"{number}\n{number}\n" for number in range(12)}


@every
def test_a_sandbox_serves_several_event_loops(backend: Backend) -> None:
    box = boxed(backend, PATIENT, 1)
    for loop in ("asyncio", "trio", "asyncio"):
        assert anyio.run(box.run, "print(1)", backend=loop).stdout == "1\n"


@every
async def test_more_programs_than_places_wait(backend: Backend) -> None:
    """Each program notes when it began and ended: of three with one place, no two overlap."""
    box = boxed(backend, PATIENT, 1)
    times: list[tuple[float, float]] = []

    async def one() -> None:
        ran = await box.run("import time\na = time.time()\ntime.sleep(0.05)\nprint(a, time.time())")
        began, ended = map(float, ran.stdout.split())
        times.append((began, ended))

    async with anyio.create_task_group() as group:
        for _ in range(3):
            group.start_soon(one)
    times.sort()
    assert all(earlier[1] <= later[0] for earlier, later in itertools.pairwise(times))


@pytest.mark.parametrize("backend", [Bubblewrap, Monty])
@pytest.mark.parametrize("at_once", [0, -1, 1.5, True, "2"])
def test_a_bound_that_is_none_is_refused(backend: Backend, at_once: object) -> None:
    with pytest.raises(ValueError, match="at_once= is how many programs"):
        backend(SMALL, at_once)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]


@pytest.mark.parametrize("backend", [Bubblewrap, Monty])
def test_limits_that_are_none_are_refused(backend: Backend) -> None:
    with pytest.raises(TypeError, match=r"takes SandboxLimits\(\.\.\.\), not 5"):
        backend(5)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]

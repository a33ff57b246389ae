"""However a run ends, nothing of it is left when it has: no process, no descriptor, no file."""

from __future__ import annotations

import asyncio
import os
import resource
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import anyio
import pytest

from swarmlet.bridges.sandbox import Bubblewrap, Monty, SandboxFailed
from tests.bridges.sandbox.boxes import (
    BACKENDS,
    PATIENT,
    alive,
    born_of,
    boxed,
    children,
    descendants,
    descriptors,
    needs_bubblewrap,
)

pytestmark = pytest.mark.anyio
Backend = type[Bubblewrap] | type[Monty]

every = pytest.mark.parametrize("backend", BACKENDS)

FAMILY = """
import os, signal, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
for _ in range(3):
    if not os.fork():
        os.setsid()
        time.sleep(600)
time.sleep(600)
"""
SLEEPS = {Bubblewrap: FAMILY, Monty: "import time\ntime.sleep(600)"}
COMPUTES = "while True: pass"
PROCESSES = {Bubblewrap: 5, Monty: 1}
"""How many processes there are at least while the program above runs."""


@pytest.fixture(autouse=True)
def no_files(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    yield
    assert list(tmp_path.iterdir()) == []


async def until_it_runs(backend: Backend) -> dict[int, str]:
    """Wait until the program is there with all its processes."""
    with anyio.fail_after(30):
        while len(descendants()) < PROCESSES[backend]:  # noqa: ASYNC110  # other processes set no event
            await anyio.sleep(0.005)
    return descendants()


@every
@pytest.mark.parametrize("kind", ["sleeps", "computes"])
async def test_a_cancelled_run_leaves_no_process(backend: Backend, kind: str) -> None:
    code = SLEEPS[backend] if kind == "sleeps" else COMPUTES
    processes: dict[int, str] = {}
    with anyio.fail_after(60):
        async with anyio.create_task_group() as group:
            group.start_soon(boxed(backend).run, code)
            if kind == "sleeps":
                processes = await until_it_runs(backend)
            else:
                await anyio.sleep(0.1)
                processes = descendants()
            group.cancel_scope.cancel()
    assert alive(processes) == []
    assert children() == []


@every
async def test_cancelling_again_while_it_ends_leaves_no_process(backend: Backend) -> None:
    processes: dict[int, str] = {}
    with anyio.fail_after(60), anyio.CancelScope() as outer:
        async with anyio.create_task_group() as group:
            group.start_soon(boxed(backend).run, SLEEPS[backend])
            processes = await until_it_runs(backend)
            group.cancel_scope.cancel()
            outer.cancel()
    assert alive(processes) == []
    assert children() == []


@every
@pytest.mark.parametrize("anyio_backend", [("asyncio", {})], ids=["asyncio"])
async def test_asyncios_own_cancel_twice_leaves_no_process(backend: Backend) -> None:
    task = asyncio.create_task(boxed(backend).run(SLEEPS[backend]))
    processes = await until_it_runs(backend)
    task.cancel()
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert alive(processes) == []
    assert children() == []


@every
async def test_a_run_that_is_cancelled_at_any_early_moment_leaves_nothing(backend: Backend) -> None:
    await boxed(backend).run("print(1)")  # whatever is made once is there now
    before = descriptors()
    for milliseconds in range(0, 45, 3):
        with anyio.move_on_after(milliseconds / 1000):
            await boxed(backend).run(SLEEPS[backend])
        assert children() == [], milliseconds
        assert {one.split()[0] for one in descriptors()} == {one.split()[0] for one in before}, milliseconds


@every
@pytest.mark.parametrize("code", ["print(1)", "1 / 0", "while True: print('x' * 1000)", "x = 'x' * 10**10"])
async def test_a_run_leaves_no_process_and_no_descriptor(backend: Backend, code: str) -> None:
    await boxed(backend).run("print(1)")
    before = descriptors()
    for _ in range(3):
        await boxed(backend).run(code, stdin="some input\n" * 10_000)
    assert children() == []
    assert {one.split()[0] for one in descriptors()} == {one.split()[0] for one in before}


@every
async def test_a_failing_sibling_ends_a_program(backend: Backend) -> None:
    async def fail() -> None:
        await until_it_runs(backend)
        raise ValueError("sibling")

    async def both() -> None:
        async with anyio.create_task_group() as group:
            group.start_soon(boxed(backend).run, SLEEPS[backend])
            group.start_soon(fail)

    with anyio.fail_after(60), pytest.raises(ExceptionGroup):
        await both()
    assert children() == []


@every
async def test_a_place_is_given_back_by_a_cancelled_run(backend: Backend) -> None:
    box = boxed(backend, PATIENT, 1)
    with anyio.move_on_after(0.05):
        await box.run(SLEEPS[backend])
    with anyio.fail_after(60):
        assert (await box.run("print(1)")).stdout == "1\n"


@every
async def test_a_process_without_descriptors_is_told_so_and_loses_nothing(backend: Backend) -> None:
    box = boxed(backend)
    await box.run("print(1)")
    usual = resource.getrlimit(resource.RLIMIT_NOFILE)
    highest = max(int(one.split()[0]) for one in descriptors())
    fillers = [os.open(os.devnull, os.O_RDONLY)]
    while fillers[-1] < highest:  # so that a new one is above all others
        fillers.append(os.open(os.devnull, os.O_RDONLY))
    before = {one.split()[0] for one in descriptors()}
    highest = max(map(int, before))
    failed = 0
    for more in range(1, 24):
        resource.setrlimit(resource.RLIMIT_NOFILE, (highest + more, usual[1]))
        try:
            with anyio.fail_after(30):
                await box.run("print(1)")
        except SandboxFailed:
            failed += 1
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, usual)
        assert children() == [], more
        assert {one.split()[0] for one in descriptors()} == before, more
    for filler in fillers:
        os.close(filler)
    assert failed
    assert (await box.run("print(1)")).stdout == "1\n"


@needs_bubblewrap
@pytest.mark.parametrize("loop", ["asyncio", "trio"])
def test_programs_die_with_the_process_that_runs_them(loop: str) -> None:
    starts = f"""
import anyio
from swarmlet.bridges.sandbox import Bubblewrap
from tests.bridges.sandbox.boxes import PATIENT, descendants
async def main():
    async with anyio.create_task_group() as group:
        group.start_soon(Bubblewrap(PATIENT).run, {FAMILY!r})
        while len(descendants()) < 5:
            await anyio.sleep(0.01)
        print(*descendants(), flush=True)
anyio.run(main, backend={loop!r})
"""
    with subprocess.Popen([sys.executable, "-c", starts], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        pids = [int(pid) for pid in process.stdout.readline().split()]
        known = {pid: born_of(pid) for pid in pids}
        process.send_signal(signal.SIGKILL)
    held = [(pid, os.pidfd_open(pid)) for pid in pids if born_of(pid) == known[pid]]
    for _, end in held:
        anyio.run(_gone, end)
        os.close(end)
    assert len(pids) >= 5


async def _gone(end: int) -> None:
    with anyio.fail_after(30):
        await anyio.wait_readable(end)

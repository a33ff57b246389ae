"""pydantic-monty: an interpreter for a part of Python, written from scratch, that has no way to the machine."""

from __future__ import annotations

import threading
from typing import Final, final

import anyio
import anyio.to_thread

from swarmlet.bridges.sandbox.given import given, refused
from swarmlet.bridges.sandbox.interpreted import Interpreted
from swarmlet.bridges.sandbox.places import Places
from swarmlet.bridges.sandbox.told import took_too_long
from swarmlet.bridges.sandbox.words import INSTALL, Ran, Sandbox, SandboxFailed, SandboxLimits, SandboxMissing, cause_of

_NAME: Final = "monty"
_PATIENCE: Final = 10  # seconds for a killed worker to be gone, which takes milliseconds
_trying = threading.Lock()
_tried: list[bool] = []


@final
class Monty(Sandbox):
    """Runs programs in pydantic-monty, an interpreter for a part of Python, on every platform that it has a wheel for.

        ran = await Monty(SandboxLimits(seconds=1)).run("print(sum(range(10)))")

    A program has no files, no network, no processes and no environment, because the interpreter has none to give: there is no
    `os.system` that would have to be refused. It lacks some of Python too: generators (`yield`), much of the standard library,
    `sys.exit`, and all third-party packages. What it does not know fails with its own message. It starts in a few milliseconds.

    The interpreter runs in a process of its own for each program, with an empty environment, and bounds its memory and its
    computing time (`cpu_seconds`) itself. Wall time and output are bounded from here, and the process is killed at a limit or
    when the run is cancelled. `disk_mb` and `processes` have nothing to bound.

    The interpreter is young. A program that breaks it would hold a process with your user's rights: against programs that are
    written to break out, `Bubblewrap` is the stronger box. `at_once` bounds how many programs run at the same time in an
    event loop.

    Needs `pip install 'swarmlet[sandbox]'`: else `run` raises `SandboxMissing`.
    """

    def __init__(self, limits: SandboxLimits | None = None, at_once: int | None = None) -> None:
        self.limits: SandboxLimits = given(_NAME, limits)
        self._places = Places(at_once)

    @property
    def name(self) -> str:
        """`monty`."""
        return _NAME

    def check(self) -> None:
        """Try the interpreter, once for this process. Raises `SandboxMissing` if it is not installed or does not start."""
        with _trying:
            if not _tried:
                _try()
                _tried.append(True)

    async def run(self, code: str, *, stdin: str = "") -> Ran:
        """Run a program to its end or to a limit. Cancelled, it leaves nothing behind."""
        problem = refused(code, stdin)
        if problem:
            return Ran("failed", "", "", problem, 0, _NAME, None)
        if not _tried:
            await anyio.to_thread.run_sync(self.check)
        async with self._places.one():
            running = Interpreted(self.limits, code, stdin)
            try:
                await self._follow(running)
            except ExceptionGroup as error:  # what the package raises if its worker does not start
                raise SandboxFailed(f"pydantic-monty could not run the program: {cause_of(error)}") from error
            finally:
                running.kill()
                running.over.wait(_PATIENCE)  # it is over, unless asyncio's own `task.cancel()` has cut the wait for it short
        return running.told(_NAME)

    async def _follow(self, running: Interpreted) -> None:
        async with anyio.create_task_group() as beside:
            beside.start_soon(self._end_in_time, running)
            await anyio.to_thread.run_sync(running.run, limiter=anyio.CapacityLimiter(1))
            beside.cancel_scope.cancel()

    async def _end_in_time(self, running: Interpreted) -> None:
        """Kill it when its time is up, and when the run is cancelled: the thread that waits for it cannot be."""
        try:
            await anyio.sleep(self.limits.seconds)
            running.stop("timed_out", took_too_long(self.limits))
        finally:
            running.kill()


def _try() -> None:
    trial = Interpreted(SandboxLimits(), "print(6 * 7)", "")
    try:
        trial.run()
    except ImportError as error:
        raise SandboxMissing(f"pydantic-monty is not installed: {INSTALL}") from error
    except Exception as error:  # the package has many ways to say that its worker does not start
        raise SandboxMissing(f"pydantic-monty does not work on this machine ({error}): {INSTALL}") from error
    if trial.told(_NAME).stdout != "42\n":
        raise SandboxMissing(f"pydantic-monty does not work on this machine ({trial.told(_NAME).reason}): {INSTALL}")

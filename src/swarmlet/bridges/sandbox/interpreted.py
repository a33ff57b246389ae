"""One program in pydantic-monty: a worker process, and the thread that waits for it. The one file that knows the package.

What the package gives back comes from a hostile program, so nothing is taken but text, and of that no more than fits.
"""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import threading
import time
from typing import TYPE_CHECKING, Any, Final, Literal, final

from swarmlet.bridges.sandbox.told import computed_too_long, error_line, ran_out_of_memory, wrote_too_much
from swarmlet.bridges.sandbox.words import Outcome, Ran, SandboxLimits

if TYPE_CHECKING:
    import pydantic_monty

_NO_VALUE: Final = "\n\nNone"  # a session gives back the value of the last line: this one, and not a large one
_SLEEPS_AT_MOST: Final = 100_000
_PATIENCE: Final = 2  # seconds
_SLACK: Final = 2**29  # bytes of address space that the interpreter itself may map, beside a program's memory
_SLEEPS: Final = ("time.sleep", "asyncio.sleep")
# The interpreter has no input(). A function of ours would be handed what a program calls it with, made into objects here.
_INPUT: Final = """
def input(prompt=""):
    print(prompt, end="")
    if not _input_lines:
        raise RuntimeError("EOF when reading a line: there is no more input")
    return _input_lines.pop(0)
"""
_KILL: Final = getattr(signal, "SIGKILL", signal.SIGTERM)


@final
class Interpreted:
    """A program that runs, or has run: `run` blocks a thread, `stop` and `kill` may be called from another one."""

    def __init__(self, limits: SandboxLimits, code: str, stdin: str) -> None:
        self.over: threading.Event = threading.Event()
        self._limits = limits
        self._code = code
        self._lines = stdin.removesuffix("\n").split("\n") if stdin else []
        self._output: dict[str, list[str]] = {"stdout": [], "stderr": []}
        self._room = limits.output_kb * 1024
        self._lock = threading.Lock()
        self._worker: int | None = None
        """The worker's process while it may be killed: afterwards another one may have its number."""
        self._process: int | None = None
        self._killed = threading.Event()
        self._stopped: tuple[Outcome, str] | None = None
        self._error: str | None = None
        self._seconds = 0.0

    def run(self) -> None:
        """Run it in this thread. Raises what the package raises if it cannot start its worker."""
        import pydantic_monty

        began = time.monotonic()
        try:
            with pydantic_monty.Monty(min_processes=0, max_processes=1) as pool, self._session(pool) as session:
                self._begun(session.worker_pid)
                try:
                    self._feed(session)
                except pydantic_monty.MontyCrashedError as crash:
                    self._error = f"the interpreter broke down: {crash}"
                    if crash.timed_out:  # it computed in one step, in which the interpreter itself does not look at the clock
                        self.stop("timed_out", computed_too_long(self._limits))
                except (pydantic_monty.MontyRuntimeError, pydantic_monty.MontySyntaxError) as error:
                    self._error = error.display()
                    self._hear("stderr", self._error + "\n")  # where Python would have written it: it counts
                finally:
                    self._begun(None)
        finally:
            _wait_for_the_end(self._process)
            self._seconds = round(time.monotonic() - began, 3)
            self.over.set()

    def _session(self, pool: pydantic_monty.Monty) -> pydantic_monty.MontySession:
        limits = self._limits
        return pool.checkout(
            limits={
                "max_memory": limits.memory_mb * 2**20,
                "max_feed_duration_secs": limits.cpu_seconds,
                "max_suspensions": _SLEEPS_AT_MOST,
            },
            os_policy={"sleep": "call_host"},
        )

    def _feed(self, session: pydantic_monty.MontySession) -> None:
        session.feed_run(_INPUT, inputs={"_input_lines": self._lines})
        session.feed_run(self._code + _NO_VALUE, print_callback=self._hear, os=self._answer)

    def _begun(self, worker: int | None) -> None:
        """The worker's process is there, or is not ours any more. It may have to be killed at once."""
        with self._lock:
            self._worker = worker
        self._process = worker or self._process
        if worker is not None:
            _bound(worker, self._limits)
            if self._killed.is_set():
                self.kill()

    def stop(self, outcome: Outcome, reason: str) -> None:
        """End it at a limit: the first one that was reached is told."""
        if self._stopped is None and not self.over.is_set():
            self._stopped = (outcome, reason)
        self.kill()

    def kill(self) -> None:
        """Kill the worker, now or as soon as there is one."""
        self._killed.set()
        with self._lock:
            if self._worker is not None:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(self._worker, _KILL)

    # What the package calls, in the thread of `run`

    def _hear(self, stream: Literal["stdout", "stderr"], text: str) -> None:
        fits = text.encode(errors="replace")[: self._room].decode(errors="ignore")
        self._output[stream].append(fits)
        self._room -= len(fits.encode())
        if len(fits) < len(text):
            self._room = 0
            self.stop("too_much_output", wrote_too_much(self._limits))

    # Any: whatever a program gives to an operating system that it does not have
    def _answer(self, *, name: str, args: tuple[Any, ...], kwargs: dict[str, Any], is_async: bool, **_: Any) -> Any:
        """Sleep, so that it can be cut short; nothing else is answered."""
        import pydantic_monty

        if name not in _SLEEPS:
            return pydantic_monty.NOT_HANDLED
        self._killed.wait(min(float(args[0]), self._limits.seconds + 1))
        return None

    # Afterwards

    def told(self, name: str) -> Ran:
        """What came of it."""
        stdout = "".join(self._output["stdout"])
        stderr = "".join(self._output["stderr"])
        if self._stopped is not None:
            outcome, reason = self._stopped
            return Ran(outcome, stdout, stderr, reason, self._seconds, name, None)
        if self._error is None:
            return Ran("finished", stdout, stderr, "", self._seconds, name, 0)
        outcome, reason = self._ended_with(error_line(self._error))
        return Ran(outcome, stdout, stderr, reason, self._seconds, name, None if outcome == "timed_out" else 1)

    def _ended_with(self, error: str) -> tuple[Outcome, str]:
        limits, kind = self._limits, error.partition(":")[0]
        if kind == "TimeoutError" and self._seconds >= limits.cpu_seconds:
            return "timed_out", computed_too_long(limits)
        if kind == "MemoryError":
            return "out_of_memory", ran_out_of_memory(limits)
        if self._error is not None and self._error.startswith("the interpreter"):
            return "failed", self._error
        return "failed", f"the program raised {error}{_hint(kind)}"


def _hint(kind: str) -> str:
    """What the interpreter lacks is no mistake of the program's, so it is said where it can be told."""
    if kind in ("ModuleNotFoundError", "NotImplementedError", "PermissionError"):
        return " (this interpreter has a part of Python only, and no files or network)"
    return ""


def _wait_for_the_end(process: int | None) -> None:
    """The package waits for a worker that it has ended in a thread of its own, which may take a moment longer than the run."""
    until = time.monotonic() + _PATIENCE
    while sys.platform != "win32" and process is not None and time.monotonic() < until:
        try:
            os.kill(process, 0)
        except OSError:
            return
        time.sleep(0.001)


def _bound(worker: int, limits: SandboxLimits) -> None:
    """The kernel's limits around the interpreter's own, where there are such: should a program break it, they hold."""
    if sys.platform != "linux":
        return
    import resource

    memory = limits.memory_mb * 2**20 + _SLACK
    processor = int(limits.cpu_seconds) + 2
    for kind, most in ((resource.RLIMIT_AS, memory), (resource.RLIMIT_CPU, processor), (resource.RLIMIT_FSIZE, 0)):
        with contextlib.suppress(OSError, ValueError):
            resource.prlimit(worker, kind, (most, most))

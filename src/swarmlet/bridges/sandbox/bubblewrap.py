"""Full CPython in a box of Linux namespaces: `bwrap`, `prlimit`, and a watcher for what those two do not bound."""

from __future__ import annotations

import threading
from typing import Final, final

import anyio.to_thread

from swarmlet.bridges.sandbox.boxed import Boxed, run_boxed
from swarmlet.bridges.sandbox.command import Tools
from swarmlet.bridges.sandbox.given import given, refused
from swarmlet.bridges.sandbox.machine import find_tools
from swarmlet.bridges.sandbox.places import Places
from swarmlet.bridges.sandbox.told import told_of
from swarmlet.bridges.sandbox.words import Ran, Sandbox, SandboxFailed, SandboxLimits, cause_of

_NAME: Final = "bubblewrap"
_finding = threading.Lock()
_found: list[Tools] = []


@final
class Bubblewrap(Sandbox):
    """Runs programs with the whole of CPython and its standard library, on Linux.

        ran = await Bubblewrap(SandboxLimits(seconds=5)).run("print(sum(range(10)))")

    A program sees the interpreter, the system's libraries and an empty scratch folder, and nothing else: no network, no files
    of yours, no environment, no other process, no packages beside the standard library. Where this process is root it becomes
    another user first.

    Held by the kernel: that there is no network and no file; for each process its address space (`memory_mb`) and its
    processor time; for all together their number and the scratch folder. Held by a watcher that looks from outside, about
    every 30 ms: memory (with what sockets hold) and processor time of all processes together, and the number of files.
    Between two looks a program may use more, up to `processes` times `memory_mb`. Held from here: wall time and output. While
    the event loop is blocked nobody looks.

    It is no virtual machine: a program talks to the machine's own kernel, and a bug there can let it out. `at_once` bounds
    how many programs run at the same time in an event loop; more wait, and a program's time begins when it starts.

    Needs bubblewrap 0.8 or newer and util-linux, and a kernel that allows user namespaces: else `run` raises `SandboxMissing`.
    """

    def __init__(self, limits: SandboxLimits | None = None, at_once: int | None = None) -> None:
        self.limits: SandboxLimits = given(_NAME, limits)
        self._places = Places(at_once)

    @property
    def name(self) -> str:
        """`bubblewrap`."""
        return _NAME

    def check(self) -> None:
        """Find the tools and try them, the first time for about 0.2 seconds. Raises `SandboxMissing` if they do not work."""
        _tools()

    async def run(self, code: str, *, stdin: str = "") -> Ran:
        """Run a program to its end or to a limit. Cancelled, it leaves nothing behind."""
        problem = refused(code, stdin)
        if problem:
            return Ran("failed", "", "", problem, 0, _NAME, None)
        tools = _found[0] if _found else await anyio.to_thread.run_sync(_tools)
        async with self._places.one():
            try:
                boxed = await run_boxed(tools, self.limits, code.encode(), stdin.encode())
            except (OSError, ExceptionGroup) as error:  # this process has no descriptors or no memory left, say
                raise SandboxFailed(f"bubblewrap could not run the program: {cause_of(error)}") from error
        return _ran(boxed)


def _tools() -> Tools:
    """What this process found on its machine, looked for once; a failure is not kept, since it can be mended."""
    with _finding:
        if not _found:
            _found.append(find_tools())
        return _found[0]


def _ran(boxed: Boxed) -> Ran:
    stdout, stderr = (bytes(text).decode(errors="replace") for text in (boxed.stdout, boxed.stderr))
    if boxed.stopped is not None:
        return Ran(boxed.stopped, stdout, stderr, boxed.reason, boxed.seconds, _NAME, None)
    if boxed.exit_code is None:
        raise SandboxFailed(f"bubblewrap did not run the program: {stderr.strip() or 'it ended without a word'}")
    outcome, reason = told_of(boxed.exit_code, stderr, boxed.limits)
    return Ran(outcome, stdout, stderr, reason, boxed.seconds, _NAME, boxed.exit_code)

"""One program in a box: its start, what it writes, the watch over it, and its certain end.

The box is a process namespace. When its first process is killed the kernel kills all others in it and waits for them, so one
signal ends fork bombs, daemons and what ignores SIGTERM alike. That process is held by a pidfd, which never names another one.
"""

from __future__ import annotations

import os
import subprocess
import time
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from typing import Final

import anyio

from swarmlet.bridges.sandbox.command import Tools, box, command
from swarmlet.bridges.sandbox.ends import Ends, Life
from swarmlet.bridges.sandbox.seccomp import seccomp_filter
from swarmlet.bridges.sandbox.told import computed_too_long, ran_out_of_memory, took_too_long, wrote_too_much
from swarmlet.bridges.sandbox.watch import use_of
from swarmlet.bridges.sandbox.words import Outcome, SandboxLimits

_CHUNK: Final = 65_536
_TICK: Final = 0.03  # seconds between two looks at what the processes use
FILES: Final = 20_000
"""How many files and folders a program may have: an empty one costs no disk, and a kilobyte of the kernel's memory."""


@dataclass
class Boxed:
    """What is known of a program so far."""

    limits: SandboxLimits
    stdout: bytearray = field(default_factory=bytearray)
    stderr: bytearray = field(default_factory=bytearray)
    exit_code: int | None = None
    """What bubblewrap told on its own channel, which the program has no hold of."""
    stopped: Outcome | None = None
    reason: str = ""
    seconds: float = 0

    def stop(self, outcome: Outcome, reason: str) -> None:
        """The first limit that was reached is the one that is told."""
        if self.stopped is None:
            self.stopped, self.reason = outcome, reason


async def run_boxed(tools: Tools, limits: SandboxLimits, code: bytes, stdin: bytes) -> Boxed:
    """Run `code` to its end or to a limit. When this returns or raises, no process and no descriptor of it is left."""
    boxed = Boxed(limits)
    with ExitStack() as stack:
        ends = Ends(stack)
        began = time.monotonic()
        life = Life(_start(tools, limits, code, ends, empty=not stdin), ends.status)
        stack.callback(life.close)
        ends.close_theirs()
        try:
            await _follow(boxed, ends, life, stdin)
        finally:
            await life.end()
            boxed.exit_code = life.exit_code
            boxed.seconds = round(time.monotonic() - began, 3)
    return boxed


def _start(tools: Tools, limits: SandboxLimits, code: bytes, ends: Ends, *, empty: bool) -> subprocess.Popen[bytes]:
    """Start bubblewrap from this very thread.

    Its `--die-with-parent` is bound to the thread that started it: a worker thread, which `anyio.open_process` takes on trio,
    ends when it is idle for a while, and would take the program with it. The kernel needs about a millisecond for it.
    """
    program, rules = ends.holding(code), ends.holding(seccomp_filter(tools.machine))
    settings = ends.holding(box(tools, limits, code=program, seccomp=rules, status=ends.told))
    return subprocess.Popen(  # noqa: S603  # fixed words, and nothing of a caller's
        command(tools, settings, limits),
        stdin=subprocess.DEVNULL if empty else ends.stdin_theirs,
        stdout=ends.stdout_theirs,
        stderr=ends.stderr_theirs,
        pass_fds=(program, rules, settings, ends.told),
        env={},  # it could be read inside, from bubblewrap's first process
        cwd="/",
    )


async def _follow(boxed: Boxed, ends: Ends, life: Life, stdin: bytes) -> None:
    """Until the program's end or a limit, then until its last words are read."""
    limits = boxed.limits
    with anyio.CancelScope() as running:
        async with anyio.create_task_group() as readers:
            readers.start_soon(_read, boxed, ends.stdout, boxed.stdout, running)
            readers.start_soon(_read, boxed, ends.stderr, boxed.stderr, running)
            with anyio.move_on_after(limits.seconds) as clock:
                async with anyio.create_task_group() as beside:
                    beside.start_soon(_feed, ends, stdin)
                    beside.start_soon(_watch, boxed, life, running)
                    await life.ended()
                    beside.cancel_scope.cancel()
            if clock.cancelled_caught:
                boxed.stop("timed_out", took_too_long(limits))
            await life.end()
            readers.cancel_scope.cancel()
    for pipe, into in ((ends.stdout, boxed.stdout), (ends.stderr, boxed.stderr)):
        with suppress(BlockingIOError):
            while _take(boxed, pipe, into):
                pass


async def _read(boxed: Boxed, pipe: int, into: bytearray, running: anyio.CancelScope) -> None:
    reading = True
    while reading:
        await anyio.wait_readable(pipe)
        with suppress(BlockingIOError):
            reading = _take(boxed, pipe, into)
    if boxed.stopped is not None:
        running.cancel()


def _take(boxed: Boxed, pipe: int, into: bytearray) -> bool:
    """Take in what is in a pipe. False if there will be no more, or no more than may be kept."""
    chunk = os.read(pipe, _CHUNK)
    room = boxed.limits.output_kb * 1024 - len(boxed.stdout) - len(boxed.stderr)
    into += chunk[:room]
    if len(chunk) > room:
        boxed.stop("too_much_output", wrote_too_much(boxed.limits))
    return bool(chunk) and len(chunk) <= room


async def _feed(ends: Ends, stdin: bytes) -> None:
    """Write what the program may read, and close: it need not read it."""
    left = memoryview(stdin)
    with suppress(BrokenPipeError):
        while left:
            await anyio.wait_writable(ends.stdin)
            with suppress(BlockingIOError):
                left = left[os.write(ends.stdin, left[:_CHUNK]) :]
    ends.close_stdin()


async def _watch(boxed: Boxed, life: Life, running: anyio.CancelScope) -> None:
    """Stop the program when all its processes together have used too much."""
    limits, memory = boxed.limits, boxed.limits.memory_mb * 2**20
    while boxed.stopped is None:
        await anyio.sleep(_TICK)
        if life.first is None:
            continue
        use = use_of(life.first, memory=memory, disk=limits.disk_mb * 2**20)
        if use.cpu_seconds > limits.cpu_seconds:
            boxed.stop("timed_out", computed_too_long(limits))
        if use.memory > memory:
            boxed.stop("out_of_memory", ran_out_of_memory(limits))
        if use.files > FILES:
            boxed.stop("too_much_disk", f"the program was stopped: it made more than {FILES} files")
    running.cancel()

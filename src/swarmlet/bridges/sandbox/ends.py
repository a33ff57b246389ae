"""What holds a running box: the pipes to it, and the two processes by which it is ended for certain."""

from __future__ import annotations

import json
import os
import select
import signal
import subprocess
from collections.abc import Callable
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Final, cast

import anyio

_PATIENCE_MS: Final = 10_000  # for the kernel to take a killed namespace apart, which takes milliseconds


class Ends:
    """The pipes' two ends; all are closed with the stack, whatever happens."""

    def __init__(self, stack: ExitStack) -> None:
        self._open: set[int] = set()
        stack.callback(self.close)
        self.stdin_theirs: int
        self.stdin: int
        self.stdout: int
        self.stdout_theirs: int
        self.stderr: int
        self.stderr_theirs: int
        self.status: int
        self.told: int
        self.stdin_theirs, self.stdin = self._pipe(0)
        self.stdout, self.stdout_theirs = self._pipe(1)
        self.stderr, self.stderr_theirs = self._pipe(1)
        self.status, self.told = self._pipe(1)
        self._theirs = [self.stdin_theirs, self.stdout_theirs, self.stderr_theirs, self.told]

    def _pipe(self, theirs: int) -> tuple[int, int]:
        both = os.pipe()
        self._open.update(both)
        os.set_blocking(both[1 - theirs], False)
        return both

    def holding(self, content: bytes) -> int:
        """A descriptor of theirs with this to read: an unnamed file in memory, so nothing is left on disk."""
        held = os.memfd_create("swarmlet", os.MFD_CLOEXEC)
        self._open.add(held)
        self._theirs.append(held)
        with os.fdopen(held, "wb", closefd=False) as file:
            file.write(content)
        os.lseek(held, 0, os.SEEK_SET)
        return held

    def close_theirs(self) -> None:
        """After the start: the other ends are the box's, so that its death closes them."""
        for end in self._theirs:
            self._close(end)

    def close_stdin(self) -> None:
        """There is nothing more to read for the program."""
        self._close(self.stdin)

    def close(self) -> None:
        """Close what is still open."""
        for end in tuple(self._open):
            self._close(end)

    def _close(self, end: int) -> None:
        if end in self._open:
            self._open.discard(end)
            os.close(end)


class Life:
    """Bubblewrap outside, and the first process of the namespace that it has made."""

    def __init__(self, outer: subprocess.Popen[bytes], status: int) -> None:
        self.first: int | None = None
        self.exit_code: int | None = None
        self._outer = outer
        self._status = status
        self._told = b""
        self._silent = False
        self._outer_fd = _held(outer.pid)
        self._first_fd: int | None = None

    @property
    def began(self) -> bool:
        """Whether the namespace was made."""
        return self.first is not None

    async def ended(self) -> None:
        """Wait until the program itself has ended; what it started may still run."""
        await self._hear_until(lambda: self.exit_code is not None)

    async def _hear_until(self, enough: Callable[[], bool]) -> None:
        """Listen to bubblewrap until it has told enough, or has ended.

        Both are waited for: a process that this one forked meanwhile may hold the pipe open, which then has no end.
        """
        async with anyio.create_task_group() as either:
            either.start_soon(self._listen, enough, either.cancel_scope)
            await anyio.wait_readable(self._outer_fd)
            either.cancel_scope.cancel()

    async def _listen(self, enough: Callable[[], bool], waiting: anyio.CancelScope) -> None:
        while not (self._silent or enough()):
            await anyio.wait_readable(self._status)
            self._hear()
        if enough():
            waiting.cancel()

    def _hear(self) -> None:
        """Take in what bubblewrap tells: first the first process, at the end the exit code, a line of JSON each."""
        try:
            said = os.read(self._status, 4096)
        except BlockingIOError:
            return
        self._silent = not said
        *lines, self._told = (self._told + said).split(b"\n")
        for line in lines:
            told = cast("dict[str, int]", json.loads(line))
            if "child-pid" in told:
                self.first = told["child-pid"]
                with suppress(ProcessLookupError):  # gone already
                    self._first_fd = _held(self.first)
                with suppress(OSError):  # should the machine run out of memory, it is the first to go
                    Path(f"/proc/{self.first}/oom_score_adj").write_text("1000")
            self.exit_code = told.get("exit-code", self.exit_code)

    def kill(self) -> None:
        """Kill everything in the box. Does nothing before it has begun."""
        if self._first_fd is not None:
            with suppress(ProcessLookupError):
                signal.pidfd_send_signal(self._first_fd, signal.SIGKILL)

    async def end(self) -> None:
        """Kill everything and wait until it is gone.

        A cancellation from outside does not cut this short. One that no shield holds, asyncio's own `task.cancel()`, finds the
        rest done without the event loop.
        """
        try:
            with anyio.CancelScope(shield=True):
                await self._hear_until(lambda: self._first_fd is not None)  # before the beginning there is nothing to kill
                self.kill()
                await anyio.wait_readable(self._outer_fd)
                if self._first_fd is not None:
                    await anyio.wait_readable(self._first_fd)
        finally:
            self._end_at_once()

    def _end_at_once(self) -> None:
        """The same without waiting for the event loop; when `end` was not disturbed, nothing is left to do."""
        while not (self._silent or self._first_fd is not None or _readable(self._outer_fd, 0)) and _readable(self._status):
            self._hear()
        self.kill()
        if not _readable(self._outer_fd):
            self._outer.kill()
        if self._first_fd is not None:
            _readable(self._first_fd)
        self._outer.wait()
        self._hear()

    def close(self) -> None:
        """Close what held the processes."""
        os.close(self._outer_fd)
        if self._first_fd is not None:
            os.close(self._first_fd)


def _held(process: int) -> int:
    """A pidfd. What cannot be held, for want of descriptors say, is killed rather than lost."""
    try:
        return os.pidfd_open(process)
    except ProcessLookupError:
        raise
    except OSError:
        os.kill(process, signal.SIGKILL)
        raise


def _readable(end: int, patience: int = _PATIENCE_MS) -> bool:
    poll = select.poll()
    poll.register(end, select.POLLIN)
    return bool(poll.poll(patience))

"""What the tests of sandboxes share: which backends this machine has, small limits, and what must not be left behind."""

from __future__ import annotations

import os
import re
from dataclasses import replace
from pathlib import Path

import pytest

from swarmlet.bridges.sandbox import Bubblewrap, Monty, Sandbox, SandboxLimits, SandboxMissing

SMALL = SandboxLimits(seconds=1.5, cpu_seconds=1, memory_mb=128, output_kb=64, disk_mb=8, processes=12)
"""For programs that run into them: they are stopped soon."""
PATIENT = replace(SMALL, seconds=60, cpu_seconds=60)
"""For programs that end by themselves, also on a machine that is busy."""


def why_not(sandbox: Bubblewrap | Monty) -> str:
    """Why a backend cannot be tested here; empty if it can."""
    try:
        sandbox.check()
    except SandboxMissing as missing:
        return str(missing)
    return ""


NO_BUBBLEWRAP = why_not(Bubblewrap())
NO_MONTY = why_not(Monty())
needs_bubblewrap = pytest.mark.skipif(bool(NO_BUBBLEWRAP), reason=NO_BUBBLEWRAP)
needs_monty = pytest.mark.skipif(bool(NO_MONTY), reason=NO_MONTY)

BACKENDS = [pytest.param(Bubblewrap, marks=needs_bubblewrap), pytest.param(Monty, marks=needs_monty)]


def boxed(backend: type[Bubblewrap] | type[Monty], limits: SandboxLimits = PATIENT, at_once: int | None = None) -> Sandbox:
    return backend(limits, at_once)


TELLS_ITS_NAMESPACE = 'import os as _os; print(_os.readlink("/proc/self/ns/pid"), flush=True)\n'


def left_of(stdout: str) -> list[str]:
    """The processes of the namespace that a program has told, which `TELLS_ITS_NAMESPACE` begins with."""
    told = re.match(r"pid:\[\d+\]", stdout)
    assert told, f"the program did not run: {stdout[:200]!r}"
    left: list[str] = []
    for process in Path("/proc").iterdir():
        if process.name.isdigit():
            try:
                same = os.readlink(process / "ns" / "pid") == told[0]  # noqa: PTH115  # what /proc has is no path
            except OSError:
                continue
            if same:
                left.append((process / "stat").read_text())
    return left


def children() -> list[int]:
    """The processes below this one, zombies too."""
    return list(descendants())


def descriptors() -> set[str]:
    """The open files of this process."""
    found: set[str] = set()
    for one in Path("/proc/self/fd").iterdir():
        try:
            found.add(f"{one.name} {one.readlink()}")
        except OSError:  # the one that this looks with
            continue
    return found


def descendants() -> dict[int, str]:
    """All processes under this one, by id, with when each was started, which tells it from a later one of the same id."""
    found: dict[int, str] = {}
    waiting = [os.getpid()]
    while waiting:
        for task in Path(f"/proc/{waiting.pop()}/task").glob("*/children"):
            try:
                pids = task.read_text().split()
            except OSError:
                continue
            for pid in map(int, pids):
                if born := born_of(pid):
                    found[pid] = born
                    waiting.append(pid)
    return found


def born_of(pid: int) -> str:
    """When a process was started, in the kernel's ticks; empty if there is none."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19]
    except OSError:
        return ""


def alive(known: dict[int, str]) -> list[int]:
    """Those of the processes that are still there, zombies too."""
    return [pid for pid, born in known.items() if born_of(pid) == born]

"""What the processes of one sandbox use at a moment, summed over all of them, from /proc.

The kernel's own limits hold for each process; these are the sums. They are read from outside, so a program cannot forge them.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

SCRATCH = "/tmp"  # noqa: S108  # inside
"""The one folder in which a program can write."""


@dataclass(frozen=True)
class Use:
    """Processor seconds, bytes of memory, and files in the scratch folder."""

    cpu_seconds: float = 0
    memory: int = 0
    files: int = 0


def use_of(first: int, *, memory: int, disk: int) -> Use:
    """What the process `first` and all under it use. Those that are gone meanwhile count as nothing.

    `disk` is the size of the scratch folder, by which it is known: while the box is set up another folder may have its place.

    Memory that processes share is counted for each of them as long as the sum stays below `memory`; above that it is counted
    exactly, which takes longer.
    """
    family = _family(first)
    used = sum(_resident(process) for process in family)
    if used > memory:
        used = sum(_proportional(process) for process in family)
    return Use(sum(_cpu_ticks(process) for process in family) / os.sysconf("SC_CLK_TCK"), used, _files(first, disk))


def _family(first: int) -> list[int]:
    """A process and its descendants; in a namespace of its own, orphans become children of its first process."""
    found, at = [first], 0
    while at < len(found):
        try:
            for thread in os.listdir(f"/proc/{found[at]}/task"):  # noqa: PTH208  # names, cheaply: this runs many times a second
                found += map(int, Path(f"/proc/{found[at]}/task/{thread}/children").read_bytes().split())
        except (OSError, ValueError):
            pass
        at += 1
    return found


def _cpu_ticks(process: int) -> int:
    try:
        stat = Path(f"/proc/{process}/stat").read_bytes().rpartition(b")")[2].split()
    except OSError:
        return 0
    return sum(int(ticks) for ticks in stat[11:15])  # its own and those of the children that it waited for


def _resident(process: int) -> int:
    return _kilobytes(f"/proc/{process}/status", b"RssAnon:", b"RssShmem:")


def _proportional(process: int) -> int:
    """What belongs to this process alone, and its part of what it shares; where that cannot be read, all of both."""
    return _kilobytes(f"/proc/{process}/smaps_rollup", b"Pss_Anon:", b"Pss_Shmem:") or _resident(process)


def _kilobytes(file: str, *names: bytes) -> int:
    try:
        lines = Path(file).read_bytes().splitlines()
    except OSError:
        return 0
    return 1024 * sum(int(line.split()[1]) for line in lines if line.startswith(names))


def _files(first: int, disk: int) -> int:
    try:
        scratch = os.statvfs(f"/proc/{first}/root{SCRATCH}")
    except OSError:
        return 0
    return scratch.f_files - scratch.f_ffree if scratch.f_blocks * scratch.f_frsize == disk else 0

"""What the processes of one sandbox use at a moment, summed over all of them, from /proc.

The kernel's own limits hold for each process; these are the sums. They are read from outside, so a program cannot forge them.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

SCRATCH = "/tmp"  # noqa: S108  # inside
"""The one folder in which a program can write."""
_SOCKET = 212_992
"""Bytes that the kernel keeps for a socket at most: of one that is closed, too, while nobody has read what it sent."""
_CONNECTION = 10 * 2**20
"""The same for TCP, whose buffers grow."""


@dataclass(frozen=True)
class Use:
    """Processor seconds, bytes of memory, and files in the scratch folder."""

    cpu_seconds: float = 0
    memory: int = 0
    files: int = 0


def use_of(first: int, *, memory: int, disk: int) -> Use:
    """What the process `first` and all under it use. Those that are gone meanwhile count as nothing.

    `disk` is the size of the scratch folder, by which it is known: while the box is set up another folder may have its place.

    Memory that processes share is counted for each of them as long as the sum stays below `memory`, and connections as if all
    were full; above that they are counted exactly, which takes longer.
    """
    family = _family(first)
    sockets, connections = _sockets(first)
    used = sum(_resident(process) for process in family) + sockets * _SOCKET + connections * _CONNECTION
    if used > memory:
        used = sum(_proportional(process) for process in family) + sockets * _SOCKET + (_queued(first) if connections else 0)
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
    """A process whose first thread has ended keeps its memory for the others, and only these tell how much."""
    used = _told_resident(f"/proc/{process}")
    if used:
        return used
    try:
        threads = os.listdir(f"/proc/{process}/task")  # noqa: PTH208  # as above
    except OSError:
        return 0
    return next(filter(None, (_told_resident(f"/proc/{process}/task/{thread}") for thread in threads)), 0)


def _told_resident(of: str) -> int:
    return _kilobytes(f"{of}/status", b"RssAnon:", b"RssShmem:")


def _proportional(process: int) -> int:
    """What belongs to this process alone, and its part of what it shares; where that cannot be read, all of both."""
    return _kilobytes(f"/proc/{process}/smaps_rollup", b"Pss_Anon:", b"Pss_Shmem:") or _resident(process)


def _kilobytes(file: str, *names: bytes) -> int:
    try:
        lines = Path(file).read_bytes().splitlines()
    except OSError:
        return 0
    return 1024 * sum(int(line.split()[1]) for line in lines if line.startswith(names))


def _sockets(first: int) -> tuple[int, int]:
    """How many sockets there are in the network namespace, and how many of them are TCP's: no process need hold them."""
    every = _numbers(f"/proc/{first}/net/sockstat", b"sockets: used ", b"TCP: inuse ")
    return every[0], every[1] + sum(_numbers(f"/proc/{first}/net/sockstat6", b"TCP6: inuse "))


def _numbers(file: str, *names: bytes) -> list[int]:
    """The number after each of these beginnings of lines."""
    try:
        lines = Path(file).read_bytes().splitlines()
    except OSError:
        lines = []
    return [sum(int(line[len(name) :].split()[0]) for line in lines if line.startswith(name)) for name in names]


def _queued(first: int) -> int:
    """Bytes that TCP connections hold, sent and not yet read."""
    queued = 0
    for file in ("tcp", "tcp6"):
        try:
            lines = Path(f"/proc/{first}/net/{file}").read_bytes().splitlines()[1:]
        except OSError:
            continue
        queued += sum(int(size, 16) for line in lines for size in line.split()[4].split(b":"))
    return queued


def _files(first: int, disk: int) -> int:
    try:
        scratch = os.statvfs(f"/proc/{first}/root{SCRATCH}")
    except OSError:
        return 0
    return scratch.f_files - scratch.f_ffree if scratch.f_blocks * scratch.f_frsize == disk else 0

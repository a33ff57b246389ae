"""The command line of bubblewrap: what a program sees of the machine, and the limits that the kernel holds it to.

Nothing that a caller or a model wrote stands in it: the code goes in by a file descriptor.
"""

from __future__ import annotations

import math
import os
from dataclasses import dataclass
from pathlib import Path

from swarmlet.bridges.sandbox.watch import SCRATCH
from swarmlet.bridges.sandbox.words import SandboxLimits

NOBODY = 65534
"""The uid and gid inside; outside too where this process is root."""

PROGRAM = "/program.py"
OPENED = "/mnt"
OPEN_FILES = 64
"""A process's open files: each socket among them may hold some of the kernel's memory, which nobody counts."""
_FIRST = ("/bin/sh", "-c", '"$@"; exit $?', "sh")
"""The first process of the namespace, which waits for the program and takes in its orphans. Bubblewrap has one for that,
which would be left as a zombie where nobody is there to wait for it, as in a container whose first process is the
application."""
_OPEN = ("unshare", "--mount", "--", "/bin/sh", "-c", 'mount -n --bind -- "$1" "$2" && shift 2 && exec "$@"', "sh")
"""As root, before becoming somebody who cannot: the interpreter's files in a place where the box can be given them. All of it
ends in `exec`, since a process that stayed in between could not pass on that this one has died."""
_OF_USR = ("bin", "sbin", "lib", "lib32", "lib64", "libx32", "libexec", "share/zoneinfo")
"""Not all of it: `/usr/local` and `/usr/src` are where people put what is their own."""
_OF_PYTHON = ("bin", "lib", "lib64")
_SYSTEM = ("/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32")
_DEVICES = ("null", "zero", "full", "random", "urandom")
_LINKS = {"fd": "/proc/self/fd", "stdin": "fd/0", "stdout": "fd/1", "stderr": "fd/2", "shm": SCRATCH}
_ENVIRONMENT = {"HOME": SCRATCH, "PATH": "/usr/bin:/bin", "LANG": "C.UTF-8", "MALLOC_ARENA_MAX": "2"}


@dataclass(frozen=True)
class Tools:
    """What was found on this machine: the programs, and the interpreter with what it must not show."""

    machine: str
    bwrap: str
    prlimit: str
    setpriv: str | None
    """Set where this process is root, which no limit on processes binds: then the sandbox is another user."""
    python: str
    prefix: str
    """Where the interpreter's files are."""
    closed: bool = False
    """Whether only root can get at those files, as below a home folder that is closed to others."""
    masked: tuple[str, ...] = ()
    """Folders that stay empty: packages that were installed beside the standard library."""


def command(tools: Tools, settings: int, limits: SandboxLimits) -> list[str]:
    """What is started. `settings` is a file descriptor with what `box` says; `bwrap` has it from there.

    So what it mounts is no process's arguments, which others on this machine could read.
    """
    return [
        *_as_nobody(tools),
        *(tools.bwrap, "--args", str(settings), "--"),
        *_limited(tools, limits),
        *_FIRST,
        *(tools.python, "-I", "-B", "-u", "-X", "utf8", PROGRAM),
    ]


def box(tools: Tools, limits: SandboxLimits, *, code: int, seccomp: int, status: int) -> bytes:
    """The box itself, as arguments for `bwrap --args`; `code`, `seccomp` and `status` are descriptors that it inherits."""
    words = [
        *_apart(),
        *_files(tools, limits),
        *("--ro-bind-data", str(code), PROGRAM, "--remount-ro", "/"),
        *("--chdir", SCRATCH, "--clearenv"),
        *(word for name, value in _ENVIRONMENT.items() for word in ("--setenv", name, value)),
        *("--seccomp", str(seccomp), "--json-status-fd", str(status)),
    ]
    return b"".join(os.fsencode(word) + b"\0" for word in words)


def _as_nobody(tools: Tools) -> list[str]:
    if tools.setpriv is None:
        return []
    nobody = [tools.setpriv, f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups", "--inh-caps=-all", "--"]
    return [*_OPEN, tools.prefix, OPENED, *nobody] if tools.closed else nobody


def _apart() -> list[str]:
    """Namespaces of its own, no way to make more, no capability, no terminal; and it dies with this process."""
    return [
        *("--unshare-user", "--unshare-pid", "--unshare-net", "--unshare-ipc", "--unshare-uts", "--unshare-cgroup-try"),
        *("--disable-userns", "--cap-drop", "ALL", "--new-session", "--die-with-parent", "--as-pid-1"),
        *("--uid", str(NOBODY), "--gid", str(NOBODY), "--hostname", "sandbox"),
    ]


def _files(tools: Tools, limits: SandboxLimits) -> list[str]:
    """The system's libraries and the interpreter to read, a scratch folder to write, and next to no devices."""
    words = [word for name in _OF_USR for word in ("--ro-bind-try", f"/usr/{name}", f"/usr/{name}")]
    for folder in _SYSTEM:
        path = Path(folder)
        if path.is_symlink():
            words += ["--symlink", str(path.readlink()), folder]
        elif path.is_dir():
            words += ["--ro-bind", folder, folder]
    words += ["--ro-bind-try", "/etc/ld.so.cache", "/etc/ld.so.cache"]
    if tools.prefix not in ("/", "/usr"):
        source = OPENED if tools.closed else tools.prefix
        for name in _OF_PYTHON:
            words += ["--ro-bind-try", f"{source}/{name}", f"{tools.prefix}/{name}"]
    for folder in tools.masked:
        words += ["--tmpfs", folder, "--remount-ro", folder]
    words += ["--proc", "/proc", "--remount-ro", "/proc", "--tmpfs", "/dev"]
    for device in _DEVICES:
        words += ["--dev-bind", f"/dev/{device}", f"/dev/{device}"]
    for name, target in _LINKS.items():
        words += ["--symlink", target, f"/dev/{name}"]
    size = limits.disk_mb * 2**20
    return [*words, "--remount-ro", "/dev", "--perms", "0700", "--size", str(size), "--tmpfs", SCRATCH]


def _limited(tools: Tools, limits: SandboxLimits) -> list[str]:
    """Limits for each process, which the kernel holds. The clock and the sum over processes are the watcher's."""
    cpu = math.ceil(limits.cpu_seconds)
    disk = limits.disk_mb * 2**20
    return [
        tools.prlimit,
        f"--as={limits.memory_mb * 2**20}",
        f"--cpu={cpu + 1}:{cpu + 2}",  # the watcher comes first: it counts all processes together
        f"--nproc={limits.processes + 1}",  # the first process of the namespace is counted too
        f"--fsize={disk}",
        f"--nofile={OPEN_FILES}",
        "--sigpending=1024",
        "--core=0",
        "--memlock=65536",
        "--msgqueue=0",
        "--",
    ]

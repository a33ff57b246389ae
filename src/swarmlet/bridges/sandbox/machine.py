"""What this machine has: bubblewrap, prlimit, an interpreter that the box can read; and whether they work together."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from contextlib import ExitStack
from pathlib import Path
from typing import Final, cast

from swarmlet.bridges.sandbox.command import OPENED, Tools, box, command
from swarmlet.bridges.sandbox.ends import Ends
from swarmlet.bridges.sandbox.seccomp import machine, seccomp_filter
from swarmlet.bridges.sandbox.words import SandboxLimits, SandboxMissing

_TRY_SECONDS: Final = 10
_ASK: Final = "import json, site, sys; print(json.dumps([sys.base_prefix, site.getsitepackages()]))"
_OTHERS: Final = ("/usr/bin/python3", "/usr/local/bin/python3")

_NAMESPACES: Final = (
    "this machine does not let users make user namespaces: allow it (sysctl kernel.unprivileged_userns_clone=1, on Ubuntu "
    "kernel.apparmor_restrict_unprivileged_userns=0; for a Docker container --security-opt seccomp=unconfined)"
)
_ADVICE: Final = (
    ("Unknown option", "bubblewrap 0.8 or newer is needed"),
    ("proc", "the container hides parts of /proc: start Docker with --security-opt systempaths=unconfined"),
    ("namespace", _NAMESPACES),
    ("uid map", _NAMESPACES),
    ("annot fork", "a kernel before 5.14 counts all processes of this user, so run it as a user that has few"),
)


def find_tools() -> Tools:
    """The tools, tried with a small program. Raises `SandboxMissing` with the reason and what to do."""
    kind = machine()
    if sys.platform != "linux":
        raise SandboxMissing(f"bubblewrap runs on Linux only, and this is {sys.platform}")
    if kind is None:
        raise SandboxMissing(
            f"bubblewrap is used on x86_64 and aarch64 only: there is no system call filter for {os.uname().machine}"
        )
    if not Path(f"/proc/self/task/{os.getpid()}/children").is_file():
        raise SandboxMissing(
            "this kernel does not tell a process's children (CONFIG_PROC_CHILDREN), so their sum cannot be watched"
        )
    bwrap = _program("bwrap", "bubblewrap")
    prlimit = _program("prlimit", "util-linux")
    setpriv = _program("setpriv", "util-linux") if os.geteuid() == 0 else None
    problems: dict[str, str] = {}
    for python in _interpreters():
        try:
            prefix, packages = _asked(python)
        except (OSError, ValueError, subprocess.SubprocessError) as error:
            problems[python] = f"{python} does not run: {error}"
            continue
        for closed in (False, True) if setpriv and Path(OPENED).is_dir() else (False,):
            tools = Tools(kind, bwrap, prlimit, setpriv, python, prefix, closed, packages)
            problem = _tried(tools)
            if not problem:
                return tools
            problems.setdefault(python, problem)
    said = next(iter(problems.values()), "there is no Python interpreter for it")
    advice = next((f": {advice}" for words, advice in _ADVICE if words in said), "")
    raise SandboxMissing(f"bubblewrap does not work on this machine ({said}){advice}")


def _program(name: str, package: str) -> str:
    found = shutil.which(name)
    if found is None:
        raise SandboxMissing(f"there is no `{name}` on this machine: install {package} (apt install {package})")
    return os.path.realpath(found)


def _interpreters() -> list[str]:
    """This process's own interpreter without its virtual environment; then those of the system, if the box cannot read it."""
    own = cast("str", getattr(sys, "_base_executable", "") or sys.executable)
    found = dict.fromkeys(os.path.realpath(python) for python in (own, *_OTHERS) if python and Path(python).exists())
    return list(found)


def _asked(python: str) -> tuple[str, tuple[str, ...]]:
    """Where an interpreter's files are, and the folders of packages beside its standard library."""
    answer = subprocess.run([python, "-I", "-c", _ASK], capture_output=True, timeout=_TRY_SECONDS, env={}, check=True)  # noqa: S603
    prefix, packages = cast("tuple[str, list[str]]", json.loads(answer.stdout))
    return prefix, tuple(folder for folder in packages if Path(folder).is_dir())


def _tried(tools: Tools) -> str:
    """What goes wrong with a small program in the box; empty if nothing does."""
    limits = SandboxLimits()
    with ExitStack() as stack:
        ends = Ends(stack)
        program, rules = ends.holding(b"print(6 * 7)"), ends.holding(seccomp_filter(tools.machine))
        settings = ends.holding(box(tools, limits, code=program, seccomp=rules, status=ends.told))
        try:
            ended = subprocess.run(  # noqa: S603  # our words
                command(tools, settings, limits),
                stdin=subprocess.DEVNULL,
                capture_output=True,
                pass_fds=(program, rules, settings, ends.told),
                env={},
                cwd="/",
                timeout=_TRY_SECONDS,
                check=False,
            )
        except subprocess.TimeoutExpired:
            return f"a small program did not end within {_TRY_SECONDS} seconds"
        except OSError as error:
            return str(error)
    if ended.stdout == b"42\n" and ended.returncode == 0:
        return ""
    lines = ended.stderr.decode(errors="replace").strip().splitlines()
    return lines[-1] if lines else f"it ended with exit code {ended.returncode}"

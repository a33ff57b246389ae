"""How the end of a program that was not stopped is told: an outcome, and one sentence that a person or a model can act on."""

from __future__ import annotations

import re
import signal
from typing import Final

from swarmlet.bridges.sandbox.words import Outcome, SandboxLimits

_SIGNALLED: Final = 128  # bubblewrap tells of a signal as a shell does
_LONGEST: Final = 300  # characters of an error that are told
_LAST_WORDS: Final = 2_000
_ERROR: Final = re.compile(r"[A-Za-z_][\w.]*(: |$)")

# A Python without memory for its traceback writes the second
_NO_MEMORY: Final = re.compile(r"^(MemoryError\b|object type name: MemoryError$)", re.MULTILINE)
_FRAME: Final = '  File "'  # stands in every traceback, and above a syntax error too

_HINTS: Final = (
    (r"can't start new thread|Errno 11\]", "it may have {processes} processes and threads at once"),
    (r"Errno 28\]|Errno 27\]", "it may write {disk_mb} MiB of files"),
    (r"Errno 30\]", "only its working folder /tmp can be written"),
    (r"Errno 24\]", "it may have 64 files open"),
    (r"Errno 101\]|Errno 97\]|Errno 111\]|Errno -[23]\]|Errno 99\]|URLError", "there is no network in the sandbox"),
    (r"ModuleNotFoundError", "only Python's standard library is installed in the sandbox"),
)


def took_too_long(limits: SandboxLimits) -> str:
    """Why it was stopped, with the limit that it ran into."""
    return f"the program was stopped: it took longer than {limits.seconds:g} s"


def computed_too_long(limits: SandboxLimits) -> str:
    """Why it was stopped, with the limit that it ran into."""
    return f"the program was stopped: it computed for more than {limits.cpu_seconds:g} s"


def wrote_too_much(limits: SandboxLimits) -> str:
    """Why it was stopped, with the limit that it ran into."""
    return f"the program was stopped: it printed more than {limits.output_kb} KiB"


def ran_out_of_memory(limits: SandboxLimits) -> str:
    """Why it ended, with the limit that it ran into."""
    return f"the program ran out of memory: it may use {limits.memory_mb} MiB"


def told_of(exit_code: int, stderr: str, limits: SandboxLimits) -> tuple[Outcome, str]:
    """The outcome and the reason of a program that ended by itself.

    An exit code of 0 alone makes it finished. What it wrote only explains a failure, so nothing is won by writing it.
    """
    if exit_code == 0:
        return "finished", ""
    error = error_line(stderr)
    if exit_code == 1 and _NO_MEMORY.search(stderr, max(0, len(stderr) - _LAST_WORDS)):
        return "out_of_memory", ran_out_of_memory(limits)
    if exit_code > _SIGNALLED and (name := _signal(exit_code - _SIGNALLED)):
        return "failed", f"the program ended with exit code {exit_code}, as one does that is ended by {name}"
    if exit_code == 1 and _ERROR.match(error) and _FRAME in stderr:
        return "failed", f"the program raised {error}{_hint(error, limits)}"
    return "failed", f"the program ended with exit code {exit_code}{_hint(stderr[-_LAST_WORDS:], limits)}"


def error_line(text: str) -> str:
    """What a traceback says: the first line after the calls of its last one, cut if it is very long; else the last line."""
    _, traceback, calls = text.rpartition("Traceback (most recent call last):\n")
    lines = calls.splitlines() if traceback else text[-_LONGEST * 10 :].splitlines()[::-1]
    for line in lines:
        if line.strip() and not (traceback and line[0].isspace()):
            return line.strip() if len(line) <= _LONGEST else line.strip()[:_LONGEST] + " ..."
    return ""


def _signal(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return ""


def _hint(said: str, limits: SandboxLimits) -> str:
    for pattern, hint in _HINTS:
        if re.search(pattern, said):
            return f" ({hint.format(processes=limits.processes, disk_mb=limits.disk_mb)})"
    return ""

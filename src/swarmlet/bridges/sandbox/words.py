"""What every sandbox speaks: the limits, what came of a program, and the one method that runs it."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass, fields
from typing import Literal, TypeAlias, cast

from swarmlet.errors import SwarmletError

INSTALL = "pip install 'swarmlet[sandbox]'"

Outcome: TypeAlias = Literal["finished", "failed", "timed_out", "out_of_memory", "too_much_output", "too_much_disk"]
"""How a program ended.

`finished` with exit code 0, `failed` by itself (an exception, another exit code, a signal); the others were stopped at a limit:
`timed_out` (wall or CPU time), `out_of_memory`, `too_much_output`, `too_much_disk`.
"""


class SandboxMissing(SwarmletError):
    """No sandbox works on this machine. The message says why, and what to install or allow."""


class SandboxFailed(SwarmletError):
    """The sandbox itself broke down under a program, so nothing is known of the program. It may be run again."""


def cause_of(error: Exception) -> Exception:
    """The exception in a group of one, or the first in a group of several."""
    if isinstance(error, ExceptionGroup):
        return cause_of(cast("ExceptionGroup[Exception]", error).exceptions[0])
    return error


@dataclass(frozen=True)
class SandboxLimits:
    """What one program may use. What a backend cannot bound is told in its docstring.

    `seconds` is wall time, `cpu_seconds` the processor time of all its processes together, `memory_mb` memory in MiB,
    `output_kb` what it may write to stdout and stderr together, in KiB, `disk_mb` files in its own scratch folder, in MiB,
    `processes` how many processes and threads it may have at once, the first one included.
    """

    seconds: float = 10
    cpu_seconds: float = 10
    memory_mb: int = 256
    output_kb: int = 64
    disk_mb: int = 32
    processes: int = 16

    def __post_init__(self) -> None:
        for field in fields(self):
            value: object = getattr(self, field.name)
            whole = field.type == "int"
            fits = isinstance(value, int if whole else (int, float)) and not isinstance(value, bool)
            if not (fits and isinstance(value, (int, float)) and math.isfinite(value) and 0 < value <= _MOST):
                kind = "a whole number" if whole else "a number"
                raise ValueError(f"SandboxLimits({field.name}=) is {kind} above 0 and at most {_MOST}, not {value!r}")
        if self.memory_mb < _LEAST_MEMORY:
            raise ValueError(
                f"SandboxLimits(memory_mb=) is at least {_LEAST_MEMORY}, which Python itself needs: {self.memory_mb}"
            )


_MOST = 1_000_000
_LEAST_MEMORY = 32


@dataclass(frozen=True)
class Ran:
    """What came of a program.

    `reason` is empty for one that finished, else one sentence that says why it did not. `stdout` and `stderr` are what it
    wrote until its end, as text: bytes that are no UTF-8 became U+FFFD, control characters are as they were, so escape them
    before they reach a terminal. `seconds` is wall time, `sandbox` the name of the backend, and `exit_code` what the program
    ended with: `None` where it was stopped.
    """

    outcome: Outcome
    stdout: str
    stderr: str
    reason: str
    seconds: float
    sandbox: str
    exit_code: int | None

    @property
    def ok(self) -> bool:
        """Whether the program came to its end, with exit code 0."""
        return self.outcome == "finished"


class Sandbox(ABC):
    """Runs Python programs that nobody has read. A backend of your own derives from this.

    A class rather than a protocol: so it can be the key of a resource, `Swarm(resources={Sandbox: Bubblewrap()})`.
    """

    @property
    @abstractmethod
    def name(self) -> str:
        """What `Ran.sandbox` says."""

    @abstractmethod
    async def run(self, code: str, *, stdin: str = "") -> Ran:
        """Run a program to its end or to a limit. Cancelled, it leaves nothing behind."""

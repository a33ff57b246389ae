"""What callers of workers are told when there is no result."""

from __future__ import annotations

from typing import TYPE_CHECKING

from swarmlet.errors import RunError, SwarmletError

if TYPE_CHECKING:
    from swarmlet.trace.events import RunId
    from swarmlet.usage import Usage

INSTALL = "pip install 'swarmlet[{extra}]'"


class MissingEngine(SwarmletError, ImportError):
    """The package that carries the queue is not installed; the message says how to install it."""

    def __init__(self, package: str, extra: str) -> None:
        super().__init__(f"workers over {package} need the package {package!r}: {INSTALL.format(extra=extra)}")


class RunFailed(RunError):
    """A run failed on a worker.

    `type` and `message` are of the exception that the step `path` raised there; the exception itself stays where it was raised.
    `usage` is what the run had cost until then, and `run_id` finds its record in the workers' journal.
    """

    def __init__(self, path: str, run_id: RunId, type_: str, message: str, usage: Usage) -> None:
        self.run_id = run_id
        self.type = type_
        self.message = message
        self.usage = usage
        super().__init__(path, run_id, type_, message)

    def __str__(self) -> str:
        return f"run {self.run_id} failed on its worker: {self.message or self.type}"


class RunCancelled(RunError):
    """A run on a worker was cancelled, or given up because it has taken several workers down with it."""

    def __init__(self, run_id: RunId, why: str = "it was cancelled") -> None:
        self.run_id = run_id
        self.why = why
        super().__init__("", run_id, why)

    def __str__(self) -> str:
        return f"run {self.run_id} has no result: {self.why}"


class NoSuchRun(SwarmletError):
    """The queue knows no run of this id."""

    def __init__(self, run_id: str) -> None:
        self.run_id = run_id
        super().__init__(f"no run {run_id!r} was given to these workers")

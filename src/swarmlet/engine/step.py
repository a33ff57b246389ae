"""The one seam: every step of every run passes through `StepRunner.run(step) -> outcome`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol, TypeAlias, cast, final

from swarmlet.errors import RunError, StepFailed

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from swarmlet.engine.frames import Frame
    from swarmlet.graph.node import AnyNode
    from swarmlet.policy.options import Scope


@final
class Step:
    """One execution of a node: its path names it within the run, whatever the timing.

    `ready_at` is the monotonic time at which its inputs were there. `frame` and `key` are the scheduler's own.
    """

    __slots__ = ("args", "frame", "key", "kwargs", "node", "path", "ready_at", "scope")

    def __init__(
        self,
        path: str,
        node: AnyNode,
        args: Sequence[object],
        kwargs: Mapping[str, object],
        scope: Scope,
        frame: Frame | None = None,
        key: int = 0,
    ) -> None:
        self.path = path
        self.node = node
        self.args = args
        self.kwargs = kwargs
        self.scope = scope
        self.frame = frame
        self.key = key
        self.ready_at: float | None = None

    def named_arguments(self) -> dict[str, object]:
        """The arguments by parameter."""
        named: dict[str, object] = dict(self.kwargs)
        parameters = self.node.signature.parameters
        for index, value in enumerate(self.args):
            parameter = parameters[min(index, len(parameters) - 1)]
            many = parameter.kind is parameter.VAR_POSITIONAL
            named[f"{parameter.name}[{index - len(parameters) + 1}]" if many else parameter.name] = value
        return named


@final
@dataclass(slots=True)
class Finished:
    """The step returned `value`."""

    value: object


@final
@dataclass(slots=True)
class Faulted:
    """The step failed. `error` is a `RunError` with the path of the step at fault, or a group of them."""

    error: Exception


Outcome: TypeAlias = Finished | Faulted


class StepRunner(Protocol):
    """Executes steps: in this process, against a journal, or somewhere else. The scheduler does not know which.

    A failure is an outcome. Cancellation is not: it is raised, at once, and whatever the step has started has ended then.
    """

    async def run(self, step: Step) -> Outcome:
        """Execute `step`, or give the outcome that is recorded for it."""
        ...


def as_failure(path: str, error: Exception) -> Exception:
    """What a step that raised `error` fails with: a `StepFailed` of its path, unless the error names a step below it."""
    errors = list(flat(error))
    if all(isinstance(one, RunError) for one in errors):
        return errors[0] if len(errors) == 1 else error
    failed = StepFailed(path, f"{type(error).__name__}: {error}" if str(error) else type(error).__name__)
    failed.__cause__ = error
    return failed


def flat(error: Exception) -> Iterator[Exception]:
    """The errors in a group, at any depth; an error that is no group is itself."""
    if isinstance(error, ExceptionGroup):
        for one in cast("ExceptionGroup[Exception]", error).exceptions:
            yield from flat(one)
    else:
        yield error


def together(path: str, errors: Sequence[Exception]) -> Exception:
    """One error for all that failed: itself if it is alone, else a group."""
    return errors[0] if len(errors) == 1 else ExceptionGroup(f"{len(errors)} steps of {path!r} failed", errors)

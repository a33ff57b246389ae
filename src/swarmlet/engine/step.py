"""The one seam: every step of every run passes through `StepRunner.run(step) -> outcome`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol, TypeAlias, cast, final

from swarmlet.errors import RunError, StepFailed

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from swarmlet.engine.frame import Frame
    from swarmlet.graph.shape import AnyNode
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
        self.path: str = path
        self.node: AnyNode = node
        self.args: Sequence[object] = args
        self.kwargs: Mapping[str, object] = kwargs
        self.scope: Scope = scope
        self.frame: Frame | None = frame
        self.key: int = key
        self.ready_at: float | None = None

    def named_arguments(self) -> dict[str, object]:
        """The arguments by parameter."""
        named: dict[str, object] = {}
        values = iter(self.args)
        for parameter, value in zip(self.node.signature.parameters, values, strict=False):
            if parameter.kind is parameter.VAR_POSITIONAL:
                named |= {f"{parameter.name}[{index}]": one for index, one in enumerate((value, *values))}
            else:
                named[parameter.name] = value
        return {**named, **self.kwargs}


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
    """What a step that raised `error` fails with: a `StepFailed` of its path, unless the error names a step below it.

    An error that has left a run already (its `.run` is set) is of that run, so it is a cause like any other here.
    """
    errors = list(flat(error))
    if all(isinstance(one, RunError) and one.run is None for one in errors):
        return errors[0] if len(errors) == 1 else error
    failed = StepFailed(path, ": ".join(filter(None, (type(error).__name__, text_of(error)))))
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
    every = [one for error in errors for one in flat(error)]
    return every[0] if len(every) == 1 else ExceptionGroup(f"{len(every)} steps of {path!r} failed", every)


def text_of(error: BaseException) -> str:
    """The text of an error; nothing if the error cannot say it."""
    try:
        return str(error)
    except Exception:  # noqa: BLE001  # its own method failed, and it is being reported for something else
        return ""

"""The one seam: every step of every run passes through `StepRunner.run(step) -> outcome`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol, TypeAlias, cast, final

from swarmlet.errors import BudgetExceeded, RunError, StepFailed, StepsFailed, SwarmletError
from swarmlet.trace.encode import text_of

if TYPE_CHECKING:
    from collections.abc import Awaitable, Iterable, Iterator, Mapping, Sequence

    from swarmlet.engine.frame import Frame
    from swarmlet.graph.shape import AnyNode
    from swarmlet.graph.signature import Signature
    from swarmlet.policy.options import Scope


@final
class Step:
    """One execution of a node: its path names it within the run, whatever the timing.

    `ready` is when its inputs were there; `held`: seconds since then in which it waited for a place among others. `frame` and
    `key` are the scheduler's own. `looked_up`: the record of earlier processes has no outcome of it. `rest`: it was begun, and
    this is what its runner has left to do.
    """

    __slots__ = ("args", "frame", "held", "key", "kwargs", "looked_up", "node", "path", "ready", "rest", "scope")

    def __init__(
        self,
        path: str,
        node: AnyNode,
        args: Sequence[object],
        kwargs: Mapping[str, object],
        scope: Scope,
        frame: Frame | None = None,
        key: int = 0,
        ready: float | None = None,
        held: float = 0.0,
    ) -> None:
        self.path: str = path
        self.node: AnyNode = node
        self.args: Sequence[object] = args
        self.kwargs: Mapping[str, object] = kwargs
        self.scope: Scope = scope
        self.frame: Frame | None = frame
        self.key: int = key
        self.ready: float | None = ready
        self.held: float = held
        self.looked_up: bool = False
        self.rest: object = None

    def named_arguments(self) -> dict[str, object]:
        """The arguments by parameter."""
        return named_arguments(self.node.signature, self.args, self.kwargs)


def named_arguments(signature: Signature, args: Sequence[object], kwargs: Mapping[str, object]) -> dict[str, object]:
    """The arguments of a call by parameter, as a record has them: `x`, `rest[0]`, and `**x` where `x` is taken already."""
    names = signature.positional
    if not kwargs and len(args) == len(names):
        return dict(zip(names, args, strict=True))
    named = dict(zip(names, args, strict=False))
    if len(args) > len(names):
        rest = signature.parameters[len(names)].name
        named |= {f"{rest}[{index}]": one for index, one in enumerate(args[len(names) :])}
    for name, value in kwargs.items():
        named[f"**{name}" if name in named else name] = value
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


class Unfinished(BaseException):
    """A step was not started, or is left unfinished: what is beside it goes on. No failure, so nothing handles it."""


class Drained(Unfinished):
    """It is left because its swarm is being drained, or a budget has run out."""


class Waiting(Unfinished):
    """It is left because it waits for a person's answer, which nobody here can give."""


def unfinished_in(error: BaseException) -> Unfinished | None:
    """Why a step is left, where it is that and nothing else that its task groups have ended with."""
    if isinstance(error, Unfinished):
        return error
    if not isinstance(error, BaseExceptionGroup):
        return None
    inside = [unfinished_in(one) for one in cast("BaseExceptionGroup[BaseException]", error).exceptions]
    return next(iter(inside)) if all(inside) else None


class StepRunner(Protocol):
    """Executes steps: in this process, against a journal, or somewhere else. The scheduler does not know which.

    A failure is an outcome. Cancellation is not: it is raised, at once, and whatever the step has started has ended then.
    """

    at: float
    """When the last outcome that it gave was there."""

    def now(self, step: Step) -> Outcome | None:
        """The outcome of `step` if it can be had without waiting; `None`, and then `run` executes it."""
        ...

    def run(self, step: Step) -> Awaitable[Outcome]:
        """Execute `step`, or give the outcome that is recorded for it."""
        ...


def as_failure(path: str, error: Exception) -> Exception:
    """What a step that raised `error` fails with: a `StepFailed` of its path, unless the error names it or a step below it.

    An error of another step, or of another run (its `.run` is set, as it has left it), is a cause like any other here.
    """
    errors = list(flat(error))
    if all(isinstance(one, RunError) and one.run is None and _is_below(path, one.path) for one in errors):
        return error if isinstance(error, StepsFailed) else together(path, errors)
    failed = StepFailed(path, ": ".join(filter(None, (type(error).__name__, text_of(error)))))
    failed.__cause__ = error
    return failed


def _is_below(path: str, other: str) -> bool:
    return other.startswith(path) and other[len(path) : len(path) + 1] in ("", "/", "[")


def ran_out(errors: Iterable[Exception], scope: str) -> BudgetExceeded | None:
    """The error of the budget of `scope`, if nothing else has failed."""
    every = [one for error in errors for one in _reasons(error)]
    own = [one for one in every if isinstance(one, BudgetExceeded) and one.scope == scope]
    return own[0] if own and len(own) == len(every) else None


@final
class EarlierFailure(SwarmletError):
    """A step failed in an earlier process, which recorded the class of its exception (`type`) and its text."""

    def __init__(self, type_: str, message: str) -> None:
        self.type = type_
        self.message = message
        super().__init__(type_, message)

    def __str__(self) -> str:
        return ": ".join(filter(None, (self.type, self.message)))

    def is_of(self, kinds: Iterable[type[Exception]]) -> bool:
        """Whether it may have been one of these. The record has the name of a class; of several failures it has no classes."""
        if self.type in _OF_SEVERAL:
            return True
        stack, seen = list(kinds), set[type[Exception]]()
        while stack:
            kind = stack.pop()
            if kind is Exception or kind.__name__ == self.type:
                return True
            if kind not in seen:
                seen.add(kind)
                stack += kind.__subclasses__()
        return False


_OF_SEVERAL = frozenset({"NoQuorum", "StepFailed", "StepsFailed"})
"""Failures that stand in the record for those of several steps. A run that went on after one has handled it, and will again."""


def only_of(error: Exception, kinds: type[Exception] | tuple[type[Exception], ...]) -> bool:
    """Whether everything that an error stands for is, or was caused by, an exception of these kinds."""
    return all(_is_of(reason, kinds) for reason in _reasons(error))


def _is_of(error: Exception, kinds: type[Exception] | tuple[type[Exception], ...]) -> bool:
    """Looks at the causes of failed steps; what their own code caught on the way does not count."""
    if isinstance(error, EarlierFailure):
        return error.is_of(kinds if isinstance(kinds, tuple) else (kinds,))
    if isinstance(error, kinds):
        return True
    cause = error.__cause__ if isinstance(error, RunError) else None
    return isinstance(cause, Exception) and only_of(cause, kinds)


def _reasons(error: Exception) -> Iterator[Exception]:
    """What an error stands for: the failures in a group, and those that all ways of a race or a cascade have ended with."""
    for one in flat(error):
        causes: tuple[Exception, ...] = one.ways if isinstance(one, RunError) else ()
        if causes:
            for cause in causes:
                yield from _reasons(cause)
        else:
            yield one


_TOLD = 300
"""Characters of each cause that a message repeats; `__cause__` has them in full."""
_CAUSES = 5


def all_failed(path: str, reason: str, causes: Sequence[Exception]) -> StepFailed:
    """One error for a node all of whose ways to succeed have failed; its cause is theirs, or the group of theirs."""
    told = "; ".join(text if len(text := str(cause)) <= _TOLD else f"{text[:_TOLD]}..." for cause in causes[:_CAUSES])
    more = f"; and {len(causes) - _CAUSES} more" if len(causes) > _CAUSES else ""
    failed = StepFailed(path, f"{reason}: {told}{more}")
    failed.ways = tuple(causes)
    failed.__cause__ = causes[0] if len(causes) == 1 else ExceptionGroup(f"what failed in {path!r}", list(causes))
    return failed


def flat(error: Exception) -> Iterator[Exception]:
    """The errors in a group, at any depth; an error that is no group is itself."""
    if isinstance(error, ExceptionGroup):
        for one in cast("ExceptionGroup[Exception]", error).exceptions:
            yield from flat(one)
    else:
        yield error


def paths_of(errors: Iterable[Exception]) -> list[str]:
    """The steps that these errors name, each once."""
    return list(dict.fromkeys(one.path for error in errors for one in flat(error) if isinstance(one, RunError)))


def together(path: str, errors: Sequence[Exception]) -> Exception:
    """One error for all that failed: itself if it is alone, else a group."""
    every = [one for error in errors for one in flat(error)]
    return every[0] if len(every) == 1 else StepsFailed(path, every)

"""Running a node that must not hang, and taking its failure apart."""

from __future__ import annotations

from typing import ParamSpec, TypeVar, cast

import anyio

from swarmlet import Node, Run, StepFailed, run

P = ParamSpec("P")
T = TypeVar("T")


async def quickly(of: Node[P, T], /, *args: P.args, **kwargs: P.kwargs) -> Run[T]:
    """`run`, within five seconds."""
    with anyio.fail_after(5):
        return await run(of, *args, **kwargs)


def causes(error: BaseException) -> list[Exception]:
    """All that is in the group that caused `error`."""
    cause: object = error.__cause__
    assert isinstance(cause, ExceptionGroup)
    return list(cast("ExceptionGroup[Exception]", cause).exceptions)


def failed_paths(error: BaseException) -> list[str]:
    """The paths of the failed steps that caused `error`."""
    return [one.path for one in causes(error) if isinstance(one, StepFailed)]

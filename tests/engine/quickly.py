"""Running a node that must not hang."""

from __future__ import annotations

from typing import ParamSpec, TypeVar

import anyio

from swarmlet import Node, Run, run

P = ParamSpec("P")
T = TypeVar("T")


async def quickly(of: Node[P, T], /, *args: P.args, **kwargs: P.kwargs) -> Run[T]:
    """`run`, within five seconds."""
    with anyio.fail_after(5):
        return await run(of, *args, **kwargs)

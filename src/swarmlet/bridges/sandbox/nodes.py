"""The sandbox as a node: a step of a graph, and a tool of an agent."""

from __future__ import annotations

from typing import Concatenate, cast

import anyio.to_thread

from swarmlet.bridges.sandbox.finding import found_sandbox
from swarmlet.bridges.sandbox.words import Ran, Sandbox
from swarmlet.engine.context import current
from swarmlet.errors import GraphError
from swarmlet.graph.lift import node
from swarmlet.graph.node import Node


@node
async def run_python(code: str, stdin: str = "") -> Ran:
    """Run a complete Python program and see what it prints.

    Only what the program prints is seen, so print what you want to know. It runs in a sandbox: there is no network, no file of
    anybody's, only the standard library, little time and little memory. Nothing is kept from one program to the next.

    Args:
        code: The whole program, with its imports.
        stdin: What the program can read with input(). Most programs read nothing.
    """
    given = current().find(Sandbox)  # type: ignore[type-abstract]  # it is a key here, and never called
    sandbox = await anyio.to_thread.run_sync(found_sandbox) if given is None else given
    return await sandbox.run(code, stdin=stdin)


def python_in(sandbox: Sandbox) -> Node[Concatenate[str, ...], Ran]:
    """`run_python` in a sandbox of your choice, with limits of its own say.

        quick = python_in(Bubblewrap(SandboxLimits(seconds=2)))

    What a swarm or a node has as `resources={Sandbox: ...}` does not change it.
    """
    if not isinstance(cast("object", sandbox), Sandbox):
        raise GraphError(f"python_in() takes a sandbox, such as Bubblewrap(), not {sandbox!r}")

    async def chosen(code: str, stdin: str = "") -> Ran:
        return await sandbox.run(code, stdin=stdin)

    chosen.__doc__ = run_python.__doc__
    return node(chosen, name=run_python.name)

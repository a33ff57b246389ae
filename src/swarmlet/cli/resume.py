"""`swarmlet resume RUN TARGET`: go on with a run of the journal. What is imported is named here, never by the journal."""

from __future__ import annotations

import json
import sys
from contextlib import redirect_stdout
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Final, cast

import anyio

from swarmlet.cli import UsageError, message, print_json, store_of
from swarmlet.errors import Suspended

if TYPE_CHECKING:
    from argparse import ArgumentParser, Namespace, _SubParsersAction  # pyright: ignore[reportPrivateUsage]
    from collections.abc import Callable

    from swarmlet.graph.node import Node
    from swarmlet.swarm.swarm import Swarm

SUSPENDED: Final = 3
"""The exit status where the run waits for a person."""


def register(subparsers: _SubParsersAction[ArgumentParser]) -> None:
    """Add the parser of `resume`."""
    parser = subparsers.add_parser("resume", help="go on with a run that failed, was killed or was answered")
    parser.add_argument("run_id", metavar="RUN", help="a run's id, the beginning of it, or `last`")
    parser.add_argument("target", metavar="TARGET", help="the node that ran, `package.module:name`")
    parser.add_argument("--swarm", metavar="MODULE:FUNCTION", help="what makes the swarm to run in, with its journal")
    parser.add_argument(
        "--changed", choices=("refuse", "match"), default="refuse", help="match: reuse what is the same in a changed graph"
    )


def run(options: Namespace) -> int:
    """Print the output as JSON. Status 3 if the run waits for a person."""
    from swarmlet.cli.check import importing, nodes_named

    sys.path.insert(0, str(Path.cwd()))  # also for what nodes import while they run
    with importing():
        found = list(nodes_named(options.target).values()) if ":" in options.target else []
        make = _maker(options.swarm) if options.swarm is not None else partial(_default, options)
    if len(found) != 1:
        raise UsageError(f"{options.target!r} names no node: give package.module:name")
    (node,) = found
    try:
        with redirect_stdout(sys.stderr):  # what nodes print is no data
            output = anyio.run(_resume, make, options, node)
    except Suspended as error:
        run_id = error.run.id if error.run is not None else options.run_id
        for path in error.questions:
            message(f"it waits for an answer: swarmlet answer {run_id} {path} VALUE")
        return SUSPENDED
    print_json(json.loads(node.encode_output(output)))
    return 0


async def _resume(make: Callable[[], Swarm], options: Namespace, node: Node[..., object]) -> object:
    async with make() as swarm:
        return (await swarm.resume(options.run_id, node, changed=options.changed)).output


def _default(options: Namespace) -> Swarm:
    from swarmlet.swarm.swarm import Swarm

    return Swarm(journal=store_of(options))


def _maker(target: str) -> Callable[[], Swarm]:
    """The function that makes the swarm."""
    from swarmlet.cli.check import imported
    from swarmlet.swarm.swarm import Swarm

    name, _, attribute = target.partition(":")
    found: object = getattr(imported(name), attribute, None) if attribute else None
    if not callable(found):
        raise UsageError(f"--swarm {target!r} names no function: give package.module:function")

    def make() -> Swarm:
        swarm = cast("Callable[[], object]", found)()
        if not isinstance(swarm, Swarm):
            raise UsageError(f"--swarm {target!r} gave {type(swarm).__name__}, not a Swarm")
        return swarm

    return make

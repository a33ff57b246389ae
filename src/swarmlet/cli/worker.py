"""`swarmlet worker PACKAGE...`: executes runs and steps that other processes have put into a queue."""

from __future__ import annotations

import os
import signal
import sys
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Final, cast

import anyio

from swarmlet.cli import UsageError, message

if TYPE_CHECKING:
    from argparse import ArgumentParser, Namespace, _SubParsersAction  # pyright: ignore[reportPrivateUsage]
    from collections.abc import Callable

    from swarmlet.swarm.swarm import Swarm

URL: Final = "SWARMLET_WORKERS_URL"
_STOPPED: Final = 130


def register(subparsers: _SubParsersAction[ArgumentParser]) -> None:
    """Add the parser of `worker`."""
    parser = subparsers.add_parser("worker", help="execute runs that other processes have put into a queue")
    parser.add_argument(
        "modules", metavar="PACKAGE", nargs="+", help="a module or package whose nodes may run here, with all below it"
    )
    parser.add_argument("--url", help=f"the Postgres of queue and journal (default: {URL})")
    parser.add_argument(
        "--swarm",
        metavar="MODULE:FUNCTION",
        help="what makes the swarm in which they run (default: one with its journal there)",
    )
    parser.add_argument(
        "--queue",
        action="append",
        dest="queues",
        metavar="NAME",
        help="a queue to serve, any number of times (default: swarmlet)",
    )
    parser.add_argument("--concurrency", type=int, default=16, metavar="N", help="runs of each queue at once (default 16)")
    parser.add_argument(
        "--lease", type=float, default=15, metavar="S", help="seconds of silence until others take its runs over (default 15)"
    )
    parser.add_argument(
        "--grace", type=float, default=10, metavar="S", help="seconds for running steps when it leaves (default 10)"
    )


def run(options: Namespace) -> int:
    """Serve until SIGTERM or SIGINT; then finish the steps that run, leave the rest to others, and return. Told twice, stop."""
    url = cast("str | None", options.url) or os.environ.get(URL)
    if not url:
        raise UsageError(f"which Postgres? --url postgresql://..., or {URL}")
    if options.concurrency < 1 or options.lease <= 0 or options.grace < 0:
        raise UsageError("--concurrency is at least 1, --lease is above 0 and --grace not below 0")
    here = str(Path.cwd())
    if here not in sys.path:
        sys.path.insert(0, here)
    anyio.run(_serve, options, url)
    return 0


async def _serve(options: Namespace, url: str) -> None:
    from swarmlet.bridges.workers import serve
    from swarmlet.bridges.workers.beside import beside
    from swarmlet.bridges.workers.worker import DEFAULT_QUEUE

    leaving = anyio.Event()
    work = partial(
        serve,
        options.modules,
        url,
        swarm=_maker(options.swarm) if options.swarm else None,
        queues=options.queues or (DEFAULT_QUEUE,),
        concurrency=options.concurrency,
        lease=options.lease,
        grace=options.grace,
        leaving=leaving,
        ready=lambda: message(f"a worker for {', '.join(options.modules)} is ready"),
    )
    await beside(partial(_until_told, leaving), work)
    message("the worker has left")


async def _until_told(leaving: anyio.Event) -> None:
    with anyio.open_signal_receiver(signal.SIGTERM, signal.SIGINT) as signals:
        async for _ in signals:
            if leaving.is_set():  # at once then: what is not written is lost, and others go on when the lease has ended
                message("told twice, so it stops here and now")
                os._exit(_STOPPED)
            message("leaving: running steps finish, the rest goes to other workers")
            leaving.set()


def _maker(path: str) -> Callable[[], Swarm]:
    module, _, name = path.partition(":")
    try:
        made: object = getattr(import_module(module), name)
    except (ImportError, AttributeError, ValueError) as error:
        raise UsageError(f"--swarm is a function, such as my_app.swarms:make_swarm, not {path!r}: {error}") from error
    if not callable(made):
        raise UsageError(f"--swarm {path} is no function")
    return cast("Callable[[], Swarm]", made)

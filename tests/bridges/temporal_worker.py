"""A worker over Temporal, for tests: `python -m tests.bridges.temporal_worker TARGET QUEUE`."""

from __future__ import annotations

import signal
import sys
from functools import partial

import anyio

from swarmlet.bridges.workers import serve
from swarmlet.bridges.workers.beside import beside
from swarmlet.bridges.workers.on_temporal import TemporalQueue
from tests.bridges.worker_flows import HERE, make_swarm


async def main(target: str, queue: str) -> None:
    leaving = anyio.Event()

    async def until_told() -> None:
        with anyio.open_signal_receiver(signal.SIGTERM) as signals:
            async for _ in signals:
                leaving.set()
                return

    work = partial(
        serve,
        HERE,
        TemporalQueue(target),
        swarm=make_swarm,
        queues=[queue],
        concurrency=2,
        grace=3,
        leaving=leaving,
        ready=lambda: print("it is ready", file=sys.stderr, flush=True),  # noqa: T201  # for the test
    )
    await beside(until_told, work)


if __name__ == "__main__":
    anyio.run(main, sys.argv[1], sys.argv[2])

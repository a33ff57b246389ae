"""A worker: it takes jobs from a queue and executes them as runs of its swarm. It does not know which queue it is.

Model clients, databases and keys are the worker's own: its swarm opens them from its environment, and nothing of that is ever
in the queue. Which code may run is its own decision, too: only nodes of the modules and packages that it was started for.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import AsyncExitStack
from functools import partial
from importlib import import_module
from typing import TYPE_CHECKING, Final, cast, final

import anyio

from swarmlet.bridges.workers.beside import beside
from swarmlet.bridges.workers.seam import GiveBack, Queue, Serving
from swarmlet.bridges.workers.spans import under
from swarmlet.bridges.workers.telling import Teller
from swarmlet.engine.answers import Answer, trouble_of
from swarmlet.engine.portable import Parcel, write
from swarmlet.engine.step import flat
from swarmlet.errors import GraphError, RunError, RunStopped, RunTaken, Suspended, SwarmletError
from swarmlet.log import get_logger
from swarmlet.swarm.swarm import Swarm
from swarmlet.trace.events import RunId
from swarmlet.usage import Usage

if TYPE_CHECKING:
    from swarmlet.graph.node import Node
    from swarmlet.graph.shape import AnyNode
    from swarmlet.trace.result import PartialRun, Run

DEFAULT_QUEUE: Final = "swarmlet"
_PATIENCE: Final = 0.5
"""Seconds before a run is asked for again whose record another process has claimed, as its lease ends or the job is theirs."""


async def serve(
    modules: str | Sequence[str],
    queue: str | Queue,
    *,
    swarm: Callable[[], Swarm] | None = None,
    queues: Sequence[str] = (DEFAULT_QUEUE,),
    concurrency: int = 16,
    lease: float = 15,
    grace: float = 10,
    news: str | None = None,
    leaving: anyio.Event | None = None,
    ready: Callable[[], None] = lambda: None,
) -> None:
    """Execute the runs and steps that callers have put into these queues, until `leaving` is set or this is cancelled.

    `modules` are the modules and packages whose nodes may run here. `queue` is the URL of a Postgres, or a `Queue`. `swarm`
    makes the swarm in which they run; its journal must be one that all workers share. By default it has the journal in the
    same Postgres, and its models are as the environment says. A process serves at most one queue object at a time.

    `concurrency` is how many runs of each queue go on at once; with DBOS the last worker that starts sets it for the queue.
    `news` is the Postgres by which callers are told what happens; with a URL it is the same.
    After `lease` seconds without a sign of life others take its runs over. When it leaves, running steps have `grace` seconds
    to finish; what is not done then goes to others.
    """
    allowed = (modules,) if isinstance(modules, str) else tuple(modules)
    for module in allowed:
        _import(module)
    carrier, url = (_on_postgres(queue), queue) if isinstance(queue, str) else (queue, None)
    make = swarm or _shared(url, lease)
    serving = Serving(tuple(queues), concurrency, lease, grace)
    leaving = leaving or anyio.Event()
    async with AsyncExitStack() as stack:
        await carrier.open()
        stack.push_async_callback(carrier.aclose)
        opened = await stack.enter_async_context(make())
        hand = Hand(opened, allowed)
        if (told_by := news or url) is not None:
            teller = hand.teller = Teller(told_by)
            teller.start()
            stack.callback(teller.stop)
            stack.enter_context(opened.heard_by(teller))
        drain = partial(_drain, opened, leaving, grace)
        await beside(drain, partial(carrier.serve, hand.execute, serving, leaving, ready))


async def _drain(swarm: Swarm, leaving: anyio.Event, grace: float) -> None:
    await leaving.wait()
    await swarm.drain(grace)


def _import(module: str) -> None:
    try:
        import_module(module)
    except ImportError as error:
        raise SwarmletError(f"the worker cannot import {module!r}: {error}") from error
    if module in ("__main__", "__mp_main__"):
        raise SwarmletError("a worker serves modules and packages that others can import, not the script that runs")


def _on_postgres(url: str) -> Queue:
    from swarmlet.bridges.workers.on_dbos import DbosQueue

    return DbosQueue(url)


def _shared(url: str | None, lease: float) -> Callable[[], Swarm]:
    if url is None:
        raise GraphError("serve(swarm=) is needed with a queue object: a function that makes a Swarm with a shared journal")

    def make() -> Swarm:
        from swarmlet.bridges.journals import PostgresJournal

        return Swarm(journal=PostgresJournal(url, lease=lease))

    return make


@final
class Hand:
    """Executes parcels in a swarm."""

    def __init__(self, swarm: Swarm, allowed: Sequence[str]) -> None:
        self._swarm = swarm
        self._allowed = allowed
        self.teller: Teller | None = None

    async def execute(self, job: str, text: str) -> str:
        """The answer to a parcel, as JSON; a failure is one, too. Raises `GiveBack` if this worker does not finish the run."""
        try:
            parcel = Parcel.load(text)
        except SwarmletError as error:
            return Answer(run=RunId(job), state="failed", trouble=trouble_of(error, "")).dump()
        try:
            node, args, kwargs = parcel.open(self._allowed)
        except Exception as error:  # noqa: BLE001  # importing a node and reading its arguments runs code of the application
            return _refused(parcel, error).dump()
        if self.teller is not None:
            self.teller.begin(parcel.run, text=parcel.text)
        try:
            with under(parcel.traceparent):
                return (await self._run(parcel, node, args, kwargs)).dump()
        finally:
            if self.teller is not None:
                self.teller.end(parcel.run)

    async def _run(self, parcel: Parcel, node: AnyNode, args: tuple[object, ...], kwargs: dict[str, object]) -> Answer:
        plain = cast("Node[..., object]", node)
        while True:
            try:
                run = await self._swarm.run_as(parcel.run, plain, *args, **kwargs)
            except RunStopped:
                raise GiveBack from None
            except Suspended as error:
                return _answer(parcel, error.run, state="suspended", questions=error.questions)
            except Exception as error:  # noqa: BLE001  # whatever a run fails with is its answer
                if not any(isinstance(one, RunTaken) for one in _causes(error)):
                    return _failed(parcel, node, error)
                get_logger().warning("another process has the run", run=parcel.run)
                await anyio.sleep(_PATIENCE)
            else:
                return _finished(parcel, node, run)


def _finished(parcel: Parcel, node: AnyNode, run: Run[object]) -> Answer:
    try:
        output = write(f"the result of {node.name!r}", run.output, node.signature.returns, node.encode_output)
    except GraphError as error:
        return _failed(parcel, node, error, run)
    return _answer(parcel, run, state="finished", output=output)


def _failed(parcel: Parcel, node: AnyNode, error: Exception, run: PartialRun | None = None) -> Answer:
    first = next(flat(error))
    run = run or next((one.run for one in (error, first) if isinstance(one, RunError) and one.run is not None), None)
    return _answer(parcel, run, state="failed", trouble=trouble_of(first, node.name))


def _refused(parcel: Parcel, error: Exception) -> Answer:
    return Answer(run=parcel.run, state="failed", trouble=trouble_of(error, parcel.node.rpartition(":")[2]))


def _answer(parcel: Parcel, run: PartialRun | None, **words: object) -> Answer:
    events = tuple(run.trace.events) if run is not None and parcel.parent is not None else ()
    return Answer(run=parcel.run, usage=run.usage if run is not None else Usage(), events=events, **words)  # type: ignore[arg-type]


def _causes(error: BaseException) -> Iterator[BaseException]:
    for one in flat(error) if isinstance(error, Exception) else (error,):
        yield one
        if one.__cause__ is not None:
            yield from _causes(one.__cause__)

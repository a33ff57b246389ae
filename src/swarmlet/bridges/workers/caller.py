"""The callers' side: runs are given to workers, and their results fetched, also by another process."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Generic, ParamSpec, TypeVar, cast, final

import anyio
import anyio.to_thread

from swarmlet.bridges.workers.errors import NoSuchRun, RunCancelled, RunFailed
from swarmlet.bridges.workers.spans import current_span
from swarmlet.bridges.workers.telling import Told, hear, listen
from swarmlet.bridges.workers.worker import DEFAULT_QUEUE
from swarmlet.engine.answers import Answer
from swarmlet.engine.portable import Arguments, Parcel, portable, read, terms_of
from swarmlet.errors import BudgetExceeded, DeadlineExceeded, RunError, Suspended, SwarmletError
from swarmlet.graph.node import check_call
from swarmlet.swarm.ids import check_id, new_run_id
from swarmlet.trace.events import RunId
from swarmlet.usage import Usage

if TYPE_CHECKING:
    from types import TracebackType
    from typing import Self

    import psycopg

    from swarmlet.bridges.workers.seam import Look, Queue
    from swarmlet.graph.node import Node
    from swarmlet.graph.shape import AnyNode

P = ParamSpec("P")
T = TypeVar("T")
_FIRST_LOOK: Final = 0.05
_LAST_LOOK: Final = 1.0
"""Seconds between two looks for an answer, which grow from the one to the other."""
_CANCELLING: Final = 5
"""Seconds that a cancelled step may take to say so to its worker."""


@final
class Workers:
    """Runs nodes on workers. Open it with `async with`; `url` is the Postgres that the workers were started with.

        async with Workers("postgresql://...") as workers:
            handle = await workers.start(solve, task)
            result = await handle.result()

    A `Queue` in place of the URL carries the runs over something else; `news` is then the Postgres by which workers tell what
    happens, if there is one. `text=True` has replies told piece by piece, as `Swarm.stream` does.

    Given to a swarm, `Swarm(workers=...)`, it executes the steps of nodes that name a queue: `with_options(queue="gpu")`.
    """

    def __init__(self, url: str | Queue, *, news: str | None = None, text: bool = False) -> None:
        self._queue: Queue = _on_postgres(url) if isinstance(url, str) else url
        self.news: str | None = url if isinstance(url, str) else news
        self._text = text

    async def __aenter__(self) -> Self:
        await self._queue.open()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self._queue.aclose()

    async def start(self, node: Node[P, T], /, *args: P.args, **kwargs: P.kwargs) -> RunHandle[T]:
        """Have a worker run `node`. Returns when the queue has it, so that it is not lost any more.

        The option `queue` names the workers. Raises `GraphError` for a node, an argument or an option that cannot cross to
        another process.
        """
        return await self.start_as(new_run_id(), node, *args, **kwargs)

    async def start_as(self, run_id: str, node: Node[P, T], /, *args: P.args, **kwargs: P.kwargs) -> RunHandle[T]:
        """As `start`, under an id of the caller's own. If there is such a run already, it is that one."""
        check_id(run_id)
        plain = cast("AnyNode", node)
        check_call("workers.start", plain, args, kwargs)
        parcel = Parcel(
            run=RunId(run_id),
            node=portable(plain),
            arguments=Arguments.of(plain, args, kwargs),
            terms=terms_of(plain),
            queue=plain.options.queue or DEFAULT_QUEUE,
            text=self._text,
            traceparent=current_span(),
        )
        await self._queue.submit(run_id, parcel.dump(), parcel.queue)
        return self.handle(run_id, node)

    def handle(self, run_id: str, node: Node[..., T]) -> RunHandle[T]:
        """The handle of a run that somebody has started; `node` is the node that runs, by whose type the result is read."""
        return RunHandle(self, RunId(run_id), cast("AnyNode", node))

    async def resume(self, run_id: str, node: Node[..., T]) -> RunHandle[T]:
        """Have a run go on that failed, was cancelled, or waited for a person who has answered by now.

        What it has done and paid for is in the journal and is not done again. Nothing happens if it is going on, or finished.
        Raises `NoSuchRun`.
        """
        job, look = await self.newest(run_id)
        if look.state == "cancelled" or (look.answer is not None and Answer.load(look.answer).state != "finished"):
            text = await self._queue.parcel(job)
            if text is None:
                raise NoSuchRun(run_id)
            await self._queue.submit(_next(job), text, Parcel.load(text).queue)
        return self.handle(run_id, node)

    async def newest(self, run_id: str) -> tuple[str, Look]:
        """The last job of a run, and how it stands. Raises `NoSuchRun`."""
        job, look = run_id, await self._queue.look(run_id)
        if look.state == "unknown":
            raise NoSuchRun(run_id)
        while look.state in ("cancelled", "answered"):
            after = await self._queue.look(_next(job))
            if after.state == "unknown":
                break
            job, look = _next(job), after
        return job, look

    async def answer(self, run_id: str) -> Answer:
        """Wait for the answer of a run's last job. Raises `RunCancelled` or `NoSuchRun`."""
        job, look = await self.newest(run_id)
        wait = _FIRST_LOOK
        while look.state in ("waiting", "running"):
            await anyio.sleep(wait)
            wait = min(wait * 1.2, _LAST_LOOK)
            look = await self._queue.look(job)
        if look.answer is None:
            raise RunCancelled(RunId(run_id), look.why or "it was cancelled")
        return Answer.load(look.answer)

    async def cancel(self, run_id: str) -> None:
        """Stop a run; see `RunHandle.cancel`."""
        job, _ = await self.newest(run_id)
        await self._queue.cancel(job)

    async def execute(self, parcel: Parcel) -> Answer:
        """Have a step executed: what a swarm asks of its workers. A step that was executed before gives its recorded answer."""
        try:
            job, look = await self.newest(parcel.run)
            if look.state == "cancelled" or (look.answer is not None and Answer.load(look.answer).state != "finished"):
                await self._queue.submit(_next(job), parcel.dump(), parcel.queue)
        except NoSuchRun:
            await self._queue.submit(parcel.run, parcel.dump(), parcel.queue)
        try:
            return await self.answer(parcel.run)
        except anyio.get_cancelled_exc_class():
            with anyio.CancelScope(shield=True), anyio.move_on_after(_CANCELLING):
                await self.cancel(parcel.run)
            raise


def _next(job: str) -> str:
    """The job that goes on with a run after this one: `run`, `run#2`, `run#3`."""
    run, _, number = job.rpartition("#")
    return f"{run}#{int(number) + 1}" if run and number.isdecimal() else f"{job}#2"


def _on_postgres(url: str) -> Queue:
    from swarmlet.bridges.workers.on_dbos import DbosQueue

    return DbosQueue(url)


@final
@dataclass(frozen=True, slots=True)
class Result(Generic[T]):
    """What a run on a worker has given: `output`, and what it cost. Its trace is in the workers' journal, under `id`."""

    id: RunId
    output: T
    usage: Usage


@final
class RunHandle(Generic[T]):
    """A run on a worker. The process that has started it may end; `Workers.handle(id, node)` makes a handle anew."""

    def __init__(self, workers: Workers, run_id: RunId, node: AnyNode) -> None:
        self._workers = workers
        self._node = node
        self.id: RunId = run_id
        """The run's id, in the queue and in the journal."""

    async def result(self) -> Result[T]:
        """Wait for the result.

        Raises `RunFailed` with the step's path if the run failed, `BudgetExceeded` or `DeadlineExceeded` where it was that,
        `RunCancelled`, `Suspended` if it waits for a person, and `NoSuchRun`. Being cancelled here does not stop the run.
        """
        answer = await self._workers.answer(self.id)
        if answer.output is None:
            raise self._failure(answer)
        node = self._node
        output = read(f"the result of {node.name!r}", answer.output, node.signature.returns, node.encode_output)
        return Result(self.id, cast("T", output), answer.usage)

    def _failure(self, answer: Answer) -> Exception:
        trouble = answer.trouble
        if trouble is None:
            return Suspended(self._node.name, answer.questions)
        error: RunError = RunFailed(trouble.path, self.id, trouble.type, trouble.message, answer.usage)
        if trouble.budget is not None:
            error = BudgetExceeded(trouble.path, *trouble.budget)
        elif trouble.deadline is not None:
            error = DeadlineExceeded(trouble.path, *trouble.deadline)
        return error

    async def state(self) -> str:
        """`waiting` for a worker, `running`, `finished`, `failed`, `suspended` or `cancelled`. Raises `NoSuchRun`."""
        _, look = await self._workers.newest(self.id)
        return Answer.load(look.answer).state if look.answer is not None else look.state

    async def cancel(self) -> None:
        """Stop the run, wherever it is. Returns when the queue knows; its worker stops what runs within a second.

        What was done and paid stays in the journal. Does nothing to a run that has its answer.
        """
        await self._workers.cancel(self.id)

    @asynccontextmanager
    async def events(self) -> AsyncGenerator[AsyncGenerator[Told, None], None]:
        """What happens in the run, as it happens: `async with handle.events() as events: async for told in events: ...`.

        Events are told from when the block is entered until the run has its answer. Each is labelled with run, attempt and
        number. It is a side channel: what is missed is in the journal all the same. Raises `SwarmletError` if these workers
        have no Postgres to listen to.
        """
        if self._workers.news is None:
            raise SwarmletError("these workers tell nothing: Workers(queue, news='postgresql://...')")
        connection = await anyio.to_thread.run_sync(listen, self._workers.news, self.id)
        events = self._until_answered(connection)
        try:
            yield events
        finally:
            with anyio.CancelScope(shield=True):
                await events.aclose()
            connection.close()

    async def _until_answered(self, connection: psycopg.Connection) -> AsyncGenerator[Told, None]:
        while True:
            heard = await hear(connection)
            for one in heard:
                yield one
            if not heard and (await self._workers.newest(self.id))[1].state in ("answered", "cancelled"):
                return

"""`Swarm`: the runtime that runs share."""

from __future__ import annotations

import math
from collections.abc import AsyncGenerator, Generator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, AbstractContextManager, AsyncExitStack, asynccontextmanager, contextmanager
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Literal, ParamSpec, TypeVar, cast, final, overload

import anyio

from swarmlet.agents.sharing import Replies
from swarmlet.engine.cashier import Cashier, LedgerFactory
from swarmlet.engine.context import current_or_none
from swarmlet.engine.driver import stopper
from swarmlet.engine.people import Callback, Desk
from swarmlet.engine.recall import spent_on
from swarmlet.engine.restore import NOTHING
from swarmlet.errors import GraphChanged, GraphError, JournalError, RunStopped, Suspended, SwarmletError
from swarmlet.log import get_logger, somebody_listens
from swarmlet.models.hub import DEFAULT_MODEL, Models
from swarmlet.policy.account import Account
from swarmlet.policy.breaker import Breaker
from swarmlet.policy.budget import Budget
from swarmlet.policy.limits import Limits
from swarmlet.policy.resources import Kind
from swarmlet.swarm.ids import check_id, new_run_id
from swarmlet.swarm.logsink import LogSink
from swarmlet.swarm.past import (
    check_plan,
    check_resumable,
    check_same_call,
    edit,
    read_run,
    recorded_arguments,
    recorded_output,
)
from swarmlet.swarm.people import answer_later, inbox
from swarmlet.swarm.progress import showing, taken_out
from swarmlet.swarm.running import Running
from swarmlet.swarm.settings import check_listeners, check_settings, check_spending, open_resource
from swarmlet.swarm.stream import Stream, StreamSink
from swarmlet.trace.encode import to_any_json
from swarmlet.trace.events import RunId
from swarmlet.trace.journal import Journal, JournalWriter, Question
from swarmlet.trace.past import Past
from swarmlet.trace.record import Recorder
from swarmlet.trace.result import Run

if TYPE_CHECKING:
    from typing import Self

    from anyio.streams.memory import MemoryObjectReceiveStream, MemoryObjectSendStream

    from swarmlet.engine.answers import Dispatcher
    from swarmlet.graph.node import Node
    from swarmlet.graph.shape import AnyNode
    from swarmlet.models.base import ChatModel
    from swarmlet.models.cache import ReplyCache
    from swarmlet.models.pace import Stores
    from swarmlet.swarm.progress import Progress
    from swarmlet.trace.events import Event
    from swarmlet.trace.journal import Store
    from swarmlet.trace.read import Trace
    from swarmlet.trace.record import Listener, Sink

P = ParamSpec("P")
T = TypeVar("T")


@final
class Swarm:
    """What runs share: models, limits, a journal, resources. Open it with `async with`; runs are then started in it.

    `model` is used where no agent and no option names another: a name, or a model object such as `OpenAIModel(...)`. `models`
    are further ones that options can name. `limits` hold for all runs together; `limit_store` (`RedisLimits(...)` or
    `PostgresLimits(...)`, closed with the swarm) shares them with other processes. `budget` is what all runs together may
    spend; `ledger` makes the service that keeps the books of budgets, where that is not to be this process
    (`policy.ledger.BudgetService` says what it must do). `cache` keeps replies for nodes that say `with_options(cache=True)`.
    `breaker` stops calls for a while to an endpoint that is down. `journal` keeps every run: the path of a SQLite file, or a
    store such as `MemoryJournal()`; without it a run's trace lives in memory. `people` is called with each `Question` that a
    node or a tool puts to people, and gives the answer; see `ask`. `resources` are what `current().get(type)` gives inside a
    step: by type, either a value or a function that opens one as an async context manager, closed in reverse order at the
    end. `workers` execute the steps of nodes that name a `queue=`; see `swarmlet.bridges.workers`. `listeners` are told what
    every run records, as it happens: an `OtelTracer()` of `swarmlet.bridges.otel`, say. `capture=False` keeps prompts, inputs,
    outputs and error texts out of every trace.

    Clients are opened when a call first needs them, and closed with the swarm. Runs that are still going on in other tasks
    are stopped then.
    """

    def __init__(
        self,
        *,
        model: str | ChatModel = DEFAULT_MODEL,
        models: Sequence[ChatModel] = (),
        journal: str | Path | Store | None = None,
        limits: Limits | None = None,
        limit_store: Stores | None = None,
        budget: Budget | None = None,
        ledger: LedgerFactory | None = None,
        cache: ReplyCache | None = None,
        breaker: Breaker | None = None,
        people: Callback | None = None,
        resources: Mapping[Kind, object] | None = None,
        workers: Dispatcher | None = None,
        listeners: Sequence[Listener] = (),
        capture: bool = True,
    ) -> None:
        check_settings(model, models, limits, limit_store)
        check_spending(budget, cache, breaker)
        if people is not None and not callable(people):
            raise GraphError(f"Swarm(people=) is an async function of a Question, such as people.terminal, not {people!r}")
        self._model = model
        self._given = tuple(models)
        self._journal_path = journal
        self._limits = limits or Limits()
        self._limit_store = limit_store
        self._cashier = Cashier(ledger)
        self._cache = cache
        self._breaker = breaker
        self._people = people
        self._account = Account("the swarm", budget) if budget is not None else None
        self._wanted = dict(resources or {})
        self._capture = capture
        self._workers = workers
        check_listeners(listeners)
        self._listeners: list[Listener] = list(listeners)
        self._stack: AsyncExitStack | None = None
        self._resources: dict[type, object] = {}
        self._journal: JournalWriter | None = None
        self._runs: dict[RunId, Running] = {}
        self._closed = ""
        """Why no new runs are taken, if none are: the swarm is being drained, or closed."""
        self._idle: anyio.Event | None = None

    async def __aenter__(self) -> Self:
        if self._stack is not None:
            raise SwarmletError("this swarm is open already; make one Swarm for each `async with`")
        self._closed = ""
        async with AsyncExitStack() as stack:
            await self._open(stack)
            self._stack = stack.pop_all()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._runs:
            self._refuse_inside("close")
        self._closed = "closed"
        await self._stop_runs()
        stack, self._stack = self._stack, None
        if stack is not None:
            await stack.__aexit__(kind, error, traceback)

    async def _stop_runs(self) -> None:
        """Cancel the runs that other tasks have started here, and wait until nothing of them is alive."""
        if self._runs:
            for running in self._runs.values():
                running.scope.cancel("the swarm is closed")
            with anyio.CancelScope(shield=True):
                await self._all_ended()

    async def drain(self, timeout: float | None = None) -> None:  # noqa: ASYNC109  # what it says is more than a cancel
        """Stop gracefully: running steps finish, no new ones start, and runs that are not done then end with `RunStopped`.

        Returns when all runs have ended. What was not started is in their traces (`trace.not_started()`), and with a journal
        nothing that was paid for is lost. Runs that have not ended after `timeout` seconds are cancelled. New runs end with
        `RunStopped` at once.
        What a running step starts itself, by `current().run` or as a tool, belongs to it and is started.
        """
        self._refuse_inside("drain")
        self._closed = "drained"
        for running in self._runs.values():
            running.state.drain()
        with anyio.move_on_after(timeout):
            await self._all_ended()
        await self._stop_runs()

    async def _all_ended(self) -> None:
        if self._runs:
            self._idle = self._idle or anyio.Event()
            await self._idle.wait()

    def _refuse_inside(self, doing: str) -> None:
        if (step := current_or_none()) is not None and step.run_id in self._runs:
            raise SwarmletError(f"step {step.path!r} cannot {doing} the swarm that it runs in")

    async def _open(self, stack: AsyncExitStack) -> None:
        if self._journal_path is not None:
            self._journal = await anyio.to_thread.run_sync(JournalWriter, self._journal_path)  # a server may take its time
            stack.callback(self._journal.close)
        models = Models(self._model, self._given, self._limits, self._limit_store, self._breaker)
        stack.push_async_callback(models.aclose)
        if self._cache is not None:
            await self._cache.ready()
            stack.push_async_callback(self._cache.aclose)
        self._resources = {Models: models, Replies: Replies(self._cache)}
        for kind, wanted in self._wanted.items():
            self._resources[kind] = await open_resource(stack, kind, wanted)

    @overload
    async def run(self, node: Node[P, T], /, *args: P.args, **kwargs: P.kwargs) -> Run[T]: ...

    @overload
    async def run(self, node: Node[..., T], /, *args: object, progress: bool, **kwargs: object) -> Run[T]: ...

    async def run(self, node: Node[P, T], /, *args: P.args, **kwargs: P.kwargs) -> Run[T]:
        """Run `node` and give its output, usage and trace. When this returns or raises, nothing of the run is alive.

        `progress=True` shows meanwhile what the run does: in a terminal, in a notebook, or as a line now and then on standard
        error. A node with a parameter of that name gets it itself. (Checkers do not check arguments beside it.)

        Raises `StepFailed` (with the step's path, its exception as the cause, and `.run`: what was done and paid until then),
        other `RunError`s, or an `ExceptionGroup` of them if several steps failed at once.
        """
        with self._showing(node, taken_out(cast("AnyNode", node), kwargs)) as shown:
            return await self._run(self._recorder(*shown), node, args, kwargs)

    @overload
    def stream(self, node: Node[P, T], /, *args: P.args, **kwargs: P.kwargs) -> AbstractAsyncContextManager[Stream[T]]: ...

    @overload
    def stream(
        self, node: Node[..., T], /, *args: object, progress: bool, **kwargs: object
    ) -> AbstractAsyncContextManager[Stream[T]]: ...

    def stream(self, node: Node[P, T], /, *args: P.args, **kwargs: P.kwargs) -> AbstractAsyncContextManager[Stream[T]]:
        """Run `node` and give its events as they happen, replies piece by piece; then `.output`. `progress` as in `run`.

        Leaving the block before the end cancels the run. Raises what `run` raises. Replies are streamed so that their pieces
        can be passed on; a reply that breaks off after its first piece is not asked for again, as words cannot be taken back.
        """
        return self._stream(node, args, kwargs)

    @asynccontextmanager
    async def _stream(
        self, node: Node[..., T], args: tuple[object, ...], kwargs: dict[str, object]
    ) -> AsyncGenerator[Stream[T], None]:
        send, receive = _event_stream()
        left: BaseException | None = None
        with send, receive, self._showing(node, taken_out(cast("AnyNode", node), kwargs)) as shown:
            recorder = self._recorder(StreamSink(send), *shown)
            recorder.wants_text = True
            desk = self._desk(recorder)
            desk.listening = True
            stream: Stream[T] = Stream(recorder, receive, desk)

            async def work() -> None:
                with send:
                    try:
                        stream.finish(await self._run(recorder, node, args, kwargs, desk=desk))
                    except Exception as error:  # noqa: BLE001  # raised to the reader of the stream, or below
                        stream.fail(error)

            try:
                async with anyio.create_task_group() as group:
                    group.start_soon(work)
                    try:
                        yield stream
                    except Exception as error:  # noqa: BLE001  # raised below: a task group would wrap it into a group
                        left = error
                    group.cancel_scope.cancel()
            except BaseExceptionGroup as error:
                left = stopper(error)
        failure = left or stream.take_failure()
        if failure is not None:
            raise failure

    def _check_open(self) -> None:
        if self._stack is None:
            raise SwarmletError("this swarm is not open: use `async with Swarm(...) as swarm:`")

    def _recorder(self, *sinks: Sink, run_id: RunId | None = None) -> Recorder:
        self._check_open()
        shared: list[Sink] = [LogSink()] if somebody_listens() else []
        if self._journal is not None:
            shared.append(self._journal)
        recorder = Recorder(run_id or new_run_id(), (*shared, *self._listeners, *sinks), self._capture)
        recorder.wants_text = any(listener.wants_text(recorder.run) for listener in self._listeners)
        return recorder

    @contextmanager
    def heard_by(self, listener: Listener) -> Generator[None, None, None]:
        """Tell `listener` what runs record that begin within the block."""
        self._listeners.append(listener)
        try:
            yield
        finally:
            self._listeners.remove(listener)

    def _showing(self, node: Node[..., object], wanted: object) -> AbstractContextManager[Sequence[Progress]]:
        return showing(cast("AnyNode", node), wanted, self._account)

    @overload
    async def run_as(self, run_id: str, node: Node[P, T], /, *args: P.args, **kwargs: P.kwargs) -> Run[T]: ...

    @overload
    async def run_as(self, run_id: str, node: Node[..., T], /, *args: object, progress: bool, **kwargs: object) -> Run[T]: ...

    async def run_as(self, run_id: str, node: Node[P, T], /, *args: P.args, **kwargs: P.kwargs) -> Run[T]:
        """Run `node` under an id of the caller's own: once. If the journal has that run, go on with it, or give its result.

        So a request that comes twice is worked on once, and a process that was killed does again what it did, with the same
        arguments, and pays for no finished call again. Needs a journal. `progress` as in `run`. Raises what `run` and `resume`
        raise.
        """
        check_resumable("run_as", run_id, node)
        check_id(run_id)
        with self._showing(node, taken_out(cast("AnyNode", node), kwargs)) as shown:
            async with self._claimed(RunId(run_id)):
                trace = await self._recorded(run_id)
                if trace is not None:
                    check_same_call(trace, cast("AnyNode", node), args, kwargs)
                    return await self._resume(trace, node, "refuse", shown)
                return await self._run(self._recorder(*shown, run_id=RunId(run_id)), node, args, kwargs)

    async def resume(
        self,
        run_id: str,
        node: Node[..., T],
        /,
        *,
        changed: Literal["refuse", "match"] = "refuse",
        progress: bool = False,
    ) -> Run[T]:
        """Go on with a run of the journal that was killed, failed, was cancelled or drained, or waits for an answer.

        `node` is the node that ran. Steps that have finished are not executed again, and model calls that have finished, also
        within an agent that had not, are not paid for again. The steps over which the run failed are tried again. Budgets go
        on from what was spent, time limits begin anew, and a finished run just gives its result. `run_id` may be the beginning
        of an id, or `last`. `progress` as in `run`; it counts on from the record.

        Raises `GraphChanged` if the node is not what it was, unless `changed="match"`: then the steps are reused whose paths,
        nodes and inputs are the same. Raises `NotResumable` if the record lacks what it takes, `JournalError` if there is no
        such run, `RunTaken` if another process goes on with it, and whatever `run` raises.
        """
        check_resumable("resume", run_id, node, changed)
        found = await self._found(run_id)
        with self._showing(node, progress) as shown:
            async with self._claimed(found):
                trace = await self._recorded(found)
                if trace is None:
                    raise JournalError(f"there is no run {run_id!r} in the journal")
                return await self._resume(trace, node, changed, shown)

    async def fork(
        self,
        run_id: str,
        node: Node[..., T],
        /,
        *,
        inputs: Mapping[str, object] | None = None,
        outputs: Mapping[str, object] | None = None,
        again: Sequence[str] = (),
        progress: bool = False,
    ) -> Run[T]:
        """Start a new run from an old one, and reuse what it did as far as that still holds.

        `inputs` replaces arguments of the run by name. `outputs` puts values in the place of what steps gave, by path. `again`
        are paths of steps that are executed anew, with all below them: with a node that has another model or other
        instructions, say. Every step whose inputs are what they were is reused, everything else is executed; what was reused
        costs nothing, and the trace says so. The old run stays as it is. `progress` as in `run`.

        Raises `SwarmletError` for a path or a name that the run does not have, and what `resume` and `run` raise.
        """
        check_resumable("fork", run_id, node)
        trace = await self._recorded(await self._found(run_id))
        if trace is None:
            raise JournalError(f"there is no run {run_id!r} in the journal")
        if trace.started.name != node.name:
            raise GraphChanged(trace.run_id, [f"the node: it was {trace.started.name!r}, and is now {node.name!r}"])
        past = Past(trace.events)
        edit(past, again, {path: to_any_json(value) for path, value in (outputs or {}).items()})
        args, kwargs = recorded_arguments(trace, cast("AnyNode", node), inputs)
        with self._showing(node, progress) as shown:
            recorder = self._recorder(*shown)
            recorder.earlier = trace.content
            return await self._run(recorder, node, args, kwargs, past, trace.run_id)

    async def answer(self, run_id: str, path: str, value: object, *, by: str = "") -> None:
        """Answer the question that a run has asked at `path`; returns when the answer is recorded.

        A run that goes on here uses it at once. Of any other run the journal keeps it for `resume`, which this does not do.
        `value` is of the type that is asked for, or what JSON has in its place; it is checked at once if this process has
        imported the node that asks, else when the run is resumed. `by` says who answers.

        Raises `JournalError` if there is no such run, `RunTaken` if another process goes on with it, and `SwarmletError` if no
        such question is open, or if the answer does not fit.
        """
        self._check_open()
        running = self._runs.get(RunId(run_id))
        if running is not None and await running.answer(path, value, by):
            return
        if self._journal is None:
            raise SwarmletError(f"no run {run_id!r} goes on in this swarm, and it has no journal where one could wait")
        trace = await self._recorded(await self._found(run_id))
        if trace is None:
            raise JournalError(f"there is no run {run_id!r} in the journal")
        recorder = self._recorder(run_id=trace.run_id)
        await answer_later(self._journal, recorder, trace, path, value, by)

    async def inbox(self) -> list[Question]:
        """What people are asked and have not answered: of all runs of the journal, or without one of those that go on here."""
        self._check_open()
        if self._journal is None:
            return [question for running in self._runs.values() for question in running.desk.questions]
        await self._journal.flush()
        return await anyio.to_thread.run_sync(inbox, Journal(self._journal.store))

    def _desk(self, recorder: Recorder) -> Desk:
        """Where the questions of a run lie. Without capture its record has no answers, so it cannot wait for them."""
        keeps = self._journal is not None and recorder.capture
        return Desk(recorder, self._people, self._flush if keeps else None)

    async def _resume(self, trace: Trace, node: Node[..., T], changed: str, shown: Sequence[Progress]) -> Run[T]:
        plain = cast("AnyNode", node)
        if changed != "match":
            check_plan(trace, plain)
        if (output := recorded_output(trace, plain)) is not NOTHING:
            return Run(trace, cast("T", output))
        args, kwargs = recorded_arguments(trace, plain)
        recorder = self._recorder(*shown, run_id=trace.run_id)
        recorder.log += trace.events
        for one in shown:
            one.goes_on(trace.run_id, trace.events)
        recorder.earlier = trace.content
        return await self._run(recorder, node, args, kwargs, Past(trace.events))

    async def _found(self, run_id: str) -> RunId:
        """The id that `run_id` means: itself, what begins with it, or the newest."""
        journal = self._opened_journal()
        await journal.flush()
        return (await anyio.to_thread.run_sync(Journal(journal.store).find, run_id)).id

    @asynccontextmanager
    async def _claimed(self, run: RunId) -> AsyncGenerator[None, None]:
        """Have a run for this process alone. Raises `RunTaken` if it goes on in another one."""
        journal = self._opened_journal()
        await journal.claim(run)
        try:
            yield
        finally:
            journal.release(run)

    async def _recorded(self, run_id: str) -> Trace | None:
        """What the journal has of a run; `None` if there is no such one."""
        journal = self._opened_journal()
        await journal.flush()
        return await anyio.to_thread.run_sync(read_run, journal.store, run_id)

    def _opened_journal(self) -> JournalWriter:
        self._check_open()
        if self._journal is None:
            raise SwarmletError("this swarm has no journal, so no run can be resumed: Swarm(journal=PATH)")
        if self._journal.error is not None:
            raise JournalError(f"nothing can be promised without a journal, and this one is broken: {self._journal.error}")
        return self._journal

    async def _run(
        self,
        recorder: Recorder,
        node: Node[P, T],
        args: tuple[object, ...],
        kwargs: Mapping[str, object],
        past: Past | None = None,
        source: RunId | None = None,
        desk: Desk | None = None,
    ) -> Run[T]:
        if self._closed:
            raise RunStopped(node.name, self._closed)
        running = Running(
            node=cast("AnyNode", node),
            args=args,
            kwargs=kwargs,
            recorder=recorder,
            resources=self._resources,
            flush=self._flush,
            is_taken=self._is_taken,
            cashier=self._cashier,
            account=self._account_of(recorder.run, past if source is None else None),
            desk=desk or self._desk(recorder),
            past=past,
            source=source,
            dispatcher=self._workers,
            journaled=self._journal is not None and recorder.capture,
        )
        with running.scope:
            self._runs[recorder.run] = running
            try:
                output = await running.execute()
            except Suspended as suspended:
                if self.journal_error is not None:  # the question is nowhere, so nobody could ever answer it
                    raise self.journal_error from suspended
                raise
            finally:
                del self._runs[recorder.run]
                running.ended.set()
                if self._idle is not None and not self._runs:
                    self._idle.set()
                    self._idle = None
            if not running.taken:
                return Run(running.trace, cast("T", output))
        raise running.stopped(self._closed)

    def _account_of(self, run: RunId, past: Past | None) -> Account | None:
        """The account of a run under the swarm's budget, which what an earlier process has spent on it counts against, too."""
        if self._account is None:
            return None
        if past is None:
            return Account(run, parent=self._account)
        spent = spent_on(past)
        self._account.carry(spent)
        return Account(run, parent=self._account, spent=spent)

    @property
    def journal_error(self) -> JournalError | None:
        """Why the journal could not be written, if it could not. Runs do not fail for that; their traces are whole."""
        return self._journal.error if self._journal is not None else None

    def _is_taken(self, run: RunId) -> bool:
        return self._journal is not None and self._journal.taken(run)

    async def _flush(self) -> None:
        """Wait until the journal has what was recorded; a journal that cannot be written does not cost the run its result."""
        if self._journal is None:
            return
        await self._journal.flush()
        if self.journal_error is not None:
            get_logger().error("the journal could not be written", error=str(self.journal_error))


def _event_stream() -> tuple[MemoryObjectSendStream[Event], MemoryObjectReceiveStream[Event]]:
    return anyio.create_memory_object_stream(math.inf)


@overload
async def run(node: Node[P, T], /, *args: P.args, **kwargs: P.kwargs) -> Run[T]: ...


@overload
async def run(node: Node[..., T], /, *args: object, progress: bool, **kwargs: object) -> Run[T]: ...


async def run(node: Node[P, T], /, *args: P.args, **kwargs: P.kwargs) -> Run[T]:
    """One run on a swarm of its own with default settings. Several runs that should share a client want a `Swarm`.

    `progress=True` shows meanwhile what the run does, as in `Swarm.run`.
    """
    async with Swarm() as swarm:
        return await swarm.run(node, *args, **kwargs)


@overload
def run_sync(node: Node[P, T], /, *args: P.args, **kwargs: P.kwargs) -> Run[T]: ...


@overload
def run_sync(node: Node[..., T], /, *args: object, progress: bool, **kwargs: object) -> Run[T]: ...


def run_sync(node: Node[P, T], /, *args: P.args, **kwargs: P.kwargs) -> Run[T]:
    """`run` for code that is not async: starts an event loop for this one run."""

    async def main() -> Run[T]:
        return await run(node, *args, **kwargs)

    try:
        return anyio.run(main)
    except RuntimeError as error:
        if not str(error).startswith("Already running"):
            raise
        where = "`await run(...)`, or inside a step `await current().run(...)`"
        raise SwarmletError(f"run_sync() cannot be called where an event loop is running: use {where}") from None

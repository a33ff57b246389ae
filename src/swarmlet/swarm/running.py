"""One run from its first event to its last."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from dataclasses import dataclass, field
from functools import cache, lru_cache, partial
from typing import TYPE_CHECKING, TypeVar, cast

import anyio
import anyio.lowlevel

from swarmlet.engine.driver import execute, sheltered
from swarmlet.engine.keep import keep_arguments, keep_result
from swarmlet.engine.local import LocalRunner
from swarmlet.engine.people import open_questions
from swarmlet.engine.recall import Recall
from swarmlet.engine.run_state import RunState
from swarmlet.engine.step import Drained, Waiting, flat, named_arguments, paths_of
from swarmlet.errors import NotResumable, RunError, RunStopped, RunTaken, Suspended
from swarmlet.graph.fingerprint import dump, fingerprint
from swarmlet.graph.node import check_call, without_resources
from swarmlet.log import get_logger
from swarmlet.policy.options import Scope
from swarmlet.swarm.past import mark_lost, recorded_arguments
from swarmlet.trace.events import Noted, RunEnded, RunResumed, RunStarted
from swarmlet.trace.past import Past
from swarmlet.trace.read import Trace
from swarmlet.trace.record import digest_of
from swarmlet.trace.result import PartialRun

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from swarmlet.engine.answers import Dispatcher
    from swarmlet.engine.cashier import Cashier
    from swarmlet.engine.people import Desk
    from swarmlet.graph.shape import AnyNode
    from swarmlet.policy.account import Account
    from swarmlet.trace.events import Digest, RunId
    from swarmlet.trace.record import Recorder

T = TypeVar("T")
LAST_FLUSH = 5
"""Seconds that a cancelled run may take to write the rest of its record."""


@cache
def _version() -> str:
    from importlib.metadata import PackageNotFoundError, version  # takes milliseconds to import

    try:
        return version("swarmlet")
    except PackageNotFoundError:  # bundled into an application without its metadata
        return "unknown"


@lru_cache(maxsize=64)
def _plan_of(node: Hashable) -> tuple[Digest, bytes]:
    """The node as it is, as JSON, with its digest: the same in each of its runs, as nodes never change."""
    content = dump(fingerprint(cast("AnyNode", node)))
    return digest_of(content), content


@dataclass(slots=True)
class Running:
    """A run to be executed: the node, its arguments, and where its record goes."""

    node: AnyNode
    args: tuple[object, ...]
    kwargs: Mapping[str, object]
    recorder: Recorder
    resources: Mapping[type, object]
    flush: Callable[[], Awaitable[None]]
    cashier: Cashier
    account: Account | None
    desk: Desk
    """Where its questions to people lie."""
    past: Past | None = None
    """What is known of the run, or of the one that it is forked from, if it does not begin from nothing."""
    source: RunId | None = None
    """The run that this one is forked from."""
    journaled: bool = False
    """Whether what it records is kept, so that it may halt and be resumed."""
    is_taken: Callable[[RunId], bool] = field(default=lambda _: False)
    """Whether another process has taken the run, because it took this one for dead."""
    taken: bool = False
    """Whether that was noticed: this process leaves the run."""
    dispatcher: Dispatcher | None = None
    """Who executes the steps of nodes that name a queue."""
    scope: anyio.CancelScope = field(default_factory=anyio.CancelScope)
    """Around all of the run."""
    ended: anyio.Event = field(default_factory=anyio.Event)
    """Set when the run has ended and all of its record is written."""
    halted: bool = False
    """Whether it comes to a halt, so that an answer comes too late for this process."""
    state: RunState = field(init=False)

    def __post_init__(self) -> None:
        runner = LocalRunner()
        self.state = RunState(self.recorder, runner, execute, self.resources, cashier=self.cashier)
        self.state.desk = self.desk
        self.state.dispatcher = self.dispatcher
        node = cast("Hashable", without_resources(self.node))
        self.recorder.plan = lambda: _plan_of(node)[1]  # not of `self`: a record must not hold what a run was given
        if self.journaled:
            self.recorder.resumable = True
            self.state.flush = self._durable
        runner.attach(self.state)
        if self.past is not None:
            self.state.recall = Recall(self.past, self.recorder, self.source)
            for started in self.past.tools_with_effects():
                self.state.acts(started.path, started.tool)

    async def execute(self) -> object:
        """The node's result. However it ends, the record is complete and written before this returns or raises."""
        check_call("run", self.node, self.args, self.kwargs)
        recorder = self.recorder
        self._begin()
        try:
            output = await self._execute()
        except Exception as error:
            failed = tuple(dict.fromkeys([*paths_of([error]), *self.state.unseen]))
            recorder.emit(RunEnded(at=recorder.now(), state="failed", error=recorder.fault(error), failed=failed))
            await self._written()
            self._attach(error)
            raise
        except Drained:
            recorder.emit(RunEnded(at=recorder.now(), state="drained"))
            await self._written()
            raise self.stopped("drained") from None
        except Waiting:
            recorder.emit(RunEnded(at=recorder.now(), state="suspended"))
            await self._written()
            raise self._suspended() from None
        except BaseException:
            recorder.emit(RunEnded(at=recorder.now(), state="cancelled"))
            with anyio.CancelScope(shield=True), anyio.move_on_after(LAST_FLUSH):
                await self.flush()
            raise
        self._note_unused_edits()
        digest, note, problems = keep_result(recorder, output, self.node)
        for problem in problems:
            recorder.emit(Noted(at=recorder.now(), path=self.node.name, message=problem))
        recorder.emit(RunEnded(at=recorder.now(), state="finished", output=digest, type=note))
        await self._written()
        return output

    def _note_unused_edits(self) -> None:
        """A fork in which no step took a value that was put in its place: something was meant that did not happen."""
        recorder = self.recorder
        for path in self.past.unused_edits() if self.past is not None and self.source is not None else ():
            message = "a value was put in the place of its output, and the fork has not come to this step"
            recorder.emit(Noted(at=recorder.now(), path=path, message=message))
            get_logger().warning(message, run=recorder.run, path=path)

    @property
    def trace(self) -> Trace:
        """The record, for reading."""
        return Trace(self.recorder.extent, self.recorder.content)

    def _begin(self) -> None:
        recorder, node = self.recorder, self.node
        plan = recorder.keep_known(*_plan_of(cast("Hashable", without_resources(node)))) if self.journaled else None
        if self.past is not None and self.source is None:
            mark_lost(recorder, self.past)
            number = self.past.resumed + 1
            recorder.emit(RunResumed(at=recorder.now(), number=number, version=_version(), plan=plan))
            return
        named = named_arguments(node.signature, self.args, self.kwargs)
        inputs, types, problems = keep_arguments(recorder, named, node)
        recorder.emit(
            RunStarted(
                at=recorder.now(),
                run=recorder.run,
                name=node.name,
                node=node.origin,
                inputs=inputs,
                types=types,
                version=_version(),
                plan=plan,
                forked_from=self.source,
            )
        )
        for problem in problems:
            recorder.emit(Noted(at=recorder.now(), path=node.name, message=problem))
        if self.state.recall is not None:
            self.state.recall.begin()

    async def _execute(self) -> object:
        scope = Scope(account=self.account)
        try:
            while True:
                try:
                    return await sheltered(
                        partial(execute, self.node, self.args, self.kwargs, self.node.name, scope, self.state)
                    )
                except Waiting:
                    if not self._goes_on():
                        raise
        finally:
            self.state.over = self.halted = True

    def _goes_on(self) -> bool:
        """Whether a question was answered after its step was left; then the run goes on from its record, as by a resume."""
        if not self.desk.late or self.source is not None:
            return False
        self.desk.late = False
        try:
            self.args, self.kwargs = recorded_arguments(self.trace, self.node)
        except NotResumable:
            return False
        self.past = Past(self.recorder.events)
        self.state.recall = Recall(self.past, self.recorder)
        return True

    async def answer(self, path: str, value: object, by: str) -> bool:
        """Answer a question of this run. `False` if it has come to a halt meanwhile: then it has ended when this returns."""
        if self.halted:
            await self.ended.wait()
            return False
        await self.desk.answer(path, value, by)
        return True

    async def _durable(self) -> None:
        """Wait until all of the record is on the disk; leave the run if another process goes on with it."""
        await self.flush()
        if self.is_taken(self.recorder.run):
            self.taken = True
            self.scope.cancel("another process goes on with the run")
            await anyio.lowlevel.checkpoint()

    async def _written(self) -> None:
        """Wait until the end of the record is on the disk. Raises `RunTaken` if it is not there, as the run is another's."""
        await self.flush()
        if self.is_taken(self.recorder.run):
            self.taken = True
            raise self.stopped("taken") from None

    def stopped(self, why: str) -> RunStopped | RunTaken:
        """The error of a run that its swarm has stopped, or that another process has taken."""
        if self.taken:
            return RunTaken(f"run {self.recorder.run!r} goes on in another process, which took this one for dead")
        error = RunStopped(self.node.name, why)
        error.run = PartialRun(self.trace)
        return error

    def _suspended(self) -> Suspended:
        error = Suspended(self.node.name, list(open_questions(self.recorder.events)))
        error.run = PartialRun(self.trace)
        return error

    def _attach(self, error: Exception) -> None:
        """Hand what was done and paid to the error that leaves."""
        partial = PartialRun(self.trace)
        for one in (error, *flat(error)):
            if isinstance(one, RunError):
                one.run = partial

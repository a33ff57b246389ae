"""The events of a run while it goes on."""

from __future__ import annotations

from typing import TYPE_CHECKING, Generic, TypeVar, final

import anyio

from swarmlet.errors import SwarmletError
from swarmlet.trace.read import Trace

if TYPE_CHECKING:
    from anyio.streams.memory import MemoryObjectReceiveStream, MemoryObjectSendStream

    from swarmlet.engine.people import Desk
    from swarmlet.trace.events import Digest, Event, RunId
    from swarmlet.trace.journal import Question
    from swarmlet.trace.record import Recorder
    from swarmlet.trace.result import Run
    from swarmlet.usage import Usage

T = TypeVar("T")


@final
class Stream(Generic[T]):
    """A run that is going on: iterate over it for its events, in order, as they happen; then read `output`.

    Iterating raises what the run raises, after its last event. Whoever reads it is taken to answer what is asked: the run waits
    for `answer`, or until `suspend` says that nobody will.
    """

    def __init__(self, recorder: Recorder, events: MemoryObjectReceiveStream[Event], desk: Desk) -> None:
        self._recorder = recorder
        self._events = events
        self._desk = desk
        self._result: Run[T] | None = None
        self._failure: Exception | None = None
        self._failed = False

    def __aiter__(self) -> Stream[T]:
        return self

    async def __anext__(self) -> Event:
        try:
            return await self._events.receive()
        except anyio.EndOfStream:
            failure, self._failure = self._failure, None
            if failure is not None:
                raise failure from failure.__cause__
            raise StopAsyncIteration from None

    @property
    def id(self) -> RunId:
        """The run's id."""
        return self._recorder.run

    @property
    def trace(self) -> Trace:
        """What is recorded until now: also while the run goes on, and after it has failed or was cancelled."""
        return Trace(self._recorder.extent, self._recorder.content)

    @property
    def usage(self) -> Usage:
        """What the run has cost until now."""
        return self.trace.usage

    @property
    def result(self) -> Run[T]:
        """The finished run. Raises `SwarmletError` while it is not finished."""
        if self._result is None:
            why = "it failed" if self._failed else "iterate over the stream to its end first"
            raise SwarmletError(f"run {self.id} has no output: {why}")
        return self._result

    @property
    def output(self) -> T:
        """The run's result. Raises `SwarmletError` while it is not finished."""
        return self.result.output

    @property
    def questions(self) -> list[Question]:
        """What people are asked now. An `asked` event says that there is a new one."""
        return self._desk.questions

    async def answer(self, path: str, value: object, by: str = "") -> None:
        """Answer the question that was asked at `path`, from any task; returns when the answer is recorded.

        `value` is of the type that is asked for, or what JSON has in its place. `by` says who answers. Raises `SwarmletError`
        if no such question is open, or if the answer does not fit; the question stays open then.
        """
        await self._desk.answer(path, value, by)

    def suspend(self) -> None:
        """Nobody here will answer. What waits for an answer is left, and the run ends with `Suspended` when all else is done;
        without a journal the questions fail with `Unanswered`."""
        self._desk.close()

    def finish(self, result: Run[T]) -> None:
        """The run has finished. Called by the swarm."""
        self._result = result

    def fail(self, error: Exception) -> None:
        """The run has failed. Called by the swarm."""
        self._failure, self._failed = error, True

    def take_failure(self) -> Exception | None:
        """The failure, if iterating has not raised it. Called by the swarm."""
        failure, self._failure = self._failure, None
        return failure


@final
class StreamSink:
    """Puts events into a stream that somebody reads. The buffer is unbounded, as the trace holds the events anyway."""

    def __init__(self, send: MemoryObjectSendStream[Event]) -> None:
        self._send = send

    def event(self, run: RunId, event: Event) -> None:
        """Pass one event on, unless the reader has left."""
        try:
            self._send.send_nowait(event)
        except (anyio.BrokenResourceError, anyio.ClosedResourceError):
            return

    def value(self, digest: Digest, content: bytes) -> None:
        """Values are read from the trace."""

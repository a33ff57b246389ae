"""Questions to people: how a step asks one, who may answer it, and what becomes of the run where nobody is there.

A question has a place in the run, its path, and the type of its answers. It is put into the record once and stays open there
until somebody answers, in this process or in another one; an answer is in the record before it is used. Who asks, a node or a
tool, is not known here.
"""

from __future__ import annotations

import inspect
import json
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Final, Generic, Literal, TypeAlias, TypeVar, cast, final

import anyio
from pydantic import TypeAdapter, ValidationError
from pydantic.errors import PydanticUserError
from pydantic_core import SchemaError

from swarmlet.engine.driver import stopper
from swarmlet.engine.step import Drained, Waiting
from swarmlet.errors import GraphError, SwarmletError, Unanswered
from swarmlet.trace.encode import encoder, text_of, to_any_json
from swarmlet.trace.events import Answered, Asked, Noted, StepEnded, StepStarted
from swarmlet.trace.past import paths_above
from swarmlet.trace.record import digest_of

if TYPE_CHECKING:
    from pydantic import JsonValue
    from typing_extensions import TypeForm

    from swarmlet.engine.context import Current
    from swarmlet.engine.recall import Recall
    from swarmlet.trace.events import Digest, Event
    from swarmlet.trace.journal import Question
    from swarmlet.trace.record import Recorder

T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)
About: TypeAlias = Literal["answer", "approval", "lost"]
Callback: TypeAlias = "Callable[[Question], object]"
"""Answers a question. An async function; a sync one must answer without waiting."""
AGAIN: Final = 3
"""How often a callback is asked again whose answer does not fit."""
_GONE: Final = frozenset({"finished", "failed", "cancelled"})


@final
class Later:
    """What a callback returns if nobody can answer now: as if there were no callback. It may have told somebody of it."""

    def __repr__(self) -> str:
        return "LATER"


LATER: Final = Later()


class Misfit(SwarmletError):
    """An answer that does not fit its question."""


@final
class Answers(Generic[T_co]):
    """The answers that a question takes: all values of a type that JSON can say. Raises `GraphError` for other types."""

    def __init__(self, type_: TypeForm[T_co]) -> None:
        try:
            self._adapter: TypeAdapter[T_co] = TypeAdapter(type_)
            self.schema: Mapping[str, JsonValue] = self._adapter.json_schema()
        except (PydanticUserError, SchemaError) as error:
            reason = str(error).partition("\n")[0]
            raise GraphError(f"people cannot be asked for a {getattr(type_, '__name__', type_)}: {reason}") from error
        self.written: bytes = to_any_json(self.schema)
        self.digest: Digest = digest_of(self.written)
        self._encode = encoder(type_)

    def read(self, content: bytes) -> T_co:
        """The answer that was written as `content`. Raises `Misfit`."""
        try:
            return self._adapter.validate_json(content)
        except Exception as error:  # the type's own code takes part in reading it
            raise Misfit(f"the answer does not fit: {_complaint(error)}") from error

    def write(self, value: object) -> bytes:
        """An answer as JSON: a value of the type, or what JSON has in its place. Raises `Misfit`."""
        try:
            answer = self._adapter.validate_python(value)
        except Exception:  # noqa: BLE001  # as above: the reasons come with the second try, which takes what JSON has
            return self._encode(self.read(to_any_json(value)))
        return self._encode(answer)


def _complaint(error: Exception) -> str:
    if not isinstance(error, ValidationError):
        return ": ".join(filter(None, (type(error).__name__, text_of(error))))
    places = error.errors(include_url=False, include_context=False, include_input=False)[:5]
    return "; ".join(": ".join(filter(None, (".".join(map(str, one["loc"])), one["msg"]))) for one in places)


@dataclass(frozen=True, slots=True, kw_only=True)
class Form(Generic[T_co]):
    """A question as its asker has it."""

    text: str
    answers: Answers[T_co]
    about: About = "answer"
    tool: str = ""
    arguments: JsonValue = None
    """The tool's arguments."""
    timeout: float | None = None
    """Seconds after which nobody waits for an answer any more."""
    default: bytes | None = None
    """What is the answer then, as JSON; without it there is none."""
    check: Callable[[Any], None] | None = None  # Any: a value of T, which is covariant here
    """Raises `Misfit` for an answer that is of the type, and yet does not fit."""

    def accept(self, value: object) -> tuple[T_co, bytes]:
        """An answer as it is used, and as it is recorded. Raises `Misfit`."""
        content = self.answers.write(value)
        return self.read(content), content

    def read(self, content: bytes) -> T_co:
        """An answer out of the record. Raises `Misfit`."""
        answer = self.answers.read(content)
        if self.check is not None:
            self.check(answer)
        return answer


_known: dict[tuple[str, Digest], Answers[object]] = {}


def register(origin: str, answers: Answers[object]) -> None:
    """Have answers to a node be checked when they are given, in every process that has imported the node."""
    _known[origin, answers.digest] = answers


def registered(origin: str, digest: Digest | None) -> Answers[object] | None:
    """What is known here of the answers to a node that wants those of this schema, also if it ran in a script, `__main__`."""
    if digest is None or (origin, digest) in _known:
        return None if digest is None else _known[origin, digest]
    module, _, name = origin.partition(":")
    alike = (known for (other, one), known in _known.items() if one == digest and other.partition(":")[2] == name)
    return next(alike, None) if module == "__main__" else None


@dataclass(slots=True)
class _Slot:
    """A question that waits."""

    form: Form[object]
    question: Question
    done: anyio.Event = field(default_factory=anyio.Event)
    answer: tuple[object] | None = None
    error: Exception | None = None

    def settle(self, answer: object) -> None:
        self.answer = (answer,)
        self.done.set()

    def fail(self, error: Exception) -> None:
        if self.answer is None:
            self.error = error
            self.done.set()


@final
class Desk:
    """Where the open questions of one run lie. `flush` makes the record durable; without it the run cannot be suspended."""

    def __init__(
        self, recorder: Recorder, callback: Callback | None = None, flush: Callable[[], Awaitable[None]] | None = None
    ) -> None:
        self._recorder = recorder
        self._callback = callback
        self._flush = flush
        self._slots: dict[str, _Slot] = {}
        self._left: dict[str, _Slot] = {}
        """Questions whose steps are left unfinished."""
        self._closed = False
        self.listening: bool = False
        """Whether somebody reads the run's events, and answers what is asked in them."""
        self.late: bool = False
        """Whether a question was answered after its step was left, so that the run can go on."""

    @property
    def attended(self) -> bool:
        """Whether somebody is there who may answer."""
        return not self._closed and (self.listening or self._callback is not None)

    @property
    def suspends(self) -> bool:
        """Whether a question may be left to be answered later."""
        return self._flush is not None

    @property
    def questions(self) -> list[Question]:
        """The open questions."""
        return [slot.question for slot in (*self._slots.values(), *self._left.values()) if slot.answer is None]

    async def answer(self, path: str, value: object, by: str = "") -> None:
        """Answer the question that was asked at `path`. Raises `SwarmletError` if that is none that waits, and `Misfit`."""
        slot = self._slots.get(path) or self._left.get(path)
        if slot is None or slot.answer is not None:
            raise no_question(path, self._recorder.events)
        self._take(slot, value, by)
        self.late |= path in self._left
        await self.durable()

    def close(self) -> None:
        """Nobody is there any more: what waits for an answer stops to wait."""
        self._closed = True
        for slot in self._slots.values():
            slot.done.set()

    async def durable(self) -> None:
        """Return when what was recorded cannot be lost any more."""
        if self._flush is not None:
            await self._flush()

    def lay(self, path: str, slot: _Slot) -> None:
        """A question is asked."""
        self._left.pop(path, None)
        self._slots[path] = slot

    def clear(self, path: str, *, left: bool) -> None:
        """It is not waited for any more; if it is left, it may still be answered."""
        slot = self._slots.pop(path)
        if left:
            self._left[path] = slot

    async def attend(self, slot: _Slot) -> None:
        """Return when the question is settled, or nobody is there any more."""
        try:
            async with anyio.create_task_group() as group:
                if self._callback is not None:
                    group.start_soon(self._call, self._callback, slot)
                await slot.done.wait()
                group.cancel_scope.cancel("it is settled")
        except BaseExceptionGroup as error:
            raise stopper(error) from None

    async def _call(self, callback: Callback, slot: _Slot) -> None:
        question, misfit = slot.question, ""
        for _ in range(1 + AGAIN):
            try:
                value = callback(question)
                value = await value if inspect.isawaitable(value) else value
            except Exception as error:  # noqa: BLE001  # whatever a user's callback raises is the step's failure
                slot.fail(error)
                return
            if isinstance(value, Later):
                if not self.listening:
                    slot.done.set()
                return
            try:
                self._take(slot, value, "")
            except Misfit as error:
                misfit = str(error)
                question = replace(slot.question, text=f"{slot.question.text}\n({misfit})")
            else:
                return
        slot.fail(Unanswered(f"what people= answered to {slot.question.path!r} did not fit {1 + AGAIN} times; {misfit}"))

    def _take(self, slot: _Slot, value: object, by: str) -> None:
        if slot.answer is not None:  # somebody else was faster
            return
        answer, content = slot.form.accept(value)
        recorder, path = self._recorder, slot.question.path
        recorder.emit(Answered(at=recorder.now(), path=path, answer=recorder.keep_json(content), by=by))
        slot.settle(answer)


async def put(step: Current, form: Form[T], *, fresh: bool = False) -> T:
    """The answer to a question that is asked at `step`. `fresh`: what the record has of such a question is about another one.

    Raises `Unanswered`; and `Waiting` if nobody is there and the run may be left.
    """
    state, recorder = step.state, step.state.recorder
    desk = state.desk if isinstance(state.desk, Desk) else Desk(recorder)
    asked = _event(recorder, step.path, form)
    is_open = False
    if not fresh and state.recall is not None and _same(state.recall.past.asked(step.path), asked):
        earlier = _Earlier(state.recall, recorder, asked)
        if (known := earlier.answer(form)) is not None:
            return known[0]
        asked, is_open = earlier.asked, earlier.is_open
    if not is_open:
        recorder.emit(asked)
    elif asked.until is not None and asked.until <= recorder.now():
        return await _timed_out(desk, recorder, asked, form)
    slot = _Slot(form, _question(recorder, asked, form))
    desk.lay(step.path, slot)
    left = False
    try:
        await desk.durable()
        late, drained = await _wait(step, desk, slot, asked.until)
        if slot.answer is not None:
            await desk.durable()
            return cast("T", slot.answer[0])
        if slot.error is not None:
            raise slot.error
        if drained:
            raise Drained
        if late:
            return await _timed_out(desk, recorder, asked, form)
        left = desk.suspends
        raise Waiting if left else Unanswered(_nobody(step.path, recorder))
    finally:
        desk.clear(step.path, left=left)


async def _wait(step: Current, desk: Desk, slot: _Slot, until: float | None) -> tuple[bool, bool]:
    """Wait for an answer, if anybody is there; others may have the step's place meanwhile.

    Tells whether it took too long, and whether the run is to end.
    """
    if not desk.attended:
        return False, False
    if step.lease is None:
        return await _attended(step, desk, slot, until)
    async with step.lease.lent():
        return await _attended(step, desk, slot, until)


async def _attended(step: Current, desk: Desk, slot: _Slot, until: float | None) -> tuple[bool, bool]:
    seconds = None if until is None else max(0.0, until - step.recorder.now())
    with (
        step.state.until_drained(heeded=True, harvests=step.scope.harvests) as drained,
        anyio.move_on_after(seconds) as limit,
    ):
        await desk.attend(slot)
    return limit.cancelled_caught, drained.cancelled_caught


async def _timed_out(desk: Desk, recorder: Recorder, asked: Asked, form: Form[T]) -> T:
    """The default instead of an answer. That there was none is recorded, too, so that nobody answers any more."""
    digest = None if form.default is None else recorder.keep_json(form.default)
    recorder.emit(Answered(at=recorder.now(), path=asked.path, answer=digest, by="timeout"))
    await desk.durable()
    if form.default is None:
        raise Unanswered(f"nobody has answered {asked.path!r} in its {form.timeout:g} s, and the question has no default=")
    return form.read(form.default)


class _Earlier:
    """What the record has of the same question, asked at the same place."""

    def __init__(self, recall: Recall, recorder: Recorder, asked: Asked) -> None:
        self._recall = recall
        self._recorder = recorder
        first, path = recall.past.asked(asked.path), asked.path
        unanswered = recall.past.unanswered(path) is not None
        answered = recall.past.answer(path)
        self._content = recall.text(answered.answer) if answered is not None else None
        self._answered = answered
        keeps = first is not None and (unanswered or self._content is not None)
        self.asked: Asked = replace(asked, until=first.until) if first is not None and keeps else asked
        self.is_open: bool = unanswered and not recall.elsewhere
        """Whether it stands in the record of this run, and nobody has answered."""

    def answer(self, form: Form[T]) -> tuple[T] | None:
        """What was answered, if that fits."""
        if self._content is None or self._answered is None:
            return None
        recorder = self._recorder
        try:
            answer = form.read(self._content)
        except Misfit as misfit:
            message = f"it is asked again: {misfit}" if recorder.capture else "it is asked again, as the answer does not fit"
            recorder.emit(Noted(at=recorder.now(), path=self.asked.path, message=message))
            return None
        if self._recall.elsewhere:  # a later resume finds it in the record of this run only
            recorder.emit(self.asked)
            digest = recorder.keep_json(self._content)
            recorder.emit(replace(self._answered, at=recorder.now(), answer=digest))
        return (answer,)


def _event(recorder: Recorder, path: str, form: Form[object]) -> Asked:
    at = recorder.now()
    return Asked(
        at=at,
        path=path,
        about=form.about,
        question=recorder.keep(form.text, to_any_json),
        answers=recorder.keep_json(form.answers.written),
        tool=form.tool,
        arguments=recorder.keep(form.arguments, to_any_json) if form.tool else None,
        until=None if form.timeout is None else at + form.timeout,
    )


def _same(earlier: Asked | None, asked: Asked) -> bool:
    """Whether it is the same question, whenever it was asked."""
    return earlier is not None and replace(earlier, at=asked.at, until=asked.until) == asked


def _question(recorder: Recorder, asked: Asked, form: Form[object]) -> Question:
    from swarmlet.trace.journal import Question  # with SQLite: not before the first question

    started = recorder.events[0] if recorder.events else None
    return Question(
        run=recorder.run,
        name=getattr(started, "name", ""),
        path=asked.path,
        about=form.about,
        text=form.text,
        answers=dict(form.answers.schema),
        tool=form.tool,
        arguments=form.arguments,
        since=asked.at,
        until=asked.until,
    )


def _nobody(path: str, recorder: Recorder) -> str:
    kept = "a journal, in which the run waits for an answer, Swarm(journal=...)"
    if not recorder.capture:
        kept = "a journal and capture=True, as without capture no answer could be kept for the run"
    return (
        f"nobody is there who could answer {path!r}. Give the swarm a callback, Swarm(people=...), or read the run as a stream "
        f"and answer there, stream.answer(path, value); or give it {kept}"
    )


def open_questions(events: Iterable[Event]) -> dict[str, Asked]:
    """The questions of a run that nobody has answered, by path, without those that nobody waits for any more."""
    asked: dict[str, Asked] = {}
    gone: set[str] = set()
    for event in events:
        match event:
            case Asked():
                asked[event.path] = event
            case Answered():
                asked.pop(event.path, None)
            case StepStarted():
                gone.discard(event.path)
            case StepEnded():
                (gone.add if event.state in _GONE else gone.discard)(event.path)
            case _:
                pass
    return {path: event for path, event in asked.items() if not gone.intersection((path, *paths_above(path)))}


def no_question(path: str, events: Iterable[Event]) -> SwarmletError:
    """Why nothing at `path` can be answered."""
    told = list(events)
    if any(isinstance(event, Answered) and event.path == path for event in told):
        return SwarmletError(f"the question of {path!r} is answered already")
    there_are = ", ".join(map(repr, open_questions(told))) or "none"
    return SwarmletError(f"no question of {path!r} is open; the open ones are: {there_are}")


def arguments_of(text: str) -> JsonValue:
    """A tool's arguments as a question shows them."""
    try:
        return cast("JsonValue", json.loads(text or "{}"))
    except (ValueError, RecursionError):
        return text

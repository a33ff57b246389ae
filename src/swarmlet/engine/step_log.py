"""The record of each step: its beginning, its end, and what is to be noted."""

from __future__ import annotations

import re
from types import UnionType
from typing import TYPE_CHECKING, Union, cast, final, get_args, get_origin

from swarmlet.engine.keep import keep_result, keep_values
from swarmlet.engine.step import Drained, Faulted, Finished, Unfinished, as_failure
from swarmlet.graph.loop import Again, Done
from swarmlet.graph.signature import SCALARS
from swarmlet.trace.events import Noted, StepEnded, StepStarted

if TYPE_CHECKING:
    from collections.abc import Sequence

    from swarmlet.engine.run_state import RunState
    from swarmlet.engine.step import Step
    from swarmlet.graph.shape import AnyNode
    from swarmlet.trace.encode import Encoder
    from swarmlet.trace.events import State
    from swarmlet.trace.record import Draft

LOOP_HELD = 0.05
"""Seconds for which a sync node may hold the event loop before it is reported."""

_MOST_BITS = 64
_MOST_CHARACTERS = 200
_HALF = re.compile("[\ud800-\udfff]")


@final
class _Form:
    """How the steps of one node are recorded in one run: what is the same for all of them."""

    __slots__ = ("blind", "encode", "names", "node", "returns", "rounds", "scalars", "told")

    def __init__(self, node: AnyNode, *, told: bool, blind: bool) -> None:
        signature = node.signature
        self.blind: bool = blind
        """Whether no values are recorded, so that every step that finishes has drafts."""
        self.node: AnyNode = node
        """Held, as the form is found by its id."""
        self.told: bool = told
        """Whether drafts are written in rows with others, where nothing long may stand."""
        self.names: Sequence[str] = signature.positional
        self.encode: Encoder = node.encode_output
        scalars = signature.scalars
        if scalars is not None and told and float in scalars:
            scalars = None  # JSON has no infinity
        self.scalars: list[object] | None = None if scalars is None else list(scalars)
        """What the types of the arguments must be for a draft: then their values never change. `None`: no draft will do."""
        returns = signature.returns
        kept = isinstance(returns, type) and returns in SCALARS and not (told and returns is float)
        self.returns: type | None = returns if kept and isinstance(returns, type) else None
        """What the type of the result must be for a draft."""
        self.rounds: bool = not told and not kept and _is_scalar(returns)
        """Whether drafts may hold any scalar that it returns, also one that says how a round of a loop has ended."""

    def draft(self, at: float, path: str, value: object) -> Draft | None:
        """The draft of the step's end, if its result may stand in one."""
        if self.blind:
            return at, path
        if type(value) is self.returns and not (self.told and _is_long(value)):
            return at, path, value
        if self.rounds and (type(value) in SCALARS or _is_round_of_scalar(value)):
            return at, path, value, self.encode
        return None


@final
class StepLog:
    """Writes the steps of one run into its record."""

    __slots__ = ("_drafts", "_forms", "_recorder", "_reported", "_state")

    def __init__(self, state: RunState) -> None:
        self._state = state
        self._recorder = state.recorder
        self._reported: set[str] = set()
        self._drafts = state.recorder.takes_drafts
        self._forms: dict[int, _Form] = {}

    def begin(self, step: Step) -> float:
        """The step starts. Tells when."""
        recorder, node = self._recorder, step.node
        at = recorder.now()
        waited = 0.0 if step.ready is None or step.ready > at else at - step.ready
        if self._drafts and not step.kwargs:
            form = self._forms.get(id(node)) or self._form(node)
            args = step.args
            if form.blind and len(args) == len(form.names):
                recorder.draft((at, step.path, node.origin, waited, step.held, form.names, None))
                return at
            if form.scalars == [type(value) for value in args] and not (form.told and any(map(_is_long, args))):
                recorder.draft((at, step.path, node.origin, waited, step.held, form.names, tuple(args)))
                return at
        inputs, problems = keep_values(recorder, step.named_arguments(), node.encode_inputs)
        recorder.emit(
            StepStarted(at=at, path=step.path, node=node.origin, inputs=inputs, waited=waited, place_waited=step.held)
        )
        if problems:
            self.note(step.path, *problems)
        return at

    def finish(self, step: Step, value: object, at: float) -> Finished:
        """The step has returned `value`."""
        recorder, harvest, node = self._recorder, step.scope.harvest, step.node
        draft = (self._forms.get(id(node)) or self._form(node)).draft(at, step.path, value) if self._drafts else None
        if draft is not None:
            recorder.draft(draft)
        else:
            output, note, problems = keep_result(recorder, value, node)
            if problems:
                self.note(step.path, *problems)
            recorder.emit(StepEnded(at=at, path=step.path, state="finished", output=output, type=note))
        if harvest is not None:
            harvest.take(step.path, value)
        return Finished(value)

    def stop(self, step: Step, error: BaseException) -> Faulted:
        """The step has raised `error`: its outcome if that is a failure. Raises it if it is none."""
        recorder = self._recorder
        if isinstance(error, Exception):
            recorder.emit(StepEnded(at=recorder.now(), path=step.path, state="failed", error=recorder.fault(error)))
            return Faulted(as_failure(step.path, error))
        state: State = "cancelled"
        if isinstance(error, Unfinished):
            state = "drained" if isinstance(error, Drained) else "suspended"
        recorder.emit(StepEnded(at=recorder.now(), path=step.path, state=state))
        raise error

    def held(self, step: Step, seconds: float) -> None:
        """The step's function has held the event loop for so long. It is told once for each node, if that was too long."""
        node = step.node
        if seconds <= LOOP_HELD or node.origin in self._reported:
            return
        self._reported.add(node.origin)
        message = (
            f"{node.name!r} held the event loop for {seconds * 1000:.0f} ms, and all other steps with it; "
            "decorate it with @node(thread=True), or make it async"
        )
        self.note(step.path, message)

    def note(self, path: str, *messages: str) -> None:
        """Something that the user should know about a step."""
        recorder = self._recorder
        for message in messages:
            recorder.emit(Noted(at=recorder.now(), path=path, message=message))

    def _form(self, node: AnyNode) -> _Form:
        told = self._recorder.resumable or bool(self._recorder.sinks)
        form = self._forms[id(node)] = _Form(node, told=told, blind=not self._recorder.capture)
        return form


def _is_long(value: object) -> bool:
    """Whether a scalar is kept once for all that name it, by itself. So is what cannot be read back as it was: half a surrogate
    pair, a number of thousands of digits."""
    if isinstance(value, int):
        return value.bit_length() > _MOST_BITS
    return isinstance(value, str) and (len(value) > _MOST_CHARACTERS or not (value.isascii() or _HALF.search(value) is None))


def _is_scalar(type_: object) -> bool:
    """Whether values of this type are scalars, or say how a round of a loop ended with one."""
    if isinstance(type_, type) and type_ in SCALARS:
        return True
    return get_origin(type_) in (Again, Done, Union, UnionType) and all(_is_scalar(part) for part in get_args(type_))


def _is_round_of_scalar(value: object) -> bool:
    if type(value) is Again:
        return type(cast("Again[object]", value).state) in SCALARS
    return type(value) is Done and type(cast("Done[object]", value).value) in SCALARS

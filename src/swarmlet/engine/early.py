"""Steps that are started for items of a list that is not there yet."""

from __future__ import annotations

from typing import TYPE_CHECKING

import anyio.lowlevel

from swarmlet.trace.events import Noted

if TYPE_CHECKING:
    from swarmlet.engine.errands import Drop, Early
    from swarmlet.engine.run_state import RunState
    from swarmlet.engine.step import Outcome, Step
    from swarmlet.trace.record import Recorder

_AGAIN = "it is executed again, as it was started early, and the list has another item there by now"
_IN_VAIN = "it was started early, for an item that the list does not have by now: what it gives is not used"


async def begin_early(early: Early, state: RunState) -> Outcome:
    """The outcome of the step, recorded or new."""
    await anyio.lowlevel.checkpoint_if_cancelled()  # it may be unwanted before it has begun
    step, early.begun = early.step, True
    if state.recall is not None and (known := state.recall.outcome(step)):
        state.recall.take(step, known[1])
        return known[1]
    return state.runner.now(step) or await state.runner.run(step)


def drop(errand: Drop, recorder: Recorder) -> None:
    """Stop a step that is not wanted any more, if it still runs."""
    early = errand.early
    forget(early.step)
    if early.begun:
        recorder.emit(Noted(at=recorder.now(), path=early.step.path, message=_AGAIN if errand.again else _IN_VAIN))
    if early.stop is not None:
        early.stop()


def forget(step: Step) -> None:
    """Nothing that the step has given counts."""
    if step.scope.harvest is not None:
        step.scope.harvest.forget(step.path)

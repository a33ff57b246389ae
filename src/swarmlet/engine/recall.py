"""What earlier processes have done of a run, for the runner and the agents of the process that goes on with it.

The scheduler runs again from the top and hands out the same steps at the same paths. A step whose outcome is in the record,
for the same node and the same inputs, is not executed: its outcome is taken from there. Nothing is executed while such a
step is ready, so that a race is decided as it was before.
"""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING, final

from swarmlet.engine.keep import keep_values
from swarmlet.engine.restore import NOTHING, restored
from swarmlet.engine.step import Faulted, Finished
from swarmlet.errors import StepFailed, SwarmletError
from swarmlet.policy.amount import NOTHING as NO_AMOUNT
from swarmlet.policy.amount import Amount, Spent
from swarmlet.trace.events import CallEnded, Noted, StepEnded, StepStarted, ToolEnded
from swarmlet.trace.past import is_within
from swarmlet.trace.record import call_usage, price_of

if TYPE_CHECKING:
    from swarmlet.engine.step import Outcome, Step
    from swarmlet.trace.events import CallStarted, Digest, Fault, RunId, State
    from swarmlet.trace.past import Past, PastStep, Reply
    from swarmlet.trace.record import Recorder


class EarlierFailure(SwarmletError):
    """A step failed in an earlier process, which recorded the class of its exception (`type`) and its text."""

    def __init__(self, type_: str, message: str) -> None:
        self.type = type_
        self.message = message
        super().__init__(type_, message)

    def __str__(self) -> str:
        return ": ".join(filter(None, (self.type, self.message)))


@final
class Recall:
    """The past of a run, as steps and values. `source` is the run that it is of, if that is not the run itself."""

    def __init__(self, past: Past, recorder: Recorder, source: RunId | None = None) -> None:
        self.past = past
        self._recorder = recorder
        self._source = source

    def outcome(self, step: Step) -> tuple[int, Outcome] | None:
        """The outcome of `step`, if it is in the record, and where in it; `None` if it is to be executed."""
        known = self.past.step(step.path)
        if known is None:
            return None
        if (why := self._differs(known, step)) is not None:
            self.past.forget(step.path)
            self._note(step.path, f"it is executed again, as {why} not what the record has")
            return None
        if not known.settled:
            return None
        outcome = self._outcome(known, step)
        if outcome is None:
            self.past.forget_below(step.path)
            self._note(step.path, "it is executed again, as its output cannot be read back from the record")
            return None
        return known.number, outcome

    def take(self, step: Step, outcome: Outcome) -> None:
        """The outcome counts: where it is of another run, it is put into the record of this one."""
        if step.scope.harvest is not None and isinstance(outcome, Finished):
            step.scope.harvest.take(step.path, outcome.value)
        known = self.past.step(step.path)
        if self._source is None or known is None:
            return
        recorder, started = self._recorder, known.started
        recorder.emit(
            StepStarted(at=recorder.now(), path=step.path, node=started.node, inputs=started.inputs, reused=self._source)
        )
        state: State = "finished"
        output: Digest | None = None
        error: Fault | None = None
        if known.edited is not None:
            output = recorder.keep_json(known.edited)
        elif known.ended is not None:
            state, output, error = known.ended.state, known.ended.output, known.ended.error
        note = known.ended.type if known.ended is not None and known.edited is None else ""
        recorder.emit(StepEnded(at=recorder.now(), path=step.path, state=state, output=output, type=note, error=error))

    def attempts(self, path: str) -> int:
        """How many attempts of the step have failed already."""
        known = self.past.step(path)
        return known.attempts if known else 0

    def reply(self, path: str, turn: int) -> bytes | None:
        """The reply of an agent's turn, as JSON, if it was paid for."""
        known = self.past.step(path)
        found = known.replies.get(turn) if known is not None else None
        reply: Reply | None = found[1] if found else None
        return None if reply is None or reply.reply is None else self._recorder.content(reply.reply)

    @property
    def elsewhere(self) -> bool:
        """Whether the past is that of another run, so that what is taken from it is to be put into the record of this one."""
        return self._source is not None

    def opening(self, path: str) -> tuple[Digest | None, ...]:
        """The messages with which an agent's conversation began."""
        known = self.past.step(path)
        return known.opening if known is not None and known.replies else ()

    def tool(self, path: str, turn: int, id_: str) -> ToolEnded | bool:
        """How an agent's call of a tool ended; if it did not, whether it had begun."""
        known = self.past.step(path)
        found = known.tools.get((turn, id_)) if known is not None else None
        if found is None:
            return False
        ended = found[1]
        return ended if ended is not None and ended.result is not None and ended.state in ("finished", "failed") else True

    def text(self, digest: Digest | None) -> bytes | None:
        """A recorded value, as JSON."""
        return None if digest is None else self._recorder.content(digest)

    def spent(self, path: str) -> Spent:
        """What model calls at and below `path` have cost. What nobody knows counts with the most that it can be."""
        return Spent() if self.elsewhere else spent_on(self.past, path)

    def _differs(self, known: PastStep, step: Step) -> str | None:
        """What of a step is not as it was."""
        if known.edited is not None:
            return None
        if known.started.node != step.node.origin:
            return f"the node {step.node.origin} is"
        inputs, _ = keep_values(self._recorder, step.named_arguments(), step.node.encode_inputs)
        return None if inputs == known.started.inputs else "its inputs are"

    def _outcome(self, known: PastStep, step: Step) -> Outcome | None:
        node = step.node
        if known.edited is not None:
            value = restored(known.edited, node.signature.returns, "", node.encode_output)
            return None if value is NOTHING else Finished(value)
        ended = known.ended
        if ended is None:
            return None
        if ended.state == "failed":
            return Faulted(_failure(step.path, ended.error))
        content = self.text(ended.output)
        if content is None:
            return None
        value = restored(content, node.signature.returns, ended.type, node.encode_output)
        return None if value is NOTHING else Finished(value)

    def _note(self, path: str, message: str) -> None:
        self._recorder.emit(Noted(at=self._recorder.now(), path=path, message=message))


def spent_on(past: Past, path: str | None = None) -> Spent:
    """What model calls of a run have cost, at and below `path` or all of them."""
    used = uncertain = NO_AMOUNT
    for started, ended in past.calls:
        if path is None or is_within(started.path, path):
            cost, unsure = _cost(started, ended)
            used = cost + used
            uncertain = cost + uncertain if unsure else uncertain
    return Spent(used, uncertain)


def _failure(path: str, error: Fault | None) -> StepFailed:
    cause = EarlierFailure(error.type, error.message) if error else EarlierFailure("Exception", "")
    failed = StepFailed(path, str(cause))
    failed.__cause__ = cause
    return failed


def _cost(started: CallStarted, ended: CallEnded | None) -> tuple[Amount, bool]:
    """What an attempt of a call has cost, and whether that is a guess: then the most that it can be."""
    if ended is None or ended.unknown_cost or (ended.state == "finished" and ended.usd is None):
        most = price_of(started.usd_at_most) or Decimal(0)
        if ended is not None and not ended.unknown_cost:
            usage = call_usage(ended)
            return Amount(1, usage.input_tokens, usage.output_tokens, most), False
        return Amount(1, started.input_at_most, started.max_tokens, most), True
    usage = call_usage(ended)
    return Amount(1, usage.input_tokens, usage.output_tokens, usage.usd), False

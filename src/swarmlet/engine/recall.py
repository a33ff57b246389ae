"""What earlier processes have done of a run, for the runner and the agents of the process that goes on with it.

The scheduler runs again from the top and hands out the same steps at the same paths. A step whose outcome is in the record,
for the same node and the same inputs, is not executed: its outcome is taken from there. Nothing is executed while such a
step is ready, so that a race is decided as it was before.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import AsyncIterable, Iterable, Mapping, Sequence
from decimal import Decimal
from typing import TYPE_CHECKING, TypeAlias, final

from swarmlet.engine.keep import keep_values
from swarmlet.engine.restore import NOTHING, restored, same_input
from swarmlet.engine.step import EarlierFailure, Faulted, Finished
from swarmlet.errors import StepFailed
from swarmlet.graph.types import show
from swarmlet.policy.amount import NOTHING as NO_AMOUNT
from swarmlet.policy.amount import Amount, Spent
from swarmlet.trace.events import CallEnded, Fault, Noted, StepEnded, StepStarted, ToolEnded
from swarmlet.trace.past import is_within, paths_above
from swarmlet.trace.record import call_usage, price_of

if TYPE_CHECKING:
    from swarmlet.engine.step import Outcome, Step
    from swarmlet.trace.events import CallStarted, Digest, RunId, State
    from swarmlet.trace.past import Past, PastStep, Reply
    from swarmlet.trace.record import Recorder


@final
class Recall:
    """The past of a run, as steps and values. `source` is the run that it is of, if that is not the run itself."""

    def __init__(self, past: Past, recorder: Recorder, source: RunId | None = None) -> None:
        self.past = past
        self._recorder = recorder
        self._source = source
        self._costs: Mapping[str, Sequence[_Cost]] | None = None

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
        known.used = True
        outcome = self._outcome(known, step)
        if outcome is None and known.edited is not None:
            failed = StepFailed(step.path, f"the output that it was given does not fit {show(step.node.signature.returns)}")
            return known.number, Faulted(failed)
        if outcome is None:
            self.past.forget_below(step.path)
            self._note(step.path, "it is executed again, as its output cannot be read back from the record")
            return None
        return known.number, outcome

    def begin(self) -> None:
        """Put into the record of a fork what its user has put in the place of outputs: a process that goes on must know it."""
        if self._source is None:
            return
        for path, step in self.past.steps.items():
            if step.edited is not None:
                self._reuse(path, step, self._source)

    def take(self, step: Step, outcome: Outcome) -> None:
        """The outcome counts: where it is of another run, it is put into the record of this one."""
        if step.scope.harvest is not None and isinstance(outcome, Finished):
            step.scope.harvest.take(step.path, outcome.value)
        known = self.past.step(step.path)
        if self._source is not None and known is not None and known.edited is None:
            self._reuse(step.path, known, self._source)

    def _reuse(self, path: str, known: PastStep, source: RunId) -> None:
        recorder, node = self._recorder, known.started.node
        inputs = known.started.inputs if known.edited is None else {}
        for digest in inputs.values():
            recorder.keep_again(digest)
        recorder.emit(StepStarted(at=recorder.now(), path=path, node=node, inputs=inputs, reused=source))
        state: State = "finished"
        output: Digest | None = None
        error: Fault | None = None
        if known.edited is not None:
            output = recorder.keep_json(known.edited)
        elif known.ended is not None:
            state, output, error = known.ended.state, known.ended.output, known.ended.error
            recorder.keep_again(output)
        note = known.ended.type if known.ended is not None and known.edited is None else ""
        recorder.emit(StepEnded(at=recorder.now(), path=path, state=state, output=output, type=note, error=error))

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
        if self.elsewhere:
            return Spent()
        if self._costs is None:
            self._costs = _costs_by_path(self.past)
        return _total(self._costs.get(path, ()))

    def _differs(self, known: PastStep, step: Step) -> str | None:
        """What of a step is not as it was."""
        if known.edited is not None or (known.started.reused and not known.started.inputs):
            return None  # a user has put its output there, whatever its inputs are
        if known.started.node != step.node.origin:
            return f"the node {step.node.origin} is"
        values, before = step.named_arguments(), known.started.inputs
        inputs, _ = keep_values(self._recorder, values, step.node.encode_inputs)
        if None in inputs.values() or None in before.values():
            return "its inputs are not all in the record, so that nobody knows whether they are"
        if inputs.keys() == before.keys() and all(self._same(values[at], before[at], new) for at, new in inputs.items()):
            return None
        return "its inputs are"

    def _same(self, value: object, before: Digest | None, now: Digest | None) -> bool:
        if before == now:  # in a fork, what a source is made from may be another
            return self._source is None or not isinstance(value, AsyncIterable)
        old, new = self.text(before), self.text(now)
        return old is not None and new is not None and same_input(value, old, new)

    def _outcome(self, known: PastStep, step: Step) -> Outcome | None:
        node = step.node
        if known.edited is not None:
            value = restored(known.edited, node.signature.returns, "", node.encode_output)
            return None if value is NOTHING else Finished(value)
        ended = known.ended
        if ended is None:
            return None
        if ended.state == "failed":
            return Faulted(self._failure(step.path, ended.error))
        content = self.text(ended.output)
        if content is None:
            return None
        value = restored(content, node.signature.returns, ended.type, node.encode_output)
        return None if value is NOTHING else Finished(value)

    def _failure(self, path: str, error: Fault | None) -> StepFailed:
        """What a step has failed with: the failure of the step below that was at fault, if it was that."""
        told = _AT_FAULT.fullmatch(error.message) if error is not None and error.type == "StepFailed" else None
        if told is None or told[1] == path or not is_within(told[1], path):
            return _failed(path, error or Fault("Exception", ""))
        below = self.past.step(told[1])
        known = below.ended.error if below is not None and below.ended is not None else None
        return self._failure(told[1], known) if known is not None else _failed(told[1], Fault("StepFailed", told[2]))

    def _note(self, path: str, message: str) -> None:
        self._recorder.emit(Noted(at=self._recorder.now(), path=path, message=message))


_AT_FAULT = re.compile(r"step '([^']+)' failed: (.*)", re.DOTALL)
"""How a `StepFailed` says which step it is of."""


def _failed(path: str, error: Fault) -> StepFailed:
    cause = EarlierFailure(error.type, error.message)
    failed = StepFailed(path, str(cause))
    failed.__cause__ = cause
    return failed


_Cost: TypeAlias = tuple[Amount, bool]
"""What an attempt of a call has cost, and whether that is a guess: then the most that it can be."""


def spent_on(past: Past) -> Spent:
    """What all model calls of a run have cost."""
    return _total(_cost(started, ended) for started, ended in past.calls)


def _costs_by_path(past: Past) -> Mapping[str, Sequence[_Cost]]:
    """What was spent at and below each path."""
    costs: defaultdict[str, list[_Cost]] = defaultdict(list)
    for started, ended in past.calls:
        cost = _cost(started, ended)
        for path in (*paths_above(started.path), started.path):
            costs[path].append(cost)
    return costs


def _total(costs: Iterable[_Cost]) -> Spent:
    used = uncertain = NO_AMOUNT
    for cost, unsure in costs:
        used = cost + used
        uncertain = cost + uncertain if unsure else uncertain
    return Spent(used, uncertain)


def _cost(started: CallStarted, ended: CallEnded | None) -> _Cost:
    if ended is None or ended.unknown_cost:
        return _amount(1, started.input_at_most, started.max_tokens, price_of(started.usd_at_most)), True
    usage = call_usage(ended)
    told = ended.state != "finished" or ended.usd is not None
    usd = usage.usd if told else price_of(started.usd_at_most)
    return _amount(usage.requests, usage.input_tokens, usage.output_tokens, usd), False


def _amount(requests: int, input_tokens: int, output_tokens: int, usd: Decimal | None) -> Amount:
    """The cost of one attempt. Nothing is below 0: what somebody else has written must not make room in a budget."""
    return Amount(requests, max(input_tokens, 0), max(output_tokens, 0), max(usd or Decimal(0), Decimal(0)))

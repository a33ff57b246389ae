"""Steps that another process executes: nodes with `with_options(queue=...)`, in a swarm that has workers.

A dispatched step is a step of its run like any other: it starts, ends and has its output in the run's own record, its timeout
and its fallback are handled here, and what it spends comes out of the budgets around it. What is below it happens elsewhere, as
a run of its own, `run~path`, in the worker's record. That id is the same whenever the step is executed: a run that is resumed
finds the answer of the step that its killed process had sent. A worker cannot write into the caller's run itself: one process
at a time owns a run's record, and a journal fences off all others. So the events of the worker's run come back with its answer
and are put under the step's path, without the contents, which stay in the worker's journal; a note names the run.

A slice of the budgets around the step is reserved while it is away: all that they leave it, so give the node a budget of its
own where others are to spend beside it. The slice goes along as a budget, and what was not used of it comes back with the
answer. If none comes, as the step is cancelled or its run given up, all of the slice counts as used: nobody here knows.

Resources of a subtree never leave their process, so a step under them is refused, unless its own definition has them.

Retries stay where they are defined: the worker tries again as its own definition of the node says, and nothing is tried again
here.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace
from decimal import ROUND_DOWN, Decimal
from hashlib import blake2b
from typing import TYPE_CHECKING, Any, cast

import anyio

from swarmlet.engine.answers import without_contents
from swarmlet.engine.portable import Arguments, Parcel, Terms, check_resources, portable, read
from swarmlet.errors import BudgetExceeded, DeadlineExceeded, StepFailed, SwarmletError
from swarmlet.policy.account import Need
from swarmlet.policy.amount import EXACT, Price
from swarmlet.trace.events import Event, Noted, RunEnded, RunId, RunResumed, RunStarted, StepEnded, StepStarted, ToolStarted

if TYPE_CHECKING:
    from swarmlet.engine.answers import Answer, Dispatcher
    from swarmlet.engine.cashier import Reservation
    from swarmlet.engine.run_state import RunState
    from swarmlet.engine.step import Step
    from swarmlet.policy.account import Left
    from swarmlet.policy.options import Scope
    from swarmlet.usage import Usage

_LONGEST_ID = 200
_MOST_REQUESTS = 100
"""Requests that a slice holds at most."""
_FREE = Price(Decimal(0), Decimal(0))
_SMALLEST_USD = Decimal("1E-18")
_DEAREST = Decimal(999_999)


# Sending a step


async def dispatched(step: Step, scope: Scope, state: RunState, dispatcher: Dispatcher) -> object:
    """The result of a step that a worker executes. Raises what its failure is here."""
    node = step.node
    place = portable(node)
    check_resources(node, place, scope.resources)
    parcel = Parcel(
        run=_child_id(state.id, step.path),
        node=place,
        arguments=Arguments.of(node, step.args, step.kwargs),
        terms=_terms(step, scope, state),
        parent=state.id,
        path=step.path,
        queue=node.options.queue or "",
    )
    part = await _reserve(step, scope, state)
    try:
        answer = await dispatcher.execute(replace(parcel, terms=part.limit(parcel.terms)))
    except BaseException:
        part.lost()
        raise
    await part.settle(answer.usage)
    _take_over(state, step.path, node.name, answer)
    if answer.state != "finished" or answer.output is None:
        raise _failure(step, scope, answer)
    return read(f"the result of {step.path!r}", answer.output, node.signature.returns, node.encode_output)


def _child_id(run: RunId, path: str) -> RunId:
    name = f"{run}~{path}"
    return RunId(name if len(name) <= _LONGEST_ID else f"{run}~{blake2b(path.encode(), digest_size=16).hexdigest()}")


def _terms(step: Step, scope: Scope, state: RunState) -> Terms:
    left = anyio.current_effective_deadline() - anyio.current_time()
    return Terms(
        name=step.node.name,
        model=scope.model,
        priority=scope.priority or None,
        cache=scope.cache or None,
        deadline=state.recorder.now() + left if left < math.inf else None,
    )


def _failure(step: Step, scope: Scope, answer: Answer) -> Exception:
    trouble = answer.trouble
    if trouble is None:
        asks = ", ".join(map(repr, answer.questions))
        return SwarmletError(f"the run {answer.run!r} asks a person ({asks}), which a dispatched step cannot wait for")
    path = _here(trouble.path, step.node.name, step.path)
    if trouble.budget is not None:
        kind, limit, used, needed, whose = trouble.budget
        around = scope.account.scope if scope.account is not None else whose
        return BudgetExceeded(path, kind, limit, used, needed, around if whose == step.node.name else whose)
    if trouble.deadline is not None:
        return DeadlineExceeded(path, *trouble.deadline)
    return StepFailed(path, f"on a worker, as run {answer.run}: {trouble.message or trouble.type}")


# Its record


def _take_over(state: RunState, path: str, name: str, answer: Answer) -> None:
    """Put what happened elsewhere under the step, once."""
    recorder = state.recorder
    note = f"it was executed by a worker, and is recorded there as run {answer.run}"
    if any(isinstance(event, Noted) and event.path == path and event.message == note for event in recorder.events):
        return
    for event in answer.events:
        if moved := _moved(event, name, path):
            recorder.emit(moved)
            if isinstance(moved, ToolStarted) and moved.effects:
                state.acts(moved.path, moved.tool)
    recorder.emit(Noted(at=recorder.now(), path=path, message=note))


def _moved(event: Event, root: str, path: str) -> Event | None:
    if isinstance(event, RunStarted | RunResumed | RunEnded):
        return None
    if isinstance(event, StepStarted | StepEnded) and event.path == root:
        return None
    moved: Any = without_contents(event)  # Any: mypy does not see that all of the others have a path
    return cast("Event", replace(moved, path=_here(event.path, root, path)))


def _here(path: str, root: str, step: str) -> str:
    """A path of the worker's run as one of ours."""
    return f"{step}{path[len(root) :]}" if path == root or path.startswith((f"{root}/", f"{root}[")) else step


# Its budget


@dataclass(slots=True)
class _Part:
    """The slice of the budgets around a step that goes along with it."""

    step: Step
    scope: Scope
    state: RunState
    left: Left | None = None
    main: Reservation | None = None
    requests: list[Reservation] = field(default_factory=list["Reservation"])
    """One for each further request."""

    def limit(self, terms: Terms) -> Terms:
        """The terms with this slice as their budget."""
        if self.left is None or self.main is None:
            return terms
        left, amount = self.left, self.main.ticket.need.amount(self.main.cap)
        return replace(
            terms,
            tokens=None if left.tokens is None else max(amount.tokens, 1),
            input_tokens=None if left.input_tokens is None else max(amount.input_tokens, 1),
            output_tokens=None if left.output_tokens is None else max(amount.output_tokens, 1),
            requests=None if left.requests is None else 1 + len(self.requests),
            usd=None if left.usd is None else max(amount.usd, _SMALLEST_USD),
        )

    async def settle(self, usage: Usage) -> None:
        """The step has used this; the rest comes back."""
        if self.main is None or self.scope.account is None:
            return
        if usage.requests == 0:
            self._close(self.main, *self.requests)
            return
        used = usage.requests - 1
        while len(self.requests) < used:  # nothing limits them, and yet they are counted
            key = self.state.reservation_key(self.step.path, 0)
            need = Need(input_tokens=0, cap=0, least=0, price=_FREE)
            self.requests.append(await self.state.cashier.reserve(key, self.scope.account, need, "", _ignore))
        for one in self.requests[:used]:
            one.refused()
        self._close(*self.requests[used:])
        self.main.settle(usage.input_tokens, usage.output_tokens, None if usage.unpriced_requests else usage.usd)

    def lost(self) -> None:
        """Nobody knows what the step has used."""
        if self.main is not None:
            self.main.uncertain()
        for one in self.requests:
            one.refused()

    def _close(self, *unused: Reservation) -> None:
        for one in unused:
            one.unsent()


def _ignore(scope: str) -> None:
    """It is in the record of waits that models keep, and this is none."""


async def _reserve(step: Step, scope: Scope, state: RunState) -> _Part:
    part = _Part(step, scope, state)
    account = scope.account
    if account is None:
        return part
    left = part.left = account.left()
    need = _need(left, scope)
    part.main = await state.cashier.reserve(state.reservation_key(step.path, 0), account, need, "its steps", _ignore)
    more = min(left.requests or 0, _MOST_REQUESTS) - 1
    for _ in range(more):
        if account.left().requests == 0:
            break
        key = state.reservation_key(step.path, 0)
        nothing = Need(input_tokens=0, cap=0, least=0, price=_FREE, keep=scope.keeps)
        part.requests.append(await state.cashier.reserve(key, account, nothing, "its steps", _ignore))
    return part


def _need(left: Left, scope: Scope) -> Need:
    """A reservation of all that is left, in the words of one for a call."""
    given, made = left.input_tokens, left.output_tokens
    if left.tokens is not None:
        both = left.tokens
        if given is None:
            made = both if made is None else min(made, both)
            given = both - made
        elif made is None:
            given = min(given, both)
            made = both - given
        else:
            given = min(given, both // 2)
            made = min(made, both - given)
    given, made = given or 0, made or 0
    price = _FREE
    if left.usd is not None:
        given = given or (0 if made else 1)
        price = _spread(left.usd, given, made)
    return Need(input_tokens=given, cap=made, least=min(made, 1), price=price, keep=scope.keeps)


def _spread(usd: Decimal, given: int, made: int) -> Price:
    """A price at which these tokens cost just about `usd`, and not more."""
    each = min(EXACT.divide(usd, Decimal(given or made)), _DEAREST)
    each = each.quantize(_SMALLEST_USD, rounding=ROUND_DOWN, context=EXACT)
    return Price(each, Decimal(0)) if given else Price(Decimal(0), each)

"""One model call: as many attempts as the policy allows, each in the record."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal

import anyio

from swarmlet.agents.counting import count
from swarmlet.agents.sharing import Sent
from swarmlet.engine.local import time_left
from swarmlet.errors import BudgetExceeded, CircuitOpen, ModelError, NoApiKey, NotRecorded
from swarmlet.models.savings import saved_by_cache
from swarmlet.policy.account import Need
from swarmlet.policy.retry import Retry, retried, transient
from swarmlet.trace.events import CallEnded, CallQueued, CallSaved, CallStarted, Noted, TextDelta

if TYPE_CHECKING:
    from collections.abc import Callable
    from decimal import Decimal

    from swarmlet.agents.sharing import Replies
    from swarmlet.engine.cashier import Reservation
    from swarmlet.engine.context import Current
    from swarmlet.models.base import ChatModel, ChatReply, ChatRequest, Draft
    from swarmlet.models.cache import Saved
    from swarmlet.models.hub import Models
    from swarmlet.models.tokens import Count
    from swarmlet.policy.amount import Price
    from swarmlet.trace.encode import Encoder
    from swarmlet.trace.events import Digest, State

DEFAULT_RETRY = Retry()
_TIMED_OUT = 408


@dataclass(slots=True)
class Call:
    """The call of one turn of an agent."""

    step: Current
    models: Models
    replies: Replies
    model: ChatModel
    request: ChatRequest
    turn: int
    asked: Digest | None
    messages: tuple[Digest | None, ...]
    encode_reply: Encoder
    drafts: Callable[[], Draft] | None = None
    """Makes one who begins with what the reply says before it is whole, for each attempt; see `agent(early=True)`."""
    least: int | None = None
    """The smallest completion cap that a budget may lower it to; `None`: it may not be lowered."""
    attempt: int = 0
    sent: bool = False
    queued_at: float | None = None
    last: BaseException | None = None
    """What the attempt before has failed with."""
    spending: Reservation | None = None

    async def complete(self) -> ChatReply:
        """The reply. Raises the `ModelError` of the last attempt."""
        if self.shared and (found := await self.replies.find(self.model, self.request)):
            self._saved("cache", *found)
            return found[0]
        return await self._again_and_again()

    @property
    def shared(self) -> bool:
        """Whether the reply to the same request, made elsewhere, will do: the user has said so, and nobody listens to it."""
        return self.step.scope.cache and not self.step.recorder.wants_text

    async def _again_and_again(self) -> ChatReply:
        policy = self.step.scope.retry or DEFAULT_RETRY
        try:
            reply = await retried(
                self._attempt,
                policy,
                applies=transient,
                sleep=anyio.sleep,
                remaining=time_left,
                on_retry=lambda _, error, wait: self._failed(error, wait),
                clock=anyio.current_time,
            )
        except Exception as error:
            self._failed(error, None)
            raise
        except BaseException:
            self._cancelled()
            raise
        return reply

    async def _attempt(self, number: int) -> ChatReply:
        self.attempt = number
        self.sent = False
        if not self.shared:
            return (await self._pay()).reply
        reply, saved = await self.replies.make(self.model, self.request, self._pay)
        if saved is not None:
            self._saved("flight", reply, saved)
        return reply

    async def _pay(self) -> Sent:
        """Make the call: reserve what it may cost, send it when it is its turn, and settle."""
        profile = self.model.profile
        from swarmlet.models.tokens import check_context  # with the tokenizer: not before the first call

        counted = await count(self.request, profile)
        check_context(counted, self.request.max_tokens, profile)
        price = profile.worst_price()
        try:
            self.spending = await self._reserve(counted, price)
        except BudgetExceeded as exceeded:
            raise exceeded from self.last  # what failed before, and is why there is another attempt
        cap = self.spending.cap if self.spending else self.request.max_tokens
        request = self.request if cap == self.request.max_tokens else replace(self.request, max_tokens=cap)

        async def started(waited: float) -> None:
            self.sent = True
            recorder = self.step.recorder
            event = CallStarted(
                at=recorder.now(),
                path=self.step.path,
                turn=self.turn,
                attempt=self.attempt,
                model=self.model.name,
                request=self.asked,
                messages=self.messages,
                waited=waited,
                budget_waited=self.spending.waited if self.spending else 0.0,
                estimated=counted.estimate,
                max_tokens=cap,
                input_at_most=counted.worst,
                usd_at_most=_money(price.usd(counted.worst, cap)) if price is not None else None,
            )
            recorder.emit(event)
            await self.step.state.durable()  # whoever goes on after a kill must know that it may have been billed

        self.queued_at = time.perf_counter()
        try:
            reply = await self.models.complete(
                self.model,
                request,
                self._listener(),
                started,
                tokens=counted.estimate + cap,
                run=self.step.run_id,
                priority=self.step.scope.priority,
                patience=lambda: min((self.step.scope.retry or DEFAULT_RETRY).longest_wait, time_left()),
            )
        except BaseException as error:
            self._close_failed(error)
            raise
        self._finished(reply, self._settle(reply))
        await self.step.state.durable()  # before anything is done with it: it is never paid for again
        return Sent(reply, cap)

    async def _reserve(self, counted: Count, price: Price | None) -> Reservation | None:
        """Set the worst case of the call aside in every budget around it, if there are any; wait for it where that may help."""
        account = self.step.scope.account
        if account is None:
            return None
        recorder = self.step.recorder
        least = self.request.max_tokens if self.least is None else min(self.least, self.request.max_tokens)
        keep = self.step.scope.keeps
        need = Need(input_tokens=counted.worst, cap=self.request.max_tokens, least=least, price=price, keep=keep)
        key = self.step.state.reservation_key(self.step.path, self.turn)

        def on_wait(scope: str) -> None:
            recorder.emit(CallQueued(at=recorder.now(), path=self.step.path, turn=self.turn, attempt=self.attempt, scope=scope))

        return await self.step.state.cashier.reserve(key, account, need, self.model.name, on_wait)

    def _settle(self, reply: ChatReply) -> Decimal | None:
        """Close the reservation. Gives what the reply cost, if that is known."""
        spending, self.spending = self.spending, None
        told = _tells_usage(reply)
        try:
            usd = self._usd(reply) if told else None
            if spending is not None and told:
                spending.settle(reply.input_tokens, reply.output_tokens, usd)
        except (
            BaseException
        ):  # figures of no sense: the worst case stands, as an open reservation would hold others up for ever
            if spending is not None:
                spending.uncertain()
            raise
        if spending is not None and not told:
            spending.uncertain()  # it was billed, and nobody says how much
        return usd

    def _close_failed(self, error: BaseException) -> None:
        """Give back what is certain not to be billed, and keep what may be."""
        spending, self.spending = self.spending, None
        if spending is None:
            return
        if not self.sent or isinstance(error, NoApiKey):
            spending.unsent()
        elif isinstance(error, Exception) and not _may_have_cost(error):
            spending.refused()
        else:
            spending.uncertain()

    def _usd(self, reply: ChatReply) -> Decimal | None:
        return self.model.profile.usd(reply.service_tier, reply.input_tokens, reply.cached_tokens, reply.output_tokens)

    def _listener(self) -> Callable[[str], None] | None:
        """Where pieces of the reply go, if anybody listens; without a listener the reply comes in one piece."""
        recorder = self.step.recorder
        draft = self.drafts() if self.drafts is not None else None
        if not recorder.wants_text:
            return draft

        def on_text(text: str) -> None:
            recorder.tell(TextDelta(at=recorder.now(), path=self.step.path, turn=self.turn, attempt=self.attempt, text=text))
            if draft is not None:
                draft(text)

        return on_text

    def _saved(self, source: Literal["cache", "flight"], reply: ChatReply, saved: Saved) -> None:
        recorder = self.step.recorder
        recorder.emit(
            CallSaved(
                at=recorder.now(),
                path=self.step.path,
                turn=self.turn,
                source=source,
                model=self.model.name,
                input_tokens=saved.input_tokens,
                output_tokens=saved.output_tokens,
                usd=_money(saved.usd),
                request=self.asked,
                messages=self.messages,
                reply=recorder.keep(reply, self.encode_reply),
            )
        )

    def _finished(self, reply: ChatReply, usd: Decimal | None) -> None:
        self.sent, self.queued_at = False, None
        recorder = self.step.recorder
        recorder.emit(
            CallEnded(
                at=recorder.now(),
                path=self.step.path,
                turn=self.turn,
                attempt=self.attempt,
                state="finished",
                model=reply.model,
                input_tokens=reply.input_tokens,
                cached_tokens=reply.cached_tokens,
                output_tokens=reply.output_tokens,
                usd=_money(usd),
                prompt_usd=_money(self.model.profile.usd(reply.service_tier, reply.input_tokens, reply.cached_tokens, 0)),
                saved_usd=_money(saved_by_cache(self.model.profile, reply.service_tier, reply.cached_tokens)),
                unknown_cost=not _tells_usage(reply),
                finish_reason=reply.finish_reason,
                reply=recorder.keep(reply, self.encode_reply),
                request_id=reply.request_id,
                first_token=reply.first_token,
            )
        )

    def _failed(self, error: BaseException, wait: float | None) -> None:
        self.last = error
        if self.sent:
            self._ended("failed", error, wait)
        else:
            again = f"; the next attempt comes in {wait:.3g} s" if wait is not None else ""
            reason = f": {error}" if self.step.recorder.capture else ""
            self._note(f"attempt {self.attempt} of turn {self.turn} was not sent, {type(error).__name__}{reason}{again}")

    def _note(self, message: str) -> None:
        recorder = self.step.recorder
        recorder.emit(Noted(at=recorder.now(), path=self.step.path, message=message))

    def _cancelled(self) -> None:
        if self.sent:
            self._ended("cancelled", None, None)
        elif self.queued_at is not None:
            waited = time.perf_counter() - self.queued_at
            self._note(f"stopped after it waited {waited:.3g} s for the rate limit of {self.model.name}")

    def _ended(self, state: State, error: BaseException | None, wait: float | None) -> None:
        recorder = self.step.recorder
        recorder.emit(
            CallEnded(
                at=recorder.now(),
                path=self.step.path,
                turn=self.turn,
                attempt=self.attempt,
                state=state,
                unknown_cost=error is None or _may_have_cost(error),
                error=recorder.fault(error) if error is not None else None,
                retry_in=wait,
                request_id=error.request_id if isinstance(error, ModelError) else None,
            )
        )
        self.sent = False


def _money(usd: Decimal | None) -> str | None:
    return None if usd is None else f"{usd:f}"


def _may_have_cost(error: BaseException) -> bool:
    """Whether a model may have worked before this error came. A refusal is free; after a lost connection nobody knows."""
    if isinstance(error, NoApiKey | CircuitOpen | NotRecorded):
        return False
    status = error.status if isinstance(error, ModelError) else None
    return status is None or not 400 <= status < 500 or status == _TIMED_OUT


def _tells_usage(reply: ChatReply) -> bool:
    """Whether the server said what the reply has used: some compatible ones do not."""
    return bool(reply.input_tokens or reply.output_tokens)

"""One model call: as many attempts as the policy allows, each in the record."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import anyio

from swarmlet.engine.local import time_left
from swarmlet.errors import ModelError, ModelUnavailable, ReplyMalformed
from swarmlet.policy.retry import Retry, retried, transient
from swarmlet.trace.events import CallEnded, CallStarted, TextDelta

if TYPE_CHECKING:
    from collections.abc import Callable

    from swarmlet.engine.context import Current
    from swarmlet.models.base import ChatModel, ChatReply, ChatRequest
    from swarmlet.models.hub import Models
    from swarmlet.trace.events import Digest, State
    from swarmlet.trace.record import Encoder

DEFAULT_RETRY = Retry()


@dataclass(slots=True)
class Call:
    """The call of one turn of an agent."""

    step: Current
    models: Models
    model: ChatModel
    request: ChatRequest
    turn: int
    asked: Digest | None
    messages: tuple[Digest | None, ...]
    encode_reply: Encoder
    attempt: int = 0
    sent: bool = False

    async def complete(self) -> ChatReply:
        """The reply. Raises the `ModelError` of the last attempt."""
        policy = self.step.scope.retry or DEFAULT_RETRY
        try:
            reply = await retried(
                self._attempt,
                policy,
                applies=transient,
                sleep=anyio.sleep,
                remaining=time_left,
                on_retry=lambda _, error, wait: self._failed(error, wait),
            )
        except Exception as error:
            self._failed(error, None)
            raise
        except BaseException:
            self._cancelled()
            raise
        self._finished(reply)
        return reply

    async def _attempt(self, number: int) -> ChatReply:
        self.attempt = number
        self.sent = False

        def started(waited: float) -> None:
            self.sent = True
            recorder = self.step.recorder
            event = CallStarted(
                at=recorder.now(),
                path=self.step.path,
                turn=self.turn,
                attempt=number,
                model=self.model.name,
                request=self.asked,
                messages=self.messages,
                waited=waited,
            )
            recorder.emit(event)

        return await self.models.complete(self.model, self.request, self._listener(), started)

    def _listener(self) -> Callable[[str], None] | None:
        """Where pieces of the reply go, if anybody listens; without a listener the reply comes in one piece."""
        recorder = self.step.recorder
        if not recorder.wants_text:
            return None

        def on_text(text: str) -> None:
            recorder.tell(TextDelta(at=recorder.now(), path=self.step.path, turn=self.turn, attempt=self.attempt, text=text))

        return on_text

    def _finished(self, reply: ChatReply) -> None:
        recorder = self.step.recorder
        usd = self.model.profile.usd(reply.service_tier, reply.input_tokens, reply.cached_tokens, reply.output_tokens)
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
                usd=None if usd is None else f"{usd:f}",
                finish_reason=reply.finish_reason,
                reply=recorder.keep(reply, self.encode_reply),
                request_id=reply.request_id,
                first_token=reply.first_token,
            )
        )

    def _failed(self, error: BaseException, wait: float | None) -> None:
        if self.sent:
            self._ended("failed", error, wait)

    def _cancelled(self) -> None:
        if self.sent:
            self._ended("cancelled", None, None)

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


def _may_have_cost(error: BaseException) -> bool:
    """Whether a model may have worked before this error came. A refusal is free; after a lost connection nobody knows."""
    if not isinstance(error, ModelError):
        return True
    refused = error.status is not None and 400 <= error.status < 500
    return isinstance(error, ModelUnavailable | ReplyMalformed) and not refused

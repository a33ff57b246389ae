"""`Models`: the models of a swarm by name, behind one limiter for each and one limit on all calls in flight."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Sequence
from contextlib import nullcontext
from datetime import UTC, datetime
from typing import TYPE_CHECKING, final

import anyio

from swarmlet.errors import GraphError, ModelError, NoApiKey, RateLimited
from swarmlet.log import get_logger
from swarmlet.models.breaker import Breakers
from swarmlet.models.openai import OpenAIConnection, OpenAIModel
from swarmlet.models.pace import Limiters

if TYPE_CHECKING:
    from swarmlet.models.base import ChatModel, ChatReply, ChatRequest, OnText
    from swarmlet.models.pace import Limiter, Slot, Stores
    from swarmlet.policy.breaker import Breaker
    from swarmlet.policy.limits import Limits

DEFAULT_MODEL = "gpt-4o-mini"
_CLOSING = 5
"""Seconds that closing may take."""


@final
class Models:
    """Finds models by name, and lets their calls go as their rate limits allow and at most `limits.concurrency` at once.

    `default` is used where no agent and no option names another. A name that was not given as an object is taken for a
    model of OpenAI (or of the server at `OPENAI_BASE_URL`); all such models share one client. `stores` is where limits
    that other processes share are counted.
    """

    def __init__(
        self,
        default: str | ChatModel,
        given: Sequence[ChatModel],
        limits: Limits,
        stores: Stores | None = None,
        breaker: Breaker | None = None,
    ) -> None:
        objects = [*given, *([] if isinstance(default, str) else [default])]
        self.default: str = default if isinstance(default, str) else default.name
        self.limits = limits
        self._models: dict[str, ChatModel] = {}
        for model in objects:
            if self._models.setdefault(model.name, model) is not model:
                raise GraphError(f"two models of the swarm are both named {model.name!r}")
        self._connection = OpenAIConnection()
        self._limiters = Limiters(limits.allowance, stores=stores)
        self._limiter_of: dict[str, Limiter] = {}
        self.breakers: Breakers | None = Breakers(breaker) if breaker is not None else None
        """The circuit breakers by endpoint, if the swarm has any."""
        self._places = anyio.Semaphore(limits.concurrency, fast_acquire=True)
        self._preparing = anyio.Lock()
        self._ready: dict[str, ChatModel] = {}
        self._warned: set[str] = set()

    def get(self, name: str | None) -> ChatModel:
        """The model of this name, or the default one."""
        name = name or self.default
        if name not in self._models:
            self._models[name] = OpenAIModel(name, connection=self._connection)
        model = self._models[name]
        self._warn(model)
        return model

    async def complete(
        self,
        model: ChatModel,
        request: ChatRequest,
        on_text: OnText | None,
        started: Callable[[float], Awaitable[None]],
        *,
        tokens: int = 0,
        run: str = "",
        priority: int = 0,
        patience: Callable[[], float] | None = None,
    ) -> ChatReply:
        """One attempt, when it is its turn. `started` is told how many seconds it waited for that; when it returns, it is sent.

        `tokens` is the most that it may use, prompt and reply; runs take turns, and a higher `priority` goes first. Where the
        server has asked for a pause of more than `patience()` seconds, `RateLimited` is raised at once.
        """
        await self._prepare(model)
        if self.breakers is not None:
            self.breakers.check(_endpoint(model))
        limiter = self._limiter(model)
        pause = limiter.paused()
        if pause > 0 and patience is not None and pause > max(0.0, patience()):
            raise RateLimited(f"not sent: the server has asked for a pause, of which {pause:.0f} s are left", retry_after=pause)
        queued = time.perf_counter()
        async with limiter.slot(tokens=tokens, run=run, priority=priority) as slot:
            slot.sent = False
            async with self._places:  # asked for last: who waits for one model's limit keeps no other model waiting
                with self.breakers.guard(_endpoint(model)) if self.breakers is not None else nullcontext():
                    await started(time.perf_counter() - queued)
                    slot.sent = True
                    return await _send(model, request, on_text, slot)

    def _limiter(self, model: ChatModel) -> Limiter:
        """The limiter of this model, shared with those of the same `limit_key`; the first of them with limits brings them."""
        limiter = self._limiter_of.get(model.name)
        if limiter is None:
            key = _limit_key(model)
            sharing = (one for one in self._models.values() if _limit_key(one) == key)
            own = next((limits.allowance for one in sharing if (limits := _own_limits(one)) is not None), None)
            limiter = self._limiter_of[model.name] = self._limiters.get(key, own)
        return limiter

    async def _prepare(self, model: ChatModel) -> None:
        if model.name in self._ready:
            return
        async with self._preparing:
            if model.name not in self._ready:
                await model.ready()
                self._ready[model.name] = model

    def _warn(self, model: ChatModel) -> None:
        if model.name in self._warned:
            return
        self._warned.add(model.name)
        warning = model.profile.shutdown_warning(datetime.now(UTC).date())
        if warning:
            get_logger().warning(warning, model=model.name)

    async def aclose(self) -> None:
        """Close the models that were used, whatever is cancelled around it: none keeps another open by failing or hanging."""
        failures: list[Exception] = []

        async def close(aclose: Callable[[], Awaitable[None]]) -> None:
            try:
                await aclose()
            except Exception as error:  # noqa: BLE001  # raised below
                failures.append(error)

        with anyio.move_on_after(_CLOSING, shield=True) as scope:
            async with anyio.create_task_group() as group:
                for aclose in (
                    *(model.aclose for model in self._ready.values()),
                    self._connection.aclose,
                    self._limiters.aclose,
                ):
                    group.start_soon(close, aclose)
        if scope.cancelled_caught:
            get_logger().warning(f"models were left open: closing them took more than {_CLOSING:g} s")
        if failures:
            raise failures[0] if len(failures) == 1 else ExceptionGroup("models could not be closed", failures)


async def _send(model: ChatModel, request: ChatRequest, on_text: OnText | None, slot: Slot) -> ChatReply:
    """The call itself; its slot is told what the server says. What is not known of its tokens stays charged."""
    try:
        reply = await model.complete(request, on_text)
    except ModelError as error:
        if error.limits is not None:
            slot.observe(error.limits)
        if isinstance(error, RateLimited):
            slot.refused(error.retry_after)
        elif isinstance(error, NoApiKey):
            slot.unsent()
        elif error.status is not None and error.status < 500:
            slot.used(0)
        raise
    if reply.limits is not None:
        slot.observe(reply.limits)
    if used := reply.input_tokens + reply.output_tokens:
        slot.used(used)
    return reply


def _endpoint(model: ChatModel) -> str:
    """The server of a model, without what is asked there; its name where it does not tell."""
    where: str | None = getattr(model, "endpoint", None)
    return (where or model.name).partition("#")[0]


def _limit_key(model: ChatModel) -> str:
    key: str | None = getattr(model, "limit_key", None)
    return key or model.name


def _own_limits(model: ChatModel) -> Limits | None:
    limits: Limits | None = getattr(model, "limits", None)
    return limits

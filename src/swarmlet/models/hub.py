"""`Models`: the models of a swarm by name, behind one limit on calls in flight."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, final

import anyio

from swarmlet.errors import GraphError
from swarmlet.log import get_logger
from swarmlet.models.openai import OpenAIConnection, OpenAIModel

if TYPE_CHECKING:
    from swarmlet.models.base import ChatModel, ChatReply, ChatRequest, OnText
    from swarmlet.policy.limits import Limits

DEFAULT_MODEL = "gpt-4o-mini"
_CLOSING = 5
"""Seconds that closing may take."""


@final
class Models:
    """Finds models by name and lets at most `limits.concurrency` calls of them happen at once.

    `default` is used where no agent and no option names another. A name that was not given as an object is taken for a
    model of OpenAI (or of the server at `OPENAI_BASE_URL`); all such models share one client.
    """

    def __init__(self, default: str | ChatModel, given: Sequence[ChatModel], limits: Limits) -> None:
        objects = [*given, *([] if isinstance(default, str) else [default])]
        self.default: str = default if isinstance(default, str) else default.name
        self.limits = limits
        self._models: dict[str, ChatModel] = {}
        for model in objects:
            if self._models.setdefault(model.name, model) is not model:
                raise GraphError(f"two models of the swarm are both named {model.name!r}")
        self._connection = OpenAIConnection()
        self._slots = anyio.Semaphore(limits.concurrency, fast_acquire=True)
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
        self, model: ChatModel, request: ChatRequest, on_text: OnText | None, started: Callable[[float], None]
    ) -> ChatReply:
        """One attempt, when there is room for it. `started` is told how many seconds it waited for that."""
        await self._prepare(model)
        queued = time.perf_counter()
        async with self._slots:
            started(time.perf_counter() - queued)
            return await model.complete(request, on_text)

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
                for aclose in (*(model.aclose for model in self._ready.values()), self._connection.aclose):
                    group.start_soon(close, aclose)
        if scope.cancelled_caught:
            get_logger().warning(f"models were left open: closing them took more than {_CLOSING:g} s")
        if failures:
            raise failures[0] if len(failures) == 1 else ExceptionGroup("models could not be closed", failures)

"""`Models`: the models of a swarm by name, behind one limit on calls in flight."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
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
        self._ready: set[str] = set()
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
        queued = time.perf_counter()
        await self._prepare(model)
        async with self._slots:
            started(time.perf_counter() - queued)
            return await model.complete(request, on_text)

    async def _prepare(self, model: ChatModel) -> None:
        if model.name not in self._ready:
            async with self._preparing:
                await model.ready()
                self._ready.add(model.name)

    def _warn(self, model: ChatModel) -> None:
        if model.name in self._warned:
            return
        self._warned.add(model.name)
        warning = model.profile.shutdown_warning(datetime.now(UTC).date())
        if warning:
            get_logger().warning(warning, model=model.name)

    async def aclose(self) -> None:
        """Close every client that was made here."""
        for model in self._models.values():
            await model.aclose()
        await self._connection.aclose()

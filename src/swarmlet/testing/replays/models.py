"""The models of a replay: whatever name an option says, it is a model that answers from the recording."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field, replace
from types import TracebackType
from typing import TYPE_CHECKING, Final, final

import anyio
import anyio.lowlevel

import swarmlet.errors
from swarmlet.engine.context import current_or_none
from swarmlet.errors import (
    ContextTooLong,
    ModelError,
    NotRecorded,
    QuotaExhausted,
    RateLimited,
    RequestRejected,
)
from swarmlet.models.base import Draft
from swarmlet.models.profiles import Profile
from swarmlet.testing.replays.call import cut_to, form_of

if TYPE_CHECKING:
    from swarmlet.models.base import ChatModel, ChatReply, ChatRequest, OnText
    from swarmlet.models.hub import Models
    from swarmlet.policy.limits import Limits
    from swarmlet.testing.replays.answers import Answers
    from swarmlet.testing.replays.call import Form
    from swarmlet.testing.replays.scrub import Scrub
    from swarmlet.trace.events import Fault
    from swarmlet.trace.record import Recorder

_TURNS = 4
"""Turns that other tasks have before a reply comes, so that steps which start together have asked when the first goes on."""
_PATIENCE = 10.0
"""Seconds after which a call is given up that was cancelled in the recorded run, and now is not."""
_PIECE = re.compile(r"\s*\S{1,16}|\s+\Z")
_STATUS: Final[dict[type[ModelError], int]] = {RateLimited: 429, QuotaExhausted: 429, RequestRejected: 400, ContextTooLong: 400}


@dataclass(slots=True, kw_only=True)
class Session:
    """What the models of one replay share."""

    answers: Answers
    scrub: Scrub
    records: bool = False
    """Whether what is not recorded is asked for, from the real model."""
    recorders: dict[str, Recorder] = field(default_factory=dict[str, "Recorder"])
    """The records of the runs that had agents, by run."""
    missed: list[NotRecorded] = field(default_factory=list[NotRecorded])
    asked_anew: bool = False

    def missing(self, form: Form, step: str) -> NotRecorded:
        """Note that a request has no answer."""
        error = self.answers.missing(form, step)
        self.missed.append(error)
        return error


@final
class ReplayedModel:
    """Answers from a recording. `real` is asked for what is not there, if the session records."""

    def __init__(self, name: str, profile: Profile, session: Session, real: ChatModel | None = None) -> None:
        self._name = name
        self._profile = profile
        self._session = session
        self._real = real
        self._is_ready = False
        self._preparing = anyio.Lock()

    @property
    def name(self) -> str:
        """The name by which options choose it."""
        return self._name

    @property
    def profile(self) -> Profile:
        """The window and prices of the model whose place it takes."""
        return self._profile

    @property
    def limits(self) -> Limits | None:
        """The limits of the model whose place it takes, if it has any of its own."""
        limits: Limits | None = getattr(self._real, "limits", None)
        return limits

    async def ready(self) -> None:
        """Nothing: the real model is prepared when it is first needed, so that without it no key is."""

    async def complete(self, request: ChatRequest, on_text: OnText | None = None) -> ChatReply:
        """The recorded reply. Raises `NotRecorded` where there is none and none may be asked for."""
        session, step = self._session, current_or_none()
        path = step.path if step is not None else ""
        form = form_of(request, session.scrub)
        call = session.answers.take(form, path)
        if call is not None:
            for _ in range(_TURNS):
                await anyio.lowlevel.checkpoint()
            if call.error is not None:
                raise _error(call.error)
            if call.reply is not None:
                return await _say(cut_to(call.reply, request.max_tokens), on_text)
            await anyio.sleep(_PATIENCE)
        if self._real is None or not session.records:
            raise session.missing(form, path)
        session.asked_anew = True
        return await self._ask(self._real, request, on_text)

    async def _ask(self, real: ChatModel, request: ChatRequest, on_text: OnText | None) -> ChatReply:
        async with self._preparing:
            if not self._is_ready:
                await real.ready()
                self._is_ready = True
        return await real.complete(request, on_text)

    async def aclose(self) -> None:
        """Close the real model, if it was used."""
        if self._real is not None and self._is_ready:
            self._is_ready = False
            await self._real.aclose()


@final
class ReplayedModels(AbstractAsyncContextManager["ReplayedModels", None]):
    """Stands in for a swarm's `Models`: all that they do, but any name is one of a replayed model."""

    def __init__(
        self, models: Models, made: dict[str, ReplayedModel], make: Callable[[str], ReplayedModel], session: Session
    ) -> None:
        self._models = models
        self._made = made
        self._make = make
        self._session = session

    def get(self, name: str | None) -> ReplayedModel:
        """The model of this name, or the default one. Every agent begins with that, so here its run is known to have one."""
        if (step := current_or_none()) is not None:
            self._session.recorders[step.run_id] = step.recorder
        name = name or self._models.default
        if name not in self._made:
            self._made[name] = self._make(name)
        return self._made[name]

    def __getattr__(self, name: str) -> object:
        return getattr(self._models, name)

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self._models.aclose()


async def _say(reply: ChatReply, on_text: OnText | None) -> ChatReply:
    """The reply; to a listener in pieces, as a model would. Nothing is begun with a draft: that would be a matter of timing."""
    if on_text is None or isinstance(on_text, Draft):
        return reply
    begin, first = time.perf_counter(), None
    for piece in _PIECE.findall(reply.text):
        first = time.perf_counter() - begin if first is None else first
        on_text(piece)
        await anyio.lowlevel.checkpoint()
    return replace(reply, first_token=first)


def _error(fault: Fault) -> ModelError:
    """The recorded error again. Its attempts are over, so it is not tried again."""
    kind: object = getattr(swarmlet.errors, fault.type, None)
    if not (isinstance(kind, type) and issubclass(kind, ModelError)):
        return ModelError(f"{fault.type}: {fault.message}")
    error = kind(fault.message, status=_STATUS.get(kind))
    error.retryable = False
    return error

"""Other instrumentations of model calls: a call has one span, whoever else is watching."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from importlib import import_module
from typing import Any, TypeAlias

import anyio
import pytest
from openai import AsyncOpenAI
from openai.resources.chat.completions import AsyncCompletions, Completions
from opentelemetry.sdk.trace import ReadableSpan

from swarmlet import Swarm
from swarmlet.models.base import ChatReply, ChatRequest
from swarmlet.models.openai import OpenAIModel
from swarmlet.testing import ScriptedServer

from .otel_help import Seen, review

pytestmark = [
    pytest.mark.anyio,
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),  # of the instrumentations themselves
    pytest.mark.filterwarnings("ignore:Async generator:ResourceWarning"),  # the SDK's
]

PATIENCE = 30
GENAI = "opentelemetry.instrumentation.genai.openai"
OPENINFERENCE = "openinference.instrumentation.openai"
OPENLLMETRY = "opentelemetry.instrumentation.openai"
Anything: TypeAlias = Any  # instrumentors have no types


class OfTheSdk:
    """A model of the user's own, which calls the SDK as everybody does, so that instrumentations of its methods see it."""

    name = "gpt-4o-mini"

    def __init__(self) -> None:
        self.inner = OpenAIModel("gpt-4o-mini")
        self.profile = self.inner.profile
        self.client: AsyncOpenAI | None = None

    async def ready(self) -> None:
        self.client = AsyncOpenAI(max_retries=0)

    async def complete(self, request: ChatRequest, on_text: object = None) -> ChatReply:
        assert self.client is not None
        reply = await self.client.chat.completions.create(
            model=request.model,
            messages=[{"role": "user", "content": message.text} for message in request.messages],
            max_completion_tokens=request.max_tokens,
        )
        assert reply.usage is not None
        return ChatReply(
            text=reply.choices[0].message.content or "",
            model=reply.model,
            finish_reason="stop",
            input_tokens=reply.usage.prompt_tokens,
            output_tokens=reply.usage.completion_tokens,
        )

    async def aclose(self) -> None:
        if self.client is not None:
            await self.client.close()


@asynccontextmanager
async def instrumented(module: str, seen: Seen) -> AsyncGenerator[None, None]:
    """With another instrumentation of the SDK, whose spans go where ours go."""
    methods = [vars(one)["create"] for one in (Completions, AsyncCompletions)]
    instrumentor: Anything = import_module(module).OpenAIInstrumentor()
    instrumentor.instrument(tracer_provider=seen.provider, meter_provider=seen.meters)
    try:
        yield
    finally:
        instrumentor.uninstrument()
        Completions.create, AsyncCompletions.create = methods  # type: ignore[method-assign]  # not all undo everything


async def spans_of_calls(module: str, model: Any, **settings: Any) -> tuple[list[ReadableSpan], list[ReadableSpan], Seen]:
    """Our spans of the one call of a run, and those of the other instrumentation."""
    seen = Seen()
    with anyio.fail_after(PATIENCE):
        async with instrumented(module, seen), Swarm(model=model, listeners=[seen.tracer(**settings)]) as swarm:
            await swarm.run(review, "x")
    scopes = [(span, span.instrumentation_scope.name if span.instrumentation_scope else "") for span in seen.spans]
    ours = [span for span, scope in scopes if scope == "swarmlet" and span.name.startswith("chat")]
    return ours, [span for span, scope in scopes if scope != "swarmlet"], seen


@pytest.mark.parametrize("module", [GENAI, OPENINFERENCE, OPENLLMETRY])
async def test_a_call_of_our_model_has_one_span(module: str, scripted_server: ScriptedServer) -> None:
    scripted_server.script("done")
    ours, theirs, _ = await spans_of_calls(module, OpenAIModel("gpt-4o-mini"))
    assert (len(ours), theirs) == (1, [])


@pytest.mark.parametrize("module", [GENAI, OPENINFERENCE, OPENLLMETRY])
async def test_a_call_of_a_model_of_the_users_own_has_one_span(module: str, scripted_server: ScriptedServer) -> None:
    scripted_server.script("done")
    ours, theirs, seen = await spans_of_calls(module, OfTheSdk())
    assert (len(ours), theirs) == (1, [])
    assert sum(point.count for point in seen.points("gen_ai.client.operation.duration")) == 1


@pytest.mark.parametrize("module", [GENAI, OPENINFERENCE, OPENLLMETRY])
async def test_the_span_of_a_call_can_be_left_to_the_other(module: str, scripted_server: ScriptedServer) -> None:
    scripted_server.script("done")
    ours, theirs, seen = await spans_of_calls(module, OfTheSdk(), chat_spans=False)
    assert ours == []
    (their,) = theirs
    assert seen.above(their) is seen.one("invoke_agent review")
    counted = seen.points("gen_ai.client.operation.duration")
    assert len(counted) <= 1

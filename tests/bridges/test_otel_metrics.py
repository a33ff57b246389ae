"""The metrics of the conventions."""

from __future__ import annotations

from typing import Any

import anyio
import pytest
from tenacity import wait_none

from swarmlet import (
    Retry,
    Swarm,
)
from swarmlet.testing import RateLimit, ScriptedServer, call

from .otel_help import Seen, attributes, review, write

pytestmark = pytest.mark.anyio

PATIENCE = 30
FAST = Retry(attempts=3, wait=wait_none())


def script(server: ScriptedServer) -> None:
    server.script(call("search", query="docs"), "a text", "good", "better", "best")


async def run(seen: Seen, node_: Any, *args: object, **settings: Any) -> Any:  # Any: nodes and settings of every kind
    with anyio.fail_after(PATIENCE):
        async with Swarm(listeners=[seen.tracer(**settings)]) as swarm:
            return await swarm.run(node_, *args)


# metrics


async def test_the_metrics_of_the_conventions_are_counted(scripted_server: ScriptedServer) -> None:
    scripted_server.script(RateLimit(retry_after_ms=1), "done")
    seen = Seen()

    await run(seen, review.with_options(retry=FAST), "x")

    model = {"gen_ai.operation.name": "chat", "gen_ai.provider.name": "openai", "gen_ai.request.model": "gpt-4o-mini"}
    calls = {dict(point.attributes or {}).get("error.type"): point for point in seen.points("gen_ai.client.operation.duration")}
    assert {error: point.count for error, point in calls.items()} == {None: 1, "RateLimited": 1}
    assert dict(calls["RateLimited"].attributes or {}) == {**model, "error.type": "RateLimited"}
    assert dict(calls[None].attributes or {}) == {**model, "gen_ai.response.model": "gpt-4o-mini"}
    chat = attributes(seen.named("chat gpt-4o-mini")[1])
    tokens = {
        dict(point.attributes or {})["gen_ai.token.type"]: point.sum for point in seen.points("gen_ai.client.token.usage")
    }
    assert tokens == {"input": chat["gen_ai.usage.input_tokens"], "output": chat["gen_ai.usage.output_tokens"]}
    (agents,) = seen.points("gen_ai.invoke_agent.duration")
    assert dict(agents.attributes or {})["gen_ai.agent.name"] == "review"
    assert seen.points("gen_ai.client.operation.time_to_first_chunk") == []
    assert calls[None].explicit_bounds[:3] == pytest.approx((0.01, 0.02, 0.04))


async def test_tools_are_counted_and_streamed_replies_tell_when_they_began(scripted_server: ScriptedServer) -> None:
    scripted_server.script(call("search", query="docs"), "a text")
    seen = Seen()
    with anyio.fail_after(PATIENCE):
        async with Swarm(listeners=[seen.tracer()]) as swarm, swarm.stream(write, "it") as stream:
            async for _ in stream:
                pass

    (tool,) = seen.points("gen_ai.execute_tool.duration")
    assert dict(tool.attributes or {})["gen_ai.tool.name"] == "search"
    (first,) = seen.points("gen_ai.client.operation.time_to_first_chunk")
    assert first.count == 2
    told = attributes(seen.named("chat gpt-4o-mini")[1])
    assert told["gen_ai.request.stream"] is True
    assert told["gen_ai.response.time_to_first_chunk"] > 0

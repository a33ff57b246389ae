"""Runs as OpenTelemetry spans, while they go on: the tree, what is in it, and attempts."""

from __future__ import annotations

import json
from typing import Any

import anyio
import pytest
from opentelemetry.trace import SpanKind, StatusCode
from tenacity import wait_none

from swarmlet import (
    Retry,
    StepFailed,
    Swarm,
    agent,
    current,
    graph,
    node,
)
from swarmlet.bridges.otel import spans_of
from swarmlet.models.base import Image, Message
from swarmlet.testing import Fail, RateLimit, Say, ScriptedServer, Tokens, call

from .otel_help import SOLVE, Seen, Tree, attributes, ids, review, solve, tree, write

pytestmark = pytest.mark.anyio

PATIENCE = 30
FAST = Retry(attempts=3, wait=wait_none())


def script(server: ScriptedServer) -> None:
    server.script(call("search", query="docs"), "a text", "good", "better", "best")


async def run(seen: Seen, node_: Any, *args: object, **settings: Any) -> Any:  # Any: nodes and settings of every kind
    with anyio.fail_after(PATIENCE):
        async with Swarm(listeners=[seen.tracer(**settings)]) as swarm:
            return await swarm.run(node_, *args)


# the tree


async def test_a_run_is_a_tree_of_spans_of_workflow_agents_calls_tools_and_steps(scripted_server: ScriptedServer) -> None:
    script(scripted_server)
    seen = Seen()

    result = await run(seen, solve, "it")

    assert seen.tree == SOLVE
    assert len({ids(span).trace_id for span in seen.spans}) == 1
    assert {span.status.status_code for span in seen.spans} == {StatusCode.UNSET}
    recorded = spans_of(result.trace)
    assert tree([(s.context.span_id, s.parent and s.parent.span_id, s.name, s.start) for s in recorded]) == SOLVE


async def test_the_spans_have_the_attributes_of_the_conventions(scripted_server: ScriptedServer) -> None:
    scripted_server.script(
        call("search", query="docs"), Say("a text", usage=Tokens(input=120, output=30, cached=100)), "good", "better", "best"
    )
    seen = Seen()

    result = await run(seen, solve, "it")

    workflow = seen.one("invoke_workflow solve")
    assert workflow.kind is SpanKind.INTERNAL
    assert attributes(workflow) == {
        "gen_ai.operation.name": "invoke_workflow",
        "gen_ai.workflow.name": "solve",
        "gen_ai.conversation.id": result.id,
        "openinference.span.kind": "CHAIN",
        "swarmlet.run.id": result.id,
        "swarmlet.node": "tests.bridges.otel_help:solve",
    }
    writes = attributes(seen.one("invoke_agent write"))
    assert writes.pop("swarmlet.waited.seconds", 0) >= 0
    assert writes == {
        "gen_ai.operation.name": "invoke_agent",
        "gen_ai.agent.name": "write",
        "gen_ai.provider.name": "openai",
        "gen_ai.request.model": "gpt-4o-mini",
        "gen_ai.conversation.id": result.id,
        "openinference.span.kind": "AGENT",
        "swarmlet.path": "solve/write",
        "swarmlet.node": "tests.bridges.otel_help:write",
    }
    tool = attributes(seen.one("execute_tool search"))
    assert tool == {
        "gen_ai.operation.name": "execute_tool",
        "gen_ai.tool.name": "search",
        "gen_ai.tool.type": "function",
        "gen_ai.tool.call.id": scripted_server.requests[1].messages[-1]["tool_call_id"],
        "gen_ai.agent.name": "write",
        "swarmlet.path": "solve/write",
        "swarmlet.turn": 1,
    }
    chat = seen.named("chat gpt-4o-mini")[1]
    told = attributes(chat)
    assert chat.kind is SpanKind.CLIENT
    assert told["gen_ai.operation.name"] == "chat"
    assert told["gen_ai.provider.name"] == "openai"
    assert told["gen_ai.request.model"] == told["gen_ai.response.model"] == "gpt-4o-mini"
    assert told["gen_ai.request.max_tokens"] == 4096
    assert told["gen_ai.output.type"] == "text"
    assert told["gen_ai.usage.input_tokens"] == 120
    assert told["gen_ai.usage.cache_read.input_tokens"] == 100
    assert told["gen_ai.usage.output_tokens"] == 30
    assert told["gen_ai.response.finish_reasons"] == ("stop",)
    assert (told["swarmlet.turn"], told["swarmlet.attempt"]) == (2, 1)
    assert told["swarmlet.cost.usd"] == told["llm.cost.total"] == pytest.approx(20 * 0.15e-6 + 100 * 0.075e-6 + 30 * 0.6e-6)


async def test_settings_of_a_request_are_told_without_its_content(scripted_server: ScriptedServer) -> None:
    @agent(bool, temperature=0.5, seed=7)
    def decide(text: str) -> str:
        return text

    scripted_server.script('{"value": true}')
    seen = Seen()

    await run(seen, decide, "well?")

    told = attributes(seen.one("chat gpt-4o-mini"))
    assert (told["gen_ai.request.temperature"], told["gen_ai.request.seed"], told["gen_ai.output.type"]) == (0.5, 7, "json")
    assert [name for name, _ in seen.tree] == ["invoke_workflow decide"]
    assert seen.above(seen.one("invoke_agent decide")) is seen.one("invoke_workflow decide")


async def test_nodes_that_are_tools_lie_below_the_tool_and_children_below_the_step_that_runs_them(
    scripted_server: ScriptedServer,
) -> None:
    @node
    async def look_up(word: str) -> str:
        return word

    @agent(str, tools=[look_up])
    def think(text: str) -> str:
        return text

    @node
    async def outer(text: str) -> str:
        return await current().run(think, text)

    scripted_server.script(call("look_up", word="a"), call("look_up", word="b"), "done")
    seen = Seen()

    await run(seen, outer, "go")

    tool: tuple[str, Tree] = ("execute_tool look_up", [("look_up", [])])
    chat: tuple[str, Tree] = ("chat gpt-4o-mini", [])
    assert seen.tree == [
        ("invoke_workflow outer", [("outer", [("invoke_agent think", [chat, tool, chat, tool, chat])])]),
    ]


# content


async def test_nothing_of_what_was_said_is_told_unless_it_is_asked_for(scripted_server: ScriptedServer) -> None:
    @node
    def fail(text: str) -> str:
        raise ValueError(f"secret {text}")

    @graph
    def flow(task: str) -> str:
        return fail(write(task))

    scripted_server.script(call("search", query="secret docs"), "a secret text")
    seen = Seen()

    with pytest.raises(StepFailed):
        await run(seen, flow, "secret")

    assert seen.one("fail").status.status_code is StatusCode.ERROR
    assert "secret" not in "".join(span.to_json() for span in seen.spans)


async def test_with_content_the_messages_are_told_in_the_conventions_format(scripted_server: ScriptedServer) -> None:
    script(scripted_server)
    seen = Seen()

    await run(seen, solve, "it", content=True)

    first, second, *_ = seen.named("chat gpt-4o-mini")
    id_ = attributes(seen.one("execute_tool search"))["gen_ai.tool.call.id"]
    asked = [
        {"role": "system", "parts": [{"type": "text", "content": "You write."}]},
        {"role": "user", "parts": [{"type": "text", "content": "secret it"}]},
    ]
    wish = {"type": "tool_call", "id": id_, "name": "search", "arguments": {"query": "docs"}}
    assert json.loads(attributes(first)["gen_ai.input.messages"]) == asked
    assert json.loads(attributes(first)["gen_ai.output.messages"]) == [
        {"role": "assistant", "parts": [wish], "finish_reason": "tool_call"}
    ]
    assert json.loads(attributes(second)["gen_ai.input.messages"]) == [
        *asked,
        {"role": "assistant", "parts": [wish]},
        {"role": "tool", "parts": [{"type": "tool_call_response", "id": id_, "response": "found docs"}]},
    ]
    assert json.loads(attributes(second)["gen_ai.output.messages"]) == [
        {"role": "assistant", "parts": [{"type": "text", "content": "a text"}], "finish_reason": "stop"}
    ]
    (definition,) = json.loads(attributes(first)["gen_ai.tool.definitions"])
    assert (definition["type"], definition["name"], definition["description"]) == (
        "function",
        "search",
        "Search the documents.",
    )
    tool = attributes(seen.one("execute_tool search"))
    assert json.loads(tool["gen_ai.tool.call.arguments"]) == {"query": "docs"}
    assert tool["gen_ai.tool.call.result"] == "found docs"
    workflow = attributes(seen.one("invoke_workflow solve"))
    assert json.loads(workflow["input.value"]) == {"task": "it"}
    assert json.loads(workflow["output.value"]) == ["best"]


async def test_pictures_are_named_and_not_sent_along(scripted_server: ScriptedServer) -> None:
    @agent(str)
    def see(text: str) -> list[Message]:
        return [Message.user(text, Image("https://x.test/a.png"), Image("data:image/png;base64,QUJD"))]

    scripted_server.script("a cat")
    seen = Seen()

    await run(seen, see, "what?", content=True)

    (message,) = json.loads(attributes(seen.one("chat gpt-4o-mini"))["gen_ai.input.messages"])
    assert message["parts"] == [
        {"type": "text", "content": "what?"},
        {"type": "uri", "modality": "image", "uri": "https://x.test/a.png"},
        {"type": "blob", "modality": "image", "mime_type": "image/png", "content": ""},
    ]


async def test_a_swarm_that_captures_nothing_has_nothing_to_tell(scripted_server: ScriptedServer) -> None:
    scripted_server.script("a secret")
    seen = Seen()
    with anyio.fail_after(PATIENCE):
        async with Swarm(listeners=[seen.tracer(content=True)], capture=False) as swarm:
            await swarm.run(review, "secret")
    assert "secret" not in "".join(span.to_json() for span in seen.spans)


# retries


async def test_each_attempt_of_a_call_is_a_span_that_links_to_the_one_before(scripted_server: ScriptedServer) -> None:
    scripted_server.script(RateLimit(retry_after_ms=1), Fail(500), "done")
    seen = Seen()

    await run(seen, review.with_options(retry=FAST), "x")

    first, second, third = seen.named("chat gpt-4o-mini")
    assert [attributes(one)["swarmlet.attempt"] for one in (first, second, third)] == [1, 2, 3]
    assert [one.status.status_code for one in (first, second, third)] == [StatusCode.ERROR, StatusCode.ERROR, StatusCode.UNSET]
    assert attributes(first)["error.type"] == "RateLimited"
    assert not first.links
    for before, after in ((first, second), (second, third)):
        (link,) = after.links
        assert link.context.span_id == ids(before).span_id
        assert dict(link.attributes or {}) == {"swarmlet.link": "retry_of"}


async def test_each_attempt_of_a_step_is_a_span_that_links_to_the_one_before_and_has_its_own_below() -> None:
    seen = Seen()

    @node
    async def flaky(text: str) -> str:
        with seen.user.start_as_current_span(f"mine {current().attempt}"):
            if current().attempt < 3:
                raise OSError(text)
        return text

    await run(seen, flaky.with_options(retry=Retry(attempts=3, on=(OSError,), wait=wait_none())), "x")

    first, second, third = seen.named("flaky")
    assert [attributes(one).get("swarmlet.attempt", 1) for one in (first, second, third)] == [1, 2, 3]
    assert [one.status.status_code for one in (first, second, third)] == [StatusCode.ERROR, StatusCode.ERROR, StatusCode.UNSET]
    assert [link.context.span_id for link in third.links] == [ids(second).span_id]
    assert [link.context.span_id for link in second.links] == [ids(first).span_id]
    for number, attempt in enumerate((first, second, third), 1):
        assert seen.above(seen.one(f"mine {number}")) is attempt

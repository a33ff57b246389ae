"""The current span: that of the caller around a run, that of the step, the tool or the call within it."""

from __future__ import annotations

from typing import Any

import anyio
import pytest
from anyio.lowlevel import checkpoint
from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.sdk.trace import Span, SpanProcessor
from tenacity import wait_none

from swarmlet import (
    Retry,
    Swarm,
    agent,
    current,
    each,
    graph,
    node,
)
from swarmlet.bridges.otel import continuing, traceparent
from swarmlet.testing import Fail, ScriptedServer, call

from .otel_help import Seen, Tree, ids, review

pytestmark = pytest.mark.anyio

PATIENCE = 30
FAST = Retry(attempts=3, wait=wait_none())


def script(server: ScriptedServer) -> None:
    server.script(call("search", query="docs"), "a text", "good", "better", "best")


async def run(seen: Seen, node_: Any, *args: object, **settings: Any) -> Any:  # Any: nodes and settings of every kind
    with anyio.fail_after(PATIENCE):
        async with Swarm(listeners=[seen.tracer(**settings)]) as swarm:
            return await swarm.run(node_, *args)


# the current span


async def test_the_run_is_a_child_of_the_callers_span_and_the_users_spans_lie_below_their_steps(
    scripted_server: ScriptedServer,
) -> None:
    seen = Seen()

    def mine(name: str) -> None:
        with seen.user.start_as_current_span(f"in {name}"):
            pass

    @node
    def quick(number: int) -> int:
        mine("quick")
        return number

    @node(thread=True)
    def slow(number: int) -> int:
        mine("slow")
        return number

    @node
    async def waiting(number: int) -> int:
        await checkpoint()
        with seen.user.start_as_current_span("in waiting"):
            await checkpoint()
        await current().run(quick, number)
        mine("waiting again")
        return number

    async def ask_around() -> str:
        """Ask."""
        await checkpoint()
        mine("async tool")
        return "yes"

    def look_around() -> str:
        """Look."""
        mine("sync tool")
        return "yes"

    @agent(str, tools=[ask_around, look_around])
    def think(a: int, b: int, c: int) -> str:
        mine("prompt")
        return f"{a} {b} {c}"

    @graph
    def flow(number: int) -> str:
        return think(slow(quick(number)), waiting(number), quick(number))

    scripted_server.script(call("ask_around"), call("look_around"), "done")
    with seen.user.start_as_current_span("the caller"):
        before = trace.get_current_span()
        await run(seen, flow, 1)
        assert trace.get_current_span() is before

    assert seen.above(seen.one("invoke_workflow flow")) is seen.one("the caller")
    expected = {
        "in slow": "slow",
        "in waiting": "waiting",
        "in waiting again": "waiting",
        "in async tool": "execute_tool ask_around",
        "in sync tool": "execute_tool look_around",
        "in prompt": "invoke_agent think",
    }
    for name, over in expected.items():
        assert seen.above(seen.one(name)) is seen.one(over)
    inside = [seen.above(span) for span in seen.named("in quick")]
    assert len({id(span) for span in inside}) == 3
    assert {span.name for span in inside if span is not None} == {"quick"}
    assert len({ids(span).trace_id for span in seen.spans}) == 1


async def test_what_a_model_does_lies_below_the_span_of_its_call(scripted_server: ScriptedServer) -> None:
    seen = Seen()
    above: list[str] = []

    class Http(SpanProcessor):
        def on_start(self, span: Span, parent_context: Context | None = None) -> None:
            if span.name == "POST":
                above.append(getattr(trace.get_current_span(), "name", ""))

    seen.provider.add_span_processor(Http())

    from swarmlet.models.openai import OpenAIModel

    class Instrumented:
        """A model whose HTTP client is instrumented."""

        name = "gpt-4o-mini"

        def __init__(self) -> None:
            self.inner = OpenAIModel("gpt-4o-mini")
            self.profile = self.inner.profile
            self.ready = self.inner.ready
            self.aclose = self.inner.aclose

        async def complete(self, request: Any, on_text: Any = None) -> Any:  # Any: passed on
            with seen.user.start_as_current_span("POST"):
                return await self.inner.complete(request, on_text)

    scripted_server.script(Fail(500), "done")
    with anyio.fail_after(PATIENCE):
        async with Swarm(model=Instrumented(), listeners=[seen.tracer()]) as swarm:
            await swarm.run(review.with_options(retry=FAST), "x")

    assert above == ["chat gpt-4o-mini"] * 2
    assert [seen.above(span) for span in seen.named("POST")] == seen.named("chat gpt-4o-mini")


async def test_runs_side_by_side_with_one_tracer_do_not_mix(scripted_server: ScriptedServer) -> None:
    seen = Seen()

    @node
    async def step(name: str) -> str:
        for _ in range(3):
            await checkpoint()
            with seen.user.start_as_current_span(f"in {name}"):
                await checkpoint()
        return name

    @graph
    def flow(names: list[str]) -> list[str]:
        return each(step)(names)

    tracer = seen.tracer()
    with anyio.fail_after(PATIENCE):
        async with Swarm(listeners=[tracer]) as swarm, anyio.create_task_group() as group:

            async def one(number: int) -> None:
                await swarm.run(flow, [f"{number}a", f"{number}b"])

            for number in range(5):
                group.start_soon(one, number)

    roots = seen.named("invoke_workflow flow")
    assert len(roots) == len({ids(span).trace_id for span in roots}) == 5
    trace_of = {name: {ids(span).trace_id for span in seen.named(f"in {name}")} for name in ("0a", "0b", "4a")}
    assert trace_of["0a"] == trace_of["0b"] != trace_of["4a"]
    for span in seen.spans:
        if span.name.startswith("in "):
            over = seen.above(span)
            assert over is not None
            assert over.name == "step"
    assert tracer.open_spans == 0


async def test_two_tracers_leave_nothing_behind_in_the_caller() -> None:
    first, second = Seen(), Seen()
    inside: list[str] = []

    @node
    def step(number: int) -> int:
        inside.append(getattr(trace.get_current_span(), "name", ""))
        return number

    @graph
    def flow(numbers: list[int]) -> list[int]:
        return each(step)(each(step)(numbers))

    before = trace.get_current_span()
    with anyio.fail_after(PATIENCE):
        async with Swarm(listeners=[first.tracer(), second.tracer()]) as swarm:
            await swarm.run(flow, [1, 2])
            assert trace.get_current_span() is before

    assert inside == ["step"] * 4
    for span in second.named("step"):
        assert second.above(span) is not None


async def test_a_run_within_a_step_of_another_lies_below_it() -> None:
    seen = Seen()
    tracer = seen.tracer()

    @node
    def inner(number: int) -> int:
        return number

    @node
    async def outer(number: int) -> int:
        async with Swarm(listeners=[tracer]) as own:
            return (await own.run(inner, number)).output

    with anyio.fail_after(PATIENCE):
        async with Swarm(listeners=[tracer]) as swarm:
            await swarm.run(outer, 1)

    nested: Tree = [("invoke_workflow inner", [("inner", [])])]
    assert seen.tree == [("invoke_workflow outer", [("outer", nested)])]


async def test_a_traceparent_from_elsewhere_is_the_parent() -> None:
    @node
    def tell(number: int) -> str:
        return traceparent() or ""

    seen = Seen()
    given = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
    with continuing(given):
        assert traceparent() == given
        result = await run(seen, tell, 1)
    with continuing(None), continuing("nonsense"):
        assert traceparent() is None

    root = seen.one("invoke_workflow tell")
    assert root.parent is not None
    assert f"{root.parent.trace_id:032x}-{root.parent.span_id:016x}" in given
    assert result.output == f"00-{ids(root).trace_id:032x}-{ids(seen.one('tell')).span_id:016x}-01"

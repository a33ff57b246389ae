"""How runs end, as OpenTelemetry sees them; sampling, memory, and telemetry that fails."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import anyio
import pytest
from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.sdk.trace import Span, SpanProcessor
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF
from opentelemetry.trace import StatusCode
from tenacity import wait_fixed

from swarmlet import (
    Retry,
    StepFailed,
    Suspended,
    Swarm,
    ask,
    each,
    graph,
    node,
    race,
)
from swarmlet.bridges.otel import OtelTracer
from swarmlet.testing import ScriptedServer, call

from .otel_help import Seen, attributes, ids, solve

pytestmark = pytest.mark.anyio

PATIENCE = 30


def script(server: ScriptedServer) -> None:
    server.script(call("search", query="docs"), "a text", "good", "better", "best")


async def run(seen: Seen, node_: Any, *args: object, **settings: Any) -> Any:  # Any: nodes and settings of every kind
    with anyio.fail_after(PATIENCE):
        async with Swarm(listeners=[seen.tracer(**settings)]) as swarm:
            return await swarm.run(node_, *args)


# how runs end


async def test_a_failed_run_says_where_and_what_failed() -> None:
    @node
    def fail(number: int) -> int:
        raise ValueError("why it failed")

    seen = Seen()
    with pytest.raises(StepFailed):
        await run(seen, fail, 1, content=True)

    for name, error in (("fail", "ValueError"), ("invoke_workflow fail", "StepFailed")):
        span = seen.one(name)
        assert span.status.status_code is StatusCode.ERROR
        assert attributes(span)["error.type"] == error
        assert attributes(span)["swarmlet.state"] == "failed"
        assert "why it failed" in (span.status.description or "")


async def test_a_cancelled_run_leaves_no_span_open() -> None:
    seen = Seen()
    begun: list[int] = []
    both = anyio.Event()

    @node
    async def forever(number: int) -> int:
        begun.append(number)
        if len(begun) == 2:
            both.set()
        await anyio.sleep_forever()
        return number

    @graph
    def inner(number: int) -> list[int]:
        return each(forever)([number, number])

    @graph
    def flow(number: int) -> list[int]:
        return inner(number)

    tracer = seen.tracer()
    before = trace.get_current_span()
    with anyio.fail_after(PATIENCE):
        async with Swarm(listeners=[tracer]) as swarm, anyio.create_task_group() as group:

            async def one() -> None:
                await swarm.run(flow, 1)

            group.start_soon(one)
            await both.wait()
            assert tracer.open_spans >= 3
            group.cancel_scope.cancel()

    assert tracer.open_spans == 0
    assert trace.get_current_span() is before
    steps = [attributes(span) for span in seen.named("forever") if "swarmlet.node" in attributes(span)]
    assert [told["swarmlet.state"] for told in steps] == ["cancelled"] * 2  # the map of that name is no step
    root = seen.one("invoke_workflow flow")
    assert (attributes(root)["swarmlet.state"], root.status.status_code) == ("cancelled", StatusCode.UNSET)
    assert all((span.end_time or 0) <= (root.end_time or 0) for span in seen.spans)


async def test_an_attempt_that_was_not_reached_lasts_no_time() -> None:
    seen = Seen()
    failed = anyio.Event()

    @node
    async def flaky(number: int) -> int:
        failed.set()
        raise OSError(number)

    patient = flaky.with_options(retry=Retry(attempts=3, on=(OSError,), wait=wait_fixed(20)))
    with anyio.fail_after(PATIENCE):
        async with Swarm(listeners=[seen.tracer()]) as swarm, anyio.create_task_group() as group:

            async def one() -> None:
                await swarm.run(patient, 1)

            group.start_soon(one)
            await failed.wait()
            await anyio.wait_all_tasks_blocked()
            group.cancel_scope.cancel()

    first, second = seen.named("flaky")
    assert attributes(first)["error.type"] == "OSError"
    assert attributes(second)["swarmlet.state"] == "cancelled"
    assert second.start_time == second.end_time


async def test_the_loser_of_a_race_is_cancelled_and_not_in_error() -> None:
    @node
    async def fast(number: int) -> int:
        return number

    @node
    async def slow(number: int) -> int:
        await anyio.sleep_forever()
        return number

    seen = Seen()
    await run(seen, race(slow, fast), 1)

    loser = seen.one("slow")
    assert (attributes(loser)["swarmlet.state"], loser.status.status_code) == ("cancelled", StatusCode.UNSET)
    events = [event for span in seen.spans for event in span.events if event.name == "swarmlet.decided"]
    assert [dict(event.attributes or {}) for event in events] == [{"swarmlet.by": "race", "swarmlet.chosen": "race/fast"}]


async def test_what_resumes_a_run_links_to_the_spans_that_were_left(tmp_path: Path) -> None:
    @node
    def double(number: int) -> int:
        return number * 2

    @ask(int)
    def how_many(number: int) -> str:
        return f"{number} or how many?"

    @graph
    def flow(number: int) -> int:
        return double(how_many(number))

    journal, seen = tmp_path / "runs.sqlite", Seen()
    tracer = seen.tracer()
    with anyio.fail_after(PATIENCE):
        async with Swarm(journal=journal, listeners=[tracer]) as swarm:
            with pytest.raises(Suspended) as left:
                await swarm.run(flow, 1)
        assert left.value.run is not None
        run_id = left.value.run.id
        assert tracer.open_spans == 0
        async with Swarm(journal=journal, listeners=[tracer]) as swarm:
            await swarm.answer(run_id, left.value.questions[0], 21)
            result = await swarm.resume(run_id, flow)

    assert result.output == 42
    first, second = seen.named("invoke_workflow flow")
    assert attributes(first)["swarmlet.state"] == "suspended"
    assert attributes(second)["swarmlet.resumed"] == 1
    assert attributes(first)["gen_ai.conversation.id"] == attributes(second)["gen_ai.conversation.id"] == run_id
    (link,) = second.links
    assert link.context.span_id == ids(first).span_id
    assert dict(link.attributes or {}) == {"swarmlet.link": "resumes"}
    asked, again = seen.named("how_many")
    assert [link.context.span_id for link in again.links] == [ids(asked).span_id]
    assert tracer.open_spans == 0


async def test_a_run_that_another_process_began_has_its_name_when_it_is_resumed(tmp_path: Path) -> None:
    broken = [True]

    @node
    def mend(number: int) -> int:
        if broken:
            raise OSError("not yet")
        return number

    @graph
    def flow(number: int) -> int:
        return mend(number)

    journal = tmp_path / "runs.sqlite"
    with anyio.fail_after(PATIENCE):
        async with Swarm(journal=journal) as swarm:
            with pytest.raises(StepFailed) as failed:
                await swarm.run(flow, 1)
        assert failed.value.run is not None
        broken.clear()
        seen = Seen()
        async with Swarm(journal=journal, listeners=[seen.tracer()]) as swarm:
            await swarm.resume(failed.value.run.id, flow)

    assert seen.tree == [("invoke_workflow flow", [("mend", [])])]
    assert attributes(seen.one("invoke_workflow flow"))["gen_ai.workflow.name"] == "flow"
    (point,) = seen.points("gen_ai.invoke_workflow.duration")
    assert dict(point.attributes or {})["gen_ai.workflow.name"] == "flow"


# sampling, memory, failures


async def test_a_run_that_is_not_sampled_has_no_spans_but_counts(scripted_server: ScriptedServer) -> None:
    script(scripted_server)
    seen = Seen(ALWAYS_OFF)
    tracer = seen.tracer()
    with anyio.fail_after(PATIENCE):
        async with Swarm(listeners=[tracer]) as swarm:
            await swarm.run(solve, "it")

    assert seen.spans == ()
    assert sum(point.count for point in seen.points("gen_ai.client.operation.duration")) == 5
    assert tracer.open_spans == 0


async def test_the_groups_of_a_long_run_are_not_all_held_open() -> None:
    open_: list[int] = []
    seen = Seen()
    tracer = seen.tracer()

    @node
    def count(number: int) -> int:
        open_.append(tracer.open_spans)
        return number

    @graph
    def part(number: int) -> int:
        return count(count(number))

    @graph
    def flow(numbers: list[int]) -> list[int]:
        return each(part, concurrency=4)(numbers)

    with anyio.fail_after(PATIENCE):
        async with Swarm(listeners=[tracer]) as swarm:
            await swarm.run(flow, list(range(500)))

    assert max(open_) < 100
    assert len(seen.spans) == 1 + 1 + 500 + 1000
    for group in seen.named("part[7]"):
        inside = [span for span in seen.named("count") if seen.above(span) is group]
        assert len(inside) == 2
        assert (group.start_time, group.end_time) == (inside[0].start_time, inside[1].end_time)


async def test_telemetry_that_fails_is_logged_once_and_fails_no_run(caplog: pytest.LogCaptureFixture) -> None:
    class Broken(SpanProcessor):
        def on_start(self, span: Span, parent_context: Context | None = None) -> None:
            raise RuntimeError("a processor's own fault")

    @node
    def step(number: int) -> int:
        return number

    seen = Seen()
    seen.provider.add_span_processor(Broken())
    with caplog.at_level(logging.ERROR, logger="swarmlet"):
        result = await run(seen, each(step), [1, 2, 3])

    assert result.output == [1, 2, 3]
    assert len([record for record in caplog.records if "telemetry" in record.getMessage()]) == 1


def test_without_the_sdk_it_does_nothing() -> None:
    @node
    def step(number: int) -> int:
        return number

    async def main() -> int:
        async with Swarm(listeners=[OtelTracer()]) as swarm:
            return (await swarm.run(step, 1)).output

    assert anyio.run(main) == 1

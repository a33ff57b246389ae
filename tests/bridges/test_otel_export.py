"""Recorded runs as OpenTelemetry spans, after the fact."""

from __future__ import annotations

import json
from pathlib import Path

import anyio
import anyio.to_thread
import pytest
from google.protobuf.json_format import Parse
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span as SentSpan
from opentelemetry.proto.trace.v1.trace_pb2 import Status
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.trace import StatusCode
from tenacity import wait_none

from swarmlet import Retry, StepFailed, Suspended, Swarm, SwarmletError, agent, ask, graph, node
from swarmlet.bridges.otel import export_trace, otlp_json, spans_of
from swarmlet.testing import Fail, ScriptedServer, call
from swarmlet.trace import Journal, Trace
from swarmlet.trace.events import CallEnded, RunEnded, StepEnded

from .otel_help import SOLVE, Collector, Seen, collector, review, solve, tree

pytestmark = pytest.mark.anyio

PATIENCE = 30
FAST = Retry(attempts=3, wait=wait_none())


async def recorded(server: ScriptedServer) -> Trace:
    server.script(call("search", query="docs"), "a text", "good", "better", "best")
    with anyio.fail_after(PATIENCE):
        async with Swarm() as swarm:
            return (await swarm.run(solve, "it")).trace


def exporter_to(found: Collector) -> OTLPSpanExporter:
    return OTLPSpanExporter(f"{found.url}/v1/traces", timeout=PATIENCE)


def told(span: SentSpan) -> dict[str, object]:
    kinds = ("string_value", "int_value", "double_value", "bool_value")
    return {
        one.key: next((getattr(one.value, kind) for kind in kinds if one.value.HasField(kind)), None)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
        for one in span.attributes
    }


async def test_a_live_run_arrives_at_a_collector(scripted_server: ScriptedServer) -> None:
    scripted_server.script(call("search", query="docs"), "a text", "good", "better", "best")
    seen = Seen()
    with collector() as found:
        processor = BatchSpanProcessor(exporter_to(found))
        seen.provider.add_span_processor(processor)
        with anyio.fail_after(PATIENCE):
            async with Swarm(listeners=[seen.tracer()]) as swarm:
                await swarm.run(solve, "it")
            await anyio.to_thread.run_sync(processor.shutdown)

    assert found.tree == SOLVE
    chats = [told(span) for span in found.spans if span.name == "chat gpt-4o-mini"]
    assert sum(int(str(one["gen_ai.usage.input_tokens"])) for one in chats) > 0


async def test_a_recorded_run_arrives_with_the_same_ids_each_time(scripted_server: ScriptedServer) -> None:
    trace = await recorded(scripted_server)
    with collector() as found:
        for _ in range(2):
            assert await anyio.to_thread.run_sync(export_trace, trace, exporter_to(found)) == 17

    first, second = ([span.span_id for span in request.resource_spans[0].scope_spans[0].spans] for request in found.requests)
    assert first == second
    assert len(set(first)) == 17
    assert len({span.trace_id for span in found.spans}) == 1
    assert {span.end_time_unix_nano >= span.start_time_unix_nano > 10**18 for span in found.spans} == {True}
    found.requests.pop()
    assert found.tree == SOLVE


async def test_the_json_is_what_a_collector_reads(scripted_server: ScriptedServer) -> None:
    trace = await recorded(scripted_server)

    request = json.loads(otlp_json(trace, resource={"service.name": "an app"}))
    ours = request["resourceSpans"][0]["scopeSpans"][0]["spans"]
    for span in ours:  # protobuf's own JSON would have bytes in base64 here; OTLP has them in hex
        for link in (span, *span.get("links", ())):
            for key in {"traceId", "spanId", "parentSpanId"} & set(link):
                assert bytes.fromhex(link[key])
                link[key] = ""
    read = Parse(json.dumps(request), ExportTraceServiceRequest())

    resource = read.resource_spans[0]
    assert [(one.key, one.value.string_value) for one in resource.resource.attributes] == [("service.name", "an app")]
    assert resource.scope_spans[0].scope.name == "swarmlet"
    with collector() as found:
        await anyio.to_thread.run_sync(export_trace, trace, exporter_to(found))
    for one, other in zip(resource.scope_spans[0].spans, found.spans, strict=True):
        assert (one.name, one.kind, told(one)) == (other.name, other.kind, told(other))
        assert (one.start_time_unix_nano, one.end_time_unix_nano) == (other.start_time_unix_nano, other.end_time_unix_nano)


async def test_content_is_written_only_if_it_is_asked_for(scripted_server: ScriptedServer) -> None:
    trace = await recorded(scripted_server)

    assert b"secret" not in otlp_json(trace)
    assert b"found docs" not in otlp_json(trace)
    assert b"secret it" in otlp_json(trace, content=True)
    assert b"found docs" in otlp_json(trace, content=True)


async def test_errors_and_retries_are_in_it(scripted_server: ScriptedServer) -> None:
    scripted_server.script(Fail(500), "good")

    @node
    def fail(text: str) -> str:
        raise ValueError(f"secret {text}")

    @graph
    def flow(text: str) -> str:
        return fail(review(text))

    with anyio.fail_after(PATIENCE):
        async with Swarm() as swarm:
            with pytest.raises(StepFailed) as failed:
                await swarm.run(flow.with_options(retry=FAST), "it")
    assert failed.value.run is not None
    trace = failed.value.run.trace
    with collector() as found:
        await anyio.to_thread.run_sync(export_trace, trace, exporter_to(found))

    first, second = [span for span in found.spans if span.name == "chat gpt-4o-mini"]
    assert [link.span_id for link in second.links] == [first.span_id]
    assert (first.status.code, second.status.code) == (Status.STATUS_CODE_ERROR, Status.STATUS_CODE_UNSET)
    assert b'"links"' in otlp_json(trace)
    assert b'"code":2' in otlp_json(trace)
    assert b"secret" not in otlp_json(trace)


async def test_a_run_that_was_killed_is_told_as_far_as_it_came(scripted_server: ScriptedServer) -> None:
    whole = await recorded(scripted_server)
    cut = next(index for index, event in enumerate(whole.events) if isinstance(event, CallEnded))
    killed = Trace(whole.events[:cut], whole.content, lost=True)

    spans = {span.name: span for span in spans_of(killed)}

    assert list(spans) == ["invoke_workflow solve", "invoke_agent write", "chat gpt-4o-mini"]
    assert [span.attributes["swarmlet.state"] for span in spans.values()] == ["lost"] * 3
    assert {span.ended for span in spans.values()} == {int(killed.events[-1].at * 1e9)}
    assert [one.context for one in spans_of(whole)][:3] == [one.context for one in spans.values()]
    going = spans_of(Trace(whole.events[:cut], whole.content))
    assert [span.attributes["swarmlet.state"] for span in going] == ["running"] * 3


async def test_a_run_that_was_resumed_has_a_root_for_each_process(tmp_path: Path) -> None:
    @ask(int)
    def how_many(number: int) -> str:
        return f"{number} or how many?"

    @node
    def double(number: int) -> int:
        return number * 2

    @graph
    def flow(number: int) -> int:
        return double(how_many(number))

    with anyio.fail_after(PATIENCE):
        async with Swarm(journal=tmp_path / "runs.sqlite") as swarm:
            with pytest.raises(Suspended) as left:
                await swarm.run(flow, 1)
            assert left.value.run is not None
            run_id = left.value.run.id
            await swarm.answer(run_id, left.value.questions[0], 21)
            await swarm.resume(run_id, flow)
    spans = spans_of(Journal(tmp_path / "runs.sqlite").trace(run_id))

    first, second = [span for span in spans if span.name == "invoke_workflow flow"]
    assert [span.parent for span in (first, second)] == [None, None]
    assert first.context.span_id != second.context.span_id
    assert [link.context for link in second.links] == [first.context]
    asked, again = [span for span in spans if span.name == "how_many"]
    assert [link.context for link in again.links] == [asked.context]
    assert second.attributes["swarmlet.resumed"] == 1


async def test_a_killed_process_and_the_one_that_goes_on_are_two_roots(scripted_server: ScriptedServer) -> None:
    whole = await recorded(scripted_server)
    from swarmlet.trace.events import RunResumed

    events = list(whole.events)
    cut = next(index for index, event in enumerate(events) if isinstance(event, StepEnded))
    events[cut:cut] = [RunResumed(at=events[cut].at, number=1)]

    spans = spans_of(Trace(events, whole.content))

    first, second = [span for span in spans if span.parent is None]
    assert (first.attributes["swarmlet.state"], second.attributes.get("swarmlet.state")) == ("lost", None)
    assert [link.context for link in second.links] == [first.context]


async def test_an_exporter_that_fails_is_an_error(scripted_server: ScriptedServer) -> None:
    trace = await recorded(scripted_server)
    with collector(status=400) as found, pytest.raises(SwarmletError, match="could not be exported"):
        await anyio.to_thread.run_sync(export_trace, trace, exporter_to(found))


async def test_a_record_that_ends_in_an_odd_place_is_exported_all_the_same(scripted_server: ScriptedServer) -> None:
    whole = await recorded(scripted_server)
    events = whole.events
    for length in range(1, len(events) + 1):
        spans = spans_of(Trace(events[:length], whole.content), content=True)
        assert all(span.ended is not None and span.ended >= span.start for span in spans)
    backwards = [events[0], *reversed(events[1:])]  # of a journal that somebody else has written
    assert spans_of(Trace(backwards, whole.content))
    assert isinstance(events[-1], RunEnded)


async def test_without_calls_only_the_agents_are_told(scripted_server: ScriptedServer) -> None:
    trace = await recorded(scripted_server)
    names = {span.name for span in spans_of(trace, chat_spans=False)}
    assert "chat gpt-4o-mini" not in names
    assert "invoke_agent write" in names
    assert {span.status.status_code for span in spans_of(trace)} == {StatusCode.UNSET}
    assert tree([(s.context.span_id, s.parent and s.parent.span_id, s.name, s.start) for s in spans_of(trace)]) == SOLVE


def test_an_agent_that_makes_no_call_is_a_plain_step() -> None:
    @agent(str)
    def broken(text: str) -> str:
        raise ValueError(text)

    async def main() -> Trace:
        async with Swarm() as swarm:
            with pytest.raises(StepFailed) as failed:
                await swarm.run(broken, "x")
            assert failed.value.run is not None
            return failed.value.run.trace

    assert [span.name for span in spans_of(anyio.run(main))] == ["invoke_workflow broken", "broken"]

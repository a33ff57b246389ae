"""What a real consumer makes of our spans: a run is sent to Phoenix over OTLP, and read back through its API.

Skipped unless SWARMLET_TEST_PHOENIX_URL says where one is. To start one, in an environment of its own:

    python -m venv phoenix && phoenix/bin/pip install arize-phoenix
    PHOENIX_WORKING_DIR=$PWD/phoenix/data PHOENIX_HOST=127.0.0.1 PHOENIX_PORT=6006 PHOENIX_TELEMETRY_ENABLED=false \\
        phoenix/bin/phoenix serve &
    SWARMLET_TEST_PHOENIX_URL=http://127.0.0.1:6006 pytest tests/bridges/test_otel_consumer.py
"""

from __future__ import annotations

import json
import os
import urllib.request
from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any, TypeAlias, cast
from uuid import uuid4

import anyio
import anyio.to_thread
import pytest
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from tenacity import wait_none

from swarmlet import Retry, Run, Swarm
from swarmlet.bridges.otel import OtelTracer, export_trace
from swarmlet.testing import RateLimit, Say, ScriptedServer, Tokens, call

from .otel_help import SOLVE, Tree, solve, tree

URL = os.environ.get("SWARMLET_TEST_PHOENIX_URL", "").rstrip("/")
pytestmark = [
    pytest.mark.anyio,
    pytest.mark.real_consumer,
    pytest.mark.skipif(not URL, reason="SWARMLET_TEST_PHOENIX_URL does not say where a Phoenix is"),
]

PATIENCE = 60
Found: TypeAlias = Mapping[str, Any]  # as its API has it
QUERY = """{ projects(first: 1000) { edges { node { name
    tokenCountTotal costSummary { total { cost } }
    spans(first: 1000) { edges { node {
        name spanKind statusCode parentId startTime context { spanId traceId } attributes
        tokenCountPrompt tokenCountCompletion costSummary { total { cost } }
    } } }
} } } }"""
KINDS = {"invoke_workflow": "chain", "invoke_agent": "agent", "chat": "llm", "execute_tool": "tool"}


def _nodes(connection: Found) -> list[Found]:
    return [edge["node"] for edge in connection["edges"]]


def _project(name: str) -> Found | None:
    body = json.dumps({"query": QUERY}).encode()
    request = urllib.request.Request(f"{URL}/graphql", body, {"content-type": "application/json"})
    with urllib.request.urlopen(request, timeout=PATIENCE) as response:
        told = cast("Found", json.load(response))
    return next((project for project in _nodes(told["data"]["projects"]) if project["name"] == name), None)


async def read_back(name: str, spans: int, chats: int) -> Found:
    """The project, when Phoenix has taken all spans and has worked out what the calls cost."""
    with anyio.fail_after(PATIENCE):
        while True:
            project = await anyio.to_thread.run_sync(_project, name)
            found = _nodes(project["spans"]) if project is not None else []
            priced = [span for span in found if span["costSummary"] is not None]
            if project is not None and len(found) == spans and len(priced) == chats:
                return project
            await anyio.sleep(0.2)


def _tree(spans: Sequence[Found]) -> Tree:
    return tree(
        [
            (
                int(span["context"]["spanId"], 16),
                int(span["parentId"], 16) if span["parentId"] else None,
                span["name"],
                _nanoseconds(span["startTime"]),
            )
            for span in spans
        ]
    )


def _nanoseconds(written: str) -> int:
    from datetime import datetime

    return int(datetime.fromisoformat(written).timestamp() * 1e6)


def script(server: ScriptedServer) -> None:
    server.script(
        call("search", query="docs"),
        Say("a text", usage=Tokens(input=2000, output=300, cached=1024)),
        "good",
        "better",
        "best",
    )


def check(project: Found, run: Run[list[str]]) -> None:
    spans = _nodes(project["spans"])
    assert _tree(spans) == SOLVE
    assert len({span["context"]["traceId"] for span in spans}) == 1
    for span in spans:
        assert span["spanKind"] == KINDS.get(span["name"].split()[0], "chain"), span["name"]
    usage = run.usage
    assert sum(span["tokenCountPrompt"] or 0 for span in spans) == usage.input_tokens
    assert sum(span["tokenCountCompletion"] or 0 for span in spans) == usage.output_tokens
    assert project["tokenCountTotal"] == usage.total_tokens
    cost = sum(Decimal(str(span["costSummary"]["total"]["cost"])) for span in spans if span["costSummary"])
    assert cost == pytest.approx(usage.usd)
    assert project["costSummary"]["total"]["cost"] == pytest.approx(float(usage.usd))
    sessions = {json.loads(span["attributes"]).get("session", {}).get("id") for span in spans if span["spanKind"] == "llm"}
    assert sessions == {run.id}


async def test_a_live_run_is_read_back_with_its_tree_kinds_tokens_and_cost(scripted_server: ScriptedServer) -> None:
    script(scripted_server)
    name = f"live {uuid4()}"
    provider = TracerProvider(resource=Resource({"openinference.project.name": name}), shutdown_on_exit=False)
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter(f"{URL}/v1/traces")))
    with anyio.fail_after(PATIENCE):
        async with Swarm(listeners=[OtelTracer(tracer_provider=provider, content=True)]) as swarm:
            run = await swarm.run(solve, "it")
        await anyio.to_thread.run_sync(provider.force_flush)
    provider.shutdown()

    check(await read_back(name, spans=17, chats=5), run)


async def test_a_recorded_run_is_read_back_and_counts_once_however_often_it_is_sent(scripted_server: ScriptedServer) -> None:
    script(scripted_server)
    name = f"recorded {uuid4()}"
    with anyio.fail_after(PATIENCE):
        async with Swarm() as swarm:
            run = await swarm.run(solve, "it")

    def send() -> int:
        exporter = OTLPSpanExporter(f"{URL}/v1/traces")
        try:
            return export_trace(run.trace, exporter, resource={"openinference.project.name": name})
        finally:
            exporter.shutdown()  # type: ignore[no-untyped-call]

    for _ in range(2):
        assert await anyio.to_thread.run_sync(send) == 17
        check(await read_back(name, spans=17, chats=5), run)


async def test_a_call_that_was_tried_again_is_an_error_and_a_reply(scripted_server: ScriptedServer) -> None:
    scripted_server.script(RateLimit(retry_after_ms=1), call("search", query="docs"), "a text", "good", "better", "best")
    name = f"retried {uuid4()}"
    with anyio.fail_after(PATIENCE):
        async with Swarm() as swarm:
            run = await swarm.run(solve.with_options(retry=Retry(wait=wait_none())), "it")
    exporter = OTLPSpanExporter(f"{URL}/v1/traces")
    resource = {"openinference.project.name": name}
    await anyio.to_thread.run_sync(lambda: export_trace(run.trace, exporter, resource=resource))

    spans = _nodes((await read_back(name, spans=19, chats=5))["spans"])
    chats = [span["statusCode"] for span in sorted(spans, key=lambda one: one["startTime"]) if span["spanKind"] == "llm"]
    assert chats == ["ERROR", *["UNSET"] * 5]

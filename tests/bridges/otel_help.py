"""For the tests of the bridge to OpenTelemetry: flows, what they leave in memory, and a collector on loopback."""

from __future__ import annotations

import gzip
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any, TypeAlias

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span as SentSpan
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import HistogramDataPoint, InMemoryMetricReader
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.sdk.trace.sampling import Sampler
from opentelemetry.trace import SpanContext, Tracer

from swarmlet import Again, Done, agent, each, graph, loop, node
from swarmlet.bridges.otel import OtelTracer

Tree: TypeAlias = "list[tuple[str, Tree]]"
"""Names of spans, each with those below it, in the order in which they began."""


class Seen:
    """Where spans and metrics of a test go."""

    def __init__(self, sampler: Sampler | None = None) -> None:
        self.exporter = InMemorySpanExporter()
        self.provider = TracerProvider(sampler=sampler, shutdown_on_exit=False)
        self.provider.add_span_processor(SimpleSpanProcessor(self.exporter))
        self.reader = InMemoryMetricReader()
        self.meters = MeterProvider([self.reader], shutdown_on_exit=False)

    @property
    def user(self) -> Tracer:
        """The tracer of the user's own spans."""
        return self.provider.get_tracer("user")

    def tracer(self, **settings: Any) -> OtelTracer:  # Any: settings of every kind
        return OtelTracer(tracer_provider=self.provider, meter_provider=self.meters, **settings)

    @property
    def spans(self) -> Sequence[ReadableSpan]:
        return self.exporter.get_finished_spans()

    def named(self, name: str) -> list[ReadableSpan]:
        """The spans of a name, in the order in which they began."""
        return sorted((span for span in self.spans if span.name == name), key=lambda span: span.start_time or 0)

    def one(self, name: str) -> ReadableSpan:
        (span,) = self.named(name)
        return span

    @property
    def tree(self) -> Tree:
        return tree(
            [(ids(span).span_id, span.parent and span.parent.span_id, span.name, span.start_time or 0) for span in self.spans]
        )

    def above(self, span: ReadableSpan) -> ReadableSpan | None:
        """The span right above."""
        parent = span.parent
        return next((one for one in self.spans if parent is not None and ids(one).span_id == parent.span_id), None)

    def points(self, metric: str) -> list[HistogramDataPoint]:
        """What was counted under a name."""
        data = self.reader.get_metrics_data()
        found: list[HistogramDataPoint] = []
        for resource in data.resource_metrics if data is not None else ():
            for scope in resource.scope_metrics:
                for one in scope.metrics:
                    if one.name == metric:
                        found += [point for point in one.data.data_points if isinstance(point, HistogramDataPoint)]
        return found


def attributes(span: ReadableSpan) -> dict[str, Any]:  # Any: attributes of every kind
    return dict(span.attributes or {})


def ids(span: ReadableSpan) -> SpanContext:
    """Its ids, which every span has."""
    found: SpanContext | None = span.context
    assert found is not None
    return found


def tree(spans: Sequence[tuple[int, int | None, str, int]]) -> Tree:
    """The tree of spans that are given as id, parent's id, name and begin."""
    known = {id_ for id_, *_ in spans}

    def below(above: int | None) -> Tree:
        here = [one for one in spans if one[1] == above or (above is None and one[1] not in known)]
        return [(name, below(id_)) for id_, _, name, _ in sorted(here, key=lambda one: one[3])]

    return below(None)


# flows


async def search(query: str) -> str:
    """Search the documents."""
    return f"found {query}"


@agent(str, tools=[search])
def write(task: str) -> str:
    """You write."""
    return f"secret {task}"


@agent(str)
def review(text: str) -> str:
    """You review."""
    return text


@node
def verdict(number: int, text: str) -> Again[int] | Done[str]:
    return Done(text) if number else Again(number + 1)


@graph
def attempt(number: int, text: str) -> Again[int] | Done[str]:
    return verdict(number, review(text))


@graph
def solve(task: str) -> list[str]:
    text = loop(attempt, rounds=3)(0, write(task))
    return each(review)([text])


SOLVE: Tree = [
    (
        "invoke_workflow solve",
        [
            (
                "invoke_agent write",
                [("chat gpt-4o-mini", []), ("execute_tool search", []), ("chat gpt-4o-mini", [])],
            ),
            (
                "attempt",
                [
                    ("attempt[0]", [("invoke_agent review", [("chat gpt-4o-mini", [])]), ("verdict", [])]),
                    ("attempt[1]", [("invoke_agent review", [("chat gpt-4o-mini", [])]), ("verdict", [])]),
                ],
            ),
            ("review", [("invoke_agent review", [("chat gpt-4o-mini", [])])]),
        ],
    )
]
"""The spans of `solve`, whose model searches once."""


# a collector


@dataclass
class Collector:
    """Takes OTLP over HTTP, as a real collector does, and decodes it."""

    url: str
    requests: list[ExportTraceServiceRequest] = field(default_factory=list[ExportTraceServiceRequest])
    json: list[bytes] = field(default_factory=list[bytes])

    @property
    def spans(self) -> list[SentSpan]:
        return [
            span
            for request in self.requests
            for resource in request.resource_spans
            for scope in resource.scope_spans
            for span in scope.spans
        ]

    @property
    def tree(self) -> Tree:
        number = int.from_bytes
        return tree(
            [
                (
                    number(span.span_id, "big"),
                    number(span.parent_span_id, "big") if span.parent_span_id else None,
                    span.name,
                    span.start_time_unix_nano,
                )
                for span in self.spans
            ]
        )


@contextmanager
def collector(status: int = 200) -> Generator[Collector, None, None]:
    """A collector on loopback that answers with this status."""
    found = Collector("")

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            if self.headers.get("content-encoding") == "gzip":
                body = gzip.decompress(body)
            if self.headers["content-type"] == "application/json":
                found.json.append(body)
            elif self.path == "/v1/traces":
                found.requests.append(ExportTraceServiceRequest.FromString(body))
            self.send_response(status)
            self.send_header("content-length", "0")
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002  # the name in the base class
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    found.url = f"http://127.0.0.1:{server.server_address[1]}"
    try:
        yield found
    finally:
        server.shutdown()
        thread.join()
        server.server_close()

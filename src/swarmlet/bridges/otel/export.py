"""A recorded run as OpenTelemetry spans, after the fact: as data, as OTLP, or through an exporter."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Final, cast

from swarmlet.bridges.otel import words
from swarmlet.bridges.otel.content import Content
from swarmlet.bridges.otel.kept import KeptSpan, KeptTracer
from swarmlet.bridges.otel.tree import RunSpans
from swarmlet.errors import SwarmletError

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import ReadableSpan
    from opentelemetry.sdk.trace.export import SpanExporter
    from opentelemetry.util.types import AttributeValue

    from swarmlet.trace.read import Trace

_KINDS: Final = {"INTERNAL": 1, "SERVER": 2, "CLIENT": 3, "PRODUCER": 4, "CONSUMER": 5}
_SAMPLED: Final = 1
_RESOURCE: Final = {"service.name": "swarmlet"}


def spans_of(trace: Trace, *, content: bool = False, provider: str = "openai", chat_spans: bool = True) -> Sequence[KeptSpan]:
    """The spans that an `OtelTracer` would have made of a run, as data, parents first.

    All are of one trace, and the ids come from the run's id and the places in it, so they are the same each time. What had not
    ended when the record did, because its process was killed say, ends there, in the state `lost` or `running`.
    """
    tracer = KeptTracer(trace.run_id)
    spans = RunSpans(
        trace.run_id,
        tracer,
        Content(trace.content, shown=content),
        provider=provider,
        chat=chat_spans,
        idle=float("inf"),
    )
    for event in trace.events:
        spans.take(event)
    if trace.events:
        spans.close(spans.newest, trace.state)
    return tracer.spans


def otlp_json(
    trace: Trace, *, content: bool = False, provider: str = "openai", resource: Mapping[str, str] = _RESOURCE
) -> bytes:
    """A run as an OTLP/JSON request, as collectors take it at `/v1/traces` with the content type `application/json`.

    `resource` says whose spans they are: `{"service.name": "my-app"}`.
    """
    scope = {"name": words.SCOPE, "version": trace.started.version}
    spans = [_span(span) for span in spans_of(trace, content=content, provider=provider)]
    whose = {"attributes": _attributes(resource)}
    request = {"resourceSpans": [{"resource": whose, "scopeSpans": [{"scope": scope, "spans": spans}]}]}
    return json.dumps(request, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "replace")


def export_trace(
    trace: Trace,
    exporter: SpanExporter,
    *,
    content: bool = False,
    provider: str = "openai",
    resource: Mapping[str, str] = _RESOURCE,
) -> int:
    """Send a recorded run through an exporter of the OpenTelemetry SDK, `OTLPSpanExporter()` say. Tells how many spans it has.

    It blocks as the exporter does; in async code call it in a worker thread. The exporter stays open. Raises `SwarmletError`
    if the exporter says that it failed.
    """
    from opentelemetry.sdk.trace.export import SpanExportResult

    spans = [_readable(span, resource) for span in spans_of(trace, content=content, provider=provider)]
    if exporter.export(spans) is not SpanExportResult.SUCCESS:
        raise SwarmletError(f"run {trace.run_id!r} could not be exported: its exporter has logged why")
    return len(spans)


def _readable(span: KeptSpan, whose: Mapping[str, str]) -> ReadableSpan:
    from opentelemetry.sdk.resources import Resource
    from opentelemetry.sdk.trace import Event, ReadableSpan
    from opentelemetry.sdk.util.instrumentation import InstrumentationScope

    return ReadableSpan(
        name=span.name,
        context=span.context,
        parent=span.parent,
        resource=Resource(dict(whose)),
        attributes=span.attributes,
        events=[Event(event.name, event.attributes, event.at) for event in span.events],
        links=span.links,
        kind=span.kind,
        status=span.status,
        start_time=span.start,
        end_time=span.ended,
        instrumentation_scope=InstrumentationScope(words.SCOPE),
    )


def _span(span: KeptSpan) -> Mapping[str, object]:
    told: dict[str, object] = {
        "traceId": f"{span.context.trace_id:032x}",
        "spanId": f"{span.context.span_id:016x}",
        "name": span.name,
        "kind": _KINDS[span.kind.name],
        "startTimeUnixNano": str(span.start),
        "endTimeUnixNano": str(span.ended),
        "attributes": _attributes(span.attributes),
        "flags": _SAMPLED,
    }
    if span.parent is not None:
        told["parentSpanId"] = f"{span.parent.span_id:016x}"
    if span.events:
        told["events"] = [
            {"timeUnixNano": str(event.at), "name": event.name, "attributes": _attributes(event.attributes)}
            for event in span.events
        ]
    if span.links:
        told["links"] = [
            {
                "traceId": f"{link.context.trace_id:032x}",
                "spanId": f"{link.context.span_id:016x}",
                "attributes": _attributes(link.attributes or {}),
            }
            for link in span.links
        ]
    if not span.status.is_unset:
        description = {"message": span.status.description} if span.status.description else {}
        told["status"] = {"code": span.status.status_code.value, **description}
    return told


def _attributes(attributes: Mapping[str, AttributeValue]) -> list[Mapping[str, object]]:
    return [{"key": key, "value": _value(value)} for key, value in attributes.items()]


def _value(value: object) -> Mapping[str, object]:
    match value:
        case bool():
            return {"boolValue": value}
        case int():
            return {"intValue": str(value)}
        case float():
            return {"doubleValue": value}
        case str():
            return {"stringValue": value}
        case _:
            return {"arrayValue": {"values": [_value(one) for one in cast("Sequence[object]", value)]}}

"""Runs as OpenTelemetry spans and metrics, by the conventions for generative AI.

    async with Swarm(listeners=[OtelTracer()]) as swarm:      # as they happen
        ...

    export_trace(Journal(path).trace(run_id), OTLPSpanExporter())      # or later, from a journal

Needs the extra `otel`, which is OpenTelemetry's API and nothing else; the SDK and an exporter are the application's choice.

Floor plan: `words` has the conventions' names. `tree` makes spans of a run's events, with `places` for where they lie and
`open` for what is open, `told` and `marks` for what events tell, `content` for what was said and `names` for paths; `tracer`
follows runs as they go on, with `metrics` and `others` (instrumentations that must be silent); `export`, with `kept`, is for
recorded runs; `callers` for traces that cross processes.
"""

from importlib.util import find_spec

if find_spec("opentelemetry") is None or find_spec("opentelemetry.trace") is None:
    raise ImportError("spans need OpenTelemetry's API: pip install 'swarmlet[otel]'")

from swarmlet.bridges.otel.callers import continuing as continuing
from swarmlet.bridges.otel.callers import traceparent as traceparent
from swarmlet.bridges.otel.export import export_trace as export_trace
from swarmlet.bridges.otel.export import otlp_json as otlp_json
from swarmlet.bridges.otel.export import spans_of as spans_of
from swarmlet.bridges.otel.kept import KeptSpan as KeptSpan
from swarmlet.bridges.otel.kept import SpanEvent as SpanEvent
from swarmlet.bridges.otel.tracer import OtelTracer as OtelTracer

__all__ = ["KeptSpan", "OtelTracer", "SpanEvent", "continuing", "export_trace", "otlp_json", "spans_of", "traceparent"]

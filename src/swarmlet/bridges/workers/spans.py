"""The caller's span goes along with a run, where the caller's process uses OpenTelemetry, and the worker's does."""

from __future__ import annotations

import sys
from contextlib import AbstractContextManager, nullcontext


def current_span() -> str:
    """The caller's current span as a `traceparent`; nothing where OpenTelemetry is not in use, which this does not import."""
    if "opentelemetry.trace" not in sys.modules:
        return ""
    from swarmlet.bridges.otel.callers import traceparent

    return traceparent() or ""


def under(span: str) -> AbstractContextManager[None]:
    """Within the block, runs are children of the caller's span, if there is one and OpenTelemetry is installed."""
    if not span:
        return nullcontext()
    try:
        from swarmlet.bridges.otel.callers import continuing
    except ImportError:
        return nullcontext()
    return continuing(span)

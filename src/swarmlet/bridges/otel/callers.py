"""The caller's trace, as a W3C `traceparent`: where a run is started by one process and executed by another."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager

from opentelemetry import context
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

_W3C = TraceContextTextMapPropagator()


def traceparent() -> str | None:
    """The current span as a `traceparent`, to be sent along; `None` without one."""
    carrier: dict[str, str] = {}
    _W3C.inject(carrier)
    return carrier.get("traceparent")


@contextmanager
def continuing(traceparent: str | None, tracestate: str = "") -> Generator[None, None, None]:
    """Within the block, runs are children of the span that `traceparent` names. Nothing changes for one that is none.

    with continuing(request.headers.get("traceparent")):
        await swarm.run(solve, task)
    """
    if not traceparent:
        yield
        return
    carrier = {"traceparent": traceparent, **({"tracestate": tracestate} if tracestate else {})}
    token = context.attach(_W3C.extract(carrier, context.get_current()))
    try:
        yield
    finally:
        context.detach(token)

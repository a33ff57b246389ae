"""Spans as data: those of a recorded run, with ids that come from the run's id and the places in it.

So a run that is exported twice has the same ids each time, and a collector that knows it already can tell.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import blake2b
from typing import TYPE_CHECKING, final

from opentelemetry.trace import (
    INVALID_SPAN_CONTEXT,
    Link,
    Span,
    SpanContext,
    SpanKind,
    Status,
    StatusCode,
    TraceFlags,
    Tracer,
    get_current_span,
)

from swarmlet.bridges.otel import words

if TYPE_CHECKING:
    from collections.abc import Iterator

    from opentelemetry.context import Context
    from opentelemetry.util.types import Attributes, AttributeValue


@dataclass(frozen=True, slots=True)
class SpanEvent:
    """Something that happened within a span."""

    name: str
    at: int
    """Nanoseconds since 1970."""
    attributes: Mapping[str, AttributeValue]


@final
@dataclass(slots=True, kw_only=True)
class KeptSpan(Span):
    """A span of a recorded run. Times are nanoseconds since 1970."""

    name: str
    kind: SpanKind
    context: SpanContext
    parent: SpanContext | None
    start: int
    ended: int | None = None
    attributes: dict[str, AttributeValue] = field(default_factory=dict[str, "AttributeValue"])
    events: list[SpanEvent] = field(default_factory=list[SpanEvent])
    links: Sequence[Link] = ()
    status: Status = field(default_factory=Status)

    def end(self, end_time: int | None = None) -> None:
        """End it."""
        self.ended = max(self.start, end_time or self.start)

    def get_span_context(self) -> SpanContext:
        """Its ids."""
        return self.context

    def set_attributes(self, attributes: Mapping[str, AttributeValue]) -> None:
        """Add attributes."""
        self.attributes.update(attributes)

    def set_attribute(self, key: str, value: AttributeValue) -> None:
        """Add an attribute."""
        self.attributes[key] = value

    def add_event(self, name: str, attributes: Attributes = None, timestamp: int | None = None) -> None:
        """Add an event."""
        self.events.append(SpanEvent(name, timestamp or self.start, dict(attributes or {})))

    def update_name(self, name: str) -> None:
        """Give it another name."""
        self.name = name

    def is_recording(self) -> bool:
        """Whether more can be added."""
        return self.ended is None

    def set_status(self, status: Status | StatusCode, description: str | None = None) -> None:
        """Say how it ended."""
        self.status = status if isinstance(status, Status) else Status(status, description)

    def record_exception(
        self,
        exception: BaseException,
        attributes: Attributes = None,
        timestamp: int | None = None,
        escaped: bool = False,
    ) -> None:
        """Not called: a record has no exceptions, only what they said."""
        raise NotImplementedError


@final
class KeptTracer(Tracer):
    """Makes spans of one run, and keeps them."""

    def __init__(self, run: str) -> None:
        self._run = run
        self._trace_id = _number(16, run)
        self._counts: dict[tuple[str, str], int] = {}
        self.spans: list[KeptSpan] = []

    def start_span(
        self,
        name: str,
        context: Context | None = None,
        kind: SpanKind = SpanKind.INTERNAL,
        attributes: Attributes = None,
        links: Sequence[Link] | None = None,
        start_time: int | None = None,
        record_exception: bool = True,
        set_status_on_exception: bool = True,
    ) -> KeptSpan:
        """A span at a place of the run; the second one of its kind there has another id than the first."""
        given = dict(attributes or {})
        above = get_current_span(context).get_span_context()
        place = str(given.get(words.PATH, "")), str(given.get(words.TOOL_CALL_ID, given.get(words.OPERATION, "")))
        number = self._counts[place] = self._counts.get(place, 0) + 1
        span = KeptSpan(
            name=name,
            kind=kind,
            context=SpanContext(
                self._trace_id,
                _number(8, self._run, *place, str(number)),
                is_remote=False,
                trace_flags=TraceFlags(TraceFlags.SAMPLED),
            ),
            parent=above if above != INVALID_SPAN_CONTEXT else None,
            start=start_time or 0,
            attributes=given,
            links=tuple(links or ()),
        )
        self.spans.append(span)
        return span

    def start_as_current_span(self, *_: object, **__: object) -> Iterator[Span]:  # type: ignore[override]  # not called
        """Not called: nothing goes on within a record."""
        raise NotImplementedError


def _number(size: int, *parts: str) -> int:
    return int.from_bytes(blake2b("\0".join(parts).encode(), digest_size=size).digest(), "big") or 1

"""A span that is open, and what is remembered of it while it is."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, final

from opentelemetry.trace import Status, StatusCode, set_span_in_context

from swarmlet.bridges.otel import words

if TYPE_CHECKING:
    from opentelemetry.context import Context
    from opentelemetry.trace import Span, SpanContext
    from opentelemetry.util.types import AttributeValue

    from swarmlet.trace.events import Fault
    from swarmlet.trace.read import StepState


@final
class Open:
    """One open span."""

    __slots__ = (
        "_context",
        "agent",
        "base",
        "before",
        "begun",
        "busy",
        "groups",
        "is_call",
        "last",
        "last_call",
        "node",
        "over",
        "path",
        "span",
    )

    def __init__(
        self,
        span: Span,
        base: Context | None,
        path: str,
        begun: float,
        over: Open | None = None,
        *,
        is_call: bool = False,
    ) -> None:
        self.span: Span = span
        self.base: Context | None = base
        """The context that it was made in."""
        self._context: Context | None = None
        self.path: str = path
        self.over: Open | None = over
        """The span above it; `None` for the run's."""
        self.is_call: bool = is_call
        """Whether it is a model call's."""
        self.before: Context | None = None
        """What was the current context before it; `None` where it never was the current one."""
        self.groups: dict[str, Open] | None = None
        """The groups right below it, by path."""
        self.begun: float = begun
        self.busy: int = 0
        """Of a group: how many spans are open below it."""
        self.last: float = 0.0
        """Of a group: when the last span below it ended."""
        self.agent: bool = False
        """Whether the step is known to be an agent's."""
        self.node: str = ""
        self.last_call: tuple[int, SpanContext] | None = None
        """The agent's turn and the span of the newest attempt of its call."""

    @property
    def context(self) -> Context:
        """A context in which this is the current span."""
        if self._context is None:
            self._context = set_span_in_context(self.span, self.base)
        return self._context

    def end(self, at: float, state: StepState, error: Fault | None, more: Mapping[str, AttributeValue], *, told: bool) -> None:
        """End it. What an error says is written only if content is to be `told`: it may quote prompts."""
        span = self.span
        if span.is_recording():
            if more:
                span.set_attributes(more)
            if state != "finished":
                span.set_attribute(words.STATE, state)
            if state == "failed":
                span.set_attribute(words.ERROR_TYPE, error.type if error else "_OTHER")
                span.set_status(Status(StatusCode.ERROR, error.message if error and told else None))
        span.end(nanoseconds(max(at, self.begun)))


def nanoseconds(at: float) -> int:
    """A time of an event as OpenTelemetry takes it."""
    return int(at * 1e9)

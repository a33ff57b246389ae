"""`OtelTracer`: hears what the runs of a swarm record, and tells it to OpenTelemetry as it happens."""

from __future__ import annotations

from collections import OrderedDict
from functools import cache
from typing import TYPE_CHECKING, Final, final

from opentelemetry import context, metrics, trace

from swarmlet.bridges.otel import words
from swarmlet.bridges.otel.content import Content, Kept
from swarmlet.bridges.otel.metrics import Counting, Instruments
from swarmlet.bridges.otel.open import Open
from swarmlet.bridges.otel.others import silenced
from swarmlet.bridges.otel.tree import Left, RunSpans
from swarmlet.log import get_logger
from swarmlet.trace.events import CallStarted, RunEnded, RunResumed, RunStarted, TextDelta

if TYPE_CHECKING:
    from opentelemetry.metrics import MeterProvider
    from opentelemetry.trace import TracerProvider

    from swarmlet.trace.events import Digest, Event, RunId

_REMEMBERED: Final = 1000
"""Unfinished runs whose spans are remembered, so that what resumes them can link to them."""


@final
class _Followed:
    """A run that goes on."""

    __slots__ = ("counting", "spans")

    def __init__(self, spans: RunSpans, counting: Counting) -> None:
        self.spans = spans
        self.counting = counting


@final
class OtelTracer:
    """Makes spans and metrics of what runs record, by OpenTelemetry's conventions for generative AI.

        async with Swarm(listeners=[OtelTracer()]) as swarm: ...

    Without a `tracer_provider` or a `meter_provider` it uses the application's global ones. A run's span is a child of the
    caller's current span, and inside a step, a tool or a model call the current span is that of the step, the tool or the
    call, so that the user's own spans and instrumented HTTP clients come to lie below it.

    `content=True` also writes what was said: messages, arguments and results, and the texts of errors. `provider` is the
    conventions' name of who serves the models. A call has one span: other instrumentations of model clients are told to be
    silent while it is made; `chat_spans=False` leaves its span and its metrics to them. One tracer may hear several swarms.
    """

    def __init__(
        self,
        *,
        tracer_provider: TracerProvider | None = None,
        meter_provider: MeterProvider | None = None,
        content: bool = False,
        provider: str = "openai",
        chat_spans: bool = True,
    ) -> None:
        self._tracer = trace.get_tracer(words.SCOPE, _version(), tracer_provider)
        meter = metrics.get_meter(words.SCOPE, _version(), meter_provider)
        self._instruments = Instruments(meter, provider, chat=chat_spans)
        self._values = Kept(all_=content)
        self._content = Content(self._values.look, shown=content)
        self._provider = provider
        self._chat = chat_spans
        self._runs: dict[RunId, _Followed] = {}
        self._left: OrderedDict[RunId, Left] = OrderedDict()
        self._failed = False

    @property
    def open_spans(self) -> int:
        """How many spans are open now; none when no run goes on."""
        return sum(followed.spans.open for followed in self._runs.values())

    def wants_text(self, run: RunId) -> bool:
        """Replies need not be streamed for it."""
        return False

    def event(self, run: RunId, event: Event) -> None:
        """Take one event of a run. What fails in a processor or sampler of the user's is logged once, and fails no run."""
        try:
            self._take(run, event)
        except Exception as error:  # noqa: BLE001  # whatever it is: telemetry must not fail what it watches
            if not self._failed:
                self._failed = True
                get_logger().error("telemetry could not be made of a run", run=run, error=f"{type(error).__name__}: {error}")

    def value(self, digest: Digest, content: bytes) -> None:
        """Take a recorded value, if it may be needed."""
        self._values.take(digest, content)

    def _take(self, run: RunId, event: Event) -> None:
        match event:
            case TextDelta():
                return
            case RunStarted() | RunResumed():
                followed = self._runs[run] = self._follow(run)
            case _:
                known = self._runs.get(run)
                if known is None:  # it has ended: an answer to a question of its, say
                    return
                followed = known
        if isinstance(event, RunEnded):
            del self._runs[run]
        if isinstance(event, CallStarted):
            followed.counting.take(event)
            followed.spans.take(event)
            return
        followed.spans.take(event)
        if isinstance(event, RunEnded | RunResumed):
            followed.counting.named(followed.spans.past.name)
        followed.counting.take(event)
        if isinstance(event, RunEnded) and event.state != "finished":
            self._remember(run, followed.spans.past)

    def _follow(self, run: RunId) -> _Followed:
        spans = RunSpans(
            run,
            self._tracer,
            self._content,
            parent=context.get_current(),
            provider=self._provider,
            chat=self._chat,
            before=self._left.pop(run, None),
            entered=_enter,
            left=_leave,
        )
        return _Followed(spans, Counting(self._instruments))

    def _remember(self, run: RunId, left: Left) -> None:
        self._left[run] = left
        if len(self._left) > _REMEMBERED:
            self._left.popitem(last=False)


_ENTERED: Final = context.create_key("swarmlet-entered")
"""What was made the current span here last."""


def _enter(entered: Open) -> None:
    """Make a span the current one. Events are told where the work is done that they tell of, before it begins."""
    before = entered.before = context.get_current()
    current = trace.set_span_in_context(entered.span, context.set_value(_ENTERED, entered, before))
    context.attach(silenced(current) if entered.is_call else current)


def _leave(left: Open) -> None:
    """Make current what was so before, if it still is the current one: a second tracer may have entered after it.

    Not by `detach`, which wants to be called in the reverse order.
    """
    found = context.get_value(_ENTERED)
    while isinstance(found, Open):
        before = found.before
        if found is left:
            context.attach(before if before is not None else context.get_current())
            return
        found = context.get_value(_ENTERED, before)


@cache
def _version() -> str:
    from importlib.metadata import PackageNotFoundError, version

    try:
        return version("swarmlet")
    except PackageNotFoundError:  # bundled into an application without its metadata
        return "unknown"

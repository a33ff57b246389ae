"""The metrics of the conventions: how long calls, tools, agents and runs took, and the tokens that calls used.

Metrics are not sampled, so they are counted from the events, whether or not there are spans.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, final

from swarmlet.bridges.otel import words
from swarmlet.bridges.otel.names import plain_name
from swarmlet.trace.events import (
    CallEnded,
    CallSaved,
    CallStarted,
    RunEnded,
    RunResumed,
    RunStarted,
    StepEnded,
    StepStarted,
    ToolEnded,
    ToolStarted,
)

if TYPE_CHECKING:
    from opentelemetry.metrics import Histogram, Meter

    from swarmlet.trace.events import Event, Fault, State

Attributes = dict[str, str]


@final
class Instruments:
    """The histograms, made once for a tracer."""

    def __init__(self, meter: Meter, provider: str, *, chat: bool) -> None:
        self.provider: str = provider
        self.chat: bool = chat
        """Whether calls are counted here; if not, another instrumentation does."""
        histogram = meter.create_histogram
        calls, agents = words.CALL_BUCKETS, words.AGENT_BUCKETS
        self.tokens: Histogram = histogram(
            words.TOKEN_USAGE,
            "{token}",
            "Tokens of a call's prompt and reply",
            explicit_bucket_boundaries_advisory=words.TOKEN_BUCKETS,
        )
        self.call: Histogram = histogram(
            words.CALL_DURATION, "s", "From request to reply", explicit_bucket_boundaries_advisory=calls
        )
        self.first: Histogram = histogram(
            words.TIME_TO_FIRST_CHUNK,
            "s",
            "From request to the first piece of the reply",
            explicit_bucket_boundaries_advisory=calls,
        )
        self.tool: Histogram = histogram(
            words.TOOL_DURATION, "s", "How long a tool took", explicit_bucket_boundaries_advisory=calls
        )
        self.agent: Histogram = histogram(
            words.AGENT_DURATION, "s", "How long an agent took", explicit_bucket_boundaries_advisory=agents
        )
        self.workflow: Histogram = histogram(
            words.WORKFLOW_DURATION, "s", "How long a run took", explicit_bucket_boundaries_advisory=words.WORKFLOW_BUCKETS
        )


@final
class Counting:
    """Counts one run."""

    def __init__(self, instruments: Instruments) -> None:
        self._to = instruments
        self._name = ""
        self._began = 0.0
        self._steps: dict[str, float] = {}
        self._agents: set[str] = set()
        self._calls: dict[tuple[str, int, int], CallStarted] = {}
        self._tools: dict[tuple[str, int, str], float] = {}

    def take(self, event: Event) -> None:
        """Count one event."""
        match event:
            case StepStarted():
                self._steps[event.path] = event.at
            case StepEnded():
                self._step_ended(event)
            case CallStarted():
                self._agents.add(event.path)
                self._calls[event.path, event.turn, event.attempt] = event
            case CallSaved():
                self._agents.add(event.path)
            case CallEnded():
                self._call_ended(event)
            case ToolStarted():
                self._tools[event.path, event.turn, event.id] = event.at
            case ToolEnded():
                self._tool_ended(event)
            case RunStarted():
                self._name, self._began = event.name, event.at
            case RunResumed():
                self._began = event.at
            case RunEnded():
                attributes = {words.OPERATION: words.WORKFLOW, words.WORKFLOW_NAME: self._name}
                self._to.workflow.record(max(0.0, event.at - self._began), _with_error(attributes, event.state, event.error))
            case _:
                pass

    def named(self, name: str) -> None:
        """The run's node, of a run that was resumed here."""
        self._name = name

    def _step_ended(self, event: StepEnded) -> None:
        began = self._steps.pop(event.path, None)
        if began is None or event.path not in self._agents:
            return
        self._agents.discard(event.path)
        attributes = {
            words.OPERATION: words.AGENT,
            words.AGENT_NAME: plain_name(event.path),
            words.PROVIDER: self._to.provider,
        }
        self._to.agent.record(max(0.0, event.at - began), _with_error(attributes, event.state, event.error))

    def _call_ended(self, event: CallEnded) -> None:
        started = self._calls.pop((event.path, event.turn, event.attempt), None)
        if started is None or not self._to.chat:
            return
        attributes = {
            words.OPERATION: words.CHAT,
            words.PROVIDER: self._to.provider,
            words.REQUEST_MODEL: started.model,
            **({words.RESPONSE_MODEL: event.model} if event.model else {}),
        }
        self._to.call.record(max(0.0, event.at - started.at), _with_error(attributes, event.state, event.error))
        if event.first_token is not None:
            self._to.first.record(event.first_token, attributes)
        if event.input_tokens or event.output_tokens:
            self._to.tokens.record(event.input_tokens, {**attributes, words.TOKEN_TYPE: "input"})
            self._to.tokens.record(event.output_tokens, {**attributes, words.TOKEN_TYPE: "output"})

    def _tool_ended(self, event: ToolEnded) -> None:
        began = self._tools.pop((event.path, event.turn, event.id), None)
        if began is None:
            return
        attributes = {words.OPERATION: words.TOOL, words.TOOL_NAME: event.tool, words.TOOL_TYPE: "function"}
        self._to.tool.record(max(0.0, event.at - began), _with_error(attributes, event.state, event.error))


def _with_error(attributes: Mapping[str, str], state: State, error: Fault | None) -> Attributes:
    """The attributes, with why it failed, if it did."""
    return {**attributes, words.ERROR_TYPE: error.type if error else "_OTHER"} if state == "failed" else dict(attributes)

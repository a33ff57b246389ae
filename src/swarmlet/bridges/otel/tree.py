"""From the events of one run to its spans. The same for a run that goes on and for one that a journal has.

The run is one span, each attempt of a step one below it, and each attempt of a model call and each tool one below its agent's
step. Places in the tree that have no events of their own have a span too (see `places`), so that the tree is that of the run's
paths. That a step is an agent's shows when it makes its first call: its span is named then.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Final, final

from opentelemetry.trace import Link, SpanKind

from swarmlet.bridges.otel import words
from swarmlet.bridges.otel.marks import mark
from swarmlet.bridges.otel.names import plain_name
from swarmlet.bridges.otel.open import Open, nanoseconds
from swarmlet.bridges.otel.places import Places
from swarmlet.bridges.otel.told import answered, asked, begun
from swarmlet.trace.events import (
    CallEnded,
    CallSaved,
    CallStarted,
    RunEnded,
    RunResumed,
    RunStarted,
    StepEnded,
    StepRetried,
    StepStarted,
    ToolEnded,
    ToolStarted,
)

if TYPE_CHECKING:
    from opentelemetry.context import Context
    from opentelemetry.trace import SpanContext, Tracer
    from opentelemetry.util.types import AttributeValue

    from swarmlet.bridges.otel.content import Content
    from swarmlet.trace.events import Event, RunId
    from swarmlet.trace.read import StepState

IDLE: Final = 64
"""Groups of one run with nothing going on below them that are kept open, as more may come."""


@final
class Left:
    """What is remembered of a run that has ended and may be resumed."""

    __slots__ = ("name", "root", "steps")

    def __init__(self, name: str, root: SpanContext | None) -> None:
        self.name: str = name
        self.root: SpanContext | None = root
        self.steps: dict[str, SpanContext] = {}
        """The spans of its steps that were suspended."""


def _nothing(_: Open) -> None:
    pass


@final
class RunSpans:
    """Makes the spans of one run.

    `entered` is told of each span within which work begins, and `left` when it is over: whoever follows a run as it goes on
    makes it the current one there. `idle` bounds the groups that are held open. `chat=False` leaves calls' spans to others.
    """

    def __init__(
        self,
        run: RunId,
        tracer: Tracer,
        content: Content,
        *,
        parent: Context | None = None,
        provider: str = "openai",
        chat: bool = True,
        idle: float = IDLE,
        before: Left | None = None,
        entered: Callable[[Open], None] = _nothing,
        left: Callable[[Open], None] = _nothing,
    ) -> None:
        self._run = run
        self._tracer = tracer
        self._content = content
        self._parent = parent
        self._provider = provider
        self._chat = chat
        self._entered = entered
        self._leave = left
        self.past: Left = before or Left("", None)
        self._places = Places(tracer, idle)
        self._quiet = False
        self._calls: dict[tuple[str, int], Open] = {}
        self._tools: dict[tuple[str, int, str], Open] = {}
        self._counts: dict[str, dict[str, int]] = {}
        """How often each open step has called each tool."""
        self.newest: float = 0.0
        """When the last event happened."""

    @property
    def open(self) -> int:
        """How many spans are open."""
        places = self._places
        below = len(places.steps) + len(places.groups) + len(self._calls) + len(self._tools)
        return below + (places.root is not None)

    def take(self, event: Event) -> None:  # noqa: C901  # one case for each kind of event
        """Take one event of the run, in their order."""
        self.newest = max(self.newest, event.at)
        match event:
            case RunStarted():
                forked: dict[str, AttributeValue] = {words.FORKED: event.forked_from} if event.forked_from else {}
                self._begin(event, event.name, {words.NODE: event.node, **forked, **self._content.inputs(event.inputs)})
            case RunResumed():
                self._resume(event)
            case RunEnded():
                self._end(event)
            case _ if self._quiet or self._places.root is None:
                pass
            case StepStarted():
                self._step_started(event)
            case StepEnded():
                self._step_ended(event)
            case StepRetried():
                self._step_retried(event)
            case CallStarted():
                self._call_started(event)
            case CallEnded():
                self._call_ended(event)
            case ToolStarted():
                self._tool_started(event)
            case ToolEnded():
                self._tool_ended(event)
            case _:
                if isinstance(event, CallSaved):
                    self._agent(event.path, event.model)
                self._mark(event)

    def close(self, at: float, state: StepState) -> None:
        """End what is open: of a run whose process was killed, or that has left something."""
        places = self._places
        root, places.root = places.root, None
        for call in self._calls.values():
            call.end(at, state, None, {}, told=False)
        places.close_all(at, state)
        for table in (self._calls, self._tools, self._counts):
            table.clear()
        if root is not None:
            root.end(at, state, None, {}, told=False)

    # the run

    def _begin(self, event: RunStarted | RunResumed, name: str, more: dict[str, AttributeValue]) -> None:
        attributes: dict[str, AttributeValue] = {
            words.OPERATION: words.WORKFLOW,
            words.CONVERSATION: self._run,
            words.RUN: self._run,
            words.OI_KIND: "CHAIN",
            **more,
        }
        if name:
            attributes[words.WORKFLOW_NAME] = name
        links = _links(self.past.root, "resumes")
        root = self._places.root
        if root is not None:  # nobody has said how the process before ended: it was killed
            self.past.root = root.span.get_span_context()
            links = _links(self.past.root, "resumes")
            self.close(event.at, "lost")
        span = self._tracer.start_span(
            f"{words.WORKFLOW} {name}".rstrip(), self._parent, SpanKind.INTERNAL, attributes, links, nanoseconds(event.at)
        )
        self.past.name = name
        root = self._places.root = Open(span, self._parent, name, event.at)
        self._quiet = not span.is_recording()
        self._entered(root)

    def _resume(self, event: RunResumed) -> None:
        self._begin(event, self.past.name, {words.RESUMED: event.number})

    def _end(self, event: RunEnded) -> None:
        root, self._places.root = self._places.root, None
        if root is None:
            return
        self.past.root, self.past.name = root.span.get_span_context(), root.path
        self.close(event.at, "cancelled" if event.state == "finished" else event.state)
        self._leave(root)
        root.end(event.at, event.state, event.error, self._content.output(event.output), told=self._content.shown)

    # steps

    def _step_started(self, event: StepStarted) -> None:
        path = event.path
        if path in self._places.steps:  # nobody has told of its end
            self._places.steps.pop(path).end(event.at, "lost", None, {}, told=False)
        attributes: dict[str, AttributeValue] = {words.PATH: path, words.NODE: event.node, words.OI_KIND: "CHAIN"}
        if event.waited:
            attributes[words.WAITED] = event.waited
        if event.reused is not None:
            attributes[words.REUSED] = event.reused
        attributes.update(self._content.inputs(event.inputs))
        links = _links(self.past.steps.pop(path, None), "resumes")
        over = self._places.tools.get(path) or self._places.over(path, event.at)  # a node that is a tool has the tool's path
        step = self._places.start(over, plain_name(path), path, attributes, links, event.at)
        step.node = event.node
        self._places.steps[path] = step
        self._entered(step)

    def _step_ended(self, event: StepEnded) -> None:
        step = self._places.steps.pop(event.path, None)
        if step is None:
            return
        if event.state == "suspended":
            self.past.steps[event.path] = step.span.get_span_context()
        self._counts.pop(event.path, None)
        self._leave(step)
        more = self._content.output(event.output)
        self._places.close_groups(step, event.at)
        step.end(event.at, event.state, event.error, more, told=self._content.shown)
        self._places.ended(step, event.at)

    def _step_retried(self, event: StepRetried) -> None:
        """An attempt has failed; the next one has a span of its own, from when it is due."""
        failed = self._places.steps.get(event.path)
        if failed is None or failed.over is None:
            return
        self._counts.pop(event.path, None)
        self._leave(failed)
        self._places.close_groups(failed, event.at)
        failed.end(event.at, "failed", event.error, {}, told=self._content.shown)
        attributes: dict[str, AttributeValue] = {
            words.PATH: event.path,
            words.NODE: failed.node,
            words.OI_KIND: "CHAIN",
            words.ATTEMPT: event.attempt + 1,
        }
        links = _links(failed.span.get_span_context(), "retry_of")
        failed.over.busy -= 1
        step = self._places.start(failed.over, plain_name(event.path), event.path, attributes, links, event.at + event.wait)
        step.node = failed.node
        self._places.steps[event.path] = step
        self._entered(step)

    # what agents do

    def _agent(self, path: str, model: str) -> Open | None:
        """The step that makes a call, named as an agent."""
        step = self._places.steps.get(path)
        if step is not None and not step.agent:
            step.agent = True
            name = plain_name(path)
            step.span.update_name(f"{words.AGENT} {name}")
            step.span.set_attributes(
                {
                    words.OPERATION: words.AGENT,
                    words.AGENT_NAME: name,
                    words.PROVIDER: self._provider,
                    words.REQUEST_MODEL: model,
                    words.CONVERSATION: self._run,
                    words.OI_KIND: "AGENT",
                }
            )
        return step

    def _call_started(self, event: CallStarted) -> None:
        step = self._agent(event.path, event.model)
        if not self._chat:
            return
        attributes = asked(event, self._run, self._provider)
        attributes.update(self._content.settings(event.request))
        attributes.update(self._content.asked(event.messages))
        before = step.last_call if step is not None else None
        links = _links(before[1] if before is not None and before[0] == event.turn else None, "retry_of")
        name = f"{words.CHAT} {event.model}"
        over = step or self._places.over(f"{event.path}/", event.at)
        call = self._places.start(over, name, event.path, attributes, links, event.at, SpanKind.CLIENT)
        if step is not None:
            step.last_call = event.turn, call.span.get_span_context()
        self._calls[event.path, event.turn] = call
        self._entered(call)

    def _call_ended(self, event: CallEnded) -> None:
        call = self._calls.pop((event.path, event.turn), None)
        if call is None:
            return
        self._leave(call)
        more = answered(event) if call.span.is_recording() else {}
        if more and event.reply is not None:
            more.update(self._content.answered(event.reply, event.finish_reason))
        call.end(event.at, event.state, event.error, more, told=self._content.shown)
        self._places.ended(call, event.at)

    def _tool_started(self, event: ToolStarted) -> None:
        step = self._places.steps.get(event.path)
        attributes = {**begun(event), **self._content.tool(words.TOOL_ARGUMENTS, event.arguments)}
        own = self._tool_path(event)
        over = step or self._places.over(f"{event.path}/", event.at)
        tool = self._places.start(over, f"{words.TOOL} {event.tool}", own, attributes, [], event.at)
        self._tools[event.path, event.turn, event.id] = tool
        self._places.tools[own] = tool
        self._entered(tool)

    def _tool_ended(self, event: ToolEnded) -> None:
        tool = self._tools.pop((event.path, event.turn, event.id), None)
        if tool is None:
            return
        self._places.tools.pop(tool.path, None)
        self._leave(tool)
        self._places.close_groups(tool, event.at)
        more = self._content.tool(words.TOOL_RESULT, event.result)
        tool.end(event.at, event.state, event.error, more, told=self._content.shown)
        self._places.ended(tool, event.at)

    def _tool_path(self, event: ToolStarted) -> str:
        """Where a tool's own steps are: its name below the agent's path, with `~2` for the second call of that name."""
        counts = self._counts.setdefault(event.path, {})
        number = counts[event.tool] = counts.get(event.tool, 0) + 1
        return f"{event.path}/{event.tool}" if number == 1 else f"{event.path}/{event.tool}~{number}"

    def _mark(self, event: Event) -> None:
        """Put what happened to a step, without beginning or ending anything, into its span."""
        told = mark(event, shown=self._content.shown)
        if told is not None:
            path = event.path if not isinstance(event, RunStarted | RunResumed | RunEnded) else ""
            place = self._places.find(path) or self._places.root
            if place is not None:
                place.span.add_event(told[0], told[1], nanoseconds(event.at))


def _links(to: SpanContext | None, what: str) -> Sequence[Link]:
    return [Link(to, {words.LINK: what})] if to is not None and to.is_valid else []

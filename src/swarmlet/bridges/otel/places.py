"""The open spans of one run by their paths, and the groups between them.

A group (a graph within a graph, a loop and its rounds, a map) has no events of its own. It is opened by the first step below
it. Nobody tells when it is over: it stays open while something is going on below it, and for a while longer, in case there is
more to come; `idle` bounds how many do. It ends with what ended last below it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, cast, final

from opentelemetry.trace import SpanKind

from swarmlet.bridges.otel import words
from swarmlet.bridges.otel.names import above
from swarmlet.bridges.otel.open import Open, nanoseconds

if TYPE_CHECKING:
    from opentelemetry.trace import Link, Tracer
    from opentelemetry.util.types import AttributeValue

    from swarmlet.trace.read import StepState


@final
class Places:
    """What is open in a run, below its root."""

    def __init__(self, tracer: Tracer, idle: float) -> None:
        self._tracer = tracer
        self._most_idle = idle
        self.root: Open | None = None
        self.steps: dict[str, Open] = {}
        self.tools: dict[str, Open] = {}
        """By the paths under which their own steps are."""
        self.groups: dict[str, Open] = {}
        self._idle: dict[str, Open] = {}

    def start(
        self,
        over: Open,
        name: str,
        path: str,
        attributes: Mapping[str, AttributeValue],
        links: Sequence[Link],
        at: float,
        kind: SpanKind = SpanKind.INTERNAL,
    ) -> Open:
        """Open a span below another one."""
        over.busy += 1
        if over.busy == 1 and self._idle:
            self._idle.pop(over.path, None)
        base = over.context
        span = self._tracer.start_span(name, base, kind, attributes, links, nanoseconds(at))
        return Open(span, base, path, at, over, is_call=kind is SpanKind.CLIENT)

    def find(self, path: str) -> Open | None:
        """The innermost open span of this very path."""
        return self.steps.get(path) or self.tools.get(path) or self.groups.get(path)

    def over(self, path: str, at: float) -> Open:
        """The span that what is at `path` lies in; groups on the way there are opened."""
        place = above(path)
        found = self.find(place)
        if found is not None:
            return found
        root = cast("Open", self.root)
        if not root.path:  # of a run that was resumed by a process that knew nothing of it
            _name(root, path)
        if place in ("", root.path):
            return root
        over = self.over(place, at)
        group = self.start(over, place.rpartition("/")[2], place, {words.PATH: place, words.OI_KIND: "CHAIN"}, [], at)
        self.groups[place] = group
        over.groups = over.groups if over.groups is not None else {}
        over.groups[place] = group
        return group

    def ended(self, one: Open, at: float) -> None:
        """A span has ended: a group with nothing left below it may be over."""
        over = one.over
        if over is None:
            return
        over.busy -= 1
        over.last = max(over.last, at)
        if not over.busy and self.groups.get(over.path) is over:
            self._idle[over.path] = over
            if len(self._idle) > self._most_idle:
                self._close(next(iter(self._idle.values())), at)

    def close_groups(self, one: Open, at: float) -> None:
        """End the groups below a span that is about to end."""
        for group in [*(one.groups or {}).values()]:
            self._close(group, at)

    def close_all(self, at: float, state: StepState) -> None:
        """End everything but the root."""
        for one in (*self.tools.values(), *reversed(self.steps.values())):
            one.end(at, state, None, {}, told=False)
        for group in self.groups.values():
            group.end(at if group.busy else group.last, "finished", None, {}, told=False)
        for table in (self.tools, self.steps, self.groups, self._idle):
            table.clear()

    def _close(self, group: Open, at: float) -> None:
        self.close_groups(group, at)
        self.groups.pop(group.path, None)
        self._idle.pop(group.path, None)
        over = cast("Open", group.over)
        cast("dict[str, Open]", over.groups).pop(group.path, None)
        last = at if group.busy else group.last
        group.end(last, "finished", None, {}, told=False)
        self.ended(group, last)


def _name(root: Open, path: str) -> None:
    """Name the root after the first path that is heard of."""
    root.path = path.partition("/")[0].partition("[")[0]
    root.span.update_name(f"{words.WORKFLOW} {root.path}")
    root.span.set_attribute(words.WORKFLOW_NAME, root.path)

"""What a scripted server answers next: rules first, then the queue, then the answering function."""

from __future__ import annotations

import inspect
from collections import deque
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from threading import RLock
from typing import TypeAlias, cast

from swarmlet.testing.replies import Call, CallTools, Reply, Say, as_reply, to_json
from swarmlet.testing.requests import JsonObject, Request
from swarmlet.testing.schemas import sample

Matcher: TypeAlias = str | Callable[[Request], bool]
"""A piece of the prompt's text, or a function that says whether a request is meant."""

Answer: TypeAlias = Callable[[Request], object | Awaitable[object]]
"""A function, sync or async, from a request to its reply; it runs in the server's thread."""


class ScriptError(AssertionError):
    """What was scripted and what was asked do not fit; `problems` has one sentence for each misfit."""

    def __init__(self, problems: Iterable[str]) -> None:
        self.problems: tuple[str, ...] = tuple(problems)
        lines = "\n".join(f"  - {problem}" for problem in self.problems)
        super().__init__(f"the scripted server has {len(self.problems)} complaint(s):\n{lines}")


@dataclass
class _Rule:
    matcher: Matcher
    reply: Reply
    times: int | None

    def matches(self, request: Request) -> bool:
        if self.times == 0:
            return False
        if isinstance(self.matcher, str):
            return self.matcher in request.text
        return self.matcher(request)

    def take(self) -> Reply:
        if self.times is not None:
            self.times -= 1
        return self.reply


class Script:
    """The replies that are left. Any thread may add to it; the server's thread takes."""

    def __init__(self) -> None:
        self._lock = RLock()
        self._queue: deque[Reply] = deque()
        self._rules: list[_Rule] = []
        self._answer: Answer | None = None

    def add(self, replies: Iterable[object]) -> None:
        """Put replies at the end of the queue."""
        with self._lock:
            self._queue.extend(map(as_reply, replies))

    def when(self, matcher: Matcher, reply: object, times: int | None) -> None:
        """Answer requests that match, before the queue is asked; the first rule that matches counts."""
        with self._lock:
            self._rules.append(_Rule(matcher, as_reply(reply), times))

    def answer(self, function: Answer) -> None:
        """Answer whatever rules and queue leave open."""
        with self._lock:
            self._answer = function

    async def next(self, request: Request) -> Reply | None:
        """Take the reply for `request`; `None` if there is none left."""
        with self._lock:
            rule = next((rule for rule in self._rules if rule.matches(request)), None)
            if rule is not None:
                return rule.take()
            if self._queue:
                return self._queue.popleft()
            function = self._answer
        if function is None:
            return None
        answered = function(request)
        return as_reply(await answered if inspect.isawaitable(answered) else answered)

    def left(self) -> list[str]:
        """Return a sentence for each reply that was scripted and not asked for."""
        with self._lock:
            queued = [f"never asked for: {reply!r}" for reply in self._queue]
            ruled = [
                f"asked for {rule.times} time(s) less than scripted: when({rule.matcher!r}, {rule.reply!r})"
                for rule in self._rules
                if rule.times
            ]
        return queued + ruled


def from_schema(request: Request) -> Reply:
    """Answer with the tool call that is demanded, else a sample of the schema, else plain text."""
    tool = _demanded_tool(request)
    if tool is not None:
        arguments = sample(tool.get("parameters") or {"type": "object"})
        return CallTools([Call(str(tool["name"]), to_json(arguments))])
    return Say("text" if request.schema is None else to_json(sample(request.schema)))


def _demanded_tool(request: Request) -> JsonObject | None:
    choice = request.body.get("tool_choice")
    if isinstance(choice, dict):
        chosen = cast(JsonObject, choice).get("function", {})
        return request.tools.get(chosen.get("name", ""))
    return next(iter(request.tools.values()), None) if choice == "required" else None

"""What is known of a run while it goes on. Written by the event loop, read by the thread that draws; it only counts."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import TYPE_CHECKING, final

from swarmlet.trace.events import (
    Answered,
    Asked,
    CallEnded,
    CallQueued,
    CallSaved,
    CallStarted,
    Event,
    RunEnded,
    RunResumed,
    RunStarted,
    StepEnded,
    StepRetried,
    StepStarted,
    ToolEnded,
    ToolStarted,
)
from swarmlet.trace.record import is_begun, price_of

if TYPE_CHECKING:
    from swarmlet.policy.account import Account
    from swarmlet.trace.events import RunId
    from swarmlet.trace.record import Draft


@final
class Tally:
    """How a run goes. `limits` are those of its node's budget; `account` is that of the swarm."""

    __slots__ = (
        *("run", "name", "state", "begun", "last", "done", "failed", "calls", "flying", "saved", "retries", "tools"),
        *("input_tokens", "output_tokens", "usd", "unpriced", "limits", "account", "going", "doing", "asked"),
    )

    def __init__(self, run: RunId, limits: Mapping[str, int | Decimal], account: Account | None) -> None:
        self.run: RunId = run
        self.name: str = ""
        self.state: str = "running"
        self.begun: float | None = None
        self.last: float = 0.0
        self.done: int = 0
        """Steps that have ended well, or were cancelled."""
        self.failed: int = 0
        self.calls: int = 0
        """Attempts of model calls that have ended."""
        self.flying: set[tuple[str, int, int]] = set()
        """Attempts of model calls that are under way."""
        self.saved: int = 0
        self.retries: int = 0
        self.tools: int = 0
        self.input_tokens: int = 0
        self.output_tokens: int = 0
        self.usd: Decimal = Decimal(0)
        self.unpriced: bool = False
        self.limits: Mapping[str, int | Decimal] = limits
        self.account: Account | None = account
        self.going: dict[str, float] = {}
        """When the steps began that are under way, in that order."""
        self.doing: dict[str, str] = {}
        """What those steps do that say so: `model`, `tool search`, `waits 3 s`."""
        self.asked: dict[str, float] = {}
        """Who waits for a person."""

    def take(self, event: Event) -> None:
        """Count an event."""
        self.last = event.at
        match event:
            case StepStarted():
                self.going[event.path] = event.at
            case StepEnded():
                self._end(event.path, failed=event.state == "failed")
            case CallStarted():
                self.flying.add((event.path, event.turn, event.attempt))
                self.doing[event.path] = "model"
            case CallEnded():
                self._call(event)
            case RunStarted():
                self.name, self.begun, self.state = event.name, event.at, "running"
            case RunResumed():
                self.state = "running"
                self.begun = event.at if self.begun is None else self.begun
                for gone in (self.going, self.doing, self.flying, self.asked):  # with the process that had it
                    gone.clear()
            case RunEnded():
                self.state = event.state
            case _:
                self._other(event)

    def _other(self, event: Event) -> None:
        match event:
            case CallSaved():
                self.saved += 1
            case CallQueued():
                self.doing[event.path] = "waits for a budget"
            case StepRetried():
                self.retries += 1
                self.doing[event.path] = f"tried again in {event.wait:.1f} s"
            case ToolStarted():
                self.doing[event.path] = f"tool {event.tool}"
            case ToolEnded():
                self.tools += 1
                self.doing.pop(event.path, None)
            case Asked():
                self.asked[event.path] = event.at
            case Answered():
                self.asked.pop(event.path, None)
            case _:
                pass

    def take_draft(self, draft: Draft) -> None:
        """Count a draft."""
        self.last = draft[0]
        if is_begun(draft):
            self.going[draft[1]] = draft[0]
        else:
            self._end(draft[1], failed=False)

    def _end(self, path: str, *, failed: bool) -> None:
        self.going.pop(path, None)
        self.doing.pop(path, None)
        self.asked.pop(path, None)
        if failed:
            self.failed += 1
        else:
            self.done += 1

    def _call(self, event: CallEnded) -> None:
        self.calls += 1
        self.flying.discard((event.path, event.turn, event.attempt))
        self.doing.pop(event.path, None)
        self.input_tokens += event.input_tokens
        self.output_tokens += event.output_tokens
        usd = price_of(event.usd)
        self.usd += usd or 0
        self.unpriced = self.unpriced or event.unknown_cost or (usd is None and event.input_tokens > 0)
        if event.retry_in is not None:
            self.retries += 1
            self.doing[event.path] = f"tried again in {event.retry_in:.1f} s"

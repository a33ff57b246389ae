"""Limits that all nodes of a swarm share."""

from __future__ import annotations

from dataclasses import dataclass
from typing import cast

from swarmlet.errors import GraphError
from swarmlet.policy.checks import is_count
from swarmlet.policy.pace import Allowance
from swarmlet.policy.window import Window

_NUMBERS = ("requests_per_minute", "tokens_per_minute", "concurrency", "tools")


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """How many model calls a swarm lets go, and how fast. The trace shows how long each one had to wait.

    `requests_per_minute` and `tokens_per_minute` hold for each model: with its endpoint and key it has limits of its own
    at the server too. What is left out is learned from the headers of the server's answers and from its refusals.
    `requests` and `tokens` are further windows, such as `(Window(10, 300),)`: ten in five minutes.

    `concurrency`: model calls in flight at the same time, over all runs and models of the swarm. `tools`: calls of
    function tools at the same time for each agent turn.

    Given to `OpenAIModel(limits=)` they are that model's own and hold in place of the swarm's. `concurrency` then bounds
    the calls of that model, within the swarm's.
    """

    requests_per_minute: int | None = None
    tokens_per_minute: int | None = None
    requests: tuple[Window, ...] = ()
    tokens: tuple[Window, ...] = ()
    concurrency: int = 64
    tools: int = 8

    def __post_init__(self) -> None:
        for name in _NUMBERS:
            value: object = getattr(self, name)
            if value is None and name.endswith("_per_minute"):
                continue
            if not is_count(value):
                raise GraphError(f"Limits({name}=) must be a whole number of at least 1, not {value!r}")
        for name in ("requests", "tokens"):
            given: object = getattr(self, name)
            windows = cast("tuple[object, ...]", given) if isinstance(given, tuple) else (None,)
            if not all(isinstance(window, Window) for window in windows):
                raise GraphError(f"Limits({name}=) takes a tuple of windows, such as (Window(10, 300),), not {given!r}")
            lengths = [window.seconds for window in self._windows(name)]
            if len(set(lengths)) < len(lengths):
                raise GraphError(f"Limits({name}=, {name}_per_minute=) name two windows of the same length")

    def _windows(self, name: str) -> tuple[Window, ...]:
        windows: tuple[Window, ...] = getattr(self, name)
        a_minute: int | None = getattr(self, f"{name}_per_minute")
        return windows if a_minute is None else (Window(a_minute), *windows)

    @property
    def allowance(self) -> Allowance:
        """What the calls of one model are held to. Until a limit is known, only `concurrency` holds them back."""
        return Allowance(
            requests=self._windows("requests"),
            tokens=self._windows("tokens"),
            concurrency=self.concurrency,
            careful=False,
        )

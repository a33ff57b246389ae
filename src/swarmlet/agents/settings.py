"""What an agent is made of, beside its prompt function."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, TypeAlias

from swarmlet.models.base import ChatRequest

if TYPE_CHECKING:
    from swarmlet.agents.lists import Lists
    from swarmlet.agents.output import Output
    from swarmlet.agents.tools import Tool
    from swarmlet.models.base import Message
    from swarmlet.models.fit import Fit

Truncated: TypeAlias = Literal["raise", "keep"]
"""What becomes of a text that was cut off at the cap on its tokens."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AgentSettings:
    """What an agent is made of, beside its prompt function."""

    instructions: str
    tools: tuple[Tool, ...]
    output: Output[object]
    max_turns: int
    max_tokens: int
    min_tokens: int | None
    repairs: int
    temperature: float | None
    seed: int | None
    policies: tuple[Fit, ...]
    window: int | None
    truncated: Truncated
    cache_key: str
    """Tells the provider's cache which requests begin alike: the same in every process, for this agent and no other."""
    lists: Lists | None = None
    """The lists in its output, if their items are handed on early."""

    @property
    def turns(self) -> int:
        """How many turns it takes at most. Without tools each is an answer, or one that goes back to be mended."""
        if self.tools:
            return self.max_turns
        return min(self.max_turns, 1 if self.output.schema is None else 1 + self.repairs)

    def request(self, model: str, messages: tuple[Message, ...]) -> ChatRequest:
        """The request of the first turn."""
        return ChatRequest(
            model=model,
            messages=messages,
            tools=tuple(tool.definition for tool in self.tools),
            format=self.output.format,
            max_tokens=self.max_tokens,
            temperature=self.temperature,
            seed=self.seed,
            cache_key=self.cache_key,
        )

"""How an agent's step begins: its settings, and what the swarm has for it, become a conversation."""

from __future__ import annotations

from typing import TYPE_CHECKING

from swarmlet.agents.sharing import Replies
from swarmlet.agents.turns import Conversation
from swarmlet.models.hub import Models

if TYPE_CHECKING:
    from swarmlet.agents.settings import AgentSettings
    from swarmlet.engine.context import Current
    from swarmlet.models.base import Message


def begin(
    step: Current, settings: AgentSettings, messages: tuple[Message, ...], ends: frozenset[str] = frozenset()
) -> Conversation[object]:
    """The conversation of an agent in a step, before its first turn. A call of one of the tools named in `ends` ends it."""
    models = step.get(Models)
    model = models.get(step.scope.model)
    return Conversation(
        step=step,
        models=models,
        replies=step.get(Replies),
        model=model,
        request=settings.request(model.name, messages),
        tools={tool.name: tool for tool in settings.tools},
        output=settings.output,
        max_turns=settings.turns,
        repairs=settings.repairs,
        min_tokens=settings.min_tokens,
        policies=settings.policies,
        window=settings.window,
        drafts=settings.lists.drafts(step) if settings.lists is not None else None,
        ends=ends,
        cut_will_do=settings.truncated == "keep",
    )

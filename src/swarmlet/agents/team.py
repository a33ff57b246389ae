"""`team`: agents that hand a conversation to one another.

A member is an agent whose first argument is the conversation so far. For each other member it gets a tool, `hand_to_NAME`;
when the model calls one, the conversation goes on with that member, who sees all that was said and done until then.
"""

from __future__ import annotations

import copy
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import (
    TYPE_CHECKING,
    Any,
    Concatenate,
    Generic,
    ParamSpec,
    Protocol,
    TypeAlias,
    TypeVar,
    Union,
    cast,
    final,
    overload,
)

from swarmlet.agents.agent import Agent
from swarmlet.agents.tools import Tool, tool
from swarmlet.engine.context import current
from swarmlet.graph.arms import common_signature, refuse
from swarmlet.graph.node import Node
from swarmlet.graph.shape import Leaf
from swarmlet.graph.source import user_line
from swarmlet.graph.team import HandedOver, Spoken, TeamShape
from swarmlet.graph.types import fits, show
from swarmlet.models.base import Message

if TYPE_CHECKING:
    from swarmlet.graph.shape import AnyNode
    from swarmlet.models.base import ToolCall

P = ParamSpec("P")
T_co = TypeVar("T_co", covariant=True)
A = TypeVar("A")
B = TypeVar("B")
C = TypeVar("C")
D = TypeVar("D")
Chat: TypeAlias = Sequence[Message]
AnyAgent: TypeAlias = "Agent[..., Any]"  # Any: agents of any output


@final
@dataclass(frozen=True, slots=True)
class Said(Generic[T_co]):
    """The answer of a team, and who gave it."""

    by: str
    """The name of the member that answered."""
    output: T_co
    """Its answer."""
    spoke: tuple[str, ...]
    """The members that had the conversation, in order; the last one answered."""
    chat: tuple[Message, ...]
    """The conversation that the team was given, with all that was said and done, tools and handoffs included."""
    kept: tuple[Message, ...]
    """The same as `fit=` has left it for the last member: go on from this, and nothing is cut, or summed up, twice."""
    new: tuple[Message, ...]
    """What this run has added to the conversation: the end of `chat`, for who keeps the whole of it elsewhere."""


class Member(Protocol[P, T_co]):
    """What type checkers see of a member: more than a callable, so that they flag nodes that are no agents.

    It is no `Agent[P, T]`, as ty and pyright take its parameter list as invariant.
    """

    def __call__(self, chat: Chat, /, *args: P.args, **kwargs: P.kwargs) -> T_co:
        """As of a node."""
        ...

    def render(self, chat: Chat, /, *args: P.args, **kwargs: P.kwargs) -> tuple[Message, ...]:
        """As of an agent."""
        ...


@overload
def team(entry: Member[P, A], /) -> Node[Concatenate[Chat, P], Said[A]]: ...


@overload
def team(entry: Member[P, A], second: Member[P, B], /, *, handoffs: int = 5) -> Node[Concatenate[Chat, P], Said[A | B]]: ...


@overload
def team(
    entry: Member[P, A],
    second: Member[P, B],
    third: Member[P, C],
    /,
    *,
    handoffs: int = 5,
) -> Node[Concatenate[Chat, P], Said[A | B | C]]: ...


@overload
def team(
    entry: Member[P, A],
    second: Member[P, B],
    third: Member[P, C],
    fourth: Member[P, D],
    /,
    *,
    handoffs: int = 5,
) -> Node[Concatenate[Chat, P], Said[A | B | C | D]]: ...


@overload
def team(
    entry: Member[P, A],
    second: Member[P, A],
    /,
    *more: Member[P, A],
    handoffs: int = 5,
) -> Node[Concatenate[Chat, P], Said[A]]: ...


def team(*members: Callable[..., object], handoffs: int = 5) -> Node[..., object]:
    """Agents that have a conversation together: the first one begins, and any may hand over to any other.

    A member is an agent whose first argument is the conversation so far, `Sequence[Message]`; what of it is sent to its model
    is up to its prompt function. Further arguments are the same for all members. Each member has its own instructions, tools
    and model, and the text of its docstring tells the others what it is for. When a model calls `hand_to_NAME`, the member of
    that name goes on, and sees all that was said and done. After `handoffs` of them the member that is reached must answer.
    The result says who answered, what, who else had the conversation, and the conversation itself, to go on from. A team of one
    is for that: an agent that talks on and on.

    Members have the paths `team/NAME`, `team/NAME~2`. Raises `GraphError` for members that are no such agents.
    """
    here = user_line()
    problems = [] if members else ["it needs members, the one that begins first"]
    if not isinstance(cast("object", handoffs), int) or isinstance(handoffs, bool) or handoffs < 0:
        problems.append(f"handoffs= must be a whole number of at least 0, not {handoffs!r}")
    agents = [cast("AnyAgent", member) for member in members]
    refuse(here, "team()", [*problems, *(problem for agent in agents for problem in _unfit(agent))])
    names = [agent.name for agent in agents]
    doubled = sorted({name for name in names if names.count(name) > 1})
    signature, problems = common_signature([cast("AnyNode", agent) for agent in agents])
    refuse(here, "team()", [*(f"two members are named {name!r}: give one with_options(name=)" for name in doubled), *problems])
    output: object = Union[tuple(agent.signature.returns for agent in agents)]  # noqa: UP007  # a value, not an annotation
    return Node(
        name="team",
        signature=replace(signature, returns=cast("Any", Said)[output]),  # Any: a type made at run time
        shape=TeamShape(
            entry=names[0],
            members={one.name: _member(one, [other for other in agents if other is not one]) for one in agents},
            closers={one.name: _member(one, []) for one in agents},
            handoffs=handoffs if len(agents) > 1 else 0,
            answer=_said,
        ),
        origin=agents[0].origin,
    )


def _said(spoke: Sequence[str], answer: Spoken, given: object) -> Said[object]:
    chat, kept = (tuple(cast("Chat", one)) for one in (answer.chat, answer.kept))
    new = chat[len(cast("Chat", given)) :]
    return Said(by=spoke[-1], output=answer.output, spoke=tuple(spoke), chat=chat, kept=kept, new=new)


def _unfit(member: object) -> list[str]:
    """What keeps something from being a member."""
    if not isinstance(member, Agent):
        return [f"a member is an agent, made with @agent, not {member!r}"]
    agent = cast("AnyAgent", member)
    first = agent.signature.first
    if first is None or not fits(tuple[Message, ...], first.annotation):
        takes = "nothing" if first is None else show(first.annotation)
        return [f"{agent.name!r} takes {takes} first; a member takes the conversation, Sequence[Message]"]
    fallback = agent.options.fallback
    return [] if fallback is None else [f"the fallback of {agent.name!r}: {problem}" for problem in _unfit(fallback)]


def _member(agent: AnyAgent, others: Sequence[AnyAgent]) -> AnyNode:
    """The agent as a member that can hand over to `others`."""
    settings = replace(agent.settings, tools=(*agent.settings.tools, *(_handoff(other) for other in others)))
    targets = {_tool_name(other): other.name for other in others}

    async def call(chat: Chat, *args: object, **kwargs: object) -> object:
        from swarmlet.agents.begin import begin  # what makes calls is imported by the first one

        messages = await agent.render_async(chat, *args, **kwargs)
        conversation = begin(current(), settings, messages, ends=frozenset(targets))
        answer = await conversation.run_or_end()
        said = (*chat, *conversation.said)
        if isinstance(answer, tuple):
            (end,) = cast("tuple[ToolCall]", answer)
            return HandedOver(targets[end.name], _why(end), said)
        return Spoken(answer, said, conversation.kept(tuple(chat), messages))

    member = copy.copy(agent)
    shape = replace(cast("Leaf", agent.shape), call=call, calls=settings.turns)
    options = agent.options
    if options.fallback is not None:  # it speaks in the member's place
        options = replace(options, fallback=_member(cast("AnyAgent", options.fallback), others))
    vars(member).update(shape=shape, settings=settings, options=options)
    return cast("AnyNode", member)


def _tool_name(agent: AnyAgent) -> str:
    return f"hand_to_{agent.name}"


def _handoff(agent: AnyAgent) -> Tool:
    """The tool by which other members hand over to this one."""

    def hand_over(why: str) -> str:
        raise NotImplementedError(why)  # a conversation that meets this call ends with it

    purpose = (agent.settings.instructions.strip().splitlines() or [""])[0]
    return tool(hand_over, name=_tool_name(agent), description=f"Hand the conversation to {agent.name}. {purpose}".strip())


def _why(call: ToolCall) -> str:
    """The reason that a model gives for handing over, if it is one."""
    try:
        given = json.loads(call.arguments)
    except ValueError:
        return ""
    return str(cast("dict[str, object]", given).get("why", "")) if isinstance(given, dict) else ""

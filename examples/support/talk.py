"""The conversation as a value, and one turn of it."""

from collections.abc import Callable
from typing import Literal, TypeAlias

from pydantic import BaseModel

from examples.support.desk import TEAMS
from examples.support.shop import Customer
from swarmlet import Budget, BudgetExceeded, DeadlineExceeded, Message, RunError, StepFailed, StepsFailed, Swarm, Trace
from swarmlet.trace import Event, TextDelta

TOKENS = 100_000
"""What one conversation may use: about two cents of GPT-4o mini."""
SECONDS = 60.0
"""What one turn may take, approvals included."""
Why: TypeAlias = Literal["budget", "time", "failure"]
SORRY: dict[Why, str] = {
    "budget": "We have talked for long. A colleague reads this and writes to you today.",
    "time": "I am sorry, this takes me too long. A colleague looks at it and writes to you today.",
    "failure": "I am sorry, something went wrong here. A colleague looks at it and writes to you today.",
}


class Line(BaseModel, frozen=True):
    who: str
    text: str


class Escalation(BaseModel, frozen=True):
    """Why a person has to go on, and what the failed turn did to the world before it failed."""

    why: Why
    error: str
    done: tuple[str, ...]


class Talk(BaseModel, frozen=True):
    """A conversation between two turns. `model_dump_json` writes it, `model_validate_json` reads it back, anywhere."""

    customer: str
    desk: str = "reception"
    lines: tuple[Line, ...] = ()
    """Who said what, for people: all of it."""
    chat: tuple[Message, ...] = ()
    """The same for models, with tools and their results, as far as the window has room for it."""
    tokens: int = 0
    escalation: Escalation | None = None

    def said(self, who: str, text: str) -> "Talk":
        return self.model_copy(update={"lines": (*self.lines, Line(who=who, text=text))})


async def answer(swarm: Swarm, talk: Talk, text: str, tell: Callable[[Event], None]) -> Talk:
    """One turn: the conversation with what the customer said and what was answered. `tell` is told all that happens."""
    talk = talk.said(talk.customer, text)
    if talk.escalation:
        return talk.said("desk", "A colleague has your case and reads this, too.")
    chat = (*talk.chat, Message.user(text))
    turn = TEAMS[talk.desk].with_options(
        timeout=SECONDS,
        budget=Budget(tokens=max(1, TOKENS - talk.tokens)),
        resources={Customer: Customer(talk.customer)},
    )
    shown = ""
    async with swarm.stream(turn, chat, talk.customer) as stream:
        try:
            async for event in stream:
                tell(event)
                shown += event.text if isinstance(event, TextDelta) else ""
        except (StepFailed, StepsFailed, BudgetExceeded, DeadlineExceeded) as error:
            return escalated(talk.said("cut off", shown) if shown else talk, error, stream.trace)
    said, tokens = stream.output, talk.tokens + stream.usage.total_tokens
    return talk.said(said.by, said.output).model_copy(update={"desk": said.by, "chat": said.kept, "tokens": tokens})


def escalated(talk: Talk, error: RunError, trace: Trace) -> Talk:
    """The talk as a person takes it over. What tools have changed before the failure is not lost, and not done twice."""
    why: Why = "budget" if isinstance(error, BudgetExceeded) else "time" if isinstance(error, DeadlineExceeded) else "failure"
    tools = [use for step in trace.steps() for use in step.tools if use.started.effects]
    done = tuple(f"{use.started.tool}: {use.state}" for use in tools)
    tokens = talk.tokens + trace.usage.total_tokens
    escalation = Escalation(why=why, error=str(error), done=done)
    return talk.said("desk", SORRY[why]).model_copy(update={"tokens": tokens, "escalation": escalation})

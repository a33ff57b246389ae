"""Questions to people as users write them. No checker may flag a line; importing the file builds every node."""

from typing import Literal

from pydantic import BaseModel
from typing_extensions import assert_type

from swarmlet import Approve, Node, Question, Refuse, Swarm, agent, ask, current, each, graph, node, tool
from swarmlet.swarm.people import LATER, terminal


class Mail(BaseModel):
    text: str


class Decision(BaseModel):
    approved: bool
    reason: str = ""


# A constant question

go = ask(bool, "Go on?")
assert_type(go, Node[[], bool])
colour = ask(Literal["red", "green"], "Which colour?", timeout=60, default="red", name="colour")
maybe = ask(int | None, "How many, if any?")
late = ask(bool, "Still there?", timeout=3600, default=False)
decision = ask(Decision, "What now?", timeout=10, default=Decision(approved=False))


# A question that is made of arguments


@ask(Decision)
def approve(draft: Mail) -> str:
    """Whether a mail may go out."""
    return f"May this go out?\n{draft.text}"


@ask(int, timeout=60, default=0, name="count")
async def how_many(topic: str, *, least: int = 0) -> str:
    return f"How many {topic}, {least} at least?"


@node
def send(draft: Mail, decision: Decision) -> str:
    return draft.text if decision.approved else decision.reason


@node
def add(numbers: list[int], sure: bool) -> int:
    return sum(numbers) if sure else 0


@graph
def write(draft: Mail) -> str:
    return send(draft, approve(draft))


@graph
def count(topics: list[str]) -> int:
    return add(each(how_many)(topics), go())


@node
async def inside(draft: Mail) -> bool:
    first = await current().run(approve, draft)
    assert_type(first, Decision)
    return first.approved and await current().run(go)


# Tools


def refund(order: int, amount: float = 10.0) -> str:
    """Pay money back."""
    return f"{amount} for {order}"


def much(arguments: dict[str, object]) -> bool:
    return arguments["amount"] != 10.0


always = tool(refund, effects=True, approve=True, on_lost="ask")
sometimes = tool(refund, name="refund_much", approve=much, timeout=None)


@agent(str, tools=[always, sometimes, approve, tool(go, name="sure", timeout=60)])
def desk(message: str) -> str:
    """You help customers."""
    return message


# Who answers


async def pager(question: Question) -> object:
    if question.about == "approval":
        return Approve() if question.tool == "refund" else Refuse("not that")
    return LATER


async def main() -> None:
    async with Swarm(people=terminal) as swarm:
        run = await swarm.run(write, Mail(text="Hello"))
        assert_type(run.output, str)
    async with Swarm(people=pager, journal="runs.sqlite") as swarm:
        async with swarm.stream(count, ["tea"]) as stream:
            async for event in stream:
                if event.kind == "asked":
                    await stream.answer(event.path, 3, by="ann")
            stream.suspend()
            assert_type(stream.output, int)
        for question in await swarm.inbox():
            assert_type(question, Question)
            await swarm.answer(question.run, question.path, {"approved": True}, by="ann")

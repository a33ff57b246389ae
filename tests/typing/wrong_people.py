"""Questions to people as users get them wrong. Every checker must flag each line that is marked, and no other."""

from pydantic import BaseModel

from swarmlet import Approve, Question, Refuse, Swarm, ask, current, each, graph, node, tool


class Mail(BaseModel):
    text: str


class Decision(BaseModel):
    approved: bool


go = ask(bool, "Go on?")


@ask(Decision)
def approve(draft: Mail) -> str:
    return draft.text


@node
def send(draft: Mail, decision: Decision) -> str:
    return draft.text


@node
def shout(text: str) -> str:
    return text.upper()


# Wiring


@graph
def wrong_answer(draft: Mail) -> str:
    return send(draft, go())  # error


@graph
def wrong_argument(text: str) -> Decision:
    return approve(text)  # error


@graph
def too_many(draft: Mail) -> bool:
    return go(draft)  # error


@graph
def wrong_result(draft: Mail) -> str:
    return approve(draft)  # error


@graph
def wrong_items(drafts: list[str]) -> list[Decision]:
    return each(approve)(drafts)  # error


@node
async def inside(text: str) -> Decision:
    return await current().run(approve, text)  # error


# Definitions

no_text = ask(bool, 3)  # error
wrong_timeout = ask(bool, "Go on?", timeout="soon")  # error
unknown = ask(bool, "Go on?", until=3)  # error


@ask(bool)  # error
def not_a_text(draft: Mail) -> int:
    return 3


def refund(order: int) -> str:
    return str(order)


def how_much(amount: int) -> bool:
    return amount > 3


wrong_approve = tool(refund, approve="yes")  # error
wrong_function = tool(refund, approve=how_much)  # error
wrong_lost = tool(refund, on_lost="forget")  # error
wrong_arguments = Approve("all")  # error
wrong_reason = Refuse(3)  # error


# Who answers


def no_question() -> bool:
    return True


async def wrong_kind(question: str) -> bool:
    return question == "Go on?"


def fields(question: Question) -> str:
    return question.until  # error


wrong_people = Swarm(people="ann")  # error
wrong_callback = Swarm(people=no_question)  # error
wrong_parameter = Swarm(people=wrong_kind)  # error


async def main(swarm: Swarm) -> None:
    await swarm.answer("run", 3, True)  # error
    await swarm.answer("run", "path")  # error
    async with swarm.stream(go) as stream:
        await stream.answer(True)  # error
        text: str = stream.output  # error
        print(text)

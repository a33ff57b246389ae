"""`match` and `team` as users write them. No checker may flag a line; importing the file builds every graph."""

from collections.abc import AsyncIterable, Sequence
from typing import Literal

from pydantic import BaseModel
from typing_extensions import assert_type

from swarmlet import Again, Done, Message, Node, Said, agent, each, graph, hedge, loop, match, node, race, switch, team


class Task(BaseModel):
    text: str


class Order(BaseModel):
    item: str


class Complaint(BaseModel):
    text: str
    angry: bool = False


class RudeComplaint(Complaint):
    words: list[str] = []


class Question(BaseModel):
    text: str


class Code(BaseModel):
    source: str


class Report(BaseModel):
    passed: bool


# match


@agent(Order | Complaint)
def read(task: Task) -> str:
    return task.text


@agent(Order | Complaint | Question)
def read_more(task: Task) -> str:
    return task.text


@agent(Order | None)
def read_perhaps(task: Task) -> str:
    return task.text


@agent(Literal["order", "complaint"])
def sort(task: Task) -> str:
    return task.text


@agent(str)
def sell(order: Order, tone: str = "dry") -> str:
    return f"{tone} {order.item}"


@agent(Code)
def make(order: Order, tone: str = "dry") -> str:
    return f"{tone} {order.item}"


@agent(Report)
def calm(complaint: Complaint, tone: str = "dry") -> str:
    return f"{tone} {complaint.text}"


@node
async def excuse(complaint: Complaint, tone: str = "dry") -> str:
    return f"{tone} {complaint.text}"


@node
def complain_back(complaint: RudeComplaint, tone: str = "dry") -> int:
    return len(complaint.words) + len(tone)


@agent(int)
def answer(question: Question, tone: str = "dry") -> str:
    return f"{tone} {question.text}"


@node
def other(value: object, tone: str = "dry") -> bytes:
    return f"{tone} {value}".encode()


@node
def order_or_question(value: Order | Question, tone: str = "dry") -> str:
    return f"{tone} {value}"


@node
def nothing_read(value: None, tone: str = "dry") -> str:
    return f"{tone} {value}"


@node
def on_order_word(word: Literal["order"], tone: str = "dry") -> str:
    return f"{tone} {word}"


@node
def on_complaint_word(word: Literal["complaint"], tone: str = "dry") -> int:
    return len(word) + len(tone)


def plain_sell(order: Order, tone: str = "dry") -> str:
    return f"{tone} {order.item}"


@graph
def matched(task: Task) -> str:
    text = match(sell, excuse)(read(task))
    assert_type(text, str)
    return text


@graph
def matched_results(task: Task) -> str | Report:
    result = match(sell, calm)(read(task), tone="warm")
    assert_type(result, str | Report)
    return result


@graph
def matched_by_position(task: Task, tone: str) -> Code | Report:
    result = match(make, calm)(read(task), tone)
    assert_type(result, Code | Report)
    return result


@graph
def member_of_union(order: Order, complaint: RudeComplaint) -> tuple[str | Report, str | Report]:
    return match(sell, calm)(order), match(sell, calm)(complaint)


@graph
def matched_three(task: Task) -> tuple[str | Report | int, str | Report | int]:
    result = match(sell, calm, answer)(read_more(task))
    assert_type(result, str | Report | int)
    return result, match(sell, calm, answer)(read(task))


@graph
def most_special_first(task: Task) -> str | int | Report:
    result = match(sell, complain_back, calm)(read(task))
    assert_type(result, str | int | Report)
    return result


@graph
def matched_four(task: Task) -> str | int | Report | bytes:
    result = match(sell, complain_back, calm, other)(read_more(task))
    assert_type(result, str | int | Report | bytes)
    return result


@graph
def matched_five(task: Task) -> Code | int | Report | bytes:
    result = match(make, complain_back, calm, answer, other)(task)
    assert_type(result, Code | int | Report | bytes)
    return result


@graph
def default_last(task: Task) -> str | bytes:
    result = match(sell, other)(read_more(task))
    assert_type(result, str | bytes)
    return result


@graph
def arm_of_a_union(task: Task) -> str | Report:
    result = match(order_or_question, calm)(read_more(task))
    assert_type(result, str | Report)
    return result


@graph
def match_in_match(task: Task) -> str | Report | int:
    result = match(match(sell, calm), answer)(read_more(task))
    assert_type(result, str | Report | int)
    return result


@graph
def matched_none(task: Task) -> str:
    return match(sell, nothing_read)(read_perhaps(task))


@graph
def matched_literals(task: Task) -> str | int:
    result = match(on_order_word, on_complaint_word)(sort(task))
    assert_type(result, str | int)
    return result


@graph
def matched_functions(task: Task) -> str:
    return match(plain_sell, excuse)(read(task))


@graph
def matched_items(tasks: AsyncIterable[Task]) -> list[str | Report]:
    results = each(match(sell, calm))(each(read)(tasks))
    assert_type(results, list[str | Report])
    return results


@node
def ship(order: Order) -> Again[Order | Complaint] | Done[str]:
    return Done(order.item)


@node
def settle(complaint: Complaint) -> Again[Order | Complaint] | Done[str]:
    return Again(Order(item=complaint.text))


ship_or_settle = match(ship, settle)
matched_loop = loop(ship_or_settle, rounds=3)
matched_node: Node[[Order | Complaint], Again[Order | Complaint] | Done[str]] = ship_or_settle
matched_patiently = match(hedge(sell, after=3), race(excuse, excuse)).with_options(timeout=60)


@graph
def of_matched_values(task: Task) -> tuple[str, str]:
    text = matched_loop(read(task))
    assert_type(text, str)
    patient = matched_patiently(read(task), "kind")
    assert_type(patient, str)
    return text, patient


# team


@agent(Code)
def triage(chat: Sequence[Message], user: str) -> list[Message]:
    """Find out what the user needs."""
    return [*chat, Message.user(user)]


@agent(Report)
def billing(chat: Sequence[Message], user: str) -> list[Message]:
    """Bills and payments."""
    return [Message.user(f"{user}: {len(chat)}")]


@agent(str)
async def support(so_far: Sequence[Message], user: str) -> list[Message]:
    """Technical trouble."""
    return [*so_far, Message.user(user)]


@agent(int)
def count(chat: Sequence[Message] | str, user: str) -> str:
    """Numbers."""
    return f"{user} {chat}"


@agent(str)
def sum_up(chat: Sequence[object], user: str) -> str:
    """Sums up."""
    return f"{user} {len(chat)}"


@agent(str)
def alone(chat: Sequence[Message]) -> list[Message]:
    """Needs nothing more."""
    return list(chat)


@agent(Report)
def judge(chat: Sequence[Message]) -> list[Message]:
    """Judges."""
    return list(chat)


@graph
def team_of_two(user: str) -> Code | Report:
    said = team(triage, billing)([], user)
    assert_type(said, Said[Code | Report])
    assert_type(said.output, Code | Report)
    assert_type(said.by, str)
    assert_type(said.spoke, tuple[str, ...])
    assert_type(said.chat, tuple[Message, ...])
    assert_type(said.kept, tuple[Message, ...])
    assert_type(said.new, tuple[Message, ...])
    return said.output


@graph
def team_of_one(user: str) -> Code:
    said = team(triage)([], user)
    assert_type(said, Said[Code])
    return team(triage)(said.kept, user).output


@graph
def team_of_three(chat: list[Message], user: str) -> Said[Code | Report | str]:
    said = team(triage, billing, support, handoffs=2)(chat, user=user)
    assert_type(said, Said[Code | Report | str])
    return said


@graph
def team_of_four(user: str) -> Said[Code | Report | str | int]:
    said = team(triage, billing, support, count)((), user)
    assert_type(said, Said[Code | Report | str | int])
    return said


@graph
def team_of_many(user: str) -> str:
    second, third, fourth = (support.with_options(name=name) for name in ("second", "third", "fourth"))
    said = team(support, sum_up, second, third, fourth)([], user)
    assert_type(said, Said[str])
    return said.output


@graph
def team_without_more(chat: Sequence[Message]) -> str | Report:
    said = team(alone, judge)(chat)
    assert_type(said, Said[str | Report])
    return said.output


@graph
def goes_on(first: str, second: str) -> Said[Code | Report]:
    said = team(triage, billing)([], first)
    return team(triage, billing)(said.chat, second)


@graph
def teams_of_items(chats: list[list[Message]], user: str) -> list[Said[Code | Report]]:
    said = each(team(triage, billing), concurrency=2)(chats, user)
    assert_type(said, list[Said[Code | Report]])
    return said


@graph
def raced_teams(chat: list[Message], user: str) -> Said[Code | Report] | Said[str]:
    said = race(team(triage, billing), team(support, sum_up))(chat, user)
    assert_type(said, Said[Code | Report] | Said[str])
    return said


@node
def is_angry(chat: Sequence[Message], /, user: str) -> bool:
    return user.isupper() and not chat


team_node: Node[[Sequence[Message]], Said[str | Report]] = team(alone, judge)
routed = switch(is_angry, {True: team(triage, support), False: team(triage, support, handoffs=1)})
backed = team(triage, billing).with_options(timeout=30, fallback=team(triage, billing, handoffs=0), concurrency=3)


@graph
def of_teams(user: str) -> tuple[Said[Code | str], Said[Code | Report]]:
    routed_said = routed([], user)
    assert_type(routed_said, Said[Code | str])
    backed_said = backed([], user)
    assert_type(backed_said, Said[Code | Report])
    return routed_said, backed_said

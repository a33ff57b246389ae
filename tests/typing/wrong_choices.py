"""Wrong `match` and `team`. Each line that is marked must be flagged by every checker, and no other line."""

from collections.abc import Sequence
from typing import Literal

from pydantic import BaseModel

from swarmlet import Message, Node, Said, agent, each, graph, match, node, race, team


class Task(BaseModel):
    text: str


class Order(BaseModel):
    item: str


class Complaint(BaseModel):
    text: str


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


@agent(Literal["order", "complaint", "question"])
def sort(task: Task) -> str:
    return task.text


@agent(Code)
def make(order: Order, tone: str = "dry") -> str:
    return f"{tone} {order.item}"


@agent(Report)
def calm(complaint: Complaint, tone: str = "dry") -> str:
    return f"{tone} {complaint.text}"


@agent(int)
def answer(question: Question, tone: str = "dry") -> str:
    return f"{tone} {question.text}"


@node
def other(value: object, tone: str = "dry") -> bytes:
    return f"{tone} {value}".encode()


@node
def calm_loudly(complaint: Complaint, tone: int) -> Report:
    return Report(passed=tone > len(complaint.text))


@node
def calm_with_code(complaint: Complaint, tone: str, code: Code) -> Report:
    return Report(passed=bool(code.source) and complaint.text != tone)


@node
def calm_by_keyword(*, complaint: Complaint, tone: str = "dry") -> Report:
    return Report(passed=complaint.text != tone)


@node
def on_order_word(word: Literal["order"]) -> str:
    return word


@node
def on_complaint_word(word: Literal["complaint"]) -> int:
    return len(word)


@node
def nothing() -> str:
    return ""


@node
def check(code: Code) -> Report:
    return Report(passed=bool(code.source))


no_arms = match()  # error
one_arm = match(make)  # error
six_arms = match(make, calm, answer, answer, answer, other)  # error
arm_by_name = match(make, "calm")  # error
arm_list = match([make, calm])  # error
arm_by_type = match({Order: make, Complaint: calm})  # error
arm_of_nothing = match(make, nothing)  # error
arm_by_keyword = match(make, calm_by_keyword)  # error
arm_of_other_arguments = match(make, calm_loudly)  # error
arm_of_more_arguments = match(make, calm_with_code)  # error
third_arm_of_other_arguments = match(make, answer, calm_loudly)  # error
fourth_arm_of_other_arguments = match(make, answer, calm, calm_loudly)  # error
fifth_arm_of_other_arguments = match(make, answer, calm, calm, calm_loudly)  # error
match_option = match(make, calm, default=other)  # error
match_for_one: Node[..., Code] = match(make, calm)  # error


@graph
def not_covered(task: Task) -> Code | Report:
    return match(make, calm)(read_more(task))  # error


@graph
def not_covered_by_three(task: Task) -> Code | Report | int:
    return match(make, calm, answer)(task)  # error


@graph
def none_not_covered(task: Task) -> Code | Report:
    return match(make, calm)(read_perhaps(task))  # error


@graph
def word_not_covered(task: Task) -> str | int:
    return match(on_order_word, on_complaint_word)(sort(task))  # error


@graph
def nested_not_covered(task: Task) -> Code | Report | int:
    return match(match(make, calm), answer)(task.text)  # error


@graph
def items_not_covered(tasks: list[Task]) -> list[Code | Report]:
    return each(match(make, calm))(each(read_more)(tasks))  # error


@graph
def union_for_arm(task: Task) -> Code:
    return make(read(task))  # error


@graph
def missing_value() -> Code | Report:
    return match(make, calm)()  # error


@graph
def value_by_name(task: Task) -> Code | Report:
    return match(make, calm)(order=read(task))  # error


@graph
def wrong_tone(task: Task) -> Code | Report:
    return match(make, calm)(read(task), tone=3)  # error


@graph
def wrong_tone_by_position(task: Task) -> Code | Report:
    return match(make, calm)(read(task), task)  # error


@graph
def unknown_keyword(task: Task) -> Code | Report:
    return match(make, calm)(read(task), volume="low")  # error


@graph
def match_result_for_one(task: Task) -> Report:
    return match(make, calm)(read(task))  # error


@graph
def match_result_of_three(task: Task) -> Code | Report:
    return match(make, calm, answer)(read_more(task))  # error


@graph
def match_result_passed_on(task: Task) -> Report:
    return check(match(make, calm)(read(task)))  # error


@graph
def match_result_field(task: Task) -> str:
    return match(make, calm)(read(task)).source  # error


# team


@agent(Code)
def triage(chat: Sequence[Message], user: str) -> list[Message]:
    return [*chat, Message.user(user)]


@agent(Report)
def billing(chat: Sequence[Message], user: str) -> list[Message]:
    return [*chat, Message.user(user)]


@agent(str)
def support(chat: Sequence[Message], user: str) -> list[Message]:
    return [*chat, Message.user(user)]


@agent(Report)
def no_chat(user: str) -> str:
    return user


@agent(Report)
def chat_as_list(chat: list[Message], user: str) -> list[Message]:
    return [*chat, Message.user(user)]


@agent(Report)
def chat_as_text(chat: str, user: str) -> str:
    return chat + user


@agent(Report)
def chat_second(user: str, chat: Sequence[Message]) -> list[Message]:
    return [*chat, Message.user(user)]


@agent(Report)
def chat_by_keyword(*, chat: Sequence[Message], user: str) -> list[Message]:
    return [*chat, Message.user(user)]


@agent(Report)
def without_user(chat: Sequence[Message]) -> list[Message]:
    return list(chat)


@agent(Report)
def with_more(chat: Sequence[Message], user: str, tone: str) -> list[Message]:
    return [*chat, Message.user(user + tone)]


@agent(Report)
def no_arguments() -> str:
    return ""


@node
def no_agent(chat: Sequence[Message], user: str) -> Report:
    return Report(passed=len(chat) > len(user))


def no_node(chat: Sequence[Message], user: str) -> Report:
    return Report(passed=len(chat) > len(user))


no_members = team()  # error
member_by_name = team(triage, "billing")  # error
member_list = team([triage, billing])  # error
member_without_chat = team(triage, no_chat)  # error
entry_without_chat = team(no_chat, triage)  # error
member_with_list = team(triage, chat_as_list)  # error
member_with_text = team(triage, chat_as_text)  # error
member_with_chat_second = team(triage, chat_second)  # error
member_with_chat_by_keyword = team(triage, chat_by_keyword)  # error
member_of_nothing = team(triage, no_arguments)  # error
third_without_chat = team(triage, billing, no_chat)  # error
fourth_with_list = team(triage, billing, support, chat_as_list)  # error
fifth_with_text = team(support, support, support, support, chat_as_text)  # error
member_is_node = team(triage, no_agent)  # error
member_is_function = team(triage, no_node)  # error
member_is_lambda = team(triage, lambda chat, user: Report(passed=False))  # error
member_is_map = team(triage, each(triage))  # error
member_is_team = team(triage, team(triage, billing))  # error
entry_is_race = team(race(triage, triage), billing)  # error
team_option = team(triage, billing, rounds=3)  # error
team_handoffs = team(triage, billing, handoffs="3")  # error
nobody = team()  # error
handoffs_to_nobody = team(triage, handoffs=2)  # error
node_alone = team(no_agent)  # error
team_for_one: Node[..., Said[Code]] = team(triage, billing)  # error
team_for_output: Node[..., Code | Report] = team(triage, billing)  # error


@graph
def wrong_chat(user: str) -> Said[Code | Report]:
    return team(triage, billing)(user, user)  # error


@graph
def chat_of_texts(user: str) -> Said[Code | Report]:
    return team(triage, billing)([user], user)  # error


@graph
def said_for_chat(user: str) -> Said[Code | Report]:
    return team(triage, billing)(team(triage, billing)([], user), user)  # error


@graph
def missing_user(chat: list[Message]) -> Said[Code | Report]:
    return team(triage, billing)(chat)  # error


@graph
def wrong_user(chat: list[Message]) -> Said[Code | Report]:
    return team(triage, billing)(chat, 3)  # error


@graph
def unknown_member_keyword(chat: list[Message]) -> Said[Code | Report]:
    return team(triage, billing)(chat, "hello", tone="dry")  # error


@graph
def said_for_output(user: str) -> Code | Report:
    return team(triage, billing)([], user)  # error


@graph
def output_for_one(user: str) -> Code:
    return team(triage, billing)([], user).output  # error


@graph
def said_of_one(user: str) -> Said[Code]:
    return team(triage, billing)([], user)  # error


@graph
def said_of_three(user: str) -> Said[Code | Report]:
    return team(triage, billing, support)([], user)  # error


@graph
def output_passed_on(user: str) -> Report:
    return check(team(triage, billing)([], user).output)  # error


@graph
def wrong_said_field(user: str) -> str:
    return team(triage, billing)([], user).answer  # error


@graph
def by_is_no_member(user: str) -> Report:
    return check(team(triage, billing)([], user).by)  # error

"""A support inbox as a graph: what `swarmlet demo` runs, and a workflow to copy from.

Each letter is sorted and answered at the same time, and all letters are at work at once. A reply is drafted by an agent and
checked by plain Python; a rejected draft goes round a loop of at most three rounds with the reason; what is still wrong then
is left to a person. A digest joins everything.

The prompts hold examples and the schemas bounds, because the demo must do something sensible on a model of 135 million
parameters too.
"""

from __future__ import annotations

import re
from collections import Counter
from typing import Final, Literal

from pydantic import BaseModel, Field

from swarmlet import Again, Done, agent, each, graph, loop, node


class Letter(BaseModel):
    """A message from a customer."""

    id: str
    text: str


class Sorting(BaseModel):
    """What a letter is about."""

    summary: str = Field(max_length=100)
    kind: Literal["account", "billing", "delivery", "technical"]


class Draft(BaseModel):
    """A proposed answer."""

    reply: str = Field(max_length=160)


class Attempt(BaseModel):
    """The state of the drafting loop: the letter, and what was wrong with the last draft."""

    letter: Letter
    complaint: str = ""
    drafts: int = 0


class Answer(BaseModel):
    """A reply that passed the checks, or none if a person must write it."""

    reply: str | None
    drafts: int


class Handled(BaseModel):
    """A letter with all that was made of it."""

    letter: Letter
    sorting: Sorting
    answer: Answer


class Digest(BaseModel):
    """The whole inbox on one page."""

    letters: list[Handled]
    counts: dict[str, int]
    for_a_person: list[str]
    headline: str


class Headline(BaseModel):
    """The inbox in one sentence."""

    headline: str = Field(max_length=120)


@agent(Sorting, temperature=0, max_tokens=100)
def sort_letter(letter: Letter) -> str:
    """Summarize the customer's message in one short sentence and sort it.

    Message: My password does not work since Monday and I tried it ten times.
    Answer: {"summary": "The password does not work.", "kind": "account"}

    Message: You took 20 dollars too much from my card. I want it back.
    Answer: {"summary": "The customer was charged 20 dollars too much.", "kind": "billing"}

    Message: The box came broken and the plate inside is in pieces.
    Answer: {"summary": "The plate arrived broken.", "kind": "delivery"}

    Message: The website shows an error when I click on search.
    Answer: {"summary": "The search page shows an error.", "kind": "technical"}
    """
    return letter.text


@agent(Draft, temperature=0.3, max_tokens=80)
def draft_reply(letter: Letter, complaint: str) -> str:
    """Answer the customer's message in one or two short, polite sentences.

    Message: You took 20 dollars too much from my card. I want it back.
    Answer: {"reply": "I am sorry about the wrong charge. We will pay the 20 dollars back this week."}

    Message: The box came broken and the plate inside is in pieces.
    Answer: {"reply": "I am sorry that the plate arrived broken. We will send you a new one today."}

    Message: My password does not work since Monday.
    Answer: {"reply": "Please reset the password on the login page. If that fails, we will help you by phone."}
    """
    return f"{letter.text}\n({complaint})" if complaint else letter.text


@node
def check_reply(state: Attempt, draft: Draft) -> Again[Attempt] | Done[Answer]:
    """Plain Python decides what leaves the house."""
    drafts = state.drafts + 1
    wrong = fault_in(draft.reply)
    if wrong is None:
        return Done(Answer(reply=draft.reply, drafts=drafts))
    return Again(Attempt(letter=state.letter, complaint=wrong, drafts=drafts))


def fault_in(reply: str) -> str | None:
    """What is wrong with a reply; `None` if nothing is."""
    sentences = [sentence.strip().lower() for sentence in re.split(r"[.!?]\s*", reply) if sentence.strip()]
    if len(reply) < 30:
        return "The reply is too short."
    if not reply.rstrip().endswith((".", "!", "?")):
        return "The reply must be shorter and end with a full stop."
    if len(set(sentences)) < len(sentences):
        return "Do not say the same sentence twice."
    if re.search(r"[\[{<]|sorry for your loss|customer", reply, re.IGNORECASE):
        return "Speak to the customer, and leave nothing to fill in."
    return None


@graph
def attempt(state: Attempt) -> Again[Attempt] | Done[Answer]:
    """One round: draft, check."""
    return check_reply(state, draft_reply(state.letter, state.complaint))


@node
def leave_to_a_person(state: Attempt) -> Answer:
    """Three drafts were rejected."""
    return Answer(reply=None, drafts=state.drafts)


@node
def first_attempt(letter: Letter) -> Attempt:
    """Start with no complaint."""
    return Attempt(letter=letter)


build_handled: Final = node(Handled, name="handled")


@graph
def handle(letter: Letter) -> Handled:
    """Sort and answer one letter, at the same time."""
    answer = loop(attempt, rounds=3, otherwise=leave_to_a_person)(first_attempt(letter))
    return build_handled(letter=letter, sorting=sort_letter(letter), answer=answer)


@node
def summaries(letters: list[Handled]) -> list[str]:
    """The summaries, for the headline."""
    return [one.sorting.summary for one in letters]


@agent(Headline, temperature=0, max_tokens=80)
def write_headline(lines: list[str]) -> str:
    """Say in one short sentence what the customers write about."""
    return "\n".join(f"- {line}" for line in lines)


@node
def make_digest(letters: list[Handled], headline: Headline) -> Digest:
    """Counts come from code, words from the model."""
    return Digest(
        letters=letters,
        counts=dict(Counter(one.sorting.kind for one in letters).most_common()),
        for_a_person=[one.letter.id for one in letters if one.answer.reply is None],
        headline=headline.headline,
    )


@graph
def inbox(letters: list[Letter]) -> Digest:
    """The whole inbox."""
    handled = each(handle)(letters)
    return make_digest(handled, write_headline(summaries(handled)))

"""The graph: what the thread says, a draft that is checked and mended, a person, and only then the outbox."""

from __future__ import annotations

from examples.email.checks import broken
from examples.email.outbox import Outbox
from examples.email.shapes import (
    Asked,
    Attempt,
    Checked,
    Decision,
    Draft,
    Facts,
    Outcome,
    Outgoing,
    Rejected,
    Sent,
    Thread,
    Tone,
)
from swarmlet import Again, Done, agent, ask, current, graph, loop, match, node


def history(thread: Thread) -> str:
    mails = (f"From {mail.sender}{' (internal)' if mail.internal else ''}:\n{mail.text}" for mail in thread.mails)
    return "\n\n".join([f"Subject: {thread.subject}", *mails])


@agent(Facts, max_tokens=250, temperature=0)
def find_facts(thread: Thread) -> str:
    """You list what a thread of mails says that matters for the answer: facts, and what was promised. Copy, invent nothing."""
    return history(thread)


@agent(Asked, max_tokens=60, temperature=0)
def find_question(thread: Thread) -> str:
    """You say in one sentence what the last mail from outside wants to know."""
    return history(thread)


@agent(Draft, max_tokens=500)
def write(attempt: Attempt) -> str:
    """You write the answer to a mail, short and in the voice of the person's earlier mails.

    Name only dates and amounts of the thread. Never quote what is internal.
    """
    thread = attempt.thread
    parts = [
        *(f"An earlier mail of mine:\n{mail}" for mail in thread.voice),
        f"The thread:\n{history(thread)}",
        "\n- ".join(["What matters:", *attempt.facts.facts, *attempt.facts.promised]),
        f"Answer as {thread.me} to {thread.to}: {attempt.asked.question}",
    ]
    if attempt.last is not None:
        wrong = "\n- ".join(["Write a better one:", *attempt.last.wrong, attempt.last.advice])
        parts.append(f"Your last draft:\n{attempt.last.text}\n\n{wrong}")
    return "\n\n".join(parts)


@agent(Tone, max_tokens=80, temperature=0)
def judge_tone(asked: Asked, draft: Draft) -> str:
    """Is the mail friendly, clear, and an answer to the question? Give one short advice, then 1 (no) to 5 (yes) points."""
    return f"Question: {asked.question}\n\nMail:\n{draft.text}"


@node
def check(thread: Thread, draft: Draft) -> tuple[str, ...]:
    return broken(thread, draft.text)


@node
def decide(attempt: Attempt, draft: Draft, tone: Tone, wrong: tuple[str, ...]) -> Again[Attempt] | Done[Checked]:
    checked = Checked(draft.text, tone.points, wrong, tone.advice)
    if not wrong and tone.points >= 4:
        return Done(checked)
    best = max(filter(None, [attempt.best, checked]), key=lambda one: one.rank)
    return Again(Attempt(attempt.thread, attempt.facts, attempt.asked, checked, best))


@node
def best_so_far(attempt: Attempt) -> Checked:
    assert attempt.best is not None, "a loop runs at least one round"
    return attempt.best


@graph
def attempt(state: Attempt) -> Again[Attempt] | Done[Checked]:
    draft = write(state)
    return decide(state, draft, judge_tone(state.asked, draft), check(state.thread, draft))


@ask(Decision)
def approve(thread: Thread, draft: Checked) -> str:
    """Whether the mail goes out."""
    notes = [*draft.wrong, f"tone {draft.points} of 5: {draft.advice}"]
    return "\n".join([f"To {thread.to}, Re: {thread.subject}", "", draft.text, "", *(f"({note})" for note in notes)])


@node
def decided(thread: Thread, draft: Checked, decision: Decision) -> Outgoing | Rejected:
    if decision.verdict == "reject":
        return Rejected(decision.text)
    text = draft.text if decision.verdict == "send" else decision.text
    return Outgoing(thread.me, thread.to, thread.subject, text)


@node(thread=True)
def send(mail: Outgoing) -> Sent:
    """If the process dies here, the step runs again when the run is resumed, with the same key: the outbox acts once."""
    return Sent(current().get(Outbox).put(mail, current().idempotency_key))


@node
def keep(rejected: Rejected) -> Rejected:
    return rejected


@graph
def reply(thread: Thread) -> Outcome:
    first = Attempt(thread, find_facts(thread), find_question(thread))  # side by side
    draft = loop(attempt, rounds=3, otherwise=best_so_far)(first)
    return match(send, keep)(decided(thread, draft, approve(thread, draft)))

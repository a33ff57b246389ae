"""The graph: read, check, read again with what does not add up, and take a vote on what is in doubt even then."""

from __future__ import annotations

from examples.receipts.checks import doubts, figures
from examples.receipts.shapes import Accepted, Attempt, ForPerson, NotAReceipt, Reading, Receipt, Scan, Verdict
from swarmlet import Again, BudgetExceeded, Done, Image, NoQuorum, agent, each, graph, loop, node, vote
from swarmlet.errors import ContentFiltered, ContextTooLong, OutputInvalid, Refused, ReplyTruncated

MOST_TOKENS = 1200
OWN = (BudgetExceeded, ContextTooLong, ReplyTruncated, OutputInvalid, Refused, ContentFiltered)
"""Failures of one receipt. Any other, a wrong key or a server that is down, would meet the next one, too."""
INSTRUCTIONS = """
    You copy what is printed on a receipt. Copy every figure as it stands: never compute one, and never make one fit.
    Discounts and taxes are not lines. Leave out what was given in cash and handed back.
    Without a tip, the tip is 0. What is no receipt or refund of a shop is not a receipt.
"""


def shown(scan: Scan) -> str | Image:
    return f"Receipt:\n\n{scan.content}" if isinstance(scan.content, str) else scan.content


@agent(Receipt | NotAReceipt, instructions=INSTRUCTIONS, max_tokens=MOST_TOKENS, repairs=1, temperature=0)
def read(attempt: Attempt) -> list[str | Image]:
    """The receipt comes first, so that the second reading begins as the first did, which is cheaper."""
    if attempt.receipt is None:
        return [shown(attempt.scan)]
    wrong = "\n".join(f"- {doubt.text}" for doubt in attempt.doubts)
    before = f"You have read it as\n{attempt.receipt.model_dump_json()}\n\nThat does not add up:\n{wrong}"
    return [shown(attempt.scan), f"{before}\n\nRead it again, figure by figure."]


@agent(Receipt | NotAReceipt, instructions=INSTRUCTIONS, max_tokens=MOST_TOKENS, repairs=1, temperature=0.8)
def sample(attempt: Attempt) -> list[str | Image]:
    """A reading that knows nothing of the others."""
    return [shown(attempt.scan)]


@node
def judge(attempt: Attempt, reading: Reading) -> Again[Attempt] | Done[Verdict]:
    if isinstance(reading, NotAReceipt):
        return Done(reading)
    wrong = doubts(reading, attempt.scan)
    return Again(Attempt(attempt.scan, reading, wrong)) if wrong else Done(Accepted(reading, attempt.doubts))


@graph
def attempt(state: Attempt) -> Again[Attempt] | Done[Verdict]:
    return judge(state, read(state))


@node
def last_reading(attempt: Attempt) -> Reading:
    """There is no majority, or no budget for one."""
    assert attempt.receipt is not None, "a loop runs at least one round"
    return attempt.receipt


@node
def settled(attempt: Attempt, reading: Reading) -> Verdict:
    """What most readings say is checked like any other: they may agree on what is misprinted."""
    if isinstance(reading, NotAReceipt):
        return reading
    wrong = doubts(reading, attempt.scan)
    return ForPerson(reading, wrong) if wrong else Accepted(reading, attempt.doubts)


majority = vote(sample, of=5, quorum=3, key=figures, concurrency=3).with_options(
    fallback=last_reading, fallback_on=(NoQuorum, BudgetExceeded, ReplyTruncated, OutputInvalid, Refused)
)


@graph
def settle(attempt: Attempt) -> Verdict:
    return settled(attempt, majority(attempt))


@graph
def receipt(scan: Scan) -> Verdict:
    return loop(attempt, rounds=2, otherwise=settle)(Attempt(scan))


receipts = each(receipt, concurrency=8, on_error="keep", on=OWN)
"""Many at once. One that fails, by the budget say, leaves a `Failed` in its place."""

"""The rules that a draft must keep, in plain code."""

from __future__ import annotations

import re
from collections.abc import Iterator

from examples.email.shapes import Mail, Thread

MOST_WORDS = 150
QUOTED = 5
"""Words in a row that make a quotation."""
GREETING = re.compile(r"(dear|hello|hi|good (morning|afternoon|evening)|guten tag|bonjour)\b.*,\s*$", re.IGNORECASE)
NUMBER = re.compile(r"\d+(?:[.,:]\d+)*")
DAYS = "monday tuesday wednesday thursday friday saturday sunday today tomorrow"
MONTHS = "january february march april may june july august september october november december"
DATES = frozenset(f"{DAYS} {MONTHS}".split()) - {"may", "march"}
"""Words that promise a day; without those that mean something else, too."""


def broken(thread: Thread, text: str) -> tuple[str, ...]:
    """The rules that a draft breaks, each as advice for the next."""
    return (*form(text), *promises(thread, text), *leaks(thread, text))


def form(text: str) -> Iterator[str]:
    if (count := len(text.split())) > MOST_WORDS:
        yield f"it has {count} words: use at most {MOST_WORDS}"
    if not GREETING.match(text.strip().partition("\n")[0]):
        yield "begin with a greeting and a comma, in a line of its own"
    if found := re.search(r"\[[^\]]*\]|<[^>]*>", text):
        yield f"leave no gap to fill in, such as {found[0]}"


def promises(thread: Thread, text: str) -> Iterator[str]:
    """Dates and amounts that nobody has named."""
    said = "\n".join(mail.text for mail in thread.mails)
    for new in sorted(named(text) - named(said)):
        yield f"do not say {new}: the thread does not"


def named(text: str) -> set[str]:
    return {*NUMBER.findall(text), *(DATES & set(words(text)))}


def leaks(thread: Thread, text: str) -> Iterator[str]:
    """What stands in internal mails, word for word, and nowhere else."""
    secret = runs(mail for mail in thread.mails if mail.internal) - runs(mail for mail in thread.mails if not mail.internal)
    found = secret & set(in_rows(text))
    if found:
        yield f"do not quote colleagues: {' '.join(min(found))}"


def runs(mails: Iterator[Mail]) -> set[tuple[str, ...]]:
    return {run for mail in mails for run in in_rows(mail.text)}


def in_rows(text: str) -> Iterator[tuple[str, ...]]:
    said = words(text)
    return zip(*(said[start:] for start in range(QUOTED)), strict=False)


def words(text: str) -> list[str]:
    return re.findall(r"[\w']+", text.lower())

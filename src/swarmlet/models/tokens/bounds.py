r"""How many tokens a text has, told without the vocabulary.

`most_bytes` holds for every tokenizer that falls back on bytes: a token is at least one byte of UTF-8.

`most_o200k` is a bound for o200k_base, the vocabulary of the gpt-4o models and the o-series. Byte-pair encoding starts with
bytes and merges neighbours as long as a pair of neighbours is a token, so at its end no two single bytes that make a token
stand side by side. Each merge that this forces is one token less than bytes. Counted are only merges of which no two can be
the same one; the claims about the vocabulary were read from it, and the tests read them again:

- Two lower-case letters are a token, but for 29 pairs such as `bq`, and so is a space with a letter. Of three borders in a
  row within a run of them (its two ends included) one is therefore merged: a run of L bytes saves (L + 1) // 3.
- The first two bytes of the characters in `_PAIRED` are a token, and no token ends one character and begins the next: each
  saves 1. So a Russian letter is at most 1 token, a Chinese character at most 2.
- Digits are cut in threes from the left, and every number of up to three digits is a token.
- A run of k spaces is at most 2 + k // 64 tokens, the last of them going to the word that follows.

`usual` is no bound but a figure on the safe side. It was fitted on prose of 20 languages, code, JSON and identifiers, where it
is 1.05 to 2.5 times the true number; the script `tests/bench/token_estimate.py` prints by how much for each kind of text.
"""

from __future__ import annotations

import re

from swarmlet.models.tokens.span import Span

_WORD = re.compile(r" ?[a-z]+")
_UNPAIRED = re.compile(
    r"b(?=q)|g(?=[kq])|j(?=[vz])|k(?=[qz])|l(?=q)|n(?=q)|q(?=[fgjkvz])|r(?=j)|t(?=q)|w(?=[qz])|x(?=[gjkqvw])|y(?=q)|z(?=[jqv])"
)
_DIGITS = re.compile(r"[0-9]++")
_DIGITS_AFTER_OTHERS = re.compile(r"(?<=[^\x00-\x7f])[0-9]")
_SPACES = re.compile(r"(?<![^\S\r\n])  ++(?!\s)")
# Characters of several bytes whose first two bytes are a token. Armenian is left out: one of its pairs crosses characters.
_PAIRED_CHARACTERS = (
    "\u00a0-\u00da\u00dc-\u0109\u0390-\u03a1\u03a3-\u03a9\u03ac-\u03af\u03b1-\u03ce\u0410-\u044f\u0451-\u045c\u05d0-\u05ea"
    "\u0621-\u063a\u0640-\u0654\u0660-\u066c\u0900-\u0fbf\u1000-\u10ff\u1200-\u137f\u1780-\u17ff\u1e00-\u1f7f\u1fc0-\u233f"
    "\u2440-\u26bf\u2700-\u27bf\u3000-\u317f\u4e00-\u5d3f\u5dc0-\u6abf\u6b00-\u877f\u87c0-\u87ff\u8840-\u977f\u97c0-\u9bbf"
    "\uac00-\uad7f\uadc0-\uae7f\uaec0-\uaf3f\ub000-\ub1bf\ub200-\ub23f\ub280-\ub37f\ub3c0-\ub47f\ub4c0-\ub53f\ub580-\ub5bf"
    "\ub680-\ub6bf\ub700-\ub87f\ub8c0-\ubabf\ubbc0-\ubc3f\ubc80-\ubd3f\ubd80-\ube7f\uc040-\uc2ff\uc340-\uc37f\uc500-\uc7bf"
    "\uc800-\uc93f\uc980-\uc9ff\uca40-\uca7f\ucc00-\ucd3f\ucd80-\ucdbf\uce00-\ucf7f\ucfc0-\ud1bf\ud200-\ud23f\ud280-\ud33f"
    "\ufe00-\uffff\U0001f000-\U0001ffff"
)
_PAIRED = re.compile(f"[{_PAIRED_CHARACTERS}]+")
# One token, "\x9ci", ends a character and begins a word: there two savings could be the same merge.
_PAIRED_BEFORE_I = re.compile(f"[{_PAIRED_CHARACTERS}]i")


def most_bytes(text: str) -> int:
    """What no tokenizer over bytes exceeds: the length in UTF-8. A lone half character counts as three."""
    return len(text) if text.isascii() else len(text.encode("utf-8", "surrogatepass"))


def most_o200k(text: str) -> int:
    """What o200k_base never exceeds: about two thirds of the bytes for English, half of them for Russian."""
    saved = sum((len(run) + 1) // 3 for run in _WORD.findall(text)) - 2 * len(_UNPAIRED.findall(text))
    # The "s" of "it's" belongs to the word before it, so the run of letters after an apostrophe may be cut in two.
    saved -= text.count("'")
    saved += sum(len(run) - (len(run) + 2) // 3 for run in _DIGITS.findall(text))
    saved += sum(max(0, len(run) - 2 - len(run) // 64) for run in _SPACES.findall(text))
    if not text.isascii():
        saved += sum(map(len, _PAIRED.findall(text))) - len(_PAIRED_BEFORE_I.findall(text))
        saved -= len(_DIGITS_AFTER_OTHERS.findall(text))
    return most_bytes(text) - max(0, saved)


_WORDS = re.compile(r"[A-Z]?[a-z]+|[A-Z]+")
_BLOB = re.compile(r"[A-Za-z0-9+/]{20,}+")  # Base64, hashes: about 0.7 tokens a character, of what has digits among letters
_SINGLES = re.compile(r"[0-9]{1,3}|([!-/:-@\[-`{-~])\1{0,7}|[\r\n]\s{0,63}|[^\S \r\n]{1,15}| {2,64}|[\x00-\x08\x0e-\x1f\x7f]")
# Hundredths of a token for each character, by script. What is in none of them counts as its bytes, less one.
_SCRIPTS = tuple(
    (re.compile(f"[{characters}]+"), hundredths)
    for characters, hundredths in (
        ("\u00a0-\u024f\u1e00-\u1eff", 120),  # accented Latin letters, in words that they cut up
        ("\u0370-\u03ff\u1f00-\u1fff", 70),  # Greek
        ("\u0400-\u052f", 50),  # Cyrillic
        ("\u0590-\u05ff", 60),  # Hebrew
        ("\u0600-\u06ff", 60),  # Arabic
        ("\u0900-\u0dff", 70),  # scripts of India
        ("\u0e00-\u0e7f", 60),  # Thai
        ("\u3040-\u30ff", 90),  # Kana
        ("\u2010-\u2027\u3000-\u303f\uff00-\uffef", 100),  # punctuation
        ("\u3400-\u9fff", 120),  # Chinese
        ("\uac00-\ud7a3", 95),  # Korean
    )
)
_OTHER = re.compile(
    "[^\x00-\u024f\u0370-\u052f\u0590-\u06ff\u0900-\u0e7f\u1e00-\u1fff\u2010-\u2027\u3000-\u30ff\u3400-\u9fff\uac00-\ud7a3\uff00-\uffef]+"
)


def usual(text: str) -> int:
    """What natural text, code and data take at most, as a rule; random letters and rare scripts may take more."""
    blobs = [run for run in _BLOB.findall(text) if not run.isalpha() and not run.isdigit()]
    if blobs:
        text = _BLOB.sub(lambda run: run[0] if run[0].isalpha() or run[0].isdigit() else " ", text)
    hundredths = 80 * sum(map(len, blobs))
    hundredths += 100 * (sum((len(run) + 3) // 4 for run in _WORDS.findall(text)) + len(_SINGLES.findall(text)))
    if not text.isascii():
        hundredths += sum(weight * sum(map(len, script.findall(text))) for script, weight in _SCRIPTS)
        others = _OTHER.findall(text)
        hundredths += 100 * sum(most_bytes(run) - len(run) for run in others)
    return -(-hundredths // 100)


def o200k_span(text: str) -> Span:
    """The limits for a model of the o200k vocabulary."""
    worst = most_o200k(text)
    estimate = min(usual(text), worst)
    return Span(estimate // 4, estimate, worst)


def any_span(text: str) -> Span:
    """The limits for a model whose tokenizer is not known."""
    worst = most_bytes(text)
    estimate = min(usual(text), worst)
    return Span(estimate // 4, estimate, worst)

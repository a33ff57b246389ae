"""What a caller or a model gives: settings are refused with an error, a program that cannot be one comes back as failed."""

from __future__ import annotations

from typing import Final

from swarmlet.bridges.sandbox.words import SandboxLimits

MOST_CODE: Final = 1_000_000
"""Characters of code and of input each: more than any model writes in one reply."""


def given(name: str, limits: object) -> SandboxLimits:
    """The limits, or the defaults."""
    if limits is None:
        return SandboxLimits()
    if not isinstance(limits, SandboxLimits):
        raise TypeError(f"{name} takes SandboxLimits(...), not {limits!r}")
    return limits


def refused(code: object, stdin: object) -> str:
    """Why this cannot be run, as one sentence; empty if it can. What is no text at all is the caller's mistake: `TypeError`."""
    for what, text in (("code", code), ("stdin", stdin)):
        if not isinstance(text, str):
            raise TypeError(f"the {what} of a sandboxed program is a str, not {type(text).__name__}")
        if len(text) > MOST_CODE:
            return f"the program was not run: the {what} has {len(text):,} characters, of {MOST_CODE:,} at most"
        try:
            text.encode()
        except UnicodeEncodeError as error:
            return (
                f"the program was not run: the {what} has half of a surrogate pair at character {error.start}, which is no text"
            )
    if "\0" in str(code):
        return f"the program was not run: the code has a NUL character at {str(code).index(chr(0))}"
    return ""

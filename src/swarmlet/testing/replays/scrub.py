"""What must not stand in a file that is committed: secrets, and what differs from machine to machine.

Recordings are compared in their scrubbed form, so a request that names a home directory is the same on every machine.
Scrubbing twice changes nothing.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from functools import lru_cache
from hashlib import blake2b
from pathlib import Path
from typing import TypeAlias

Scrub: TypeAlias = Callable[[str], str]
"""Takes out of a text what should not be recorded, or differs from run to run. What it gives must come out of it unchanged."""

_TOKENS = re.compile(
    r"""
    (?<![A-Za-z0-9]) (?:
        sk-[A-Za-z0-9_-]{8,}                                        # OpenAI and those who followed
      | (?:AKIA|ASIA)[A-Z0-9]{16}                                   # AWS
      | gh[pousr]_[A-Za-z0-9]{20,} | github_pat_[A-Za-z0-9_]{20,}   # GitHub
      | glpat-[A-Za-z0-9_-]{16,}                                    # GitLab
      | xox[a-z]-[A-Za-z0-9-]{10,}                                  # Slack
      | AIza[A-Za-z0-9_-]{30,}                                      # Google
      | hf_[A-Za-z0-9]{20,}                                         # Hugging Face
      | [rs]k_(?:live|test)_[A-Za-z0-9]{10,}                        # Stripe
      | eyJ[A-Za-z0-9_-]{8,}\.eyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]*  # JSON web tokens
    )
    | -----BEGIN\ [A-Z ]*PRIVATE\ KEY-----.*?(?:-----END\ [A-Z ]*PRIVATE\ KEY-----|\Z)
    """,
    re.VERBOSE | re.DOTALL,
)
_BEARER = re.compile(
    r"""\b( Authorization\W{1,8}(?:Bearer|Basic|Token)\s+ | (?:Authorization\W{1,8}|Bearer\s+)(?=[A-Za-z._~+/=-]*[0-9]) )
        [A-Za-z0-9._~+/=-]{8,}""",
    re.VERBOSE | re.IGNORECASE,
)
_NAMED = re.compile(
    r"""((?:api[-_]?key|access[-_]?key|secret[-_]?key|access[-_]?token|auth[-_]?token|client[-_]?secret|signature|password)
        ["'\\]{0,3}\s?[:=]\s?["'\\]{0,3})
        (?=[A-Za-z0-9._~+/=%-]*[0-9])(?=[A-Za-z0-9._~+/=%-]*[A-Za-z])[A-Za-z0-9_~+/=%-]{16,}""",
    re.VERBOSE | re.IGNORECASE,
)
"""A name that says what it is, and a value that looks like it: code such as `api_key=get_key()` stays as it is."""
_PASSWORD = re.compile(
    r"""((?:password|passwd|pwd|passphrase|secret|token|api_?key)["'\\]{0,3}\s?[:=]\s?["'\\]{0,3})
        (?=[^\s"'`,;)\]}]*[0-9])[^\s"'`,;()\[\]{}\\]{6,}""",
    re.VERBOSE | re.IGNORECASE,
)
"""A shorter one, of any characters, if there is a digit in it."""
_LOGIN = re.compile(r"(\b[a-z][a-z0-9+.-]{1,20}://[^\s/:@]{0,100}:)[^\s/@]{1,200}@", re.IGNORECASE)
_HOMES = re.compile(r"(?<![\w.~/-])(?:/home/[\w.-]+|/Users/[\w.-]+|/root|[A-Z]:\\{1,2}Users\\{1,2}[\w.-]+)(?![\w-])")
_DATA_URL = re.compile(r"data:([\w.+-]+/[\w.+-]+)?((?:;[\w.+=-]+)*),(.*)", re.DOTALL)
_LONG = 200
"""Characters that a picture's address may have before a digest takes the place of what it holds."""
_SECRET = "[secret]"  # noqa: S105  # what stands in its place

_MARKS = "sk- akia asia ghp_ gho_ ghu_ ghs_ ghr_ github_pat_ glpat- xox aiza hf_ k_live_ k_test_ eyj -----begin"
_PATTERNS = (
    (_MARKS.split(), _TOKENS, _SECRET),
    (["://"], _LOGIN, rf"\1{_SECRET}@"),
    (["authorization", "bearer"], _BEARER, rf"\1{_SECRET}"),
    (["key", "token", "secret", "signature", "password"], _NAMED, rf"\1{_SECRET}"),
    (["password", "passwd", "pwd", "passphrase", "secret", "token", "key"], _PASSWORD, rf"\1{_SECRET}"),
)
"""Words without which a pattern finds nothing, the pattern, and what takes the place of what it finds."""
_SECRET_NAMES = ("API_KEY", "_TOKEN", "_SECRET", "_PASSWORD")
"""What names of environment variables end with whose values are secret."""
_REMEMBERED = 1000
"""Texts."""


def scrubber(extra: Scrub | None = None) -> Scrub:
    """The function that cleans a text: of secrets, of the values of `..._API_KEY`, `..._TOKEN` and the like in the environment,
    and of machine paths.

    These are the user's home and the current folder. `extra` is the user's own, applied first.
    """
    keys = sorted({value for name, value in os.environ.items() if name.endswith(_SECRET_NAMES) and len(value) >= 8}, key=len)
    paths = _machine_paths()

    def scrub(text: str) -> str:
        text = extra(text) if extra is not None else text
        for key in reversed(keys):  # the longest first: one may hold another
            text = text.replace(key, _SECRET)
        low = text.lower()
        for words, pattern, instead in _PATTERNS:
            if any(word in low for word in words):
                text = pattern.sub(instead, text)
        for path, short in paths:
            text = path.sub(short, text)
        return text

    return lru_cache(_REMEMBERED)(scrub)  # each turn of a conversation repeats the ones before


def _machine_paths() -> list[tuple[re.Pattern[str], str]]:
    """What to replace by `.` and by `~`. A folder such as `/app` may be meant wherever it is named, so it stays."""
    folder, home = Path.cwd(), Path.home()
    wanted = [(folder, ".", 3), (home, "~", 2)]
    return [
        (re.compile(rf"(?<![\w.~-]){re.escape(str(path))}(?![\w-])"), short)
        for path, short, parts in wanted
        if len(path.parts) >= parts
    ]


def without_homes(text: str) -> str:
    """`text` with `~` for anybody's home, so that a request which names one is the same on all machines.

    For requests alone: a reply is given on to tools, and not all that looks like a home is one.
    """
    return _HOMES.sub("~", text)


def short_url(url: str, scrub: Scrub) -> str:
    """A picture's address; for one that holds the picture, what kind it is and a digest of it."""
    if (data := _DATA_URL.fullmatch(url)) is None or len(url) <= _LONG:
        return scrub(url)
    kind, _, content = data.groups()
    digest = blake2b(content.encode("utf-8", "surrogatepass"), digest_size=16).hexdigest()
    return f"data:{kind or ''},{len(content)} characters, blake2b {digest}"

"""Pictures in recorded values: the record has each of them once, however many values hold it.

A value is JSON. Where a long `data:` URL stands in it, what is recorded has a short one: the digest of its letters takes their
place, and they are a value of their own. The `d` of such a URL is written as an escape. No encoder does that to a letter, so
nothing that a user, a model or a tool has said is ever taken for one, and programs that read JSON see a URL all the same.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from swarmlet.trace.events import Digest

if TYPE_CHECKING:
    from collections.abc import Callable

SHORT: Final = 1024
"""So many letters of a picture stay where they are."""
_WHOLE: Final = re.compile(rb'"data:([\w.+-]+/[\w.+-]+;base64,)([A-Za-z0-9+/=]{%d,})"' % (SHORT + 1))
_NAMED: Final = re.compile(rb'"\\u0064ata:([\w.+-]+/[\w.+-]+;base64,)([0-9a-f]{32})"')


_LETTERS: Final = re.compile(r"(data:[\w.+-]+/[\w.+-]+;base64,[A-Za-z0-9+/]{20})([A-Za-z0-9+/=]{200,})")


def taken_apart(content: bytes, name: Callable[[bytes], Digest]) -> tuple[bytes, dict[Digest, bytes]]:
    """A value without its pictures, and these. `name` gives the digest of a value."""
    if len(content) <= SHORT or b";base64," not in content:
        return content, {}
    parts: dict[Digest, bytes] = {}

    def short(found: re.Match[bytes]) -> bytes:
        letters = b'"%b"' % found[2]
        digest = name(letters)
        parts[digest] = letters
        return b'"\\u0064ata:%b%b"' % (found[1], digest.encode())

    return _WHOLE.sub(short, content), parts


def put_together(content: bytes, find: Callable[[Digest], bytes | None]) -> bytes:
    """A value with its pictures, as it was. One that `find` does not have stays a name."""
    if b'"\\u0064ata:' not in content:
        return content

    def whole(found: re.Match[bytes]) -> bytes:
        letters = find(Digest(found[2].decode()))
        return found[0] if letters is None else b'"data:%b%b"' % (found[1], letters.strip(b'"'))

    return _NAMED.sub(whole, content)


def without_letters(text: str) -> str:
    """A text to read, in which the letters of a picture are not all shown."""
    return _LETTERS.sub(lambda found: f"{found[1]}... ({len(found[2])} more)", text) if ";base64," in text else text

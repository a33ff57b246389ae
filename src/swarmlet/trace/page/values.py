"""Recorded values as texts to read: prompts, replies, inputs, results. What is long is cut, and says how long it was."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import TYPE_CHECKING, Final, cast, final

from swarmlet.trace.parts import without_letters

if TYPE_CHECKING:
    from pydantic import JsonValue

    from swarmlet.trace.events import Digest
    from swarmlet.trace.read import Trace
    from swarmlet.trace.views import Data

CUT: Final = 20_000
"""Of a longer value, a page keeps so many characters."""
ROOM: Final = 24_000_000
"""So many characters a page keeps of all values together."""
_DEEP: Final = 40
"""Below so many levels a value is shown as JSON."""
_SAID: Final = ("content", "text", "refusal")
"""Where a message or a reply has its text."""
_TOLD: Final = frozenset(
    ("role", "finish_reason", "model", "input_tokens", "cached_tokens", "output_tokens", "service_tier", "request_id")
)
"""What the page says of it elsewhere."""


@final
class Texts:
    """The values that a page names, each kept once however many steps repeat it."""

    def __init__(self, trace: Trace, *, full: bool = False) -> None:
        self._trace = trace
        self._full = full
        self._room = ROOM
        self.kept: dict[str, Data] = {}
        """By key: `text`, and `length` if it was cut; of a message also `role`, and `more` for what is not its text."""

    def value(self, digest: Digest | None) -> str | None:
        """The key of a value; `None` if it was not captured."""
        return None if digest is None else self._keep(digest, digest, message=False)

    def message(self, digest: Digest | None) -> str | None:
        """The key of a message or reply."""
        return None if digest is None else self._keep(f"m:{digest}", digest, message=True)

    def has(self, digest: Digest, wanted: str) -> bool:
        """Whether a text, in small letters, stands in a value."""
        content = self._trace.content(digest)
        if content is None:
            return False
        try:
            return wanted in readable(cast("JsonValue", json.loads(content))).lower()
        except (ValueError, RecursionError):
            return False

    def _keep(self, key: str, digest: Digest, *, message: bool) -> str:
        if key not in self.kept:
            self.kept[key] = self._shown(digest, message=message)
        return key

    def _shown(self, digest: Digest, *, message: bool) -> Data:
        content = self._trace.content(digest)
        if content is None:
            return {"text": "", "missing": True}
        try:
            value = cast("JsonValue", json.loads(content))
        except (ValueError, RecursionError):
            return self._cut(content.decode(errors="replace"))
        if message and isinstance(value, dict):
            return self._said(value)
        return self._cut(readable(value))

    def _said(self, value: dict[str, JsonValue]) -> Data:
        """A message: who says it, its text, and whatever else there is."""
        texts = [found for name in _SAID if isinstance(found := value.get(name), str) and found]
        rest: dict[str, JsonValue] = {
            name: item for name, item in value.items() if item not in (None, "", [], {}) and name not in _TOLD
        }
        if texts:
            rest = {name: item for name, item in rest.items() if not (name in _SAID and isinstance(item, str))}
        shown = self._cut("\n".join(texts))
        if rest:
            shown["more"] = self._cut(readable(rest))
        if isinstance(role := value.get("role"), str):
            shown["role"] = role
        return shown

    def _cut(self, text: str) -> Data:
        if self._full:
            return {"text": text}
        most = min(CUT, self._room)
        self._room -= min(len(text), most)
        return {"text": text} if len(text) <= most else {"text": text[:most], "length": len(text)}


def readable(value: JsonValue) -> str:
    """JSON as indented lines; a text of several lines is a block of them."""
    return value if isinstance(value, str) else "\n".join(_lines(value, 0))


def _lines(value: JsonValue, depth: int) -> Iterator[str]:
    if isinstance(value, dict) and value and depth < _DEEP:
        for name, item in value.items():
            yield from _entry(f"{name}:", item, depth)
    elif isinstance(value, list) and value and depth < _DEEP:
        for item in value:
            first, *rest = _lines(item, depth + 1)
            yield f"- {first}"
            yield from (f"  {text}" for text in rest)
    elif isinstance(value, str):
        yield from without_letters(value).split("\n")
    else:
        yield json.dumps(value, ensure_ascii=False)


def _entry(label: str, item: JsonValue, depth: int) -> Iterator[str]:
    block = list(_lines(item, depth + 1))
    if len(block) == 1 and not (isinstance(item, dict | list) and item):
        yield f"{label} {block[0]}"
        return
    yield label
    yield from (f"  {text}" for text in block)

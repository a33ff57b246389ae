"""The items of a list in JSON that is still being written, each as soon as it is complete.

One pass, character by character, whatever the pieces are cut at: parsing the text so far again for each piece would cost a
long list its square. Nothing is validated here. What is no JSON is not noticed, or ends it: whoever has the whole text judges.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, TypeAlias, final

from pydantic_core import from_json

if TYPE_CHECKING:
    from collections.abc import Iterable

Keys: TypeAlias = tuple[str, ...]
"""The keys that lead from the root of a JSON text to a list in it."""

_OUTSIDE = re.compile(r'[\[\]{},:"]')
_INSIDE = re.compile(r'["\\]')
_FENCE = re.compile(r"```(?:json)?\s*")
_LONGEST_FENCE = 80


@final
class ItemScanner:
    """Finds the items of the lists at `wanted`. Told the text piece by piece, it gives the JSON of those that are complete.

    An item is complete when its value is closed and a comma or the list's end follows. JSON in a Markdown fence is found too.
    A key that comes twice ends it, for which of the two counts is not for it to say.
    """

    __slots__ = ("_depth", "_escaped", "_head", "_in_string", "_index", "_keys", "_list", "_parts", "_seen", "_wanted", "over")

    def __init__(self, wanted: Iterable[Keys]) -> None:
        self.over: bool = False
        """Whether nothing more will come."""
        self._wanted: frozenset[Keys] = frozenset(wanted)
        self._seen: set[Keys] = set()
        self._head: str | None = ""
        """What came before the JSON; `None` since that has begun."""
        self._keys: list[str | bool | None] = []
        """For each open container its current key: `None` where a key is to come, `False` in an array."""
        self._in_string: bool = False
        self._escaped: bool = False
        self._parts: list[str] | None = None
        """The pieces of the item or the key that is being read."""
        self._list: Keys | None = None
        """The list whose items are being read."""
        self._index: int = 0
        self._depth: int = 0
        """How many containers are open in the item."""

    def feed(self, text: str) -> list[tuple[Keys, int, str]]:
        """The items that are complete with this piece: their list, their number from 0, their JSON."""
        found: list[tuple[Keys, int, str]] = []
        if self._head is not None:
            text = self._begin(self._head + text)
        at = start = 0
        while not self.over:
            if self._in_string:
                at = self._past_string(text, at)
                if at < 0:
                    break
                if self._list is None and self._parts is not None:
                    self._keys[-1] = _unquoted(self._taken(text[start : at - 1]))
            match = _OUTSIDE.search(text, at)
            if match is None:
                break
            sign, at = match[0], match.end()
            if sign == '"':
                self._in_string = True
                if self._key_comes:
                    self._parts, start = [], at
            elif self._list is None:
                self._outside(sign)
                start = at
            elif self._ends_item(sign):
                self._end_item(self._list, self._taken(text[start : at - 1]), sign, found)
                start = at
        if self._parts is not None:
            self._parts.append(text[start:])
        return found

    def stop(self) -> None:
        """Find nothing more."""
        self.over, self._parts = True, None

    def _past_string(self, text: str, at: int) -> int:
        """Where the string has ended that is open; -1 if it goes on."""
        while at < len(text):
            if self._escaped:
                at, self._escaped = at + 1, False
                continue
            match = _INSIDE.search(text, at)
            if match is None:
                break
            at = match.end()
            self._escaped = match[0] == "\\"
            if not self._escaped:
                self._in_string = False
                return at
        return -1

    @property
    def _key_comes(self) -> bool:
        return self._list is None and bool(self._keys) and self._keys[-1] is None

    def _begin(self, head: str) -> str:
        """The text from the JSON on, once that has begun."""
        self._head, text = head, head.lstrip()
        if text.startswith("`"):
            fence, newline, text = text.partition("\n")
            text = text.lstrip() if newline else ""
            self.over = len(fence) > _LONGEST_FENCE or bool(newline and not _FENCE.fullmatch(fence))
        if text:
            self._head = None
            self.over = self.over or text[0] not in "{["
        return text

    def _outside(self, sign: str) -> None:
        """A sign between the lists that are wanted."""
        keys = self._keys
        if sign == "{":
            keys.append(None)
        elif sign == "[":
            self._open_list()
        elif sign == ",":
            if keys and keys[-1] is not False:
                keys[-1] = None
        elif sign != ":":
            if keys:
                keys.pop()
            self.over = not keys

    def _open_list(self) -> None:
        path = tuple(key for key in self._keys if isinstance(key, str))
        if len(path) < len(self._keys) or path not in self._wanted:
            self._keys.append(False)
        elif path in self._seen:
            self.over = True
        else:
            self._seen.add(path)
            self._list, self._index, self._depth, self._parts = path, 0, 0, []

    def _ends_item(self, sign: str) -> bool:
        if sign in "[{":
            self._depth += 1
        elif sign in "]}":
            self._depth -= 1
        return self._depth < 0 or (sign == "," and not self._depth)

    def _end_item(self, path: Keys, item: str, sign: str, found: list[tuple[Keys, int, str]]) -> None:
        if item.strip():
            found.append((path, self._index, item))
        elif sign == "," or self._index:
            self.stop()  # a comma too many
            return
        if sign == ",":
            self._index, self._parts = self._index + 1, []
            return
        self._list = self._parts = None
        self.over = self.over or sign == "}" or not self._keys

    def _taken(self, last: str) -> str:
        parts, self._parts = self._parts or [], None
        return "".join((*parts, last))


def _unquoted(key: str) -> str:
    """A key without its escapes."""
    if "\\" not in key:
        return key
    try:
        return str(from_json(f'"{key}"'))
    except ValueError:
        return key

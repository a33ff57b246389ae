"""Where the boxes of a graph stand: from left to right in columns, each box after those that point at it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final, final

HEIGHT: Final = 52.0
"""Of a box without parts."""
_LETTER: Final = 7.6
_NARROW: Final = 158.0
_WIDE: Final = 250.0
_TITLE: Final = 30.0
_EDGE: Final = 14.0
_ACROSS: Final = 44.0
_BETWEEN: Final = 14.0


@final
@dataclass(slots=True)
class Box:
    """A box, with the boxes in it. Positions are within the one around."""

    key: str
    name: str
    parts: list[Box]
    links: list[tuple[str, str]]
    x: float = 0.0
    y: float = 0.0
    width: float = 0.0
    height: float = 0.0


@final
@dataclass(slots=True)
class _Ranks:
    """In which column each part stands: after all that point at it."""

    links: list[tuple[str, str]]
    known: dict[str, int] = field(default_factory=dict[str, int])

    def all(self, keys: list[str]) -> dict[str, int]:
        self.known = dict.fromkeys(keys, 0)
        for _ in keys:  # a chain is no longer than that; a circle, which no graph has, comes to an end
            moved = False
            for one, other in self.links:
                if self.known[other] <= self.known[one] < len(keys):
                    self.known[other] = self.known[one] + 1
                    moved = True
            if not moved:
                break
        return self.known


def arranged(box: Box) -> Box:
    """Give the box and all in it their sizes and positions."""
    if not box.parts:
        box.width = min(max(_NARROW, _LETTER * (len(box.name) + 5) + 36), _WIDE)
        box.height = HEIGHT
        return box
    for part in box.parts:
        arranged(part)
    columns = _columns(box)
    tallest = max(_tall(column) for column in columns)
    x = _EDGE
    for column in columns:
        y = _TITLE + (tallest - _tall(column)) / 2
        width = max(part.width for part in column)
        for part in column:
            part.x, part.y = x, y
            y += part.height + _BETWEEN
        x += width + _ACROSS
    box.width = max(x - _ACROSS + _EDGE, _LETTER * len(box.name) + 120)
    box.height = tallest + _TITLE + _EDGE
    return box


def _columns(box: Box) -> list[list[Box]]:
    if not box.links and len(box.parts) > 6:  # parts that are not known to come after one another, in rows of a few
        rows = -(-len(box.parts) // 4)
        return [box.parts[start : start + rows] for start in range(0, len(box.parts), rows)]
    ranks = _Ranks(box.links).all([part.key for part in box.parts])
    columns: list[list[Box]] = [[] for _ in range(max(ranks.values()) + 1)]
    for part in box.parts:
        columns[ranks[part.key]].append(part)
    columns = [column for column in columns if column]
    height = {part.key: float(place) for column in columns for place, part in enumerate(column)}
    for column in columns[1:]:
        column.sort(key=lambda part: _pull(part, box.links, height))
        height.update({part.key: float(place) for place, part in enumerate(column)})
    return columns


def _pull(part: Box, links: list[tuple[str, str]], height: dict[str, float]) -> float:
    """The mean place of what points at it: arrows cross less."""
    before = [height[one] for one, other in links if other == part.key]
    return sum(before) / len(before) if before else height[part.key]


def _tall(column: list[Box]) -> float:
    return sum(part.height for part in column) + _BETWEEN * (len(column) - 1)

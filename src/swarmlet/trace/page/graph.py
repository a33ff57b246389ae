"""The graph of a run as a drawing: places, the arrows between them, and what became of each.

A place is a node of the graph, however many steps ran there: the items of a map and the rounds of a loop are one. Arrows come
from the plan that was recorded with the run; where there is none, from the order in which the steps ran.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from dataclasses import dataclass, field
from itertools import permutations
from typing import TYPE_CHECKING, Final, cast, final

from swarmlet.trace.events import RunResumed, RunStarted
from swarmlet.trace.page.layout import Box, arranged

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from swarmlet.trace.analysis.insight import Insight
    from swarmlet.trace.page.rows import Places
    from swarmlet.trace.records import StepRecord
    from swarmlet.trace.views import Data

_INDEX: Final = re.compile(r"\[(?:\d+|i)\](?=/|\[|$)")
_STEP: Final = re.compile(r"([^\s()\[\],={}]+)\(\)")
_MOST: Final = 90
"""More boxes than this no one reads: then the inner ones are left out."""
_ALIKE: Final = 24
"""More parts of one place than this are told as one."""
_LOOKED_AT: Final = 50
"""Of the rounds of a loop, or the items of a map, so many tell in which order their steps ran."""


@final
@dataclass(slots=True)
class Place:
    """A place of the graph."""

    key: str
    what: str = ""
    parts: list[str] = field(default_factory=list[str])
    links: set[tuple[str, str]] = field(default_factory=set[tuple[str, str]])
    """Between its parts."""
    planned: bool = False
    """Whether a plan told the links."""
    steps: int = 0
    copies: int = 0
    states: Counter[str] = field(default_factory=Counter[str])
    seconds: float = 0.0
    usd: float = 0.0
    critical: float = 0.0
    begin: float | None = None
    end: float | None = None
    shown: int = -1
    """The row to show for it: of its steps the one that has most of the critical path, or took longest."""
    weight: tuple[float, float] = (-1.0, -1.0)


def graph(insight: Insight, places: Places) -> Data:
    """The drawing: boxes with their positions, arrows, and the size of all."""
    found: dict[str, Place] = {}
    root = _key(insight.trace.root.path)
    _add(found, root)
    for step in insight.trace.root.walk():
        _count(found, step, places)
    _planned(found, _plan(insight))
    _observed(found, insight.trace.root, places)
    _sum(found, root)
    hidden = _thin(found, root)
    box = arranged(_box(found, root, hidden))
    return {
        "boxes": [*_boxes(box, found, hidden, 0.0, 0.0)],
        "arrows": [*_arrows(box, found, 0.0, 0.0)],
        "width": box.width,
        "height": box.height,
        "planned": any(place.planned for place in found.values()),
    }


def _key(path: str) -> str:
    return _INDEX.sub("", path)


def _add(found: dict[str, Place], key: str) -> Place:
    """The place, with those above it."""
    known = found.get(key)
    if known is None:
        known = found[key] = Place(key)
        above = key.rpartition("/")[0]
        if above:
            _add(found, above).parts.append(key)
    return known


# What became of each place


def _count(found: dict[str, Place], step: StepRecord, places: Places) -> None:
    place = _add(found, _key(step.path))
    number = places.index[step.path]
    begin, end = places.begin[number], places.end[number]
    place.copies += step.path.endswith("]") and _key(step.path) != step.path
    if begin is not None and end is not None:
        place.begin = begin if place.begin is None else min(begin, place.begin)
        place.end = end if place.end is None else max(end, place.end)
    seconds = 0.0 if begin is None or end is None else end - begin
    critical = places.critical.get(step.path, 0.0)
    place.critical += critical
    place.usd += sum(float(call.usage.usd) for call in step.calls)
    if step.started or step.left_out:
        place.steps += step.started is not None
        place.states[step.state] += 1
        place.seconds += seconds if step.seconds is None else step.seconds  # without what it waited before
    if place.weight < (critical, seconds):
        place.weight, place.shown = (critical, seconds), number


def _sum(found: dict[str, Place], root: str) -> None:
    """What is below a place counts for it, too."""
    order = [root]
    for key in order:
        order.extend(found[key].parts)
    for key in reversed(order):
        place = found[key]
        for part in place.parts:
            below = found[part]
            place.usd += below.usd
            place.critical += below.critical
            if not place.steps:
                place.states += below.states


# Arrows


def _plan(insight: Insight) -> list[tuple[str, str, list[tuple[str, str]] | None]]:
    """What stands where, and what takes what from which: as it was recorded, and not believed."""
    digest = None
    for event in insight.trace.events:
        if isinstance(event, RunStarted | RunResumed) and event.plan is not None:
            digest = event.plan
    content = insight.trace.content(digest)
    if content is None:
        return []
    try:
        data = cast("dict[str, object]", json.loads(content))
        pieces = [_piece(piece) for piece in cast("list[dict[str, object]]", data["pieces"])]
        rows = cast("list[tuple[str, int]]", data["rows"])
        return [(_key(str(path)), *pieces[index]) for path, index in rows]
    except (ValueError, KeyError, IndexError, TypeError, AttributeError, RecursionError):
        return []


def _piece(piece: dict[str, object]) -> tuple[str, list[tuple[str, str]] | None]:
    wires = cast("list[dict[str, str]]", piece["wiring"])
    links = [(wire["step"], source) for wire in wires if wire["step"] for source in _STEP.findall(wire["source"])]
    return str(piece["what"]), links if piece["what"] == "graph" and not piece["rest"] else None


def _planned(found: dict[str, Place], rows: Iterable[tuple[str, str, list[tuple[str, str]] | None]]) -> None:
    for key, what, links in rows:
        if len(found) >= 4 * _MOST and key not in found:
            continue
        place = _add(found, key)
        place.what = place.what if links is not None and place.what else what
        if links is None:
            place.planned = place.planned or what in ("each", "race", "vote", "best", "hedge")
            continue
        place.planned = True
        for step, source in links:
            _link(found, _key(f"{key}/{source}"), _key(f"{key}/{step}"))


def _link(found: dict[str, Place], source: str, target: str) -> None:
    """An arrow is between parts of the innermost place that has both."""
    one, other = source.split("/"), target.split("/")
    shared = 0
    while shared < min(len(one), len(other)) and one[shared] == other[shared]:
        shared += 1
    if not 0 < shared < min(len(one), len(other)):
        return
    around = _add(found, "/".join(one[:shared]))
    around.links.add(("/".join(one[: shared + 1]), "/".join(other[: shared + 1])))


def _observed(found: dict[str, Place], root: StepRecord, places: Places) -> None:
    """A part comes after another if it began when that had ended, wherever both ran; of these only the last are drawn."""
    seen = Counter[str]()
    orders: dict[str, dict[tuple[str, str], bool]] = {}
    for step in root.walk():
        key = _key(step.path)
        if found[key].planned or seen[key] >= _LOOKED_AT or not 1 < len(step.children) <= _ALIKE:
            continue
        seen[key] += 1
        order = orders.setdefault(key, {})
        spans = {_key(child.path): _span(places.index[child.path], places) for child in step.children}
        for one, other in permutations(spans, 2):
            order[one, other] = order.get((one, other), True) and _before(spans[one], spans[other])
    for key, order in orders.items():
        place = found[key]
        place.links.update(pair for pair, holds in order.items() if holds)
        if place.what in ("switch", "match"):
            place.links.update(
                (one, part) for part in place.parts if found[part].begin is None for one, _ in tuple(place.links)
            )


def _span(number: int, places: Places) -> tuple[float | None, float | None, int]:
    return places.begin[number], places.end[number], number


def _before(one: tuple[float | None, float | None, int], other: tuple[float | None, float | None, int]) -> bool:
    end, begin = one[1], other[0]
    return end is not None and begin is not None and end <= begin and (end, one[2]) < (other[1] or begin, other[2])


def _reduced(links: set[tuple[str, str]]) -> list[tuple[str, str]]:
    """Without the arrows that a longer way implies."""
    after: dict[str, set[str]] = {}
    for one, other in links:
        after.setdefault(one, set()).add(other)

    def reaches(one: str, wanted: str, known: set[str]) -> bool:
        stack = [one]
        while stack:
            for each in after.get(stack.pop(), ()):
                if each == wanted:
                    return True
                if each not in known:
                    known.add(each)
                    stack.append(each)
        return False

    return sorted(
        (one, other) for one, other in links if not any(reaches(each, other, {one}) for each in after[one] if each != other)
    )


# The drawing


def _thin(found: dict[str, Place], root: str) -> dict[str, int]:
    """Places whose parts are not drawn, each with how many it has: the inner ones, where there are too many."""
    drawn, level, hidden = 1, [root], dict[str, int]()
    while level:
        following: list[str] = []
        for key in level:
            parts = found[key].parts
            if len(parts) > _ALIKE or drawn + len(parts) > _MOST:
                hidden[key] = len(parts)
            else:
                drawn += len(parts)
                following.extend(parts)
        level = following
    return {key: count for key, count in hidden.items() if count}


def _box(found: dict[str, Place], key: str, hidden: dict[str, int]) -> Box:
    place = found[key]
    name = key.rpartition("/")[2]
    parts = [] if key in hidden else [_box(found, part, hidden) for part in sorted(place.parts, key=lambda k: _first(found[k]))]
    shown = {part.key for part in parts}
    links = {(one, other) for one, other in place.links if one in shown and other in shown and one != other}
    return Box(key, name, parts, _reduced(links))


def _first(place: Place) -> tuple[float, str]:
    return (place.begin if place.begin is not None else float("inf"), place.key)


def _boxes(box: Box, found: dict[str, Place], hidden: dict[str, int], x: float, y: float) -> Iterable[Data]:
    place = found[box.key]
    x, y = x + box.x, y + box.y
    yield {
        "name": box.name,
        "what": place.what,
        "x": x,
        "y": y,
        "width": box.width,
        "height": box.height,
        "frame": bool(box.parts),
        "hidden": hidden.get(box.key, 0),
        "steps": place.steps,
        "copies": place.copies,
        "states": dict(place.states),
        "seconds": place.seconds if place.steps else _length(place),
        "usd": place.usd,
        "critical": place.critical,
        "row": place.shown,
    }
    for part in box.parts:
        yield from _boxes(part, found, hidden, x, y)


def _length(place: Place) -> float:
    return 0.0 if place.begin is None or place.end is None else place.end - place.begin


def _arrows(box: Box, found: dict[str, Place], x: float, y: float) -> Iterable[Data]:
    x, y = x + box.x, y + box.y
    parts = {part.key: part for part in box.parts}
    for one, other in box.links:
        source, target = parts[one], parts[other]
        points: Sequence[float] = (
            *(x + source.x + source.width, y + source.y + source.height / 2),
            *(x + target.x, y + target.y + target.height / 2),
        )
        yield {"points": points, "critical": found[one].critical > 0 and found[other].critical > 0}
    for part in box.parts:
        yield from _arrows(part, found, x, y)

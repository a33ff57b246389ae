"""The graph as it was recorded with the run: where the arguments of its steps came from.

A swarm with a journal keeps it (`RunStarted.plan`); the journal's readers know it as a graph's fingerprint. Here it is read as
plain JSON, and not believed: what does not look as expected is as if there were no plan.
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Final, cast, final

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

_INDEX: Final = re.compile(r"\[\d+\]")
_STEP: Final = re.compile(r"([^\s()\[\],={}]+)\(\)")
"""A step in the text of a source: `write()`, `list(write(), review().text)`."""

_CUT: Final = "... #"
"""Stands in a source that was too long to be kept whole."""


@final
class Plan:
    """What stands at each place of a graph."""

    def __init__(self, rows: Mapping[str, tuple[str, Sequence[tuple[str, str]] | None]], *, whole: bool) -> None:
        self._rows = rows
        self._whole = whole

    def sources(self, path: str, *, group: bool) -> Sequence[tuple[str, str]] | None:
        """Which step of the graph at `path` takes what from which: pairs of paths below it. Nothing for what has no order: the
        items of a map, and a graph whose steps are told by the one around it. `None`: the plan does not say."""
        row = self._rows.get(_INDEX.sub("[i]", path))
        if row is None:
            inlined = group and self._whole and self._within_graph(path)
            return () if inlined else None
        what, wiring = row
        if what == "each":
            return ()
        return wiring if what == "graph" else None

    def _within_graph(self, path: str) -> bool:
        """Whether the nearest place above that has a row is a graph."""
        place = _INDEX.sub("[i]", path)
        while place := place.rpartition("/")[0]:
            if row := self._rows.get(place):
                return row[0] == "graph" and row[1] is not None
        return False


def read_plan(content: bytes | None) -> Plan | None:
    """The plan that was recorded; `None` if there is none, or none that can be read."""
    if content is None:
        return None
    try:
        data = cast("object", json.loads(content))
        return _read(cast("dict[str, object]", data)) if isinstance(data, dict) else None
    except (ValueError, KeyError, IndexError, TypeError, RecursionError):
        return None


def _read(data: dict[str, object]) -> Plan | None:
    if data["version"] != 1:
        return None
    pieces = [_piece(piece) for piece in cast("list[dict[str, object]]", data["pieces"])]
    rows = {str(path): pieces[index] for path, index in cast("list[tuple[str, int]]", data["rows"])}
    return Plan(rows, whole=not data["rest"])


def _piece(piece: dict[str, object]) -> tuple[str, Sequence[tuple[str, str]] | None]:
    wires = cast("list[dict[str, str]]", piece["wiring"])
    whole = not piece["rest"] and not any(_CUT in wire["source"] for wire in wires)
    return str(piece["what"]), tuple(_links(wires)) if whole else None


def _links(wires: list[dict[str, str]]) -> Iterator[tuple[str, str]]:
    """Which step takes something from which. The graph's result is no step."""
    for wire in wires:
        if wire["step"]:
            yield from ((wire["step"], source) for source in _STEP.findall(wire["source"]))

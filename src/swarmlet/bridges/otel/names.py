"""Names from paths."""

from __future__ import annotations


def plain_name(path: str) -> str:
    """The name of the node at a path, the same for all items, rounds and repetitions: `review` for `solve/review~2[3]`."""
    last = path.rpartition("/")[2]
    return last.partition("[")[0].lstrip("~").partition("~")[0]


def above(path: str) -> str:
    """The path above; nothing above the first one. As `trace.read` has it, but called for every step."""
    return path[: path.rindex("[")] if path.endswith("]") else path.rpartition("/")[0]

"""What takes the items of a list in a step's result before the step has ended."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias, final

ItemPath: TypeAlias = tuple[str, ...]
"""Where in a result a list is: the names of the fields, or keys, that lead to it. `()` is the result itself."""


@final
@dataclass(frozen=True, slots=True, eq=False)
class Taker:
    """Takes items that a step is about to have in its result.

    What it is told is a guess: the result alone counts. Items come in order, from 0; who begins again tells them again.
    """

    step: str
    """The path of the step. Steps below it have this in their scope, too, and it is not for them."""
    lists: frozenset[ItemPath]
    """The lists of whose items something is made."""
    take: Callable[[ItemPath, int, object], None]
    """Told the list, the item's index and the item."""

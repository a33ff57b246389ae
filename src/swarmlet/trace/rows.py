"""The tree of a run's steps as rows, in which a map of ten thousand items need not have ten thousand.

Pure: what is above draws the rows, as a table or as bars. A fold stands for steps of one list that say nothing new: those
that failed, the slowest and the dearest keep rows of their own.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, final

from swarmlet.usage import Usage

if TYPE_CHECKING:
    from collections.abc import Iterator

    from swarmlet.trace.records import StepRecord, StepState

MANY: Final = 200
"""A run of so many rows is shown whole."""

_FEW: Final = 6
"""So many steps of a list are never folded."""
_FAILED: Final = 3
"""Failures of a list that keep rows of their own."""


@final
@dataclass(frozen=True, slots=True)
class Fold:
    """Steps of one list, told as one."""

    steps: Sequence[StepRecord]

    @property
    def states(self) -> dict[StepState, int]:
        """How many ended how."""
        return Counter(step.state for step in self.steps)

    @property
    def usage(self) -> Usage:
        """What all of them cost."""
        return Usage.total(step.usage for step in self.steps)

    @property
    def seconds(self) -> float | None:
        """From the first that began to the last that ended; `None` while one is running."""
        begins = [step.begin for step in self.steps if step.begin is not None]
        ends = [step.end for step in self.steps]
        last = [end for end in ends if end is not None]
        return None if not begins or len(last) < len(ends) else max(last) - min(begins)

    def __str__(self) -> str:
        told = ", ".join(f"{count:,} {state}" for state, count in self.states.items())
        return f"… {len(self.steps):,} more: {told}"


@final
@dataclass(frozen=True, slots=True)
class TreeRow:
    """One line of the tree."""

    lines: str
    """What is drawn before the name."""
    of: StepRecord | Fold


def tree_rows(root: StepRecord, *, fold: bool = False) -> Iterator[TreeRow]:
    """The rows, parents first. With `fold`, long lists of a large run are folded. Without recursion, as loops may be deep."""
    folding = fold and _has_more(root, MANY)
    stack: list[tuple[str, str, StepRecord | Fold]] = [("", "", root)]
    while stack:
        lines, below, one = stack.pop()
        yield TreeRow(lines, one)
        if isinstance(one, Fold):
            continue
        shown: Sequence[StepRecord | Fold] = _folded(one.children) if folding else one.children
        last = len(shown) - 1
        for index in range(last, -1, -1):
            mark, more = ("└─ ", "   ") if index == last else ("├─ ", "│  ")
            stack.append((below + mark, below + more, shown[index]))


def _has_more(root: StepRecord, count: int) -> bool:
    return any(index >= count for index, _ in enumerate(root.walk()))


def _folded(steps: Sequence[StepRecord]) -> Sequence[StepRecord | Fold]:
    if len(steps) <= _FEW:
        return steps
    bad = [step for step in steps if step.state != "finished"][:_FAILED]
    slowest = max(steps, key=lambda step: step.seconds or 0.0)
    dearest = max(steps, key=lambda step: (step.usd, step.usage.total_tokens))
    kept = {step.path for step in (*bad, slowest, dearest)}
    rest = [step for step in steps if step.path not in kept]
    return [*(step for step in steps if step.path in kept), Fold(rest)]

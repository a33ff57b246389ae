"""How votes are counted: which answer leads, and whether what is still to come can change that. Pure."""

from __future__ import annotations

from typing import Literal, TypeAlias, cast, final

Ties: TypeAlias = Literal["first", "fail"]


@final
class Ballot:
    """Counts the answers of `of` samples, which come in any order.

    The winner is the answer with the most votes, if those are at least `quorum`. Of answers with equally many, `ties="first"`
    takes the one whose earliest sample has the lowest number; with `"fail"` there is no winner.
    """

    def __init__(self, of: int, quorum: int, ties: Ties) -> None:
        self._quorum = quorum
        self._ties: Ties = ties
        self._open = set(range(of))
        self._groups: list[tuple[object, dict[int, object]]] = []

    def cast(self, sample: int, value: object, key: object) -> None:
        """Sample `sample` gave `value`, which agrees with every other value of an equal `key`."""
        self._open.discard(sample)
        for known, votes in self._groups:
            if known == key:
                votes[sample] = value
                return
        self._groups.append((key, {sample: value}))

    def spoil(self, sample: int) -> None:
        """Sample `sample` gave no answer."""
        self._open.discard(sample)

    def verdict(self) -> tuple[int, object] | None:
        """The winner, by the number and value of its earliest sample, as soon as nothing to come can change it."""
        if not self._groups:
            return None
        leader, *others = sorted((votes for _, votes in self._groups), key=_rank)
        if not self._is_fixed(leader, others, self._open):
            return None
        first = min(leader)
        return first, leader[first]

    def coming(self, started: int) -> int:
        """How many of the first `started` samples have given no answer yet."""
        return sum(sample < started for sample in self._open)

    def may_be_fixed_by(self, started: int) -> bool:
        """Whether those of the first `started` samples that are still to come fix the outcome if they agree with the leader."""
        coming = {sample for sample in self._open if sample < started}
        leader, *others = sorted((votes for _, votes in self._groups), key=_rank) or [dict[int, object]()]
        return bool(coming) and self._is_fixed({**leader, **dict.fromkeys(coming)}, others, self._open - coming)

    def _is_fixed(self, leader: dict[int, object], others: list[dict[int, object]], left: set[int]) -> bool:
        """Whether no samples that are `left` can take the lead from `leader`, which has enough votes."""
        if len(leader) < self._quorum:
            return False
        return not any(self._may_beat(other, leader, left) for other in [*others, cast("dict[int, object]", {})])

    def hopeless(self) -> bool:
        """Whether no answer can win any more."""
        most = max((len(votes) for _, votes in self._groups), default=0)
        return most + len(self._open) < self._quorum or not self._open

    def counts(self) -> tuple[int, ...]:
        """How many votes each answer has, the most first."""
        return tuple(sorted((len(votes) for _, votes in self._groups), reverse=True))

    def says(self) -> str:
        """The count, in words."""
        most, *rest = self.counts()
        against = f", {' and '.join(map(str, rest))} otherwise" if rest else ""
        return f"{most} agree{against}"

    def _may_beat(self, other: dict[int, object], leader: dict[int, object], left: set[int]) -> bool:
        """Whether `other` would win if all samples that are left agreed with it."""
        total = len(other) + len(left)
        if total != len(leader) or not total:
            return total > len(leader)
        return self._ties == "fail" or min([*other, *left]) < min(leader)


def _rank(votes: dict[int, object]) -> tuple[int, int]:
    """Sorts the leader to the front: the most votes, then the lowest sample."""
    return -len(votes), min(votes)

"""What time goes to: kinds, and sums of seconds by kind."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass
from operator import add, attrgetter
from typing import Final, Literal, TypeAlias, final

Kind: TypeAlias = Literal[
    "model",
    "first_token",
    "tool",
    "own",
    "person",
    "retry",
    "limit",
    "budget",
    "concurrency",
    "queue",
    "swarmlet",
    "lost",
    "away",
]
"""What a second went to: the fields of `Split`."""

KINDS: Final[tuple[Kind, ...]] = (
    "model",
    "first_token",
    "tool",
    "own",
    "person",
    "retry",
    "limit",
    "budget",
    "concurrency",
    "queue",
    "swarmlet",
    "lost",
    "away",
)

WAITING: Final[tuple[Kind, ...]] = ("limit", "budget", "concurrency", "retry", "person", "queue")
"""The kinds that are waits of a step."""


@final
@dataclass(frozen=True, slots=True)
class Split:
    """Seconds by what they went to. Splits add up with `+`."""

    model: float = 0.0
    """A model answered; after its first piece, where the reply was streamed."""
    first_token: float = 0.0
    """Until the first piece of a streamed reply."""
    tool: float = 0.0
    """A tool ran."""
    own: float = 0.0
    """The step's own code."""
    person: float = 0.0
    """A person was waited for."""
    retry: float = 0.0
    """Until the next attempt of a call or of a step."""
    limit: float = 0.0
    """In the queue of the swarm's limits: requests and tokens per minute, connections."""
    budget: float = 0.0
    """Until a budget had room."""
    concurrency: float = 0.0
    """For a place under a `concurrency=`."""
    queue: float = 0.0
    """Ready, and the event loop was busy with others."""
    swarmlet: float = 0.0
    """Between steps: what swarmlet itself needed, and what it waited for on purpose: a source's next item, a hedge's delay."""
    lost: float = 0.0
    """Work of a process that was killed or stopped, which had to be done again."""
    away: float = 0.0
    """No process had the run: it was killed, stopped or suspended, and not yet resumed."""

    @property
    def total(self) -> float:
        """All of it."""
        return sum(_seconds(self))

    @property
    def waited(self) -> float:
        """Of it, what the steps themselves waited: for limits, budgets, places, the next attempt, people, the event loop."""
        return self.limit + self.budget + self.concurrency + self.retry + self.person + self.queue

    def items(self) -> list[tuple[Kind, float]]:
        """The kinds that took time, with their seconds, the largest first."""
        told: list[tuple[Kind, float]] = [
            (kind, seconds) for kind, seconds in zip(KINDS, _seconds(self), strict=True) if seconds
        ]
        return sorted(told, key=lambda pair: -pair[1])

    def as_dict(self) -> dict[Kind, float]:
        """Every kind with its seconds."""
        return dict(zip(KINDS, _seconds(self), strict=True))

    def only(self, kinds: Collection[Kind]) -> Split:
        """The seconds of these kinds alone."""
        return Split(*(s if kind in kinds else 0.0 for kind, s in zip(KINDS, _seconds(self), strict=True)))

    def __add__(self, other: Split) -> Split:
        return Split(*map(add, _seconds(self), _seconds(other)))

    def __str__(self) -> str:
        return ", ".join(f"{kind.replace('_', ' ')} {seconds:.3g} s" for kind, seconds in self.items()) or "nothing"

    @staticmethod
    def total_of(splits: Iterable[Split]) -> Split:
        """The sum of many."""
        sums = [0.0] * len(KINDS)
        for one in splits:
            sums = list(map(add, sums, _seconds(one)))
        return Split(*sums)


_seconds: Callable[[Split], tuple[float, ...]] = attrgetter(*KINDS)
"""The seconds of a split in the order of `KINDS`, which is that of its fields."""


def split_of(seconds: Mapping[Kind, float]) -> Split:
    """A split of these seconds."""
    return Split(*(seconds.get(kind, 0.0) for kind in KINDS))

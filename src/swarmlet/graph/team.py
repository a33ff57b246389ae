"""A team, for the engine: members that answer, or hand a conversation over to one another. `agents.team` makes them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, final

from swarmlet.graph.shape import Composite, Part

if TYPE_CHECKING:
    from swarmlet.graph.draw import Canvas, Ends
    from swarmlet.graph.shape import AnyNode


@final
@dataclass(frozen=True, slots=True)
class HandedOver:
    """What a member gives that hands the conversation `chat` to member `to`."""

    to: str
    why: str
    chat: object


@final
@dataclass(frozen=True, slots=True)
class Spoken:
    """What a member gives that answers."""

    output: object
    chat: object
    kept: object
    """The same as this member's `fit=` has left it."""


@final
@dataclass(frozen=True, slots=True)
class TeamShape(Composite):
    """A team: execute `entry`, then whoever it hands over to, at most `handoffs` times.

    `members` may hand over, `closers` are the same members when they may not: the last one must answer.
    """

    word: ClassVar[str] = "team"
    entry: str
    members: Mapping[str, AnyNode]
    closers: Mapping[str, AnyNode]
    handoffs: int
    answer: Callable[[Sequence[str], Spoken, object], object]
    """The result, from who spoke, what the last one said, and the conversation that the team was given."""

    def draw(self, canvas: Canvas, label: str) -> Ends:
        """A frame around the members, with arrows for handing over."""
        with canvas.frame(f"{label}, at most {self.handoffs} handoffs" if len(self.members) > 1 else label):
            boxes = {name: node.shape.draw(canvas, name) for name, node in self.members.items()}
        for name, (_, out) in boxes.items():
            for other, (into, _) in boxes.items():
                if other != name:
                    canvas.turn(out[0], into[0], "hands over")
        return boxes[self.entry][0], [one for _, out in boxes.values() for one in out]

    def parts(self) -> Iterator[Part]:
        """The members, one of which runs at a time."""
        for name, node in self.members.items():
            yield Part(f"/{name}", node, self.handoffs + 1, either=True)

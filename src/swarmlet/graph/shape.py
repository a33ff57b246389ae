"""What the engine and the drawings see of a node: any node, of any signature, and its shape.

Shapes tell nodes apart. There are few: `Leaf` here, and one class for each combinator, in the combinator's own file.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Protocol, final

if TYPE_CHECKING:
    from swarmlet.graph.draw import Canvas, Ends
    from swarmlet.graph.signature import Signature
    from swarmlet.policy.options import Options
    from swarmlet.trace.record import Encoder


class Shape(Protocol):
    """What a node is made of, as data. The engine has one frame class for each shape that has nodes inside."""

    word: ClassVar[str]
    """What users write to make one, `each` say; empty for what they write as a function."""

    def draw(self, canvas: Canvas, label: str) -> Ends:
        """Draw it, and give where edges arrive and leave."""
        ...


class AnyNode(Protocol):
    """A node of any signature. `Node` is the class that users see; what it promises is written there."""

    @property
    def name(self) -> str:
        """How its steps are called in paths."""
        ...

    @property
    def named(self) -> bool:
        """Whether the name was given, and is not just the function's."""
        ...

    @property
    def signature(self) -> Signature:
        """Its parameters and result type."""
        ...

    @property
    def shape(self) -> Shape:
        """What it is made of."""
        ...

    @property
    def options(self) -> Options:
        """What was set on it."""
        ...

    @property
    def origin(self) -> str:
        """Where it is defined: `module:qualified.name`."""
        ...

    @property
    def encode_inputs(self) -> Mapping[str, Encoder]:
        """Writes its arguments, by parameter."""
        ...

    @property
    def encode_output(self) -> Encoder:
        """Writes its result."""
        ...


def called(node: AnyNode) -> str:
    """What messages call a node: as it was written, `each(fetch)` say."""
    return f"{node.shape.word}({node.name})" if node.shape.word else node.name


@final
@dataclass(frozen=True, slots=True)
class Leaf:
    """One opaque callable. The engine calls it with the step's arguments."""

    word: ClassVar[str] = ""
    call: Callable[..., object]
    is_async: bool
    thread: bool = False
    """A sync callable that runs in a worker thread."""
    retries_itself: bool = False
    """It obeys the retry policy inside (agents retry their calls), so the step as a whole is tried once."""

    def draw(self, canvas: Canvas, label: str) -> Ends:
        """A box; a double one for what makes calls of its own."""
        box = canvas.box(label, ("[[", "]]") if self.retries_itself else ("[", "]"))
        return [box], [box]

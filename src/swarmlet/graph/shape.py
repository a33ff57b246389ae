"""What the engine and the drawings see of a node: any node, of any signature, and its shape.

Shapes tell nodes apart. There are few: `Leaf` here, and one class for each combinator, in the combinator's own file.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, ClassVar, Protocol, TypeAlias, final

if TYPE_CHECKING:
    from swarmlet.graph.draw import Canvas, Ends
    from swarmlet.graph.signature import Signature
    from swarmlet.policy.options import Options
    from swarmlet.trace.encode import Encoder


class Shape(Protocol):
    """What a node is made of, as data. The engine has one frame class for each shape that has nodes inside."""

    word: ClassVar[str]
    """What users write to make one, `each` say; empty for what they write as a function."""

    @property
    def ends_early(self) -> bool:
        """Whether it may be done while nodes inside still run. They are cancelled then, so it needs its own cancel scope."""
        ...

    @property
    def grows(self) -> bool:
        """Whether it may begin with the first items of a list before the list is whole, and before it is sure what is in it."""
        ...

    def parts(self) -> Iterable[Part]:
        """The nodes inside, and how often each may run."""
        ...

    def draw(self, canvas: Canvas, label: str) -> Ends:
        """Draw it, and give where edges arrive and leave."""
        ...

    def refuses(self, options: Options) -> Iterable[str]:
        """What is wrong with setting these options on a node of this shape."""
        ...


@final
@dataclass(frozen=True, slots=True)
class Part:
    """A node inside another: how its steps' paths go on from there, and how often it runs at most."""

    suffix: str
    node: AnyNode
    times: int | None = 1
    """`None`: once for each item."""
    either: bool = False
    """Whether only one of the parts marked so runs."""


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


Facts: TypeAlias = Callable[[], Mapping[str, object]]
"""JSON schemas by what they are of: `output`, `tool search`. Asked only where two graphs are compared."""


def called(node: AnyNode) -> str:
    """What messages call a node: as it was written, `each(fetch)` say."""
    word = node.shape.word
    return f"{word}({node.name})" if word not in ("", node.name) else node.name


class Composite:
    """What the shapes have in common that have nodes inside."""

    __slots__ = ()

    @property
    def ends_early(self) -> bool:
        """Whether it may be done while nodes inside still run."""
        return False

    @property
    def grows(self) -> bool:
        """Whether it may begin before its list is whole."""
        return False

    def parts(self) -> Iterable[Part]:
        """The nodes inside, and how often each may run."""
        raise NotImplementedError

    def refuses(self, options: Options) -> Iterator[str]:
        """Options that could have no effect on anything inside, as all of it is sync functions on the event loop."""
        if options.inert_on_sync and all(leaf.inline for leaf in self.leaves()):
            yield from (
                f"{problem}: all that is in it are sync functions on the event loop" for problem in options.inert_on_sync
            )

    def leaves(self) -> Iterator[Leaf]:
        """The leaves inside, at any depth, each once."""
        seen: set[int] = set()
        stack = [part.node for part in self.parts()]
        while stack:
            node = stack.pop()
            if id(node) in seen:
                continue
            seen.add(id(node))
            if isinstance(node.shape, Leaf):
                yield node.shape
            else:
                stack += [part.node for part in node.shape.parts()]


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
    calls: int = 0
    """How many model calls it makes at most, retries not counted."""
    tools: tuple[AnyNode, ...] = ()
    """The nodes that it may run when a model asks for them."""
    effects: tuple[str, ...] = ()
    """Names of its tools that act on the world, so that it must not be run again once one of them was used."""
    asks: bool = False
    """Whether it puts a question to a person."""
    offers: bool = False
    """Whether it tells items of a list in its result before it has ended, if anybody can begin with them."""
    facts: Facts | None = field(default=None, repr=False, compare=False)
    """What a model sees of it, where graphs are compared; see `Facts`."""

    @property
    def ends_early(self) -> bool:
        """It is one step."""
        return False

    @property
    def grows(self) -> bool:
        """It takes its arguments as they are."""
        return False

    @property
    def inline(self) -> bool:
        """Whether it runs on the event loop without ever waiting, so that nothing can interrupt it."""
        return not self.is_async and not self.thread

    def parts(self) -> Iterable[Part]:
        """Nothing: it is opaque."""
        return ()

    def refuses(self, options: Options) -> Iterator[str]:
        """Options that could never have an effect on a function."""
        if self.retries_itself and options.concurrency is not None and not self.tools:
            yield "concurrency= bounds steps that run under a node, and no step runs under this agent"
        if not self.inline:
            return
        if options.concurrency is not None:
            yield "concurrency= cannot apply: no other step can run under a sync function on the event loop"
        for problem in options.inert_on_sync:
            yield f"{problem}: it is a sync function on the event loop, under which no model call and no other step can run"
        if options.retry is None and options.limits_time:  # else it bounds the waits between attempts
            yield "no time limit can stop a sync function on the event loop; make it async, or @node(thread=True)"

    def draw(self, canvas: Canvas, label: str) -> Ends:
        """A box; a double one for what makes calls of its own, a slanted one for what a person says."""
        box = canvas.box(label, ("[/", "/]") if self.asks else ("[[", "]]") if self.retries_itself else ("[", "]"))
        return [box], [box]

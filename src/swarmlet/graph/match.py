"""`match`: route by the type of a value."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from types import NoneType, UnionType
from typing import (
    TYPE_CHECKING,
    Annotated,
    Any,
    ClassVar,
    Concatenate,
    Literal,
    ParamSpec,
    TypeVar,
    Union,
    cast,
    final,
    get_args,
    get_origin,
    overload,
)

from typing_extensions import TypeAliasType, is_protocol, is_typeddict

from swarmlet.graph.arms import named, refuse
from swarmlet.graph.lift import as_node
from swarmlet.graph.node import Node
from swarmlet.graph.shape import Composite, Part
from swarmlet.graph.signature import in_common, misfits
from swarmlet.graph.source import user_line
from swarmlet.graph.types import show

if TYPE_CHECKING:
    from swarmlet.graph.arms import Alike, Named
    from swarmlet.graph.draw import Canvas, Ends
    from swarmlet.graph.shape import AnyNode

P = ParamSpec("P")
A = TypeVar("A")
B = TypeVar("B")
C = TypeVar("C")
D = TypeVar("D")
E = TypeVar("E")
RA = TypeVar("RA")
RB = TypeVar("RB")
RC = TypeVar("RC")
RD = TypeVar("RD")
RE = TypeVar("RE")


@final
@dataclass(frozen=True, slots=True)
class Taken:
    """The values that an arm takes: those of some classes, and some single ones."""

    classes: tuple[type, ...]
    values: tuple[object, ...] = ()

    def takes(self, value: object) -> bool:
        """Whether `value` is one of them."""
        return isinstance(value, self.classes) or any(type(one) is type(value) and one == value for one in self.values)

    def within(self, others: Sequence[Taken]) -> bool:
        """Whether each of these values is taken by one of `others` already."""
        classes = tuple(one for other in others for one in other.classes)
        return all(issubclass(one, classes) for one in self.classes) and all(
            any(other.takes(value) for other in others) for value in self.values
        )


@final
@dataclass(frozen=True, slots=True)
class MatchShape(Composite):
    """A choice by type, for the engine: execute the first arm that takes the value."""

    word: ClassVar[str] = "match"
    named: Named
    taken: tuple[Taken, ...]

    def arm_for(self, value: object) -> tuple[str, AnyNode] | None:
        """The arm for `value`: the first that takes its type, or, as for type checkers, a whole number for a `float`."""
        for arm, taken in zip(self.named, self.taken, strict=True):
            if taken.takes(value):
                return arm
        for wider in (float, complex) if isinstance(value, int) else (complex,) if isinstance(value, float) else ():
            for arm, taken in zip(self.named, self.taken, strict=True):
                if wider in taken.classes:
                    return arm
        return None

    def draw(self, canvas: Canvas, label: str) -> Ends:
        """A frame around a rhomb and the arms, each with the type that it takes."""
        results: list[str] = []
        with canvas.frame(label):
            choice = canvas.box("type of", ("{", "}"))
            for name, node in self.named:
                begin, end = node.shape.draw(canvas, name)
                canvas.edges([choice], begin, show(node.signature.parameters[0].annotation))
                results += end
        return [choice], results

    def parts(self) -> Iterator[Part]:
        """The arms, of which one runs."""
        return (Part(f"/{name}", node, either=True) for name, node in self.named)


@overload
def match(a: Callable[Concatenate[A, P], RA], b: Alike[Concatenate[B, P], RB], /) -> Node[Concatenate[A | B, P], RA | RB]: ...


@overload
def match(
    a: Callable[Concatenate[A, P], RA], b: Alike[Concatenate[B, P], RB], c: Alike[Concatenate[C, P], RC], /
) -> Node[Concatenate[A | B | C, P], RA | RB | RC]: ...


@overload
def match(
    a: Callable[Concatenate[A, P], RA],
    b: Alike[Concatenate[B, P], RB],
    c: Alike[Concatenate[C, P], RC],
    d: Alike[Concatenate[D, P], RD],
    /,
) -> Node[Concatenate[A | B | C | D, P], RA | RB | RC | RD]: ...


@overload
def match(
    a: Callable[Concatenate[A, P], RA],
    b: Alike[Concatenate[B, P], RB],
    c: Alike[Concatenate[C, P], RC],
    d: Alike[Concatenate[D, P], RD],
    e: Alike[Concatenate[E, P], RE],
    /,
) -> Node[Concatenate[A | B | C | D | E, P], RA | RB | RC | RD | RE]: ...


def match(*arms: Callable[..., object]) -> Node[..., object]:
    """Route by type: run the first arm whose first parameter takes the value. Further arguments go to the arm that runs.

    The arms' own signatures say what they take, so the result takes the union of it: passing it a type for which there is no
    arm is flagged by type checkers and refused when the graph is built. An arm that takes `object` is the default; it comes
    last. Five arms at most; an arm may be a `match` itself. Types are told apart by class (`isinstance`) and the values of a
    `Literal`. Raises `GraphError` for an arm that can never be reached, and for types that cannot be told apart by class.
    """
    here = user_line()
    refuse(here, "match()", [] if len(arms) > 1 else ["it needs two arms or more: match(on_order, on_complaint)"])
    nodes = [cast("AnyNode", as_node(arm, "match", "arm")) for arm in arms]
    refuse(here, "match()", [f"{node.name!r} takes no positional parameter" for node in nodes if node.signature.first is None])
    taken, problems = _taken(nodes)
    first, *others = nodes
    for one in others:
        alike = one.signature.with_first(first.signature.parameters[0].annotation, one.signature.returns)
        problems += misfits(one.name, alike, first.name, first.signature)
    refuse(here, "match()", problems)
    asked: object = Union[tuple(node.signature.parameters[0].annotation for node in nodes)]  # noqa: UP007  # a value
    returns: object = Union[tuple(node.signature.returns for node in nodes)]  # noqa: UP007  # as above
    signature = in_common([node.signature.with_first(asked, returns) for node in nodes], returns)
    return Node(name="match", signature=signature, shape=MatchShape(named(nodes), tuple(taken)), origin=first.origin)


def _taken(nodes: Sequence[AnyNode]) -> tuple[list[Taken], list[str]]:
    """What each arm takes, and what is wrong with that."""
    found: list[Taken] = []
    problems: list[str] = []
    for node in nodes:
        asked = node.signature.parameters[0].annotation
        try:
            taken = _of(asked)
        except TypeError as error:
            problems.append(f"{node.name!r} takes {show(asked)}, {error}")
            continue
        if found and taken.within(found):
            problems.append(f"{node.name!r} is never reached: the arms before it take every {show(asked)}")
        found.append(taken)
    return found, problems


def _of(type_: object) -> Taken:
    """The values of a type. Raises `TypeError` for one whose values cannot be told by their class."""
    origin = get_origin(type_)
    if origin is Annotated:
        return _of(get_args(type_)[0])
    if isinstance(type_, TypeAliasType) or type(type_).__name__ == "TypeAliasType":
        return _of(cast("TypeAliasType", type_).__value__)
    if origin in (Union, UnionType):
        options = [_of(member) for member in get_args(type_)]
        return Taken(tuple(one for option in options for one in option.classes), tuple(v for o in options for v in o.values))
    if origin is Literal:
        return Taken((), get_args(type_))
    kind = object if type_ is Any else NoneType if type_ is None else origin or type_
    if not inspect.isclass(kind) or is_typeddict(kind) or is_protocol(kind):
        raise TypeError("which is no class, so values cannot be told by it")
    return Taken((kind,))

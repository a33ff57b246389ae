"""`switch`: route by a value."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, ParamSpec, TypeVar, Union, cast, final

from swarmlet.errors import GraphError
from swarmlet.graph.lift import as_node
from swarmlet.graph.node import Node
from swarmlet.graph.shape import Composite, Part
from swarmlet.graph.signature import in_common, misfits
from swarmlet.graph.source import user_line
from swarmlet.graph.types import members, show

if TYPE_CHECKING:
    from swarmlet.graph.draw import Canvas, Ends
    from swarmlet.graph.shape import AnyNode

P = ParamSpec("P")
K = TypeVar("K")
T = TypeVar("T")


@final
@dataclass(frozen=True, slots=True)
class SwitchShape(Composite):
    """A choice, for the engine: execute `key`, then the arm for its value."""

    word: ClassVar[str] = "switch"
    key: AnyNode
    arms: Mapping[object, AnyNode]
    default: AnyNode | None

    def draw(self, canvas: Canvas, label: str) -> Ends:
        """A frame around the key, as a rhomb, and the arms."""
        arms = [(_label(value), arm) for value, arm in self.arms.items()]
        results: list[str] = []
        with canvas.frame(label):
            choice = canvas.box(self.key.name, ("{", "}"))
            for value, arm in [*arms, *([("otherwise", self.default)] if self.default else [])]:
                begin, end = arm.shape.draw(canvas, arm.name)
                canvas.edges([choice], begin, value)
                results += end
        return [choice], results

    def parts(self) -> Iterator[Part]:
        """The key, and the arms, of which one runs."""
        yield Part(f"/{self.key.name}", self.key)
        for arm in [*self.arms.values(), *([self.default] if self.default else [])]:
            yield Part(f"/{arm.name if arm.name != self.key.name else f'{arm.name}~2'}", arm, either=True)


def switch(key: Callable[P, K], arms: Mapping[K, Callable[P, T]], *, default: Callable[P, T] | None = None) -> Node[P, T]:
    """Run the arm for the value that `key` gives. The key and all arms take the same arguments; only one arm runs.

    `key` is a node or a plain function. The values of a `Literal`, an enum or a bool must all have an arm, or a `default`
    must be given; other types need a `default`. Raises `GraphError` for a value without an arm, for an arm whose value can
    never come, and for arms whose arguments do not fit.
    """
    chooser = as_node(key, "switch", "key")
    nodes = {value: as_node(arm, "switch", "arm") for value, arm in arms.items()}
    other = as_node(default, "switch", "default") if default is not None else None
    branches = [*nodes.values(), *([other] if other else [])]
    problems = [*_coverage(chooser, nodes, other), *_signatures(chooser, branches)]
    if problems:
        here = user_line()
        raise GraphError([f"{here}: switch({chooser.name}): {problem}" for problem in problems])
    result: object = Union[tuple(branch.signature.returns for branch in branches)]  # noqa: UP007  # a value, not an annotation
    node: Node[P, T] = Node(
        name="switch",
        signature=in_common([one.signature for one in (*branches, chooser)], result),
        shape=SwitchShape(cast("AnyNode", chooser), cast("Mapping[object, AnyNode]", nodes), cast("AnyNode | None", other)),
        origin=chooser.origin,
        doc=chooser.__doc__,
    )
    return node


def _coverage(chooser: AnyNode, nodes: Mapping[K, AnyNode], other: AnyNode | None) -> list[str]:
    """What is wrong with the set of values."""
    if not nodes:
        return ["it has no arms; route with {value: node, ...}"]
    if kinds := [value.__name__ for value in nodes if isinstance(value, type)]:
        return [f"{', '.join(kinds)}: switch routes by values; to route by the type of a value, match(arm, arm, ...)"]
    given = chooser.signature.returns
    values = members(given)
    if values is None:
        return [] if other else [f"the key gives {show(given)}, whose values cannot all be listed: give a default="]
    known = {(type(value), value) for value in values}
    listed = [(type(value), value) for value in nodes]
    never = [f"the key never gives {value!r}; it gives {show(given)}" for kind, value in listed if (kind, value) not in known]
    missing = [repr(value) for value in values if (type(value), value) not in listed]
    if missing and not other:
        never.append(f"no arm for {', '.join(missing)}: add one, or give a default=")
    return never


def _signatures(chooser: AnyNode, branches: Sequence[AnyNode]) -> list[str]:
    """What keeps the arms, or the key, from taking the same arguments."""
    if not branches:
        return []
    first, *others = branches
    wanted = first.signature
    return [problem for one in (*others, chooser) for problem in misfits(one.name, one.signature, first.name, wanted)]


def _label(value: object) -> str:
    return str(getattr(value, "name", value))

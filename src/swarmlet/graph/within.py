"""`within`: a node under a budget, with what to do when that runs out."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Annotated, ClassVar, Literal, ParamSpec, TypeVar, Union, cast, final, overload

from pydantic import ConfigDict, Field

from swarmlet.graph.arms import Alike, common_signature, refuse
from swarmlet.graph.lift import as_node
from swarmlet.graph.node import Node
from swarmlet.graph.shape import Composite, Part
from swarmlet.graph.signature import Signature
from swarmlet.graph.source import user_line
from swarmlet.policy.budget import Budget

if TYPE_CHECKING:
    from swarmlet.errors import BudgetExceeded
    from swarmlet.graph.draw import Canvas, Ends
    from swarmlet.graph.shape import AnyNode

P = ParamSpec("P")
T = TypeVar("T")
R = TypeVar("R")


@final
@dataclass(frozen=True, slots=True)
class Partial:
    """What stands in the place of a result that its budget did not suffice for, in `within(node, budget)`."""

    kind: str
    """What ran out: `tokens`, `usd`, `requests`, ..."""
    message: str
    """Which budget, and what the call that did not fit would have needed."""
    finished: Mapping[str, object] = field(default_factory=dict[str, object])
    """The results that there are, by the path of the step that made them."""
    error: Annotated[BudgetExceeded | None, Field(exclude=True)] = None
    """The error itself; `None` when this was read back from a journal."""

    __pydantic_config__: ClassVar[ConfigDict] = ConfigDict(arbitrary_types_allowed=True)


@final
@dataclass(frozen=True, slots=True)
class WithinShape(Composite):
    """A node under a budget, for the engine: `body` has the budget set; `other` runs outside of it if that is exhausted."""

    word: ClassVar[str] = "within"
    body: AnyNode
    budget: Budget
    other: AnyNode | None

    def draw(self, canvas: Canvas, label: str) -> Ends:
        """A frame around the node, with the way on when the budget is exhausted."""
        with canvas.frame(f"{label} a budget"):
            begin, end = self.body.shape.draw(canvas, self.body.name)
            other = self.other.shape.draw(canvas, self.other.name) if self.other else None
        if other is None:
            return begin, end
        canvas.turn(end[0], other[0][0], "budget exhausted")
        return begin, [*end, *other[1]]

    def parts(self) -> Iterator[Part]:
        """The node, and what takes its place; both may run."""
        yield Part(f"/{self.body.name}", self.body)
        if self.other is not None:
            yield Part(f"/~{self.other.name}", self.other)


@overload
def within(body: Callable[P, T], budget: Budget, *, on_exhausted: Literal["partial"] = "partial") -> Node[P, T | Partial]: ...


@overload
def within(body: Callable[P, T], budget: Budget, *, on_exhausted: Literal["raise"]) -> Node[P, T]: ...


@overload
def within(body: Callable[P, T], budget: Budget, *, on_exhausted: Alike[P, R]) -> Node[P, T | R]: ...


def within(
    body: Callable[..., object], budget: Budget, *, on_exhausted: Callable[..., object] | str = "partial"
) -> Node[..., object]:
    """Run `body` under a budget, and say what happens when a call can never fit it any more.

    `"partial"`: nothing more is started, what runs may finish, and a `Partial` with all that is finished is the result. A node:
    it is run with the same arguments in place of the body, outside of the budget. `"raise"` fails with `BudgetExceeded`, as
    `body.with_options(budget=)` does. A budget that runs out further out or further in is that one's affair, and so is a
    failure that is handled nearer by: an item of `each(on_error="keep")` that was too dear is kept as `Failed`.
    """
    node = as_node(body, "within", "body")
    other = None if isinstance(on_exhausted, str) else as_node(on_exhausted, "within", "on_exhausted")
    here = user_line()
    wrong = isinstance(on_exhausted, str) and on_exhausted not in ("partial", "raise")
    problems = [f"on_exhausted= is 'partial', 'raise' or a node, not {on_exhausted!r}"] if wrong else []
    if not isinstance(cast("object", budget), Budget):
        problems.append(f"it takes a Budget, such as Budget(usd='0.02'), not {budget!r}")
    if node.options.budget is not None:
        problems.append("it has a budget of its own, which this one would replace: put it into a @graph, so that both hold")
    refuse(here, f"within({node.name})", problems)
    bounded = node.with_options(budget=budget)
    if on_exhausted == "raise":
        return bounded
    signature = _signature(node, other, here)
    return Node(
        name="within",
        signature=signature,
        shape=WithinShape(cast("AnyNode", bounded), budget, cast("AnyNode | None", other)),
        origin=node.origin,
        doc=node.__doc__,
    )


def _signature(node: Node[..., object], other: Node[..., object] | None, here: str) -> Signature:
    if other is None:
        returns: object = Union[node.signature.returns, Partial]  # noqa: UP007  # a value, not an annotation
        return Signature(node.signature.parameters, returns)
    signature, problems = common_signature([cast("AnyNode", node), cast("AnyNode", other)])
    refuse(here, f"within({node.name})", problems)
    return signature

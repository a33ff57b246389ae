"""`each`: map a node over a list."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import (
    TYPE_CHECKING,
    Annotated,
    Any,
    ClassVar,
    Concatenate,
    Literal,
    ParamSpec,
    TypeAlias,
    TypeVar,
    Union,
    cast,
    final,
    overload,
)

from pydantic import ConfigDict, Field

from swarmlet.errors import GraphError
from swarmlet.graph.lift import as_node
from swarmlet.graph.node import Node, is_count
from swarmlet.graph.source import user_line

if TYPE_CHECKING:
    from swarmlet.graph.draw import Canvas, Ends
    from swarmlet.graph.shape import AnyNode

P = ParamSpec("P")
A = TypeVar("A")
B = TypeVar("B")
OnError: TypeAlias = Literal["raise", "keep", "skip"]


@final
@dataclass(frozen=True, slots=True)
class Failed:
    """What stands in the place of a result that could not be made, in `each(..., on_error="keep")`."""

    path: str
    """The step that failed."""
    type: str
    """Name of the class of its exception."""
    message: str
    """The exception's text."""
    error: Annotated[Exception | None, Field(exclude=True)] = None
    """The exception itself; `None` when this was read back from a journal."""

    __pydantic_config__: ClassVar[ConfigDict] = ConfigDict(arbitrary_types_allowed=True)


@final
@dataclass(frozen=True, slots=True)
class EachShape:
    """A map, for the engine: execute `body` for each item, `concurrency` of them at once."""

    word: ClassVar[str] = "each"
    body: AnyNode
    concurrency: int | None
    on_error: OnError

    def draw(self, canvas: Canvas, label: str) -> Ends:
        """A frame around the mapped node."""
        bound = f", {self.concurrency} at once" if self.concurrency else ""
        with canvas.frame(f"each {label}{bound}"):
            return self.body.shape.draw(canvas, self.body.name)


@overload
def each(
    body: Callable[Concatenate[A, P], B],
    *,
    concurrency: int | None = None,
    on_error: Literal["raise", "skip"] = "raise",
) -> Node[Concatenate[Sequence[A], P], list[B]]: ...


@overload
def each(
    body: Callable[Concatenate[A, P], B], *, concurrency: int | None = None, on_error: Literal["keep"]
) -> Node[Concatenate[Sequence[A], P], list[B | Failed]]: ...


def each(
    body: Callable[Concatenate[A, P], B], *, concurrency: int | None = None, on_error: OnError = "raise"
) -> Node[Concatenate[Sequence[A], P], list[B]] | Node[Concatenate[Sequence[A], P], list[B | Failed]]:
    """Map `body` over a list: all items at once, or at most `concurrency` of them; results in the order of the items.

    Further arguments are the same for each item. An empty list gives an empty list. When an item fails, `"raise"` stops
    the others and fails; `"keep"` puts a `Failed` in its place, and what the others paid for is kept; `"skip"` leaves it
    out. Item i has the path `name[i]`.
    """
    node = as_node(body, "each", "body")
    first = node.signature.first
    here = f"{user_line()}: each({node.name}"
    if first is None:
        raise GraphError(f"{here}): {node.name!r} takes no positional parameter that an item could go to")
    if concurrency is not None and not is_count(concurrency):
        raise GraphError(f"{here}, concurrency=) must be a whole number of at least 1, not {concurrency!r}")
    if on_error not in ("raise", "keep", "skip"):
        raise GraphError(f"{here}, on_error=) is 'raise', 'keep' or 'skip', not {on_error!r}")
    result = node.signature.returns
    given = Union[result, Failed] if on_error == "keep" else result  # noqa: UP007  # a value, not an annotation
    items, returns = cast("Any", Sequence)[first.annotation], cast("Any", list)[given]  # Any: types made at run time
    return Node(
        name=node.name,
        signature=node.signature.with_first(items, returns),
        shape=EachShape(node, concurrency, on_error),
        origin=node.origin,
        doc=node.__doc__,
    )

"""`each`: map a node over a list."""

from __future__ import annotations

from collections.abc import AsyncIterable, Callable, Iterator, Sequence
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

from swarmlet.errors import BudgetExceeded
from swarmlet.graph.arms import count_problems, refuse
from swarmlet.graph.effects import acts
from swarmlet.graph.lift import as_node
from swarmlet.graph.node import Node
from swarmlet.graph.shape import Composite, Part
from swarmlet.graph.source import user_line
from swarmlet.policy.checks import is_count, no_kinds

if TYPE_CHECKING:
    from swarmlet.graph.draw import Canvas, Ends
    from swarmlet.graph.shape import AnyNode

P = ParamSpec("P")
A = TypeVar("A")
B = TypeVar("B")
OnError: TypeAlias = Literal["raise", "keep", "skip"]
Kinds: TypeAlias = type[Exception] | tuple[type[Exception], ...]


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
class EachShape(Composite):
    """A map, for the engine: execute `body` for each item, `concurrency` of them at once."""

    word: ClassVar[str] = "each"
    body: AnyNode
    concurrency: int | None
    on_error: OnError
    at_least: int | None = None
    enough: int | None = None
    warm: bool = False
    on: Kinds | None = None
    """The failures that are kept or skipped; all of them if it is `None`."""

    @property
    def outlives_budgets(self) -> bool:
        """Whether an item over which a budget runs out is kept or skipped."""
        return self.on_error != "raise" and (self.on is None or issubclass(BudgetExceeded, self.on))

    @property
    def ends_early(self) -> bool:
        """Whether it is done when some items are."""
        return self.enough is not None

    @property
    def grows(self) -> bool:
        """Whether nothing is lost but what it costs if `body` is run for an item that turns out not to be in the list."""
        return self.enough is None and not acts(self.body)

    def parts(self) -> Iterator[Part]:
        """The mapped node, once for each item."""
        yield Part("[i]", self.body, None)

    def draw(self, canvas: Canvas, label: str) -> Ends:
        """A frame around the mapped node."""
        bound = f", {self.concurrency} at once" if self.concurrency else ""
        warm = ", the first alone" if self.warm else ""
        with canvas.frame(f"each {label}{bound}{warm}"):
            return self.body.shape.draw(canvas, self.body.name)


@overload
def each(
    body: Callable[Concatenate[A, P], B],
    *,
    concurrency: int | None = None,
    on_error: Literal["raise"] = "raise",
    enough: int | None = None,
    warm: bool = False,
) -> Node[Concatenate[Sequence[A] | AsyncIterable[A], P], list[B]]: ...


@overload
def each(
    body: Callable[Concatenate[A, P], B],
    *,
    concurrency: int | None = None,
    on_error: Literal["skip"],
    on: Kinds | None = None,
    at_least: int | None = None,
    enough: int | None = None,
    warm: bool = False,
) -> Node[Concatenate[Sequence[A] | AsyncIterable[A], P], list[B]]: ...


@overload
def each(
    body: Callable[Concatenate[A, P], B],
    *,
    concurrency: int | None = None,
    on_error: Literal["keep"],
    on: Kinds | None = None,
    at_least: int | None = None,
    warm: bool = False,
) -> Node[Concatenate[Sequence[A] | AsyncIterable[A], P], list[B | Failed]]: ...


def each(
    body: Callable[Concatenate[A, P], B],
    *,
    concurrency: int | None = None,
    on_error: OnError = "raise",
    on: Kinds | None = None,
    at_least: int | None = None,
    enough: int | None = None,
    warm: bool = False,
) -> (
    Node[Concatenate[Sequence[A] | AsyncIterable[A], P], list[B]]
    | Node[Concatenate[Sequence[A] | AsyncIterable[A], P], list[B | Failed]]
):
    """Map `body` over a list: all items at once, or at most `concurrency` of them; results in the order of the items.

    Further arguments are the same for each item. An empty list gives an empty list. The items of an async iterable start as
    they arrive, and are asked for only as fast as `concurrency` allows. Item i has the path `name[i]`, from 0.

    When an item fails, `on_error="raise"` stops the others and fails; `"keep"` puts a `Failed` in its place, and what the
    others paid for is kept; `"skip"` leaves it out. `on` names the failures that are kept or skipped, such as
    `(BudgetExceeded, ReplyTruncated)`: what failed, or what caused that, is one of them; any other stops the others and fails
    the map, as a wrong key would fail every item. With `at_least`, keeping and skipping have a bound: the map fails as soon
    as fewer items than that can succeed, with one `StepFailed` that has all causes. With `enough`, the map is done as soon as
    so many items have succeeded: the others are cancelled and left out.

    With `warm`, the first item runs alone, and the others start when it has finished or failed: what it has sent to a model is
    then in the provider's cache, and items that begin with the same long text pay less for it.
    """
    node = as_node(body, "each", "body")
    first = node.signature.first
    problems = list(count_problems(concurrency=concurrency, at_least=at_least, enough=enough))
    if first is None:
        problems.append(f"{node.name!r} takes no positional parameter that an item could go to")
    if on_error not in ("raise", "keep", "skip"):
        problems.append(f"on_error= is 'raise', 'keep' or 'skip', not {on_error!r}")
    if not isinstance(cast("object", warm), bool):
        problems.append(f"warm= is True or False, not {warm!r}")
    if on is not None and (wrong := no_kinds(on)):
        problems.append(f"on= {wrong}, not {on!r}")
    problems += _contradictions(on_error, on, at_least, enough)
    refuse(user_line(), f"each({node.name})", problems)
    item = node.signature.parameters[0].annotation
    result = node.signature.returns
    given = Union[result, Failed] if on_error == "keep" else result  # noqa: UP007  # a value, not an annotation
    sources = cast("Any", Sequence)[item], cast("Any", AsyncIterable)[item]  # Any: types made at run time
    return Node(
        name=node.name,
        signature=node.signature.with_first(Union[sources], cast("Any", list)[given]),  # noqa: UP007  # as above
        shape=EachShape(node, concurrency, on_error, at_least, enough, warm, on),
        origin=node.origin,
        doc=node.__doc__,
    )


def _contradictions(on_error: OnError, on: object, at_least: int | None, enough: int | None) -> Iterator[str]:
    if on is not None and on_error == "raise":
        yield "on= cannot apply: it names what on_error='keep' or 'skip' is for, and with 'raise' every failure fails the map"
    if at_least is not None and on_error == "raise":
        yield "at_least= cannot apply: with on_error='raise' every item must succeed; choose 'keep' or 'skip'"
    if enough is not None and on_error == "keep":
        yield "enough= cannot apply with on_error='keep': the items that are cancelled would have no place in the list"
    if is_count(enough) and is_count(at_least) and cast("int", at_least) > cast("int", enough):
        yield f"at_least={at_least} cannot be reached, as it is done with enough={enough}"

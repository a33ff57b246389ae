"""`@node` and `@graph`: how functions and classes become nodes."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Coroutine
from functools import partial
from typing import Any, ParamSpec, TypeVar, cast, overload

from swarmlet.errors import GraphError
from swarmlet.graph.building import Broken, remember
from swarmlet.graph.node import Node, step_name
from swarmlet.graph.plan import GraphShape
from swarmlet.graph.shape import Leaf
from swarmlet.graph.signature import describe, signature_of
from swarmlet.graph.source import definition_line, user_line
from swarmlet.graph.wiring import compile_graph

P = ParamSpec("P")
T = TypeVar("T")


class _Lift:
    """The decorator that `@node(...)` with options gives."""

    def __init__(self, name: str | None, thread: bool) -> None:
        self._name = name
        self._thread = thread

    @overload
    def __call__(self, function: Callable[P, Coroutine[Any, Any, T]], /) -> Node[P, T]: ...

    @overload
    def __call__(self, function: Callable[P, T], /) -> Node[P, T]: ...

    def __call__(self, function: Callable[..., object], /) -> Node[..., Any]:  # Any: as the function has it
        return _lift(function, self._name, self._thread)


@overload
def node(
    function: Callable[P, Coroutine[Any, Any, T]], /, *, name: str | None = None
) -> Node[P, T]: ...  # Any: what a coroutine sends is unused


@overload
def node(function: Callable[P, T], /, *, name: str | None = None, thread: bool = False) -> Node[P, T]: ...


@overload
def node(*, name: str | None = None, thread: bool = False) -> _Lift: ...


def node(
    function: Callable[..., object] | None = None, /, *, name: str | None = None, thread: bool = False
) -> Node[..., Any] | _Lift:  # Any: see the overloads
    """Make a node of a function (async or sync) or of a class, such as a pydantic model.

    A sync function runs inline, on the event loop: it is glue. One that computes or blocks for longer than 50 ms is
    reported; `@node(thread=True)` moves it to a worker thread. `name` is how its steps are called in paths, instead of the
    function's name. Raises `GraphError` for hints that cannot be resolved.
    """
    if function is None:
        return _Lift(name, thread)
    return _lift(function, name, thread)


def _lift(function: Callable[..., object], name: str | None, thread: bool) -> Node[..., Any]:  # Any: as the function has it
    if isinstance(function, Node):
        raise GraphError(f"{user_line()}: {cast('Node[..., Any]', function).name!r} is a node already")
    if not callable(function):
        raise GraphError(f"{user_line()}: @node takes a function or a class, not {function!r}")
    _refuse_method(function)
    is_async = _either(function, inspect.iscoroutinefunction)
    if is_async and thread:
        raise GraphError(f"{user_line()}: {describe(function)} is async: thread=True is for sync functions that block")
    if _either(function, inspect.isasyncgenfunction) or _either(function, inspect.isgeneratorfunction):
        raise GraphError(f"{user_line()}: {describe(function)} is a generator; a node returns one value: return a list")
    return Node(
        name=step_name(_name_of(function) if name is None else name),
        signature=signature_of(function),
        shape=Leaf(function, is_async, thread),
        origin=origin_of(function),
        doc=inspect.getdoc(function),
        named=name is not None,
    )


def _refuse_method(function: Callable[..., object]) -> None:
    if inspect.isfunction(function):
        first = next(iter(inspect.signature(function).parameters.values()), None)
        if first is not None and first.name in ("self", "cls") and first.annotation is first.empty:
            raise GraphError(
                f"{definition_line(function)}: {describe(function)} is a method, and nodes are not bound to objects; "
                "write a function, or lift the method of an object, `node(thing.method)`"
            )


def _either(function: Callable[..., object], is_kind: Callable[[object], bool]) -> bool:
    """Whether the function, or what an object is called by, is of this kind. Calling a class makes an instance."""
    by = None if inspect.isclass(function) else getattr(function, "__call__", None)  # noqa: B004  # its kind is asked
    return is_kind(function) or is_kind(by)


def graph(body: Callable[P, T], /) -> Node[P, T]:
    """Make a graph of a wiring function: its body runs once, now, on refs, and each node it calls becomes a step.

    Raises `GraphError` that lists everything that is wrong with the wiring, before any model call.
    """
    try:
        return _graph(body)
    except GraphError as error:
        if not remember(error):
            raise
        return _stand_in(body, error)


def _graph(body: Callable[P, T]) -> Node[P, T]:
    if inspect.iscoroutinefunction(body):
        raise GraphError(f"{definition_line(body)}: @graph {describe(body)} must be a plain function: wiring needs no await")
    if inspect.isgeneratorfunction(body) or inspect.isasyncgenfunction(body):
        raise GraphError(f"{definition_line(body)}: @graph {describe(body)} is a generator; a graph returns one value")
    _refuse_method(body)
    signature = signature_of(body)
    name = step_name(_name_of(body))
    return Node(
        name=name,
        signature=signature,
        shape=GraphShape(compile_graph(name, signature, body)),
        origin=origin_of(body),
        doc=inspect.getdoc(body),
    )


def _stand_in(body: Callable[P, T], error: GraphError) -> Node[P, T]:
    """A node of the graph's signature, so that what uses a broken graph can be checked too. It cannot run."""
    try:
        signature = signature_of(body)
    except GraphError:
        signature = signature_of(_anything)
    broken = Leaf(Broken(error), is_async=True)
    return Node(name=step_name(_name_of(body)), signature=signature, shape=broken, origin=origin_of(body))


def _anything(*args: Any, **kwargs: Any) -> Any:  # Any: whatever a graph whose hints cannot be resolved takes
    raise NotImplementedError


def as_node(function: Callable[P, T], combinator: str, role: str) -> Node[P, T]:
    """The node that `function` is, or a lifted plain function: combinators take both. A lambda is named for its role."""
    if isinstance(function, Node):
        return cast("Node[P, T]", function)
    if not callable(function):
        raise GraphError(f"{user_line()}: {combinator}({role}=) must be a node or a function, not {function!r}")
    lifted = _lift(function, role if _name_of(function) == "<lambda>" else None, False)
    return cast("Node[P, T]", lifted)


def origin_of(function: object) -> str:
    """`module:qualified.name`, by which another process can import the definition."""
    return f"{getattr(function, '__module__', '?')}:{getattr(function, '__qualname__', type(function).__qualname__)}"


def _name_of(function: object) -> str:
    if isinstance(function, partial):
        return _name_of(cast("partial[object]", function).func)
    return str(getattr(function, "__name__", None) or type(function).__name__)

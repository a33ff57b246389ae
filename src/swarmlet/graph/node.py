"""`Node`: a definition, a typed function from values to a value.

Everything that can be run or wired is a node: a lifted function, an agent, a graph, a combinator. What tells them apart
for the engine is their `shape`; there are few, and the engine has one case for each. A `Leaf` is an opaque callable,
so the engine never hears of models. Nodes never change: `with_options` gives a new one.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Generic, ParamSpec, Protocol, TypeVar, cast
from weakref import WeakKeyDictionary

from swarmlet.errors import GraphError
from swarmlet.graph.building import wire
from swarmlet.graph.draw import mermaid
from swarmlet.graph.signature import misfits, stricter
from swarmlet.graph.source import user_line
from swarmlet.graph.types import fits, show, without_sources
from swarmlet.policy.options import Options
from swarmlet.policy.resources import Resources
from swarmlet.trace.encode import encoder

if TYPE_CHECKING:
    from datetime import datetime
    from typing import Self

    from swarmlet.graph.plan import Plan
    from swarmlet.graph.shape import AnyNode, Shape
    from swarmlet.graph.signature import Signature
    from swarmlet.policy.budget import Budget
    from swarmlet.policy.resources import Kind
    from swarmlet.policy.retry import Retry
    from swarmlet.trace.encode import Encoder

P = ParamSpec("P")
T_co = TypeVar("T_co", covariant=True)


class Node(Generic[P, T_co]):
    """A typed function from values to a value, as a definition.

    Inside a `@graph` body, calling a node records a step and gives a ref that stands for its result; for type checkers
    the call has the node's own signature. Outside, run it: `await run(node, ...)`.
    """

    name: str
    """How its steps are called in paths."""
    named: bool
    """Whether the name was given, and is not just the function's."""
    signature: Signature
    shape: Shape
    """What it is made of."""
    origin: str
    """Where it is defined: `module:qualified.name`."""
    options: Options
    """What was set on this node; see `with_options`."""
    _encoders: tuple[Mapping[str, Encoder], Encoder]

    def __init__(
        self,
        *,
        name: str,
        signature: Signature,
        shape: Shape,
        origin: str,
        doc: str | None = None,
        options: Options | None = None,
        named: bool = False,
    ) -> None:
        vars(self).update(
            name=name,
            named=named,
            signature=signature,
            shape=shape,
            origin=origin,
            options=options or Options(),
            _encoders=(
                {p.name: encoder(without_sources(p.annotation)) for p in signature.parameters},
                encoder(signature.returns),
            ),
            __doc__=doc,
        )

    @property
    def encode_inputs(self) -> Mapping[str, Encoder]:
        """Writes its arguments, by parameter."""
        return self._encoders[0]

    @property
    def encode_output(self) -> Encoder:
        """Writes its result."""
        return self._encoders[1]

    def __setattr__(self, name: str, value: object) -> None:
        raise AttributeError(f"nodes never change: {self.name}.with_options(...) gives a new one")

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> T_co:
        """Record a step in the graph that is being built. Raises `WiringError` where none is."""
        result: T_co = wire(self, args, kwargs)
        return result

    def with_options(
        self,
        *,
        name: str | None = None,
        model: str | None = None,
        retry: Retry | None = None,
        timeout: float | None = None,
        deadline: datetime | None = None,
        reserve: float | Budget | None = None,
        budget: Budget | None = None,
        concurrency: int | None = None,
        cache: bool | None = None,
        priority: int | None = None,
        queue: str | None = None,
        # A node of more general result takes more general fallbacks, and gives itself as such: sound, as nodes never change.
        fallback: Fallback[P, T_co] | None = None,
        fallback_on: type[Exception] | tuple[type[Exception], ...] | None = None,
        resources: Mapping[Kind, object] | None = None,
    ) -> Self:
        """A node like this one with options that apply to everything under it; see `Options`.

        `name` is how its steps are called in paths, instead of the function's name. `fallback` is a node of the same
        arguments that is run if this one fails, after all its retries; its path is `name/~` and its own name, and it runs under
        the options around this node, not under its own. With `fallback_on` it is run after some failures only, such as
        `(ReplyTruncated, BudgetExceeded)`: what failed, or what caused that, is one of them. `queue` names the workers that
        execute the node, where the swarm has workers. `resources` are what `current().get(type)` gives in this node and under
        it, in the tools of agents too: values by type, before those of the nodes around it and of the swarm. They are not
        recorded, so whoever resumes the run hands them in again. Raises `GraphError` for an option that cannot apply to this
        node.
        """
        other = as_fallback(self, fallback) if fallback is not None else None
        given = Options(
            model=model,
            retry=retry,
            timeout=timeout,
            deadline=deadline,
            reserve=reserve,
            budget=budget,
            concurrency=concurrency,
            cache=cache,
            priority=priority,
            queue=queue,
            fallback=other,
            fallback_on=fallback_on,
            resources=Resources.of(resources) if resources is not None else None,
        )
        options = self.options.update(given)
        problems = list(self.shape.refuses(options))
        if options.fallback_on is not None and options.fallback is None:
            problems.append("fallback_on= says when a fallback is run, and there is none: set fallback= too")
        if problems:
            raise GraphError([f"{user_line()}: {self.name}.with_options: {problem}" for problem in problems])
        changed = copy.copy(self)
        vars(changed)["options"] = options
        if name is not None:
            vars(changed).update(name=step_name(name), named=True)
        return changed

    @property
    def plan(self) -> Plan:
        """What a run of this node may do, before it: print it. For a graph it is the frozen table of its steps.

        A node that is no graph has the plan of a graph that does nothing else. `plan.calls` bounds the number of model calls.
        """
        from swarmlet.graph.plan import plan_of

        return plan_of(cast("AnyNode", self))

    def to_mermaid(self) -> str:
        """The node as a Mermaid flowchart."""
        return mermaid(self.shape, self.name)

    def _repr_mimebundle_(self, **_: object) -> dict[str, str]:
        return {"text/vnd.mermaid": self.to_mermaid(), "text/plain": repr(self)}

    def __repr__(self) -> str:
        takes = ", ".join(f"{p.name}: {show(p.annotation)}" for p in self.signature.parameters)
        return f"<{type(self).__name__} {self.name}({takes}) -> {show(self.signature.returns)}>"


class Fallback(Protocol[P, T_co]):
    """What type checkers see of a fallback: more than a callable, so that they flag functions that are no nodes.

    It is no `Node[P, T]`, as ty and pyright take its parameter list as invariant.
    """

    name: str

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> T_co:
        """As of a node."""
        ...


def as_fallback(node: AnyNode, fallback: object) -> AnyNode:
    """The node that stands in for `node`. Raises `GraphError` if it cannot be called like it."""
    here = f"{user_line()}: {node.name}.with_options(fallback=)"
    if not isinstance(fallback, Node):
        raise GraphError(f"{here} is a node of the same arguments, not {fallback!r}; make one with @node")
    other = cast("AnyNode", fallback)
    pair = other.name, other.signature, node.name, node.signature
    if problems := [*misfits(*pair), *stricter(*pair)]:
        raise GraphError([f"{here}: {problem}" for problem in problems])
    if not fits(other.signature.returns, node.signature.returns):
        gives = f"{other.name!r} gives {show(other.signature.returns)}"
        raise GraphError(f"{here}: {gives}, but {node.name!r} gives {show(node.signature.returns)}")
    return other


_WITHOUT: WeakKeyDictionary[AnyNode, AnyNode] = WeakKeyDictionary()


def without_resources(node: AnyNode) -> AnyNode:
    """The same node for what is kept of a run, which must not hold what its caller has given it."""
    if not isinstance(cast("object", node), Node):
        return node  # the run is refused before it begins
    options = node.options
    fallback = cast("AnyNode | None", options.fallback)
    other = without_resources(fallback) if fallback is not None else None
    if options.resources is None and other is fallback:
        return node
    found = _WITHOUT.get(node)
    if found is None:
        found = _WITHOUT[node] = copy.copy(node)
        vars(found)["options"] = replace(options, resources=None, fallback=other)
    return found


def step_name(name: str) -> str:
    """`name`, if paths can carry it. Raises `GraphError` otherwise."""
    if not name or any(character in "/[]~" or character.isspace() for character in name):
        raise GraphError(f"a node cannot be named {name!r}: names go into paths, without spaces and / [ ] ~")
    return name


def check_call(doing: str, node: object, args: Sequence[object], kwargs: Mapping[str, object]) -> None:
    """Raise `GraphError` unless `node` is a node that can be called like this."""
    if not isinstance(node, Node):
        raise GraphError(f"{doing}() takes a node, not {node!r}; make a node of a function with @node")
    plain = cast("Node[..., object]", node)
    try:
        plain.signature.bind(tuple(args), kwargs)
    except TypeError as error:
        raise GraphError(f"{doing}({plain.name}): {error}; it is {plain!r}") from None

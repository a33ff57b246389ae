"""What crosses to another process: JSON through the types of a node's signature, and the node by its import path.

No pickle and no closures: whoever can write into a queue must not be able to run code of his own on its workers. So a node is
named, `package.module:name`, and a worker imports it only from the packages that it was started for. Values are written as the
journal writes them, and refused at once if they could not be read back as they were. Dependencies never cross: they are
resources, which each worker opens itself, and secrets stay in its environment.

`portable(node)` tells early whether a node can cross; a `Parcel` is one execution of it on its way.
"""

from __future__ import annotations

import inspect
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from datetime import UTC, datetime
from decimal import Decimal
from functools import cache
from importlib import import_module
from typing import TYPE_CHECKING, Any, cast, get_origin

from pydantic import TypeAdapter, ValidationError
from pydantic.errors import PydanticUserError
from pydantic_core import SchemaError

from swarmlet.engine.restore import NOTHING, restored, type_note, vague
from swarmlet.errors import GraphError, SwarmletError
from swarmlet.graph.node import Node
from swarmlet.graph.types import show, without_sources
from swarmlet.policy.budget import Budget
from swarmlet.policy.options import Options
from swarmlet.trace.encode import Losses
from swarmlet.trace.events import RunId

if TYPE_CHECKING:
    from swarmlet.graph.shape import AnyNode
    from swarmlet.policy.resources import Resources
    from swarmlet.trace.encode import Encoder

_NO_SCHEMA = (PydanticUserError, SchemaError)
_SCRIPTS = ("__main__", "__mp_main__")
_ONCE = "an iterator can be gone through only once, and not by another process: take a list"


# Whether a node can cross


def portable(node: AnyNode) -> str:
    """The import path of `node`, if another process can run it. Raises `GraphError` that lists all that is in the way."""
    places = list(_places(node))
    problems = list(_closed_types(node)) if places else [*_unreachable(node), *_closed_types(node)]
    if problems:
        raise GraphError([f"{node.name!r} cannot be run by another process: {problem}" for problem in problems])
    return places[0]


def _places(node: AnyNode) -> Iterator[str]:
    """Where the node can be imported, the best place first: under its own name, or another one in its function's module.

    A variant with other options is the same node, as far as what differs can cross; best is the place from which least differs.
    """
    module, _, name = node.origin.partition(":")
    names = [name, *vars(sys.modules.get(module, object))]
    found = {path: there for one in names if (there := _node_at(path := f"{module}:{one}")) and there.shape is node.shape}
    if module not in _SCRIPTS:
        by_difference = {
            path: (there is not node, len(_stuck(node, there)), len(_changed(node, there))) for path, there in found.items()
        }
        yield from sorted(found, key=by_difference.__getitem__)


def _node_at(path: str) -> AnyNode | None:
    try:
        found = _object_at(path)
    except (ImportError, AttributeError, ValueError):
        return None
    return cast("AnyNode", found) if isinstance(found, Node) else None


def _unreachable(node: AnyNode) -> Iterator[str]:
    module, _, name = node.origin.partition(":")
    made = f"it is a {node.shape.word}(...), which has no name in the module {module!r}; name it there, or in a @graph"
    if module in _SCRIPTS:
        yield "it is defined in the script that runs (`__main__`), which no other process can import; move it into a module"
    elif "<lambda>" in name:
        yield "it is made of a lambda, which has no name to import it by; write `def` in a module"
    elif "<locals>" in name:
        inside = name.partition(".<locals>")[0]
        yield f"it is defined inside the function {inside!r}, where no other process can find it; move it to the module"
    elif (there := _node_at(node.origin)) is not None:
        yield made if node.shape.word else f"its import path {node.origin!r} leads to another node, {there.name!r}"
    else:
        yield f"its import path {node.origin!r} does not lead to it; write `@node def ...`, or give it a name in that module"


def _closed_types(node: AnyNode) -> Iterator[str]:
    named = {f"{p.name}=": without_sources(p.annotation) for p in node.signature.parameters}
    for where, type_ in {**named, "its result": node.signature.returns}.items():
        if why := _cannot_cross(type_):
            yield f"{where} is {show(type_)}, which cannot cross: {why}"


def _cannot_cross(type_: object) -> str:
    if type_ is Any or type_ is object:  # each value will tell
        return ""
    kind = get_origin(type_) or type_
    if isinstance(kind, type) and (hasattr(kind, "__next__") or hasattr(kind, "__aiter__")):
        return _ONCE
    try:
        TypeAdapter(cast("Any", type_)).json_schema()  # Any: known at run time only
    except _NO_SCHEMA as error:
        return str(error).partition("\n")[0]
    return ""


def _object_at(path: str) -> object:
    module, colon, name = path.partition(":")
    if not colon:
        raise ValueError("it has no colon")
    found: object = import_module(module)
    for part in name.split("."):
        found = getattr(found, part)
    return found


def load_node(path: str, allowed: Sequence[str]) -> AnyNode:
    """The node at an import path, which came as data: nothing is imported but from the `allowed` modules and packages.

    Raises `SwarmletError` for a path outside of them, and for one that leads to no node.
    """
    module, _, name = path.partition(":")
    if not any(module == one or module.startswith(f"{one}.") for one in allowed):
        raise SwarmletError(
            f"this worker does not run {path!r}: it was started for {', '.join(map(repr, allowed)) or 'nothing'}"
        )
    if any(part.startswith("_") and part.endswith("_") for part in name.split(".")):
        raise SwarmletError(f"{path!r} is not the import path of a node")
    try:
        found = _object_at(path)
    except (ImportError, AttributeError, ValueError) as error:
        raise SwarmletError(
            f"this worker cannot import {path!r}: {error}; does it have the same code as the caller?"
        ) from error
    if not isinstance(found, Node):
        raise SwarmletError(f"{path!r} is a {type(found).__name__} and no node, so this worker does not run it")
    return cast("AnyNode", found)


# Values


@dataclass(frozen=True, slots=True)
class Written:
    """A value as JSON, with its class where that is not the declared one."""

    text: str
    type: str = ""


def write(what: str, value: object, declared: object, encode: Encoder) -> Written:
    """`value` as it crosses. Raises `GraphError` if it could not be read back as it is."""
    before = Losses.count
    content, note = encode(value), type_note(value, declared)
    back = NOTHING if Losses.count != before else restored(content, declared, note, encode)
    if back is NOTHING or (vague(declared) and back != value):
        given = type(value).__qualname__
        raise GraphError(
            f"{what} cannot cross to another process: a {given} for {show(declared)} cannot be read back from its JSON; "
            "declare its type, and make it of what pydantic can write and read"
        )
    return Written(content.decode(), note)


def read(what: str, written: Written, declared: object, encode: Encoder) -> object:
    """The value. Raises `SwarmletError` if it is not one of the declared type."""
    value = restored(written.text.encode(), declared, written.type, encode)
    if value is NOTHING:
        raise SwarmletError(f"{what} is no {show(declared)}; do both processes have the same code?")
    return value


@dataclass(frozen=True, slots=True)
class Arguments:
    """The arguments of one call, by position and by keyword."""

    args: tuple[Written, ...] = ()
    kwargs: dict[str, Written] = field(default_factory=dict[str, Written])

    @classmethod
    def of(cls, node: AnyNode, args: Sequence[object], kwargs: Mapping[str, object]) -> Arguments:
        """Write the arguments. Raises `GraphError` for one that cannot cross."""
        places = zip(_by_position(node, len(args)), args, strict=False)
        return cls(
            tuple(_write(node, parameter, value) for parameter, value in places),
            {name: _write(node, _by_name(node, name), value) for name, value in kwargs.items()},
        )

    def values(self, node: AnyNode) -> tuple[tuple[object, ...], dict[str, object]]:
        """Read them again. Raises `SwarmletError` for those that the node does not take."""
        try:
            node.signature.bind(tuple(self.args), self.kwargs)
        except TypeError as error:
            raise SwarmletError(
                f"{node.name!r} is not called like this here ({error}); do both processes have the same code?"
            ) from None
        places = zip(_by_position(node, len(self.args)), self.args, strict=False)
        return (
            tuple(_read(node, parameter, written) for parameter, written in places),
            {name: _read(node, _by_name(node, name), written) for name, written in self.kwargs.items()},
        )


def _by_position(node: AnyNode, count: int) -> list[inspect.Parameter]:
    parameters = list(node.signature.parameters)
    rest = next((p for p in parameters if p.kind is p.VAR_POSITIONAL), None)
    if rest is not None:
        return [*parameters[: parameters.index(rest)], *[rest] * count][:count]
    return parameters[:count]


def _by_name(node: AnyNode, name: str) -> inspect.Parameter:
    known = node.signature.parameters_by_name
    rest = next((p for p in node.signature.parameters if p.kind is p.VAR_KEYWORD), None)
    return known[name] if name in known and (rest is None or name != rest.name) else cast("inspect.Parameter", rest)


def _write(node: AnyNode, parameter: inspect.Parameter, value: object) -> Written:
    what = f"{node.name}({parameter.name}=)"
    return write(what, value, without_sources(parameter.annotation), node.encode_inputs[parameter.name])


def _read(node: AnyNode, parameter: inspect.Parameter, written: Written) -> object:
    what = f"{node.name}({parameter.name}=)"
    return read(what, written, without_sources(parameter.annotation), node.encode_inputs[parameter.name])


# Options


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """The options in force that go along. What is not set here is as the worker's own definition of the node has it."""

    name: str | None = None
    model: str | None = None
    priority: int | None = None
    cache: bool | None = None
    timeout: float | None = None
    concurrency: int | None = None
    deadline: float | None = None
    """When it must be done, in seconds since 1970 (UTC)."""
    tokens: int | None = None
    input_tokens: int | None = None
    output_tokens: int | None = None
    requests: int | None = None
    usd: Decimal | None = None
    seconds: float | None = None

    @property
    def budget(self) -> Budget | None:
        """What it may spend."""
        limits = {
            "tokens": self.tokens,
            "input_tokens": self.input_tokens,
            "output_tokens": self.output_tokens,
            "requests": self.requests,
            "usd": self.usd,
            "seconds": self.seconds,
        }
        given: dict[str, Any] = {
            name: limit for name, limit in limits.items() if limit is not None
        }  # Any: as Budget takes them
        return Budget(**given) if given else None

    def apply(self, node: AnyNode) -> AnyNode:
        """The node under these options. It has no queue any more, as it has arrived."""
        given = Options(
            model=self.model,
            priority=self.priority,
            cache=self.cache,
            timeout=self.timeout,
            concurrency=self.concurrency,
            deadline=datetime.fromtimestamp(self.deadline, UTC) if self.deadline is not None else None,
            budget=self.budget,
        )
        changed = cast("Node[..., object]", node).with_options(name=self.name)
        vars(changed)["options"] = replace(node.options.update(given), queue=None)
        return cast("AnyNode", changed)


def limits_of(budget: Budget | None) -> dict[str, Any]:  # Any: by kind, whole numbers, decimals and seconds
    """The limits of a budget as `Terms` have them."""
    if budget is None:
        return {}
    limits: dict[str, Any] = {str(kind): limit for kind, limit in budget.limits.items()}  # Any: as above
    return {**limits, **({"seconds": budget.seconds} if budget.seconds is not None else {})}


def check_resources(node: AnyNode, path: str, given: Resources | None) -> None:
    """Raise `GraphError` if whoever imports `node` from `path` would not have the resources that it is given here."""
    if given is None:
        return
    there = cast("AnyNode", _object_at(path)).options.resources
    known: Mapping[type, object] = there.by_type if there is not None else {}
    missing = sorted(kind.__name__ for kind, value in given.by_type.items() if kind not in known or known[kind] is not value)
    if missing:
        raise GraphError(
            f"{node.name!r} is for another process, and under resources= of {', '.join(missing)}, which never leave this one: "
            "set them only on the nodes that need them, give the node what it needs of them as arguments, or have the swarm "
            "of its workers open them"
        )


_CROSSING = ("model", "priority", "cache", "timeout", "concurrency", "deadline", "budget")
_STAYING = ("queue",)


def terms_of(node: AnyNode) -> Terms:
    """The options by which `node` differs from what its import path leads to. Raises `GraphError` for one that cannot cross."""
    path = portable(node)
    there = cast("AnyNode", _object_at(path))
    check_resources(node, path, node.options.resources)
    if stuck := _stuck(node, there):
        raise GraphError(
            f"{node.name!r} has {', '.join(f'{name}=' for name in stuck)}, which may hold code and cannot cross to another "
            f"process: set it in the module, so that {path!r} has it"
        )
    changed = _changed(node, there)
    plain: dict[str, Any] = {name: getattr(node.options, name) for name in _CROSSING[:5] if name in changed}  # Any: by option
    if node.options.deadline is not None and "deadline" in changed:
        plain["deadline"] = node.options.deadline.timestamp()
    if "budget" in changed:
        plain |= limits_of(node.options.budget)
    return Terms(name=node.name if node.name != there.name else None, **plain)


def _changed(node: AnyNode, there: AnyNode) -> set[str]:
    mine, theirs = node.options, there.options
    return {one.name for one in fields(mine) if getattr(mine, one.name) != getattr(theirs, one.name)}


def _stuck(node: AnyNode, there: AnyNode) -> list[str]:
    return sorted(_changed(node, there).difference(_CROSSING, _STAYING))


# On its way


@dataclass(frozen=True, slots=True, kw_only=True)
class Parcel:
    """One execution of a node, on its way to a worker: all that it needs, and nothing that is secret."""

    run: RunId
    """The id under which it is recorded."""
    node: str
    """Import path of the node."""
    arguments: Arguments = field(default_factory=Arguments)
    terms: Terms = field(default_factory=Terms)
    parent: RunId | None = None
    """The run of which it is a step, if it is one."""
    path: str = ""
    """Path of that step."""
    queue: str = ""
    """Whose workers execute it."""
    text: bool = False
    """Whether the caller listens to replies piece by piece."""
    traceparent: str = ""
    """The span of the caller under which the run is to be traced (W3C trace context), if it has one."""
    format: int = 1

    def dump(self) -> str:
        """As JSON."""
        return _parcels().dump_json(self, exclude_defaults=True).decode()

    @classmethod
    def load(cls, text: str) -> Parcel:
        """Read it again. Raises `SwarmletError` if it is none."""
        try:
            parcel = _parcels().validate_json(text)
        except ValidationError as error:
            raise SwarmletError(f"this is no parcel of swarmlet: {error.errors()[0]['msg']}") from None
        if parcel.format != 1:
            raise SwarmletError(f"this parcel has format {parcel.format}, and this swarmlet knows format 1: upgrade the worker")
        return parcel

    def open(self, allowed: Sequence[str]) -> tuple[AnyNode, tuple[object, ...], dict[str, object]]:
        """The node and its arguments. Raises `SwarmletError` if it may not or cannot be run here."""
        node = load_node(self.node, allowed)
        args, kwargs = self.arguments.values(node)
        return self.terms.apply(node), args, kwargs


@cache
def _parcels() -> TypeAdapter[Parcel]:
    return TypeAdapter(Parcel)

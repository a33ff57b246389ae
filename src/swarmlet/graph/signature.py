"""The parameters and the result type of a node, resolved once when it is defined."""

from __future__ import annotations

import inspect
from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, partial
from typing import Any, cast

from typing_extensions import get_type_hints

from swarmlet.errors import GraphError
from swarmlet.graph.source import local_names, user_line
from swarmlet.graph.types import fits, show

POSITIONAL = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
SCALARS = (str, int, float, bool, type(None))
"""Types whose values never change, and are in JSON what they are in Python."""
_MISSING = inspect.Parameter.empty


@dataclass(frozen=True)
class Signature:
    """What a node takes and gives. `parameters` carry resolved types (`Any` where nothing is declared)."""

    parameters: tuple[inspect.Parameter, ...]
    returns: object

    @cached_property
    def _inspect(self) -> inspect.Signature:
        return inspect.Signature(self.parameters)

    def bind(self, args: tuple[object, ...], kwargs: Mapping[str, object]) -> inspect.BoundArguments:
        """Arguments by parameter. Raises `TypeError` with Python's own words for a missing or an unknown one."""
        if not kwargs and len(args) == len(self.parameters) == len(self.positional):  # most calls; `inspect` is slow
            return inspect.BoundArguments(self._inspect, OrderedDict(zip(self.positional, args, strict=True)))
        return self._inspect.bind(*args, **kwargs)

    @cached_property
    def positional(self) -> tuple[str, ...]:
        """The names of those that can be given by position; `*args`, if there is one, comes next."""
        return tuple(parameter.name for parameter in self.parameters if parameter.kind in POSITIONAL)

    @cached_property
    def scalars(self) -> tuple[object, ...] | None:
        """The types of the parameters, if all of them are declared as scalars, and can be given by position."""
        types = tuple(parameter.annotation for parameter in self.parameters)
        named = len(self.positional) == len(types)
        return types if named and all(type_ in SCALARS for type_ in types) else None

    @property
    def parameters_by_name(self) -> Mapping[str, inspect.Parameter]:
        """The parameters by name."""
        return self._inspect.parameters

    @property
    def first(self) -> inspect.Parameter | None:
        """The first positional parameter: what `each` maps over and `loop` carries as its state."""
        if self.parameters and self.parameters[0].kind in POSITIONAL:
            return self.parameters[0]
        return None

    def with_first(self, type_: object, returns: object, name: str | None = None) -> Signature:
        """This signature with another first parameter (positional only, as combinators have it) and result."""
        head, *rest = self.parameters
        first = head.replace(name=name or head.name, kind=inspect.Parameter.POSITIONAL_ONLY, annotation=type_, default=_MISSING)
        return replace(self, parameters=(first, *rest), returns=returns)


def signature_of(function: Callable[..., object]) -> Signature:
    """The signature of a function or class.

    Names that are local to where it is defined (types made inside a test, say) resolve from there. Raises `GraphError`
    for a hint that cannot be resolved.
    """
    try:
        plain = inspect.signature(function)
        hints = _hints(function, local_names())
    except (NameError, AttributeError, TypeError, ValueError) as error:
        raise GraphError(f"{user_line()}: the signature of {describe(function)} cannot be read: {error}") from error
    parameters = tuple(parameter.replace(annotation=_resolved(parameter, hints)) for parameter in plain.parameters.values())
    returns = function if inspect.isclass(function) else hints.get("return", Any)
    return Signature(parameters, returns)


def misfits(name: str, given: Signature, other: str, wanted: Signature) -> Iterator[str]:
    """What keeps node `name` from being called with what `other` is called with."""
    if not _takes_as_many(given.parameters, wanted.parameters):
        yield f"{name!r} takes {len(given.parameters)} arguments, {other!r} takes {len(wanted.parameters)}"
        return
    for mine, theirs in zip(given.parameters, wanted.parameters, strict=False):
        if not _called_alike(mine, theirs):
            yield f"{name}({mine.name}=) is {mine.kind.description}, but {other}({theirs.name}=) is {theirs.kind.description}"
        elif not fits(theirs.annotation, mine.annotation):
            takes = f"{name}({mine.name}=) takes {show(mine.annotation)}"
            yield f"{takes}, but {other}({theirs.name}=) takes {show(theirs.annotation)}"


def stricter(name: str, given: Signature, other: str, wanted: Signature) -> Iterator[str]:
    """What node `name` demands that may be left out where `other` is called."""
    for mine, theirs in zip(given.parameters, wanted.parameters, strict=False):
        if mine.default is _MISSING and theirs.default is not _MISSING:
            yield f"{name}({mine.name}=) must be given, but {other}({theirs.name}=) may be left out"


def in_common(signatures: Sequence[Signature], returns: object) -> Signature:
    """How all of them can be called: by keyword only where they agree on the name, left out only where all have a default."""
    parameters: list[inspect.Parameter] = []
    for column in reversed(list(zip(*(signature.parameters for signature in signatures), strict=False))):
        one = column[0]
        if any(other.default is _MISSING for other in column):
            one = one.replace(default=_MISSING)
        behind_unnamed = bool(parameters) and parameters[0].kind is inspect.Parameter.POSITIONAL_ONLY
        if one.kind in POSITIONAL and (behind_unnamed or len({(other.name, other.kind) for other in column}) > 1):
            one = one.replace(kind=inspect.Parameter.POSITIONAL_ONLY)
        parameters.insert(0, one)
    return Signature(tuple(parameters), returns)


def _takes_as_many(given: Sequence[inspect.Parameter], wanted: Sequence[inspect.Parameter]) -> bool:
    """Whether as many arguments can be given here as there; further ones that may be left out do not count."""
    further = given[len(wanted) :]
    optional = (p.default is not _MISSING or p.kind in (p.VAR_POSITIONAL, p.VAR_KEYWORD) for p in further)
    return len(given) >= len(wanted) and all(optional)


def _called_alike(one: inspect.Parameter, other: inspect.Parameter) -> bool:
    if one.kind in POSITIONAL:
        return other.kind in POSITIONAL
    return one.kind is other.kind and (one.name == other.name or one.kind is not inspect.Parameter.KEYWORD_ONLY)


def describe(function: object) -> str:
    """`module.name` of a function or class, for messages."""
    name = getattr(function, "__qualname__", None) or repr(function)
    return f"{getattr(function, '__module__', '?')}.{name}"


def _resolved(parameter: inspect.Parameter, hints: Mapping[str, object]) -> object:
    if parameter.name in hints:
        return hints[parameter.name]
    annotation: object = parameter.annotation
    return Any if annotation is _MISSING or isinstance(annotation, str) else annotation


def _hints(function: Callable[..., object], names: Mapping[str, object]) -> dict[str, object]:
    """Resolved hints: of what a partial calls, of an object's `__call__`, of a class's constructor."""
    if isinstance(function, partial):
        return _hints(cast("partial[object]", function).func, names)
    if inspect.isclass(function):
        written = inspect.isfunction(function.__init__) and not hasattr(function, "__pydantic_fields__")
        return _resolve(function, names) | (_resolve(function.__init__, names) if written else {})
    return _resolve(function if inspect.isroutine(function) else type(function).__call__, names)


def _resolve(target: object, names: Mapping[str, object]) -> dict[str, object]:
    hints: dict[str, object] = get_type_hints(target, localns=dict(names), include_extras=True)
    return hints

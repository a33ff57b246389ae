"""The parameters and the result type of a node, resolved once when it is defined."""

from __future__ import annotations

import inspect
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

from typing_extensions import get_type_hints

from swarmlet.errors import GraphError

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
        return self._inspect.bind(*args, **kwargs)

    @property
    def parameters_by_name(self) -> Mapping[str, inspect.Parameter]:
        """The parameters by name."""
        return self._inspect.parameters

    @property
    def first(self) -> inspect.Parameter | None:
        """The first positional parameter: what `each` maps over and `loop` carries as its state."""
        positional = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
        if self.parameters and self.parameters[0].kind in positional:
            return self.parameters[0]
        return None

    def with_first(self, type_: object, returns: object, name: str | None = None) -> Signature:
        """This signature with another first parameter (positional only, as combinators have it) and result."""
        head, *rest = self.parameters
        first = head.replace(name=name or head.name, kind=inspect.Parameter.POSITIONAL_ONLY, annotation=type_, default=_MISSING)
        return replace(self, parameters=(first, *rest), returns=returns)


def signature_of(function: Callable[..., object], *, depth: int) -> Signature:
    """The signature of a function or class.

    `depth` counts the frames from here to the definition: names that are local to it (types defined inside a test, say)
    resolve from there. Raises `GraphError` for a hint that cannot be resolved.
    """
    names = _local_names(depth + 1)
    try:
        plain = inspect.signature(function)
        hints = _hints(function, names)
    except (NameError, AttributeError, TypeError, ValueError) as error:
        raise GraphError(f"the signature of {describe(function)} cannot be read: {error}") from error
    parameters = tuple(parameter.replace(annotation=_resolved(parameter, hints)) for parameter in plain.parameters.values())
    returns = function if inspect.isclass(function) else hints.get("return", Any)
    return Signature(parameters, returns)


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
    """Resolved hints; a class's fields are the hints of its constructor."""
    target: object = function
    if not inspect.isclass(function) and not inspect.isroutine(function) and not hasattr(function, "__annotations__"):
        target = type(function).__call__
    hints: dict[str, object] = get_type_hints(target, localns=dict(names), include_extras=True)
    return hints


def _local_names(depth: int) -> dict[str, object]:
    frame = sys._getframe(depth)  # noqa: SLF001  # pyright: ignore[reportPrivateUsage]  # the user's frame
    names: dict[str, object] = {}
    while frame.f_code.co_flags & inspect.CO_NEWLOCALS:  # inside functions: outer ones may hold the types too
        names = {**frame.f_locals, **names}
        if frame.f_back is None or frame.f_back.f_code.co_filename != frame.f_code.co_filename:
            break
        frame = frame.f_back
    return names

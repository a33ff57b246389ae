"""Whether what is wired fits what is asked, edge by edge.

A static checker says the same earlier where the user runs one. Here the types are those that the definitions declare,
so an undeclared one (`Any`) fits everywhere.
"""

from __future__ import annotations

import dataclasses
import enum
from collections.abc import Iterator, Set
from types import GenericAlias
from typing import Any, Literal, cast, get_args

from typing_extensions import is_typeddict

from swarmlet.graph.ref import about, holds_refs, is_ref, parts_of
from swarmlet.graph.types import element_type, field_type, fits, item_type, show


def mismatches(value: object, wanted: object) -> Iterator[tuple[str, object, object]]:
    """What in `value` does not fit `wanted`: (what it is, its type, the type that is asked for)."""
    if is_ref(value):
        known = about(value)
        if known.type is not wanted and not fits(known.type, wanted):
            yield known.label, known.type, wanted
    elif not holds_refs(value):
        if (given := _constant_type(value)) is not Any and not fits(given, wanted):
            yield f"the constant {value!r}", given, wanted
    else:
        given = _container_type(value, wanted)
        if fits(given, wanted):
            for part, type_ in _typed_parts(value, wanted):
                yield from mismatches(part, type_)
        else:
            yield f"the {type(value).__name__}", given, wanted


def _container_type(value: object, wanted: object) -> object:
    """What is known of a container that holds refs before its parts are looked at: its class, and the length of a tuple."""
    kind: object = type(value)
    if kind is tuple:
        return GenericAlias(tuple, (Any,) * len(cast("tuple[object, ...]", value)))
    if kind is dict and any(is_typeddict(option) for option in (wanted, *get_args(wanted))):
        keys = cast("dict[object, object]", value).keys()
        return Any if not is_typeddict(wanted) or _has_keys(wanted, keys) else cast("Any", dict)[Literal[tuple(keys)], Any]
    return kind


def _has_keys(typed_dict: object, keys: Set[object]) -> bool:
    """Whether a dict with these keys is complete and has no others."""
    hints: dict[str, object] = getattr(typed_dict, "__annotations__", {})
    required: frozenset[str] = getattr(typed_dict, "__required_keys__", frozenset())
    # where annotations are strings, a key that may be missing is counted among the required ones
    missing = {key for key in required - keys if "NotRequired[" not in repr(hints[key])}
    return not missing and keys <= required | getattr(typed_dict, "__optional_keys__", frozenset[str]())


def _typed_parts(value: object, wanted: object) -> Iterator[tuple[object, object]]:
    """The parts of a container that holds refs, each with the type that `wanted` asks of it."""
    parts = parts_of(value)
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        names = [field.name for field in dataclasses.fields(value) if field.init]
        yield from ((part, field_type(type(value), name) or Any) for name, part in zip(names, parts, strict=True))
    elif isinstance(value, dict):
        keys = list(cast("dict[object, object]", value))
        yield from ((part, item_type(wanted, key) or Any) for key, part in zip(keys, parts, strict=True))
    else:
        each = element_type(wanted) or Any
        for index, part in enumerate(parts):
            yield part, (item_type(wanted, index) or each) if isinstance(value, tuple) else each


def _constant_type(value: object) -> object:
    """The narrowest type of a plain value that is worth checking; containers are left to the static checker."""
    if value is None:
        return None
    if isinstance(value, enum.Enum) or type(value) in (str, int, bool, bytes):
        return Literal[value]
    if type(value) in (list, tuple, dict, set, frozenset) or isinstance(value, type) or callable(value):
        return Any
    return type(value)


def edge_problem(line: str, target: str, found: tuple[str, object, object]) -> str:
    """The message for one edge: both sides, both types, the source line."""
    what, given, wanted = found
    return f"{line}: {what} is {show(given)}, but {target} asks for {show(wanted)}"

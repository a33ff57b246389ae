"""Values out of the record, as they were.

A value is restored only if nothing was lost when it was written: what comes back, written again, must give the same bytes,
and be of the class that it was. Otherwise it is as if it had not been recorded, and its step is executed again.
"""

from __future__ import annotations

from functools import lru_cache
from types import NoneType, UnionType
from typing import TYPE_CHECKING, Annotated, Any, Final, TypeVar, Union, cast, get_args, get_origin

from pydantic import TypeAdapter
from typing_extensions import TypeAliasType

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from swarmlet.trace.encode import Encoder

LOSSY: Final = "?"
"""Instead of a class: something was written that cannot be read back."""
NOTHING: Final = object()
"""What could not be restored."""
_BARE: Final[tuple[object, ...]] = (Any, object, list, dict, tuple, set, frozenset)
_BUILTINS: Final = {
    f"builtins:{kind.__name__}": kind for kind in (str, int, float, bool, bytes, list, dict, tuple, set, frozenset, NoneType)
}


def class_name(kind: type) -> str:
    """`module:qualified.name`."""
    return f"{kind.__module__}:{kind.__qualname__}"


def type_note(value: object, declared: object) -> str:
    """What a record must say of the class of `value`: nothing if it is the declared one."""
    return "" if cast("object", type(value)) is declared else class_name(type(value))


def vague(declared: object) -> bool:
    """Whether a type does not say of which class the values in it are, as `object` and a bare `list` do not."""
    try:
        return _is_vague(declared)
    except TypeError:  # a type that cannot be hashed
        return True


@lru_cache(maxsize=512)
def _is_vague(declared: object) -> bool:
    return any(
        any(member is bare for bare in _BARE)
        or isinstance(member, TypeVar)
        or any(
            _is_vague(argument) for argument in get_args(member) if argument is not Ellipsis and not isinstance(argument, list)
        )
        for member in _members(declared)
    )


def restored(content: bytes, declared: object, note: str, encode: Encoder) -> object:
    """The value that was written as `content`, or `NOTHING`."""
    kind = declared if not note else _kind(declared, note)
    if note == LOSSY or kind is NOTHING:
        return NOTHING
    try:
        value: object = _adapter(kind).validate_json(content)
        same = encode(value) == content
    except Exception:  # noqa: BLE001  # a value that cannot be read is made again; its own type's code takes part in reading it
        return NOTHING
    return value if same and (not note or class_name(type(value)) == note) else NOTHING


def _adapter(kind: object) -> TypeAdapter[object]:
    try:
        return _cached_adapter(kind)
    except TypeError:  # a type that cannot be hashed
        return TypeAdapter(cast("Any", kind))  # Any: the type is known at run time only


@lru_cache(maxsize=512)
def _cached_adapter(kind: object) -> TypeAdapter[object]:
    return TypeAdapter(cast("Any", kind))  # Any: as above


def _kind(declared: object, note: str) -> object:
    """The type named by `note` among those that the declared one allows. Nothing is imported for that."""
    for member in _members(declared):
        plain = get_origin(member) or member
        if isinstance(plain, type):
            if class_name(plain) == note:
                return member
            if plain is not object and (found := next((k for k in _subclasses(plain) if class_name(k) == note), None)):
                return found
    if note not in _BUILTINS:
        return NOTHING
    if any(member is Any or member is object for member in _members(declared)):
        return _BUILTINS[note]
    return declared if get_origin(declared) else _BUILTINS[note]


def _members(declared: object) -> Iterator[object]:
    """The types of a union, or the one type."""
    declared = getattr(declared, "__value__", declared) if isinstance(declared, TypeAliasType) else declared
    origin = get_origin(declared)
    if origin is Annotated:
        yield from _members(get_args(declared)[0])
    elif origin is Union or isinstance(declared, UnionType):
        for one in get_args(declared):
            yield from _members(one)
    else:
        yield declared


def _subclasses(kind: type) -> Iterable[type]:
    stack: list[type] = [kind]
    seen: set[type] = {kind}
    while stack:
        below: list[type] = type.__subclasses__(stack.pop())
        for one in below:
            if one not in seen:
                seen.add(one)
                stack.append(one)
                yield one

"""Values out of the record, as they were.

A value is restored only if nothing was lost when it was written: what comes back, written again, must give the same bytes,
and be of the class that it was. Otherwise it is as if it had not been recorded, and its step is executed again.
"""

from __future__ import annotations

import json
from collections import Counter, deque
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from functools import lru_cache, partial
from types import NoneType, UnionType
from typing import TYPE_CHECKING, Annotated, Any, Final, TypeVar, Union, cast, get_args, get_origin

from pydantic import BaseModel, TypeAdapter
from typing_extensions import TypeAliasType

from swarmlet.graph.each import Failed
from swarmlet.graph.within import Partial

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from swarmlet.trace.encode import Encoder

LOSSY: Final = "?"
"""Instead of a class: something was written that cannot be read back."""
NOTHING: Final = object()
"""What could not be restored."""
_BARE: Final[tuple[object, ...]] = (Any, object, list, dict, tuple, set, frozenset)
_PLAIN: Final = frozenset((str, int, float, bool, NoneType))
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
        again = encode(value)
        same = again == content or sorted(again) == sorted(content)  # sets have another order in each process
    except Exception:  # noqa: BLE001  # a value that cannot be read is made again; its own type's code takes part in reading it
        return NOTHING
    return value if same and (not note or class_name(type(value)) == note) else NOTHING


def note_of(value: object, content: bytes, declared: object, encode: Encoder) -> str:
    """What a record must say of the class of `value`, which was written as `content`: nothing if it is the declared one.

    It is read back at once. What types hide does not come to light otherwise: members of a union that look alike, subclasses
    in a list, private and excluded fields, secrets.
    """
    note = type_note(value, declared)
    if type(value) in _PLAIN:
        return note
    try:
        return note if alike(value, restored(content, declared, note, encode)) else LOSSY
    except Exception:  # noqa: BLE001  # values' own methods take part in comparing them
        return LOSSY


def alike(one: object, other: object) -> bool:
    """Whether two values are equal and of the same classes, with all that is in them."""
    kind = type(one)
    if kind is not type(other):
        return False
    if kind in _PLAIN:
        return one == other
    if isinstance(one, list | tuple | deque):
        mine, yours = cast("Sequence[object]", one), cast("Sequence[object]", other)
        return len(mine) == len(yours) and all(map(alike, mine, yours))
    if isinstance(one, Mapping):
        mine_, yours_ = cast("Mapping[object, object]", one), cast("Mapping[object, object]", other)
        return alike(list(mine_), list(yours_)) and alike(list(mine_.values()), list(yours_.values()))
    if isinstance(one, set | frozenset):
        return one == other and _kinds(cast("Iterable[object]", one)) == _kinds(cast("Iterable[object]", other))
    if isinstance(one, BaseModel):
        return _are_models_alike(one, cast("BaseModel", other))
    if is_dataclass(one):
        own = ("error",) if isinstance(one, Failed | Partial) else ()  # they say that it is not read back
        return all(alike(getattr(one, at.name), getattr(other, at.name)) for at in fields(one) if at.name not in own)
    return one == other


def _are_models_alike(one: BaseModel, other: BaseModel) -> bool:
    parts = [[vars(model).get(name) for name in type(model).model_fields] for model in (one, other)]
    return (
        alike(*parts)
        and alike(one.__pydantic_extra__, other.__pydantic_extra__)
        and alike(one.__pydantic_private__, other.__pydantic_private__)
    )


def _kinds(values: Iterable[object]) -> Counter[type]:
    return Counter(map(type, values))


def same_input(value: object, before: bytes, now: bytes) -> bool:
    """Whether `value`, written as `now`, was written as `before` by another process, in which sets have another order."""
    if len(before) != len(now) or sorted(before) != sorted(now):
        return False
    return _ordered(value, json.loads(before)) == _ordered(value, json.loads(now))


def _ordered(value: object, written: object) -> object:
    """What was written for `value`, with the items of sets in an order that does not depend on the process."""
    if isinstance(written, list):
        parts = cast("list[object]", written)
        if isinstance(value, set | frozenset):
            return sorted(map(json.dumps, parts))
        if isinstance(value, list | tuple | deque):
            values = cast("Sequence[object]", value)
            return [_ordered(one, part) for one, part in zip(values, parts, strict=True)]
        return parts
    if isinstance(written, dict):
        get = cast("Mapping[str, object]", value).get if isinstance(value, Mapping) else partial(_attribute, value)
        return {name: _ordered(get(name), part) for name, part in cast("dict[str, object]", written).items()}
    return written


def _attribute(value: object, name: str) -> object:
    return getattr(value, name, None)


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

"""Values as JSON, whatever they are.

What cannot be said in JSON is written as well as it can be, and counted: a value that cannot be read back must not be taken
for one that can.
"""

from __future__ import annotations

import re
from collections.abc import AsyncIterable, Callable
from functools import lru_cache, partial
from typing import Any, ClassVar, TypeAlias, cast, final

from pydantic import TypeAdapter
from pydantic_core import PydanticSerializationError, SchemaSerializer, to_json

Encoder: TypeAlias = Callable[[object], bytes]
"""Writes a value of one type as JSON."""

_ADDRESS = re.compile(r" at 0x[0-9a-fA-F]+")


def text_of(value: object, say: Callable[[object], str] = str) -> str:
    """The text of an error, or of any value; nothing if it cannot say it."""
    try:
        return say(value)
    except Exception:  # noqa: BLE001  # its own method failed, and it is being reported for something else
        return ""


@final
class Losses:
    """Counts what was written in a way from which it cannot be read back.

    A source of items is written without its address in memory: made again by a process that goes on, it is the same.
    """

    count: ClassVar[int] = 0

    @classmethod
    def say(cls, value: object) -> str:
        """What stands in the record for a value that JSON cannot say."""
        cls.count += 1
        told = repr(value)
        return _ADDRESS.sub("", told) if isinstance(value, AsyncIterable) else told


def to_any_json(value: object) -> bytes:
    """`value` as JSON by its own type; what JSON cannot say is written as its `repr`."""
    try:
        return to_json(value, fallback=Losses.say, inf_nan_mode="constants")
    except (PydanticSerializationError, ValueError):  # half a surrogate pair, a circle
        Losses.count += 1
        return to_json(ascii(value))


def encoder(type_: object) -> Encoder:
    """The encoder of values that are declared as `type_`, the same one whenever it is asked for.

    What a subclass adds is written too: two values that differ must not have the same digest.
    """
    try:
        return _encoder(type_)
    except TypeError:  # a type that cannot be hashed
        return _new_encoder(type_)


def _new_encoder(type_: object) -> Encoder:
    """Nothing is built before the first value comes."""
    writers: dict[type, Encoder] = {}

    def encode(value: object) -> bytes:
        kind = type(value)
        write = writers.get(kind)
        if write is None:
            write = writers[kind] = _writer(kind if type_ in cast("tuple[object, ...]", kind.__mro__) else type_)
        try:
            return write(value)
        except (PydanticSerializationError, ValueError):  # half a surrogate pair, a circle
            return to_any_json(value)

    return encode


_encoder = lru_cache(maxsize=1024)(_new_encoder)
_KNOWN = getattr(SchemaSerializer.to_json, "__text_signature__", None) or ""
_BY_OWN_TYPE: dict[str, Any] = {"polymorphic_serialization": True} if "polymorphic_serialization" in _KNOWN else {}
"""Models within a value by their own types too; pydantic 2.12 writes those as declared."""


def _writer(type_: Any) -> Encoder:  # Any: the type is known at run time only
    try:
        serializer = TypeAdapter[Any](type_).serializer
        return partial(serializer.to_json, warnings=False, fallback=Losses.say, **_BY_OWN_TYPE)
    except Exception:  # noqa: BLE001  # pydantic has no schema for it, or the type's own code made a wrong one
        return to_any_json

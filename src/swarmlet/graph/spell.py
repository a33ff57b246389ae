"""Types and constants as text that is the same in every process: what a graph's fingerprint is made of.

The text names classes with their modules, never by an address, and says what is equal in the same way: `Optional[int]` as
`int | None`, members of a union sorted, since Python's own caches may hand out another order. The fields of the user's models,
dataclasses, typed dicts, named tuples and enums are listed once for each class. Nothing here raises for a type that it does
not know: that has its name and no fields.
"""

from __future__ import annotations

import dataclasses
import json
import os
import re
import sys
import typing
from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Set
from enum import Enum
from functools import lru_cache
from hashlib import blake2b
from inspect import isroutine
from pathlib import Path
from types import NoneType, UnionType
from typing import Any, ForwardRef, Literal, NewType, TypeVar, Union, cast, get_args, get_origin

import typing_extensions as te
from pydantic import BaseModel
from pydantic.fields import FieldInfo
from pydantic_core import PydanticSerializationError, to_json

from swarmlet.graph.types import field_type

_UNIONS = (Union, UnionType)
_ALIASES: tuple[type, ...] = (te.TypeAliasType, getattr(typing, "TypeAliasType", te.TypeAliasType))
_BARE = frozenset({"builtins", "typing", "typing_extensions", "collections"})
_LIBRARIES = frozenset({"pydantic", "pydantic_core", "swarmlet"})
"""Whose classes are taken as known, so that a new version of them does not change every graph."""
_STDLIB = str(Path(os.__file__).parent) + os.sep
_DEEPEST = 60
_PLAIN_TEXT = 24
_WORDY = 1_000


def digest_of(*parts: object) -> str:
    """32 hex digits of JSON-able parts."""
    text = json.dumps(parts, sort_keys=True, separators=(",", ":"))
    return blake2b(text.encode(), digest_size=16).hexdigest()


def clean(text: str) -> str:
    """`text` without characters that a terminal would obey or that cannot be stored."""
    return text if text.isprintable() else "".join(c if c.isprintable() else ascii(c)[1:-1] for c in text)


def origin_text(origin: str) -> str:
    """`module:qualified.name`, by the name under which others import it if it is the program that was started."""
    module, colon, name = origin.partition(":")
    return clean(f"{_module(module)}{colon}{name}")


class Speller:
    """Spells the types of one graph, and keeps the fields of the classes among them."""

    def __init__(self) -> None:
        self._texts: dict[int, tuple[object, str, tuple[str, ...]]] = {}
        self._labels: dict[int, tuple[object, str]] = {}
        self._taken: dict[str, int] = {}
        self._todo: deque[tuple[str, object]] = deque()
        self._used: list[str] = []

    def spell(self, type_: object) -> tuple[str, tuple[str, ...]]:
        """The text of a type, and the names of the classes in it whose fields are known."""
        known = self._texts.get(id(type_))
        if known is None:
            outer, self._used = self._used, []
            text = clean(self._text(type_, 0))
            known = type_, text, tuple(dict.fromkeys(self._used))  # the type is held, so that its id stays its own
            self._used = outer
            self._texts[id(type_)] = known
        return known[1], known[2]

    def listed(self) -> Iterator[tuple[str, tuple[tuple[str, str], ...], tuple[str, ...]]]:
        """Each class that was met: its name, its fields as text, and the classes that these name."""
        while self._todo:
            label, class_ = self._todo.popleft()
            self._used = []
            lines = tuple((clean(name), clean(text)) for name, text in self._fields(class_))
            yield label, lines, tuple(dict.fromkeys(self._used))

    def constant(self, value: object) -> str:
        """A constant: numbers and the like as they are, anything else by its type and a digest of its JSON."""
        plain = self._plain(value, ())
        text = json.dumps(plain, sort_keys=True)
        if value is None or (isinstance(value, (bool, int, float)) and len(text) <= _PLAIN_TEXT):
            return str(value)
        return f"{self.spell(type(value))[0]} #{digest_of(plain)[:12]}"

    # Types

    def _text(self, type_: object, depth: int) -> str:  # one line for each kind of type
        if depth > _DEEPEST:
            return "..."
        origin, args = get_origin(type_), get_args(type_)
        deeper = depth + 1
        if type_ is None or type_ is NoneType:
            return "None"
        if isinstance(type_, (str, ForwardRef)):
            return type_ if isinstance(type_, str) else type_.__forward_arg__
        if isinstance(type_, (list, tuple)):  # the parameters of a Callable
            return f"[{', '.join(self._text(one, deeper) for one in cast('Iterable[object]', type_))}]"
        if type_ is Ellipsis:
            return "..."
        if origin in _UNIONS:
            return " | ".join(sorted({self._text(one, deeper) for one in args}))
        if origin is Literal:
            return f"Literal[{', '.join(sorted(self._literal(one) for one in args))}]"
        if origin is te.Annotated:
            told = [text for one in args[1:] for text in self._annotation(one)]
            return f"{self._text(args[0], deeper)}{''.join(f' ({text})' for text in told)}"
        generic: Any = getattr(type_, "__pydantic_generic_metadata__", None) if isinstance(type_, type) else None
        if generic and generic["origin"]:
            origin, args = generic["origin"], generic["args"]
        name = self._name(origin if origin is not None else type_)
        inside = "()" if origin is tuple and not args else ", ".join(self._text(one, deeper) for one in args)
        return f"{name}[{inside}]" if inside else name

    def _literal(self, value: object) -> str:
        return f"{self._name(type(value))}.{value.name}" if isinstance(value, Enum) else ascii(value)

    def _name(self, of: object) -> str:
        """The label of a class or of what is like one."""
        if id(of) in self._labels:
            label = self._labels[id(of)][1]
        elif isinstance(of, TypeVar):
            return f"~{of.__name__}"
        else:
            label = _label(of)
            if not _has_fields(of):
                return label
            count = self._taken[label] = self._taken.get(label, 0) + 1
            label = clean(label if count == 1 else f"{label}~{count}")  # classes made twice by one function
            self._labels[id(of)] = of, label
            self._todo.append((label, of))
        self._used.append(label)
        return label

    def _annotation(self, told: object) -> Iterator[str]:
        """What a piece of `Annotated` says of the values; words for people are none of it."""
        if isinstance(told, FieldInfo):
            yield from (text for one in told.metadata for text in self._annotation(one))
            names = {"alias": told.alias, "validation_alias": told.validation_alias, "discriminator": told.discriminator}
            yield from sorted({f"as {name}" for name in names.values() if isinstance(name, str)})
        elif not isinstance(told, str):
            inside = {**getattr(told, "__dict__", {}), **{one.name: getattr(told, one.name, None) for one in _parts(told)}}
            said = [f"{name}={self._bound(value)}" for name, value in sorted(inside.items()) if value is not None]
            yield ", ".join(said) or _label(type(told))

    def _bound(self, value: object) -> str:
        if isinstance(value, type):
            return self._text(value, 0)
        if callable(value):
            return _label(value)
        return ascii(value) if isinstance(value, (bool, int, float, str)) else self.constant(value)

    # Fields

    def _fields(self, class_: Any) -> Iterator[tuple[str, str]]:  # Any: classes of all kinds
        if isinstance(class_, _ALIASES):
            yield "=", self._text(getattr(class_, "__value__", None), 0)
        elif isinstance(class_, NewType):
            yield "=", self._text(class_.__supertype__, 0)
        elif issubclass(class_, Enum):
            for name, member in class_.__members__.items():
                yield name, self.constant(member.value)
        elif issubclass(class_, BaseModel):
            yield from self._model_fields(class_)
        else:
            yield from self._class_fields(class_)

    def _model_fields(self, class_: type[BaseModel]) -> Iterator[tuple[str, str]]:
        if not class_.__pydantic_complete__:
            _complete(class_)
        for name, info in class_.model_fields.items():
            told = "".join(f" ({text})" for text in self._annotation(info))
            yield name, f"{self._text(info.annotation, 0)}{told}{'' if info.is_required() else ' = ...'}"
        for name, computed in class_.model_computed_fields.items():
            yield name, f"{self._text(computed.return_type, 0)}, computed"
        if extra := class_.model_config.get("extra"):
            yield "**", str(extra)

    def _class_fields(self, class_: Any) -> Iterator[tuple[str, str]]:  # Any: a dataclass, a typed dict or a named tuple
        hints = _hints(class_)
        if te.is_typeddict(class_):
            for name in hints:
                yield name, self._text(hints[name], 0) + ("" if name in class_.__required_keys__ else " = ...")
        elif dataclasses.is_dataclass(class_):
            for one in dataclasses.fields(class_):
                optional = one.default is not dataclasses.MISSING or one.default_factory is not dataclasses.MISSING
                hint = hints.get(one.name) or _declared(class_, one.name, one.type)
                yield one.name, self._text(hint, 0) + (" = ..." if optional else "")
        else:
            for name in class_._fields:
                yield name, self._text(hints.get(name) or _declared(class_, name, Any), 0)

    # Values

    def _plain(self, value: object, around: tuple[int, ...]) -> object:  # one line for each kind
        """`value` as JSON can say it, the same in every process."""
        if isinstance(value, Enum):
            return [self._name(type(value)), value.name]
        if isinstance(value, int) and value.bit_length() > _WORDY:
            return ["int", hex(value)]  # Python refuses to write it in tens
        if value is None or type(value) in (bool, int, float, str):
            return value
        if id(value) in around or len(around) > _DEEPEST:
            return "..."
        if isinstance(value, type):
            return self._text(value, 0)
        inner = (*around, id(value))
        kind = _label_of(value)
        if isinstance(value, BaseModel):
            return [kind, self._plain(vars(value), inner)]
        if parts := _parts(value):
            return [kind, [[one.name, self._plain(getattr(value, one.name, None), inner)] for one in parts]]
        if isinstance(value, Mapping):
            pairs = cast("Mapping[object, object]", value).items()
            return [kind, sorted(([self._plain(key, inner), self._plain(one, inner)] for key, one in pairs), key=json.dumps)]
        if isinstance(value, (list, tuple, deque)):
            return [kind, [self._plain(one, inner) for one in cast("Iterable[object]", value)]]
        if isinstance(value, Set):
            return [kind, sorted((self._plain(one, inner) for one in cast("Iterable[object]", value)), key=json.dumps)]
        if isinstance(value, (bytes, bytearray)):
            return [kind, value.hex()]
        return [kind, _label(value) if isroutine(value) else _own_json(value)]


def _own_json(value: object) -> str:
    """What pydantic writes for a date, a path, a decimal; for other objects the class alone, as their `repr` has addresses."""
    try:
        return to_json(value, fallback=_label_of).decode()
    except (PydanticSerializationError, ValueError):  # half a surrogate pair
        return ""


def _parts(value: object) -> tuple[dataclasses.Field[Any], ...]:  # Any: of whatever type
    return dataclasses.fields(value) if dataclasses.is_dataclass(value) and not isinstance(value, type) else ()


@lru_cache(maxsize=1024)
def _module(module: str) -> str:
    if module == "__main__":
        main: Any = sys.modules.get("__main__")  # Any: a module has what it has
        spec, file = getattr(main, "__spec__", None), getattr(main, "__file__", None)
        return str(spec.name) if spec is not None else Path(file).stem if file else module
    top = module.partition(".")[0]
    return top if top in _LIBRARIES or _is_stdlib(top) else module  # pathlib._local, in Python 3.13


@lru_cache(maxsize=1024)
def _is_stdlib(top: str) -> bool:
    if top not in sys.stdlib_module_names:
        return False
    where = getattr(sys.modules.get(top), "__file__", None)
    return where is None or (where.startswith(_STDLIB) and "site-packages" not in where)


def _label(of: object) -> str:
    """`module:qualified.name` of a class or function, the name alone for those that need no import."""
    name = getattr(of, "__qualname__", None) or getattr(of, "__name__", None) or getattr(of, "_name", None)
    if not isinstance(name, str):
        return _label(type(of))
    module = _module(str(getattr(of, "__module__", "?")))
    return name.partition("[")[0] if module in _BARE else f"{module}:{name}"


def _label_of(value: object) -> str:
    return _label(type(value))


def _has_fields(of: object) -> bool:
    """Whether it is a class of the user's that says what its values are made of."""
    module = str(getattr(of, "__module__", "?"))
    if module.partition(".")[0] in _LIBRARIES or _is_stdlib(module.partition(".")[0]):
        return False
    if isinstance(of, (*_ALIASES, NewType)):
        return True
    if not isinstance(of, type):
        return te.is_typeddict(of)
    class_ = cast("type[object]", of)
    named_tuple = tuple in class_.__mro__ and hasattr(class_, "_fields")
    written = named_tuple or te.is_typeddict(class_) or dataclasses.is_dataclass(class_)
    return written or issubclass(class_, (BaseModel, Enum))


def _complete(class_: type[BaseModel]) -> None:
    """Resolve names that were not known yet when the model was defined, as far as they are now."""
    try:
        class_.model_rebuild(raise_errors=False)
    except Exception:  # noqa: BLE001  # the model's own hooks: then it is spelled as far as it is known
        return


def _hints(class_: Any) -> Mapping[str, object]:  # Any: as get_type_hints has it
    try:
        return {name: _unqualified(hint) for name, hint in te.get_type_hints(class_, include_extras=True).items()}
    except Exception:  # noqa: BLE001  # annotations are code: a name that is local to a function, an odd expression
        return {}


def _unqualified(hint: object) -> object:
    qualified = get_origin(hint) in (te.Required, te.NotRequired, te.ReadOnly, te.ClassVar, te.Final)
    return _unqualified(get_args(hint)[0]) if qualified else hint


def _declared(class_: Any, name: str, written: object) -> object:  # Any: a class of any kind
    found = field_type(class_, name)
    return written if found is None or found is Any else found


_LABELS = re.compile(r"[\w.]+:(?=[\w<])")


def without_modules(text: str) -> str:
    """Text with `app.models:Task` said as `Task`."""
    return _LABELS.sub("", text).replace("<locals>.", "")

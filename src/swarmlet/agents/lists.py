"""The lists in an agent's output: where they stand in its JSON, and how their items become values while it is written."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import fields, is_dataclass
from functools import partial
from typing import TYPE_CHECKING, Annotated, Any, NotRequired, Required, TypeAlias, cast, final, get_args, get_origin

from pydantic import AliasChoices, BaseModel, PydanticUndefinedAnnotation, PydanticUserError, RootModel, TypeAdapter
from typing_extensions import ReadOnly, TypeAliasType, is_typeddict

from swarmlet.agents.items import ItemScanner
from swarmlet.graph.types import field_type, item_type
from swarmlet.models.base import Draft

if TYPE_CHECKING:
    from pydantic.fields import FieldInfo

    from swarmlet.agents.items import Keys
    from swarmlet.engine.context import Current
    from swarmlet.policy.taker import ItemPath, Taker

_Read: TypeAlias = Callable[[str], object]
_LISTS = (list, Sequence)
_WRAPS = (Annotated, Required, NotRequired, ReadOnly)
_DEEPEST = 10
"""As deep as the API lets schemas be."""


@final
class Lists:
    """The lists in an output type. `wrapped`: its JSON is `{"value": ...}`."""

    def __init__(self, type_: object, *, wrapped: bool) -> None:
        self._type = type_
        self._root: Keys = ("value",) if wrapped else ()
        self._known: dict[ItemPath, tuple[Keys, _Read] | None] = {}

    @property
    def any(self) -> bool:
        """Whether there is one."""
        return _has_list(self._type, _DEEPEST)

    def drafts(self, step: Current) -> Callable[[], Draft] | None:
        """Makes a listener for each attempt of the step's calls; `None` if nobody can begin with items of its result."""
        taker = step.scope.taker
        if taker is None or taker.step != step.path:
            return None
        lists = {place[0]: (path, place[1]) for path in taker.lists if (place := self._place(path)) is not None}
        return partial(_draft, lists, taker) if lists else None

    def _place(self, path: ItemPath) -> tuple[Keys, _Read] | None:
        """Where the list stands in the JSON, and what reads its items; `None` if that is not clear from the type."""
        if path not in self._known:
            self._known[path] = self._found(path)
        return self._known[path]

    def _found(self, path: ItemPath) -> tuple[Keys, _Read] | None:
        type_, keys, strict = self._type, list(self._root), False
        for name in path:
            owner = _bare(type_)
            inner = next((one for one in _fields(owner) if one[0] == name), None)
            if inner is None:
                return None
            _, key, type_ = inner
            keys += [] if key is None else [key]
            strict = _is_strict(owner)
        item = _item_of(_bare(type_))
        if not item:
            return None
        try:
            adapter: TypeAdapter[object] = TypeAdapter(cast("Any", item[0]))  # Any: the type is known at run time only
        except (PydanticUserError, PydanticUndefinedAnnotation):
            return None
        return tuple(keys), partial(adapter.validate_json, strict=True) if strict else adapter.validate_json


def _draft(lists: dict[Keys, tuple[ItemPath, _Read]], taker: Taker) -> Draft:
    """A listener for one attempt: items that fit are handed on until one does not. The whole reply is judged by others."""
    scanner = ItemScanner(lists)

    def hear(text: str) -> None:
        for keys, index, item in scanner.feed(text):
            path, read = lists[keys]
            try:
                value = read(item)
            except Exception:  # noqa: BLE001  # a user's validators raise what they like
                scanner.stop()
                return
            taker.take(path, index, value)

    return Draft(hear)


def _bare(type_: object) -> object:
    """A type without what is written around it."""
    while isinstance(type_, TypeAliasType) or get_origin(type_) in _WRAPS:
        type_ = type_.__value__ if isinstance(type_, TypeAliasType) else get_args(type_)[0]
    return type_


def _fields(type_: object) -> Iterator[tuple[str, str | None, object]]:
    """The fields of a class: their name, what JSON calls them (`None`: it is the whole) and their type."""
    plain: Any = get_origin(type_) or type_  # Any: a class, if it has fields
    if not isinstance(plain, type):
        return
    yield from _fields_of(plain, type_)


def _fields_of(plain: Any, type_: object) -> Iterator[tuple[str, str | None, object]]:  # Any: what pydantic adds to a class
    if issubclass(plain, BaseModel):
        whole = issubclass(plain, RootModel)
        for name, field in plain.model_fields.items():
            yield name, None if whole else _key(name, field), field.annotation
    elif is_typeddict(plain):
        for name in plain.__annotations__:
            yield name, name, item_type(type_, name)
    elif is_dataclass(plain):
        known = cast("Mapping[str, FieldInfo]", getattr(plain, "__pydantic_fields__", {}))
        for one in fields(plain):
            yield one.name, _key(one.name, known[one.name]) if one.name in known else one.name, field_type(type_, one.name)


def _key(name: str, field: FieldInfo) -> str:
    """What the schema calls a field, and so the model."""
    alias = field.validation_alias or field.alias
    if isinstance(alias, AliasChoices):
        alias = next((one for one in alias.choices if isinstance(one, str)), None)
    return alias if isinstance(alias, str) else name


def _item_of(type_: object) -> tuple[object] | None:
    """The type of the items, if this is a list."""
    origin, args = get_origin(type_) or type_, get_args(type_)
    if origin in _LISTS:
        return (args[0] if args else Any,)
    return (args[0],) if origin is tuple and args[1:] == (Ellipsis,) else None


def _is_strict(type_: object) -> bool:
    """Whether a class says that what is in it must be of the very type."""
    config = getattr(type_, "model_config", None) or getattr(type_, "__pydantic_config__", None)
    return bool(config) and bool(cast("Mapping[str, object]", config).get("strict"))


def _has_list(type_: object, depth: int) -> bool:
    bare = _bare(type_)
    if _item_of(bare) is not None:
        return True
    return depth > 0 and any(_has_list(inner, depth - 1) for _, _, inner in _fields(bare))

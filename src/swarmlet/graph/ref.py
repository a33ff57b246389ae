"""`Ref`: what stands for a value while a graph is being built.

A ref allows what a value of its type would allow as data flow: reading a declared field, a constant item, unpacking a
tuple of known length, being put into a list, tuple, dict or dataclass. Whatever would need the value now cannot work,
because there is none yet; it raises `GraphError` with the source line and the combinator that does it.
"""

from __future__ import annotations

import dataclasses
import inspect
import sys
from abc import ABCMeta
from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cache
from types import FrameType
from typing import TYPE_CHECKING, Any, NamedTuple, NoReturn, SupportsIndex, cast, final, get_args, get_origin

from typing_extensions import TypeIs

from swarmlet.errors import WiringError
from swarmlet.graph.expr import Build, Const, Expr, field_of, item_of
from swarmlet.graph.source import user_line
from swarmlet.graph.types import field_type, item_type, show


class About(NamedTuple):
    """What swarmlet knows of a ref."""

    owner: object
    """What builds the graph that the ref belongs to."""
    graph: str
    """That graph's name."""
    expr: Expr
    """Where its value will come from."""
    type: object
    """The declared type of its value."""
    label: str
    """What to call it in messages."""


@final
class Ref:
    """Stands for a value in the graph that is being built. All its public names are the value's own."""

    __slots__ = ("_about",)

    _about: About

    def __init__(self, about: About) -> None:
        object.__setattr__(self, "_about", about)

    # Data flow

    def __getattr__(self, name: str) -> Any:  # Any: type checkers see the value's own type, never a Ref
        if name == "_about" or (name.startswith("__") and name.endswith("__")):
            raise AttributeError(name)
        found = field_type(self._about.type, name)
        if found is None:
            self._refuse(f"reads .{name}", f"{show(self._about.type)} declares no such field; compute it in a @node")
        return self._part(field_of(self._about.expr, name), found, f".{name}")

    def __getitem__(self, key: object) -> Any:  # Any: as above
        if holds_refs(_bounds(key)):
            self._refuse("is indexed by another ref", "look it up in a @node")
        found = item_type(self._about.type, key)
        if found is None:
            self._refuse(f"reads [{key!r}]", f"{show(self._about.type)} has no such item; take it out in a @node")
        return self._part(item_of(self._about.expr, key), found, f"[{key!r}]")

    def _part(self, expr: Expr, type_: object, label: str) -> Ref:
        known = self._about
        return Ref(known._replace(expr=expr, type=type_, label=f"{known.label}{label}"))

    def __iter__(self) -> Iterator[Any]:  # Any: as above
        whole = item_type(self._about.type, slice(None))
        parts = get_args(whole)
        if get_origin(whole) is not tuple or Ellipsis in parts:
            self._refuse("is iterated over", "each(node)(values) maps a node over a list")
        return (self[index] for index in range(len(parts)))

    # What would need the value now

    def __bool__(self) -> bool:
        self._refuse("is tested for truth", "switch(key, {True: ..., False: ...}) routes by a value")

    def __len__(self) -> int:
        self._refuse("is asked for its length", "count in a @node; loop(...) and each(...) take lists of any length")

    def __contains__(self, item: object) -> bool:
        self._refuse("is searched with `in`", "test for it in a @node, and switch(...) on the answer")

    def __eq__(self, other: object) -> bool:
        self._refuse("is compared", "compare in a @node, and switch(...) on the answer")

    if not TYPE_CHECKING:  # a checker never sees a Ref in these places
        __ne__ = __lt__ = __le__ = __gt__ = __ge__ = __eq__

    def __hash__(self) -> int:
        self._refuse("is hashed", "a value cannot be a dict key or a set member before it exists; do it in a @node")

    def __str__(self) -> str:
        self._refuse("is turned into text", "pass it to an @agent or a @node, and write the f-string there")

    def __format__(self, spec: str) -> str:
        return self.__str__()

    def __call__(self, *_: object, **__: object) -> NoReturn:
        """Refused: methods are called in a @node."""
        self._refuse("is called", "methods are called in a @node; a graph only says where values go")

    def __await__(self) -> NoReturn:
        self._refuse("is awaited", "graph bodies are plain functions: wiring needs no await")

    def __setattr__(self, name: str, value: object) -> None:
        self._refuse("is changed", "make a new value in a @node")

    def __delattr__(self, name: str) -> None:
        self._refuse("is changed", "make a new value in a @node")

    if not TYPE_CHECKING:  # a checker never sees a Ref in these places
        __setitem__, __delitem__ = __setattr__, __delattr__

    def __enter__(self) -> NoReturn:
        self._refuse("is entered", "use `with` in a @node")

    if not TYPE_CHECKING:  # a checker never sees a Ref in these places
        __aenter__ = __exit__ = __aexit__ = __enter__

    def __next__(self) -> NoReturn:
        self._refuse("is iterated over", "each(node)(values) maps a node over a list")

    def _arithmetic(self, *_: object) -> NoReturn:
        self._refuse("is computed with", "compute in a @node")

    if not TYPE_CHECKING:  # a checker never sees a Ref in these places
        __add__ = __sub__ = __mul__ = __matmul__ = __truediv__ = __floordiv__ = __mod__ = __divmod__ = __pow__ = _arithmetic
        __radd__ = __rsub__ = __rmul__ = __rmatmul__ = __rtruediv__ = __rfloordiv__ = __rmod__ = __rdivmod__ = _arithmetic
        __and__ = __or__ = __xor__ = __lshift__ = __rshift__ = __rand__ = __ror__ = __rxor__ = __rlshift__ = _arithmetic
        __rrshift__ = __rpow__ = __neg__ = __pos__ = __abs__ = __invert__ = __round__ = __trunc__ = __floor__ = _arithmetic
        __ceil__ = __int__ = __float__ = __complex__ = __index__ = _arithmetic

    @property  # type: ignore[misc]  # object's own can be set; nobody sets it here
    def __class__(self) -> type:  # pyright: ignore[reportIncompatibleMethodOverride]
        """Asked for by `isinstance`, which would answer for the ref, not for the value."""
        asking = _asking_frame()
        if not str(asking.f_globals.get("__name__", "")).startswith("pydantic"):
            if asking.f_code.co_name in ("__init__", "__post_init__", "__new__"):
                self._refuse("is checked while an object is built from it", "make the class a node: build = node(Class)")
            self._refuse("is asked for its class", "switch(...) routes by type")
        return Ref  # pydantic's own complaint is turned into one about refs when the graph's body ends

    def __reduce_ex__(self, protocol: SupportsIndex, /) -> NoReturn:
        self._refuse("is copied", "pass the ref itself, as often as you like")

    def __repr__(self) -> str:
        return f"<ref {self._about.label}: {show(self._about.type)}>"

    def _refuse(self, what: str, instead: str) -> NoReturn:
        raise WiringError(
            f"{user_line()}: {self._about.label} {what}, but it stands for a value ({show(self._about.type)}) that exists only "
            f"when the graph runs; {instead}"
        )


cast("ABCMeta", Sequence).register(
    Ref
)  # so that a `case [first, *rest]:` asks for its length, which is refused, instead of passing it by


def is_ref(value: object) -> TypeIs[Ref]:
    """Whether `value` is a ref. `isinstance` would ask the ref for its class."""
    return type(value) is Ref


def about(ref: Ref) -> About:
    """What swarmlet knows of a ref."""
    return ref._about  # noqa: SLF001  # pyright: ignore[reportPrivateUsage]  # the public names are the value's


def _asking_frame() -> FrameType:
    """Who asks for a ref's class; `isinstance` with an abstract class asks through a frame of `abc`."""
    frame = sys._getframe(2)  # noqa: SLF001  # pyright: ignore[reportPrivateUsage]  # the only way to the asking frame
    while frame.f_back is not None and frame.f_globals.get("__name__") in ("abc", "_py_abc", "typing", "dataclasses"):
        frame = frame.f_back
    return frame


def refs_in(value: object) -> Iterator[Ref]:
    """All refs inside `value`, at any depth of lists, tuples, dicts and dataclasses."""
    if is_ref(value):
        yield value
    else:
        for part in parts_of(value):
            yield from refs_in(part)


def holds_refs(value: object) -> bool:
    """Whether `value` is a ref or holds one where it would be filled in."""
    return next(refs_in(value), None) is not None


def hidden_refs(value: object) -> Iterator[object]:
    """The objects inside `value` that hold a ref where nothing would fill it in, such as a pydantic model or a deque."""
    parts = parts_of(value)
    if not parts and not is_ref(value) and not callable(value):
        inside = [*_items(value), *getattr(value, "__dict__", {}).values()]
        if any(map(holds_refs, inside)):
            yield value
    for part in parts:
        yield from hidden_refs(part)


def _items(value: object) -> Iterable[object]:
    if isinstance(value, Mapping):
        return cast("Mapping[object, object]", value).values()
    return cast("Iterable[object]", value) if isinstance(value, (list, tuple, deque)) else ()


def parts_of(value: object) -> Sequence[object]:
    """What a container holds that can be put together again from its parts; nothing for anything else."""
    kind: type = type(value)
    if kind in (list, tuple) or _is_named_tuple(kind):
        return cast("Sequence[object]", value)
    if kind is dict:
        return list(cast("dict[object, object]", value).values())
    return [getattr(value, name) for name in _fields(kind)] if hasattr(kind, "__dataclass_fields__") else ()


@cache
def _fields(kind: Any) -> tuple[str, ...]:  # Any: the checkers disagree about what a dataclass is
    """The fields that make a dataclass; none where its constructor asks for something else (`InitVar`, an own `__init__`)."""
    names = tuple(field.name for field in dataclasses.fields(kind) if field.init)
    return names if set(names) == set(inspect.signature(kind).parameters) else ()


def _bounds(key: object) -> object:
    if type(key) is not slice:
        return key
    part = cast("slice[object, object, object]", key)
    return (part.start, part.stop, part.step)


def _is_named_tuple(kind: type) -> bool:
    return tuple in kind.__mro__ and hasattr(kind, "_fields")


def to_expr(value: object) -> Expr:
    """The expression that makes `value` at run time."""
    if is_ref(value):
        return about(value).expr
    if not holds_refs(value):
        return Const(value)
    parts = tuple(to_expr(part) for part in parts_of(value))
    return Build(_Maker(value), parts, _places(value, len(parts)))


def _places(value: object, size: int) -> Mapping[object, int]:
    """Under which names, keys and indexes the parts of `value` are read."""
    kind: type = type(value)
    if isinstance(value, Mapping):
        return {key: index for index, key in enumerate(cast("Mapping[object, object]", value))}
    if hasattr(kind, "__dataclass_fields__"):
        plain = not hasattr(kind, "__post_init__")  # which may put another value in the place of a part
        return {name: index for index, name in enumerate(_fields(cast("Any", kind)))} if plain else {}
    indexes: dict[object, int] = {index: index % size for index in range(-size, size)}
    return indexes | {name: index for index, name in enumerate(getattr(kind, "_fields", ()))}


class _Maker:
    """Puts a container of the same kind as `like` together from its parts."""

    __slots__ = ("keys", "kind")

    def __init__(self, like: object) -> None:
        self.kind: type = type(like)
        self.keys: tuple[object, ...] | None = None
        if isinstance(like, Mapping):
            self.keys = tuple(cast("Mapping[object, object]", like))
        elif hasattr(like, "__dataclass_fields__"):
            self.keys = _fields(cast("Any", self.kind))  # Any: mypy holds classes for unhashable

    def __call__(self, parts: Sequence[object]) -> object:
        if self.keys is None:
            return self.kind(*parts) if _is_named_tuple(self.kind) else self.kind(parts)
        named = dict(zip(self.keys, parts, strict=True))
        return named if self.kind is dict else self.kind(**cast("dict[str, object]", named))

"""`Ref`: what stands for a value while a graph is being built.

A ref allows what a value of its type would allow as data flow: reading a declared field, a constant item, unpacking a
tuple of known length, being put into a list, tuple, dict or dataclass. Whatever would need the value now cannot work,
because there is none yet; it raises `GraphError` with the source line and the combinator that does it.
"""

from __future__ import annotations

import dataclasses
import sys
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple, NoReturn, cast, final, get_args, get_origin

from typing_extensions import TypeIs

from swarmlet.errors import WiringError
from swarmlet.graph.expr import Build, Const, Expr, Field, Item
from swarmlet.graph.source import user_line
from swarmlet.graph.types import field_type, item_type, show

if TYPE_CHECKING:
    from swarmlet.graph.wiring import Builder


class About(NamedTuple):
    """What swarmlet knows of a ref."""

    builder: Builder
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

    def __init__(self, builder: Builder, expr: Expr, type_: object, label: str) -> None:
        self._about = About(builder, expr, type_, label)

    # Data flow

    def __getattr__(self, name: str) -> Any:  # Any: type checkers see the value's own type, never a Ref
        if name.startswith("__") and name.endswith("__"):
            raise AttributeError(name)
        found = field_type(self._about.type, name)
        if found is None:
            self._refuse(f"reads .{name}", f"{show(self._about.type)} declares no such field; compute it in a @node")
        return Ref(self._about.builder, Field(self._about.expr, name), found, f"{self._about.label}.{name}")

    def __getitem__(self, key: object) -> Any:  # Any: as above
        if isinstance(key, Ref):
            self._refuse("is indexed by another ref", "look it up in a @node")
        found = item_type(self._about.type, key)
        if found is None:
            self._refuse(f"reads [{key!r}]", f"{show(self._about.type)} has no such item; take it out in a @node")
        return Ref(self._about.builder, Item(self._about.expr, key), found, f"{self._about.label}[{key!r}]")

    def __iter__(self) -> Iterator[Any]:  # Any: as above
        parts = get_args(self._about.type) if get_origin(self._about.type) is tuple else ()
        if not parts or parts[-1] is Ellipsis:
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

    def _arithmetic(self, *_: object) -> NoReturn:
        self._refuse("is computed with", "compute in a @node")

    __add__ = __radd__ = __sub__ = __rsub__ = __mul__ = __rmul__ = __truediv__ = __rtruediv__ = _arithmetic
    __floordiv__ = __mod__ = __pow__ = __and__ = __or__ = __neg__ = __int__ = __float__ = __index__ = _arithmetic

    @property  # type: ignore[misc]  # object's own can be set; nobody sets it here
    def __class__(self) -> type:  # pyright: ignore[reportIncompatibleMethodOverride]
        """Asked for by `isinstance`, which would answer for the ref, not for the value."""
        if _in_pydantic():
            self._refuse("is given to a pydantic model", "make the model a node: build = node(Model)")
        self._refuse("is asked for its class", "switch(...) routes by type")

    def __repr__(self) -> str:
        return f"<ref {self._about.label}: {show(self._about.type)}>"

    def _refuse(self, what: str, instead: str) -> NoReturn:
        raise WiringError(
            f"{user_line()}: {self._about.label} {what}, but it stands for a value ({show(self._about.type)}) that exists only "
            f"when the graph runs; {instead}"
        )


def is_ref(value: object) -> TypeIs[Ref]:
    """Whether `value` is a ref. `isinstance` would ask the ref for its class."""
    return type(value) is Ref


def about(ref: Ref) -> About:
    """What swarmlet knows of a ref."""
    return ref._about  # noqa: SLF001  # pyright: ignore[reportPrivateUsage]  # the public names are the value's


def _in_pydantic() -> bool:
    frame = sys._getframe(2)  # noqa: SLF001  # pyright: ignore[reportPrivateUsage]  # the only way to the asking frame
    return str(frame.f_globals.get("__name__", "")).startswith("pydantic")


def refs_in(value: object) -> Iterator[Ref]:
    """All refs inside `value`, at any depth of lists, tuples, dicts and dataclasses."""
    if is_ref(value):
        yield value
    else:
        for part in parts_of(value):
            yield from refs_in(part)


def parts_of(value: object) -> Sequence[object]:
    """What a container holds; nothing for anything else."""
    kind: type = type(value)
    if kind in (list, tuple) or _is_named_tuple(kind):
        return cast("Sequence[object]", value)
    if kind is dict:
        return list(cast("dict[object, object]", value).values())
    if dataclasses.is_dataclass(kind):
        return [getattr(value, field.name) for field in dataclasses.fields(kind) if field.init]
    return ()


def _is_named_tuple(kind: type) -> bool:
    return tuple in kind.__mro__ and hasattr(kind, "_fields")


def to_expr(value: object) -> Expr:
    """The expression that makes `value` at run time."""
    if is_ref(value):
        return about(value).expr
    if next(refs_in(value), None) is None:
        return Const(value)
    return Build(_Maker(value), tuple(to_expr(part) for part in parts_of(value)))


class _Maker:
    """Puts a container of the same kind as `like` together from its parts."""

    __slots__ = ("keys", "kind")

    def __init__(self, like: object) -> None:
        self.kind: type = type(like)
        self.keys: tuple[object, ...] | None = None
        if isinstance(like, Mapping):
            self.keys = tuple(cast("Mapping[object, object]", like))
        elif dataclasses.is_dataclass(like):
            self.keys = tuple(field.name for field in dataclasses.fields(like) if field.init)

    def __call__(self, parts: Sequence[object]) -> object:
        if self.keys is None:
            return self.kind(*parts) if _is_named_tuple(self.kind) else self.kind(parts)
        named = dict(zip(self.keys, parts, strict=True))
        return named if self.kind is dict else self.kind(**cast("dict[str, object]", named))

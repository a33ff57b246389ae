"""Types at run time: does a value of this type fit where that type is asked?

Wiring asks this of each edge while a graph is being defined, so that a wrong edge is an error where it was
written, also where no static checker runs. All here are pure functions over typing objects (classes, unions,
generics, aliases); this module knows nothing of nodes, refs or plans.

The answers are *gradual*: "no" is said only where a static checker would say it too. What cannot be known
here (`Any`, an unresolved string, a `ParamSpec`, the signature of a method) fits.

How it works: `_options` opens aliases and unions; `_option_fits` decides one member against another, by the
first line that knows the kind of type; `_view` sees a class as one of its bases (`IntBox` as `Box` is
`[int]`), and `_argument_fits` compares what stands in the brackets by variance.
"""

import re
import typing
from collections import ChainMap, Counter, OrderedDict, abc, defaultdict, deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextvars import ContextVar
from dataclasses import InitVar
from enum import Enum, Flag
from functools import cached_property, lru_cache
from inspect import isdatadescriptor
from types import FunctionType, GenericAlias, NoneType, UnionType
from typing import Any, ForwardRef, Literal, NamedTuple, NewType, TypeVar, cast, get_args, get_origin

import typing_extensions as te
from pydantic import BaseModel, PydanticUserError

_Types = tuple[object, ...]

_UNIONS: _Types = (typing.Union, UnionType)
_QUALIFIERS: _Types = (te.Annotated, te.ClassVar, te.Final, te.Required, te.NotRequired, te.ReadOnly)
_ALIASES: tuple[type, ...] = (te.TypeAliasType, getattr(typing, "TypeAliasType", te.TypeAliasType))
_UNPACKS: _Types = (typing.Unpack, te.Unpack)
_NEVERS: _Types = (te.Never, te.NoReturn)
_CALLABLE: type = cast("Any", abc.Callable)  # a special form to type checkers
_PROMOTED: dict[object, tuple[type, ...]] = {float: (int,), complex: (int, float)}
# What the standard collections do not say of themselves at run time: the variance of their parameters
# (`+` covariant, `-` contravariant, `=` invariant), and what the ones without parameters hold.
_VARIANCES: dict[object, str] = {
    **dict.fromkeys((list, deque, set, abc.MutableSequence, abc.MutableSet, Counter), "="),
    **dict.fromkeys((dict, defaultdict, OrderedDict, ChainMap, abc.MutableMapping), "=="),
    **dict.fromkeys((abc.Sequence, abc.Reversible, abc.Collection, abc.Container, abc.Iterable), "+"),
    **dict.fromkeys((abc.Iterator, abc.AsyncIterable, abc.AsyncIterator, abc.Awaitable, type), "+"),
    **dict.fromkeys((abc.Set, frozenset, abc.KeysView, abc.ValuesView), "+"),
    **dict.fromkeys((abc.Generator, abc.Coroutine), "+-+"),
    abc.AsyncGenerator: "+-",
    abc.ItemsView: "++",
    abc.Mapping: "=+",
}
_INTS = (bytes, bytearray, memoryview, range)
_HOLDS: dict[object, object] = {str: str, BaseModel: tuple[str, Any], **dict.fromkeys(_INTS, int)}
_DEEPEST = 40  # nested further than anyone writes: a type that grows as it recurses


class _Shape(NamedTuple):
    """A class and what stands in its brackets; `args` is None where nothing does (`list`, `IntBox`)."""

    origin: type
    args: _Types | None


# --- the questions --------------------------------------------------------------------------------------


def fits(given: object, wanted: object) -> bool:
    """Whether a value of type `given` may be passed where `wanted` is asked.

    False only where a static checker would flag the edge; what cannot be known fits. As for a checker,
    mutable containers are invariant: `list[bool]` is no `list[int]`, but it is a `Sequence[int]`. A free
    `TypeVar` stands for whatever its bound or constraints let it be. Repeated questions are remembered.
    """
    try:
        return _remembered(given, wanted)
    except TypeError:  # not hashable, such as list[Annotated[int, []]]
        return _fits(given, wanted)


def members(type_: object) -> tuple[object, ...] | None:
    """All values of a finite type, in order: of a `Literal`, enum, `bool`, `None` or a union of these.

    None where the values cannot be listed (`str`, a `Flag`, `Any`).
    """
    values = [_values(option) for option in _options(type_)]
    found = {(type(value), value): value for some in values for value in some or ()}
    return None if None in values else tuple(found.values())


def field_type(owner: object, name: str) -> object | None:
    """The type of `owner.name`: a declared field or property, with the owner's type arguments filled in.

    For a union each member must have the field, and the answer is the union of theirs. None when there is
    no such field (methods are none, nor is what only `__init__` sets); `Any` when there may be one.
    """
    return _of_each(owner, lambda option: _field(option, name))


def item_type(owner: object, key: object) -> object | None:
    """The type of `owner[key]` for a constant key, index or slice; None when it cannot be subscripted so."""
    return _of_each(owner, lambda option: _item(option, key))


def element_type(owner: object) -> object | None:
    """What `for` or `async for` over a value of type `owner` gives; None if it is no collection.

    Text (`str`, `bytes`) and pydantic models could be iterated in Python, but are one value here: None.
    """
    return _of_each(owner, _element)


def without_sources(type_: object) -> object:
    """`type_` without its options that are async iterables, whose values cannot be written down."""
    options = get_args(type_) if get_origin(type_) in _UNIONS else ()
    rest = tuple(option for option in options if get_origin(option) is not abc.AsyncIterable)
    return _join(rest) if 0 < len(rest) < len(options) else type_


def show(type_: object) -> str:
    """A type as a user would write it, without modules: `list[Ticket]`, `Again[Attempt] | Done[Code]`."""
    origin, args = get_origin(type_), get_args(type_)
    if type_ is Ellipsis:
        return "..."
    if isinstance(type_, (str, ForwardRef)):
        return type_ if isinstance(type_, str) else type_.__forward_arg__
    if isinstance(type_, (list, tuple)):  # the parameters of a Callable or a ParamSpec
        return f"[{', '.join(map(show, cast('Iterable[object]', type_)))}]"
    if origin in _UNIONS:
        return " | ".join(map(show, args))
    if origin is Literal:
        return f"Literal[{', '.join(_name(v) if isinstance(v, Enum) else repr(v) for v in args)}]"
    if origin is te.Annotated or origin in _UNPACKS:
        return f"{'*' if origin in _UNPACKS else ''}{show(args[0])}"
    shape = _shape(type_) or _Shape(cast("type", origin or type_), args)
    inside = "()" if shape == (tuple, ()) else ", ".join(map(show, shape.args or ()))
    star = "*" if _unpacked(type_) else ""
    return f"{star}{_name(shape.origin)}[{inside}]" if inside else _name(shape.origin)


def _name(of: object) -> str:
    if of in (None, NoneType):
        return "None"
    if isinstance(of, Enum):
        return f"{_name(type(of))}.{of.name}"
    name: object = getattr(of, "__qualname__", None) or getattr(of, "__name__", None)
    if not isinstance(name, str):
        return re.sub(r"\b(typing|typing_extensions|collections\.abc)\.", "", repr(of))
    return name.rpartition("<locals>.")[2]


# --- taking types apart ---------------------------------------------------------------------------------


def _options(type_: object) -> _Types:
    """The members of a union, aliases and nested unions opened; of another type, the plain type alone."""
    plain = _plain(type_)
    if get_origin(plain) in _UNIONS:
        return tuple(option for arg in get_args(plain) for option in _options(arg))
    return (plain,)


def _plain(type_: object) -> object:
    """`type_` with its outermost aliases and qualifiers taken off: Annotated[Id, "x"] -> int."""
    bare = _unqualified(type_)
    origin = get_origin(bare)
    if isinstance(bare, _ALIASES) or isinstance(origin, _ALIASES):
        return _plain(_alias_value(origin or bare, get_args(bare)))
    return str if bare is te.LiteralString else bare


def _unqualified(type_: object) -> object:
    if get_origin(type_) in _QUALIFIERS:
        return _unqualified(get_args(type_)[0])
    return NoneType if type_ is None else type_


def _alias_value(alias: Any, args: _Types) -> object:
    try:
        value = _evaluated(alias.__value__, alias.__module__)
    except NameError:  # a `type` statement that names what is not defined yet
        return Any
    return _substitute(value, dict(zip(alias.__type_params__, args, strict=False)))


def _shape(type_: object) -> _Shape | None:
    """Class and arguments of a plain type; None for what is no class, such as Any or a forward reference."""
    generic: Any = getattr(type_, "__pydantic_generic_metadata__", None) if isinstance(type_, type) else None
    if generic and generic["origin"]:
        return _Shape(generic["origin"], generic["args"])
    origin = get_origin(type_)
    if isinstance(origin, type):
        return _Shape(origin, get_args(type_) if hasattr(type_, "__args__") else None)
    return _Shape(type_, None) if isinstance(type_, type) and type_ is not Any else None


def _values(option: object) -> _Types | None:
    if option is NoneType or option is bool:
        return (None,) if option is NoneType else (True, False)
    if get_origin(option) is Literal or option in _NEVERS:
        return get_args(option)
    if isinstance(option, type) and issubclass(option, Enum) and not issubclass(option, Flag):
        return tuple(cast("Iterable[object]", option)) or None
    return None


def _stands_for(option: object) -> Iterator[object]:
    """What a value may be treated as: a TypeVar's bound, a NewType's supertype, the classes of a Literal."""
    if get_origin(option) is Literal:
        yield from (type(value) for value in get_args(option))
    elif isinstance(option, (TypeVar, NewType)):
        bounds = _bounds(option) if isinstance(option, TypeVar) else (option.__supertype__,)
        for bound in bounds:
            for inner in _options(bound):
                yield from _stands_for(inner)
    else:
        yield option


def _bounds(variable: TypeVar) -> _Types:
    return variable.__constraints__ or (Any if variable.__bound__ is None else variable.__bound__,)


def _unpacked(type_: object) -> bool:
    return bool(getattr(type_, "__unpacked__", False)) or get_origin(type_) in _UNPACKS


def _join(options: Iterable[object]) -> object:
    """The union; Any if one of them is, or if there are none."""
    types, union = tuple(options), cast("Any", typing.Union)
    return Any if not types or any(option is Any for option in types) else union[types]


# --- generics -------------------------------------------------------------------------------------------


def _params(generic: object) -> _Types:
    """The free type parameters of a class or of an alias: (T,) of Box and of list[T]."""
    pydantic: Any = getattr(generic, "__pydantic_generic_metadata__", None)
    params: object = pydantic["parameters"] if pydantic else getattr(generic, "__parameters__", None)
    if isinstance(params, tuple):
        return cast("_Types", params)
    bases = te.get_original_bases(generic) if isinstance(generic, type) else ()
    return tuple(dict.fromkeys(param for base in bases if get_origin(base) for param in _params(base)))


def _bind(shape: _Shape) -> dict[object, object]:
    """What each type parameter of the class stands for; where nothing is said, Any."""
    params, args = _params(shape.origin), shape.args
    known = args is not None and len(args) == len(params)
    return dict(zip(params, args if known and args else (Any,) * len(params), strict=True))


def _substitute(type_: object, binding: Mapping[object, object]) -> object:
    """`type_` with its type variables replaced: list[T], {T: int} -> list[int]."""
    if isinstance(type_, TypeVar):
        return binding.get(type_, type_)
    parts = (_substitute(arg, binding) for arg in get_args(type_))
    if get_origin(type_) in _UNIONS:  # by hand, as typing overlooks the parameters of a pydantic class
        return _join(parts)
    if type(type_) is GenericAlias and not _unpacked(type_):
        return GenericAlias(cast("type", type_.__origin__), tuple(parts))
    is_bare = isinstance(type_, type) and get_origin(type_) is None and not issubclass(type_, BaseModel)
    if is_bare or not (params := _params(type_)):
        return type_
    try:
        return cast("Any", type_)[tuple(binding.get(param, param) for param in params)]
    except (TypeError, NameError, PydanticUserError):  # an odd ParamSpec, or what pydantic cannot hold
        return Any


def _view(shape: _Shape, target: type) -> _Types | None:
    """The arguments of `target` when the class is seen as that base of it; None when nothing is said."""
    origin, args = shape
    if origin is target:
        return args
    if target in _VARIANCES and (origin in _HOLDS or origin in _VARIANCES or origin is tuple):
        return _standard_view(origin, args, target)
    views = (_view(base, target) for base in map(_shape, _bases(shape)) if base)
    return next((view for view in views if view is not None), None)


def _standard_view(origin: type, args: _Types | None, target: type) -> _Types | None:
    """Standard collections hand their arguments up in order: dict[str, int] is an Iterable[str]."""
    if origin in _HOLDS:
        return (_HOLDS[origin],)
    if args is None or origin is type:
        return None
    if origin is tuple or origin is abc.ItemsView:
        return (_join(_elements(args)) if origin is tuple else GenericAlias(tuple, args),)
    if origin is abc.Coroutine:
        return args[2:]
    return (*args, int)[: len(_VARIANCES[target])]  # the int: Counter[str] is a dict[str, int]


def _bases(shape: _Shape) -> Iterator[object]:
    """The bases of a class, its arguments handed up: of Shelf[int], if Shelf(Sequence[T]), Sequence[int]."""
    origin, binding = shape.origin, _bind(shape)
    if te.is_typeddict(origin):
        yield abc.Mapping[str, object]
    elif tuple in origin.__bases__ and (names := getattr(origin, "_fields", ())):
        hints = (_own_hint(origin, name) for name in names)
        yield GenericAlias(tuple, tuple(_substitute(hint or Any, binding) for hint in hints))
    else:
        yield from (_substitute(base, binding) for base in te.get_original_bases(origin))


def _elements(args: _Types) -> Iterator[object]:
    """The types that stand in a tuple: of (int, ...) it is int; an unpacked part may hold anything."""
    return (Any if _unpacked(arg) else arg for arg in args if arg is not Ellipsis)


def _at(args: _Types | None, place: int) -> object:
    return args[place] if args is not None and place < len(args) else Any


# --- fitting --------------------------------------------------------------------------------------------

# The pairs being compared further out: a recursive type comes back to its own question, and is then assumed
# to fit, as type checkers do.
_open: ContextVar[tuple[tuple[object, object], ...]] = ContextVar("open pairs", default=())


@lru_cache(maxsize=4096)
def _remembered(given: object, wanted: object) -> bool:
    return _fits(given, wanted)


def _fits(given: object, wanted: object) -> bool:
    """Every option of `given` must fit some option of `wanted`."""
    pair, outer = (given, wanted), _open.get()
    if pair in outer or len(outer) > _DEEPEST:
        return True
    token = _open.set((*outer, pair))
    try:
        wants = _options(wanted)
        return all(any(_option_fits(g, w) for w in wants) or _values_fit(g, wants) for g in _options(given))
    finally:
        _open.reset(token)


def _option_fits(given: object, wanted: object) -> bool:
    if wanted is object or given == wanted or given in _NEVERS or Any in getattr(given, "__mro__", (given,)):
        return True
    if isinstance(wanted, TypeVar):
        return any(_fits(given, bound) for bound in _bounds(wanted))
    if isinstance(given, TypeVar):  # it may still become what is asked: a T bound to Animal, a Dog
        return any(_fits(bound, wanted) or _fits(wanted, bound) for bound in _bounds(given))
    if isinstance(given, NewType):
        return _fits(given.__supertype__, wanted)
    if Literal in (get_origin(given), get_origin(wanted)):
        return _values_fit(given, (wanted,))
    source, target = _shape(given), _shape(wanted)
    if target is None:  # Any, a forward reference, ...
        return source is None or not (wanted in _NEVERS or isinstance(wanted, NewType))
    return source is None or _class_fits(source, target)


def _values_fit(given: object, wants: _Types) -> bool:
    """Whether `given` is finite and each of its values fits: bool into Literal[True] | Literal[False]."""
    values = _values(given)
    return values is not None and all(any(_value_fits(value, want) for want in wants) for value in values)


def _value_fits(value: object, wanted: object) -> bool:
    if get_origin(wanted) is Literal:
        return any(type(value) is type(allowed) and value == allowed for allowed in get_args(wanted))
    return _option_fits(type(value), wanted)


def _class_fits(source: _Shape, target: _Shape) -> bool:
    """One class into another: by what it can do, by its keys or members, or by its name and arguments."""
    if target.origin is _CALLABLE:
        return _callable_fits(source, target.args or (..., Any))
    if te.is_typeddict(target.origin):
        keys = _keys(target, "required") | _keys(target, "optional")
        return te.is_typeddict(source.origin) and all(_key_fits(source, target, key) for key in keys)
    if te.is_protocol(target.origin) and target.origin not in source.origin.__mro__:
        return all(_member_fits(source, target, name) for name in te.get_protocol_members(target.origin))
    if not _derives(source, target.origin):
        return issubclass(source.origin, _PROMOTED.get(target.origin, ()))
    args = _view(source, target.origin)
    if args is None or target.args is None:
        return True
    if target.origin is tuple:
        return _tuple_fits(args, target.args)
    variances = (_variance(target.origin, place) for place in range(len(target.args)))
    return all(map(_argument_fits, args, target.args, variances))


def _derives(source: _Shape, target: type) -> bool:
    cls = abc.Mapping if te.is_typeddict(source.origin) else source.origin
    if cls is type and (inner := _shape(_plain(_at(source.args, 0)))):
        cls = type(inner.origin)  # a value of type[Color] is a class: an instance of EnumType
    try:
        return issubclass(cls, target)
    except TypeError:  # a class that refuses the question
        return True


def _variance(origin: type, place: int) -> str:
    if origin in _VARIANCES:
        return _VARIANCES[origin][place : place + 1]
    param = _at(_params(origin), place)
    if not isinstance(param, TypeVar) or getattr(param, "__infer_variance__", False):
        return "?"
    return "+" if param.__covariant__ else "-" if param.__contravariant__ else "="


def _argument_fits(given: object, wanted: object, variance: str) -> bool:
    upwards = variance != "-" and _fits(given, wanted)
    if variance == "+" or (variance == "=" and not upwards):
        return upwards
    return (upwards and variance == "?") or _fits(wanted, given)  # "?": not declared, so one way must do


def _tuple_fits(given: _Types, wanted: _Types) -> bool:
    if any(map(_unpacked, given + wanted)) or given == (Any, ...):
        return True
    if Ellipsis in wanted:
        return all(_fits(element, wanted[0]) for element in _elements(given))
    return Ellipsis not in given and len(given) == len(wanted) and all(map(_fits, given, wanted))


def _callable_fits(source: _Shape, wanted: _Types) -> bool:
    """What is called with `wanted[0]` and gives `wanted[1]`; only a Callable tells what it takes."""
    if source.origin is type:
        return _fits(_at(source.args, 0), wanted[1])
    if source.origin is not _CALLABLE:
        return _find(source.origin, "__call__") is not None
    given = source.args or (..., Any)
    return _fits(given[1], wanted[1]) and _takes(given[0], wanted[0])


def _takes(given: object, wanted: object) -> bool:
    if not (isinstance(given, list) and isinstance(wanted, list)):
        return True  # `...`, a ParamSpec or a Concatenate
    ours, theirs = cast("list[object]", given), cast("list[object]", wanted)
    return any(map(_unpacked, ours + theirs)) or (len(ours) == len(theirs) and all(map(_fits, theirs, ours)))


def _key_fits(source: _Shape, target: _Shape, key: str) -> bool:
    """One key of a TypedDict: it may be written through either name, so its type and presence must agree."""
    given, wanted = _declared(source, key), _declared(target, key)
    may_miss, must_be = key not in _keys(source, "required"), key in _keys(target, "required")
    if given is None or (must_be and may_miss):
        return False
    if key in _keys(target, "readonly"):
        return _fits(given, wanted)
    writable = key not in _keys(source, "readonly") and may_miss != must_be
    return writable and _argument_fits(given, wanted, "=")


def _keys(typed_dict: _Shape, kind: str) -> frozenset[str]:
    return getattr(typed_dict.origin, f"__{kind}_keys__", frozenset())


def _member_fits(source: _Shape, target: _Shape, name: str) -> bool:
    """One member of a Protocol: no, if it is surely missing or is a field of another type."""
    given, wanted = _declared(source, name), _declared(target, name)
    if given is not None:
        return wanted is None or _fits(given, wanted)
    if source.origin is type or _find(source.origin, name) is not None or _is_dynamic(source.origin):
        return True
    return wanted is not None and _sets_own_fields(source.origin)


def _sets_own_fields(origin: type) -> bool:
    """Whether a hand-written `__init__` may set fields that are declared nowhere."""
    declares = ("__dataclass_fields__", "__pydantic_fields__")
    is_plain = not te.is_protocol(origin) and all(_find(origin, name) is None for name in declares)
    return is_plain and isinstance(_find(origin, "__init__"), FunctionType)


def _find(origin: type, name: str) -> object | None:
    """What the class or a base has under a name, its metaclass aside; `__hash__ = None` counts as nothing."""
    classes = FunctionType.__mro__ if origin is _CALLABLE else origin.__mro__
    return next((vars(cls)[name] for cls in classes if name in vars(cls)), None)


def _is_dynamic(origin: type) -> bool:
    """Whether attributes may come from `__getattr__` (pydantic's own only finds private ones)."""
    return _find(origin, "__getattr__") is not None and not issubclass(origin, BaseModel)


# --- fields, items, elements ----------------------------------------------------------------------------


def _of_each(owner: object, ask: Callable[[object], object | None]) -> object | None:
    """Asks every option of `owner`: the union of the answers, or None if one of them has none."""
    answers = [ask(low) for option in _options(owner) for low in _stands_for(option)]
    return None if None in answers or not answers else _join(answers)


def _field(option: object, name: str) -> object | None:
    shape = _shape(option)
    if shape is None:
        return Any
    if te.is_typeddict(shape.origin) or (name.startswith("__") and name.endswith("__")):
        return None
    return _declared(shape, name) or (Any if _is_dynamic(shape.origin) else None)


def _declared(shape: _Shape, name: str) -> object | None:
    """The type of a field or property as the class that declares it says, type arguments filled in."""
    for cls in shape.origin.__mro__:
        hint = _own_hint(cls, name)
        if hint is not None:
            return _substitute(hint, _bind(_Shape(cls, _view(shape, cls))))
    return None


def _own_hint(cls: type, name: str) -> object | None:
    """What this class itself (not a base) declares for `name`: an annotation or a property."""
    hints, found = _hints(cls), cast("Any", vars(cls).get(name))
    scope = {_name(param): param for param in _params(cls)} | dict(vars(cls))
    if name in hints:
        hint = _evaluated(hints[name], cls.__module__, scope)
        return None if isinstance(hint, InitVar) else hint
    if isinstance(found, (property, cached_property)):
        getter: Any = found.fget if isinstance(found, property) else found.func
        return _evaluated(_hints(getter).get("return", Any), getter.__module__, scope)
    return Any if isdatadescriptor(found) else None


def _hints(of: Any) -> Mapping[str, object]:
    hints: Mapping[str, object] = te.get_annotations(of, format=te.Format.FORWARDREF)
    known: Any = getattr(of, "__pydantic_fields__", {})  # there also what is local to a function is resolved
    return {name: known[name].annotation if name in known else hint for name, hint in hints.items()}


def _evaluated(hint: object, module: str, scope: Mapping[str, object] | None = None) -> object:
    """`hint` with the strings in it replaced by the types they name; Any if they name nothing (yet)."""
    holder: Any = type("holder", (), {"__annotations__": {"it": hint}, "__module__": module})
    try:
        return _unqualified(te.get_type_hints(holder, localns=dict(scope or {}))["it"])
    except (NameError, AttributeError, TypeError, SyntaxError):
        return Any


def _item(option: object, key: object) -> object | None:
    shape = _shape(option)
    if shape is None:
        return Any
    if te.is_typeddict(shape.origin):
        return _declared(shape, key) if isinstance(key, str) else None
    if _derives(shape, tuple):
        return _tuple_item(_view(shape, tuple) or (Any, ...), key)
    if _derives(shape, abc.Mapping):
        args = _view(shape, abc.Mapping)
        return _at(args, 1) if any(_value_fits(key, want) for want in _options(_at(args, 0))) else None
    if _derives(shape, abc.Sequence):
        held = _at(_view(shape, abc.Sequence), 0)
        sliced = GenericAlias(list, (held,)) if _derives(shape, list) else option
        return held if isinstance(key, int) else sliced if isinstance(key, slice) else None
    return None if _find(shape.origin, "__getitem__") is None else Any


def _tuple_item(args: _Types, key: object) -> object | None:
    if not isinstance(key, (int, slice)) or any(map(_unpacked, args)):
        return Any if isinstance(key, (int, slice)) else None
    if isinstance(key, slice):
        return GenericAlias(tuple, args if Ellipsis in args else args[key])
    if Ellipsis in args:
        return args[0]
    return args[key] if -len(args) <= key < len(args) else None


def _element(option: object) -> object | None:
    shape = _shape(option)
    if shape is None:
        return Any
    if issubclass(shape.origin, (str, bytes, bytearray, BaseModel)):
        return None
    targets = (target for target in (abc.Iterable, abc.AsyncIterable) if _derives(shape, target))
    return next((_at(_view(shape, target), 0) for target in targets), None)

"""What `fits` answers is what mypy and pyright answer: the tables below are checked against both.

A row is `given -> wanted`, in the words of this module. For the checkers each row becomes a function
(`def row(value: given) -> wanted: return value`) below a copy of those words.
"""

import collections
import enum
import functools
import inspect
import json
import re
import subprocess
import sys
import typing
from collections import abc
from dataclasses import InitVar, dataclass
from pathlib import Path
from types import new_class

import pytest
import typing_extensions as te
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, ConfigDict, JsonValue

from swarmlet.graph import types
from swarmlet.graph.types import element_type, field_type, fits, item_type, members, show

# --- words of the tables --------------------------------------------------------------------------------

T = typing.TypeVar("T")
U = typing.TypeVar("U")
K = typing.TypeVar("K")
P = te.ParamSpec("P")
Ts = te.TypeVarTuple("Ts")
T_co = typing.TypeVar("T_co", covariant=True)
T_contra = typing.TypeVar("T_contra", contravariant=True)


class Animal: ...


class Dog(Animal): ...


class Cat(Animal): ...


A = typing.TypeVar("A", bound=Animal)
Text = typing.TypeVar("Text", str, bytes)
UserId = te.NewType("UserId", int)
AdminId = te.NewType("AdminId", UserId)
Pets = te.TypeAliasType("Pets", Dog | Cat)
Pair = te.TypeAliasType("Pair", tuple[T, T], type_params=(T,))
Json = te.TypeAliasType("Json", "dict[str, Json] | list[Json] | str | None")
Yson = te.TypeAliasType("Yson", "dict[str, Yson] | list[Yson] | str | int | None")
Tree = te.TypeAliasType("Tree", "frozenset[Tree] | int")
Bush = te.TypeAliasType("Bush", "frozenset[Bush] | int | str")


class Color(enum.Enum):
    RED = "r"
    BLUE = "b"


class Word(enum.StrEnum):
    YES = "yes"
    NO = "no"


class Size(enum.IntEnum):
    S = 1


class Mode(enum.Flag):
    R = 1
    W = 2


@dataclass(frozen=True)
class Again(typing.Generic[T_co]):
    state: T_co


@dataclass(frozen=True)
class Done(typing.Generic[T_co]):
    result: T_co


class Box(typing.Generic[T]):
    """An invariant container: it is read and written."""

    def get(self) -> T:
        raise NotImplementedError

    def put(self, item: T) -> None:
        raise NotImplementedError


class IntBox(Box[int]): ...


class ListBox(Box[list[U]]): ...


class Sink(typing.Generic[T_contra]):
    def put(self, item: T_contra) -> None:
        raise NotImplementedError


class Step(typing.Generic[P, T_co]):
    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> T_co:
        raise NotImplementedError


class Shelf(abc.Sequence[T_co]):
    """A generic class on an abstract collection."""

    def __len__(self) -> int:
        return 0

    @typing.overload
    def __getitem__(self, index: int) -> T_co: ...
    @typing.overload
    def __getitem__(self, index: slice) -> "Shelf[T_co]": ...
    def __getitem__(self, index: int | slice) -> "T_co | Shelf[T_co]":
        raise IndexError(index)


class Names(list[str]): ...


class Page(BaseModel, typing.Generic[T]):
    items: list[T]
    total: int = 0
    next: "Page[T] | None" = None

    @property
    def first(self) -> T:
        return self.items[0]


class IntPage(Page[int]): ...


class SubPage(Page[U], typing.Generic[U, K]):
    extra: dict[K, U]


class Book(BaseModel, typing.Generic[U]):
    pages: list[Page[U]]
    notes: "dict[str, Page[U] | None]" = {}


class Ticket(BaseModel):
    model_config = ConfigDict(frozen=True)
    title: str
    id: int


@dataclass
class Note:
    title: str
    made: InitVar[int]
    kind: typing.ClassVar[str] = "note"
    tag: te.Annotated[str, []] = ""


class Point(typing.NamedTuple):
    x: int
    y: str


class Tagged(typing.NamedTuple, typing.Generic[T]):
    tag: str
    value: T


class Movie(te.TypedDict):
    title: str
    year: int


class RatedMovie(Movie):
    stars: te.NotRequired[int]


class Titled(te.TypedDict):
    title: str


class MaybeTitled(te.TypedDict):
    title: te.NotRequired[str]


class ReadTitled(te.TypedDict):
    title: te.ReadOnly[object]


class Wrapped(te.TypedDict, typing.Generic[T]):
    value: T


class HasTitle(typing.Protocol):
    @property
    def title(self) -> str: ...


class HasIntTitle(typing.Protocol):
    @property
    def title(self) -> int: ...


class Closes(typing.Protocol):
    def close(self) -> None: ...


class Holds(typing.Protocol[T_co]):
    @property
    def value(self) -> T_co: ...


class Linked(typing.Protocol):
    @property
    def link(self) -> "Linked": ...


class File:
    def close(self) -> None: ...


class Valued:
    def __init__(self, value: int) -> None:
        self.value: int = value


class Chain:
    link: "Chain"


class CallsOut:
    def __call__(self, x: int) -> str:
        return str(x)


class AnyChild(typing.Any): ...  # type: ignore[misc] # what mypy forbids, stubs of untyped libraries do


class Plan(Step[P, T_co]): ...


# --- the tables -----------------------------------------------------------------------------------------

FITS = """
# anything
int -> typing.Any
typing.Any -> int
int -> object
object -> object
None -> object
te.Never -> int
typing.NoReturn -> str
list[typing.Any] -> list[int]
list[int] -> list[typing.Any]
list -> list[int]
list[int] -> list
AnyChild -> int
# None and unions
None -> None
None -> int | None
int -> typing.Optional[int]
int -> int | str
int | str -> str | int
int | str -> int | str | None
bool | None -> typing.Union[int, None]
typing.Union[int, str] -> object
Pets -> Animal
Dog -> Pets
Pets -> Dog | Cat | None
list[int | str] -> list[str | int]
# numbers and text
bool -> int
int -> float
float -> complex
int -> complex
bool -> float
int | float -> float
str -> abc.Sequence[str]
str -> abc.Iterable[str]
str -> abc.Hashable
bytes -> abc.Sequence[int]
range -> abc.Sequence[int]
te.LiteralString -> str
# literals and enums
typing.Literal['a'] -> str
typing.Literal['a'] -> typing.Literal['a', 'b']
typing.Literal['a', 'b'] -> typing.Literal['a'] | typing.Literal['b']
typing.Literal['a', 1] -> str | int
typing.Literal[1] -> float
typing.Literal[True] -> bool
typing.Literal[True] -> int
bool -> typing.Literal[True, False]
bool -> typing.Literal[True] | typing.Literal[False]
typing.Literal[None] -> None
None -> typing.Literal[None]
typing.Literal[Color.RED] -> Color
Color -> typing.Literal[Color.RED, Color.BLUE]
Color -> typing.Literal[Color.RED, Color.BLUE] | None
typing.Literal[Word.YES] -> str
Word -> str
Size -> int
typing.Literal['a'] -> abc.Sequence[str]
# wrappers, aliases, new types, variables
typing.Annotated[int, "metres"] -> int
int -> typing.Annotated[int, "metres"]
list[typing.Annotated[int, "metres"]] -> list[int]
UserId -> int
UserId -> float
AdminId -> UserId
AdminId -> int
list[UserId] -> abc.Sequence[int]
Pair[int] -> tuple[int, int]
tuple[bool, int] -> Pair[int]
Tree -> Bush
Json -> object
str -> Json
list[JsonValue] -> JsonValue
dict[str, Json] -> Json
# builtin collections
list[int] -> abc.Sequence[int]
list[bool] -> abc.Sequence[int]
list[bool] -> abc.Iterable[float]
list[int] -> abc.MutableSequence[int]
list[int] -> abc.Collection[object]
list[int] -> abc.Sized
list[int] -> typing.List[int]
typing.List[int] -> list[int]
set[int] -> abc.Set[int]
set[bool] -> abc.Set[int]
frozenset[bool] -> frozenset[int]
frozenset[int] -> abc.Hashable
collections.deque[int] -> abc.Sequence[int]
dict[str, int] -> abc.Mapping[str, int]
dict[str, bool] -> abc.Mapping[str, int]
dict[str, int] -> abc.Iterable[str]
dict[str, int] -> abc.Iterable[object]
dict[str, int] -> abc.Container[str]
collections.defaultdict[str, int] -> dict[str, int]
collections.OrderedDict[str, int] -> abc.Mapping[str, int]
collections.Counter[str] -> dict[str, int]
collections.Counter[str] -> abc.Mapping[str, float]
collections.ChainMap[str, int] -> abc.MutableMapping[str, int]
abc.KeysView[str] -> abc.Set[str]
abc.ItemsView[str, int] -> abc.Iterable[tuple[str, int]]
abc.ValuesView[bool] -> abc.Iterable[int]
abc.Generator[int, None, None] -> abc.Iterator[int]
abc.Generator[int, object, bool] -> abc.Generator[float, str, int]
abc.AsyncGenerator[int, None] -> abc.AsyncIterable[float]
abc.Coroutine[typing.Any, typing.Any, int] -> abc.Awaitable[float]
# tuples
tuple[int, str] -> tuple[int, str]
tuple[bool, str] -> tuple[int, str]
tuple[()] -> tuple[int, ...]
tuple[()] -> tuple[()]
tuple[int, bool] -> tuple[int, ...]
tuple[int, ...] -> tuple[float, ...]
tuple[typing.Any, ...] -> tuple[int, str]
tuple -> tuple[int, str]
tuple[int, str] -> tuple
tuple[int, str] -> abc.Sequence[int | str]
tuple[int, ...] -> abc.Sequence[int]
tuple[int, te.Unpack[tuple[str, ...]]] -> tuple[int, te.Unpack[tuple[str, ...]]]
Point -> tuple[int, str]
Point -> abc.Sequence[int | str]
Point -> abc.Iterable[object]
Tagged[int] -> tuple[str, int]
# classes and their arguments
Dog -> Animal
IntBox -> Box[int]
IntBox -> Box
Box -> Box[int]
ListBox[int] -> Box[list[int]]
Shelf[int] -> abc.Sequence[int]
Shelf[bool] -> Shelf[int]
Shelf[bool] -> abc.Iterable[float]
Names -> list[str]
Names -> abc.Iterable[str]
Again[Dog] -> Again[Animal]
Again[Dog] -> Again[Animal] | Done[int]
Again[int] | Done[str] -> Again[float] | Done[str | None]
Again[Dog] | Again[Cat] -> Again[Animal]
Sink[Animal] -> Sink[Dog]
Step[[int], bool] -> Step[[int], int]
Plan[[int], bool] -> Step[[int], int]
Step[[int], str] -> Step[..., str]
Page[int] -> Page[int]
IntPage -> Page[int]
IntPage -> Page
IntPage -> BaseModel
Page -> Page[int]
SubPage[int, str] -> Page[int]
Page[typing.Any] -> Page[int]
Ticket -> BaseModel
# callables and classes as values
abc.Callable[[int], str] -> abc.Callable[[int], str]
abc.Callable[[Animal], Dog] -> abc.Callable[[Dog], Animal]
abc.Callable[..., str] -> abc.Callable[[int], str]
abc.Callable[[int], str] -> abc.Callable[..., object]
abc.Callable[[int], str] -> abc.Callable
abc.Callable[[int], str] -> typing.Callable[[int], str]
abc.Callable[[int], str] -> abc.Hashable
abc.Callable[te.Concatenate[int, ...], str] -> abc.Callable[[int, str], str]
CallsOut -> abc.Callable[[int], str]
type[Dog] -> abc.Callable[..., Animal]
type[Dog] -> type[Animal]
type[Dog] -> type
type -> type[Dog]
type[Dog] -> type[typing.Any]
type[Dog] -> type[Dog | Cat]
type[Color] -> enum.EnumMeta
type[Color] -> abc.Iterable[Color]
# protocols
Ticket -> HasTitle
Note -> HasTitle
File -> Closes
Valued -> Holds[int]
Point -> typing.Sized
int -> typing.SupportsInt
int -> typing.SupportsFloat
Chain -> Linked
AnyChild -> Closes
# typed dicts
Movie -> Movie
RatedMovie -> Movie
Movie -> Titled
Movie -> ReadTitled
Movie -> abc.Mapping[str, object]
Wrapped[int] -> Wrapped[int]
"""

FLAGGED = """
# anything
int -> te.Never
object -> int
object -> None
# None and unions
None -> int
int -> None
int | None -> int
int | str -> int
int | str | None -> int | str
Pets -> Dog
Animal -> Pets
list[int] | None -> list[int]
# numbers and text
int -> bool
float -> int
complex -> float
str -> int
int -> str
bytes -> str
str -> bytes
str -> list[str]
str -> abc.Sequence[int]
int -> te.LiteralString
bytearray -> bytes
# literals and enums
str -> typing.Literal['a']
typing.Literal['a', 'b'] -> typing.Literal['a']
typing.Literal['a'] -> int
typing.Literal['a'] -> None
typing.Literal[1] -> typing.Literal[True]
typing.Literal[True] -> typing.Literal[1]
typing.Literal[1] -> typing.Literal[2]
bool -> typing.Literal[True]
int -> typing.Literal[0, 1]
typing.Literal[Color.RED] -> typing.Literal[Color.BLUE]
Color -> typing.Literal[Color.RED]
Mode -> typing.Literal[Mode.R, Mode.W]
Color -> str
str -> Color
typing.Literal['r'] -> Color
typing.Literal['yes'] -> Word
list[typing.Literal['a']] -> list[str]
# wrappers, aliases, new types
typing.Annotated[int, "metres"] -> str
int -> UserId
typing.Literal[1] -> UserId
UserId -> AdminId
UserId -> str
list[UserId] -> list[int]
Pair[str] -> tuple[int, int]
tuple[int, str] -> Pair[int]
int -> Json
bytes -> JsonValue
Json -> Yson
Bush -> Tree
# builtin collections
list[int] -> abc.Sequence[str]
list[int] -> list[float]
list[bool] -> list[int]
list[int] -> list[int | None]
list[int] -> list[object]
list[int] -> set[int]
list[int] -> tuple[int, ...]
list[int] -> abc.Iterator[int]
list[int] -> abc.Hashable
list[int] -> int
abc.Sequence[int] -> list[int]
abc.Iterable[int] -> abc.Sequence[int]
set[bool] -> set[int]
set[int] -> abc.Sequence[int]
frozenset[int] -> frozenset[bool]
dict[str, int] -> dict[str, float]
dict[str, int] -> abc.Mapping[str, str]
dict[bool, int] -> abc.Mapping[int, int]
dict[str, int] -> abc.Iterable[int]
dict[str, int] -> abc.Sequence[str]
abc.Mapping[str, int] -> dict[str, int]
collections.Counter[str] -> dict[str, str]
abc.ItemsView[str, int] -> abc.Iterable[str]
abc.Generator[int, str, None] -> abc.Generator[int, object, None]
abc.AsyncIterator[int] -> abc.Iterator[int]
abc.Coroutine[typing.Any, typing.Any, int] -> abc.Awaitable[str]
abc.Awaitable[int] -> int
# tuples
tuple[int, str] -> tuple[int, int]
tuple[int] -> tuple[int, int]
tuple[int, int] -> tuple[()]
tuple[int, ...] -> tuple[int, int]
tuple[int, str] -> tuple[int, ...]
tuple[int, str] -> list[int]
tuple[int, str] -> abc.Sequence[int]
Point -> tuple[str, int]
Point -> abc.Sequence[int]
tuple[int, str] -> Point
Tagged[int] -> tuple[str, str]
Tagged[int] -> Tagged[str]
# classes and their arguments
Animal -> Dog
Dog -> Cat
IntBox -> Box[str]
IntBox -> Box[float]
Box[Dog] -> Box[Animal]
Box[int] -> IntBox
ListBox[int] -> Box[list[str]]
Shelf[int] -> abc.Sequence[str]
Names -> list[int]
Names -> abc.Iterable[int]
Again[Animal] -> Again[Dog]
Again[int] -> Done[int]
Again[int] | Done[str] -> Again[int] | Done[int]
Sink[Dog] -> Sink[Animal]
Step[[int], str] -> Step[[int], int]
Plan[[int], str] -> Step[[int], int]
Page[int] -> Page[str]
Page[bool] -> Page[int]
IntPage -> Page[str]
SubPage[int, str] -> Page[str]
SubPage[int, str] -> SubPage[int, int]
BaseModel -> Ticket
Ticket -> Note
Ticket -> dict[str, typing.Any]
Page[int] -> abc.Iterable[int]
# callables and classes as values
abc.Callable[[int], str] -> abc.Callable[[int], int]
abc.Callable[[int], str] -> abc.Callable[[], str]
abc.Callable[[int], str] -> abc.Callable[[int, int], str]
abc.Callable[[Dog], Dog] -> abc.Callable[[Animal], Dog]
abc.Callable[[int], str] -> str
Ticket -> abc.Callable[..., typing.Any]
int -> abc.Callable[..., typing.Any]
type[Dog] -> abc.Callable[..., Cat]
type[Animal] -> type[Dog]
type[Dog] -> Dog
Dog -> type[Dog]
type[Dog] -> enum.EnumMeta
# protocols
Ticket -> HasIntTitle
Ticket -> Closes
int -> HasTitle
Valued -> Closes
str -> typing.SupportsInt
abc.Callable[[int], str] -> Closes
None -> Closes
# typed dicts
Titled -> Movie
Movie -> MaybeTitled
MaybeTitled -> Titled
Movie -> dict[str, typing.Any]
Movie -> abc.Mapping[str, int]
dict[str, typing.Any] -> Movie
Wrapped[int] -> Wrapped[str]
"""

# What checkers flag and `fits` lets through: it cannot be sure at run time, or must not be.
LENIENT = """
A -> Dog
T -> int
str -> te.LiteralString
Valued -> Holds[str]
Step[[int], str] -> Step[[str], str]
CallsOut -> abc.Callable[[str], str]
"""


def rows(table: str) -> list[str]:
    return [line for line in table.strip().splitlines() if not line.startswith("#")]


def ask(row: str) -> bool:
    given_type, wanted = row.split(" -> ")
    return fits(meant(given_type), meant(wanted))


def meant(text: str) -> object:
    value: object = eval(text, globals())
    return value


@pytest.mark.parametrize("row", rows(FITS))
def test_fits(row: str) -> None:
    assert ask(row)


@pytest.mark.parametrize("row", rows(FLAGGED))
def test_is_flagged(row: str) -> None:
    assert not ask(row)


@pytest.mark.parametrize("row", rows(LENIENT))
def test_fits_though_a_checker_would_flag_it(row: str) -> None:
    assert ask(row)


@pytest.mark.parametrize("checker", ["pyright", "mypy"])
def test_checkers_agree_with_the_tables(checker: str, tmp_path: Path) -> None:
    pytest.importorskip(checker)
    table = [(row, which is FLAGGED) for which in (FITS, FLAGGED) for row in rows(which)]
    words = inspect.getsource(sys.modules[__name__]).split("# --- the tables")[0]
    words = re.sub(r"(from|import) (hypothesis|pytest|swarmlet).*", "", words)
    functions = [f"def row_{n}(value: {row.replace(' -> ', ') -> ')}: return value" for n, (row, _) in enumerate(table)]
    file = tmp_path / "rows.py"
    file.write_text(words + "\n".join(functions))
    found, first = CHECKERS[checker](file), words.count("\n") + 1
    assert {line for line in found if line < first} == set()
    disagree = {row for line, (row, flagged) in enumerate(table, first) if (line in found) != flagged}
    assert disagree == DIFFERENCES[checker]


def pyright_flags(file: Path) -> set[int]:
    root = Path(__file__).parents[2]
    settings = {"typeCheckingMode": "standard", "pythonVersion": "3.11", "disableBytesTypePromotions": True}
    file.with_name("pyrightconfig.json").write_text(json.dumps(settings | {"extraPaths": [str(root / "src")]}))
    command = ["-m", "pyright", "--outputjson", "--pythonpath", sys.executable, "-p", str(file.parent)]
    said = json.loads(python(*command))
    return {found["range"]["start"]["line"] + 1 for found in said["generalDiagnostics"]}


def mypy_flags(file: Path) -> set[int]:
    quiet = [f"--disable-error-code={code}" for code in ("type-arg", "no-any-return", "import-not-found")]
    said = python("-m", "mypy", "--strict", *quiet, str(file))
    return {int(line) for line in re.findall(r"rows\.py:(\d+): error: ", said)}


def python(*args: str) -> str:
    return subprocess.run([sys.executable, *args], capture_output=True, text=True, check=False).stdout


CHECKERS = {"pyright": pyright_flags, "mypy": mypy_flags}
# mypy takes a Flag for a finite enum; it is none: Mode.R | Mode.W is a Mode, too.
DIFFERENCES: dict[str, set[str]] = {"pyright": set(), "mypy": {"Mode -> typing.Literal[Mode.R, Mode.W]"}}


# --- what the tables cannot say -------------------------------------------------------------------------


def test_unresolved_names_fit() -> None:
    assert fits("Nowhere", int)
    assert fits(list[int], "list[Nowhere]")
    assert fits(of(list, typing.ForwardRef("Nowhere")), list[int])
    assert fits(typing.ForwardRef("Nowhere"), int)


def test_parts_that_cannot_be_hashed_are_compared_all_the_same() -> None:
    odd = list[te.Annotated[int, []]]
    assert fits(odd, list[int])
    assert not fits(odd, list[str])


ALIAS: typing.Any = te.TypeAliasType  # no checker takes these two
GENERIC: typing.Any = typing.Generic
Grow = ALIAS("Grow", "tuple[T, Grow[list[T]]] | int", type_params=(T,))
Grew = ALIAS("Grew", "tuple[T, Grew[list[T]]] | int | str", type_params=(T,))


def test_a_type_that_grows_as_it_recurses_ends() -> None:
    assert fits(Grow[int], Grew[int])


def test_inferred_variance_takes_either_direction() -> None:
    auto = te.TypeVar("auto", infer_variance=True)  # type: ignore[misc] # mypy does not know the keyword
    box: typing.Any = new_class("AutoBox", (GENERIC[auto],))
    assert fits(box[bool], box[int])
    assert fits(box[int], box[bool])
    assert not fits(box[int], box[str])


def test_the_answer_is_remembered() -> None:
    remembered = types._remembered  # pyright: ignore[reportPrivateUsage]
    fits(list[Again[Ticket]], abc.Sequence[Again[BaseModel]])
    before = remembered.cache_info().hits
    fits(list[Again[Ticket]], abc.Sequence[Again[BaseModel]])
    assert remembered.cache_info().hits == before + 1


class Local:
    @property
    def typed(self) -> "list[Ticket]":
        return []

    @property
    def untyped(self):  # type: ignore[no-untyped-def]
        return None

    @functools.cached_property
    def kept(self) -> int:
        return 1

    def method(self) -> int:
        return 1


Type = typing.Any  # a typing object, made as no checker could follow

FIELDS = """
Ticket.title -> str
Ticket.nope -> none
Ticket.model_dump -> none
Ticket.__class__ -> none
Page[int].items -> list[int]
Page[int].first -> int
Page[int].next -> Page[int] | None
Page.items -> list[typing.Any]
IntPage.items -> list[int]
SubPage[int, str].items -> list[int]
SubPage[int, str].extra -> dict[str, int]
Book[int].pages -> list[Page[int]]
Book[int].notes -> dict[str, Page[int] | None]
Note.title -> str
Note.tag -> str
Note.kind -> str
Note.made -> none
Again[Ticket].state -> Ticket
Again.state -> typing.Any
Point.y -> str
Tagged[int].value -> int
Movie.title -> none
Local.typed -> list[Ticket]
Local.untyped -> typing.Any
Local.kept -> int
Local.method -> none
Valued.value -> none
Color.value -> typing.Any
int.real -> typing.Any
AnyChild.title -> none
HasTitle.title -> str
Optional[Ticket].title -> none
Either.title -> str
EitherId.id -> int | str
typing.Any.title -> typing.Any
A.title -> none
T.title -> typing.Any
UserId.real -> typing.Any
"""
Optional = typing.Optional
Either = Ticket | Note


class Coded(BaseModel):
    id: str


EitherId = Ticket | Coded


@pytest.mark.parametrize("row", rows(FIELDS))
def test_field_type(row: str) -> None:
    field, wanted = row.split(" -> ")
    owner, _, name = field.rpartition(".")
    assert field_type(meant(owner), name) == (None if wanted == "none" else meant(wanted))


def test_a_field_whose_type_is_local_to_a_function() -> None:
    class Inner(BaseModel):
        x: int

    class Outer(BaseModel):
        inner: "Inner"
        items: "list[Inner]"

    assert field_type(Outer, "inner") is Inner
    assert field_type(Outer, "items") == list[Inner]


ITEMS = """
Movie, "title" -> str
Movie, "nope" -> none
Movie, 0 -> none
RatedMovie, "stars" -> int
Wrapped[int], "value" -> int
tuple[int, str], 1 -> str
tuple[int, str], -2 -> int
tuple[int, str], 2 -> none
tuple[int, str], "a" -> none
tuple[int, ...], 7 -> int
tuple[int, str, bool], slice(1, None) -> tuple[str, bool]
tuple[int, ...], slice(2) -> tuple[int, ...]
tuple, 0 -> typing.Any
Point, 0 -> int
Tagged[bool], 1 -> bool
list[int], 0 -> int
list[int], "a" -> none
list[int], slice(2) -> list[int]
Names, slice(2) -> list[str]
list, 0 -> typing.Any
abc.Sequence[Ticket], 0 -> Ticket
Shelf[int], 0 -> int
str, 0 -> str
bytes, 0 -> int
dict[str, int], "a" -> int
dict[str, int], 1 -> none
dict[Color, int], Color.RED -> int
collections.Counter[str], "a" -> int
abc.Mapping[typing.Literal["a"], int], "a" -> int
abc.Mapping[typing.Literal["a"], int], "b" -> none
list[int] | tuple[str, bool], 0 -> int | str
list[int] | None, 0 -> none
int, 0 -> none
set[int], 0 -> none
Ticket, 0 -> none
typing.Any, 0 -> typing.Any
"""


@pytest.mark.parametrize("row", rows(ITEMS))
def test_item_type(row: str) -> None:
    subscript, wanted = row.split(" -> ")
    owner, _, key = subscript.replace("slice(1, None)", "slice(1,None)").rpartition(", ")
    assert item_type(meant(owner), meant(key)) == (None if wanted == "none" else meant(wanted))


ELEMENTS = """
list[int] -> int
list -> typing.Any
tuple[int, ...] -> int
tuple[int, str] -> int | str
set[Ticket] -> Ticket
abc.Iterable[int] -> int
abc.AsyncIterable[int] -> int
abc.AsyncGenerator[int, None] -> int
dict[str, int] -> str
Names -> str
Shelf[int] -> int
Point -> int | str
list[int] | set[str] -> int | str
list[int] | None -> none
str -> none
typing.Literal["a"] -> none
int -> none
Ticket -> none
typing.Any -> typing.Any
"""


@pytest.mark.parametrize("row", rows(ELEMENTS))
def test_element_type(row: str) -> None:
    owner, wanted = row.split(" -> ")
    assert element_type(meant(owner)) == (None if wanted == "none" else meant(wanted))


@pytest.mark.parametrize(
    ("type_", "values"),
    [
        (bool, (True, False)),
        (None, (None,)),
        (typing.Literal["a", 1, True], ("a", 1, True)),
        (typing.Literal["a"] | typing.Literal["b", "a"] | None, ("a", "b", None)),
        (Color, (Color.RED, Color.BLUE)),
        (typing.Literal[Color.RED] | bool, (Color.RED, True, False)),
        (te.Annotated[bool, "x"], (True, False)),
        (Mode, None),
        (enum.Enum, None),
        (str, None),
        (bool | str, None),
        (typing.Any, None),
    ],
)
def test_members(type_: object, values: object) -> None:
    assert members(type_) == values


SHOWN: list[tuple[Type, str]] = [
    (None, "None"),
    (type(None), "None"),
    (typing.Any, "Any"),
    (te.Never, "Never"),
    (list[Ticket], "list[Ticket]"),
    (typing.List[Ticket], "list[Ticket]"),  # noqa: UP006
    (Again[Ticket] | Done[int], "Again[Ticket] | Done[int]"),
    (typing.Optional[int], "int | None"),  # noqa: UP045
    (typing.Literal["a", "b"], "Literal['a', 'b']"),
    (typing.Literal[Color.RED, 1], "Literal[Color.RED, 1]"),
    (Page[Ticket], "Page[Ticket]"),
    (Page, "Page"),
    (Page[Page[int]], "Page[Page[int]]"),
    (abc.Callable[[int], str], "Callable[[int], str]"),
    (typing.Callable[..., None], "Callable[..., None]"),
    (Step[[int, str], bool], "Step[[int, str], bool]"),
    (tuple[int, ...], "tuple[int, ...]"),
    (tuple[()], "tuple[()]"),
    (te.Annotated[int, "metres"], "int"),
    (UserId, "UserId"),
    (T, "T"),
    (Pets, "Pets"),
    (Pair[int], "Pair[int]"),
    (abc.Mapping[str, list[int] | None], "Mapping[str, list[int] | None]"),
    (type[Dog], "type[Dog]"),
    ("Ticket", "Ticket"),
    (list["Ticket"], "list[Ticket]"),
    (collections.Counter[str], "Counter[str]"),
    (JsonValue, "JsonValue"),
    (tuple[int, *tuple[str, ...]], "tuple[int, *tuple[str, ...]]"),
    (te.Required[int], "Required[int]"),
]


@pytest.mark.parametrize(("type_", "text"), SHOWN, ids=[text for _, text in SHOWN])
def test_show(type_: object, text: str) -> None:
    assert show(type_) == text


def test_show_of_a_local_class_leaves_out_where_it_is() -> None:
    class Inner: ...

    assert show(list[Inner]) == "list[Inner]"


# --- laws -----------------------------------------------------------------------------------------------

ONE: list[Type] = [list, set, frozenset, abc.Sequence, abc.Iterable, Again, Done, Box, Sink, type]
LEAVES: list[Type] = [
    *(
        int,
        str,
        bool,
        float,
        bytes,
        object,
        None,
        Color,
        Dog,
        Animal,
        UserId,
        IntBox,
        Ticket,
        Movie,
        HasTitle,
    ),
    *(Point, Json, Pets, te.Never, typing.Literal["a"], typing.Literal["a", 1]),
]
Types = st.SearchStrategy[Type]


def of(generic: Type, *args: Type) -> Type:
    return generic[args[0] if len(args) == 1 else args]


def row_of(args: list[Type]) -> Type:
    return of(tuple, tuple(args))


def union(*args: Type) -> Type:
    return of(typing.Union, *args)


def builtins_of(inner: Types) -> Types:
    some: st.SearchStrategy[list[Type]] = st.lists(inner, max_size=3)
    return st.one_of(
        st.builds(of, st.just(list), inner),
        st.builds(of, st.just(dict), inner, inner),
        st.builds(row_of, some),
        st.builds(of, st.just(tuple), inner, st.just(...)),
        st.builds(union, inner, inner),
        st.builds(of, st.just(abc.Callable), some, inner),
    )


def all_of(inner: Types) -> Types:
    annotated = st.builds(of, st.just(te.Annotated), inner, st.just("x"))
    return st.one_of(builtins_of(inner), st.builds(of, st.sampled_from(ONE), inner), annotated)


any_type = st.recursive(st.sampled_from(LEAVES), all_of, max_leaves=6)


@given(any_type)
def test_a_type_fits_itself_and_what_is_wider(type_: Type) -> None:
    assert fits(type_, type_)
    assert fits(type_, object)
    assert fits(type_, union(type_, None))
    assert fits(te.Never, type_)
    assert fits(te.Annotated[type_, "x"], type_)


@given(any_type)
def test_any_fits_both_ways(type_: Type) -> None:
    assert fits(type_, typing.Any)
    assert fits(typing.Any, type_)


@given(any_type, any_type, any_type)
def test_unions_are_monotonic(a: Type, b: Type, c: Type) -> None:
    if fits(a, b):
        assert fits(a, union(b, c))
    assert fits(union(a, b), c) == (fits(a, c) and fits(b, c))


@given(any_type, any_type)
def test_variance_follows_fitting(a: Type, b: Type) -> None:
    assert fits(abc.Sequence[a], abc.Sequence[b]) == fits(a, b)
    assert fits(Again[a], Again[b]) == fits(a, b)
    assert fits(Sink[a], Sink[b]) == fits(b, a)
    assert fits(list[a], list[b]) == (fits(a, b) and fits(b, a))


LITTLE: list[Type] = [int, str, bool, None, typing.Literal["a", 1], typing.Any]


@given(st.recursive(st.sampled_from(LITTLE), builtins_of, max_leaves=6))
def test_what_is_shown_can_be_written(type_: Type) -> None:
    again = eval(show(type_), dict(vars(typing)))
    assert fits(type_, again)
    assert fits(again, type_)
    # `typing` remembers unions without their order, so members of one that was made before may be shown in its order
    assert sorted(show(again)) == sorted(show(type_))

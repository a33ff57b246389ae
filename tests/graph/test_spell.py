"""Types of all kinds have a text that is the same everywhere, and fields that are compared."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Generic, Literal, TypeVar, cast

import pytest
from pydantic import AfterValidator, BaseModel, Field

from swarmlet import (
    graph,
    vote,
)
from swarmlet.graph.fingerprint import dump
from tests.graph.fingerprinted import (
    AnyNode,
    Code,
    Keys,
    Nested,
    Opaque,
    Pair,
    Task,
    Tree,
    UserId,
    keep,
    made,
    of,
    told,
    typed,
)

HERE = "tests.graph.fingerprinted"


def test_a_changed_field_of_a_model_is_told_with_the_type() -> None:
    then, now = made(text=(str, ...), size=(int, 1)), made(text=(str, ...), size=(int, ...), due=(str, ...))
    assert told(typed(then), typed(now)) == [
        "take: the type app:Made has changed: size was int = ..., and is now int; due: str is new"
    ]


def test_a_changed_field_of_a_type_within_a_type_is_told_once() -> None:
    def using(type_: Any) -> AnyNode:
        inner = typed(type_)

        def g(value: object) -> None:
            inner(value)
            inner(value)

        g.__annotations__ = {"value": type_, "return": None}
        return graph(g)

    then, now = made("Line", price=(int, ...)), made("Line", price=(float, ...))
    many = cast("Any", list)
    lines = told(using(made(lines=(many[then], ...))), using(made(lines=(many[now], ...))))
    assert lines == ["g: the type app:Line has changed: price was int, and is now float (also used in 2 other places)"]


def test_equal_types_of_different_modules_differ() -> None:
    then, now = made(text=(str, ...)), made(module="app.other", text=(str, ...))
    assert told(typed(then), typed(now)) == [
        "take: it was a node (value: app:Made) -> None, and is now a node (value: app.other:Made) -> None"
    ]


@pytest.mark.parametrize(
    ("type_", "text", "fields"),
    [
        (Tree, "Tree", {"Tree": {"children": "list[Tree]", "value": "int = ..."}}),
        (Pair, "Pair", {"Pair": {"left": "int", "right": "Tree"}}),
        (Keys, "Keys", {"Keys": {"color": "Color = ..."}, "Color": {"RED": "1"}}),
        (UserId, "UserId", {"UserId": {"=": "int"}}),
        (list[Opaque | None], "list[None | Opaque]", {}),
        (Annotated[int, Field(gt=3, description="words")], "int (gt=3)", {}),
        (Literal["b", "a", 1], "Literal['a', 'b', 1]", {}),
        (Callable[[int, str], None], "Callable[[int, str], None]", {}),
        (Path, "pathlib:Path", {}),
        (tuple[int, ...], "tuple[int, ...]", {}),
        (tuple[()], "tuple[()]", {}),
        (Nested, "Nested", {"Nested": {}}),
        (Any, "Any", {}),
    ],
)
def test_types_of_all_kinds_have_names_and_fields(type_: object, text: str, fields: dict[str, dict[str, str]]) -> None:
    found = of(typed(type_))
    assert found.rows[0].piece.signature.replace(f"{HERE}:", "") == f"(value: {text}) -> None"
    known = {one.name: {name: line.replace(f"{HERE}:", "") for name, line in one.fields} for one in found.types}
    for name, lines in fields.items():
        assert known[f"{HERE}:{name}"].items() >= lines.items()


T = TypeVar("T")


class Box(BaseModel, Generic[T]):
    held: T
    next: Box[T] | None = None


def test_models_with_parameters_are_named_by_them() -> None:
    found = of(typed(Box[Task]))
    assert found.rows[0].piece.signature == f"(value: {__name__}:Box[{HERE}:Task]) -> None"
    assert found.rows[0].piece.types == (f"{__name__}:Box", f"{HERE}:Task")
    assert told(typed(Box[Task]), typed(Box[Code]))


def test_classes_of_one_name_are_told_apart() -> None:
    both = cast("Any", tuple)
    one, other = made(text=(str, ...)), made(text=(int, ...))
    found = of(typed(both[one, other]))
    assert found.rows[0].piece.signature == "(value: tuple[app:Made, app:Made~2]) -> None"
    assert told(typed(both[one, other]), typed(both[made(text=(str, ...)), made(text=(int, ...))])) == []
    assert told(typed(both[one, other]), typed(both[other, one]))


def test_types_that_know_little_of_themselves_fail_nothing() -> None:
    class Odd(BaseModel):
        model_config = {"arbitrary_types_allowed": True}
        opaque: Opaque
        check: Annotated[int, AfterValidator(lambda value: value)]
        later: Unknown  # type: ignore[name-defined]  # noqa: F821  # pyright: ignore[reportUndefinedVariable]

    @dataclass
    class Local:
        other: Local
        unknown: Unknown  # type: ignore[name-defined]  # noqa: F821  # pyright: ignore[reportUndefinedVariable]

    both = cast("Any", tuple)
    content = dump(of(typed(both[Odd, Local])))
    assert b"Unknown" in content
    assert b"0x" not in content


def test_the_program_that_was_started_is_named_as_others_import_it(tmp_path: Path) -> None:
    program = tmp_path / "app.py"
    program.write_text(
        "from pydantic import BaseModel\n"
        "from swarmlet import node\n"
        "from swarmlet.graph.fingerprint import fingerprint\n"
        "class Task(BaseModel):\n    text: str\n"
        "@node\ndef work(task: Task) -> str: return ''\n"
        "if __name__ in ('__main__', 'app'):\n    print(fingerprint(work).digest)\n"
    )
    commands = [[str(program)], ["-m", "app"], ["-c", "import app"]]
    found = [subprocess.run([sys.executable, *one], cwd=tmp_path, capture_output=True, check=True).stdout for one in commands]
    assert len(set(found)) == 1


def test_unions_are_the_same_in_any_order() -> None:
    assert told(typed(int | str | None), typed(None | str | int)) == []


def test_functions_without_names_are_named_by_their_place() -> None:
    def wired() -> AnyNode:
        def g(code: Code) -> Code:
            kept: Code = vote(keep, of=3, key=lambda one: one.lines)(code)
            return kept

        return graph(g)

    assert told(wired(), wired()) == []
    assert b"0x" not in dump(of(wired()))

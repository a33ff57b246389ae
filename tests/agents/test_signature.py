"""Function tools: what the model sees of a function, and how its arguments come back."""

from __future__ import annotations

import functools
import json
import subprocess
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated, Any, Literal, cast

import pytest
from pydantic import BaseModel, Field, JsonValue, TypeAdapter, ValidationError
from typing_extensions import TypeAliasType

from swarmlet.agents.signature import ToolSignature, tool_signature
from swarmlet.errors import GraphError

if TYPE_CHECKING:
    from decimal import Decimal


class Place(BaseModel):
    city: str
    country: str = "DE"


Maybe = TypeAliasType("Maybe", "int | None")


def call(function: Callable[..., Any], arguments: dict[str, Any] | str) -> Any:
    text = arguments if isinstance(arguments, str) else json.dumps(arguments)
    bound = tool_signature(function).bind(text)
    return function(*bound.args, **bound.kwargs)


def properties(signature: ToolSignature) -> dict[str, Any]:
    return cast("dict[str, Any]", signature.schema["properties"])


def test_a_function_becomes_a_strict_tool() -> None:
    def find_flights(start: Place, goal: Place, seats: Annotated[int, Field(ge=1)]) -> list[str]:
        """Find flights between two places."""
        return [start.city, goal.country, str(seats)]

    tool = tool_signature(find_flights)
    assert tool.name == "find_flights"
    assert tool.description == "Find flights between two places."
    assert tool.strict
    assert tool.schema == {
        "type": "object",
        "properties": {
            "start": {"$ref": "#/$defs/Place"},
            "goal": {"$ref": "#/$defs/Place"},
            "seats": {"type": "integer", "minimum": 1},
        },
        "required": ["start", "goal", "seats"],
        "additionalProperties": False,
        "$defs": {
            "Place": {
                "type": "object",
                "properties": {"city": {"type": "string"}, "country": {"type": "string"}},
                "required": ["city", "country"],
                "additionalProperties": False,
            }
        },
    }
    arguments = {
        "start": {"city": "Rom", "country": "IT"},
        "goal": {"city": "Ulm", "country": "DE"},
        "seats": 2,
    }
    assert call(find_flights, arguments) == ["Rom", "DE", "2"]


def test_parameters_of_every_kind_can_be_called() -> None:
    def f(a: int, b: int = 2, /, c: int = 3, *, d: int, e: int = 5) -> tuple[int, ...]:
        return a, b, c, d, e

    assert call(f, {"a": 1, "b": None, "c": None, "d": 4, "e": None}) == (1, 2, 3, 4, 5)
    assert call(f, {"a": 10, "b": None, "c": 30, "d": 40, "e": 50}) == (10, 2, 30, 40, 50)
    assert call(f, {"a": 10, "b": 20, "c": 30, "d": 40}) == (10, 20, 30, 40, 5)


def test_bound_arguments_hold_every_value_by_name() -> None:
    def f(a: int, b: str = "x") -> None: ...

    assert tool_signature(f).bind('{"a": 1, "b": null}').arguments == {"a": 1, "b": "x"}


def test_null_stands_for_the_default_and_the_description_tells_it() -> None:
    def f(
        limit: Annotated[int, Field(ge=1, description="How many.")] = 10,
        order: Literal["up", "down"] = "up",
        hidden: Annotated[object, Field(description="h")] = object(),
    ) -> None:
        """Do it.

        Args:
            limit: not this one
            order: Which way.
        """

    told = properties(tool_signature(f))
    assert told["limit"] == {
        "anyOf": [{"type": "integer", "minimum": 1, "description": "How many."}, {"type": "null"}],
        "description": "(null: the default, 10)",
    }
    assert told["order"] == {
        "anyOf": [{"type": "string", "enum": ["up", "down"]}, {"type": "null"}],
        "description": 'Which way. (null: the default, "up")',
    }
    assert tool_signature(f).schema["required"] == ["limit", "order", "hidden"]


def test_where_none_is_a_value_null_means_none() -> None:
    def f(a: int | None = 1, b: Maybe = 2, c: Annotated[str | None, "x"] = "y", d: Literal["z", None] = "z") -> object:
        return a, b, c, d

    assert call(f, {"a": None, "b": None, "c": None, "d": None}) == (None, None, None, None)
    assert call(f, {}) == (1, 2, "y", "z")
    assert properties(tool_signature(f))["a"] == {"anyOf": [{"type": "integer"}, {"type": "null"}]}


def test_a_default_that_json_cannot_state_is_left_unsaid() -> None:
    class Token:
        pass

    token = Token()

    def f(a: Annotated[int, Field()] = cast("int", token)) -> object:
        return a

    assert properties(tool_signature(f))["a"]["description"] == "(null: the default)"
    assert call(f, {"a": None}) is token


def test_odd_names_of_parameters_are_kept() -> None:
    def f(_hidden: int, model_config: int, schema: int, self: int, p0: int) -> tuple[int, ...]:
        return _hidden, model_config, schema, self, p0

    names = ["_hidden", "model_config", "schema", "self", "p0"]
    assert list(properties(tool_signature(f))) == names
    assert call(f, {name: index for index, name in enumerate(names)}) == (0, 1, 2, 3, 4)


def test_a_function_without_parameters_takes_no_text_at_all() -> None:
    def now() -> str:
        return "now"

    tool = tool_signature(now)
    assert tool.schema == {"type": "object", "properties": {}, "required": [], "additionalProperties": False}
    assert tool.description == ""
    assert [call(now, text) for text in ("", " ", "{}")] == ["now"] * 3


@pytest.mark.parametrize("text", ["{", "[]", "null", '{"a": "x"}', '{"b": 1}', "{}", '{"a": 1, "b": 2}', '{"a": null}'])
def test_arguments_that_do_not_fit_are_a_validation_error(text: str) -> None:
    def f(a: int) -> None: ...

    with pytest.raises(ValidationError):
        tool_signature(f).bind(text)


def test_a_validation_error_names_the_parameter() -> None:
    def f(place: Place) -> None: ...

    with pytest.raises(ValidationError) as caught:
        tool_signature(f).bind('{"place": {"city": 1}}')
    assert caught.value.errors()[0]["loc"] == ("place", "city")


def test_an_open_parameter_is_not_strict_and_may_be_left_out_if_it_has_a_default() -> None:
    def f(data: dict[str, JsonValue], note: str = "n") -> object:
        return data, note

    assert not tool_signature(f).strict
    assert call(f, {"data": {"a": [1]}}) == ({"a": [1]}, "n")


GOOGLE = """Look it up.

    In the dictionary.

    Args:
        word: The word.
        lang (str): The language,
            two letters.

    Returns:
        The meaning.

    Raises:
        KeyError: never told
    """
NUMPY = """Look it up.

    In the dictionary.

    Parameters
    ----------
    word : str
        The word.
    lang
        The language,
        two letters.

    Returns
    -------
    str
        The meaning.
    """
SPHINX = """Look it up.

    In the dictionary.

    :param word: The word.
    :param lang: The language,
        two letters.
    :returns: The meaning.
    """


@pytest.mark.parametrize("text", [GOOGLE, NUMPY, SPHINX], ids=["google", "numpy", "sphinx"])
def test_descriptions_are_read_from_the_docstring(text: str, capfd: pytest.CaptureFixture[str]) -> None:
    def look_up(word: str, lang: str) -> str:
        return word + lang

    look_up.__doc__ = text
    tool = tool_signature(look_up)
    assert tool.description == "Look it up.\n\nIn the dictionary.\n\nReturns: The meaning."
    assert properties(tool)["word"] == {"type": "string", "description": "The word."}
    assert properties(tool)["lang"]["description"].split() == ["The", "language,", "two", "letters."]
    assert capfd.readouterr() == ("", ""), "griffe logs what it does not find"


def test_a_note_in_the_docstring_is_not_lost() -> None:
    def f() -> None:
        """Do it.

        Note:
            Slow.
        """

    assert tool_signature(f).description == "Do it.\n\nNote: Slow."


def test_without_griffe_the_description_is_the_whole_docstring(monkeypatch: pytest.MonkeyPatch) -> None:
    def f(a: int) -> None:
        """Do it.

        Args:
            a: A number.
        """

    monkeypatch.setitem(sys.modules, "griffe", None)
    tool = tool_signature(f)
    assert tool.description == "Do it.\n\nArgs:\n    a: A number."
    assert properties(tool)["a"] == {"type": "integer"}


def test_griffe_is_imported_only_when_a_tool_is_made() -> None:
    code = "import sys, swarmlet.agents.signature; print('griffe' in sys.modules)"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout == "False\n"


def test_an_own_description_in_the_annotation_wins_over_the_docstring() -> None:
    def f(a: Annotated[int, Field(description="This.")]) -> None:
        """Do it.

        Args:
            a: Not this.
        """

    assert properties(tool_signature(f))["a"]["description"] == "This."


def test_name_and_description_can_be_given() -> None:
    def f() -> None:
        """Not this."""

    tool = tool_signature(f, name="other-name", description="This.")
    assert (tool.name, tool.description) == ("other-name", "This.")


class Shop:
    """A shop."""

    def __init__(self, owner: str) -> None:
        self.owner = owner

    def price(self, item: str) -> str:
        """The price."""
        return f"{self.owner}: {item}"

    def __call__(self, item: str) -> str:
        return self.price(item)

    @classmethod
    def open(cls, owner: str) -> Shop:
        return cls(owner)


def decorated(function: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(function)
    def wrapper(*args: Any, **kwargs: Any) -> Any:
        return function(*args, **kwargs)

    return wrapper


async def fetch(url: str) -> str:
    """Fetch it."""
    return url


def scale(number: float, by: float) -> float:
    """Scale it."""
    return number * by


def test_all_that_can_be_called_can_be_a_tool() -> None:
    shop = Shop("Ann")
    assert call(shop.price, {"item": "x"}) == "Ann: x"
    assert call(Shop.open, {"owner": "Bob"}).owner == "Bob"
    assert call(Shop, {"owner": "Bob"}).owner == "Bob"
    assert call(decorated(scale), {"number": 2, "by": 3}) == 6
    assert tool_signature(decorated(scale)).description == "Scale it."
    assert tool_signature(fetch).name == "fetch"
    assert tool_signature(shop, name="shop").bind('{"item": "x"}').arguments == {"item": "x"}
    half = functools.partial(scale, by=0.5)
    tool = tool_signature(half)
    assert (tool.name, tool.description) == ("scale", "Scale it.")
    bound = tool.bind('{"number": 3, "by": null}')
    assert half(*bound.args, **bound.kwargs) == 1.5


class Untyped:
    # For the type checkers it has annotations, at run time it has none.
    def method(self, a: int) -> int:
        return a

    del method.__annotations__["a"]


def variadic(*numbers: int, **more: int) -> None: ...


def unresolved(a: Decimal) -> None: ...


def callback(then: Callable[[], int]) -> None: ...


def raw(place: Place, data: bytes) -> None: ...


def f_é() -> None: ...


@pytest.mark.parametrize(
    ("function", "told"),
    [
        (Untyped().method, ["tool 'method': parameter 'a' needs a type annotation"]),
        (variadic, ["the model cannot fill '*numbers'", "the model cannot fill '**more'"]),
        (unresolved, ["tool 'unresolved'", "'Decimal'", "parameter 'a'"]),
        (callback, ["'callback.then'", "callable"]),
        (raw, ["'raw.data'", "bytes"]),
        (f_é, ["'f_é'"]),
        (functools.partial(lambda: None), ["'<lambda>'"]),
        (Shop("Ann"), ["no name of its own"]),
    ],
)
def test_a_function_the_model_cannot_call_is_refused(function: Any, told: list[str]) -> None:
    with pytest.raises(GraphError) as caught:
        tool_signature(function)
    for part in told:
        assert part in str(caught.value).replace('"', "'")


@pytest.mark.parametrize("name", ["", "a b", "x" * 65, "a.b", "new\n"])
def test_a_name_the_api_does_not_take_is_refused(name: str) -> None:
    with pytest.raises(GraphError, match="no tool named"):
        tool_signature(fetch, name=name)


def test_it_fits_the_request_types_of_the_sdk() -> None:
    from openai.types.chat import ChatCompletionFunctionToolParam

    tool = tool_signature(scale)
    function = {
        "name": tool.name,
        "description": tool.description,
        "parameters": tool.schema,
        "strict": tool.strict,
    }
    TypeAdapter(ChatCompletionFunctionToolParam).validate_python({"type": "function", "function": function}, strict=True)

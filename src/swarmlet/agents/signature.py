"""Function tools from type hints and docstrings.

A tool is a plain Python function. This module reads its signature once, when the agent is defined, and makes
what the model sees of it (name, description, a schema of the parameters) and the way back: from the JSON text
of a tool call to checked Python values. It does not call the function and knows nothing of agents or models.

The schema follows `swarmlet.schema`. Strict mode asks the model to state every parameter, so one with a
default also takes `null`, which stands for "use the default" (unless None is a value of its type: then `null`
means None). The default itself is told in the description, as the API takes no `default`.
"""

from __future__ import annotations

import functools
import inspect
import re
import types
import typing
from collections import OrderedDict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, Union

from pydantic import BaseModel, ConfigDict, Field, create_model
from pydantic.fields import FieldInfo
from pydantic_core import PydanticSerializationError, to_json

from swarmlet.errors import GraphError
from swarmlet.schema import OutputSchema, output_schema

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from pydantic import JsonValue

_NAME: Final = re.compile(r"[a-zA-Z0-9_-]{1,64}")
_STARS: Final[Mapping[object, str]] = {
    inspect.Parameter.VAR_POSITIONAL: "*",
    inspect.Parameter.VAR_KEYWORD: "**",
}
_DOCSTRING_STYLES: Final = ("google", "numpy", "sphinx")


@dataclass(frozen=True, slots=True)
class ToolSignature:
    """What the model sees of a function, and how its arguments come back."""

    name: str
    """The tool's name on the wire: letters, digits, `_` and `-`, 1 to 64 of them."""
    description: str
    """What the tool does, for the model. Empty if the function has no docstring."""
    schema: dict[str, JsonValue]
    """The JSON Schema of the parameters, an object."""
    strict: bool
    """Whether the API can enforce the schema."""
    _signature: inspect.Signature = field(repr=False, compare=False)
    _arguments: OutputSchema[BaseModel] = field(repr=False, compare=False)
    _fields: Mapping[str, _Parameter] = field(repr=False, compare=False)

    def bind(self, arguments_json: str) -> inspect.BoundArguments:
        """Check the arguments of a tool call; then `function(*bound.args, **bound.kwargs)` makes the call.

        `bound.arguments` has the value of every parameter by name, defaults filled in. Raises
        `pydantic.ValidationError` if the text is no JSON, a value does not fit, or a name is unknown. Empty
        text is no arguments: models send it for functions without parameters.
        """
        given = self._arguments.parse(arguments_json.strip() or "{}")
        values = {key: getattr(given, key) for key in self._fields if key in given.model_fields_set}
        arguments = OrderedDict(
            (self._fields[key].name, value)
            for key, value in values.items()
            if value is not None or not self._fields[key].null_is_default
        )
        bound = inspect.BoundArguments(self._signature, arguments)
        bound.apply_defaults()
        return bound


def tool_signature(
    function: Callable[..., object], *, name: str | None = None, description: str | None = None
) -> ToolSignature:
    """Read a function as a tool, or a method, a class, a `functools.partial`, an object with `__call__`.

    A parameter's description comes from `Annotated[..., Field(description=...)]`, else from the docstring
    (Google, NumPy or Sphinx style) if griffelib is installed (`swarmlet[tools]`); without it the tool's
    description is the whole docstring.

    Raises GraphError, naming the function and the parameter, if a parameter has no annotation or one that
    cannot be resolved, cannot be stated in JSON, or is `*args` or `**kwargs`, and if the name does not fit
    the API.
    """
    name = _tool_name(function, name)
    try:
        signature = inspect.signature(function)
    except (NameError, TypeError, ValueError) as error:
        raise GraphError(f"tool {name!r} has no readable signature: {error}") from error
    summary, told = _read_docstring(function)
    parameters = _parameters(function, name, signature, told)
    # Field names of our own, with the parameter's as alias: pydantic refuses `_x` and warns of `model_x`.
    fields = {f"p{index}": parameter for index, parameter in enumerate(parameters)}
    arguments = output_schema(_model(name, fields))
    return ToolSignature(
        name=name,
        description=summary if description is None else description,
        schema=arguments.schema,
        strict=arguments.strict,
        _signature=signature,
        _arguments=arguments,
        _fields=fields,
    )


def _model(name: str, fields: Mapping[str, _Parameter]) -> type[BaseModel]:
    # Any: create_model takes its fields as `Any`. Unknown names are refused: the model learns of a slip.
    definitions: dict[str, Any] = {key: (parameter.hint, parameter.info) for key, parameter in fields.items()}
    return create_model(name, __config__=ConfigDict(extra="forbid"), **definitions)


def _tool_name(function: Callable[..., object], name: str | None) -> str:
    own = getattr(_underlying(function), "__name__", None)
    chosen = str(own) if name is None else name
    if own is None and name is None:
        raise GraphError(f"the tool {function!r} has no name of its own: give it one with name=")
    if not _NAME.fullmatch(chosen):
        raise GraphError(f"the API takes no tool named {chosen!r}: use 1 to 64 of letters, digits, _ and -")
    return chosen


# Parameters


@dataclass(frozen=True, slots=True)
class _Parameter:
    name: str
    hint: object
    info: FieldInfo
    null_is_default: bool


def _parameters(
    function: Callable[..., object], tool: str, signature: inspect.Signature, told: Mapping[str, str]
) -> list[_Parameter]:
    found: list[_Parameter] = []
    problems: list[str] = []
    for name, parameter in signature.parameters.items():
        try:
            found.append(_parameter(function, tool, parameter, told.get(name)))
        except GraphError as error:
            problems += error.problems
    if problems:
        raise GraphError(problems)
    return found


def _parameter(function: Callable[..., object], tool: str, parameter: inspect.Parameter, told: str | None) -> _Parameter:
    if stars := _STARS.get(parameter.kind):
        raise GraphError(f"tool {tool!r}: the model cannot fill {stars + parameter.name!r}; take a list or a model")
    hint = _resolve(function, tool, parameter)
    own = FieldInfo.from_annotation(hint).description
    required = parameter.default is parameter.empty
    if required or _takes_none(hint):
        info = _info(parameter.name, ... if required else None, own or told)
        return _Parameter(parameter.name, hint, info, null_is_default=False)
    said = f"(null: {_default(parameter.default)})"
    info = _info(parameter.name, None, f"{told} {said}" if told and not own else said)
    # Any: a union with a type that only exists at run time.
    optional: Any = Union[hint, None]  # noqa: UP007
    return _Parameter(parameter.name, optional, info, null_is_default=True)


def _info(name: str, default: object, description: str | None) -> FieldInfo:
    # Any: Field() is typed as the value it stands for
    info: Any = Field(default, alias=name, description=description)
    return info  # type: ignore[no-any-return]


def _default(value: object) -> str:
    try:
        return f"the default, {to_json(value).decode()}"
    except PydanticSerializationError:
        return "the default"


# Any: what an annotation stands for, by pydantic's own typing of it.
def _resolve(function: Callable[..., object], tool: str, parameter: inspect.Parameter) -> Any:
    annotation: object = parameter.annotation
    if annotation is parameter.empty:
        raise GraphError(f"tool {tool!r}: parameter {parameter.name!r} needs a type annotation")
    holder = types.SimpleNamespace(__annotations__={parameter.name: annotation})
    scope = getattr(inspect.unwrap(_code(function)), "__globals__", {})
    try:
        return typing.get_type_hints(holder, globalns=scope, include_extras=True)[parameter.name]
    except Exception as error:
        # An annotation is any expression, so anything can come of it.
        raise GraphError(
            f"tool {tool!r}: cannot resolve the annotation {annotation!r} of parameter {parameter.name!r} "
            f"({error}); import or define the type at the top of the module, outside `if TYPE_CHECKING`"
        ) from error


def _takes_none(hint: Any) -> bool:
    try:
        output = output_schema(hint)
    except GraphError:
        return False  # told under the tool's own name, once its whole signature is read
    # Any: walking JSON; the schema is our own, so its shape is known.
    schema: Any = output.schema

    def takes_null(node: Any) -> bool:
        if "$ref" in node:
            node = schema["$defs"][node["$ref"].removeprefix("#/$defs/")]
        if "anyOf" in node:
            return any(map(takes_null, node["anyOf"]))
        return "type" not in node or "null" in node["type"]

    return output.wrapped and takes_null(schema["properties"]["value"])


def _underlying(function: object) -> object:
    return _underlying(function.func) if isinstance(function, functools.partial) else function


def _code(function: object) -> Callable[..., object]:
    """The function that the annotations were written on: where their names are looked up."""
    function = _underlying(function)
    if inspect.isclass(function):
        return function.__init__
    return function if inspect.isroutine(function) else type(function).__call__


# Docstrings


def _read_docstring(function: Callable[..., object]) -> tuple[str, dict[str, str]]:
    """The description of the function and those of its parameters."""
    text = inspect.getdoc(_underlying(function)) or ""
    try:
        import griffe
    except ImportError:
        return text, {}
    options: Any = {style: {"warnings": False} for style in _DOCSTRING_STYLES}
    told: dict[str, str] = {}
    said: list[str] = []
    for section in griffe.parse_auto(griffe.Docstring(text), per_style_options=options):
        if isinstance(section, (griffe.DocstringSectionParameters, griffe.DocstringSectionOtherParameters)):
            told |= {parameter.name: parameter.description for parameter in section.value}
        elif isinstance(section, griffe.DocstringSectionText):
            said.append(section.value)
        elif isinstance(section, griffe.DocstringSectionReturns):
            said += [f"Returns: {item.description}" for item in section.value if item.description]
        elif isinstance(section, griffe.DocstringSectionAdmonition):
            said.append(f"{section.title}: {section.value.contents}")
    return "\n\n".join(said), told

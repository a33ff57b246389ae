"""What the real API would say about a request: `complaint(body, raw)` returns its sentence, or `None`.

Two sieves: the SDK's own request types (made strict and eager), then the rules the API enforces that the
types do not say. The rules for JSON schemas are in `schemas`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any, cast

from swarmlet.testing.schemas import strict_schema_complaint

if TYPE_CHECKING:
    from pydantic_core import SchemaValidator

    from swarmlet.testing.requests import JsonObject, Request

_NAME = re.compile(r"[a-zA-Z0-9_-]{1,64}")
_RANGES = {
    "temperature": (0, 2),
    "top_p": (0, 1),
    "frequency_penalty": (-2, 2),
    "presence_penalty": (-2, 2),
    "n": (1, 128),
    "max_tokens": (1, 10**7),
    "max_completion_tokens": (1, 10**7),
    "top_logprobs": (0, 20),
}
_MOST_TOOLS = 128


@dataclass(frozen=True)
class Complaint:
    """Why the API would answer 400."""

    message: str
    param: str | None = None


def complaint(request: Request) -> Complaint | None:
    """Return the first thing that is wrong with the body of `request`, or `None`."""
    return _types_complaint(request) or next(
        (found for rule in _RULES for found in rule(request)),
        None,
    )


# --- the SDK's types


def _types_complaint(request: Request) -> Complaint | None:
    from pydantic import ValidationError

    try:
        _validator(stream=request.stream).validate_json(request.raw, strict=True)
    except ValidationError as error:
        deepest = max(error.errors(include_url=False), key=lambda found: len(found["loc"]))
        where = ".".join(map(str, deepest["loc"]))
        return Complaint(f"Invalid value at {where or 'the body'!r}: {deepest['msg']}.", where or None)
    return None


@cache
def _validator(*, stream: bool) -> SchemaValidator:
    from openai.types.chat import completion_create_params as params
    from pydantic import TypeAdapter
    from pydantic_core import SchemaValidator

    types = params.CompletionCreateParamsStreaming if stream else params.CompletionCreateParamsNonStreaming
    # Any: pydantic's core schema is a dict of about fifty shapes, and only four keys of it matter here.
    schema = cast(Any, TypeAdapter[object](types).core_schema)
    named = {item["ref"]: item for item in schema.get("definitions", ())}
    return SchemaValidator(_eager(schema, named))


def _eager(schema: Any, named: Mapping[str, Any]) -> Any:  # Any: see _validator
    """Copy a core schema: no lazy generators, no unknown keys, unions told apart by role or type."""
    if isinstance(schema, (list, tuple)):
        return [_eager(item, named) for item in cast("list[Any]", schema)]
    if not isinstance(schema, dict):
        return schema
    fields = cast("dict[str, Any]", schema)
    tagged = _tagged(fields, named)
    if tagged is not None:
        return _eager(tagged, named)
    copy = {key: _eager(value, named) if key != "metadata" else value for key, value in fields.items()}
    if copy.get("type") == "generator":
        return {"type": "list", "items_schema": copy["items_schema"]}
    # An assistant message may be handed back as it came, with `annotations` and more that its type omits.
    if copy.get("type") == "typed-dict" and "Assistant" not in copy["cls"].__name__:
        copy["extra_behavior"] = "forbid"
    return copy


def _tagged(union: dict[str, Any], named: Mapping[str, Any]) -> dict[str, Any] | None:  # Any: see _validator
    """Return a union of objects as one discriminated by its tag, so that its errors name one arm only."""
    if union.get("type") != "union":
        return None
    for tag in ("role", "type"):
        arms: dict[str, Any] = {}
        for choice in union["choices"]:
            fields = named.get(choice.get("schema_ref", ""), choice).get("fields", {})
            arms.update(dict.fromkeys(fields.get(tag, {}).get("schema", {}).get("expected", ()), choice))
        if len(arms) == len(union["choices"]):
            return {"type": "tagged-union", "discriminator": tag, "choices": arms}
    return None


# --- the rules the types do not say


def _messages(request: Request) -> Iterator[Complaint]:
    if not request.messages:
        yield Complaint("[] is too short - 'messages'", "messages")
    for position, message in enumerate(request.messages):
        if message["role"] == "assistant" and not any(
            message.get(part) for part in ("content", "tool_calls", "refusal", "audio", "function_call")
        ):
            yield Complaint(
                "An assistant message must have either 'content' or 'tool_calls', but not neither.",
                f"messages[{position}]",
            )


def _tool_answers(request: Request) -> Iterator[Complaint]:
    open_calls: set[str] = set()
    for position, message in enumerate(request.messages):
        where = f"messages[{position}]"
        if message["role"] == "tool":
            if message["tool_call_id"] not in open_calls:
                yield Complaint(
                    "Messages with role 'tool' must be a response to a preceding message with 'tool_calls'"
                    f" (no open call has the id {message['tool_call_id']!r}).",
                    f"{where}.tool_call_id",
                )
            open_calls.discard(message["tool_call_id"])
            continue
        if open_calls:
            yield _unanswered(open_calls, where)
        open_calls = {tool_call["id"] for tool_call in message.get("tool_calls", ())}
    if open_calls:
        yield _unanswered(open_calls, "messages")


def _unanswered(open_calls: set[str], where: str) -> Complaint:
    return Complaint(
        "An assistant message with 'tool_calls' must be followed by tool messages responding to each "
        f"'tool_call_id'. These had no response: {', '.join(sorted(open_calls))}.",
        where,
    )


def _tools(request: Request) -> Iterator[Complaint]:
    tools = request.body.get("tools")
    if tools is None:
        for param in ("tool_choice", "parallel_tool_calls"):
            if param in request.body:
                yield Complaint(f"'{param}' is only allowed when 'tools' are specified.", param)
        return
    if not 0 < len(tools) <= _MOST_TOOLS:
        yield Complaint(f"'tools' must have 1 to {_MOST_TOOLS} items, not {len(tools)}.", "tools")
    names = [tool[tool["type"]]["name"] for tool in tools]
    for position, name in enumerate(names):
        if not _NAME.fullmatch(name):
            yield _bad_name(name, f"tools[{position}].function.name")
        if name in names[:position]:
            yield Complaint(f"Tool names must be unique: {name!r} is there twice.", f"tools[{position}]")
    yield from _tool_choice(request.body.get("tool_choice"), names)


def _bad_name(name: str, where: str) -> Complaint:
    return Complaint(f"Invalid {where!r}: {name!r} does not match the pattern '^[a-zA-Z0-9_-]{{1,64}}$'.", where)


def _tool_choice(choice: object, names: list[str]) -> Iterator[Complaint]:
    if not isinstance(choice, dict):
        return
    chosen = cast("dict[str, Any]", choice)  # Any: JSON, checked by the types before
    wanted = chosen.get(chosen["type"], {}).get("name")
    if wanted is not None and wanted not in names:
        yield Complaint(f"Tool choice {wanted!r} not found in 'tools' parameter.", "tool_choice")


def _tool_schemas(request: Request) -> Iterator[Complaint]:
    for name, function in request.tools.items():
        parameters = function.get("parameters") or {"type": "object"}
        where = f"tools[{list(request.tools).index(name)}].function.parameters"
        head = f"Invalid schema for function {name!r}: "
        if parameters.get("type") != "object":
            yield Complaint(f"{head}schema must be a JSON Schema of type 'object'.", where)
        elif function.get("strict"):
            found = strict_schema_complaint(function.get("parameters") or {})
            if found:
                yield Complaint(head + found, where)


def _response_format(request: Request) -> Iterator[Complaint]:
    shape: JsonObject = request.body.get("response_format") or {"type": "text"}
    where = "response_format"
    if shape["type"] == "json_object" and "json" not in request.text.lower():
        yield Complaint(
            "'messages' must contain the word 'json' in some form, to use 'response_format' of type 'json_object'.",
            "messages",
        )
    if shape["type"] != "json_schema":
        return
    described = shape["json_schema"]
    if not _NAME.fullmatch(described["name"]):
        yield _bad_name(described["name"], f"{where}.json_schema.name")
    if "schema" not in described:
        yield Complaint("Missing required parameter: 'response_format.json_schema.schema'.", where)
    elif described.get("strict"):
        found = strict_schema_complaint(described["schema"])
        if found:
            yield Complaint(f"Invalid schema for response_format {described['name']!r}: {found}", where)


def _settings(request: Request) -> Iterator[Complaint]:
    body = request.body
    if body.get("stream_options") is not None and not request.stream:
        yield Complaint("The 'stream_options' parameter is only allowed when 'stream' is enabled.", "stream_options")
    for param, (low, high) in _RANGES.items():
        value = body.get(param)
        if value is not None and not low <= value <= high:
            yield Complaint(f"Invalid value for {param!r}: {value} is not within {low} and {high}.", param)
    if body.get("max_tokens") is not None and body.get("max_completion_tokens") is not None:
        yield Complaint(
            "Setting 'max_tokens' and 'max_completion_tokens' at the same time is not supported.",
            "max_tokens",
        )
    if isinstance(body.get("stop"), list) and not 0 < len(body["stop"]) <= 4:
        yield Complaint("'stop' takes one to four sequences.", "stop")
    if body.get("top_logprobs") is not None and not body.get("logprobs"):
        yield Complaint("'top_logprobs' is only allowed when 'logprobs' is enabled.", "top_logprobs")


_RULES: tuple[Callable[[Request], Iterator[Complaint]], ...] = (
    _messages,
    _tool_answers,
    _tools,
    _tool_schemas,
    _response_format,
    _settings,
)

from __future__ import annotations

import json
from typing import Any

import pytest

from swarmlet.testing.replies import duration
from swarmlet.testing.requests import Request
from swarmlet.testing.rules import complaint

USER = {"role": "user", "content": "hi"}
CALLS = {
    "role": "assistant",
    "tool_calls": [{"id": "c1", "type": "function", "function": {"name": "f", "arguments": "{}"}}],
}
ANSWER = {"role": "tool", "tool_call_id": "c1", "content": "1"}
STRICT = {
    "type": "object",
    "properties": {"a": {"type": "string"}},
    "required": ["a"],
    "additionalProperties": False,
}


def tool(name: str = "f", **function: Any) -> dict[str, Any]:
    return {"type": "function", "function": {"name": name, **function}}


def shaped(schema: object, name: str = "out") -> dict[str, Any]:
    described = {"name": name, "schema": schema, "strict": True}
    return {"response_format": {"type": "json_schema", "json_schema": described}}


def complain(**body: Any) -> str | None:
    whole = {"model": "gpt-4o-mini", "messages": [USER], **body}
    found = complaint(Request(1, whole, {}, json.dumps(whole).encode()))
    return found.message if found else None


TAKEN: list[dict[str, Any]] = [
    {},
    {"stream": True, "stream_options": {"include_usage": True}},
    {"messages": [USER, CALLS, ANSWER]},
    {"messages": [USER, {"role": "assistant", "content": "x", "annotations": [], "refusal": None}]},
    {
        "tools": [tool(parameters=STRICT, strict=True)],
        "tool_choice": "required",
        "parallel_tool_calls": False,
    },
    {"tools": [tool()], "tool_choice": {"type": "function", "function": {"name": "f"}}},
    shaped(STRICT),
    {"stop": ["a", "b"], "temperature": 0, "metadata": {"a": "b"}, "store": False, "seed": 1},
    {
        "messages": [
            {
                "role": "user",
                "content": [
                    {"type": "text", "text": "see"},
                    {"type": "image_url", "image_url": {"url": "data:image/png;base64,AA"}},
                ],
            }
        ]
    },
]


@pytest.mark.parametrize(
    "body",
    TAKEN,
)
def test_what_the_api_takes_is_taken(body: dict[str, Any]) -> None:
    assert complain(**body) is None


@pytest.mark.parametrize(
    ("body", "sentence"),
    [
        ({"modle": "x"}, "modle"),
        ({"messages": []}, "too short"),
        ({"messages": [{"role": "usr", "content": "x"}]}, "usr"),
        ({"messages": [{"role": "user", "content": 3}]}, "content"),
        ({"messages": [{"role": "user", "content": [{"type": "text", "txt": "x"}]}]}, "text"),
        ({"messages": [{"role": "user", "content": "x", "nmae": "y"}]}, "nmae"),
        ({"messages": [{"role": "assistant"}]}, "neither"),
        ({"messages": [USER, CALLS]}, "had no response: c1"),
        ({"messages": [USER, CALLS, USER]}, "had no response: c1"),
        ({"messages": [USER, ANSWER]}, "must be a response"),
        ({"messages": [USER, CALLS, ANSWER, ANSWER]}, "must be a response"),
        ({"temperature": "1"}, "temperature"),
        ({"temperature": 3}, "temperature"),
        ({"max_completion_tokens": 0}, "max_completion_tokens"),
        ({"max_completion_tokens": 5, "max_tokens": 5}, "same time"),
        ({"stream_options": {"include_usage": True}}, "stream_options"),
        ({"tools": []}, "1 to 128"),
        ({"tools": [{"type": "function"}]}, "function"),
        ({"tools": [tool("has space")]}, "pattern"),
        ({"tools": [tool("x" * 65)]}, "pattern"),
        ({"tools": [tool(), tool()]}, "unique"),
        ({"tools": [tool(parameters={"type": "string"})]}, "type 'object'"),
        (
            {"tools": [tool(parameters={"type": "object", "properties": {}}, strict=True)]},
            "additionalProperties",
        ),
        ({"tools": [tool()], "tool_choice": {"type": "function", "function": {"name": "g"}}}, "not found"),
        ({"tool_choice": "auto"}, "only allowed when 'tools'"),
        ({"response_format": {"type": "json_object"}}, "the word 'json'"),
        (shaped(STRICT, name="has space"), "pattern"),
        ({"top_logprobs": 2}, "logprobs"),
        ({"stop": list("abcde")}, "one to four"),
    ],
)
def test_what_the_api_refuses_is_refused(body: dict[str, Any], sentence: str) -> None:
    assert sentence in (complain(**body) or "")


@pytest.mark.parametrize(
    ("part", "sentence"),
    [
        ({"type": "object", "properties": {}, "required": []}, "additionalProperties"),
        ({**STRICT, "required": []}, "Missing 'a'"),
        ({**STRICT, "required": ["a", "b"]}, "extra required"),
        ({"oneOf": [{"type": "string"}]}, "'oneOf' is not permitted"),
        ({"allOf": [{"type": "string"}]}, "'allOf' is not permitted"),
        ({"not": {}, "type": "string"}, "'not' is not permitted"),
        ({"type": "string", "default": "x"}, "'default' is not permitted"),
        ({"type": "array", "items": {"type": "string"}, "uniqueItems": True}, "'uniqueItems' is not"),
        ({"type": "array", "prefixItems": [], "items": {"type": "string"}}, "'prefixItems' is not"),
        ({"type": "array"}, "missing items"),
        ({"description": "anything"}, "must have a 'type'"),
        ({"type": "string", "format": "uri"}, "not a valid format"),
        ({"$ref": "#/$defs/Gone"}, "cannot be resolved"),
        ({"$ref": "#", "description": "x"}, "$ref cannot have keywords"),
    ],
)
def test_strict_schemas_are_checked_in_depth(part: dict[str, Any], sentence: str) -> None:
    schema = {
        "type": "object",
        "properties": {"deep": {"type": "array", "items": {"anyOf": [part, {"type": "null"}]}}},
        "required": ["deep"],
        "additionalProperties": False,
    }
    assert sentence in (complain(**shaped(schema)) or "")
    assert sentence in (complain(tools=[tool(parameters=schema, strict=True)]) or "")


@pytest.mark.parametrize("root", [{"anyOf": [STRICT]}, {"type": "array", "items": {"type": "string"}}])
def test_the_root_of_a_strict_schema_is_an_object(root: dict[str, Any]) -> None:
    assert "root" in (complain(**shaped(root)) or "")


def test_a_body_that_is_no_json_is_refused() -> None:
    found = complaint(Request(1, {}, {}, b"{nope"))
    assert found is not None
    assert "the body" in found.message


def test_a_strict_schema_has_limits() -> None:
    deep: dict[str, Any] = STRICT
    for _ in range(10):
        deep = {**STRICT, "properties": {"a": deep}}
    names = [f"p{number}" for number in range(5001)]
    wide = {**STRICT, "properties": {name: {"type": "string"} for name in names}, "required": names}

    assert "10 levels" in (complain(**shaped(deep)) or "")
    assert "5000 object properties" in (complain(**shaped(wide)) or "")


@pytest.mark.parametrize(
    ("seconds", "written"),
    [
        (0.006, "6ms"),
        (0.12, "120ms"),
        (1, "1s"),
        (8.64, "8.64s"),
        (60, "1m0s"),
        (360, "6m0s"),
        (3661, "1h1m1s"),
    ],
)
def test_durations_are_written_as_the_api_does(seconds: float, written: str) -> None:
    assert duration(seconds) == written

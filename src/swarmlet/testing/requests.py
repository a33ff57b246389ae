"""A request as the server saw it: a typed view of the JSON body."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, TypeAlias, cast

# Any: JSON of any shape, which tests index freely (`request.body["messages"][0]["content"]`).
JsonObject: TypeAlias = dict[str, Any]
"""A JSON object as Python reads it."""


@dataclass(frozen=True, eq=False)
class Request:
    """One request to `/v1/chat/completions`. The properties read `body` and forgive what is missing in it."""

    n: int
    """Which request of the server this is, in order of arrival, from 1."""
    body: JsonObject
    """The JSON body; `{}` if it was not a JSON object."""
    headers: Mapping[str, str] = field(repr=False)
    """The HTTP headers, with names in lower case."""
    raw: bytes = field(default=b"", repr=False)
    """The body as it came."""

    @property
    def model(self) -> str:
        """The name of the model asked."""
        return str(self.body.get("model", ""))

    @property
    def messages(self) -> list[JsonObject]:
        """The messages, oldest first."""
        return _objects(self.body.get("messages"))

    @property
    def text(self) -> str:
        """The text of all messages, one paragraph each."""
        return "\n\n".join(filter(None, map(message_text, self.messages)))

    @property
    def last(self) -> str:
        """The text of the last message."""
        return message_text(self.messages[-1]) if self.messages else ""

    @property
    def system(self) -> str:
        """The text of the instructions: all `system` and `developer` messages."""
        return "\n\n".join(message_text(message) for message in self.messages if message.get("role") in ("system", "developer"))

    @property
    def tools(self) -> dict[str, JsonObject]:
        """The function tools offered, by name: `{"description": ..., "parameters": ..., "strict": ...}`."""
        functions = (_object(tool.get("function")) for tool in _objects(self.body.get("tools")))
        return {str(function["name"]): function for function in functions if "name" in function}

    @property
    def tool_results(self) -> dict[str, str]:
        """What the tools answered so far: the text of each `tool` message by its `tool_call_id`."""
        return {
            str(message.get("tool_call_id")): message_text(message)
            for message in self.messages
            if message.get("role") == "tool"
        }

    @property
    def schema(self) -> JsonObject | None:
        """The JSON schema the reply must follow, or `None`."""
        described = _object(_object(self.body.get("response_format")).get("json_schema"))
        return _object(described["schema"]) if "schema" in described else None

    @property
    def stream(self) -> bool:
        """Whether the reply is to be streamed."""
        return self.body.get("stream") is True

    @property
    def max_tokens(self) -> int | None:
        """The cap on completion tokens, if there is one."""
        cap = self.body.get("max_completion_tokens") or self.body.get("max_tokens")
        return cap if isinstance(cap, int) else None

    @property
    def choices(self) -> int:
        """How many choices are asked for (the body's `n`)."""
        count = self.body.get("n")
        return count if isinstance(count, int) else 1


def message_text(message: Mapping[str, object]) -> str:
    """Return the text of one message, of all its parts if it has several."""
    content = message.get("content")
    if isinstance(content, str):
        return content
    return "\n".join(str(part["text"]) for part in _objects(content) if "text" in part)


def _object(value: object) -> JsonObject:
    return cast(JsonObject, value) if isinstance(value, dict) else {}


def _objects(value: object) -> list[JsonObject]:
    items = cast("list[object]", value) if isinstance(value, list) else []
    return [cast(JsonObject, item) for item in items if isinstance(item, dict)]

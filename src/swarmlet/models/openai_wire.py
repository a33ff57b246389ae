"""How a chat request and its reply look on the wire of Chat Completions.

Replies are validated with models of our own that name just what we read: the SDK builds its objects without validation, so
a server that lies would be noticed only where a field is used.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, TypeAlias

from pydantic import BaseModel, Field, JsonValue

from swarmlet.models.base import ChatReply, ChatRequest, Image, Message, ReplyFormat, ToolCall, ToolDefinition
from swarmlet.models.profiles import Profile

Body: TypeAlias = dict[str, Any]  # Any: JSON for the SDK, whose own request types are a union of TypedDicts


def request_body(request: ChatRequest, profile: Profile) -> Body:
    """The JSON body of a request, without what the model of this profile does not take."""
    body: Body = {
        "model": request.model,
        "messages": [_message(message) for message in request.messages],
        "max_completion_tokens": min(request.max_tokens, profile.max_output or request.max_tokens),
        "store": False,
    }
    if request.tools:
        body["tools"] = [_tool(tool) for tool in request.tools]
        body["tool_choice"] = request.tool_choice
    if request.format:
        body["response_format"] = _format(request.format)
    if request.temperature is not None and profile.sampling:
        body["temperature"] = request.temperature
    if request.seed is not None:
        body["seed"] = request.seed
    if profile.reasoning_effort is not None:
        body["reasoning_effort"] = profile.reasoning_effort
    return body


def _message(message: Message) -> Body:
    if message.role == "tool":
        return {"role": "tool", "tool_call_id": message.tool_call_id, "content": message.text}
    if message.role == "assistant":
        said: Body = {"role": "assistant", "content": message.text or None}
        if message.tool_calls:
            said["tool_calls"] = [_tool_call(call) for call in message.tool_calls]
        return said
    content = message.content if isinstance(message.content, str) else [_part(part) for part in message.content]
    return {"role": message.role, "content": content}


def _part(part: str | Image) -> Body:
    if isinstance(part, str):
        return {"type": "text", "text": part}
    return {"type": "image_url", "image_url": {"url": part.url, "detail": part.detail}}


def _tool_call(call: ToolCall) -> Body:
    return {"id": call.id, "type": "function", "function": {"name": call.name, "arguments": call.arguments}}


def _tool(tool: ToolDefinition) -> Body:
    function: Body = {"name": tool.name, "parameters": dict(tool.parameters), "strict": tool.strict}
    if tool.description:
        function["description"] = tool.description
    return {"type": "function", "function": function}


def _format(wanted: ReplyFormat) -> Body:
    schema = {"name": wanted.name, "schema": dict(wanted.schema), "strict": wanted.strict}
    return {"type": "json_schema", "json_schema": schema}


class _Details(BaseModel):
    cached_tokens: int | None = None


class _Usage(BaseModel):
    prompt_tokens: int = 0
    completion_tokens: int = 0
    prompt_tokens_details: _Details | None = None


class _Function(BaseModel):
    name: str
    arguments: str


class _Call(BaseModel):
    id: str
    function: _Function


class _Said(BaseModel):
    content: str | None = None
    refusal: str | None = None
    tool_calls: list[_Call] | None = None


class _Choice(BaseModel):
    message: _Said
    finish_reason: str | None = None


class Completion(BaseModel):
    """What we read of a chat completion."""

    choices: list[_Choice] = Field(min_length=1)
    usage: _Usage | None = None
    model: str = ""
    service_tier: str | None = None

    def reply(self, request_id: str | None) -> ChatReply:
        """The completion as a vendor-neutral reply."""
        choice = self.choices[0]
        calls = choice.message.tool_calls or []
        return ChatReply(
            text=choice.message.content or "",
            tool_calls=tuple(ToolCall(call.id, call.function.name, call.function.arguments) for call in calls),
            refusal=choice.message.refusal,
            finish_reason=choice.finish_reason or "stop",
            model=self.model,
            service_tier=self.service_tier,
            request_id=request_id,
            **_tokens(self.usage),
        )


class _FunctionPiece(BaseModel):
    name: str | None = None
    arguments: str | None = None


class _CallPiece(BaseModel):
    index: int = 0
    id: str | None = None
    function: _FunctionPiece | None = None


class _Delta(BaseModel):
    content: str | None = None
    refusal: str | None = None
    tool_calls: list[_CallPiece] | None = None


class _ChoicePiece(BaseModel):
    delta: _Delta = Field(default_factory=_Delta)
    finish_reason: str | None = None


class Chunk(BaseModel):
    """What we read of one event of a streamed completion. The last one has usage and no choices."""

    choices: list[_ChoicePiece] = Field(default_factory=list[_ChoicePiece])
    usage: _Usage | None = None
    model: str | None = None
    service_tier: str | None = None
    error: dict[str, JsonValue] | None = None


@dataclass(slots=True)
class StreamedReply:
    """Puts a reply together from its chunks."""

    text: str = ""
    refusal: str = ""
    finish_reason: str | None = None
    model: str = ""
    service_tier: str | None = None
    usage: _Usage | None = None
    calls: dict[int, list[str]] = field(default_factory=dict[int, list[str]])
    """By the index of the call: id, name, arguments so far."""

    def add(self, chunk: Chunk) -> str:
        """Take one chunk, and give the text in it."""
        self.model = chunk.model or self.model
        self.service_tier = chunk.service_tier or self.service_tier
        self.usage = chunk.usage or self.usage
        text = ""
        for choice in chunk.choices[:1]:
            self.finish_reason = choice.finish_reason or self.finish_reason
            text = choice.delta.content or ""
            self.text += text
            self.refusal += choice.delta.refusal or ""
            for piece in choice.delta.tool_calls or []:
                self._add_call(piece)
        return text

    def _add_call(self, piece: _CallPiece) -> None:
        call = self.calls.setdefault(piece.index, ["", "", ""])
        call[0] = piece.id or call[0]
        if piece.function:
            call[1] += piece.function.name or ""
            call[2] += piece.function.arguments or ""

    def reply(self, request_id: str | None, first_token: float | None) -> ChatReply:
        """The whole reply."""
        return ChatReply(
            text=self.text,
            tool_calls=tuple(ToolCall(*self.calls[index]) for index in sorted(self.calls)),
            refusal=self.refusal or None,
            finish_reason=self.finish_reason or "stop",
            model=self.model,
            service_tier=self.service_tier,
            request_id=request_id,
            first_token=first_token,
            **_tokens(self.usage),
        )


def _tokens(usage: _Usage | None) -> dict[str, Any]:  # Any: keyword arguments of one type each
    if usage is None:
        return {}
    cached = usage.prompt_tokens_details.cached_tokens if usage.prompt_tokens_details else None
    return {
        "input_tokens": usage.prompt_tokens,
        "cached_tokens": cached or 0,
        "output_tokens": usage.completion_tokens,
    }

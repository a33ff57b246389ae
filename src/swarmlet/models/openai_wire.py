"""How a chat request and its reply look on the wire of Chat Completions.

Replies are validated with models of our own that name just what we read: the SDK builds its objects without validation, so
a server that lies would be noticed only where a field is used.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Annotated, Any, Self, TypeAlias, cast

from pydantic import BaseModel, BeforeValidator, Field, JsonValue, model_validator

from swarmlet.models.base import ChatReply, ChatRequest, Image, Message, ReplyFormat, ToolCall, ToolDefinition
from swarmlet.models.profiles import Profile
from swarmlet.policy.ratelimit_headers import Reading

Body: TypeAlias = dict[str, Any]  # Any: JSON for the SDK, whose own request types are a union of TypedDicts


def request_body(request: ChatRequest, profile: Profile, *, model: str | None = None, streamed: bool = False) -> Body:
    """The JSON body of a request, without what the model of this profile does not take. `model` is the server's name for it.

    It is what the SDK's `chat.completions.create` would send, key for key: that would only transform it once more, which
    takes longer than all the rest of a call with a long history.
    """
    sampling = request.temperature is not None and profile.sampling
    asked: Body = {
        "model": model or request.model,
        "stream": True if streamed else None,
        "messages": [_message(message) for message in request.messages],
        "max_completion_tokens": min(request.max_tokens, profile.max_output or request.max_tokens),
        "prompt_cache_key": request.cache_key if profile.prompt_cache_key else None,
        "reasoning_effort": profile.reasoning_effort,
        "response_format": _format(request.format) if request.format else None,
        "seed": request.seed,
        "store": False,
        "stream_options": {"include_usage": True} if streamed else None,
        "temperature": request.temperature if sampling else None,
        "tool_choice": request.tool_choice if request.tools else None,
        "tools": [_tool(tool) for tool in request.tools] if request.tools else None,
    }
    return {key: value for key, value in asked.items() if value is not None}


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


ServerError: TypeAlias = dict[str, JsonValue]
"""What servers put into `error`: message, type, code."""


def _count(value: object) -> int:
    """A number of tokens. A reply is not lost, nor paid for again, because its usage is missing, negative or no number."""
    return max(0, int(value)) if isinstance(value, int | float) and math.isfinite(value) else 0


def _object(value: object) -> object:
    return cast("object", value) if isinstance(value, dict) else None


_Count = Annotated[int, BeforeValidator(_count)]


class _Details(BaseModel):
    cached_tokens: _Count = 0


class _Usage(BaseModel):
    prompt_tokens: _Count = 0
    completion_tokens: _Count = 0
    prompt_tokens_details: Annotated[_Details | None, BeforeValidator(_object)] = None


_MaybeUsage = Annotated[_Usage | None, BeforeValidator(_object)]


class _Function(BaseModel):
    name: str = Field(min_length=1)
    arguments: str | None = None


class _Call(BaseModel):
    id: str | None = None
    function: _Function

    def as_tool_call(self) -> ToolCall:
        return ToolCall(self.id or "", self.function.name, self.function.arguments or "")


class _Said(BaseModel):
    content: str | None = None
    refusal: str | None = None
    tool_calls: list[_Call] | None = None


class _Choice(BaseModel):
    message: _Said
    finish_reason: str | None = None


class Completion(BaseModel):
    """What we read of a chat completion."""

    choices: list[_Choice] | None = None
    usage: _MaybeUsage = None
    model: str | None = None
    service_tier: str | None = None
    error: ServerError | None = None

    @model_validator(mode="after")
    def _answers(self) -> Self:
        if self.error is None and not self.choices:
            raise ValueError("it has no choices")
        return self

    def reply(self, request_id: str | None, limits: Reading | None = None) -> ChatReply:
        """The completion as a vendor-neutral reply."""
        (choice, *_) = self.choices or [_Choice(message=_Said())]
        calls = choice.message.tool_calls or []
        return ChatReply(
            text=choice.message.content or "",
            tool_calls=tuple(call.as_tool_call() for call in calls),
            refusal=choice.message.refusal,
            finish_reason=choice.finish_reason or "stop",
            model=self.model or "",
            service_tier=self.service_tier,
            request_id=request_id,
            limits=limits,
            **_tokens(self.usage),
        )


class _FunctionPiece(BaseModel):
    name: str | None = None
    arguments: str | None = None


class _CallPiece(BaseModel):
    index: int | None = None
    id: str | None = None
    function: _FunctionPiece | None = None


class _Delta(BaseModel):
    content: str | None = None
    refusal: str | None = None
    tool_calls: list[_CallPiece] | None = None


class _ChoicePiece(BaseModel):
    delta: _Delta | None = None
    finish_reason: str | None = None


class Chunk(BaseModel):
    """What we read of one event of a streamed completion. The last one has usage and no choices."""

    choices: list[_ChoicePiece] | None = None
    usage: _MaybeUsage = None
    model: str | None = None
    service_tier: str | None = None
    error: ServerError | None = None


@dataclass(slots=True)
class _CallSoFar:
    index: int | None
    id: str = ""
    name: str = ""
    arguments: str = ""

    def goes_on_with(self, piece: _CallPiece) -> bool:
        """Whether `piece` is part of this call: some servers send no index, or the same one for every call."""
        return self.index == piece.index and (not piece.id or not self.id or piece.id == self.id)


@dataclass(slots=True)
class StreamedReply:
    """Puts a reply together from its chunks."""

    text: str = ""
    refusal: str = ""
    finish_reason: str | None = None
    model: str = ""
    service_tier: str | None = None
    usage: _Usage | None = None
    calls: list[_CallSoFar] = field(default_factory=list[_CallSoFar])

    def add(self, chunk: Chunk) -> str:
        """Take one chunk, and give the text in it."""
        self.model = chunk.model or self.model
        self.service_tier = chunk.service_tier or self.service_tier
        self.usage = chunk.usage or self.usage
        text = ""
        for choice in (chunk.choices or [])[:1]:
            self.finish_reason = choice.finish_reason or self.finish_reason
            delta = choice.delta or _Delta()
            text = delta.content or ""
            self.text += text
            self.refusal += delta.refusal or ""
            for piece in delta.tool_calls or []:
                self._add_call(piece)
        return text

    def _add_call(self, piece: _CallPiece) -> None:
        call = next((call for call in reversed(self.calls) if call.goes_on_with(piece)), None)
        if call is None:
            call = _CallSoFar(piece.index)
            self.calls.append(call)
        call.id = piece.id or call.id
        if piece.function:
            call.name += piece.function.name or ""
            call.arguments += piece.function.arguments or ""

    def reply(self, request_id: str | None, first_token: float | None, limits: Reading | None = None) -> ChatReply:
        """The whole reply. Raises `ValidationError` for a tool call that never got a name."""
        calls = [_Call(id=call.id, function=_Function(name=call.name, arguments=call.arguments)) for call in self.calls]
        return ChatReply(
            text=self.text,
            tool_calls=tuple(call.as_tool_call() for call in calls),
            refusal=self.refusal or None,
            finish_reason=self.finish_reason or "stop",
            model=self.model,
            service_tier=self.service_tier,
            request_id=request_id,
            first_token=first_token,
            limits=limits,
            **_tokens(self.usage),
        )


def _tokens(usage: _Usage | None) -> dict[str, Any]:  # Any: keyword arguments of one type each
    if usage is None:
        return {}
    cached = usage.prompt_tokens_details.cached_tokens if usage.prompt_tokens_details else 0
    return {
        "input_tokens": usage.prompt_tokens,
        "cached_tokens": min(cached, usage.prompt_tokens),
        "output_tokens": usage.completion_tokens,
    }

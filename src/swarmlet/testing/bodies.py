"""From a reply to what goes over the wire: JSON bodies, and the events of a stream.

Above `replies` and `requests`, below `wire`. Pure: the same reply to the same request is the same bytes.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import TypeAlias

from swarmlet.testing.gates import Gate
from swarmlet.testing.replies import CallTools, Fail, Finish, Garbage, Refuse, Say, Tokens, to_json
from swarmlet.testing.requests import JsonObject, Request, message_text

CountTokens: TypeAlias = Callable[[str], int]
"""Counts the tokens of a text."""

_CREATED = 1_767_225_600  # 2026-01-01T00:00:00Z: replies are the same every time
_PIECE = 8  # characters of text or of arguments in one event of a stream


def quarter_of_characters(text: str) -> int:
    """Count a text's tokens roughly: four characters each, rounded up."""
    return -(-len(text) // 4)


@dataclass(frozen=True)
class Delivery:
    """One HTTP response and how it leaves."""

    status: int
    headers: Mapping[str, str]
    pieces: tuple[bytes, ...]
    """The body, whole; or, in a stream, its events."""
    stream: bool = False
    cut: bool = False
    """Whether the connection drops after `kept`."""
    kept: int | None = None
    """What is still sent before the cut: bytes, or events of a stream; `None`: not even the head."""
    pause: float = 0.0
    """Seconds before each event of the stream."""
    gate: Gate | None = field(default=None)
    """A door before each event of the stream."""


# --- what is not a completion


def error(fail: Fail) -> Delivery:
    """Return the HTTP error that `fail` stands for."""
    headers = {"content-type": "application/json", **fail.wire_headers()}
    return Delivery(fail.status, headers, (_error_body(fail).encode(),))


def _error_body(fail: Fail) -> str:
    shown = {"message": fail.message, "type": fail.error_type, "param": fail.param, "code": fail.code}
    return to_json({"error": shown})


def error_event(fail: Fail) -> bytes:
    """Return `fail` as an event within a stream."""
    return _event(_error_body(fail))


def garbage(reply: Garbage) -> Delivery:
    """Return the malformed body, under its status."""
    body = reply.body if isinstance(reply.body, bytes) else reply.body.encode()
    return Delivery(reply.status, {"content-type": reply.content_type}, (body,))


def models(names: tuple[str, ...]) -> Delivery:
    """Return the list of models."""
    data = [{"id": name, "object": "model", "created": _CREATED, "owned_by": "system", "shutdown_date": None} for name in names]
    body = to_json({"object": "list", "data": data})
    return Delivery(200, {"content-type": "application/json"}, (body.encode(),))


# --- completions


def completion(reply: Say | CallTools | Refuse, request: Request, count: CountTokens) -> Delivery:
    """Return `reply` as the API would send it to `request`: whole, or as a stream if that was asked for."""
    answer = _Answer(reply, request, count)
    if request.stream:
        headers = {"content-type": "text/event-stream; charset=utf-8", **reply.headers}
        return Delivery(200, headers, tuple(answer.events()), stream=True)
    headers = {"content-type": "application/json", **reply.headers}
    return Delivery(200, headers, (to_json(answer.body()).encode(),))


def _as_asked(content: object, request: Request) -> object:
    """An object, as the schema of the request has it: an agent of a union or a list asks for it as `{"value": ...}`."""
    asked = (request.schema or {}).get("properties")
    fields = getattr(type(content), "model_fields", None) or getattr(type(content), "__dataclass_fields__", None)
    return {"value": content} if fields and asked and set(asked) == {"value"} != set(fields) else content


class _Answer:
    """A reply to one request, in the words of the API."""

    def __init__(self, reply: Say | CallTools | Refuse, request: Request, count: CountTokens) -> None:
        self._reply, self._request, self._count = reply, request, count
        self._message: JsonObject = {"role": "assistant", "content": None, "refusal": None, "annotations": []}
        self._finish: Finish = reply.finish or "stop"
        match reply:
            case Say(content=content):
                self._say(content if isinstance(content, str) else to_json(_as_asked(content, request)))
            case Refuse(refusal=refusal):
                self._message["refusal"] = refusal
            case CallTools(calls=calls, text=text):
                self._finish = reply.finish or "tool_calls"
                self._message["content"] = text
                self._message["tool_calls"] = [
                    _tool_call(call.name, call.arguments, call.id or f"call_{request.n:06}_{position}")
                    for position, call in enumerate(calls)
                ]

    def _say(self, text: str) -> None:
        cap = self._request.max_tokens
        if cap is not None and self._reply.usage is None and self._reply.finish is None:
            kept = _cut_to(text, cap, self._count)
            self._finish = "stop" if kept == text else "length"
            text = kept
        self._message["content"] = text

    def body(self) -> JsonObject:
        choices = [
            {"index": index, "message": self._message, "logprobs": None, "finish_reason": self._finish}
            for index in range(self._request.choices)
        ]
        return {**self._head("chat.completion"), "choices": choices, "usage": self._usage()}

    def _head(self, kind: str) -> JsonObject:
        asked = self._request.body.get("service_tier")
        tier = self._reply.service_tier or (asked if asked and asked != "auto" else "default")
        return {
            "id": f"chatcmpl-{self._request.n:06}",
            "object": kind,
            "created": _CREATED,
            "model": self._reply.model or self._request.model,
            "service_tier": tier,
            "system_fingerprint": "fp_scripted",
        }

    def _usage(self) -> JsonObject:
        given = self._reply.usage or Tokens()
        prompt = given.input if given.input is not None else prompt_tokens(self._request, self._count)
        output = given.output if given.output is not None else self._output_tokens()
        return {
            "prompt_tokens": prompt,
            "completion_tokens": output,
            "total_tokens": prompt + output,
            "prompt_tokens_details": {"cached_tokens": given.cached, "audio_tokens": 0},
            "completion_tokens_details": {
                "reasoning_tokens": given.reasoning,
                "audio_tokens": 0,
                "accepted_prediction_tokens": 0,
                "rejected_prediction_tokens": 0,
            },
        }

    def _output_tokens(self) -> int:
        calls = (call["function"] for call in self._message.get("tool_calls", ()))
        texts = [self._message["content"] or "", self._message["refusal"] or ""]
        texts += [call["name"] + call["arguments"] for call in calls]
        return max(1, sum(map(self._count, texts))) * self._request.choices

    # --- as a stream

    def events(self) -> Iterator[bytes]:
        """The events of the stream: role, pieces, finish, usage if asked for, `[DONE]`."""
        options: JsonObject = self._request.body.get("stream_options") or {}
        wants_usage = bool(options.get("include_usage"))
        head = self._head("chat.completion.chunk")
        if wants_usage:
            head["usage"] = None
        for index in range(self._request.choices):
            for delta in self._deltas():
                yield _chunk(head, index, delta, None)
            yield _chunk(head, index, {}, self._finish)
        if wants_usage:
            yield _event(to_json({**head, "choices": [], "usage": self._usage()}))
        yield _event("[DONE]")

    def _deltas(self) -> Iterator[JsonObject]:
        message = self._message
        yield {"role": "assistant", "content": None if message["content"] is None else "", "refusal": None}
        for part in ("content", "refusal"):
            yield from ({part: piece} for piece in _pieces(message[part] or ""))
        for index, call in enumerate(message.get("tool_calls", ())):
            function = call["function"]
            yield {"tool_calls": [{**call, "index": index, "function": {**function, "arguments": ""}}]}
            for piece in _pieces(function["arguments"]):
                yield {"tool_calls": [{"index": index, "function": {"arguments": piece}}]}


def prompt_tokens(request: Request, count: CountTokens) -> int:
    """Count what the request feeds to the model: texts, earlier tool calls, tools and the schema."""
    texts = [message_text(message) for message in request.messages]
    texts += [to_json(message["tool_calls"]) for message in request.messages if message.get("tool_calls")]
    texts += [to_json(tool) for tool in request.tools.values()]
    texts += [to_json(request.schema)] if request.schema else []
    return max(1, sum(map(count, texts)))


def _cut_to(text: str, cap: int, count: CountTokens) -> str:
    if count(text) <= cap:
        return text
    return text[: bisect_right(range(len(text)), cap, key=lambda length: count(text[:length])) - 1]


def _tool_call(name: str, arguments: str, identity: str) -> JsonObject:
    return {"id": identity, "type": "function", "function": {"name": name, "arguments": arguments}}


def _pieces(text: str) -> list[str]:
    return [text[start : start + _PIECE] for start in range(0, len(text), _PIECE)]


def _chunk(head: JsonObject, index: int, delta: JsonObject, finish: Finish | None) -> bytes:
    choice = {"index": index, "delta": delta, "logprobs": None, "finish_reason": finish}
    return _event(to_json({**head, "choices": [choice]}))


def _event(data: str) -> bytes:
    return f"data: {data}\n\n".encode()

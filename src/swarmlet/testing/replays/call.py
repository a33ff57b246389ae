"""One recorded call, and the one form in which calls are kept and compared.

The form of a request is plain JSON without what differs from run to run: ids of tool calls are numbered in the order in
which they appear, secrets and machine paths are scrubbed, pictures stand as digests, and the cache key is left out.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cache
from typing import Any, Final, TypeAlias, cast

from pydantic import JsonValue, TypeAdapter

from swarmlet.models.base import ChatReply, ChatRequest, ToolCall
from swarmlet.testing.replays.scrub import Scrub, short_url, without_homes
from swarmlet.trace.events import Fault

Form: TypeAlias = dict[str, JsonValue]

_LEFT_OUT: Final = {"request_id", "first_token", "limits"}
"""Of a reply: what tells of its transport."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordedCall:
    """One model call of a recording: who asked (`step`, `turn`), the `request`, and what came back.

    That is a `reply`; or, of a call that failed for good, the `error`; or neither, for a call that was cancelled before
    its reply came, as those of a lost race are.
    """

    step: str
    turn: int
    request: Form
    """As `ChatRequest` has it, in plain JSON; what has its default value is left out."""
    reply: ChatReply | None = None
    error: Fault | None = None

    @property
    def key(self) -> str:
        """Names the request by its content. The cap on the reply is not in it: budgets lower that."""
        return key_of(self.request)

    @property
    def cancelled(self) -> bool:
        """Whether nothing came back, because nobody waited any more."""
        return self.reply is None and self.error is None

    @property
    def model(self) -> str:
        """The model that was asked."""
        return str(self.request.get("model", ""))


def key_of(form: Form) -> str:
    """Names a request by its content."""
    return json.dumps({name: value for name, value in form.items() if name != "max_tokens"}, sort_keys=True)


@cache
def request_adapter() -> TypeAdapter[Any]:  # Any: of ChatRequest, which mypy would have written as a type argument at run time
    """Reads and writes requests as JSON."""
    return TypeAdapter(ChatRequest)


@cache
def reply_adapter() -> TypeAdapter[Any]:  # Any: as above
    """Reads and writes replies as JSON."""
    return TypeAdapter(ChatReply)


def form_of(request: ChatRequest, scrub: Scrub) -> Form:
    """A request as it is kept and compared."""
    form: Form = request_adapter().dump_python(
        replace(request, cache_key=None), mode="json", exclude_defaults=True, warnings=False
    )
    if request.temperature is not None:
        form["temperature"] = float(request.temperature) + 0.0  # 1 is 1.0, and -0.0 is 0.0
    _number_ids(form)
    return {name: _scrubbed(value, lambda text: without_homes(scrub(text))) for name, value in form.items()}


def reply_form(reply: ChatReply) -> Form:
    """A reply in plain JSON; what has its default value is left out."""
    return cast(
        "Form",
        reply_adapter().dump_python(reply, mode="json", exclude_defaults=True, exclude=_LEFT_OUT, warnings=False),
    )


def clean_reply(reply: ChatReply, form: Form, scrub: Scrub) -> ChatReply:
    """A reply as it is kept: the ids of its tool calls go on where those of its request end."""
    told = sum(len(_calls_of(message)) for message in _messages(form))
    calls = (
        ToolCall(f"call_{number}", scrub(call.name), scrub(call.arguments))
        for number, call in enumerate(reply.tool_calls, told + 1)
    )
    return replace(
        reply,
        text=scrub(reply.text),
        tool_calls=tuple(calls),
        refusal=reply.refusal and scrub(reply.refusal),
        model=scrub(reply.model),
        request_id=None,
        first_token=None,
        limits=None,
    )


def _messages(form: Form) -> list[Form]:
    return cast("list[Form]", form.get("messages") or [])


def _calls_of(message: Form) -> list[Form]:
    return cast("list[Form]", message.get("tool_calls") or [])


def _number_ids(form: Form) -> None:
    """Number the ids of tool calls through the conversation: servers make up others each time, and some repeat them."""
    names: dict[JsonValue, str] = {}
    number = 0
    for message in _messages(form):
        for call in _calls_of(message):
            number += 1
            names[call["id"]] = call["id"] = f"call_{number}"
        told = message.get("tool_call_id")
        if told is not None:
            message["tool_call_id"] = names.get(told, told)


def _scrubbed(value: JsonValue, scrub: Scrub) -> JsonValue:
    if isinstance(value, str):
        return scrub(value)
    if isinstance(value, list):
        return [_scrubbed(one, scrub) for one in value]
    if isinstance(value, dict):
        return {
            name: short_url(one, scrub) if name == "url" and isinstance(one, str) else _scrubbed(one, scrub)
            for name, one in value.items()
        }
    return value


def cut_to(reply: ChatReply, cap: int) -> ChatReply:
    """The reply as a smaller cap would have cut it off. What it had of tool calls is lost, as half of one is none."""
    if reply.output_tokens <= cap:
        return reply
    kept = len(reply.text) * cap // reply.output_tokens
    return replace(reply, text=reply.text[:kept], tool_calls=(), finish_reason="length", output_tokens=cap)


def visible(text: str) -> str:
    """`text` with an escape for each character that cannot be seen, or that turns the order of others around."""
    if text.isascii() and text.isprintable():
        return text
    return "".join(one if one.isprintable() else _escape(one) for one in text)


def _escape(one: str) -> str:
    """A character as JSON escapes it."""
    return json.dumps(one)[1:-1] if not one.isascii() or one < " " else f"\\u{ord(one):04x}"


def to_line(value: Mapping[str, object]) -> str:
    """JSON in one line: keys sorted, letters of all languages as they are, and nothing in it that cannot be seen."""
    return visible(json.dumps(value, sort_keys=True, ensure_ascii=False, allow_nan=False))


def finite(value: object) -> bool:
    """Whether every number in a JSON value is one."""
    if isinstance(value, float):
        return math.isfinite(value)
    if isinstance(value, dict):
        return all(map(finite, cast("dict[str, object]", value).values()))
    return all(map(finite, cast("list[object]", value))) if isinstance(value, list) else True

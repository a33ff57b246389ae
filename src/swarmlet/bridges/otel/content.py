"""What was said, in the conventions' format: messages of parts, as JSON.

Recorded values come as JSON too, so nothing here knows the classes that wrote them. The bytes of pictures are left out.
"""

from __future__ import annotations

import json
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from threading import Lock
from typing import TYPE_CHECKING, Final, TypeAlias, cast, final

from swarmlet.bridges.otel import words

if TYPE_CHECKING:
    from opentelemetry.util.types import AttributeValue

    from swarmlet.trace.events import Digest

Look: TypeAlias = "Callable[[Digest], bytes | None]"
"""Where recorded values are."""
Json: TypeAlias = Mapping[str, object]

_KEPT: Final = 32 * 2**20
_REQUEST: Final = b'{"model":'
"""How the record of a request begins, the only value that is read also where content is off: for its settings."""
_REASONS: Final = {"tool_calls": "tool_call"}


@final
class Kept:
    """The values of the runs that are going on, newest last. The oldest are forgotten: `most` bytes are kept."""

    def __init__(self, most: int = _KEPT, *, all_: bool = True) -> None:
        self._most = most
        self._all = all_
        self._size = 0
        self._values: OrderedDict[Digest, bytes] = OrderedDict()
        self._lock = Lock()  # runs of several event loops may have one tracer

    def take(self, digest: Digest, content: bytes) -> None:
        """Keep a value for a while."""
        if not self._all and not content.startswith(_REQUEST):
            return
        with self._lock:
            if digest not in self._values:
                self._size += len(content)
            self._values[digest] = content
            self._values.move_to_end(digest)
            while self._size > self._most:
                self._size -= len(self._values.popitem(last=False)[1])

    def look(self, digest: Digest) -> bytes | None:
        """A kept value."""
        with self._lock:
            content = self._values.get(digest)
            if content is not None:
                self._values.move_to_end(digest)
            return content


@final
class Content:
    """Reads recorded values for the attributes of spans; with `shown` also what was said."""

    def __init__(self, look: Look, *, shown: bool) -> None:
        self._look = look
        self.shown = shown

    def settings(self, request: Digest | None) -> dict[str, AttributeValue]:
        """What a request says about how to answer; its tools, if content is shown."""
        told = cast("Json | None", self._read(request))
        if told is None:
            return {}
        found: dict[str, AttributeValue] = {words.OUTPUT_TYPE: "json" if told.get("format") else "text"}
        for name, key in (("temperature", words.REQUEST_TEMPERATURE), ("seed", words.REQUEST_SEED)):
            value = told.get(name)
            if isinstance(value, int | float):
                found[key] = value
        if self.shown and (tools := cast("Sequence[Json]", told.get("tools") or ())):
            found[words.TOOL_DEFINITIONS] = _json([_definition(tool) for tool in tools])
        return found

    def asked(self, messages: Sequence[Digest | None]) -> dict[str, AttributeValue]:
        """The messages of a request."""
        if not self.shown:
            return {}
        read = [cast("Json | None", self._read(message)) for message in messages]
        told = [_message(message) for message in read if message is not None]
        return {words.INPUT_MESSAGES: _json(told)} if told else {}

    def answered(self, reply: Digest | None, reason: str | None) -> dict[str, AttributeValue]:
        """The message of a reply."""
        told = cast("Json | None", self._read(reply)) if self.shown else None
        if told is None:
            return {}
        text = told.get("text") or told.get("refusal")
        parts = [*([_text(text)] if text else []), *_calls(told)]
        why = _REASONS.get(reason or "", reason or "stop")
        return {words.OUTPUT_MESSAGES: _json([{"role": "assistant", "parts": parts, "finish_reason": why}])}

    def tool(self, key: str, value: Digest | None) -> dict[str, AttributeValue]:
        """Arguments or result of a tool, which were recorded as a text."""
        text = self._read(value) if self.shown else None
        return {} if text is None else {key: text if isinstance(text, str) else _json(text)}

    def inputs(self, inputs: Mapping[str, Digest | None]) -> dict[str, AttributeValue]:
        """The arguments of a step."""
        if not self.shown or not inputs:
            return {}
        told = {name: self._read(value) for name, value in inputs.items()}
        return {words.OI_INPUT: _json(told), words.OI_INPUT_TYPE: words.JSON}

    def output(self, value: Digest | None) -> dict[str, AttributeValue]:
        """What a step gave."""
        content = self._look(value) if self.shown and value is not None else None
        if content is None:
            return {}
        return {words.OI_OUTPUT: content.decode("utf-8", "replace"), words.OI_OUTPUT_TYPE: words.JSON}

    def _read(self, value: Digest | None) -> object:
        content = self._look(value) if value is not None else None
        if content is None:
            return None
        try:
            return json.loads(content)
        except ValueError:  # of a journal that somebody else has written
            return None


def _json(value: object) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def _text(text: object) -> Json:
    return {"type": "text", "content": text}


def _message(message: Json) -> Json:
    role = message.get("role")
    if role == "tool":
        response = {"type": "tool_call_response", "id": message.get("tool_call_id"), "response": message.get("content")}
        return {"role": role, "parts": [response]}
    content = message.get("content")
    said = cast("Sequence[object]", content if isinstance(content, list) else [content] if content else [])
    parts = [_text(part) if isinstance(part, str) else _picture(cast("Json", part)) for part in said]
    return {"role": role, "parts": [*parts, *_calls(message)]}


def _picture(part: Json) -> Json:
    url = str(part.get("url", ""))
    if not url.startswith("data:"):
        return {"type": "uri", "modality": "image", "uri": url}
    mime = url.removeprefix("data:").partition(",")[0].partition(";")[0]
    return {"type": "blob", "modality": "image", "mime_type": mime, "content": ""}


def _calls(message: Json) -> list[Json]:
    calls = cast("Sequence[Json]", message.get("tool_calls") or ())
    return [
        {"type": "tool_call", "id": call.get("id"), "name": call.get("name"), "arguments": _arguments(call.get("arguments"))}
        for call in calls
    ]


def _arguments(written: object) -> object:
    """The arguments as the model meant them; as it wrote them, if that is no JSON."""
    try:
        return json.loads(written) if isinstance(written, str) else written
    except ValueError:
        return written


def _definition(tool: Json) -> Json:
    return {"type": "function", **{key: tool.get(key) for key in ("name", "description", "parameters")}}

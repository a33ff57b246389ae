"""Whole requests counted: text, and what the API adds around it.

The figures for the gpt-4o family are from OpenAI's cookbook, "How to count tokens with tiktoken" [read November 2026]. What is
not published there (how tool calls, nested parameters and response schemas are shown to the model) is estimated from their
JSON, whose tokens serve as the upper limit.

    a message           3, its role, its content
    the reply           3, once
    tools               12, and for each: 7, the tokens of "name:description", 3 if it has parameters
    a parameter         3 and the tokens of "name:type:description"; with an enum -3, and for each value 3 and its tokens
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from functools import cache
from typing import TYPE_CHECKING, cast

from swarmlet.models.base import Image
from swarmlet.models.tokens.bounds import any_span, o200k_span
from swarmlet.models.tokens.images import ImagePrice
from swarmlet.models.tokens.recent import Recent
from swarmlet.models.tokens.shown import lines
from swarmlet.models.tokens.span import NOTHING, Span, total
from swarmlet.models.tokens.vocab import counter_of, encode, encoding

if TYPE_CHECKING:
    from collections.abc import Callable

    from swarmlet.models.base import ChatRequest, Message, ReplyFormat, ToolCall, ToolDefinition
    from swarmlet.models.profiles import Profile
    from swarmlet.models.tokens.vocab import Encoding

O200K = "o200k_base"
_O200K_FAMILIES = ("gpt-4o", "gpt-4.1", "gpt-4.5", "gpt-5", "gpt-6", "chatgpt-4o", "o1", "o3", "o4")
# Tokens for (low detail, a tile), from the guide named in `images`. Other models are taken to be as dear as the dearest.
_IMAGES = {"gpt-4o-mini": ImagePrice(2_833, 5_667), "gpt-4o": ImagePrice(85, 170)}
_CHEAPEST_IMAGE = 65
_MESSAGE = Span.of(4)  # with the role, which is one token
_REPLY = Span.of(3)
# Chat templates of other models: role markers of a few tokens a message, and sometimes a system prompt of their own.
_OTHER_MESSAGE = Span(1, 5, 16)
_OTHER_REPLY = Span(0, 8, 96)
_RECENT_CHARACTERS = 4_000_000


@dataclass(frozen=True, slots=True)
class MessageCount:
    """The tokens of one message, with the three or so that stand around it. It holds no text, so errors may show it."""

    role: str
    tokens: Span
    images: Span = NOTHING
    """Of these tokens, those of pictures."""


@dataclass(frozen=True, slots=True)
class Count:
    """What a request costs as a prompt."""

    messages: tuple[MessageCount, ...]
    tools: Span
    """The definitions of its tools."""
    format: Span
    """The schema that the reply must follow. No formula is published for it."""
    reply: Span
    """What the API adds once, to begin the reply. It is part of the prompt."""
    total: Span = field(init=False)
    """All of it."""

    def __post_init__(self) -> None:
        around = self.tools + self.format + self.reply
        object.__setattr__(self, "total", around + total([message.tokens for message in self.messages]))

    @property
    def images(self) -> Span:
        """Of the messages, what is pictures."""
        return total(message.images for message in self.messages)

    @property
    def least(self) -> int:
        """Tokens that the prompt surely has: what decides that it cannot fit."""
        return self.total.least

    @property
    def estimate(self) -> int:
        """The best figure: exact with the model's own tokenizer, on the safe side without."""
        return self.total.estimate

    @property
    def worst(self) -> int:
        """What the prompt will not exceed: what a budget reserves."""
        return self.total.worst

    @property
    def exact(self) -> bool:
        """Whether it is known to the token: plain messages to a model whose tokenizer is here."""
        return self.total.exact


class Counter:
    """Counts requests to models of one kind. Made by `counter_for`, which shares it between threads and swarms.

    Messages that were counted lately are remembered by their content, so a conversation pays only for what is new in it:
    4 million characters of them, and never more than that.
    """

    def __init__(self, tokenizer: str | None, image: ImagePrice | None, *, vocabulary: Encoding | None) -> None:
        self.tokenizer = tokenizer
        self.vocabulary = vocabulary
        """The tokenizer itself, where it is installed and the right one."""
        self._image = image
        self._messages: Recent[MessageCount] = Recent(_RECENT_CHARACTERS)
        self._schemas: Recent[Span] = Recent(_RECENT_CHARACTERS)
        self._text = counter_of(vocabulary) if vocabulary else o200k_span if tokenizer == O200K else any_span
        self._message, self._reply = (_MESSAGE, _REPLY) if tokenizer == O200K else (_OTHER_MESSAGE, _OTHER_REPLY)

    def count(self, request: ChatRequest) -> Count:
        """What the request costs. For more than about 100,000 characters that are `unseen`, ask in a worker thread."""
        return Count(
            messages=tuple(self.message(message) for message in request.messages),
            tools=self._tools(request.tools) if request.tools else NOTHING,
            format=self._format(request.format) if request.format else NOTHING,
            reply=self._reply,
        )

    def unseen(self, request: ChatRequest) -> int:
        """Characters of text in messages that are not remembered, and would have to be counted now."""
        new = (message for message in request.messages if message not in self._messages)
        return sum(len(message.text) + sum(len(call.arguments) for call in message.tool_calls) for message in new)

    def message(self, message: Message) -> MessageCount:
        """One message, with the tokens around it."""
        known = self._messages.find(message)
        return known or self._messages.get(message, lambda: self._count_message(message), _size(message))

    def text(self, text: str) -> Span:
        """A text by itself."""
        return self._text(text)

    def head(self, text: str, tokens: int) -> str:
        """The longest beginning of about `tokens` tokens; it ends between tokens where the tokenizer is known."""
        if self.vocabulary:
            return self.vocabulary.decode_bytes(encode(self.vocabulary, text)[: max(0, tokens)]).decode(errors="ignore")
        return text[: _longest(lambda size: self.text(text[:size]).estimate <= tokens, len(text))]

    def tail(self, text: str, tokens: int) -> str:
        """The longest end of about `tokens` tokens; it begins between tokens where the tokenizer is known."""
        if self.vocabulary:
            ids = encode(self.vocabulary, text)
            return self.vocabulary.decode_bytes(ids[len(ids) - max(0, tokens) :] if tokens > 0 else []).decode(errors="ignore")
        size = _longest(lambda size: self.text(text[len(text) - size :]).estimate <= tokens, len(text))
        return text[len(text) - size :]

    def _count_message(self, message: Message) -> MessageCount:
        parts = (message.content,) if isinstance(message.content, str) else message.content
        images = total(self._picture(part) for part in parts if isinstance(part, Image))
        tokens = self._message + total(self._text(part) for part in parts if isinstance(part, str)) + images
        tokens += total(map(self._call, message.tool_calls))
        if message.role == "tool":  # the server may show whose result it is
            tokens += Span(0, 0, 8 + self._text(message.tool_call_id or "").worst)
        return MessageCount(message.role, tokens, images)

    def _picture(self, image: Image) -> Span:
        if self._image:
            return self._image.of(image)
        span = _IMAGES["gpt-4o-mini"].of(image)
        return Span(_CHEAPEST_IMAGE, span.estimate, span.worst)

    def _call(self, call: ToolCall) -> Span:
        shown = self._text(call.name) + self._text(call.arguments)
        function = {"name": call.name, "arguments": call.arguments}
        wire = self._text(_json({"id": call.id, "type": "function", "function": function}))
        return Span(shown.least, shown.estimate + 3, max(wire.worst, shown.worst) + 16)

    def _tools(self, tools: tuple[ToolDefinition, ...]) -> Span:
        around = Span(0, 12, 32) if self.tokenizer == O200K else Span(0, 64, 512)
        return around + total(map(self._tool, tools))

    def _tool(self, tool: ToolDefinition) -> Span:
        wire = _json({"name": tool.name, "description": tool.description, "parameters": dict(tool.parameters)})

        def count() -> Span:
            shown = Span.of(7) + self._text(f"{tool.name}:{tool.description.removesuffix('.')}")
            shown += total(Span.of(around) + self._text(line) for around, line in lines(tool.parameters))
            return Span(shown.least // 2, shown.estimate, max(shown.worst, self._text(wire).worst) + 16)

        return self._schemas.get(("tool", wire), count, len(wire))

    def _format(self, wanted: ReplyFormat) -> Span:
        wire, spaced = _json(dict(wanted.schema)), json.dumps(dict(wanted.schema), ensure_ascii=False)

        def count() -> Span:
            name, compact = self._text(wanted.name), self._text(wire)
            most = max(compact.worst, self._text(spaced).worst)
            return Span(0, name.estimate + compact.estimate + 12, name.worst + most + 64)

        return self._schemas.get(("format", wanted.name, wire), count, len(wire))


def counter_for(profile: Profile) -> Counter:
    """The counter for a model, shared by all that ask for models of its kind. The first call loads the vocabulary.

    With the `tokens` extra, models of the gpt-4o, gpt-5 and gpt-6 families and the o-series are counted exactly. A profile
    whose `tokenizer` is set (`"o200k_base"`) names it itself, as for a deployment under a name of your own.
    """
    tokenizer = cast("str | None", getattr(profile, "tokenizer", None)) or tokenizer_of(profile.name)
    image = next((price for family, price in _IMAGES.items() if _is_of(profile.name, family)), None)
    return _counter(tokenizer, image)


@cache
def _counter(tokenizer: str | None, image: ImagePrice | None) -> Counter:
    return Counter(tokenizer, image, vocabulary=encoding(O200K) if tokenizer == O200K else None)


def tokenizer_of(model: str) -> str | None:
    """The vocabulary of a model by its name: `o200k_base`, or `None` where it is not known."""
    return O200K if any(_is_of(model, family) for family in _O200K_FAMILIES) else None


def _is_of(model: str, family: str) -> bool:
    return model == family or model.startswith((f"{family}-", f"{family}."))


def _size(message: Message) -> int:
    parts = (message.content,) if isinstance(message.content, str) else message.content
    characters = sum(len(part.url if isinstance(part, Image) else part) for part in parts)
    return 50 + characters + sum(len(call.name) + len(call.arguments) for call in message.tool_calls)


def _longest(fits: Callable[[int], bool], limit: int) -> int:
    """The largest size up to `limit` that fits."""
    low, high = 0, limit
    while low < high:
        middle = (low + high + 1) // 2
        low, high = (middle, high) if fits(middle) else (low, middle - 1)
    return low


def _json(value: object) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))

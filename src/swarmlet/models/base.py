"""What a model call is, whoever the vendor: messages in, a reply out."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from os import PathLike, fspath
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final, Literal, Protocol, TypeAlias, final

from pydantic import Field, JsonValue

from swarmlet.errors import SwarmletError
from swarmlet.policy.ratelimit_headers import Reading

if TYPE_CHECKING:
    from swarmlet.models.profiles import Profile


Detail: TypeAlias = Literal["auto", "low", "high"]


def whole_text(text: str) -> str:
    """`text` with U+FFFD for half characters (lone surrogates, as in names of files), which no wire can carry."""
    return text if text.isascii() else text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


_KINDS: Final = ((b"\x89PNG\r\n\x1a\n", "png"), (b"\xff\xd8\xff", "jpeg"), (b"GIF87a", "gif"), (b"GIF89a", "gif"))
"""How the files of pictures begin that models take. A WebP is told by two places."""
_MOST_BYTES: Final = 20 * 2**20
_SHOWN: Final = 100


@dataclass(frozen=True, slots=True)
class Image:
    """A picture in a user message: a web address, or a `data:` URL that holds it. `detail` sets what it costs.

    `Image.read(path)` and `Image.of(content)` make one of a file and of bytes.
    """

    url: str
    detail: Detail = "auto"

    @staticmethod
    def of(content: bytes, media_type: str | None = None, *, detail: Detail = "auto") -> Image:
        """A picture that is here: the bytes of a PNG, JPEG, GIF or WebP, of at most 20 MiB. It is sent along with the request.

        What it is, its first bytes say. `media_type`, as `image/png`, is what you take it for. Raises `SwarmletError` if it is
        something else, or nothing that a model takes.
        """
        found = _kind(content)
        if found is None:
            begins = f"it begins with {content[:12]!r}" if content else "it is empty"
            raise SwarmletError(f"a picture is a PNG, JPEG, GIF or WebP: {begins}")
        if media_type is not None and media_type.lower().replace("image/jpg", "image/jpeg") != found:
            raise SwarmletError(f"the picture is called {media_type}, but its first bytes say {found}")
        if len(content) > _MOST_BYTES:
            raise SwarmletError("a picture of more than 20 MiB is taken by no model: make it smaller")
        return Image(f"data:{found};base64,{b64encode(content).decode()}", detail)

    @staticmethod
    def read(path: str | PathLike[str], *, detail: Detail = "auto") -> Image:
        """The picture in a file, as `of` takes it. Raises `OSError` if it cannot be read, and what `of` raises, with its name.

        It reads on the spot. Where that may take a while, write `await anyio.to_thread.run_sync(Image.read, path)`.
        """
        with Path(path).open("rb") as file:
            content = file.read(_MOST_BYTES + 1)  # of what is far too large no more is read
        try:
            return Image.of(content, detail=detail)
        except SwarmletError as error:
            raise SwarmletError(f"{fspath(path)}: {error}") from None

    def __repr__(self) -> str:
        url = self.url if len(self.url) <= _SHOWN else f"{self.url[:40]}... ({len(self.url)} characters)"
        return f"Image({url!r}, detail={self.detail!r})"


def _kind(content: bytes) -> str | None:
    """The media type of a picture; `None` if models do not take it."""
    if content[:4] == b"RIFF" and content[8:12] == b"WEBP":
        return "image/webp"
    return next((f"image/{kind}" for begin, kind in _KINDS if content.startswith(begin)), None)


@dataclass(frozen=True, slots=True)
class ToolCall:
    """The model's wish to call a tool; `arguments` is JSON as the model wrote it, which may be invalid."""

    id: str
    name: str
    arguments: str


@dataclass(frozen=True, slots=True)
class Message:
    """One message of a conversation. Make them with `Message.system`, `.user`, `.assistant` and `.tool`."""

    role: Literal["system", "user", "assistant", "tool"]
    content: str | tuple[str | Image, ...] = ""
    tool_calls: tuple[ToolCall, ...] = ()
    tool_call_id: str | None = None

    @staticmethod
    def system(text: str) -> Message:
        """Instructions to the model."""
        return Message("system", whole_text(text))

    @staticmethod
    def user(*content: str | Image) -> Message:
        """What the user says: text, or text and images in order."""
        whole = tuple(whole_text(part) if isinstance(part, str) else part for part in content)
        only = whole[0] if len(whole) == 1 else None
        return Message("user", only if isinstance(only, str) else whole)

    @staticmethod
    def assistant(text: str = "", tool_calls: tuple[ToolCall, ...] = ()) -> Message:
        """What the model said earlier."""
        return Message("assistant", whole_text(text), tool_calls)

    @staticmethod
    def tool(call_id: str, text: str) -> Message:
        """What a tool gave for the call `call_id`."""
        return Message("tool", whole_text(text), tool_call_id=call_id)

    @property
    def text(self) -> str:
        """The text of the message, without images."""
        if isinstance(self.content, str):
            return self.content
        return "".join(part for part in self.content if isinstance(part, str))


@dataclass(frozen=True, slots=True)
class ToolDefinition:
    """A tool as the model sees it."""

    name: str
    description: str
    parameters: Mapping[str, JsonValue]
    strict: bool


@dataclass(frozen=True, slots=True)
class ReplyFormat:
    """The JSON schema that the reply must follow."""

    name: str
    schema: Mapping[str, JsonValue]
    strict: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class ChatRequest:
    """All that a model is asked."""

    model: str
    messages: tuple[Message, ...]
    tools: tuple[ToolDefinition, ...] = ()
    format: ReplyFormat | None = None
    max_tokens: int = 4096
    """Cap on the tokens of the reply."""
    temperature: float | None = None
    seed: int | None = None
    tool_choice: Literal["auto", "required", "none"] = "auto"
    cache_key: str | None = None
    """Brings requests that begin alike to the same cache of the provider's, where it takes such a key. Changes no reply."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ChatReply:
    """What came back, and what it cost. `finish_reason` is the server's word: stop, length, tool_calls, content_filter."""

    text: str = ""
    tool_calls: tuple[ToolCall, ...] = ()
    refusal: str | None = None
    finish_reason: str = "stop"
    model: str = ""
    input_tokens: int = 0
    cached_tokens: int = 0
    output_tokens: int = 0
    service_tier: str | None = None
    request_id: str | None = None
    first_token: float | None = field(default=None, compare=False)
    """Seconds until the first piece, if the reply was streamed."""
    limits: Annotated[Reading | None, Field(exclude=True)] = field(default=None, compare=False, repr=False)
    """What the server said of its rate limits. It is for the limiter alone: no record keeps it."""


OnText: TypeAlias = Callable[[str], None]
"""Told each piece of a reply's text as it comes."""


@final
@dataclass(frozen=True, slots=True)
class Draft:
    """An `OnText` that takes pieces for a draft: a reply that breaks off may be asked for again, and told from its start."""

    tell: OnText

    def __call__(self, text: str) -> None:
        """Told a piece."""
        self.tell(text)


class ChatModel(Protocol):
    """A model that can be called. Implementations make exactly one attempt a call: swarmlet retries, nobody else.

    `name` is how options choose it, and `profile` what it costs. It may also have `limits` (a `Limits` of its own, or `None`)
    and `limit_key`: models of the same `limit_key` share one rate limit. Without that each name has one of its own. And it may
    have an `endpoint`, a text that says which model of which server answers: caches of replies go by it, else by its name.
    """

    @property
    def name(self) -> str:
        """The name by which options choose it."""
        ...

    @property
    def profile(self) -> Profile:
        """Its window, prices and dates."""
        ...

    async def ready(self) -> None:
        """Do what is slow, before the first call. Each swarm calls it once; it is not counted as the call's time."""
        ...

    async def complete(self, request: ChatRequest, on_text: OnText | None = None) -> ChatReply:
        """One attempt. With `on_text` the reply is streamed. Raises a `ModelError`."""
        ...

    async def aclose(self) -> None:
        """Give back connections. A swarm calls it once for its one call of `ready`; several may use the same model."""
        ...

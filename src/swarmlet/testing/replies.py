"""What a scripted server can answer: a small algebra of frozen dataclasses.

    answers     Say  CallTools  Refuse                      a completion, as the API would send it
    errors      Fail > RateLimit, Quota, Overflow           an HTTP error in OpenAI's shape
    accidents   Hang  Garbage  Cut  StreamError             what networks and gateways do
    timing      Slow  Paced  Held  Barrier                  when a reply (or each piece of it) leaves

Accidents and timings wrap another reply, so they combine: `Barrier(2, Cut("half a sent", after=3))`.
Wherever a reply is wanted, a string, a model or any JSON value stands for `Say` of it.

This module knows nothing of HTTP, sockets or event loops (only `gates.Gate`, which it carries).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, TypeAlias

from swarmlet.testing.gates import Gate

Finish: TypeAlias = Literal["stop", "length", "tool_calls", "content_filter"]
"""Why the model stopped, as the API's `finish_reason` says it."""


def _no_headers() -> Mapping[str, str]:
    return {}


@dataclass(frozen=True, kw_only=True)
class Tokens:
    """The usage a reply reports, in tokens; what is left `None` is counted (see `count_tokens`)."""

    input: int | None = None
    """Prompt tokens, cached ones included."""
    output: int | None = None
    """Completion tokens, reasoning ones included."""
    cached: int = 0
    """How many of the prompt tokens came from the prompt cache."""
    reasoning: int = 0
    """How many of the completion tokens were reasoning."""


@dataclass(frozen=True)
class Call:
    """One tool call of the model, with its arguments as the text that goes over the wire.

    Build it with `call(...)`; build it by hand to send arguments that are not JSON, or a fixed id.
    """

    name: str
    arguments: str
    id: str | None = None
    """The id of the call; `None` lets the server number it."""


def call(name: str, /, **arguments: object) -> Call:
    """Return the tool call `name(**arguments)`, with its arguments as JSON (models and dataclasses too)."""
    return Call(name, to_json(arguments))


def to_json(value: object) -> str:
    """Return `value` as JSON text: pydantic models, dataclasses, lists, dicts, numbers, strings."""
    from pydantic_core import to_json as pydantic_to_json

    return pydantic_to_json(value).decode()


@dataclass(frozen=True, kw_only=True)
class RateHeaders:
    """The `x-ratelimit-*` headers of a reply: limits a minute, what is left, and the seconds to the reset."""

    limit_requests: int = 500
    limit_tokens: int = 200_000
    remaining_requests: int = 499
    remaining_tokens: int = 199_900
    reset_requests: float = 0.12
    """Seconds until the request limit is full again; written as the API does (`120ms`, `1s`, `6m0s`)."""
    reset_tokens: float = 0.006
    """Seconds until the token limit is full again; written as the API does."""

    def headers(self) -> dict[str, str]:
        """Return the six headers."""
        return {
            "x-ratelimit-limit-requests": str(self.limit_requests),
            "x-ratelimit-limit-tokens": str(self.limit_tokens),
            "x-ratelimit-remaining-requests": str(self.remaining_requests),
            "x-ratelimit-remaining-tokens": str(self.remaining_tokens),
            "x-ratelimit-reset-requests": duration(self.reset_requests),
            "x-ratelimit-reset-tokens": duration(self.reset_tokens),
        }


def duration(seconds: float) -> str:
    """Write seconds as the API's headers do: `6ms`, `1s`, `8.64s`, `6m0s`, `1h0m0s`."""
    if seconds < 1:
        return f"{seconds * 1000:.0f}ms"
    minutes, rest = divmod(round(seconds, 3), 60)
    hours, minutes = divmod(int(minutes), 60)
    head = f"{hours}h{minutes}m" if hours else f"{minutes}m" if minutes else ""
    return f"{head}{rest:.3f}".rstrip("0").rstrip(".") + "s"


# --- answers


@dataclass(frozen=True, kw_only=True)
class Completion:
    """What the answers have in common. Not a reply by itself: use `Say`, `CallTools` or `Refuse`."""

    usage: Tokens | None = None
    """The usage to report; `None` counts it."""
    finish: Finish | None = None
    """The `finish_reason`; `None` takes the one that fits the answer."""
    model: str | None = None
    """The model named in the reply; `None` names the one that was asked."""
    service_tier: str | None = None
    """The tier that served it; `None` is the tier that was asked for, or `default`."""
    headers: Mapping[str, str] = field(default_factory=_no_headers)
    """Further headers, over the server's own."""


@dataclass(frozen=True)
class Say(Completion):
    """The model answers with text; anything that is not a string is sent as its JSON.

    A pydantic model or dataclass may also be one of a union: where an agent asks for `{"value": ...}`, it is sent so.
    Without `usage` and `finish` of its own it keeps the request's cap on completion tokens as the API does:
    a longer text is cut off and finishes with `length`.
    """

    content: object = ""


@dataclass(frozen=True)
class CallTools(Completion):
    """The model calls tools: `CallTools([call("get_weather", city="Oslo")])`."""

    calls: Sequence[Call]
    text: str | None = None
    """What the model says beside its calls."""


@dataclass(frozen=True)
class Refuse(Completion):
    """The model refuses: the reply carries `refusal` and no content."""

    refusal: str = "I'm sorry, I can't assist with that request."


# --- errors


@dataclass(frozen=True)
class Fail:
    """The API answers with an HTTP error, in OpenAI's shape `{"error": {message, type, param, code}}`."""

    status: int = 500
    code: str | None = None
    message: str = "The server had an error while processing your request."
    kind: str | None = None
    """The error's `type`; `None` takes the usual one for the status."""
    param: str | None = None
    headers: Mapping[str, str] = field(default_factory=_no_headers)

    @property
    def error_type(self) -> str:
        """The error's `type`."""
        return self.kind or ("server_error" if self.status >= 500 else "invalid_request_error")

    def wire_headers(self) -> dict[str, str]:
        """Return the headers this error adds."""
        return dict(self.headers)


@dataclass(frozen=True, kw_only=True)
class RateLimit(Fail):
    """Too many requests or tokens per minute: 429 `rate_limit_exceeded`, which goes away by waiting."""

    status: int = 429
    code: str | None = "rate_limit_exceeded"
    message: str = "Rate limit reached on requests per min (RPM): Limit 500, Used 500, Requested 1."
    kind: str | None = "requests"
    retry_after: float | str | None = None
    """The `retry-after` header: seconds, or an HTTP date as text. `None` sends none."""
    retry_after_ms: float | None = None
    """The `retry-after-ms` header, in milliseconds. `None` sends none."""
    limits: RateHeaders = field(default_factory=lambda: RateHeaders(remaining_requests=0))
    """The `x-ratelimit-*` headers sent with it."""

    def wire_headers(self) -> dict[str, str]:
        """Return the rate-limit headers, then the retry headers, then those given by hand."""
        headers = self.limits.headers()
        if self.retry_after is not None:
            headers["retry-after"] = _number(self.retry_after)
        if self.retry_after_ms is not None:
            headers["retry-after-ms"] = _number(self.retry_after_ms)
        return {**headers, **self.headers}


def _number(value: float | str) -> str:
    return value if isinstance(value, str) else f"{value:g}"


@dataclass(frozen=True, kw_only=True)
class Quota(Fail):
    """The account has no money left: 429 `insufficient_quota`, which no waiting cures."""

    status: int = 429
    code: str | None = "insufficient_quota"
    message: str = "You exceeded your current quota, please check your plan and billing details."
    kind: str | None = "insufficient_quota"


@dataclass(frozen=True, kw_only=True)
class Overflow(Fail):
    """The prompt is longer than the model's context: 400 `context_length_exceeded`."""

    status: int = 400
    code: str | None = "context_length_exceeded"
    message: str = (
        "This model's maximum context length is 128000 tokens. However, your messages resulted in 128001 "
        "tokens. Please reduce the length of the messages."
    )
    param: str | None = "messages"


# --- accidents


@dataclass(frozen=True)
class Hang:
    """Nothing comes back until the client gives up or the server closes. (To let it go later: `Held`.)"""


@dataclass(frozen=True)
class Garbage:
    """A body that no client can read as a completion, under a status that says all is well."""

    body: str | bytes = "<html>502 Bad Gateway</html>"
    status: int = 200
    content_type: str = "application/json"

    def __post_init__(self) -> None:
        if self.status < 200 or self.status in (204, 304):
            raise ValueError(f"an answer of status {self.status} has no body, so it cannot be Garbage")


@dataclass(frozen=True)
class Cut:
    """The connection drops within `reply`.

    `after=None` drops it before a single byte is sent. Else the head goes out and then `after` bytes of the
    body, or, when the reply is streamed, `after` events of the stream.
    """

    reply: object = "this is cut off"
    after: int | None = None


@dataclass(frozen=True)
class StreamError:
    """An error event within a stream, after `after` events of `reply`; not streamed, it is a plain 500."""

    reply: object = "this goes wrong half way"
    after: int = 2
    error: Fail = field(default_factory=Fail)


# --- timing


@dataclass(frozen=True)
class Slow:
    """`reply`, but its head leaves only after `seconds` of real time."""

    reply: object
    seconds: float


@dataclass(frozen=True)
class Paced:
    """`reply`, with a pause before each event of its stream: `seconds`, or one pass of `gate`."""

    reply: object
    seconds: float = 0.0
    gate: Gate | None = None


@dataclass(frozen=True)
class Held:
    """`reply`, once the test has opened `gate` (from any thread): `gate.open()`."""

    reply: object
    gate: Gate


@dataclass(frozen=True)
class Barrier:
    """`reply`, but only once `n` requests are in flight at once: overlap is proven without a sleep.

    If that has not happened after `timeout` seconds of real time, the answer is a 500 that must not be
    retried, and the test fails with a sentence that says how many were in flight at most.
    """

    n: int
    reply: object = "all here"
    timeout: float = 5.0


Reply: TypeAlias = Say | CallTools | Refuse | Fail | Hang | Garbage | Cut | StreamError | Slow | Paced | Held | Barrier
"""Everything a server can be told to answer."""


def as_reply(value: object) -> Reply:
    """Return `value` if it is a reply, `CallTools` for calls, and `Say(value)` for all else."""
    if isinstance(value, Reply):
        return value
    if isinstance(value, Call):
        return CallTools([value])
    return Say(value)

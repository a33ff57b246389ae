"""Which error of the OpenAI SDK is which of ours, and whether the call may be tried again.

What is retried (read in the SDK's `_base_client.py` and OpenAI's error guide, November 2026): timeouts, lost connections,
408, 409, 429 except `insufficient_quota`, and 5xx; a server's `x-should-retry` overrules that. Messages are built here from
the fields of the answer, with the key taken out: some servers quote it. The SDK's exception, which holds the request with
its headers, is not kept as a cause for the same reason.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Final, TypeAlias, cast

import openai

from swarmlet.errors import (
    ContentFiltered,
    ContextTooLong,
    ModelError,
    ModelUnavailable,
    QuotaExhausted,
    RateLimited,
    RequestRejected,
)
from swarmlet.policy.ratelimit_headers import Reading, read_headers

_CONTEXT_CODES = {"context_length_exceeded", "exceed_context_size_error"}
_LONGEST: Final = 2000
"""Characters that are kept of a server's words."""

Clean: TypeAlias = Callable[[str], str]


def translate(error: openai.APIError, clean: Clean) -> ModelError:
    """Our error for one of the SDK's; `clean` takes the key out of a text."""
    if isinstance(error, openai.APITimeoutError):
        return ModelUnavailable("the model call timed out")
    if isinstance(error, openai.APIConnectionError):
        reason = str(error.__cause__ or error) or type(error.__cause__).__name__
        where = error.request.url.copy_with(userinfo=b"", query=None)  # both may hold secrets
        return ModelUnavailable(clean(f"the model server cannot be reached at {where}: {reason}"))
    if isinstance(error, openai.APIStatusError):
        return _from_status(error, clean)
    kind = _kind_without_status({code for code in (error.code, error.type) if code})
    return kind(f"the server sent an error in place of a reply: {clean(error.message)[:_LONGEST]}")


def _kind_without_status(codes: set[str]) -> type[ModelError]:
    """An error event inside a stream has no status, only codes."""
    if "insufficient_quota" in codes:
        return QuotaExhausted
    if "rate_limit_exceeded" in codes:
        return RateLimited
    return ContextTooLong if codes & _CONTEXT_CODES else ModelUnavailable


def _from_status(error: openai.APIStatusError, clean: Clean) -> ModelError:
    headers = error.response.headers
    status = error.status_code
    codes = _codes(error)
    kind = _kind(status, codes)
    made = kind(
        f"{status} {clean(_text(error))[:_LONGEST]}",  # cleaned first: half a key would not be found
        status=status,
        retry_after=retry_after(headers),
        request_id=error.request_id and clean(error.request_id),
    )
    made.limits = limits_told(headers)
    wish = headers.get("x-should-retry")
    if wish in ("true", "false") and kind is not QuotaExhausted:
        made.retryable = wish == "true"
    return made


def _kind(status: int, codes: set[str]) -> type[ModelError]:
    if status == 429:
        return QuotaExhausted if "insufficient_quota" in codes else RateLimited
    if status in (408, 409) or status >= 500:
        return ModelUnavailable
    if codes & _CONTEXT_CODES:
        return ContextTooLong
    if "content_filter" in codes:
        return ContentFiltered
    return RequestRejected


def _codes(error: openai.APIStatusError) -> set[str]:
    body: object = error.body
    found = {error.code, error.type}
    if isinstance(body, dict):
        fields = cast("dict[str, object]", body)
        found |= {str(fields.get("code")), str(fields.get("type"))}
    return {code for code in found if code}


def _text(error: openai.APIStatusError) -> str:
    body: object = error.body
    if isinstance(body, dict):
        message = cast("dict[str, object]", body).get("message")
        if isinstance(message, str) and message:
            return message
    return error.response.text or error.response.reason_phrase


def limits_told(headers: Mapping[str, str]) -> Reading | None:
    """The figures of a server's `x-ratelimit-*` headers, if it sends any."""
    reading = read_headers(headers)
    return reading if reading != Reading() else None


def retry_after(headers: Mapping[str, str]) -> float | None:
    """Seconds that the server asks to wait: `retry-after-ms`, or `retry-after` in seconds or as an HTTP date."""
    milliseconds = _number(headers.get("retry-after-ms"))
    if milliseconds is not None:
        return milliseconds / 1000
    text = headers.get("retry-after")
    seconds = _number(text)
    if seconds is not None or text is None:
        return seconds
    try:
        at = parsedate_to_datetime(text)
    except ValueError:
        return None
    return max(0.0, (at.replace(tzinfo=at.tzinfo or UTC) - datetime.now(UTC)).total_seconds())


def _number(text: str | None) -> float | None:
    try:
        value = float(text) if text is not None else None
    except ValueError:
        return None
    return value if value is not None and 0 <= value < float("inf") else None

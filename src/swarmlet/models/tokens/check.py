"""Whether a prompt fits its model."""

from __future__ import annotations

from typing import TYPE_CHECKING

from swarmlet.errors import ContextTooLong

if TYPE_CHECKING:
    from swarmlet.models.profiles import Profile
    from swarmlet.models.tokens.count import Count

_SHOWN = 8


def check_context(count: Count, max_tokens: int, profile: Profile) -> None:
    """Raise `ContextTooLong` if the prompt surely does not fit the window beside a reply of up to `max_tokens`.

    Only what is sure is refused, so without an exact count a prompt somewhat too long is left to the server, which refuses
    it for free. The error names messages by position and role, never by what they say.
    """
    window = profile.context_window
    if window is None:
        return
    cap = min(max_tokens, profile.max_output or max_tokens)
    over = count.least + cap - window
    if over > 0:
        raise ContextTooLong(_explain(count, cap, window, over, profile.name))


def _explain(count: Count, cap: int, window: int, over: int, model: str) -> str:
    about = "" if count.exact else "at least "
    lower = max(0, window - count.least)
    remedies = [f"lower max_tokens= to {lower:,}"] if lower else []
    remedies += ["shorten the largest part", "drop old messages with fit=", "take a model with a larger window"]
    return (
        f"the prompt has {about}{count.least:,} tokens and the reply may take {cap:,}, "
        f"but {model!r} has a window of {window:,}: {over:,} too many. "
        f"Largest parts: {', '.join(_largest(count))}. You can {', '.join(remedies[:-1])} or {remedies[-1]}."
    )


def _largest(count: Count) -> list[str]:
    parts = [(message.tokens.least, f"message {index} ({message.role})") for index, message in enumerate(count.messages)]
    parts += [(count.tools.least, "tools"), (count.format.least, "reply schema")]
    ordered = sorted((part for part in parts if part[0] > 0), key=lambda part: -part[0])
    told = [f"{name} {tokens:,}" for tokens, name in ordered[:_SHOWN]]
    if rest := ordered[_SHOWN:]:
        told.append(f"{len(rest)} others {sum(tokens for tokens, _ in rest):,}")
    return told

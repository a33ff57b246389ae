"""What the events of calls and tools tell, as attributes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from swarmlet.bridges.otel import words
from swarmlet.bridges.otel.names import plain_name
from swarmlet.trace.record import price_of

if TYPE_CHECKING:
    from opentelemetry.util.types import AttributeValue

    from swarmlet.trace.events import CallEnded, CallStarted, RunId, ToolStarted


def asked(event: CallStarted, run: RunId, provider: str) -> dict[str, AttributeValue]:
    """An attempt of a call, as it begins."""
    told: dict[str, AttributeValue] = {
        words.OPERATION: words.CHAT,
        words.PROVIDER: provider,
        words.REQUEST_MODEL: event.model,
        words.REQUEST_MAX_TOKENS: event.max_tokens,
        words.CONVERSATION: run,
        words.PATH: event.path,
        words.TURN: event.turn,
        words.ATTEMPT: event.attempt,
        words.WAITED: event.waited,
    }
    if event.budget_waited:
        told[words.BUDGET_WAITED] = event.budget_waited
    return told


def begun(event: ToolStarted) -> dict[str, AttributeValue]:
    """A tool, as it begins."""
    return {
        words.OPERATION: words.TOOL,
        words.TOOL_NAME: event.tool,
        words.TOOL_TYPE: "function",
        words.TOOL_CALL_ID: event.id,
        words.AGENT_NAME: plain_name(event.path),
        words.PATH: event.path,
        words.TURN: event.turn,
    }


def answered(event: CallEnded) -> dict[str, AttributeValue]:
    """What an attempt of a call has brought."""
    told: dict[str, AttributeValue] = {}
    if event.model:
        told[words.RESPONSE_MODEL] = event.model
    if event.input_tokens or event.output_tokens:
        told[words.INPUT_TOKENS] = event.input_tokens
        told[words.OUTPUT_TOKENS] = event.output_tokens
        if event.cached_tokens:
            told[words.CACHED_TOKENS] = event.cached_tokens
    if event.finish_reason is not None:
        told[words.FINISH_REASONS] = [event.finish_reason]
    if event.first_token is not None:
        told[words.REQUEST_STREAM] = True
        told[words.FIRST_CHUNK] = event.first_token
    usd = price_of(event.usd)
    if usd is not None:
        told[words.COST] = told[words.OI_COST] = float(usd)
    if event.unknown_cost:
        told[words.UNKNOWN_COST] = True
    if event.request_id is not None:
        told[words.REQUEST_ID] = event.request_id
    return told

"""The names of OpenTelemetry's conventions for generative AI that are used here, and our own beside them.

The conventions are in development, and what the package `opentelemetry-semantic-conventions` has of them is deprecated, as
they have moved to a repository of their own (`open-telemetry/semantic-conventions-genai`). These are the names that
`opentelemetry-util-genai` 1.3b0 (November 2026) writes; when they change, this file does, and nothing else.
"""

from __future__ import annotations

from typing import Final

SCOPE: Final = "swarmlet"
"""The instrumentation scope of all spans and metrics."""

# what a span is of

OPERATION: Final = "gen_ai.operation.name"
WORKFLOW: Final = "invoke_workflow"
AGENT: Final = "invoke_agent"
CHAT: Final = "chat"
TOOL: Final = "execute_tool"

PROVIDER: Final = "gen_ai.provider.name"
CONVERSATION: Final = "gen_ai.conversation.id"
WORKFLOW_NAME: Final = "gen_ai.workflow.name"
AGENT_NAME: Final = "gen_ai.agent.name"
ERROR_TYPE: Final = "error.type"

# of a call

REQUEST_MODEL: Final = "gen_ai.request.model"
REQUEST_MAX_TOKENS: Final = "gen_ai.request.max_tokens"
REQUEST_TEMPERATURE: Final = "gen_ai.request.temperature"
REQUEST_SEED: Final = "gen_ai.request.seed"
REQUEST_STREAM: Final = "gen_ai.request.stream"
OUTPUT_TYPE: Final = "gen_ai.output.type"
RESPONSE_MODEL: Final = "gen_ai.response.model"
FINISH_REASONS: Final = "gen_ai.response.finish_reasons"
FIRST_CHUNK: Final = "gen_ai.response.time_to_first_chunk"
INPUT_TOKENS: Final = "gen_ai.usage.input_tokens"
CACHED_TOKENS: Final = "gen_ai.usage.cache_read.input_tokens"
OUTPUT_TOKENS: Final = "gen_ai.usage.output_tokens"

# of a tool

TOOL_NAME: Final = "gen_ai.tool.name"
TOOL_TYPE: Final = "gen_ai.tool.type"
TOOL_CALL_ID: Final = "gen_ai.tool.call.id"

# content, which is written only if it was asked for

INPUT_MESSAGES: Final = "gen_ai.input.messages"
OUTPUT_MESSAGES: Final = "gen_ai.output.messages"
TOOL_DEFINITIONS: Final = "gen_ai.tool.definitions"
TOOL_ARGUMENTS: Final = "gen_ai.tool.call.arguments"
TOOL_RESULT: Final = "gen_ai.tool.call.result"

# OpenInference's names, for what the conventions have none and Phoenix reads these

OI_KIND: Final = "openinference.span.kind"
OI_COST: Final = "llm.cost.total"
OI_INPUT: Final = "input.value"
OI_INPUT_TYPE: Final = "input.mime_type"
OI_OUTPUT: Final = "output.value"
OI_OUTPUT_TYPE: Final = "output.mime_type"
JSON: Final = "application/json"

# our own

RUN: Final = "swarmlet.run.id"
PATH: Final = "swarmlet.path"
NODE: Final = "swarmlet.node"
STATE: Final = "swarmlet.state"
ATTEMPT: Final = "swarmlet.attempt"
TURN: Final = "swarmlet.turn"
RESUMED: Final = "swarmlet.resumed"
FORKED: Final = "swarmlet.forked_from"
REUSED: Final = "swarmlet.reused_from"
WAITED: Final = "swarmlet.waited.seconds"
BUDGET_WAITED: Final = "swarmlet.waited.budget_seconds"
COST: Final = "swarmlet.cost.usd"
UNKNOWN_COST: Final = "swarmlet.cost.unknown"
REQUEST_ID: Final = "swarmlet.request_id"
LINK: Final = "swarmlet.link"
"""On a link, what the other span is: `retry_of`, or `resumes`."""

# metrics

TOKEN_USAGE: Final = "gen_ai.client.token.usage"  # noqa: S105  # no password
TOKEN_TYPE: Final = "gen_ai.token.type"  # noqa: S105  # as above
CALL_DURATION: Final = "gen_ai.client.operation.duration"
TIME_TO_FIRST_CHUNK: Final = "gen_ai.client.operation.time_to_first_chunk"
TOOL_DURATION: Final = "gen_ai.execute_tool.duration"
AGENT_DURATION: Final = "gen_ai.invoke_agent.duration"
WORKFLOW_DURATION: Final = "gen_ai.invoke_workflow.duration"

TOKEN_BUCKETS: Final = tuple(4**power for power in range(14))
CALL_BUCKETS: Final = tuple(0.01 * 2**power for power in range(14))
AGENT_BUCKETS: Final = tuple(0.1 * 2**power for power in range(13))
WORKFLOW_BUCKETS: Final = (1, 5, 10, 30, 60, 120, 300, 600, 1800, 3600, 7200)

"""The events of a run: a closed union, told apart by `kind`.

A run is the sequence of its events, in the order in which they happened. They are appended and never changed, so what a
killed process has written can be read to its last line. Times are seconds since 1970 (UTC), durations are seconds.
Values (inputs, prompts, replies, results) are not in the events: an event holds the digest under which the value is kept
once, or `None` where content capture is off.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field, fields
from functools import cache
from typing import TYPE_CHECKING, Annotated, Literal, NewType, TypeAlias, TypeVar, cast, dataclass_transform, get_args

from pydantic import Field, TypeAdapter

T = TypeVar("T")


@dataclass_transform(frozen_default=True, kw_only_default=True, field_specifiers=(field,))
def _event(kind: type[T], /) -> type[T]:
    """A frozen dataclass, for type checkers. Python itself does not guard it: that would double what making one costs."""
    return dataclass(slots=True, kw_only=True, unsafe_hash=True)(kind)


RunId = NewType("RunId", str)
"""Names one run. Ids sort by the time at which their runs started."""

Digest = NewType("Digest", str)
"""Names a recorded value by its content (BLAKE2b, 128 bits, hex)."""

State: TypeAlias = Literal["finished", "failed", "cancelled", "drained", "suspended", "lost"]
"""How something ended. `drained`: its swarm let running steps finish and started no more, so it was left unfinished.
`suspended`: it waits for a person's answer, with no process. `lost`: its process was killed while it went on, which the
process that resumed the run has noted."""


@dataclass(frozen=True, slots=True)
class Fault:
    """An exception as data."""

    type: str
    """Name of the exception's class."""
    message: str
    """Its text; empty where content capture is off, as texts may quote prompts."""


@_event
class RunStarted:
    """A run began. Always a run's first event."""

    at: float
    """When."""
    run: RunId
    """The run's id."""
    name: str
    """Name of the node that runs."""
    node: str
    """Where that node is defined: `module:qualified.name`."""
    inputs: dict[str, Digest | None] = field(default_factory=dict[str, Digest | None])
    """The arguments by parameter."""
    types: dict[str, str] = field(default_factory=dict[str, str])
    """The classes of the arguments that are not of the declared one; as in `step_ended`."""
    version: str = ""
    """Version of swarmlet that wrote the run."""
    plan: Digest | None = None
    """The node as it was when the run began, by which a resume finds what has changed since."""
    forked_from: RunId | None = None
    """The run whose finished steps this one reuses."""
    kind: Literal["run_started"] = "run_started"


@_event
class RunResumed:
    """A process goes on with a run that another one has left: it was killed, failed, drained or waited for an answer."""

    at: float
    """When."""
    number: int
    """How often the run was resumed, this time included."""
    version: str = ""
    """Version of swarmlet that goes on."""
    plan: Digest | None = None
    """The node as it is now."""
    kind: Literal["run_resumed"] = "run_resumed"


@_event
class RunEnded:
    """A run ended, or came to a halt from which it can be resumed: in every state but `finished`.

    A run without this event is still going on, or its process was killed."""

    at: float
    """When."""
    state: State
    """How it ended."""
    output: Digest | None = None
    """The run's result."""
    type: str = ""
    """The class of the result, where it is not the declared one; as in `step_ended`."""
    error: Fault | None = None
    """Why it failed."""
    failed: tuple[str, ...] = ()
    """Paths of the steps over which it failed: a resume tries these again."""
    kind: Literal["run_ended"] = "run_ended"


@_event
class StepStarted:
    """A step began to execute."""

    at: float
    """When."""
    path: str
    """The step's place in the run, such as `solve/attempt[2]/review`."""
    node: str
    """Where the node is defined: `module:qualified.name`."""
    inputs: dict[str, Digest | None] = field(default_factory=dict[str, Digest | None])
    """The arguments by parameter."""
    waited: float = 0.0
    """Seconds between the moment at which its inputs were ready and this start."""
    place_waited: float = 0.0
    """Of these: seconds in which it waited for a place under a `concurrency=`."""
    reused: RunId | None = None
    """The run from which its outcome was taken: then it was not executed in this one."""
    kind: Literal["step_started"] = "step_started"


@_event
class StepEnded:
    """A step ended."""

    at: float
    """When."""
    path: str
    """Which step."""
    state: State
    """How it ended."""
    output: Digest | None = None
    """What it returned."""
    type: str = ""
    """The class of what it returned, `module:qualified.name`, where it is not the declared one; `?`: it cannot be read back."""
    error: Fault | None = None
    """Why it failed."""
    kind: Literal["step_ended"] = "step_ended"


@_event
class StepRetried:
    """An attempt of a whole step failed and another will follow."""

    at: float
    """When the attempt failed."""
    path: str
    """Which step."""
    attempt: int
    """Number of the failed attempt, from 1."""
    error: Fault
    """Why it failed."""
    wait: float
    """Seconds until the next attempt."""
    kind: Literal["step_retried"] = "step_retried"


@_event
class StepNotStarted:
    """A step that would have come next was not started: the swarm was being drained, or a budget had run out."""

    at: float
    """When that was noted."""
    path: str
    """Which step."""
    node: str
    """Where the node is defined: `module:qualified.name`."""
    kind: Literal["step_not_started"] = "step_not_started"


@_event
class Decided:
    """A step chose between the nodes under it: the winner of a race or a vote, the rung that answered, a fallback."""

    at: float
    """When."""
    path: str
    """The step that chose."""
    by: str
    """What it is: `race`, `hedge`, `vote`, `best`, `cascade`, `team`, `within` or `fallback`."""
    chosen: str
    """Path of the node that was chosen."""
    reason: str
    """Why; empty where content capture is off, as it may quote what a model said."""
    kind: Literal["decided"] = "decided"


@_event
class CallQueued:
    """A model call waits for a budget: it does not fit now, but may when running calls give something back."""

    at: float
    """When."""
    path: str
    """The agent's step."""
    turn: int
    """Which turn of the agent, from 1."""
    attempt: int
    """Which attempt of that turn's call, from 1."""
    scope: str
    """Path of the node whose budget it waits for."""
    kind: Literal["call_queued"] = "call_queued"


@dataclass(frozen=True, slots=True)
class CutMessage:
    """A message that was dropped or shortened, so that a conversation fits its model's window."""

    index: int
    """Its place among the messages as they were."""
    role: str
    """Whose it is."""
    before: int
    """Its tokens."""
    after: int
    """Its tokens now; 0 if it was dropped."""


@_event
class PartsKept:
    """Pictures were recorded, each once and by itself: the values that hold one have a short `data:` URL that names it."""

    at: float
    """When."""
    parts: tuple[Digest, ...]
    """The letters of their `data:` URLs."""
    path: str = ""
    """The step that was the first to have them; empty if it is the run."""
    kind: Literal["parts_kept"] = "parts_kept"


@_event
class CallFitted:
    """A conversation was cut before a call, by the policies of its agent."""

    at: float
    """When."""
    path: str
    """The agent's step."""
    turn: int
    """Which turn of the agent, from 1."""
    cuts: tuple[CutMessage, ...]
    """What was cut."""
    kind: Literal["call_fitted"] = "call_fitted"


@_event
class CallStarted:
    """An attempt of a model call was sent."""

    at: float
    """When."""
    path: str
    """The agent's step."""
    turn: int
    """Which turn of the agent, from 1."""
    attempt: int
    """Which attempt of that turn's call, from 1."""
    model: str
    """The model that was asked for."""
    request: Digest | None = None
    """The request without its messages: tools, schema, settings. Never a header."""
    messages: tuple[Digest | None, ...] = ()
    """The messages of the request, each kept once however many calls repeat it."""
    waited: float = 0.0
    """Seconds in the queue of the swarm's limits."""
    budget_waited: float = 0.0
    """Seconds until the budgets around it had room."""
    estimated: int = 0
    """Tokens of the prompt as they were counted before; `CallEnded.input_tokens` is what the server counted."""
    max_tokens: int = 0
    """The completion cap, which a budget may have lowered."""
    input_at_most: int = 0
    """The most tokens that the prompt can have."""
    usd_at_most: str | None = None
    """The most that it can cost, as a decimal number; `None` where the model's price is not known."""
    kind: Literal["call_started"] = "call_started"


@_event
class CallSaved:
    """A model call that was not made: its reply was there already."""

    at: float
    """When."""
    path: str
    """The agent's step."""
    turn: int
    """Which turn of the agent, from 1."""
    source: Literal["cache", "flight", "journal"]
    """Whence the reply came: the cache, another step that was just making the same call, or the run that this one is forked
    from."""
    model: str
    """The model that was asked for."""
    input_tokens: int
    """Tokens of the prompt that were not paid for."""
    output_tokens: int
    """Tokens of the reply that were not paid for."""
    usd: str | None = None
    """What that saved, as a decimal number; `None` where the model's price is not known."""
    request: Digest | None = None
    """The request without its messages."""
    messages: tuple[Digest | None, ...] = ()
    """The messages of the request."""
    reply: Digest | None = None
    """The reply."""
    kind: Literal["call_saved"] = "call_saved"


@_event
class CallEnded:
    """An attempt of a model call ended."""

    at: float
    """When."""
    path: str
    """The agent's step."""
    turn: int
    """Which turn of the agent, from 1."""
    attempt: int
    """Which attempt of that turn's call, from 1."""
    state: State
    """How it ended. A call that failed may have been paid for: see its tokens and `unknown_cost`."""
    model: str = ""
    """The model that answered, as the server names it."""
    input_tokens: int = 0
    """Tokens of the prompt, cached ones included."""
    cached_tokens: int = 0
    """Tokens of the prompt that came from the provider's cache."""
    output_tokens: int = 0
    """Tokens of the reply."""
    usd: str | None = None
    """Price as a decimal number; `None` where the model's price is not known."""
    saved_usd: str | None = None
    """What the provider's cache saved of the price, for the cached tokens."""
    prompt_usd: str | None = None
    """What its prompt cost of the price, cached tokens at the cache's price; `None` where the model's price is not known."""
    unknown_cost: bool = False
    """The call may have been paid for, but no usage came back."""
    finish_reason: str | None = None
    """The server's word for why the reply ended."""
    reply: Digest | None = None
    """The reply: text, tool calls, refusal."""
    request_id: str | None = None
    """The server's id of the request, to quote to its support."""
    first_token: float | None = None
    """Seconds until the first piece of a streamed reply."""
    error: Fault | None = None
    """Why it failed."""
    retry_in: float | None = None
    """Seconds until the next attempt; `None` if there is none."""
    kind: Literal["call_ended"] = "call_ended"


@_event
class ToolStarted:
    """A tool that the model called began to run."""

    at: float
    """When."""
    path: str
    """The agent's step."""
    turn: int
    """The turn whose reply asked for it."""
    id: str
    """The model's id of the tool call."""
    tool: str
    """Name of the tool."""
    arguments: Digest | None = None
    """The arguments as the model wrote them."""
    effects: bool = False
    """Whether it acts on the world, so that nothing may run it again of its own accord."""
    kind: Literal["tool_started"] = "tool_started"


@_event
class ToolEnded:
    """A tool ended."""

    at: float
    """When."""
    path: str
    """The agent's step."""
    turn: int
    """The turn whose reply asked for it."""
    id: str
    """The model's id of the tool call."""
    tool: str
    """Name of the tool."""
    state: State
    """`failed` also where the model was told of the error and goes on."""
    result: Digest | None = None
    """What the model is told."""
    error: Fault | None = None
    """Why it failed."""
    kind: Literal["tool_ended"] = "tool_ended"


@_event
class Asked:
    """A question for a person."""

    at: float
    """When."""
    path: str
    """The step that asks, or the tool's place below its agent's."""
    about: Literal["answer", "approval", "lost"]
    """`answer`: what a node asks. `approval`: whether a tool may run. `lost`: what to do about a tool with effects that was
    running when its process was killed."""
    question: Digest | None = None
    """The text of the question."""
    answers: Digest | None = None
    """JSON Schema of the answers that it takes."""
    tool: str = ""
    """Name of the tool."""
    arguments: Digest | None = None
    """The tool's arguments as the model wrote them."""
    until: float | None = None
    """When the question times out."""
    kind: Literal["asked"] = "asked"


@_event
class Answered:
    """An answer to a question."""

    at: float
    """When."""
    path: str
    """Who had asked."""
    answer: Digest | None = None
    """The answer, as JSON."""
    by: str = ""
    """Who answered, if they have said; `timeout` for the default that stands in for an answer."""
    kind: Literal["answered"] = "answered"


@_event
class Noted:
    """Something that the user should know about a step: it held the event loop, it left a thread behind."""

    at: float
    """When."""
    path: str
    """Which step."""
    message: str
    """What, and what to do about it."""
    kind: Literal["noted"] = "noted"


@_event
class TextDelta:
    """A piece of a reply that is still being written. Given to listeners of `stream`, not kept in the trace."""

    at: float
    """When."""
    path: str
    """The agent's step."""
    turn: int
    """Which turn of the agent, from 1."""
    attempt: int
    """Which attempt of that turn's call, from 1; a new attempt starts the text anew."""
    text: str
    """The piece."""
    kind: Literal["text_delta"] = "text_delta"


@_event
class Unknown:
    """An event of a kind that this swarmlet does not know: a newer one has written it. The rest of its run can be read."""

    at: float
    """When."""
    named: str
    """Its kind, as it stands in the record."""
    data: str
    """The event as JSON, as it was written."""
    path: str = ""
    """The step that it is of; empty if it names none."""
    kind: Literal["unknown"] = "unknown"


Event: TypeAlias = Annotated[
    RunStarted
    | RunResumed
    | StepStarted
    | StepRetried
    | StepNotStarted
    | Decided
    | PartsKept
    | CallFitted
    | CallQueued
    | CallStarted
    | CallEnded
    | CallSaved
    | ToolStarted
    | ToolEnded
    | Asked
    | Answered
    | Noted
    | StepEnded
    | RunEnded
    | TextDelta
    | Unknown,
    Field(discriminator="kind"),
]

if TYPE_CHECKING:
    _Adapter = TypeAdapter[Event]


@cache
def event_adapter() -> _Adapter:
    """Reads and writes events as JSON. Built when first asked for, because that takes milliseconds."""
    return TypeAdapter(Event)


@cache
def event_kinds() -> frozenset[str]:
    """The kinds that this swarmlet knows."""
    return frozenset(str(each.default) for one in event_types() for each in fields(one) if each.name == "kind")


def event_types() -> tuple[type, ...]:
    """The classes of events, in the order of the union."""
    union: object = get_args(Event)[0]
    return get_args(union)


def unknown_event(text: str) -> Unknown | None:
    """An event of a kind that this swarmlet does not know, from its JSON; `None` if it is none: it is damaged, then."""
    try:
        read: object = json.loads(text)
    except (ValueError, RecursionError):
        return None
    if not isinstance(read, dict):
        return None
    data = cast("dict[str, object]", read)
    kind, at, path = data.get("kind"), data.get("at"), data.get("path", "")
    if not isinstance(kind, str) or kind in event_kinds() or not isinstance(at, int | float) or isinstance(at, bool):
        return None
    return Unknown(at=float(at), named=kind, data=text, path=path if isinstance(path, str) else "")

"""The conversation of an agent: call the model, run the tools it asks for, call it again, until the reply fits.

Every reply is one turn, and `max_turns` bounds them. Nothing is shared between two executions of an agent.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Generic, TypeVar, cast

from pydantic import ValidationError

from swarmlet.agents.call import Call
from swarmlet.agents.fanout import all_of
from swarmlet.agents.fitting import fitted
from swarmlet.agents.kept import kept_of
from swarmlet.agents.output import complaint
from swarmlet.agents.recalled import Recalled, recalled
from swarmlet.agents.uses import ToolUse
from swarmlet.engine.context import Current
from swarmlet.errors import (
    ContentFiltered,
    OutputInvalid,
    Refused,
    ReplyTruncated,
    TurnsExhausted,
)
from swarmlet.models.base import ChatReply, ChatRequest, Message, ToolCall
from swarmlet.trace.encode import encoder
from swarmlet.trace.events import CallFitted, CutMessage

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from swarmlet.agents.kept import Change
    from swarmlet.agents.output import Output
    from swarmlet.agents.sharing import Replies
    from swarmlet.agents.tools import Tool
    from swarmlet.models.base import ChatModel, Draft
    from swarmlet.models.fit import Fit
    from swarmlet.models.hub import Models
    from swarmlet.trace.events import Digest

T = TypeVar("T")

_encode_request = encoder(ChatRequest)
_encode_message = encoder(Message)
_encode_reply = encoder(ChatReply)


@dataclass(slots=True)
class Conversation(Generic[T]):
    """One execution of an agent."""

    step: Current
    models: Models
    replies: Replies
    model: ChatModel
    request: ChatRequest
    tools: dict[str, Tool]
    output: Output[T]
    max_turns: int
    repairs: int
    min_tokens: int | None = None
    """The smallest completion cap that a budget may lower the agent's to."""
    policies: tuple[Fit, ...] = ()
    """What is cut when the conversation does not fit the model's window any more."""
    window: int | None = None
    """How many tokens it may grow to before that, where the model's window is larger."""
    drafts: Callable[[], Draft] | None = None
    """Makes one who begins with the items of the output while a reply is written, if anybody does."""
    ends: frozenset[str] = frozenset()
    """Tools that end the conversation when the model calls them."""
    cut_will_do: bool = False
    """Whether a text that reached the cap on its tokens is taken as it is."""
    said: tuple[Message, ...] = ()
    """What was said and done since it began, whatever was cut from the request meanwhile."""
    changes: list[Change] = field(default_factory=list["Change"])
    """What policies have cut of it, in order."""
    asked: list[ChatRequest] = field(default_factory=list["ChatRequest"])
    """The requests of its turns."""
    past: Recalled | None = None
    """What the record has of it, if an earlier process has begun it."""
    digests: list[Digest | None] = field(default_factory=list["Digest | None"])
    """The record of the messages so far: each is kept once, however many turns repeat it."""

    async def run(self) -> T:
        """The agent's result. Raises a `ModelError` or, if a tool was told to raise, a `ToolError`."""
        return cast("T", await self.run_or_end())  # without `ends` nothing else comes

    async def run_or_end(self) -> T | tuple[ToolCall]:
        """As `run`; or, in a tuple, the call that ended the conversation. What was said then stands in `said`."""
        self.past = recalled(self.step)
        try:
            return await self._turns()
        except (OutputInvalid, TurnsExhausted):
            if self.step.scope.cache:
                await self.replies.forget(self.model, self.asked)
            raise

    async def _turns(self) -> T | tuple[ToolCall]:
        if self.past is not None and (opening := self.past.opening()):
            self.changes.append((self.request.messages, opening))
            self.request = replace(self.request, messages=opening)
        asked = self.step.recorder.keep(replace(self.request, messages=()), _encode_request)
        for turn in range(1, self.max_turns + 1):
            await self._fit(turn)
            messages = self._keep_messages()
            call = Call(
                step=self.step,
                models=self.models,
                replies=self.replies,
                model=self.model,
                request=self.request,
                turn=turn,
                asked=asked,
                messages=messages,
                encode_reply=_encode_reply,
                drafts=self.drafts,
                least=self.min_tokens,
            )
            self.asked.append(self.request)
            reply = self.past.reply(turn, asked, messages) if self.past is not None else None
            if reply is None:
                reply = await call.complete()
            self._check(reply)
            last = turn == self.max_turns
            if not reply.tool_calls:
                try:
                    value = self.output.parse(reply.text)
                except ValidationError as error:
                    self._send_back(reply, error, last=last)
                else:
                    self._extend(Message.assistant(reply.text))
                    return value
            elif end := next((call for call in reply.tool_calls if call.name in self.ends), None):
                self._end_with(end, reply)
                return (end,)
            elif not last:  # else nobody would hear what the tools give
                await self._use_tools(reply, turn)
        limit = f"the last of its max_turns={self.max_turns} turns" if self.tools else "place of an answer, and it has none"
        raise TurnsExhausted(f"the agent still called tools in {limit}")

    def kept(self, chat: tuple[Message, ...], opening: tuple[Message, ...]) -> tuple[Message, ...]:
        """The conversation `chat`, which began with `opening` here, as it is left: what was cut is cut, too."""
        return kept_of(chat, opening, self.said, self.changes, self.request.messages)

    async def _fit(self, turn: int) -> None:
        """Cut the conversation if it would not fit; what is cut stays cut, so that later turns share the prefix."""
        fitting = await fitted(self.request, self.policies, self.model.profile, self.window)
        self.request, cuts = fitting.request, fitting.cuts
        if fitting.changes:
            self.changes += fitting.changes
            self.digests.clear()
        if cuts and not (self.past is not None and self.past.was_cut(turn)):
            recorder = self.step.recorder
            told = tuple(CutMessage(cut.index, cut.role, cut.before, cut.after) for cut in cuts)
            recorder.emit(CallFitted(at=recorder.now(), path=self.step.path, turn=turn, cuts=told))

    def _keep_messages(self) -> tuple[Digest | None, ...]:
        new = self.request.messages[len(self.digests) :]
        self.digests += [self.step.recorder.keep(message, _encode_message) for message in new]
        return tuple(self.digests)

    def _check(self, reply: ChatReply) -> None:
        """Raise for a reply that is no answer."""
        if reply.refusal:
            raise Refused(f"the model refused: {reply.refusal}", request_id=reply.request_id)
        if reply.finish_reason == "content_filter":
            raise ContentFiltered("the provider's content filter withheld the reply", request_id=reply.request_id)
        if reply.finish_reason == "length":
            is_text = self.output.schema is None and bool(reply.text) and not reply.tool_calls
            if not (is_text and self.cut_will_do):
                raise self._truncated(reply, is_text=is_text)

    def _truncated(self, reply: ChatReply, *, is_text: bool) -> ReplyTruncated:
        lowered = reply.output_tokens < self.request.max_tokens and self.min_tokens is not None
        remedy = "its budget left no more" if lowered else f"raise max_tokens= of the agent (now {self.request.max_tokens})"
        others = 'ask for less, or take it as it is: agent(truncated="keep")' if is_text else "or ask for less"
        return ReplyTruncated(
            f"the reply was cut off at {reply.output_tokens} tokens; {remedy}, {others}", request_id=reply.request_id
        )

    def _send_back(self, reply: ChatReply, error: ValidationError, *, last: bool) -> None:
        wrong = complaint(error)
        if self.repairs <= 0 or last:
            raise OutputInvalid(f"the reply does not fit the output type:\n{wrong}", request_id=reply.request_id) from error
        self.repairs -= 1
        self._extend(
            *([Message.assistant(reply.text)] if reply.text else []),  # the API refuses a message that says nothing
            Message.user(f"Your reply does not fit what was asked for:\n{wrong}\nGive the whole reply again, corrected."),
        )

    async def _use_tools(self, reply: ChatReply, turn: int) -> None:
        """Run the tools of one turn side by side, each under a step of its own; results go back in the order of the calls."""
        calls = _distinct(reply.tool_calls)
        uses = [ToolUse(self.tools, call, turn, self.step, self._step_of(call), self.past) for call in calls]
        results = await all_of(uses, at_once=self.models.limits.tools)
        if self.step.lease is not None:  # a tool that was given up may have left it without its place
            await self.step.lease.keep()
        answers = [Message.tool(call.id, text) for call, text in zip(calls, results, strict=True)]
        self._extend(Message.assistant(reply.text, calls), *answers)

    def _end_with(self, end: ToolCall, reply: ChatReply) -> None:
        """Answer the calls of the last turn, as whoever goes on with the conversation would be refused without that."""
        calls = _distinct(reply.tool_calls)
        told = dict.fromkeys((call.id for call in calls), "Not run: the conversation ended before.")
        told[calls[reply.tool_calls.index(end)].id] = "Done."
        self._extend(Message.assistant(reply.text, calls), *(Message.tool(id_, text) for id_, text in told.items()))

    def _step_of(self, call: ToolCall) -> Current:
        return Current(self.step.state, self.step.child_path(call.name), self.step.scope, self.step.lease)

    def _extend(self, *messages: Message) -> None:
        self.said = (*self.said, *messages)
        self.request = replace(self.request, messages=(*self.request.messages, *messages))


def _distinct(calls: Sequence[ToolCall]) -> tuple[ToolCall, ...]:
    """The calls, each with an id of its own: results find their call by it, and some servers send one twice, or none."""
    ids: set[str] = set()
    distinct: list[ToolCall] = []
    for call in calls:
        number, id_ = 1, call.id
        while not id_ or id_ in ids:
            number, id_ = number + 1, f"{call.id or 'call'}-{number}"
        ids.add(id_)
        distinct.append(replace(call, id=id_))
    return tuple(distinct)

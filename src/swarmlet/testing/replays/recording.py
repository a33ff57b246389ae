"""From the trace of a run, in memory or in a journal, to its recording."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import cache
from typing import TYPE_CHECKING, TypeAlias, cast

from pydantic import ValidationError

from swarmlet.errors import JournalError
from swarmlet.models.base import ChatReply, ChatRequest
from swarmlet.models.hub import DEFAULT_MODEL
from swarmlet.models.profiles import Profile, profile_of
from swarmlet.testing.replays.call import RecordedCall, clean_reply, form_of, reply_adapter, request_adapter
from swarmlet.testing.replays.file import Recording, in_order
from swarmlet.testing.replays.scrub import Scrub, scrubber
from swarmlet.trace.events import CallSaved, CallStarted, Digest, Fault
from swarmlet.trace.read import StepRecord, Trace
from swarmlet.trace.result import PartialRun

if TYPE_CHECKING:
    from os import PathLike

    from swarmlet.models.base import ChatModel

Source: TypeAlias = Trace | PartialRun
"""A run, finished or not, or its trace: also one of a journal's."""


def recording(*runs: Source, models: Sequence[ChatModel] = (), scrub: Scrub | None = None) -> Recording:
    """The recording of runs: of a `Run`, of what an error has as `.run`, or of `Journal(path).trace(run_id)`.

    Calls that a cache has answered are in it. Attempts that failed and were tried again are not. A call that failed for good
    is there with its error, and one that was cancelled, as those of a lost race are, without a reply.

    `models` are the swarm's model objects, where prices or windows are their own. `scrub` takes further things out of every
    text: dates, or names of temporary files.

    Raises `JournalError` for a run that was recorded with `capture=False`.
    """
    clean = scrubber(scrub)
    calls = [call for run in runs for call in _calls_of(run if isinstance(run, Trace) else run.trace, clean)]
    return Recording(in_order(calls), _likely_default(calls), own_profiles(models, calls))


def save_recording(
    run: Source, path: str | PathLike[str], *, models: Sequence[ChatModel] = (), scrub: Scrub | None = None
) -> None:
    """Write the recording of a run to a file, for `replay(path)`: `recording(run, ...).save(path)`."""
    recording(run, models=models, scrub=scrub).save(path)


def own_profiles(models: Sequence[ChatModel], calls: Sequence[RecordedCall]) -> dict[str, Profile]:
    """Profiles of models that were asked, where a recording has to tell them."""
    asked = {call.model for call in calls}
    return {one.name: one.profile for one in models if one.name in asked and one.profile != profile_of(one.name)}


def _likely_default(calls: Sequence[RecordedCall]) -> str:
    """A trace does not tell which model the swarm's default was: the one that was asked most, as a rule."""
    counts = Counter(call.model for call in calls)
    return DEFAULT_MODEL if DEFAULT_MODEL in counts or not counts else min(counts, key=lambda name: (-counts[name], name))


# From a trace


def _calls_of(trace: Trace, scrub: Scrub) -> list[RecordedCall]:
    """The calls of a run. A call that came to nothing is left out if the same step then got a reply to the same request."""
    reader = _Reader(trace, scrub)
    calls = [call for step in trace.root.walk() for call in reader.calls(step)]
    answered = {(call.step, call.key) for call in calls if call.reply is not None}
    return [call for call in calls if call.reply is not None or (call.step, call.key) not in answered]


def _has_reply(step: StepRecord, turn: int) -> bool:
    return any(call.started.turn == turn and call.state == "finished" for call in step.calls)


class _Reader:
    """Reads the calls of one trace. What several of them repeat is read once: a journal opens its file for each value."""

    def __init__(self, trace: Trace, scrub: Scrub) -> None:
        self._run = trace.run_id
        self._scrub = scrub
        self._value = cache(trace.value)

    def calls(self, step: StepRecord) -> Iterator[RecordedCall]:
        """The calls of one step that came to an end."""
        for call in step.calls:
            ended = call.ended
            if ended is None or ended.retry_in is not None:
                continue
            if ended.state == "finished":
                yield self._answered(call.started, self._reply(ended.reply))
            elif ended.state == "failed" and ended.error is not None:
                yield replace(self._bare(call.started), error=Fault(ended.error.type, self._scrub(ended.error.message)))
            elif ended.state == "cancelled":
                yield self._bare(call.started)
        for saved in step.saved:
            if saved.source == "journal" and _has_reply(step, saved.turn):
                continue  # a resumed run goes on from its own call
            reply = replace(self._reply(saved.reply), input_tokens=saved.input_tokens, output_tokens=saved.output_tokens)
            yield self._answered(saved, reply)

    def _answered(self, event: CallStarted | CallSaved, reply: ChatReply) -> RecordedCall:
        bare = self._bare(event)
        return replace(bare, reply=clean_reply(reply, bare.request, self._scrub))

    def _bare(self, event: CallStarted | CallSaved) -> RecordedCall:
        """A call, without what came back."""
        settings = cast("dict[str, object] | None", self._value(event.request))
        messages = [self._value(message) for message in event.messages]
        if settings is None or None in messages:
            raise self._not_captured()
        try:
            request: ChatRequest = request_adapter().validate_python({**settings, "messages": messages})
        except (ValidationError, TypeError) as error:
            raise JournalError(f"step {event.path!r} of run {self._run!r} asked for what cannot be recorded") from error
        return RecordedCall(step=event.path, turn=event.turn, request=form_of(request, self._scrub))

    def _reply(self, digest: Digest | None) -> ChatReply:
        value = self._value(digest)
        if value is None:
            raise self._not_captured()
        try:
            reply: ChatReply = reply_adapter().validate_python(value)
        except ValidationError as error:
            raise JournalError(f"run {self._run!r} has a reply that cannot be recorded") from error
        return reply

    def _not_captured(self) -> JournalError:
        return JournalError(
            f"run {self._run!r} cannot become a recording, because its prompts and replies were not recorded: capture=False"
        )

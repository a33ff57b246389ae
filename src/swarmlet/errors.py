"""Every error that swarmlet raises on purpose.

    SwarmletError
    ├── GraphError             a graph was built wrong; `problems` lists all that was found
    │   ├── EdgeError              a value of one type is wired to a parameter of another
    │   └── WiringError            a call that cannot be wired: missing, doubled, unused, from elsewhere
    ├── RunError               a run went wrong; has `.path` and `.run` (what was done and paid until then)
    │   ├── StepFailed             a step raised: its exception is `__cause__`
    │   ├── StepsFailed            several steps failed at once: the group of their errors
    │   ├── RoundsExhausted        a loop was not done after its last round
    │   ├── NoQuorum               the samples of a vote do not agree
    │   ├── BudgetExceeded         a budget does not allow another call
    │   ├── DeadlineExceeded       a `timeout=`, a `deadline=` or what a `reserve=` leaves of one ran out
    │   ├── Suspended              the run waits for a person's answer; it goes on by `resume`
    │   └── RunStopped             the swarm was closed or drained while the run went on
    ├── ModelError             why a model call failed; found as the cause of a StepFailed
    │   ├── NoApiKey               no key and no other endpoint was given
    │   ├── RateLimited            429: too fast; waited for and tried again first
    │   ├── QuotaExhausted         429 insufficient_quota: waiting does not help
    │   ├── ModelUnavailable       timeout, lost connection, 408, 409, 5xx; tried again first
    │   │   └── CircuitOpen            the endpoint has failed too often in a row; not sent, not tried again
    │   ├── RequestRejected        400, 401, 403, 404, 422: the request itself is refused
    │   ├── ContextTooLong         the prompt does not fit the model's window
    │   ├── Refused                the model declined to answer
    │   ├── ReplyTruncated         the reply ran into max_tokens
    │   ├── ContentFiltered        the provider's filter withheld the reply
    │   ├── OutputInvalid          the reply does not fit the output type, also after being sent back
    │   ├── ReplyMalformed         the server's answer is not a chat completion
    │   ├── PriceUnknown           a budget in USD cannot judge a model without prices
    │   ├── NotRecorded            a replay was asked for a call that its recording does not have
    │   └── TurnsExhausted         the agent still wanted tools after its last turn
    ├── AwaitedCancelled       a task or future that a step waited for was cancelled, and not the step
    ├── ToolError              a tool failed and the agent was told to raise
    ├── Unanswered             a person was asked, and no answer that fits came
    └── JournalError           a journal cannot be opened, read or written
        ├── GraphChanged           a run cannot be resumed: its node is not what it was
        ├── NotResumable           a run cannot be resumed: the record lacks what it takes
        └── RunTaken               another process goes on with the run, so this one has to leave it

Build errors and run errors are different branches: the first are bugs in the caller's graph, found before any
model call; the second are events of one run.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Sequence
    from decimal import Decimal
    from typing import Self

    # The upward names of the ground floor, for type checkers only: a failed run hands back what it has, and a failed call
    # what the server said of its limits.
    from swarmlet.policy.ratelimit_headers import Reading
    from swarmlet.trace.result import PartialRun


class SwarmletError(Exception):
    """Base of every error that swarmlet raises on purpose."""


# Built wrong


class GraphError(SwarmletError):
    """A graph, node or agent is built wrong. Raised where it is defined, before any model call.

    `problems` holds one text for each thing that is wrong, each with the source line; all of them are found at once.
    """

    def __init__(self, problems: str | Sequence[str]) -> None:
        self.problems: tuple[str, ...] = (problems,) if isinstance(problems, str) else tuple(problems)
        super().__init__(problems)

    def __str__(self) -> str:
        if len(self.problems) == 1:
            return self.problems[0]
        numbered = (f"{number}. {problem}" for number, problem in enumerate(self.problems, 1))
        return "\n".join([f"{len(self.problems)} things are wrong:", *numbered])


class EdgeError(GraphError):
    """A value of one type is wired to a parameter that asks for another."""


class WiringError(GraphError):
    """A node is called in a way that cannot become part of a graph."""


# Ran wrong


class RunError(SwarmletError):
    """A run went wrong at the step `path`.

    `run` is set when the error leaves `run()`: its id, trace, usage, and through the trace every finished output. It is `None`
    for a run that was refused before it began.
    """

    run: PartialRun | None = None
    ways: tuple[Exception, ...] = ()
    """What each way that was tried has failed with, where a race, a cascade or a vote had several."""

    def __init__(self, path: str, *details: object) -> None:
        self.path = path
        super().__init__(path, *details)


class StepFailed(RunError):
    """A step raised an exception, which is this error's `__cause__`."""

    def __init__(self, path: str, reason: str) -> None:
        self.reason = reason
        super().__init__(path, reason)

    def __str__(self) -> str:
        return f"step {self.path!r} failed: {self.reason}"


class RoundsExhausted(RunError):
    """A loop's body still said `Again` after the last of its `rounds`.

    `state` is the last state it asked for, and `history` the states that its rounds began with.
    """

    def __init__(self, path: str, rounds: int, state: object = None, history: Sequence[object] = ()) -> None:
        self.rounds = rounds
        self.state = state
        self.history: tuple[object, ...] = tuple(history)
        super().__init__(path, rounds, state, history)

    def __str__(self) -> str:
        return (
            f"loop {self.path!r} was not done after {self.rounds} rounds: raise `rounds=`, "
            "or give `otherwise=` a node that makes the result of the last state"
        )


class NoQuorum(RunError):
    """No answer of a vote got its `quorum`; `votes` tells how many samples agreed on each answer, the most first.

    Samples that failed gave no vote: their errors are the cause.
    """

    def __init__(self, path: str, quorum: int, votes: Sequence[int] = (), failed: int = 0) -> None:
        self.quorum = quorum
        self.votes: tuple[int, ...] = tuple(votes)
        self.failed = failed
        super().__init__(path, quorum, votes, failed)

    def __str__(self) -> str:
        lost = f", and {self.failed} failed" if self.failed else ""
        counted = ", ".join(map(str, self.votes)) or "none"
        return (
            f"vote {self.path!r} has no winner that at least {self.quorum} samples agree on; votes by answer: {counted}{lost}; "
            "ask more samples, lower `quorum=`, or say with `key=` which answers agree"
        )


class DeadlineExceeded(RunError):
    """A step, with everything under it, was not done within the `timeout` seconds that `limit` left it.

    `limit` is the option that ran out first: `timeout`, `deadline` or `reserve`.
    """

    def __init__(self, path: str, timeout: float, limit: str = "timeout") -> None:
        self.timeout = timeout
        self.limit = limit
        super().__init__(path, timeout, limit)

    def __str__(self) -> str:
        if self.limit == "timeout":
            return f"step {self.path!r} was stopped: it took longer than its timeout of {self.timeout:g} s"
        what = "its deadline" if self.limit == "deadline" else "the enclosing deadline, less its reserve,"
        left = f"was {self.timeout:.3g} s away when it began" if self.timeout > 0 else "had passed before it began"
        return f"step {self.path!r} was stopped: {what} {left}"


class StepsFailed(RunError, ExceptionGroup[Exception]):
    """Several steps failed at once: the group of their errors, each with its path. `except*` takes it apart.

    `path` is the node under which they failed, and `run` what was done and paid until then.
    """

    def __new__(cls, path: str, errors: Sequence[Exception]) -> Self:
        """Make the group; its message names the node and says how many failed."""
        return super().__new__(cls, f"{len(errors)} steps of {path!r} failed", errors)

    def __init__(self, path: str, errors: Sequence[Exception]) -> None:
        super().__init__(path, errors)

    def __str__(self) -> str:
        return ExceptionGroup.__str__(self)

    def derive(self, excs: Sequence[Any], /) -> Any:  # Any: the base class overloads it by the kind of exceptions
        """A part of the group, as `except*` and `split` make it, that still has `path` and `run`."""
        part = StepsFailed(self.path, excs)
        part.run = self.run
        return part


class BudgetExceeded(RunError):
    """A call of the step `path` was not sent, because it could not fit the budget of `scope` any more.

    `kind` is what ran out (`tokens`, `usd`, ...), `limit` its limit, `used` what had been spent of it and `needed` the least
    that the call could have been started with. A budget of `seconds` stops what runs.
    """

    def __init__(
        self, path: str, kind: str, limit: Decimal | float, used: Decimal | float, needed: Decimal | float, scope: str
    ) -> None:
        self.kind = kind
        self.limit = limit
        self.used = used
        self.needed = needed
        self.scope = scope
        super().__init__(path, kind, limit, used, needed, scope)

    def __str__(self) -> str:
        limit, used, needed = map(_figure, (self.limit, self.used, self.needed))
        if self.kind == "seconds":
            return f"step {self.path!r} was stopped: the budget of {self.scope!r} gives it {limit} s"
        smaller = " or a smaller max_tokens=" if self.kind in ("tokens", "output_tokens", "usd") else ""
        return (
            f"step {self.path!r} does not fit the budget of {self.scope!r}: {self.kind}={limit}, of which {used} is used, "
            f"and the next call needs {needed}. Give {self.scope!r} a larger {self.kind}={smaller}, or take what is finished: "
            "within(node, budget)"
        )


def _figure(figure: Decimal | float) -> str:
    """A figure in full: money is never shown as 1E-7."""
    if isinstance(figure, int):
        return str(figure)
    return f"{figure:g}" if isinstance(figure, float) else f"{figure:f}"


class RunStopped(RunError):
    """The swarm was closed, or drained, while the run was going on in another task."""

    def __init__(self, path: str, why: str = "closed") -> None:
        self.why = why
        super().__init__(path, why)

    def __str__(self) -> str:
        return f"run of {self.path!r} was stopped, because its swarm was {self.why}"


class Suspended(RunError):
    """The run waits for a person and has no process any more; `questions` are the paths that wait, in the journal's inbox.

    Answer them with `swarm.answer(run_id, path, value)` or `swarmlet answer`, then `swarm.resume(run_id, node)`.
    """

    def __init__(self, path: str, questions: Sequence[str]) -> None:
        self.questions: tuple[str, ...] = tuple(questions)
        super().__init__(path, questions)

    def __str__(self) -> str:
        waits = ", ".join(map(repr, self.questions[:5])) + (", ..." if len(self.questions) > 5 else "")
        run = repr(self.run.id) if self.run is not None else "run_id"
        remedy = f"swarm.answer({run}, path, value), then swarm.resume({run}, node)"
        return f"run of {self.path!r} waits for an answer to {waits}: {remedy}"


# Models and tools


class ModelError(SwarmletError):
    """Why a model call failed.

    `retryable` says whether the same request may succeed later; `retry_after` is the server's own wish in seconds;
    `status` and `request_id` are the HTTP answer's, where there was one, and `limits` the figures that it gave of its rate
    limits. No header and no key is kept.
    """

    retryable = False
    limits: Reading | None = None

    def __init__(
        self,
        message: str,
        *,
        status: int | None = None,
        retry_after: float | None = None,
        request_id: str | None = None,
    ) -> None:
        self.message = message
        self.status = status
        self.retry_after = retry_after
        self.request_id = request_id
        super().__init__(message)


class NoApiKey(ModelError):
    """No API key was found and no other endpoint was named."""


class RateLimited(ModelError):
    """The server refused the call because calls come too fast (429)."""

    retryable = True


class QuotaExhausted(ModelError):
    """The account has no quota left (429 `insufficient_quota`). Waiting does not help, so it is not retried."""


class ModelUnavailable(ModelError):
    """The server could not be reached or could not answer: timeout, lost connection, 408, 409 or 5xx."""

    retryable = True


class CircuitOpen(ModelUnavailable):
    """The endpoint has failed so often in a row that its circuit breaker lets no call through. The call was not sent.

    `retry_after` tells the seconds until a call may be let through again. Nothing waits for that: the call fails at once, so
    that a fallback comes at once.
    """


class RequestRejected(ModelError):
    """The server refuses the request itself (400, 401, 403, 404, 422). Sending it again changes nothing."""


class ContextTooLong(ModelError):
    """The prompt, with the room kept for the reply, does not fit the model's context window."""


class Refused(ModelError):
    """The model declined to answer; the message holds its words."""


class ReplyTruncated(ModelError):
    """The reply reached the completion cap before it was complete. It was paid for."""


class ContentFiltered(ModelError):
    """The provider's content filter withheld the reply. It was paid for."""


class OutputInvalid(ModelError):
    """The reply does not fit the output type, also after it was sent back with what is wrong."""


class ReplyMalformed(ModelError):
    """The server answered 200 with something that is not a chat completion."""

    retryable = True


class PriceUnknown(ModelError):
    """A budget in USD is around the call, and the price of the model is not known. The call was not sent."""


class TurnsExhausted(ModelError):
    """The agent still called tools in the last turn that `max_turns=` allows, or has none."""


class NotRecorded(ModelError):
    """A replay was asked for a call that its recording does not have. The message shows the nearest recorded one."""


class AwaitedCancelled(SwarmletError):
    """Something that a step waited for was cancelled by its owner, and not the step itself."""

    def __str__(self) -> str:
        return "what the step waited for was cancelled by its owner, and not the step"


class ToolError(SwarmletError):
    """A tool failed and its agent was told to raise. The tool's exception is `__cause__`."""


class JournalError(SwarmletError):
    """A journal cannot be opened, read or written."""


class Unanswered(SwarmletError):
    """A person was asked, and nobody is there who could answer, no answer came in time, or it does not fit the question."""


class GraphChanged(JournalError):
    """The node of a run that is to be resumed is not what it was; `changes` lists what differs, a line each."""

    def __init__(self, run: str, changes: Sequence[str]) -> None:
        self.run = run
        self.changes: tuple[str, ...] = tuple(changes)
        super().__init__(run, changes)

    def __str__(self) -> str:
        remedy = "resume it with that one, or with changed='match', which reuses the steps whose paths and inputs are the same"
        told = (f"  {change}" for change in self.changes)
        return "\n".join([f"run {self.run!r} was made by another graph: {remedy}. What has changed:", *told])


class NotResumable(JournalError):
    """A run cannot be resumed, because the record lacks what that takes."""


class RunTaken(JournalError):
    """Another process goes on with the run: this one was taken for dead, and must leave it."""

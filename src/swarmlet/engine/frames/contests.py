"""Where a run stands inside a contest: several executions, of which one result counts.

Every runner is launched apart, so that it can fail or be cancelled alone. When the outcome is fixed the frame completes;
its driver then cancels whatever still runs.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, ClassVar, final

from typing_extensions import override

from swarmlet.engine.frame import Decision, Frame, Place, Sleep
from swarmlet.engine.step import all_failed
from swarmlet.errors import NoQuorum, StepFailed
from swarmlet.graph.ballot import Ballot
from swarmlet.trace.encode import text_of

if TYPE_CHECKING:
    from swarmlet.graph.best import BestShape
    from swarmlet.graph.hedge import HedgeShape
    from swarmlet.graph.race import RaceShape
    from swarmlet.graph.shape import AnyNode
    from swarmlet.graph.vote import VoteShape


class _Contest(Frame):
    """What contests share: runners that fail alone, and the causes of their failures."""

    __slots__ = ("causes",)
    samples: ClassVar[bool] = True
    """Whether the runners are independent executions of the same, which must not share replies or act."""

    def __init__(self, place: Place) -> None:
        super().__init__(place)
        self.causes: list[Exception] = []

    @override
    def handles(self, key: int, error: Exception) -> bool:
        return True

    def _run(self, node: AnyNode, path: str, key: int) -> None:
        scope = self.scope.sampled() if self.samples else self.scope.handled()
        self.scheduler.launch(node, self.args, self.kwargs, path, scope, self, key, apart=True)

    def _win(self, by: str, chosen: str, value: object, reason: str) -> None:
        self.scheduler.decide(Decision(self.path, by, chosen, reason))
        self.complete(value)


@final
class RaceFrame(_Contest):
    """All runners at once; the first success wins."""

    samples: ClassVar[bool] = False
    __slots__ = ("shape",)

    def __init__(self, shape: RaceShape, place: Place) -> None:
        super().__init__(place)
        self.shape: RaceShape = shape

    @override
    def begin(self) -> None:
        for key, (name, node) in enumerate(self.shape.runners):
            self._run(node, f"{self.path}/{name}", key)

    @override
    def finished(self, key: int, value: object) -> None:
        name, _ = self.shape.runners[key]
        self._win("race", f"{self.path}/{name}", value, "the first to succeed")

    @override
    def failed(self, key: int, error: Exception) -> None:
        self.causes.append(error)
        if len(self.causes) == len(self.shape.runners):
            self.fail(all_failed(self.path, "every runner failed", self.causes))


@final
class HedgeFrame(_Contest):
    """One try, and one more each time that the tries so far are slow or have all failed; the first success wins."""

    __slots__ = ("shape", "started", "waiting")

    def __init__(self, shape: HedgeShape, place: Place) -> None:
        super().__init__(place)
        self.shape: HedgeShape = shape
        self.started: int = 0
        self.waiting: int = 0
        """The number of tries there were when the latest alarm was set; an older alarm says nothing."""

    @override
    def begin(self) -> None:
        self._start()

    @override
    def finished(self, key: int, value: object) -> None:
        reason = f"the first to succeed of {self.started} {'tries' if self.started > 1 else 'try'}"
        self._win("hedge", f"{self.path}[{key}]", value, reason)

    @override
    def failed(self, key: int, error: Exception) -> None:
        self.causes.append(error)
        if len(self.causes) == self.shape.tries:
            self.fail(all_failed(self.path, "every try failed", self.causes))
        elif len(self.causes) == self.started:
            self._start()

    @override
    def told(self, news: object) -> None:
        self.waiting -= 1
        if not self.waiting and self.started < self.shape.tries:
            self._start()

    def _start(self) -> None:
        self._run(self.shape.body, f"{self.path}[{self.started}]", self.started)
        self.started += 1
        if self.started < self.shape.tries:
            self.waiting += 1
            self.scheduler.send(self, Sleep(self.shape.after))


@final
class VoteFrame(_Contest):
    """Samples, as many at once as the bound allows, until no answer that is still to come can change the outcome."""

    __slots__ = ("ballot", "shape", "started")

    def __init__(self, shape: VoteShape, place: Place) -> None:
        super().__init__(place)
        self.shape: VoteShape = shape
        self.ballot: Ballot = Ballot(shape.of, shape.quorum, shape.ties)
        self.started: int = 0

    @override
    def begin(self) -> None:
        for _ in range(min(self.shape.of, self.shape.concurrency or self.shape.of)):
            self._next()

    @override
    def finished(self, key: int, value: object) -> None:
        self.ballot.cast(key, value, self.shape.key(value) if self.shape.key else value)
        self._judge()

    @override
    def failed(self, key: int, error: Exception) -> None:
        self.causes.append(error)
        self.ballot.spoil(key)
        self._judge()

    def _judge(self) -> None:
        verdict = self.ballot.verdict()
        if verdict is not None:
            key, value = verdict
            self._win("vote", f"{self.path}[{key}]", value, self.ballot.says())
        elif self.ballot.hopeless():
            failed = NoQuorum(self.path, self.shape.quorum, self.ballot.counts(), len(self.causes))
            failed.__cause__ = all_failed(self.path, "", self.causes).__cause__ if self.causes else None
            if not self.ballot.counts():
                failed.ways = tuple(self.causes)
            self.fail(failed)
        else:
            self._go_on()

    def _go_on(self) -> None:
        """Start no more samples than it takes, if those that run agree with the leader."""
        shape, ballot = self.shape, self.ballot
        while self.started < shape.of and not ballot.may_be_fixed_by(self.started):
            if ballot.coming(self.started) >= (shape.concurrency or shape.of):
                return
            self._next()

    def _next(self) -> None:
        key, self.started = self.started, self.started + 1
        self._run(self.shape.body, f"{self.path}[{key}]", key)


@final
class BestFrame(_Contest):
    """Samples, each scored as soon as it is there; the highest score wins. Child 2i is a sample, 2i + 1 its score."""

    __slots__ = ("answers", "leader", "left", "score", "shape", "started")

    def __init__(self, shape: BestShape, place: Place) -> None:
        super().__init__(place)
        self.shape: BestShape = shape
        self.answers: dict[int, object] = {}
        self.left: int = shape.of
        self.started: int = 0
        self.leader: int | None = None
        self.score: float = -math.inf

    @override
    def begin(self) -> None:
        for _ in range(min(self.shape.of, self.shape.concurrency or self.shape.of)):
            self._next()

    @override
    def finished(self, key: int, value: object) -> None:
        sample, scored = divmod(key, 2)
        if scored:
            self._scored(sample, value)
            return
        self.answers[sample] = value
        args, kwargs = self.shape.score.arguments(value, self.args, self.kwargs)
        node = self.shape.score.node
        path = f"{self.path}/{node.name}[{sample}]"
        self.scheduler.launch(node, args, kwargs, path, self.scope.handled(), self, key + 1, apart=True)

    @override
    def failed(self, key: int, error: Exception) -> None:
        self.causes.append(error)
        self._one_less()

    def _scored(self, sample: int, score: object) -> None:
        number = _number(score)
        if math.isnan(number):
            path = f"{self.path}/{self.shape.score.node.name}[{sample}]"
            self.failed(2 * sample + 1, StepFailed(path, f"a score is a number, not {text_of(score, repr)}"))
            return
        if self.leader is None or (-number, sample) < (-self.score, self.leader):
            self.leader, self.score = sample, number
        if self.shape.enough is not None and self.score >= self.shape.enough:
            self._crown(sample)
        else:
            self._one_less()

    def _one_less(self) -> None:
        self.left -= 1
        if self.started < self.shape.of:
            self._next()
        elif not self.left and self.leader is None:
            self.fail(all_failed(self.path, "no sample could be made and scored", self.causes))
        elif not self.left and self.leader is not None:
            self._crown(self.leader)

    def _crown(self, sample: int) -> None:
        self._win("best", f"{self.path}[{sample}]", self.answers[sample], f"the highest score, {self.score:g}")

    def _next(self) -> None:
        key, self.started = self.started, self.started + 1
        self._run(self.shape.body, f"{self.path}[{key}]", 2 * key)


def _number(score: object) -> float:
    """The score as a float; not a number if it is none that a float can hold."""
    try:
        return float(score) if isinstance(score, int | float) else math.nan
    except OverflowError:
        return math.nan

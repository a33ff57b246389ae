"""Where a run stands inside a choice: by value, by type, in order of price, or by what a member hands over to."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast, final

from typing_extensions import override

from swarmlet.engine.frame import Decision, Frame, Place
from swarmlet.engine.step import all_failed, ran_out
from swarmlet.errors import StepFailed
from swarmlet.graph.team import HandedOver
from swarmlet.graph.within import Partial
from swarmlet.policy.options import Harvest
from swarmlet.trace.encode import text_of

if TYPE_CHECKING:
    from swarmlet.graph.cascade import CascadeShape
    from swarmlet.graph.match import MatchShape
    from swarmlet.graph.shape import AnyNode
    from swarmlet.graph.switch import SwitchShape
    from swarmlet.graph.team import Spoken, TeamShape
    from swarmlet.graph.within import WithinShape


@final
class SwitchFrame(Frame):
    """A choice: the key first, then its arm."""

    __slots__ = ("shape",)

    def __init__(self, shape: SwitchShape, place: Place) -> None:
        super().__init__(place)
        self.shape: SwitchShape = shape

    @override
    def begin(self) -> None:
        self._launch(self.shape.key, self.shape.key.name, 0)

    @override
    def finished(self, key: int, value: object) -> None:
        if key == 1:
            self.complete(value)
            return
        arms = (arm for known, arm in self.shape.arms.items() if isinstance(value, type(known)) and value == known)
        arm = next(arms, self.shape.default)
        if arm is None:
            given = text_of(value, repr) or f"a {type(value).__name__} without a repr"
            self.fail(StepFailed(self.path, f"the key gave {given}, which has no arm"))
        else:
            self._launch(arm, arm.name if arm.name != self.shape.key.name else f"{arm.name}~2", 1)

    def _launch(self, node: AnyNode, name: str, key: int) -> None:
        self.scheduler.launch(node, self.args, self.kwargs, f"{self.path}/{name}", self.scope, self, key)


@final
class MatchFrame(Frame):
    """A choice by the type of the first argument."""

    __slots__ = ("shape",)

    def __init__(self, shape: MatchShape, place: Place) -> None:
        super().__init__(place)
        self.shape: MatchShape = shape

    @override
    def begin(self) -> None:
        arm = self.shape.arm_for(self.args[0])
        if arm is None:
            known = ", ".join(name for name, _ in self.shape.named)
            self.fail(StepFailed(self.path, f"no arm takes a {type(self.args[0]).__name__}; the arms are {known}"))
        else:
            name, node = arm
            self.scheduler.launch(node, self.args, self.kwargs, f"{self.path}/{name}", self.scope, self, 0)

    @override
    def finished(self, key: int, value: object) -> None:
        self.complete(value)


@final
class CascadeFrame(Frame):
    """Rungs in order, each asked only if the answers before it were not accepted. Child 2i is a rung, 2i + 1 its judge."""

    __slots__ = ("answer", "causes", "shape")

    def __init__(self, shape: CascadeShape, place: Place) -> None:
        super().__init__(place)
        self.shape: CascadeShape = shape
        self.answer: object = None
        self.causes: list[Exception] = []

    @override
    def begin(self) -> None:
        self._climb(0)

    @override
    def finished(self, key: int, value: object) -> None:
        rung, judged = divmod(key, 2)
        if judged and not value:
            self._climb(rung + 1)
        elif judged:
            self._take(rung, self.answer, "accepted")
        elif rung == len(self.shape.rungs) - 1:
            self._take(rung, value, "the last")
        else:
            self.answer = value
            args, kwargs = self.shape.accept.arguments(value, self.args, self.kwargs)
            path = f"{self.path}/{self.shape.judged}[{rung}]"
            self.scheduler.launch(self.shape.accept.node, args, kwargs, path, self.scope, self, key + 1)

    @override
    def handles(self, key: int, error: Exception) -> bool:
        return not key % 2

    @override
    def failed(self, key: int, error: Exception) -> None:
        self.causes.append(error)
        rung = key // 2
        if rung == len(self.shape.rungs) - 1:
            self.fail(all_failed(self.path, "no rung gave an answer that was accepted", self.causes))
        else:
            self._climb(rung + 1)

    def _climb(self, rung: int) -> None:
        name, node = self.shape.rungs[rung]
        path = f"{self.path}/{name}"
        self.scheduler.launch(node, self.args, self.kwargs, path, self.scope.handled(), self, 2 * rung, apart=True)

    def _take(self, rung: int, value: object, why: str) -> None:
        name, _ = self.shape.rungs[rung]
        reason = f"{why} of {len(self.shape.rungs)} rungs" if why == "the last" else why
        self.scheduler.decide(Decision(self.path, "cascade", f"{self.path}/{name}", reason))
        self.complete(value)


@final
class TeamFrame(Frame):
    """Members in turn, each of which answers or hands the conversation to another."""

    __slots__ = ("shape", "spoke")

    def __init__(self, shape: TeamShape, place: Place) -> None:
        super().__init__(place)
        self.shape: TeamShape = shape
        self.spoke: list[str] = []

    @override
    def begin(self) -> None:
        self._give(self.shape.entry, self.args[0])

    @override
    def finished(self, key: int, value: object) -> None:
        speaker = self.spoke[-1]
        if isinstance(value, HandedOver):
            chosen = f"{self.path}/{value.to}"
            self.scheduler.decide(Decision(self.path, "team", chosen, f"{speaker} hands over: {value.why}"))
            self._give(value.to, value.chat)
            return
        self.complete(self.shape.answer(self.spoke, cast("Spoken", value), self.args[0]))

    def _give(self, name: str, chat: object) -> None:
        last = len(self.spoke) >= self.shape.handoffs
        node = (self.shape.closers if last else self.shape.members)[name]
        times = self.spoke.count(name) + 1
        self.spoke.append(name)
        path = f"{self.path}/{name}" if times == 1 else f"{self.path}/{name}~{times}"
        args = [chat, *self.args[1:]]
        self.scheduler.launch(node, args, self.kwargs, path, self.scope, self, len(self.spoke))


@final
class WithinFrame(Frame):
    """A node under a budget: its result, or else what is finished, or what another node gives."""

    __slots__ = ("harvest", "shape")

    def __init__(self, shape: WithinShape, place: Place) -> None:
        super().__init__(place)
        self.shape: WithinShape = shape
        self.harvest: Harvest = Harvest(f"{self.path}/{shape.body.name}")

    @override
    def begin(self) -> None:
        scope = self.scope.handled() if self.shape.other else self.scope.harvested(self.harvest)
        path = self.harvest.scope
        self.scheduler.launch(self.shape.body, self.args, self.kwargs, path, scope, self, 0, apart=True)

    @override
    def finished(self, key: int, value: object) -> None:
        self.complete(value)

    @override
    def handles(self, key: int, error: Exception) -> bool:
        return key == 0

    @override
    def failed(self, key: int, error: Exception) -> None:
        exceeded = ran_out([error], self.harvest.scope)
        if exceeded is None:
            self.fail(error)
        elif self.shape.other is None:
            self.scheduler.decide(Decision(self.path, "within", "", f"partial: {exceeded}"))
            self.complete(Partial(exceeded.kind, str(exceeded), dict(self.harvest.finished), exceeded))
        else:
            path = f"{self.path}/~{self.shape.other.name}"
            self.scheduler.decide(Decision(self.path, "within", path, str(exceeded)))
            self.scheduler.launch(self.shape.other, self.args, self.kwargs, path, self.scope, self, 1)

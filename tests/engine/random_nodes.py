"""The nodes of specs, and the world in which their leaves run: it sees what runs when, and looks at the bounds."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from typing import Any, Literal, TypeAlias, cast

import anyio
from anyio.lowlevel import checkpoint

from swarmlet import (
    Again,
    Done,
    Failed,
    Node,
    best,
    cascade,
    current,
    each,
    graph,
    hedge,
    loop,
    match,
    node,
    race,
    switch,
    vote,
)
from tests.engine.random_specs import (
    GIVEN_UP,
    HUGE,
    BestSpec,
    CallerSpec,
    CascadeSpec,
    GraphSpec,
    HedgeSpec,
    LeafSpec,
    LoopSpec,
    MapSpec,
    MatchSpec,
    OptionsSpec,
    RaceSpec,
    Spec,
    SwitchSpec,
    VoteSpec,
    answer,
    arrival,
    caller_takes,
    folded,
    gathered,
    is_done,
    mixed,
    spread,
    start_of,
    turn,
)

IntNode: TypeAlias = Node[[int], int]


class Boom(Exception):
    """What failing leaves raise."""


@dataclass
class World:
    """What the leaves of one run do and have done."""

    wait: Callable[[str, float], Any]
    real: bool = False
    """Whether time is real, so that bounds on time must not matter."""
    started: dict[str, float] = field(default_factory=dict[str, float])
    ended: dict[str, float] = field(default_factory=dict[str, float])
    running: set[str] = field(default_factory=set[str])
    lent: set[str] = field(default_factory=set[str])
    open_sources: int = 0
    seen_failed: list[str] = field(default_factory=list[str])
    problems: list[str] = field(default_factory=list[str])
    bounds: dict[str, int] = field(default_factory=dict[str, int])
    """How many leaves may run at once under a path."""
    items: dict[str, int] = field(default_factory=dict[str, int])
    """How many items of the map at a path may run at once."""
    now: Callable[[], float] = lambda: 0.0

    def enter(self, path: str, value: object) -> None:
        if path in self.started:
            self.problems.append(f"{path} ran twice")
        if not isinstance(value, int):
            self.problems.append(f"{path} began with {value!r}")
        self.started[path] = self.now()
        self.running.add(path)
        self.check(path)

    def leave(self, path: str) -> None:
        self.ended[path] = self.now()
        self.running.discard(path)

    def check(self, path: str) -> None:
        """Look at the bounds around a leaf that has begun to work."""
        for bound, count in self.bounds.items():
            if under(bound, path) and not path.startswith(f"{bound}/~"):
                busy = [one for one in self.running - self.lent if under(bound, one) and not one.startswith(f"{bound}/~")]
                if len(busy) > count:
                    self.problems.append(f"{len(busy)} leaves at once under {bound}, which allows {count}: {busy}")
        for bound, count in self.items.items():
            if under(bound, path):
                busy_items = {found[0] for one in self.running if (found := re.match(re.escape(bound) + r"\[\d+\]", one))}
                if len(busy_items) > count:
                    self.problems.append(f"{len(busy_items)} items at once of {bound}, which allows {count}")


def under(bound: str, path: str) -> bool:
    return path.startswith(bound) and path[len(bound) : len(bound) + 1] in ("", "/", "[")


class Builder:
    """Makes the nodes of specs."""

    def __init__(self, world: World) -> None:
        self.world = world

    def leaf(self, spec: LeafSpec) -> IntNode:
        world = self.world
        in_thread = spec.kind == "thread" and world.real

        def end(path: str, value: int) -> int:
            if turn(spec, path)[1]:
                raise Boom(path)
            return answer(spec, path, value)

        async def waits(value: int) -> int:
            path = current().path
            world.enter(path, value)
            try:
                await world.wait(path, turn(spec, path)[0])
                return end(path, value)
            finally:
                if spec.kind == "tidy":
                    with anyio.CancelScope(shield=True):
                        await checkpoint()
                world.leave(path)

        def at_once(value: int) -> int:
            path = current().path
            if in_thread:  # it runs on when it is cancelled, so it may be alive beside anything
                world.started[path] = world.ended[path] = world.now()
                return end(path, value)
            world.enter(path, value)
            try:
                return end(path, value)
            finally:
                world.leave(path)

        waits.__name__ = at_once.__name__ = spec.name
        return node(waits) if spec.kind in ("async", "tidy") else node(at_once, thread=in_thread)

    def caller(self, spec: CallerSpec) -> IntNode:
        world, child = self.world, self.node(spec.child)

        async def caller(value: int) -> int:
            path = current().path
            world.enter(path, value)
            patience = HUGE if spec.patience and world.real else spec.patience
            gave_up = False

            async def ask(asked: int, into: list[int]) -> None:
                nonlocal gave_up
                with anyio.move_on_after(patience):
                    into.append(await current().run(child, asked))
                    return
                gave_up = True
                into.append(GIVEN_UP)

            async def ask_later(index: int, into: list[int]) -> None:
                await world.wait(f"{path}<{index}>", start_of(path, index))
                await ask(value, into)

            async def ask_together() -> int:
                found: list[int] = []
                async with anyio.create_task_group() as group:
                    for index in range(spec.times):
                        group.start_soon(ask_later, index, found)
                return gathered(found)

            async def ask_in_turn() -> int:
                found = [value]
                for _ in range(spec.times):
                    await ask(found[-1], found)
                return found[-1]

            world.lent.add(path)
            try:
                value = await (ask_together() if spec.together else ask_in_turn())
                if not gave_up:  # else it goes on without a place, as documented
                    world.lent.discard(path)
                    world.check(path)
                await world.wait(path, caller_takes(path))
                return value
            finally:
                world.lent.discard(path)
                world.leave(path)

        return node(caller)

    def graph(self, spec: GraphSpec) -> IntNode:
        nodes = [self.node(row) for row, _ in spec.rows]
        mix = self.glue("mix", mixed)

        def body(value: int) -> int:
            values = [value]
            used: set[int] = set()
            for one, (_, reads) in zip(nodes, spec.rows, strict=True):
                used |= set(reads)
                values.append(one(values[reads[0]] if len(reads) == 1 else mix([values[read] for read in reads])))
            return mix([values[index] for index in range(1, len(values)) if index not in used]) if nodes else value

        body.__name__ = spec.name
        return graph(body)

    def glue(self, name: str, function: Callable[[list[int]], int]) -> Node[[list[int]], int]:
        world = self.world

        def glued(values: list[int]) -> int:
            path = current().path
            for value in values:
                world.enter(path, value) if path not in world.started else None
            world.started.setdefault(path, world.now())
            world.ended[path] = world.now()
            world.running.discard(path)
            return function(values)

        glued.__name__ = name
        return node(glued)

    def map(self, spec: MapSpec) -> IntNode:
        world = self.world
        settings_: dict[str, Any] = {
            "on_error": spec.on_error,
            "concurrency": spec.concurrency,
            "at_least": spec.at_least,
            "enough": spec.enough,
        }
        mapped = cast("Callable[[object], list[Any]]", cast("Any", each)(self.node(spec.body), **settings_))

        @node
        def fan(value: int) -> list[int]:
            world.enter(current().path, value)
            world.leave(current().path)
            return spread(value, spec.items)

        @node
        def stream(value: int) -> AsyncIterator[int]:
            path = current().path
            world.enter(path, value)
            world.leave(path)

            async def source() -> AsyncIterator[int]:
                world.open_sources += 1
                try:
                    for index, item in enumerate(spread(value, spec.items)):
                        await world.wait(f"{path}<{index}>", arrival(path, index))
                        yield item
                finally:
                    world.open_sources -= 1

            return source()

        @node
        def fold(results: list[Any]) -> int:
            world.started[current().path] = world.ended[current().path] = world.now()
            world.seen_failed += [one.path for one in results if isinstance(one, Failed)]
            return folded([None if isinstance(one, Failed) else one for one in results])

        def body(value: int) -> int:
            given: object = stream(value) if spec.streamed else fan(value)
            return fold(mapped(given))

        body.__name__ = spec.name
        return graph(body)

    def loop(self, spec: LoopSpec) -> IntNode:
        world, inner = self.world, self.node(spec.body)

        @node
        def decide(value: int) -> Again[int] | Done[int]:
            path = current().path
            world.enter(path, value)
            world.leave(path)
            return Done(value) if is_done(spec, path) else Again(value)

        def body(value: int) -> Again[int] | Done[int]:
            return decide(inner(value))

        body.__name__ = spec.name
        otherwise = self.node(spec.otherwise) if spec.otherwise else None
        return loop(graph(body), rounds=spec.rounds, otherwise=otherwise)

    def switch(self, spec: SwitchSpec) -> IntNode:
        world = self.world

        def key(value: int) -> int:
            world.enter(current().path, value)
            world.leave(current().path)
            return value % 2

        def literal(value: int) -> Literal[0, 1]:
            world.enter(current().path, value)
            world.leave(current().path)
            return 1 if value % 2 else 0

        arms = dict(enumerate(map(self.node, spec.arms)))
        if spec.default is not None:
            return switch(node(key, name="key"), arms, default=self.node(spec.default))
        return cast("IntNode", cast("Any", switch)(node(literal, name="key"), arms))

    def match(self, spec: MatchSpec) -> IntNode:
        world = self.world
        whole, text = self.node(spec.whole), self.node(spec.text)

        @node
        def told(value: int) -> int | str:
            world.enter(current().path, value)
            world.leave(current().path)
            return str(value) if value % 2 else value

        @node
        def read(value: str) -> int:
            world.enter(current().path, int(value))
            world.leave(current().path)
            return int(value)

        @graph
        def words(value: str) -> int:
            return text(read(value))

        def body(value: int) -> int:
            return match(whole, words)(told(value))

        body.__name__ = spec.name
        return graph(body)

    def options(self, spec: OptionsSpec) -> IntNode:
        fallback = self.node(spec.fallback) if spec.fallback else None
        timeout = HUGE if spec.timeout and self.world.real else spec.timeout
        body: Any = self.node(spec.body)
        return cast("IntNode", body.with_options(concurrency=spec.concurrency, timeout=timeout, fallback=fallback))

    def accepts(self, spec: LeafSpec) -> Node[[int], bool]:
        inner = self.leaf(spec)
        call = cast("Any", inner.shape).call
        if spec.kind in ("async", "tidy"):

            async def later(value: int) -> bool:
                return bool(await call(value) % 2 == 0)

            return node(later, name=spec.name)

        def now(value: int) -> bool:
            return bool(call(value) % 2 == 0)

        return node(now, name=spec.name)

    def node(self, spec: Spec) -> IntNode:  # noqa: C901  # one case for each spec
        match spec:
            case LeafSpec():
                return self.leaf(spec)
            case CallerSpec():
                return self.caller(spec)
            case GraphSpec():
                return self.graph(spec)
            case MapSpec():
                return self.map(spec)
            case LoopSpec():
                return self.loop(spec)
            case SwitchSpec():
                return self.switch(spec)
            case MatchSpec():
                return self.match(spec)
            case RaceSpec():
                return race(*map(self.node, spec.runners))
            case HedgeSpec():
                after = min(spec.after, 0.001) if self.world.real and spec.after < HUGE else spec.after
                return hedge(self.node(spec.body), after=after, tries=spec.tries)
            case VoteSpec():
                body = self.node(spec.body)
                return vote(body, of=spec.of, quorum=spec.quorum, ties=spec.ties, concurrency=spec.concurrency)
            case BestSpec():
                body, score = self.node(spec.body), self.leaf(spec.score)
                return best(body, of=spec.of, score=score, enough=spec.enough, concurrency=spec.concurrency)
            case CascadeSpec():
                return cascade(*map(self.node, spec.rungs), accept=self.accepts(spec.accept))
            case OptionsSpec():
                return self.options(spec)

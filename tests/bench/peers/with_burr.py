# mypy: ignore-errors
# pyright: basic, reportMissingImports=false, reportAttributeAccessIssue=false
# pyright: reportTypedDictNotRequiredAccess=false, reportCallIssue=false, reportArgumentType=false
"""Burr: applications of actions; a map of actions where steps run side by side."""

from itertools import pairwise

import anyio
from burr.core import ApplicationBuilder, State, action, expr
from burr.core.graph import GraphBuilder
from burr.core.parallelism import MapStates, RunnableGraph


@action(reads=["value"], writes=["value"])
async def increment(state: State) -> State:
    return state.update(value=state["value"] + 1)


@action(reads=["value"], writes=["result"])
async def same(state: State) -> State:
    return state.update(result=state["value"])


@action(reads=["top"], writes=["result"])
async def larger(state: State) -> State:
    return state.update(result=state["top"] + 1)


class Mapped(MapStates):
    """A map over what `values` gives."""

    def __init__(self, function, values, join, output):
        super().__init__()
        self._function, self._values, self._join, self._output = function, values, join, output

    def action(self, state, inputs):
        return self._function

    async def states(self, state, context, inputs):
        for value in self._values(state):
            yield state.update(**value)

    async def reduce(self, state, states):
        return state.update(**{self._output: self._join([one["result"] async for one in states])})

    def is_async(self):
        return True

    @property
    def reads(self):
        return ["top"]

    @property
    def writes(self):
        return [self._output]


def running(actions, transitions, state, first, last, output):
    graph = GraphBuilder().with_actions(**actions).with_transitions(*transitions).build()

    async def once():
        builder = ApplicationBuilder().with_graph(graph).with_state(**state).with_entrypoint(first)
        application = await builder.abuild()
        _, _, end = await application.arun(halt_after=[last])
        return end[output]

    return once


class Burr:
    """Applications; one is built for each run, of a graph that is built once."""

    async def chain(self, steps):
        names = [f"step{index}" for index in range(steps)]
        transitions = list(pairwise(names))
        return running(dict.fromkeys(names, increment), transitions, {"value": 0}, names[0], names[-1], "value")

    async def fan(self, steps):
        mapped = Mapped(same, lambda state: ({"value": value} for value in range(steps)), sum, "total")
        return running({"fan": mapped}, [], {"top": 0}, "fan", "fan", "total")

    async def layers(self, depth, width):
        names = [f"layer{index}" for index in range(depth)]
        actions = {name: Mapped(larger, lambda state: [{} for _ in range(width)], max, "top") for name in names}
        return running(actions, list(pairwise(names)), {"top": 0}, names[0], names[-1], "top")

    async def loop(self, rounds):
        @action(reads=["value"], writes=["value"])
        async def finish(state: State) -> State:
            return state

        transitions = [("count", "count", expr(f"value < {rounds}")), ("count", "finish")]
        return running({"count": increment, "finish": finish}, transitions, {"value": 0}, "count", "finish", "value")

    async def stages(self, waits):
        def stage(index):
            @action(reads=["waits"], writes=["result"])
            async def wait(state: State) -> State:
                await anyio.sleep(state["waits"][index])
                return state.update(result=1)

            return wait

        names = ["stage0", "stage1", "stage2"]
        inner = GraphBuilder().with_actions(**{name: stage(index) for index, name in enumerate(names)})
        inner = inner.with_transitions(*pairwise(names)).build()
        mapped = Mapped(
            RunnableGraph(inner, "stage0", ["stage2"]), lambda state: ({"waits": one} for one in waits), sum, "total"
        )
        return running({"map": mapped}, [], {"top": 0}, "map", "map", "total")


CONTENDERS = {"Burr": Burr}

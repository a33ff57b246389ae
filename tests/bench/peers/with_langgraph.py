# mypy: ignore-errors
# pyright: basic, reportMissingImports=false, reportAttributeAccessIssue=false
# pyright: reportTypedDictNotRequiredAccess=false, reportCallIssue=false, reportArgumentType=false
"""LangGraph: without a checkpointer; `Checkpointed` with one in memory, `OnSqlite` with one on disk."""

import operator
import tempfile
import uuid
from pathlib import Path
from typing import Annotated, TypedDict

import anyio
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.checkpoint.sqlite.aio import AsyncSqliteSaver
from langgraph.graph import END, START, StateGraph
from langgraph.types import Send


def larger_of(one: int, other: int) -> int:
    return max(one, other)


class State(TypedDict, total=False):
    value: int
    top: Annotated[int, larger_of]
    results: Annotated[list[int], operator.add]
    total: int
    rounds: int
    waits: list


class Plain:
    """As it is."""

    async def saver(self):
        return None

    async def run(self, graph, state, output):
        app = graph.compile(checkpointer=await self.saver())

        async def once():
            config = {"recursion_limit": 100_000, "configurable": {"thread_id": uuid.uuid4().hex}}
            return (await app.ainvoke(state, config))[output]

        return once

    async def chain(self, steps):
        graph = StateGraph(State)

        async def increment(state: State):
            return {"value": state["value"] + 1}

        for index in range(steps):
            graph.add_node(f"step{index}", increment)
            graph.add_edge(f"step{index - 1}" if index else START, f"step{index}")
        return await self.run(graph, {"value": 0}, "value")

    async def fan(self, steps):
        graph = StateGraph(State)

        async def same(state: State):
            return {"results": [state["value"]]}

        graph.add_node("same", same)
        graph.add_node("join", lambda state: {"total": sum(state["results"])})
        graph.add_conditional_edges(START, lambda state: [Send("same", {"value": index}) for index in range(steps)], ["same"])
        graph.add_edge("same", "join")
        return await self.run(graph, {"results": []}, "total")

    async def layers(self, depth, width):
        graph = StateGraph(State)

        async def larger(state: State):
            return {"top": state.get("top", 0) + 1}

        before = []
        for layer in range(depth):
            names = [f"layer{layer}step{index}" for index in range(width)]
            for name in names:
                graph.add_node(name, larger)
                graph.add_edge(before or START, name)
            before = names
        graph.add_node("join", lambda state: {"total": state["top"]})
        graph.add_edge(before, "join")
        return await self.run(graph, {"top": 0}, "total")

    async def loop(self, rounds):
        graph = StateGraph(State)

        async def count(state: State):
            return {"value": state["value"] + 1}

        graph.add_node("count", count)
        graph.add_edge(START, "count")
        graph.add_conditional_edges("count", lambda state: "count" if state["value"] < rounds else END, ["count", END])
        return await self.run(graph, {"value": 0}, "value")

    async def diamond(self, long):
        graph = StateGraph(State)

        def waits(seconds, **result):
            async def wait(state: State):
                await anyio.sleep(seconds)
                return result

            return wait

        for side, first, second in (("left", long, 0), ("right", 0, long)):
            graph.add_node(f"{side}1", waits(first, results=[]))
            graph.add_node(f"{side}2", waits(second, results=[1]))
            graph.add_edge(START, f"{side}1")
            graph.add_edge(f"{side}1", f"{side}2")
        graph.add_node("join", lambda state: {"total": sum(state["results"])})
        graph.add_edge(["left2", "right2"], "join")
        return await self.run(graph, {"results": []}, "total")

    async def stages(self, waits):
        class Item(TypedDict, total=False):
            waits: list
            results: Annotated[list[int], operator.add]

        item = StateGraph(Item)

        def stage(index):
            async def wait(state: Item):
                await anyio.sleep(state["waits"][index])
                return {"results": [1]} if index == 2 else {"results": []}

            return wait

        for index in range(3):
            item.add_node(f"stage{index}", stage(index))
            item.add_edge(f"stage{index - 1}" if index else START, f"stage{index}")
        graph = StateGraph(State)
        inner = item.compile()

        async def pass_through(state):
            return {"results": (await inner.ainvoke({"waits": state["waits"], "results": []}))["results"]}

        graph.add_node("item", pass_through)
        graph.add_node("join", lambda state: {"total": sum(state["results"])})
        graph.add_conditional_edges(START, lambda state: [Send("item", {"waits": one}) for one in waits], ["item"])
        graph.add_edge("item", "join")
        return await self.run(graph, {"results": []}, "total")


class Checkpointed(Plain):
    """With a checkpointer in memory, and a thread of its own for each run."""

    async def saver(self):
        return InMemorySaver()


class OnSqlite(Plain):
    """With the checkpointer on a SQLite file."""

    async def saver(self):
        folder = tempfile.mkdtemp(prefix="swarmlet-bench-")
        self._manager = AsyncSqliteSaver.from_conn_string(str(Path(folder) / "checkpoints.sqlite"))
        return await self._manager.__aenter__()


CONTENDERS = {
    "LangGraph": Plain,
    "LangGraph, checkpoints in memory": Checkpointed,
    "LangGraph, checkpoints on SQLite": OnSqlite,
}

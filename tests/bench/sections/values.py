"""Wide and large values that pass through many steps."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pydantic import BaseModel, create_model

from swarmlet import Node, Swarm, graph, node
from tests.bench.ours import Ours
from tests.bench.report import Table

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.bench.measure import Bench
    from tests.bench.peers.harness import Run

STEPS = 100
KEYS = 1_000
MILLION = 1_000_000


class State(BaseModel):
    """A state of many fields; `WideState` has them."""

    number: int = 0


WideState: type[State] = create_model("WideState", __base__=State, **{f"field_{index}": (int, index) for index in range(100)})  # type: ignore[call-overload]  # pyright: ignore[reportCallIssue, reportArgumentType]  # fields by name


@node
def touch_dict(state: dict[str, int]) -> dict[str, int]:
    return {**state, "number": state["number"] + 1}


@node
def touch_model(state: State) -> State:
    return state.model_copy(update={"number": state.number + 1})


@node
def touch_text(text: str) -> str:
    return text[1:] + text[0]


@node
def pass_text(text: str) -> str:
    return text


def dicts() -> Node[[dict[str, int]], dict[str, int]]:
    @graph
    def chained(state: dict[str, int]) -> dict[str, int]:
        for _ in range(STEPS):
            state = touch_dict(state)
        return state

    return chained


def models() -> Node[[State], State]:
    @graph
    def chained(state: State) -> State:
        for _ in range(STEPS):
            state = touch_model(state)
        return state

    return chained


def texts(step: Node[[str], str]) -> Node[[str], str]:
    @graph
    def chained(text: str) -> str:
        for _ in range(STEPS):
            text = step(text)
        return text

    return chained


def by_hand(step: Callable[[object], object], value: object) -> Run:
    """The same, called one after the other."""

    async def run() -> object:
        now = value
        for _ in range(STEPS):
            now = step(now)
        return now

    return run


async def section(bench: Bench) -> list[Table]:
    """A chain of 100 steps, each of which makes a new value of the last."""
    rows: dict[str, tuple[Node[..., object], Callable[..., object], object]] = {
        f"a dict of {KEYS:,} keys": (dicts(), touch_dict.call, {f"key {i}": i for i in range(KEYS)} | {"number": 0}),
        "a pydantic model of 100 fields": (models(), touch_model.call, WideState()),
        "a text of 1 MB, changed": (texts(touch_text), touch_text.call, "abcdefgh" * (MILLION // 8)),
        "a text of 1 MB, handed on": (texts(pass_text), pass_text.call, "abcdefgh" * (MILLION // 8)),
    }
    runs: dict[str, tuple[Run, int]] = {}
    async with Swarm(capture=False) as blind:
        for name, (made, function, value) in rows.items():
            runs[f"{name}: by hand"] = by_hand(function, value), STEPS
            runs[f"{name}: swarmlet"] = bench.ours.running(made, value), STEPS
            runs[f"{name}: `capture=False`"] = Ours(blind).running(made, value), STEPS
        ratios = await bench.compare(runs, rounds=3)
    kinds = ("by hand", "swarmlet", "`capture=False`")
    table = Table(f"Values through {STEPS} steps, a step in raw anyio tasks", ["", *kinds])
    table.rows = [[name, *(ratios[f"{name}: {kind}"] for kind in kinds)] for name in rows]
    return [table]

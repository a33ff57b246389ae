"""Wide and large values that pass through many steps."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel, create_model

from swarmlet import Node, Swarm, graph, node
from tests.bench.ours import Ours
from tests.bench.report import Table

if TYPE_CHECKING:
    from tests.bench.measure import Bench
    from tests.bench.peers.harness import Run

STEPS = 100
KEYS = 1_000
FIELDS = 100
MILLION = 1_000_000


class State(BaseModel):
    """A state; `Wide` has many more fields."""

    number: int = 0


_FIELDS: dict[str, Any] = {f"field_{index}": (int, index) for index in range(FIELDS)}  # Any: as pydantic has it
Wide: type[State] = create_model("Wide", __base__=State, **_FIELDS)


def change_dict(state: dict[str, int]) -> dict[str, int]:
    return {**state, "number": state["number"] + 1}


def change_model(state: State) -> State:
    return state.model_copy(update={"number": state.number + 1})


def change_text(text: str) -> str:
    return text[1:] + text[0]


def hand_on(text: str) -> str:
    return text


VALUES: dict[str, tuple[Callable[..., object], object]] = {
    f"a dict of {KEYS:,} keys": (change_dict, {f"key {index}": index for index in range(KEYS)} | {"number": 0}),
    f"a pydantic model of {FIELDS} fields": (change_model, Wide()),
    "a text of 1 MB, changed": (change_text, "abcdefgh" * (MILLION // 8)),
    "a text of 1 MB, handed on": (hand_on, "abcdefgh" * (MILLION // 8)),
}


def chained(function: Callable[..., object]) -> Node[[Any], Any]:  # Any: whatever the function takes and gives
    """A graph that calls it again and again."""
    step: Node[..., Any] = node(function)

    @graph
    def chain(value: Any) -> Any:  # Any: as above
        for _ in range(STEPS):
            value = step(value)
        return value

    return chain


def by_hand(function: Callable[..., object], value: object) -> Run:
    """The same without any framework."""

    async def run() -> object:
        now = value
        for _ in range(STEPS):
            now = function(now)
        return now

    return run


async def section(bench: Bench) -> list[Table]:
    """A chain of 100 steps, each of which makes a new value of the last."""
    runs: dict[str, tuple[Run, int]] = {}
    async with Swarm(capture=False) as blind:
        for name, (function, value) in VALUES.items():
            made = chained(function)
            runs[f"{name}: by hand"] = by_hand(function, value), STEPS
            runs[f"{name}: **swarmlet**"] = bench.ours.running(made, value), STEPS
            runs[f"{name}: **swarmlet**, `capture=False`"] = Ours(blind).running(made, value), STEPS
        ratios = await bench.compare(runs, rounds=3)
    kinds = ("by hand", "**swarmlet**", "**swarmlet**, `capture=False`")
    table = Table(f"Values through {STEPS} steps, a step in raw anyio tasks", ["", *kinds])
    table.rows = [[name, *(ratios[f"{name}: {kind}"] for kind in kinds)] for name in VALUES]
    table.notes.append("Each distinct value is written as JSON, hashed and kept once.")
    return [table]

"""Pictures of nodes: Mermaid flowcharts, which notebooks and most documentation sites render."""

from __future__ import annotations

from typing import TYPE_CHECKING

from swarmlet.graph.each import EachShape
from swarmlet.graph.expr import slots
from swarmlet.graph.loop import LoopShape
from swarmlet.graph.node import Leaf
from swarmlet.graph.plan import GraphShape, Plan
from swarmlet.graph.switch import SwitchShape

if TYPE_CHECKING:
    from swarmlet.graph.node import AnyNode


def mermaid(node: AnyNode) -> str:
    """The node as Mermaid text, left to right. Sub-graphs, maps, loops and switches are boxes around what they run."""
    drawing = _Drawing()
    begin, end = drawing.draw(node, node.name, 1)
    return "\n".join(
        [
            "flowchart LR",
            "    in([in])",
            "    out([out])",
            *drawing.lines,
            *drawing.joined("in", begin, end, "out"),
        ]
    )


Ends = tuple[list[str], list[str]]
"""Where edges into a drawn node arrive, and where edges from it leave."""


class _Drawing:
    """Collects lines; every box has an id of its own."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self._ids = 0

    def draw(self, node: AnyNode, label: str, depth: int) -> Ends:
        match node.shape:
            case GraphShape(plan):
                return self._plan(plan, label, depth)
            case EachShape(body, concurrency):
                bound = f", {concurrency} at once" if concurrency else ""
                return self._frame(f"each {label}{bound}", [("", body)], depth)[0]
            case LoopShape(body, rounds):
                drawn = self._frame(f"loop {label}, at most {rounds} rounds", list(node.shape.inner()), depth)
                (begin, end), *otherwise = drawn
                self._line(depth, f"{end[0]} -. again .-> {begin[0]}")
                for last, _ in otherwise:
                    self._line(depth, f"{end[0]} -. rounds used up .-> {last[0]}")
                return begin, [box for _, boxes in drawn for box in boxes]
            case SwitchShape(key, arms, default):
                return self._switch(node, key, len(arms) + bool(default), depth)
            case Leaf():
                box = self._box(depth, label, ("[", "]") if type(node).__name__ == "Node" else ("[[", "]]"))
                return [box], [box]
            case _:
                return self._frame(label, list(node.shape.inner()), depth)[0]

    def joined(self, start: str, begin: list[str], end: list[str], stop: str) -> list[str]:
        return [*(f"    {start} --> {box}" for box in begin), *(f"    {box} --> {stop}" for box in end)]

    def _plan(self, plan: Plan, label: str, depth: int) -> Ends:
        frame = self._open(depth, label)
        ends = [self.draw(step.node, step.path, depth + 1) for step in plan]
        first = len(plan.inputs)
        for step, (begin, _) in zip(plan, ends, strict=True):
            for slot in sorted(step.needs):
                if slot >= first:
                    self._edges(depth + 1, ends[slot - first][1], begin)
        self._line(depth, "end")
        starts = [
            box for step, (begin, _) in zip(plan, ends, strict=True) if not any(s >= first for s in step.needs) for box in begin
        ]
        results = [box for slot in sorted(set(slots(plan.output))) if slot >= first for box in ends[slot - first][1]]
        return starts or [frame], results or [frame]

    def _frame(self, label: str, inner: list[tuple[str, AnyNode]], depth: int) -> list[Ends]:
        self._open(depth, label)
        ends = [self.draw(node, role or node.name, depth + 1) for role, node in inner]
        self._line(depth, "end")
        return ends

    def _switch(self, node: AnyNode, key: AnyNode, arms: int, depth: int) -> Ends:
        self._open(depth, node.name)
        choice = self._box(depth + 1, key.name, ("{", "}"))
        results: list[str] = []
        for role, arm in node.shape.inner()[1:]:
            begin, end = self.draw(arm, arm.name, depth + 1)
            self._edges(depth + 1, [choice], begin, role)
            results += end
        self._line(depth, "end")
        return [choice], results

    def _open(self, depth: int, label: str) -> str:
        self._ids += 1
        self._line(depth, f'subgraph s{self._ids}["{_quoted(label)}"]')
        return f"s{self._ids}"

    def _box(self, depth: int, label: str, brackets: tuple[str, str]) -> str:
        self._ids += 1
        self._line(depth, f'n{self._ids}{brackets[0]}"{_quoted(label)}"{brackets[1]}')
        return f"n{self._ids}"

    def _edges(self, depth: int, begin: list[str], end: list[str], label: str = "") -> None:
        arrow = f'-- "{_quoted(label)}" -->' if label else "-->"
        for left in begin:
            for right in end:
                self._line(depth, f"{left} {arrow} {right}")

    def _line(self, depth: int, text: str) -> None:
        self.lines.append("    " * depth + text)


_ESCAPES = str.maketrans(
    {"&": "&amp;", '"': "&quot;", "<": "&lt;", ">": "&gt;", "#": "&num;", "`": "&#96;", "\n": " ", "\r": " "}
)


def _quoted(text: str) -> str:
    return text.translate(_ESCAPES)

"""Pictures of nodes: Mermaid flowcharts, which notebooks and most documentation sites render.

The canvas knows boxes, frames and edges. What a node looks like is said by its shape, in the shape's own file.
"""

from __future__ import annotations

from collections.abc import Generator, Iterable, Sequence
from contextlib import contextmanager
from typing import Protocol, TypeAlias, final

Ends: TypeAlias = tuple[list[str], list[str]]
"""Where edges into a drawn node arrive, and where edges from it leave."""


class Drawable(Protocol):
    """What a canvas can take."""

    def draw(self, canvas: Canvas, label: str) -> Ends:
        """Draw it, and give where edges arrive and leave."""
        ...


class Drawn(Protocol):
    """What has a shape that a canvas can take."""

    @property
    def shape(self) -> Drawable:
        """Its shape."""
        ...


def mermaid(shape: Drawable, label: str) -> str:
    """Mermaid text, left to right. Graphs, maps, loops and switches are frames around what they run."""
    canvas = Canvas()
    begin, end = shape.draw(canvas, label)
    canvas.edges(["in"], begin)
    canvas.edges(end, ["out"])
    return "\n".join(["flowchart LR", "    in([in])", "    out([out])", *canvas.lines])


@final
class Canvas:
    """Collects the lines of a drawing; every box and frame has an id of its own."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self._ids = 0
        self._depth = 1

    def box(self, label: str, brackets: tuple[str, str] = ("[", "]")) -> str:
        """Draw one box, and give its id."""
        self._ids += 1
        self._line(f'n{self._ids}{brackets[0]}"{_quoted(label)}"{brackets[1]}')
        return f"n{self._ids}"

    @contextmanager
    def frame(self, label: str) -> Generator[str, None, None]:
        """Draw a frame around what is drawn meanwhile, and give its id."""
        self._ids += 1
        name = f"s{self._ids}"
        self._line(f'subgraph {name}["{_quoted(label)}"]')
        self._depth += 1
        yield name
        self._depth -= 1
        self._line("end")

    def beside(self, label: str, parts: Iterable[tuple[str, Drawn]]) -> Ends:
        """Draw a frame around parts that run beside one another."""
        begins: list[str] = []
        results: list[str] = []
        with self.frame(label):
            for name, part in parts:
                begin, end = part.shape.draw(self, name)
                begins += begin
                results += end
        return begins, results

    def edges(self, begin: Sequence[str], end: Sequence[str], label: str = "") -> None:
        """Draw an arrow from each of `begin` to each of `end`."""
        arrow = f'-- "{_quoted(label)}" -->' if label else "-->"
        for left in begin:
            for right in end:
                self._line(f"{left} {arrow} {right}")

    def turn(self, begin: str, end: str, label: str) -> None:
        """Draw a dotted arrow: a way that is taken only sometimes."""
        self._line(f"{begin} -. {label} .-> {end}")

    def _line(self, text: str) -> None:
        self.lines.append("    " * self._depth + text)


_ESCAPES = str.maketrans(
    {"&": "&amp;", '"': "&quot;", "<": "&lt;", ">": "&gt;", "#": "&num;", "`": "&#96;", "\n": " ", "\r": " "}
)


def _quoted(text: str) -> str:
    return text.translate(_ESCAPES)

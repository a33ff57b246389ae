"""Parallelisation: independent questions about one thing are asked side by side, and plain code joins the answers.

When to use it: one prompt would have to mind several things at once, or one thing has many parts.

What to look at: nothing here says "parallel". Three reviewers read the change, `each` summarises every file, and none
needs another's result, so all calls are in flight at once (see "began" in the trace). The join is a typed function:
forget a reviewer, or hand in something that is no finding, and a type checker and the import of this file both say so.
"""

from typing import Literal

import anyio
from pydantic import BaseModel, Field

from examples._show import model, print_trace, told
from swarmlet import Swarm, agent, each, graph, node


class File(BaseModel):
    name: str
    diff: str


class Change(BaseModel):
    title: str
    files: list[File]


class Finding(BaseModel):
    comment: str = Field(max_length=160)
    level: Literal["fine", "minor", "serious"]


class Summary(BaseModel):
    text: str = Field(max_length=100)


class Review(BaseModel):
    verdict: Literal["merge", "discuss", "stop"]
    findings: dict[str, Finding]
    files: list[str]


@agent(Finding, max_tokens=150, temperature=0)
def security(change: Change) -> str:
    """You look for security holes in code. Comment in at most ten words, then say how bad it is."""
    return as_text(change)


@agent(Finding, max_tokens=150, temperature=0)
def naming(change: Change) -> str:
    """You look at the names in code. Comment in at most ten words, then say how bad they are."""
    return as_text(change)


@agent(Finding, max_tokens=150, temperature=0)
def errors(change: Change) -> str:
    """You look at how code deals with errors. Comment in at most ten words, then say how bad it is."""
    return as_text(change)


@agent(Summary, max_tokens=100, temperature=0)
def summarise(file: File) -> str:
    """You say in at most eight words what a change of a file does."""
    return f"{file.name}\n{file.diff}"


def as_text(change: Change) -> str:
    return "\n\n".join([change.title, *(f"{file.name}\n{file.diff}" for file in change.files)])


@node
def join(change: Change, security: Finding, naming: Finding, errors: Finding, summaries: list[Summary]) -> Review:
    """The verdict is a rule, not an opinion."""
    findings = {"security": security, "naming": naming, "errors": errors}
    levels = {finding.level for finding in findings.values()}
    return Review(
        verdict="stop" if "serious" in levels else "discuss" if "minor" in levels else "merge",
        findings=findings,
        files=[f"{file.name}: {summary.text}" for file, summary in zip(change.files, summaries, strict=True)],
    )


@graph
def review(change: Change) -> Review:
    summaries = each(summarise, concurrency=8)(change.files)
    return join(change, security=security(change), naming=naming(change), errors=errors(change), summaries=summaries)


CHANGE = Change(
    title="Look users up by name",
    files=[
        File(name="users.py", diff="+def find(db, n):\n+    return db.execute(f\"select * from users where name = '{n}'\")"),
        File(name="app.py", diff='+@get("/user/{name}")\n+def user(name):\n+    return find(db, name)[0]'),
    ],
)


async def main() -> None:
    async with Swarm(model=model()) as swarm:
        result = await swarm.run(review, CHANGE)
    print(result.output.model_dump_json(indent=2))
    print_trace(result.trace)


if __name__ == "__main__":
    with told():
        anyio.run(main)

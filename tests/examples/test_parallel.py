"""Parallelisation: every call is in flight at once, and the join is plain code."""

from __future__ import annotations

from typing import Literal

import pytest

from examples.parallel import CHANGE, Change, Finding, Review, Summary, errors, join, naming, review, security, summarise
from swarmlet import GraphError, each, graph, run
from swarmlet.testing import Barrier, ScriptedServer
from tests.examples.steps import asked, paths

pytestmark = pytest.mark.anyio

Level = Literal["fine", "minor", "serious"]


def script(server: ScriptedServer, at_once: int, **levels: Level) -> None:
    for agent in (security, naming, errors):
        finding = Finding(comment=agent.name, level=levels.get(agent.name, "fine"))
        server.when(asked(agent), Barrier(at_once, finding), times=1)


async def test_all_reviewers_and_all_files_are_asked_at_once(scripted_server: ScriptedServer) -> None:
    script(scripted_server, 5, security="serious", naming="minor")
    for file in CHANGE.files:
        reply = Barrier(5, Summary(text=f"changes {file.name}"))
        scripted_server.when(asked(summarise, file.diff), reply, times=1)
    result = await run(review, CHANGE)
    assert result.output.verdict == "stop"
    assert {name: finding.comment for name, finding in result.output.findings.items()} == {
        "security": "security",
        "naming": "naming",
        "errors": "errors",
    }
    assert result.output.files == ["users.py: changes users.py", "app.py: changes app.py"]
    assert paths(result.trace) == {
        "review/summarise[0]",
        "review/summarise[1]",
        "review/security",
        "review/naming",
        "review/errors",
        "review/join",
    }


@pytest.mark.parametrize(("level", "verdict"), [("fine", "merge"), ("minor", "discuss"), ("serious", "stop")])
async def test_the_verdict_is_the_rule_for_the_worst_level(scripted_server: ScriptedServer, level: Level, verdict: str) -> None:
    script(scripted_server, 3, errors=level)
    result = await run(review, Change(title="Nothing yet", files=[]))
    assert result.output.verdict == verdict


def test_a_forgotten_reviewer_is_an_error_before_anything_runs() -> None:
    def forgetful(change: Change) -> Review:
        summaries = each(summarise)(change.files)
        return join(change, security=security(change), naming=naming(change), summaries=summaries)  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]

    with pytest.raises(GraphError, match="errors"):
        graph(forgetful)


async def test_a_change_without_files_has_no_summaries(scripted_server: ScriptedServer) -> None:
    script(scripted_server, 3)
    result = await run(review, Change(title="Nothing yet", files=[]))
    assert result.output.files == []
    assert result.usage.requests == 3

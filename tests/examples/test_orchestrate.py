"""Orchestrator and workers: the plan decides how many workers there are."""

from __future__ import annotations

import pytest

from examples.orchestrate import QUESTION, Answer, Note, Plan, combine, plan, research, work
from swarmlet import StepFailed, run
from swarmlet.testing import Barrier, Fail, Refuse, ScriptedServer
from tests.examples.steps import asked, paths

pytestmark = pytest.mark.anyio


def planned(server: ScriptedServer, *tasks: str) -> None:
    server.when(asked(plan), Plan(tasks=list(tasks)), times=1)


def worked(server: ScriptedServer, task: str, reply: object) -> None:
    server.when(asked(work, f"Answer only this: {task}"), reply, times=1)


async def test_the_workers_run_side_by_side_and_their_notes_come_in_order(scripted_server: ScriptedServer) -> None:
    tasks = ["How far?", "How dear?", "How loud?"]
    planned(scripted_server, *tasks)
    for task in tasks:
        worked(scripted_server, task, Barrier(3, Note(topic=task, text="measured")))
    scripted_server.when(asked(combine), Answer(text="Yes."), times=1)
    result = await run(research, QUESTION)
    assert result.output == Answer(text="Yes.")
    notes = [line for line in scripted_server.requests[-1].last.splitlines() if line.startswith("- ")]
    assert notes == ["- How far?: measured", "- How dear?: measured", "- How loud?: measured"]
    assert paths(result.trace) == {
        "research/plan",
        "research/work[0]",
        "research/work[1]",
        "research/work[2]",
        "research/combine",
    }


async def test_every_worker_knows_the_whole_question(scripted_server: ScriptedServer) -> None:
    planned(scripted_server, "How far?")
    worked(scripted_server, "How far?", Note(topic="range", text="200 km"))
    scripted_server.when(asked(combine), Answer(text="Yes."), times=1)
    await run(research, QUESTION)
    assert QUESTION in scripted_server.requests[1].last


async def test_a_plan_without_tasks_is_answered_without_workers(scripted_server: ScriptedServer) -> None:
    planned(scripted_server)
    scripted_server.when(asked(combine), Answer(text="4"), times=1)
    result = await run(research, "What is 2 + 2?")
    assert result.output.text == "4"
    assert scripted_server.requests[-1].last == "What is 2 + 2?"
    assert paths(result.trace) == {"research/plan", "research/combine"}


async def test_a_worker_that_fails_leaves_a_gap_and_nothing_more(scripted_server: ScriptedServer) -> None:
    planned(scripted_server, "How far?", "How dear?")
    worked(scripted_server, "How far?", Refuse("I would rather not."))
    worked(scripted_server, "How dear?", Note(topic="price", text="30,000 EUR"))
    scripted_server.when(asked(combine), Answer(text="Perhaps."), times=1)
    result = await run(research, QUESTION)
    assert result.output.text == "Perhaps."
    assert "- (a note is missing)\n- price: 30,000 EUR" in scripted_server.requests[-1].last
    assert result.trace.step("research/work[0]").state == "failed"


async def test_without_a_plan_there_is_no_answer(scripted_server: ScriptedServer) -> None:
    scripted_server.when(asked(plan), Fail(status=400), times=1)
    with pytest.raises(StepFailed) as caught:
        await run(research, QUESTION)
    assert caught.value.path == "research/plan"

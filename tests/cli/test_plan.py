"""`swarmlet plan`: bounds from the graph, likely figures from past runs, and what would make a run quicker."""

from __future__ import annotations

import json
from decimal import Decimal
from pathlib import Path
from typing import Any, cast

import anyio
import pytest

from swarmlet import Swarm, graph
from swarmlet.cli.main import main
from swarmlet.models.profiles import profile_of
from swarmlet.policy.retry import Retry
from swarmlet.testing import Say, ScriptedServer
from swarmlet.trace import RunId, RunStarted
from swarmlet.trace.journal import Journal
from swarmlet.trace.record import Recorder
from tests.cli import flows
from tests.cli.slow_run import START, Scene
from tests.trace.build import writing

Captured = pytest.CaptureFixture[str]
ATTEMPTS = Retry().attempts


@pytest.fixture(autouse=True)
def path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("SWARMLET_JOURNAL", str(tmp_path / "journal.sqlite"))
    return tmp_path / "journal.sqlite"


def planned(capsys: Captured, *arguments: str) -> dict[str, Any]:
    assert main(["plan", *arguments, "--json"]) == 0
    return cast("dict[str, Any]", json.loads(capsys.readouterr().out))


def test_bounds_are_those_of_calls_retries_and_max_tokens(capsys: Captured) -> None:
    told = planned(capsys, "tests.cli.flows:solve", "--input", '["a", "b", "c"]')
    calls = 1 + 3 * 2
    assert told["at_most"]["calls"]["at_most"] == calls
    assert told["at_most"]["requests"]["at_most"] == calls * ATTEMPTS
    assert told["at_most"]["output_tokens"]["at_most"] == (700 + 3 * 2 * 400) * ATTEMPTS
    window = profile_of("gpt-4o-mini").context_window
    assert window is not None
    read = (window - 700 + 3 * 2 * (window - 400)) * ATTEMPTS
    assert told["at_most"]["input_tokens"]["at_most"] == read
    price = profile_of("gpt-4o-mini").worst_price()
    assert price is not None
    usd = price.usd(read, told["at_most"]["output_tokens"]["at_most"])
    assert abs(Decimal(told["at_most"]["usd"]) - usd) < Decimal("0.00001")
    assert told["symbols"] == {"items of review": 3}


def test_what_the_input_does_not_tell_stays_a_symbol_until_it_is_given(capsys: Captured) -> None:
    target = "tests.cli.flows:unknown_list"
    told = planned(capsys, target, "--input", '"a,b"')
    assert told["at_most"]["calls"] == {"text": "2·(items of review)", "at_most": None}
    assert told["at_most"]["usd"] is None
    assert planned(capsys, target, "--items", "5")["at_most"]["calls"]["at_most"] == 10
    assert main(["plan", target]) == 0
    assert "2·(items of review) calls" in capsys.readouterr().out


def test_a_budget_is_named_and_an_unknown_price_is_not_made_up(capsys: Captured) -> None:
    assert planned(capsys, "tests.cli.flows:small")["budget"] == {"tokens": 5000, "usd": "0.02"}
    assert main(["plan", "tests.cli.flows:small", "--input", "[]"]) == 0
    assert "budget   tokens 5,000, usd 0.02: no call starts that does not fit" in capsys.readouterr().out
    told = planned(capsys, "tests.cli.flows:foreign")
    assert (told["at_most"]["usd"], told["at_most"]["input_tokens"], told["models"]) == (None, None, ["somebodys-own"])


def test_without_a_past_run_it_says_so(capsys: Captured, path: Path) -> None:
    assert main(["plan", "tests.cli.flows:solve"]) == 0
    out, err = capsys.readouterr()
    assert "likely   not known: no run of solve in the journal has finished" in out
    assert "there is no journal" in err
    assert "shorten" not in out
    assert planned(capsys, "tests.cli.flows:solve")["likely"] is None


def test_past_runs_say_what_is_likely(capsys: Captured, path: Path, scripted_server: ScriptedServer) -> None:
    async def runs() -> None:
        async with Swarm(journal=path) as swarm:
            for count in (1, 2, 2):
                await swarm.run(flows.solve, [f"line {index}" for index in range(count)])

    scripted_server.answer(lambda _: Say("Fine."))
    anyio.run(runs)
    told = planned(capsys, "tests.cli.flows:solve", "--input", "[]")
    summaries = Journal(path).runs()
    assert told["likely"]["runs"] == told["likely"]["looked_at"] == 3
    assert told["likely"]["changed"] == 0
    assert told["likely"]["calls"] == {"p50": 3.0, "p90": 3.0}
    assert told["likely"]["seconds"]["p50"] == sorted(run.seconds for run in summaries)[1]
    rows = {row["path"]: row["past"] for row in told["rows"]}
    assert rows["solve/review[i]"]["steps"] == pytest.approx(5 / 3)
    assert rows["solve/write"]["tokens"]["p50"] > 0
    assert main(["plan", "tests.cli.flows:solve"]) == 0
    out = capsys.readouterr().out
    assert "medians of 3 finished runs" in out
    assert "time p90" in out


def test_runs_of_another_version_of_the_graph_are_counted_as_such(
    capsys: Captured, path: Path, scripted_server: ScriptedServer
) -> None:
    def solve(tasks: list[str]) -> str:
        return flows.merge(flows.write("now"), flows.lines(flows.review("all")))

    solve.__module__, solve.__qualname__ = flows.__name__, "solve"  # as it stood there before it was changed
    earlier = graph(solve)

    async def run() -> None:
        async with Swarm(journal=path) as swarm:
            await swarm.run(earlier, ["x"])

    scripted_server.answer(lambda _: Say("Fine."))
    anyio.run(run)
    told = planned(capsys, "tests.cli.flows:solve")
    assert told["likely"]["changed"] == 1


def test_what_would_shorten_it_begins_with_what_costs_nothing(capsys: Captured, path: Path) -> None:
    with writing(path) as writer:
        for number in range(3):
            scene = Scene(Recorder(RunId(f"r{number}"), (writer,)), "solve", START + number * 1000)
            started = scene.events[0]
            assert isinstance(started, RunStarted)
            scene.events[0] = RunStarted(at=started.at, run=started.run, name="solve", node="tests.cli.flows:solve")
            scene.step("solve/write", 0.0, 10.0)
            scene.call("solve/write", 4.0, 10.0, waited=4.0)
            scene.step("solve/review[0]", 10.01, 30.0)
            scene.call("solve/review[0]", 10.02, 30.0)
            scene.play(30.0)
    changes = planned(capsys, "tests.cli.flows:solve")["changes"]
    assert [change["node"] for change in changes] == [None, "app:review", "app:write"]
    assert changes[0]["free"]
    assert changes[0]["saves"] == pytest.approx(4)
    assert changes[1]["saves"] == pytest.approx(20, abs=0.1)
    assert changes[1]["half_saves"] == pytest.approx(10, abs=0.1)
    assert "waits for the model" in changes[1]["advice"]
    assert main(["plan", "tests.cli.flows:solve"]) == 0
    out = capsys.readouterr().out
    assert "1. waits for requests or tokens per minute" in out
    assert "2. a quicker `review`: up to 20.0 s of 30.0 s (67%), 10.0 s if it took half its time" in out


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["tests.cli.flows"], "give package.module:name"),
        (["tests.cli.flows:nope"], "has no 'nope'"),
        (["tests.cli.flows:solve", "--input", "{"], "--input is JSON"),
        (["tests.cli.flows:solve", "--input", "@missing.json"], "--input is JSON"),
        (["tests.cli.flows:solve", "--input", "7"], "does not fit 'tasks'"),
        (["tests.cli.flows:merge", "--input", "7"], "arguments by name: text, notes"),
        (["tests.cli.flows:solve", "--items", "-1"], "at least 0"),
    ],
)
def test_what_cannot_be_planned_is_status_2(arguments: list[str], says: str, capsys: Captured) -> None:
    assert main(["plan", *arguments]) == 2
    assert says in capsys.readouterr().err


def test_the_input_may_be_in_a_file_and_be_named(capsys: Captured, tmp_path: Path) -> None:
    file = tmp_path / "input.json"
    file.write_text('{"tasks": ["a", "b"]}')
    assert planned(capsys, "tests.cli.flows:solve", "--input", f"@{file}")["symbols"] == {"items of review": 2}

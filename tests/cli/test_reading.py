"""What `show`, `top`, `stats`, `diff`, `export` and the filters of `runs` say of runs that were slow and dear."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any, cast

import pytest

from swarmlet.cli.main import main
from swarmlet.trace import RunId, StepEnded
from swarmlet.trace.events import RunResumed, ToolEnded, ToolStarted
from swarmlet.trace.journal import Journal, read_export
from swarmlet.trace.record import Recorder
from tests.cli.slow_run import START, Scene, slow_journal
from tests.trace.build import writing

Captured = pytest.CaptureFixture[str]
Json = dict[str, Any]


@pytest.fixture(scope="module")
def journal(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("slow") / "journal.sqlite"
    slow_journal(path)
    return path


@pytest.fixture(autouse=True)
def named(journal: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SWARMLET_JOURNAL", str(journal))
    for name in ("COLUMNS", "NO_COLOR", "FORCE_COLOR"):
        monkeypatch.delenv(name, raising=False)


def said(capsys: Captured, *arguments: str, status: int = 0) -> str:
    assert main(arguments) == status
    return capsys.readouterr().out


def data(capsys: Captured, *arguments: str, status: int = 0) -> Json:
    return cast("Json", json.loads(said(capsys, *arguments, "--json", status=status)))


# show


def test_the_head_says_where_time_and_money_went_and_what_to_change(capsys: Captured) -> None:
    head = said(capsys, "show", "0010").partition("\n\n")[0]
    told = {text.split()[0]: text for text in head.splitlines() if text[:1] not in (" ", "")}
    assert "model" in told["time"]
    assert told["path"].startswith("path    review 21.0 s (51%), improve 10.0 s (24%), write 6.0 s (15%)")
    assert "review: at half its time the run would take 30.5 s instead of 41.0 s (-26%), at none 20.1 s" in told["change"]
    assert "solve/review[3]" in head
    assert told["cost"].startswith("cost    review 0.016373 USD (89%)")
    assert "concurrency" in told["waits"]
    assert "81%" in told["re-fed"]


def test_what_the_head_promises_is_what_the_trace_says(capsys: Captured, journal: Path) -> None:
    lever = data(capsys, "show", "0010")["levers"][0]
    trace = Journal(journal).trace("0010")
    assert lever["node"] == "app:review"
    assert lever["saves"] == trace.what_if("review", seconds=0).seconds_saved
    assert lever["half_saves"] == trace.what_if("review", factor=0.5).seconds_saved
    assert lever["slowest"] in trace.critical_path().paths


def test_show_as_json_has_the_critical_path_waits_and_refed_tokens(capsys: Captured) -> None:
    told = data(capsys, "show", "0010")
    assert {"steps", "critical_path", "waits", "refed", "slack", "split", "levers"} <= set(told)
    assert sum(leg["seconds"] for leg in told["critical_path"]["legs"]) == pytest.approx(told["seconds"])


def test_the_timeline_marks_the_critical_path_and_tells_waits_from_work(capsys: Captured) -> None:
    lines = said(capsys, "show", "0010", "--timeline").splitlines()
    bars = {text.split("review[")[1][0]: text for text in lines if "review[" in text and text[:2] in ("* ", "  ")}
    assert bars["3"].startswith("* ")
    assert all(text.startswith("  ") for index, text in bars.items() if index != "3")
    assert "-" in bars["4"]  # it waited for a place
    assert "▒" in bars["3"]  # its tool
    assert "·" in bars["3"]  # the limits
    assert "x" in bars["5"].partition("review[5]")[2]  # the wait before its second attempt
    assert "* on the critical path" in lines[-2]
    assert max(map(len, lines[-22:-2])) <= 100


def test_the_timeline_is_as_wide_as_columns_says(capsys: Captured, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "160")
    bars = [text for text in said(capsys, "show", "0010", "--timeline").splitlines() if "review[" in text]
    assert 140 < max(map(len, bars)) <= 160


def test_a_step_that_asks_shows_the_kinds_of_its_questions_and_answers(capsys: Captured) -> None:
    out = said(capsys, "show", "0012", "--path", "publish/ask")
    assert "question, about an answer, answered after 2.0 s\n" in out
    assert "  takes: yes / later\n  answer (by ana): later\n" in out
    assert "not answered\n  asks: And now?\n  takes: yes / no\n" in out
    told = data(capsys, "show", "0012", "--path", "publish/ask")
    assert [one["takes"] for one in told["questions"]] == ["yes / later", "yes / no"]
    assert told["answers"][0]["answer"] == "later"


def test_the_inbox_shows_what_a_question_is_about_and_takes(capsys: Captured) -> None:
    lines = said(capsys, "inbox").splitlines()
    assert lines[0].split() == ["run", "path", "about", "since", "until", "question", "takes"]
    assert lines[2].rstrip().endswith("yes / no")
    assert json.loads(said(capsys, "inbox", "--json"))[0]["takes"] == "yes / no"


def test_a_large_run_is_folded_and_shows_what_failed_and_what_was_slow(tmp_path: Path, capsys: Captured) -> None:
    path = tmp_path / "large.sqlite"
    with writing(path) as writer:
        scene = Scene(Recorder(RunId("large"), (writer,)), "large", START)
        for index in range(2000):
            scene.step(f"large/item[{index}]", index / 100, index / 100 + (9 if index == 77 else 1), error="bad" * (index == 5))
        scene.play(30)
    short = said(capsys, "--journal", str(path), "show", "large")
    assert len(short.splitlines()) < 30
    assert "item[5] " in short
    assert "ValueError: bad" in short
    assert "item[77]" in short
    assert "more: 1,99" in short
    folded = [
        text for text in said(capsys, "--journal", str(path), "show", "large", "--timeline").splitlines() if "more:" in text
    ]
    assert "█" in folded[0]
    assert len(said(capsys, "--journal", str(path), "show", "large", "--all").splitlines()) > 2000


def test_a_loop_as_deep_as_pythons_stack_is_no_trouble(tmp_path: Path, capsys: Captured) -> None:
    path = tmp_path / "deep.sqlite"
    with writing(path) as writer:
        scene = Scene(Recorder(RunId("deep"), (writer,)), "deep", START)
        scene.step("deep" + "/in" * 1200, 0.1, 1.0)
        scene.play(2)
    for option in ("--all", "--timeline"):
        assert "in" in said(capsys, "--journal", str(path), "show", "deep", option)


def test_two_nodes_that_take_as_long_beside_one_another_are_told_together(tmp_path: Path, capsys: Captured) -> None:
    path = tmp_path / "both.sqlite"
    with writing(path) as writer:
        scene = Scene(Recorder(RunId("both"), (writer,)), "both", START)
        scene.step("both/one", 0.0, 10.0)
        scene.step("both/two", 0.0, 9.99)
        scene.play(10)
    head = " ".join(said(capsys, "--journal", str(path), "show", "both").partition("\n\n")[0].split())
    assert "no single node: one has 100% of the path, but two beside it takes as long" in head


def test_a_node_that_only_runs_others_is_not_what_to_change(tmp_path: Path, capsys: Captured) -> None:
    path = tmp_path / "around.sqlite"
    with writing(path) as writer:
        scene = Scene(Recorder(RunId("around"), (writer,)), "around", START)
        scene.step("around/revise", 0.0, 10.01)
        scene.step("around/revise/critic", 0.05, 4.0)
        scene.step("around/revise/write", 4.01, 10.0)
        scene.play(10.02)
    levers = data(capsys, "--journal", str(path), "show", "around")["levers"]
    assert [lever["node"] for lever in levers] == ["app:write", "app:critic"]
    assert "change  write: at half its time" in said(capsys, "--journal", str(path), "show", "around")


def test_steps_that_waited_for_one_anothers_places_are_told_of_concurrency(tmp_path: Path, capsys: Captured) -> None:
    path = tmp_path / "places.sqlite"
    with writing(path) as writer:
        scene = Scene(Recorder(RunId("places"), (writer,)), "places", START)
        scene.step("places/item[0]", 0.0, 5.0)
        scene.step("places/item[1]", 5.01, 10.0, waited=5.0)
        scene.step("places/end", 10.01, 12.0)
        scene.play(12)
    levers = {lever["node"]: lever for lever in data(capsys, "--journal", str(path), "show", "places")["levers"]}
    assert "a higher concurrency= lets more run at once" in levers["app:item"]["advice"]
    assert "concurrency" not in levers["app:end"]["advice"]


def test_time_in_which_no_process_had_the_run_is_nobodys_work_and_hides_no_change(tmp_path: Path, capsys: Captured) -> None:
    path = tmp_path / "resumed.sqlite"
    with writing(path) as writer:
        scene = Scene(Recorder(RunId("resumed"), (writer,)), "resumed", START)
        scene.step("resumed/first", 0.0, 4.0)
        scene.step("resumed/second", 4.0, None)
        left = {"at": START + 995, "path": "resumed/second", "state": "lost"}  # told by the process that goes on
        scene.events.append(ToolStarted(at=START + 5, path="resumed/second", turn=1, id="t", tool="search"))
        scene.events.append(ToolEnded(turn=1, id="t", tool="search", **left))  # type: ignore[arg-type]
        scene.events.append(StepEnded(**left))  # type: ignore[arg-type]
        scene.events.append(RunResumed(at=START + 996, number=1))
        scene.step("resumed/second", 996.0, 1000.0)
        scene.play(1000)
    text = said(capsys, "--journal", str(path), "show", "resumed", "--timeline")
    bar = next(line for line in text.splitlines() if "─ second" in line)
    assert bar.count("/") > 40
    assert bar.count("▒") <= 2
    assert "/ no process had the run" in text
    assert "change  " in text


# Many runs


@pytest.mark.parametrize(
    ("filters", "found"),
    [
        (["--min-usd", "0.01"], ["0011-quick", "0010-slow"]),
        (["--min-time", "30s"], ["0010-slow"]),
        (["--graph", "app:publish"], ["0012-asks"]),
        (["--state", "failed", "--state", "suspended"], ["0012-asks", "0009-small"]),
        (["--since", "2025-10-09T08:54:00+00:00"], ["0012-asks", "0011-quick"]),
        (["--until", "2025-10-09T06:30:00+00:00"], ["0009-small"]),
        (["--since", "1h"], []),
        (["--until", "1h", "--limit", "1"], ["0012-asks"]),
        (["--graph", "solve", "--limit", "2"], ["0011-quick", "0010-slow"]),
    ],
)
def test_runs_are_found_by_graph_state_time_and_cost(filters: list[str], found: list[str], capsys: Captured) -> None:
    assert [run["id"] for run in json.loads(said(capsys, "runs", "--json", *filters))] == found


@pytest.mark.parametrize(
    ("filters", "says"),
    [
        (["--since", "yesterday"], "2h or 3d, or a date"),
        (["--min-usd", "x"], "an amount such as 0.02"),
        (["--min-time", "3"], "a number with a unit"),
        (["--since", "1h", "--until", "2h"], "no run can be between them"),
        (["--limit", "-1"], "0 for all"),
    ],
)
def test_a_filter_that_means_nothing_is_status_2(filters: list[str], says: str, capsys: Captured) -> None:
    assert main(["runs", *filters]) == 2
    assert says in capsys.readouterr().err


def test_top_orders_nodes_by_what_they_cost(capsys: Captured, journal: Path) -> None:
    rows = [text.split()[0] for text in said(capsys, "top").splitlines()[2:]]
    assert rows == ["review", "write", "improve", "run_tests"]
    told = data(capsys, "top", "--by", "seconds")
    assert [node["node"] for node in told["nodes"]][:2] == ["app:review", "app:improve"]
    assert sum(node["share"] for node in told["nodes"]) == pytest.approx(1)
    review = data(capsys, "top", "--by", "tokens")["nodes"][0]
    traces = [Journal(journal).trace(run) for run in ("0010", "0011")]
    assert review["usage"]["input_tokens"] == sum(s.usage.input_tokens for t in traces for s in t.node("review"))
    assert (review["runs"], review["steps"], review["retries"]) == (2, 16, 2)


def test_time_in_steps_below_is_theirs(tmp_path: Path, capsys: Captured) -> None:
    path = tmp_path / "nested.sqlite"
    with writing(path) as writer:
        scene = Scene(Recorder(RunId("nested"), (writer,)), "nested", START)
        scene.step("nested/outer", 0.0, 10.0)
        scene.step("nested/outer/inner", 2.0, 6.0)
        scene.step("nested/outer/other", 4.0, 8.0)
        scene.play(10)
    nodes = {node["node"]: node for node in data(capsys, "--journal", str(path), "top", "--by", "seconds")["nodes"]}
    assert nodes["app:outer"]["seconds"] == pytest.approx(4)
    assert nodes["app:inner"]["seconds"] == pytest.approx(4)


def test_percentiles_are_values_that_steps_had(capsys: Captured, journal: Path) -> None:
    told = data(capsys, "stats", "--graph", "solve")
    write = next(node for node in told["nodes"] if node["node"] == "app:write")
    seconds = sorted(
        step.seconds or 0.0
        for run in Journal(journal).runs(name="solve")
        for step in Journal(journal).trace(run.id).node("write")
    )
    assert len(seconds) == write["steps"] == 11
    assert write["seconds"] == {"p50": seconds[5], "p90": seconds[9], "p99": seconds[10]}
    assert told["graphs"][0]["runs"] == 11
    assert told["graphs"][0]["failed"] == 1
    assert "seconds p99" in said(capsys, "stats")


def test_nothing_to_count_is_said(capsys: Captured) -> None:
    for command in ("top", "stats"):
        assert main([command, "--graph", "nope"]) == 0
        assert "no" in capsys.readouterr().err


def test_diff_shows_what_a_later_run_did_otherwise(capsys: Captured) -> None:
    out = said(capsys, "diff", "0010", "0011")
    assert "time    41.0 s -> 28.3 s (-31%)" in out
    assert "solve/review[3]" in out
    assert "-12.6 s" in out
    told = data(capsys, "diff", "0009", "0010", status=0)
    assert told["differ"]
    assert told["only_after"]
    assert said(capsys, "diff", "0010", "0010", "--exit-code")
    assert said(capsys, "diff", "0010", "0011", "--exit-code", status=1)


# Export


def test_an_export_is_read_back(tmp_path: Path, capsys: Captured, journal: Path) -> None:
    out = tmp_path / "run.jsonl"
    assert said(capsys, "export", "0010", "-o", str(out)) == ""
    assert read_export(out.read_text("utf-8").splitlines()).usage == Journal(journal).trace("0010").usage
    assert said(capsys, "export", "0010") == out.read_text("utf-8")
    assert [each.name for each in tmp_path.iterdir()] == ["run.jsonl"]


def test_slices_of_a_chrome_track_lie_within_one_another_or_apart(capsys: Captured, journal: Path) -> None:
    told = json.loads(said(capsys, "export", "0010", "--format", "chrome"))
    slices = [event for event in told["traceEvents"] if event["ph"] == "X"]
    trace = Journal(journal).trace("0010")
    assert sum(event["cat"] == "step" for event in slices) == len(trace.steps())
    assert sum(event["cat"] == "model" for event in slices) == sum(len(step.calls) for step in trace.steps())
    by_track: dict[int, list[tuple[float, float]]] = {}
    for event in slices:
        by_track.setdefault(event["tid"], []).append((event["ts"], event["ts"] + event["dur"]))
    for spans in by_track.values():
        for one in spans:
            for other in spans:
                apart = one[1] <= other[0] + 1 or other[1] <= one[0] + 1
                within = (one[0] >= other[0] - 1 and one[1] <= other[1] + 1) or (
                    other[0] >= one[0] - 1 and other[1] <= one[1] + 1
                )
                assert apart or within, (one, other)
    named = {event["args"]["name"] for event in told["traceEvents"] if event["ph"] == "M"}
    assert {"critical path", "review"} <= named


def test_otlp_has_a_span_for_each_step_and_contents_only_if_asked(capsys: Captured) -> None:
    plain = said(capsys, "export", "0010", "--format", "otlp")
    spans = json.loads(plain)["resourceSpans"][0]["scopeSpans"][0]["spans"]
    assert len(spans) > 13
    assert "Sort the lines" not in plain


def test_what_cannot_be_exported_is_said(tmp_path: Path, capsys: Captured, monkeypatch: pytest.MonkeyPatch) -> None:
    assert main(["export", "0010", "--content"]) == 2
    assert main(["export", "0010", "-o", str(tmp_path / "no" / "run.json")]) == 1
    assert "cannot write" in capsys.readouterr().err
    for name in [name for name in sys.modules if name.startswith("swarmlet.bridges.otel")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "opentelemetry", None)
    monkeypatch.setitem(sys.modules, "opentelemetry.trace", None)
    status = main(["export", "0010", "--format", "otlp"])
    assert status == 2
    assert "swarmlet[otel]" in capsys.readouterr().err

from __future__ import annotations

import json
import unicodedata
from decimal import Decimal

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from swarmlet.trace import Event, RunEnded, RunId, RunStarted, RunSummary, StepEnded, StepStarted, Trace
from swarmlet.trace.events import Fault
from swarmlet.trace.record import Recorder
from swarmlet.trace.views import (
    NOTE_LENGTH,
    Table,
    duration,
    line,
    money,
    run_data,
    run_table,
    step_data,
    step_table,
    trace_data,
    visible,
)
from swarmlet.usage import Usage
from tests.trace.example import EVIL, RUNS, Player, trace_of


def column(table: Table, name: str) -> list[str]:
    return [row[table.columns.index(name)] for row in table.rows]


def test_steps_are_a_tree_in_which_groups_show_sums() -> None:
    table = step_table(trace_of("0001-solve"))
    assert column(table, "step") == [
        "solve",
        "├─ write",
        "└─ attempt",
        "   ├─ attempt[1]",
        "   │  └─ check",
        "   └─ attempt[2]",
        "      └─ check",
    ]
    assert set(column(table, "state")) == {"finished"}
    assert column(table, "time") == ["16.0 s", "8.0 s", "7.0 s", "3.0 s", "3.0 s", "3.0 s", "3.0 s"]
    assert column(table, "in") == ["2,400", "2,400", "", "", "", "", ""]
    assert column(table, "USD") == ["0.000302", "0.000302", "", "", "", "", ""]
    assert column(table, "attempts")[:3] == [
        "2 calls, 1 retry, 1 tool call, 2 step retries",
        "2 calls, 1 retry, 1 tool call",
        "2 step retries",
    ]
    held = "ValueError; held the event loop for 0.3 s"
    assert column(table, "notes") == ["", "RateLimited", "", "", held, "", held]


def test_a_killed_run_shows_what_was_running() -> None:
    table = step_table(trace_of("0003-die"))
    assert column(table, "state") == ["running", "running"]
    assert column(table, "time") == ["", ""]
    assert column(table, "attempts") == ["1 call", "1 call"]


def test_a_run_of_a_single_step_is_that_step() -> None:
    table = step_table(trace_of("0002-fail"))
    assert column(table, "step") == ["talk"]
    assert column(table, "state") == ["failed"]
    assert column(table, "notes")[0].startswith(r"ModelUnavailable: server said: \x1b[31mred\x1b[0m [bold]")


def test_a_run_without_steps_is_a_row() -> None:
    recorder = Recorder(RunId("a"))
    Player(recorder, "nothing")
    assert column(step_table(Trace(recorder.events, {})), "step") == ["nothing"]


def test_a_long_note_is_cut() -> None:
    recorder = Recorder(RunId("a"))
    play = Player(recorder, "talk")
    play.begin("talk")
    play.fail("talk", ValueError("x" * 10_000))
    (note,) = column(step_table(Trace(recorder.events, {})), "notes")
    assert len(note) == NOTE_LENGTH
    assert note.endswith("x…")


def test_runs_are_rows() -> None:
    usage = Usage(3, 12_000, 1024, 300, Decimal("0.00123"), 1)
    summary = RunSummary(RunId("a"), "solve", "app:solve", "finished", 0.0, 71.2, 1234, usage)
    (row,) = run_table([summary]).rows
    assert row[:3] == ("a", "solve", "finished")
    assert row[4:] == ("1 min 11 s", "1,234", "3", "12,000", "1,024", "300", "> 0.001230")
    assert run_data(summary)["usage"] == {
        "requests": 3,
        "input_tokens": 12_000,
        "cached_tokens": 1024,
        "output_tokens": 300,
        "usd": "0.00123",
        "unpriced_requests": 1,
    }


@pytest.mark.parametrize("run", RUNS)
def test_data_is_json_and_agrees_with_the_trace(run: str) -> None:
    trace = trace_of(run)
    data = json.loads(json.dumps(trace_data(trace)))
    assert (data["id"], data["state"], data["seconds"]) == (run, trace.state, trace.seconds)
    assert [step["path"] for step in data["steps"]] == [step.path for step in trace.root.walk()]
    assert not any("inputs" in step for step in data["steps"])


def test_a_steps_data_with_contents_has_all_that_was_recorded() -> None:
    trace = trace_of("0001-solve")
    data = json.loads(json.dumps(step_data(trace.step("solve/write"), trace)))
    assert data["inputs"] == {"task": {"text": "Add two numbers"}}
    assert data["output"] == {"source": "def add(a, b):\n    return a + b"}
    assert [call["state"] for call in data["calls"]] == ["failed", "finished", "finished"]
    assert [call["retry_in"] for call in data["calls"]] == [0.5, None, None]
    assert data["calls"][0]["error"] == {"type": "RateLimited", "message": "slow down"}
    assert data["calls"][2]["reply"] == {"text": "return a + b", "refusal": None}
    assert data["calls"][0]["request"]["messages"][1] == {"role": "user", "content": "Add!"}
    (tool,) = data["tools"]
    assert (tool["tool"], tool["arguments"], tool["result"]) == ("search", '{"query": "sum"}', "two hits")


def test_without_capture_there_are_no_texts() -> None:
    recorder = Recorder(RunId("a"), capture=False)
    RUNS["0002-fail"](recorder)
    trace = Trace(recorder.events, recorder.values)
    assert column(step_table(trace), "notes") == ["ModelUnavailable"]
    assert "red" not in json.dumps([trace_data(trace), step_data(trace.root, trace)])


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (None, ""),
        (0, "0 ms"),
        (0.0042, "4 ms"),
        (0.9996, "1.0 s"),
        (59.94, "59.9 s"),
        (59.96, "1 min 00 s"),
        (3599.4, "59 min 59 s"),
        (3599.6, "1 h 00 min"),
        (90_000, "25 h 00 min"),
    ],
)
def test_durations_are_told_in_the_unit_that_fits(seconds: float | None, text: str) -> None:
    assert duration(seconds) == text


@pytest.mark.parametrize(
    ("usage", "text"),
    [
        (Usage(requests=1), "0"),
        (Usage(requests=1, usd=Decimal("0.0000151")), "0.000015"),
        (Usage(requests=2, usd=Decimal(1), unpriced_requests=1), "> 1.000000"),
        (Usage(requests=2, unpriced_requests=2), "?"),
    ],
)
def test_money_says_when_it_does_not_know(usage: Usage, text: str) -> None:
    assert money(usage) == text


def test_hostile_characters_become_their_escapes() -> None:
    assert line(EVIL) == r"\x1b[31mred\x1b[0m [bold]markup[/bold] \u202egnp.exe \x9b2J\r\x07"
    assert line("a\nb\tc") == r"a\nb c"
    assert visible("a\nb\tc é 漢 👩‍💻") == "a\nb\tc é 漢 👩‍💻"
    assert visible("\udcff\u200b\U000e0041") == r"\udcff\u200b\U000e0041"


@given(st.text(st.characters(codec=None)))
@example("".join(map(chr, range(0x2100))))
def test_what_is_visible_has_nothing_to_obey(text: str) -> None:
    shown = visible(text)
    assert not any(unicodedata.category(char) in {"Cc", "Cs", "Zl", "Zp"} and char not in "\n\t" for char in shown)
    assert not any(unicodedata.bidirectional(char) in {"RLO", "LRO", "RLE", "LRE", "RLI", "LRI", "FSI"} for char in shown)
    assert visible(shown) == shown


def test_a_group_is_as_bad_as_the_worst_below_it() -> None:
    run = RunId("a")
    events: list[Event] = [
        RunStarted(at=0, run=run, name="g", node="app:g"),
        *(StepStarted(at=1, path=f"g/each[{i}]", node="app:n") for i in range(3)),
        StepEnded(at=2, path="g/each[0]", state="finished"),
        StepEnded(at=3, path="g/each[1]", state="failed", error=Fault("ValueError", "")),
        StepEnded(at=4, path="g/each[2]", state="cancelled"),
        RunEnded(at=5, state="failed"),
    ]
    table = step_table(Trace(events, {}))
    assert column(table, "state") == ["failed", "failed", "finished", "failed", "cancelled"]
    assert column(table, "notes") == ["", "", "", "ValueError", ""]

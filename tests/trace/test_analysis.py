"""What explains a run, on runs that are made by hand: their numbers are known."""

from __future__ import annotations

import builtins
import json
import sys
from decimal import Decimal
from typing import Any

import pytest

from swarmlet.trace import Trace
from swarmlet.trace.analysis.frames import CALL_COLUMNS, STEP_COLUMNS
from swarmlet.trace.analysis.kinds import KINDS, Split
from swarmlet.trace.events import (
    Answered,
    Asked,
    CallEnded,
    CallStarted,
    Digest,
    Event,
    Fault,
    RunEnded,
    RunId,
    RunResumed,
    RunStarted,
    State,
    StepEnded,
    StepRetried,
    StepStarted,
    ToolEnded,
    ToolStarted,
)
from tests.trace.example import trace_of


def run(*events: Event, end: float | None = None, plan: object = None) -> Trace:
    values = {Digest("p"): json.dumps(plan).encode()} if plan is not None else {}
    digest = Digest("p") if plan is not None else None
    first = RunStarted(at=0, run=RunId("r"), name="all", node="app:all", plan=digest)
    last = [RunEnded(at=end, state="finished")] if end is not None else []
    return Trace([first, *sorted(events, key=lambda event: event.at), *last], values)


def step(
    path: str, begin: float, end: float, *, waited: float = 0.0, place: float = 0.0, state: State = "finished"
) -> list[Event]:
    node = f"app:{path.rpartition('/')[2].partition('[')[0]}"
    return [
        StepStarted(at=begin, path=path, node=node, waited=waited, place_waited=place),
        StepEnded(at=end, path=path, state=state),
    ]


def call(path: str, begin: float, end: float, *, turn: int = 1, attempt: int = 1, **more: Any) -> list[Event]:
    started = {
        key: more.pop(key) for key in ("waited", "budget_waited", "usd_at_most", "input_at_most", "max_tokens") if key in more
    }
    messages = more.pop("messages", ())
    state = more.pop("state", "finished")
    return [
        CallStarted(at=begin, path=path, turn=turn, attempt=attempt, model="m", messages=messages, **started),
        CallEnded(at=end, path=path, turn=turn, attempt=attempt, state=state, **more),
    ]


# Paths


def test_the_path_goes_back_over_what_was_really_waited_for() -> None:
    trace = run(*step("all/a", 0, 4), *step("all/b", 0, 6), *step("all/c", 6, 9), *step("all/d", 4, 5), end=9.5)
    path = trace.critical_path()
    assert [(leg.path, leg.begin, leg.end, leg.why) for leg in path.legs] == [
        ("all/b", 0, 6, "begin"),
        ("all/c", 6, 9, "inputs"),
        ("", 9, 9.5, "inputs"),
    ]
    assert path.paths == ("all/b", "all/c")
    assert path.split == Split(own=9, swarmlet=0.5)
    assert path.by_node() == {"app:b": 6, "app:c": 3, "": 0.5}
    assert trace.slacks() == {"all/a": 1, "all/b": 0, "all/c": 0, "all/d": 1}
    assert "all/b" in str(path)


def test_a_step_that_waited_for_a_place_comes_after_the_one_that_gave_it_back() -> None:
    items = [*step("all/m[0]", 0, 3), *step("all/m[1]", 0, 4), *step("all/m[2]", 3, 8, waited=3, place=3)]
    trace = run(*items, end=8)
    assert [(leg.path, leg.why) for leg in trace.critical_path().legs] == [("all/m[0]", "begin"), ("all/m[2]", "place")]
    assert trace.waits().total == Split(concurrency=3)
    assert trace.waits().steps == {"all/m[2]": Split(concurrency=3)}
    assert trace.what_if("all/m[0]", seconds=1).seconds_after == 6
    assert trace.slack("all/m[1]") == trace.slack("all/m") + 4 == 4


def test_nothing_waits_for_the_loser_of_a_race() -> None:
    inner = [*step("all/r/a", 0, 3, waited=0.1), *step("all/r/b", 0, 3.001, waited=0.1, state="cancelled")]
    trace = run(*step("all/r", 0, 3.002), *inner, *step("all/c", 3.002, 4), end=4)
    assert trace.critical_path().paths == ("all/r/a", "all/c")
    assert trace.slack("all/r/b") == pytest.approx(0.999)
    assert trace.what_if("b", seconds=0).seconds_saved == 0


def test_a_step_within_a_graph_may_wait_for_one_beside_that_graph() -> None:
    trace = run(*step("all/a", 0, 4), *step("all/g/x", 0, 1), *step("all/g/y", 4.001, 6), end=6)
    assert trace.critical_path().paths == ("all/a", "all/g/y")
    assert trace.slack("all/g/x") == pytest.approx(3)


PLAN: dict[str, Any] = {
    "version": 1,
    "rest": "",
    "rows": [["all", 0], ["all/a", 1], ["all/b", 1], ["all/c", 1], ["all/m", 2], ["all/m[i]", 1]],
    "pieces": [
        {
            "what": "graph",
            "rest": "",
            "wiring": [
                {"step": "", "parameter": "result", "source": "list(b(), c())"},
                {"step": "b", "parameter": "x", "source": "m().text"},
                {"step": "c", "parameter": "x", "source": "a()"},
            ],
        },
        {"what": "node", "rest": "", "wiring": []},
        {"what": "each", "rest": "", "wiring": []},
    ],
}


def test_a_recorded_plan_tells_what_was_not_waited_for() -> None:
    events = [*step("all/a", 0, 4), *step("all/m[0]", 0, 1), *step("all/b", 1, 2), *step("all/c", 4, 5)]
    told, guessed = run(*events, end=5, plan=PLAN), run(*events, end=5)
    assert guessed.slack("all/m[0]") == 2
    assert guessed.slack("all/b") == 2
    assert (told.slack("all/m[0]"), told.slack("all/b"), told.slack("all/a")) == (3, 3, 0)
    assert told.slack("all/m") == 3


INLINED: dict[str, Any] = {
    **PLAN,
    "rows": [["all", 0], ["all/a", 1], ["all/g/x", 1], ["all/g/y", 1], ["all/z", 1]],
    "pieces": [
        {
            "what": "graph",
            "rest": "",
            "wiring": [
                {"step": "", "parameter": "result", "source": "list(g/y(), z())"},
                {"step": "g/x", "parameter": "x", "source": "a()"},
                {"step": "g/y", "parameter": "x", "source": "g/x()"},
            ],
        },
        *PLAN["pieces"][1:],
    ],
}


def test_a_graph_within_a_graph_does_not_hide_what_its_first_step_waited_for() -> None:
    """Its first step is fed from outside it, a moment before it is ready."""
    events = [*step("all/a", 0, 4), *step("all/z", 0, 1), *step("all/g/x", 4.001, 5), *step("all/g/y", 5, 6)]
    trace = run(*events, end=6, plan=INLINED)
    assert trace.critical_path().paths == ("all/a", "all/g/x", "all/g/y")
    assert trace.what_if("all/a", seconds=1).seconds_after == pytest.approx(3)
    assert trace.slack("all/z") == 5


# The critical path of a part


def test_one_item_of_a_map_has_a_critical_path_of_its_own() -> None:
    slow = [*step("all/m[0]/a", 1, 2), *step("all/m[0]/b", 1, 4), *step("all/m[0]/c", 4, 5)]
    trace = run(*slow, *step("all/m[1]/a", 1, 9), end=9)
    path = trace.critical_path("all/m[0]")
    assert (path.paths, path.seconds) == (("all/m[0]/b", "all/m[0]/c"), 4)
    assert [leg.share for leg in path.legs] == [0.75, 0.25]
    assert trace.critical_path(trace.step("all/m[1]")).paths == ("all/m[1]/a",)
    assert trace.critical_path("all/m[0]/c").seconds == 1
    with pytest.raises(KeyError, match="no step"):
        trace.critical_path("all/m[7]")


def test_a_part_that_waited_for_a_place_says_so_and_not_who_had_it() -> None:
    items = [*step("all/m[0]/a", 0, 3), *step("all/m[1]/a", 3, 8, waited=3, place=3), *step("all/m[1]/b", 8, 9)]
    path = run(*items, end=9).critical_path("all/m[1]")
    assert (path.paths, path.seconds, path.split) == (("all/m[1]/a", "all/m[1]/b"), 9, Split(concurrency=3, own=6))


def test_a_part_that_has_only_begun_has_no_more_than_that() -> None:
    trace = run(StepStarted(at=1, path="all/m[0]/a", node="app:a", waited=0), *step("all/m[1]/a", 0, 3))
    assert trace.critical_path("all/m[0]").seconds == 2
    assert trace.critical_path("all/m[0]").paths == ("all/m[0]/a",)


def test_what_a_step_gave_piece_by_piece_is_waited_for_from_its_beginning() -> None:
    plan = {
        **PLAN,
        "rows": [["all", 0], ["all/m", 2], ["all/m[i]", 1], ["all/a", 1]],
        "pieces": [
            {"what": "graph", "rest": "", "wiring": [{"step": "m", "parameter": "x", "source": "a()"}]},
            *PLAN["pieces"][1:],
        ],
    }
    fed = [*step("all/m[0]", 2, 3, waited=0.1), *step("all/m[1]", 4, 9, waited=0.1)]
    trace = run(*step("all/a", 0, 5), *fed, end=9, plan=plan)
    assert trace.critical_path().paths == ("all/a", "all/m[1]")
    assert [leg.seconds for leg in trace.critical_path().legs] == pytest.approx([3.9, 5.1])


@pytest.mark.parametrize("plan", [[], {}, {"version": 2}, {**PLAN, "rows": [["all", 9]]}, {**PLAN, "pieces": 1}, "text"])
def test_a_plan_that_cannot_be_read_is_as_none(plan: object) -> None:
    trace = run(*step("all/a", 0, 4), *step("all/b", 4, 5), end=5, plan=plan)
    assert trace.critical_path().paths == ("all/a", "all/b")


# Kinds of time


def test_a_step_says_what_its_seconds_went_to() -> None:
    fault = Fault("RateLimited", "")
    events: list[Event] = [
        *step("all/a", 1, 21, waited=1),
        *call("all/a", 4, 5, waited=1, budget_waited=2, state="failed", error=fault, retry_in=2),
        *call("all/a", 7.5, 12, attempt=2, waited=0.5, first_token=1.5),
        ToolStarted(at=12, path="all/a", turn=1, id="1", tool="look"),
        ToolStarted(at=13, path="all/a", turn=1, id="2", tool="look"),
        ToolEnded(at=14, path="all/a", turn=1, id="1", tool="look", state="finished"),
        ToolEnded(at=15, path="all/a", turn=1, id="2", tool="look", state="finished"),
        Asked(at=15, path="all/a", about="answer"),
        Answered(at=18, path="all/a"),
        StepRetried(at=18, path="all/a", attempt=1, error=fault, wait=2),
    ]
    trace = run(*events, end=21)
    split = trace.split("all/a")
    expected = Split(model=4, first_token=1.5, tool=3, own=1, person=3, retry=4, limit=1.5, budget=2, queue=1, concurrency=0)
    assert split == expected
    assert split.total == 21
    assert trace.waits().total == split.only(("limit", "budget", "retry", "person", "queue"))
    assert trace.waits().nodes == {"app:a": trace.waits().total}
    assert split.waited == trace.waits().total.total
    assert trace.critical_path().split.total == 21
    assert str(Split(model=1, own=2)) == "own 2 s, model 1 s"
    assert tuple(split.as_dict()) == KINDS


def test_time_between_processes_is_nobodys_work() -> None:
    events: list[Event] = [
        *step("all/a", 0, 2),
        StepStarted(at=2, path="all/b", node="app:b"),
        *step("all/x", 0, 3),
        StepEnded(at=100, path="all/b", state="lost"),
        RunResumed(at=100, number=1),
        *step("all/b", 101, 103),
    ]
    trace = run(*events, end=103)
    assert trace.critical_path().split == Split(own=5, away=97, lost=1)
    assert trace.critical_path().paths == ("all/a", "all/b")
    assert trace.split("all/b").away == 97


def test_time_until_a_person_answers_is_the_persons_also_without_a_process() -> None:
    suspended = RunEnded(at=3, state="suspended")
    begun: list[Event] = [StepStarted(at=1, path="all/q", node="app:q"), Asked(at=2, path="all/q", about="answer")]
    left: list[Event] = [StepEnded(at=3, path="all/q", state="suspended"), suspended, Answered(at=50, path="all/q")]
    trace = run(*begun, *left, RunResumed(at=60, number=1), *step("all/q", 61, 62), end=62)
    assert trace.critical_path().split.away == 10
    assert trace.critical_path().split.person == 48
    assert trace.critical_path().split.total == 62
    assert trace.waits().total.person == 48


def test_a_run_that_goes_on_is_explained_to_its_last_event() -> None:
    trace = run(*step("all/a", 0, 2), StepStarted(at=2, path="all/b", node="app:b"), *call("all/b", 3, 5))
    assert trace.critical_path().paths == ("all/a", "all/b")
    assert trace.critical_path().seconds == 5


def test_a_run_without_steps_has_a_path_of_its_own() -> None:
    assert [leg.path for leg in run(end=2).critical_path().legs] == [""]
    empty = run()
    assert (empty.critical_path().legs, empty.slacks(), empty.waits().total.total, empty.levers()) == ((), {}, 0, [])


# Nodes


def test_nodes_are_found_by_where_they_are_defined_and_by_their_names() -> None:
    trace = run(*step("all/a", 0, 2), *step("all/m[0]/a", 2, 3), *step("all/m[1]/b", 2, 3), end=3)
    assert [one.path for one in trace.node("app:a")] == [one.path for one in trace.node("a")] == ["all/a", "all/m[0]/a"]
    assert list(trace.by_node()) == ["app:a", "app:b"]
    with pytest.raises(KeyError, match="no node 'z' in run r; there are: app:a, app:b"):
        trace.node("z")


def test_a_step_that_only_runs_its_node_below_itself_is_none_of_its_steps() -> None:
    outer: list[Event] = [
        StepStarted(at=0, path="all/r", node="app:a", waited=0.1),
        StepEnded(at=3, path="all/r", state="finished"),
    ]
    inner: list[Event] = [
        StepStarted(at=0, path="all/r/a", node="app:a", waited=0.1),
        StepEnded(at=3, path="all/r/a", state="finished"),
    ]
    assert [one.path for one in run(*outer, *inner, end=3).node("a")] == ["all/r/a"]


# What if


def test_what_if_says_what_a_change_would_save() -> None:
    paid = call("all/b", 1, 5, usd="0.02", input_tokens=10, output_tokens=2)
    trace = run(*step("all/a", 0, 4), *step("all/b", 0, 6), *paid, *step("all/c", 6, 9), end=9)
    told = trace.what_if("b", seconds=1, usd="0.005")
    assert (told.node, told.steps, told.seconds_after, told.seconds_saved) == ("b", 1, 7, 2)
    assert (told.usd_before, told.usd_after, told.usd_saved) == (Decimal("0.02"), Decimal("0.005"), Decimal("0.015"))
    assert trace.what_if("c", factor=2).seconds_saved == -3
    assert [(one.node, one.seconds_saved) for one in trace.levers()] == [("app:c", 3), ("app:b", 2)]
    assert "9.000 s -> 7.000 s (-22%)" in str(told)


@pytest.mark.parametrize(
    ("figures", "message"),
    [
        ({}, "needs"),
        ({"seconds": 1, "factor": 1}, "not both"),
        ({"seconds": -1}, "seconds is a number"),
        ({"factor": float("nan")}, "factor is a number"),
        ({"usd": "much"}, "usd is an amount"),
        ({"usd": -1}, "usd is an amount"),
    ],
)
def test_what_if_refuses_figures_of_no_sense(figures: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        run(*step("all/a", 0, 1), end=1).what_if("a", **figures)


# Tokens


def test_refed_tokens_have_their_price() -> None:
    first, second = (Digest("m1"),), (Digest("m1"), Digest("m2"))
    exact: dict[str, Any] = {"usd": "0.00085", "prompt_usd": "0.00025", "saved_usd": "0.00015", "output_tokens": 100}
    trace = run(
        *step("all/a", 0, 9),
        *call("all/a", 0, 1, messages=first, input_tokens=1000, usd="0.001", prompt_usd="0.0005", output_tokens=100),
        *call("all/a", 2, 3, turn=2, messages=second, input_tokens=800 * 2, cached_tokens=1000, **exact),
        end=9,
    )
    feed = trace.refed()
    assert (feed.refed, feed.refed_cached, feed.unpriced) == (1000, 1000, 0)
    assert feed.refed_saved == Decimal("0.00015")
    assert feed.refed_usd == Decimal("0.00025") - Decimal("0.00015")
    assert trace.refed("all/a") == trace.refed(trace.root) == feed


def test_the_price_of_a_prompt_follows_from_what_calls_cost_if_all_of_them_fit() -> None:
    """gpt-4o-mini: USD 0.15 and 0.60 a million."""
    calls = [
        *call("all/a", 0, 1, messages=(Digest("m"),), input_tokens=1000, output_tokens=50, usd="0.00018"),
        *call("all/a", 2, 3, turn=2, messages=(Digest("m"),), input_tokens=1000, output_tokens=100, usd="0.00021"),
        *call("all/a", 4, 5, turn=3, messages=(Digest("m"),), input_tokens=1000, output_tokens=0, usd="0.00015"),
    ]
    feed = run(*step("all/a", 0, 9), *calls, end=9).refed()
    assert (feed.refed, feed.refed_usd, feed.unpriced) == (2000, Decimal("0.0003"), 0)
    odd = call("all/a", 6, 7, turn=4, messages=(Digest("m"),), input_tokens=1000, output_tokens=0, usd="0.0003")
    unknown = run(*step("all/a", 0, 9), *calls, *odd, end=9).refed()
    assert (unknown.refed, unknown.refed_usd, unknown.unpriced) == (3000, Decimal(0), 3000)
    alone = run(*step("all/a", 0, 9), *calls[:2], *call("all/a", 2, 3, turn=2, messages=(Digest("m"),), input_tokens=9), end=9)
    assert alone.refed().unpriced == 9


# Two runs


def test_a_diff_says_what_changed_step_by_step() -> None:
    before = run(*step("all/a", 0, 4), *step("all/b", 4, 5), *step("all/c", 0, 1), end=5)
    paid = call("all/a", 0, 1, usd="0.1", input_tokens=5, output_tokens=5)
    after = run(*step("all/a", 0, 8), *paid, *step("all/c", 0, 1.05), *step("all/d", 8, 9, state="failed"), end=9)
    diff = before.diff(after)
    assert (diff.only_before, diff.only_after, diff.same) == (("all/b",), ("all/d",), 1)
    [changed] = diff.changed
    assert (changed.path, changed.what) == ("all/a", ("tokens", "usd", "seconds"))
    assert (changed.seconds, changed.tokens, changed.usd) == (4, 10, Decimal("0.1"))
    assert diff.seconds == (5.0, 9.0)
    assert str(diff).splitlines()[1:] == ["- all/b", "+ all/d", "~ all/a: +10 tokens, USD +0.1, +4.000 s"]
    assert not before.diff(before)


# Data


def test_a_run_as_plain_data_can_be_said_in_json() -> None:
    for name in ("0001-solve", "0002-fail", "0003-die"):
        trace = trace_of(name)
        data = json.loads(json.dumps(trace.to_dict(contents=True)))
        assert data["critical_path"]["seconds"] == trace.seconds
        assert set(data["slack"]) == {one.path for one in trace.steps()}
        assert set(data) >= {"id", "steps", "split", "waits", "refed", "usage"}
        assert "inputs" in data["steps"][-1]
        assert "inputs" not in trace.to_dict()["steps"][-1]  # type: ignore[index]


@pytest.mark.parametrize("module", ["pandas", "polars"])
def test_tables_have_a_row_for_each_step_and_each_call(module: str) -> None:
    trace = trace_of("0001-solve")
    table: Any = trace.to_pandas if module == "pandas" else trace.to_polars
    steps, calls = table(), table("calls")
    assert list(steps["path"]) == [one.path for one in trace.steps()]
    assert steps["input_tokens"].sum() == trace.usage.input_tokens
    assert steps["critical"].sum() <= trace.seconds
    assert len(calls) == steps["calls"].sum()
    assert steps.shape == (len(trace.steps()), len(STEP_COLUMNS))
    assert list(calls.columns) == list(CALL_COLUMNS)
    with pytest.raises(ValueError, match="rows is"):
        table("events")


@pytest.mark.parametrize("module", ["pandas", "polars"])
def test_a_missing_library_is_named(module: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(ImportError, match=f"pip install {module}"):
        getattr(trace_of("0001-solve"), f"to_{module}")()


# Size


def test_deep_and_long_runs_are_explained_without_recursion() -> None:
    events: list[Event] = []
    path, at = "all", 0.0
    for number in range(600):
        path, at = f"{path}/x[{number % 7}]", at + 1
        events.append(StepStarted(at=at, path=path, node=f"app:x{number}"))
        events.append(StepEnded(at=2000 - at, path=path, state="finished"))
    for number in range(1500):
        events += step(f"all/round[{number}]/a", 2000 + number, 2001 + number)
    trace = run(*events, end=3500)
    assert trace.root.usage.requests == 0
    assert trace.critical_path().seconds == 3500
    assert len(trace.critical_path().paths) == 600 + 1500
    assert max(trace.slacks().values()) == 0
    assert trace.root.state == "finished"
    assert builtins.repr(trace.step(path)).startswith("<StepRecord 'all/x[0]")

"""The page of a run: what stands in it, that it is one file which allows nothing, and that no record can leave its place."""

from __future__ import annotations

import json
import operator
import re
from base64 import b64encode
from hashlib import sha256
from html import unescape
from html.parser import HTMLParser
from itertools import pairwise
from typing import Any, cast

import pytest

from swarmlet.trace import Event, RunId, RunStarted, StepEnded, StepStarted, Trace
from swarmlet.trace.analysis.kinds import KINDS
from swarmlet.trace.encode import to_any_json
from swarmlet.trace.page import View, page, page_data
from swarmlet.trace.page.html import escaped
from swarmlet.trace.page.notebook import html
from swarmlet.trace.page.rows import _walk, painted  # pyright: ignore[reportPrivateUsage]
from swarmlet.trace.page.values import CUT, readable
from swarmlet.trace.record import Recorder
from tests.trace.example import EVIL, RUNS, trace_of
from tests.trace.pages import CORPUS, hostile_trace, large_trace

Json = Any  # the data of a page, which tests index freely


def data_of(text: str) -> Json:
    found = re.search(r'<script type="application/json" id="data">(.*?)</script>', text, re.DOTALL)
    assert found
    return json.loads(found[1])


def table(data: Json) -> list[Json]:
    columns = data["timeline"]["columns"]
    return [dict(zip(columns, row, strict=True)) for row in data["timeline"]["rows"]]


class Elements(HTMLParser):
    """What a parser finds in a page."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))


@pytest.mark.parametrize("run", RUNS)
def test_a_step_takes_as_long_in_the_page_as_in_the_trace(run: str) -> None:
    trace = trace_of(run)
    told = table(page_data(trace))
    steps = [step for step, _, _ in _walk(trace.root)]
    assert len(told) == len(steps)
    for row, step in zip(told, steps, strict=True):
        known = step.seconds if step.started is not None else None
        assert row["seconds"] == (None if known is None else pytest.approx(known, abs=1e-6))


def test_a_box_of_the_graph_adds_up_what_its_steps_took_without_what_they_waited() -> None:
    recorder = Recorder(RunId("waited"))
    recorder.emit(RunStarted(at=0.0, run=recorder.run, name="app", node="app:app", version="0"))
    for number, begin in enumerate((1.0, 3.0)):
        path = f"app/item[{number}]"
        recorder.emit(StepStarted(at=begin, path=path, node="app:item", waited=begin, place_waited=begin))
        recorder.emit(StepEnded(at=begin + 2, path=path, state="finished"))
    data: Json = page_data(Trace(recorder.events, recorder.values))
    assert next(box["seconds"] for box in data["graph"]["boxes"] if box["name"] == "item") == pytest.approx(4)


# One file


@pytest.mark.parametrize("run", RUNS)
def test_the_page_is_one_file_that_names_no_other(run: str) -> None:
    text = page(trace_of(run))
    assert [tag for tag, _ in Elements(text).found].count("script") == 2
    assert not [attrs for _, attrs in Elements(text).found if "src" in attrs or attrs.get("href", "data:,") != "data:,"]
    assert "http://" not in text.replace("http://www.w3.org/2000/svg", "")


def test_the_policy_allows_this_script_and_this_style_and_nothing_else() -> None:
    text = page(trace_of("0001-solve"))
    policy = next(attrs["content"] for _, attrs in Elements(text).found if attrs.get("http-equiv") == "Content-Security-Policy")
    script, style = (
        text.rpartition("<script>")[2].partition("</script>")[0],
        text.partition("<style>")[2].partition("</style>")[0],
    )
    allowed = dict(one.split(" ", 1) for one in str(policy).split("; "))
    assert allowed == {
        "default-src": "'none'",
        "script-src": f"'sha256-{b64encode(sha256(script.encode()).digest()).decode()}'",
        "style-src": f"'sha256-{b64encode(sha256(style.encode()).digest()).decode()}'",
        "img-src": "data:",
        "connect-src": "'none'",
        "base-uri": "'none'",
        "form-action": "'none'",
    }


def test_the_script_writes_text_and_never_html() -> None:
    text = page(trace_of("0001-solve")).rpartition("<script>")[2]
    for name in (
        "innerHTML",
        "outerHTML",
        "insertAdjacentHTML",
        "document.write",
        "eval(",
        "new Function",
        "createContextualFragment",
    ):
        assert name not in text


def test_nothing_that_was_recorded_can_end_the_element_that_holds_it() -> None:
    text = page(hostile_trace(), full=True)
    begin = text.index('id="data">') + len('id="data">')
    data = text[begin : text.index("</script>", begin)]
    assert data.isascii()
    assert not set(data) & set("<>&\x7f")
    title = unescape(text.partition("<title>")[2].partition("</title>")[0])
    assert title.startswith("</script><script>")
    assert [tag for tag, _ in Elements(text).found].count("script") == 2


@pytest.mark.parametrize("text", CORPUS.values(), ids=CORPUS)
def test_escaped_json_says_what_was_said(text: str) -> None:
    assert json.loads(escaped({text: [text]})) == {text: [text]}


# What stands in it


def test_the_page_says_which_step_to_change_and_what_that_saves() -> None:
    summary = page_data(trace_of("0001-solve"))["summary"]
    advice = {one["title"]: one for one in cast("Json", summary)["advice"]}
    faster = "".join(word if isinstance(word, str) else word[0] for word in advice["To make it faster"]["words"])
    assert advice["To make it faster"]["node"] == "app:write"
    assert faster.startswith("Change write (1 step). Without its time the run would take ")
    cheaper = "".join(word if isinstance(word, str) else word[0] for word in advice["To make it cheaper"]["words"])
    assert cheaper.startswith(
        "Change write: it cost $0.000302 of $0.000302 (100 %), in 3 calls with 2,400 tokens in and 160 out."
    )


def test_rows_stand_parents_first_and_make_the_paths() -> None:
    trace = trace_of("0001-solve")
    chain: list[str] = []
    paths: list[str] = []
    for row in table(page_data(trace)):
        del chain[row["depth"] :]
        chain.append((chain[-1] if chain else "") + row["name"])
        paths.append(chain[-1])
    assert paths == [step.path for step in trace.root.walk()]


def test_pieces_of_a_step_fill_its_time() -> None:
    trace = trace_of("0001-solve")
    row = next(row for row in table(page_data(trace)) if row["name"] == "/write")
    flat: list[float] = row["pieces"]
    pieces = [(flat[at], flat[at + 1], int(flat[at + 2])) for at in range(0, len(flat), 3)]
    kinds = {str(KINDS[kind]) for _, _, kind in pieces}
    assert {"queue", "model", "retry", "tool", "own"} <= kinds
    assert sum(end - begin for begin, end, _ in pieces) == pytest.approx(row["end"] - row["begin"], abs=1e-4)
    assert all(one[1] <= other[0] + 1e-6 for one, other in pairwise(pieces))


def test_what_goes_on_at_once_is_told_once() -> None:
    pieces = painted([(1, 4, "tool"), (2, 3, "model"), (6, 7, None)], 0, 8, "own")
    assert pieces == [(0, 1, "own"), (1, 2, "tool"), (2, 3, "model"), (3, 4, "tool"), (4, 6, "own"), (7, 8, "own")]


def test_details_hold_prompts_replies_tools_and_attempts() -> None:
    data: Json = page_data(trace_of("0001-solve"))
    number = next(number for number, row in enumerate(table(data)) if row["name"] == "/write")
    detail = data["details"][str(number)]
    assert [one["what"] for one in detail["work"]] == ["call", "call", "tool", "call"]
    assert detail["work"][0]["error"] == {"type": "RateLimited", "message": "slow down"}
    assert data["values"][detail["work"][3]["reply"]]["text"] == "return a + b"
    assert data["values"][detail["work"][2]["result"]]["text"] == "two hits"
    assert data["values"][detail["output"]]["text"] == "source:\n  def add(a, b):\n      return a + b"


def test_a_long_value_is_cut_and_says_so_unless_all_is_asked_for() -> None:
    trace = hostile_trace()
    cut: Json = page_data(trace)["values"]
    assert {value["length"] for value in cut.values() if value["text"].startswith("xxx")} == {1_000_000}
    assert max(len(value["text"]) for value in cut.values()) == CUT
    whole: Json = page_data(trace, full=True)["values"]
    assert CORPUS["lines"] in {value["text"] for value in whole.values()}
    assert not any("length" in value for value in whole.values())


def test_a_value_too_deep_to_be_read_is_shown_as_json() -> None:
    value: Json = 1
    for _ in range(500):
        value = [value]
    assert "[[[" in readable(value)


def test_of_a_very_large_run_the_steps_that_matter_have_their_details() -> None:
    data: Json = page_data(large_trace(24_000))
    assert len(data["details"]) == data["partial"] == 20_000
    failed = [str(number) for number, row in enumerate(table(data)) if row["error"]]
    assert len(failed) == 12
    assert set(failed) <= set(data["details"])


def test_a_map_is_one_box_of_the_graph() -> None:
    boxes = cast("Json", page_data(large_trace(2_000))["graph"])["boxes"]
    assert [(box["name"], box["steps"], box["copies"]) for box in boxes] == [
        ("big", 0, 0),
        ("item", 0, 1_000),
        ("fetch", 1_000, 0),
        ("read", 1_000, 0),
    ]
    inside = {box["name"]: box for box in boxes}
    assert inside["item"]["states"] == {"finished": 1_999, "failed": 1}


def test_arrows_without_a_plan_go_from_what_had_ended_to_what_then_began() -> None:
    drawn = cast("Json", page_data(large_trace(2_000))["graph"])
    assert drawn["planned"] is False
    boxes = {box["name"]: box for box in drawn["boxes"]}
    (arrow,) = drawn["arrows"]
    assert arrow["points"][0] == boxes["fetch"]["x"] + boxes["fetch"]["width"]
    assert arrow["points"][2] == boxes["read"]["x"]


def test_arrows_come_from_the_plan_that_was_recorded() -> None:
    plan: Json = {
        "version": 1,
        "rest": "",
        "pieces": [
            {
                "what": "graph",
                "rest": "",
                "wiring": [
                    {"step": "b", "parameter": "x", "source": "a()"},
                    {"step": "c/in", "parameter": "x", "source": "list(b(), a().text)"},
                    {"step": "", "parameter": "", "source": "c/in()"},
                ],
            },
            {"what": "node", "rest": "", "wiring": list[object]()},
        ],
        "rows": [["g", 0], ["g/a", 1], ["g/b", 1], ["g/c/in", 1]],
    }
    recorder = Recorder(RunId("planned"))
    digest = recorder.keep(plan, to_any_json)
    recorder.emit(RunStarted(at=1.0, run=recorder.run, name="g", node="app:g", version="0", plan=digest))
    recorder.emit(StepStarted(at=1.0, path="g/a", node="app:a"))
    drawn = cast("Json", page_data(Trace(recorder.events, recorder.values))["graph"])
    assert drawn["planned"] is True
    assert {box["name"]: box["steps"] for box in drawn["boxes"]} == {"g": 0, "a": 1, "b": 0, "c": 0, "in": 0}
    assert len(drawn["arrows"]) == 2  # a to b, b to c; that c takes something of a, too, is implied


@pytest.mark.parametrize("plan", [1, {}, {"version": 1, "rows": 3, "pieces": []}, {"pieces": [], "rows": [["g", 7]]}, "x"])
def test_a_plan_that_cannot_be_read_is_as_if_there_were_none(plan: object) -> None:
    recorder = Recorder(RunId("odd"))
    digest = recorder.keep(plan, to_any_json)
    recorder.emit(RunStarted(at=1.0, run=recorder.run, name="g", node="app:g", version="0", plan=digest))
    recorder.emit(StepStarted(at=1.0, path="g/a", node="app:a"))
    assert cast("Json", page_data(Trace(recorder.events, recorder.values))["graph"])["planned"] is False


def test_boxes_of_one_frame_do_not_overlap() -> None:
    graph = cast("Json", page_data(trace_of("0001-solve"))["graph"])
    flat = [box for box in graph["boxes"] if not box["frame"]]
    for one in flat:
        assert 0 <= one["x"] <= graph["width"] - one["width"]
        for other in flat:
            apart = one["x"] + one["width"] <= other["x"] or other["x"] + other["width"] <= one["x"]
            assert one is other or apart or one["y"] + one["height"] <= other["y"] or other["y"] + other["height"] <= one["y"]


# Runs in every state


def test_a_killed_run_is_shown_as_far_as_it_came() -> None:
    data: Json = page_data(trace_of("0003-die"))
    assert data["run"]["state"] == "running"
    assert table(data)[-1]["end"] == pytest.approx(2.0)


def test_a_run_that_has_only_begun_is_shown() -> None:
    recorder = Recorder(RunId("new"))
    recorder.emit(RunStarted(at=1.0, run=recorder.run, name="new", node="app:new", version="0"))
    data: Json = page_data(Trace(recorder.events, recorder.values))
    assert [row["name"] for row in table(data)] == ["new"]
    assert data["summary"]["advice"] == []


def test_a_run_without_captured_content_says_so() -> None:
    at, path = 1.0, "quiet/step"
    events: list[Event] = [
        RunStarted(at=at, run=RunId("quiet"), name="quiet", node="app:quiet", inputs={"text": None}, version="0"),
        StepStarted(at=at + 1, path=path, node="app:step", inputs={"text": None}),
        StepEnded(at=at + 2, path=path, state="finished"),
    ]
    data: Json = page_data(Trace(events, {}))
    assert data["run"]["captured"] is False
    assert data["details"]["1"]["inputs"] == {"text": None}
    assert data["values"] == {}


def test_one_step_can_be_asked_for() -> None:
    told: Json = View(trace_of("0001-solve")).step("solve/write")
    assert told["values"][told["details"]["output"]]["text"].startswith("source:")
    with pytest.raises(KeyError, match="no step 'solve/nothing'"):
        View(trace_of("0001-solve")).step("solve/nothing")


# Notebooks


def test_a_trace_shows_itself_in_notebooks_without_a_script() -> None:
    trace = trace_of("0001-solve")
    text = html(trace)
    assert operator.methodcaller("_repr_html_")(trace) == text
    assert "To make it faster" in text
    assert "<code>solve/write</code>" in text
    assert "script" not in {tag for tag, _ in Elements(text).found}


def test_hostile_text_is_escaped_in_notebooks() -> None:
    text = html(hostile_trace()) + html(trace_of("0002-fail"))
    assert {tag for tag, _ in Elements(text).found} <= {
        "div",
        "p",
        "b",
        "code",
        "table",
        "thead",
        "tbody",
        "tr",
        "th",
        "td",
        "span",
    }
    assert "\u202e" not in text
    assert EVIL not in text

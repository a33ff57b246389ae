"""`swarmlet check`: plans on standard output, all that is wrong with graphs on standard error, exit status 0, 1 or 2."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from swarmlet.cli.main import main
from swarmlet.errors import GraphError
from swarmlet.graph.building import checking
from swarmlet.swarm.swarm import run_sync

Captured = pytest.CaptureFixture[str]

GOOD = """
from swarmlet import agent, each, graph, node
from flows.parts import fetch, join

print("hello")

@agent(str, max_turns=2)
def write(task: str) -> str:
    return task

@graph
def solve(tasks: list[str]) -> str:
    return join(each(write)(tasks))

@graph
def _helper(task: str) -> str:
    return write(task)

again = solve
pages = each(fetch)
small = solve.with_options(name="small", timeout=5)
"""

PARTS = """
from swarmlet import node

@node
async def fetch(url: str) -> str:
    return url

@node
def join(texts: list[str]) -> str:
    return " ".join(texts)
"""

BROKEN = """
from swarmlet import Node, agent, graph, loop, node

@agent(str)
def write(task: str) -> str:
    return task

@graph
def first(task: str) -> int:
    return write(task, tone="dry")

@graph
def second(task: str) -> str:
    write(task)
    return first(task)

@graph
async def third(task: str) -> str:
    return write(task)

@graph
def fourth(task: "Nowhere") -> str:
    return write(task)

@graph
def user(task: str) -> int:
    fourth(write(task), 3)
    return first.with_options(timeout=5)(third(task))

@graph
def fine(task: str) -> str:
    return write(task)
"""

LATE = (
    BROKEN
    + """
from swarmlet import each
pages = each(3)
"""
)


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder with modules, which is the current one; what is imported from it is forgotten afterwards."""
    package = tmp_path / "flows"
    package.mkdir()
    files = {
        "good": GOOD,
        "parts": PARTS,
        "broken": BROKEN,
        "late": LATE,
        "empty": "x = 3",
        "boom": "1 / 0",
        "quits": "exit(3)",
    }
    for name, text in files.items():
        (package / f"{name}.py").write_text(text, encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    yield tmp_path
    for name in [name for name in sys.modules if name.partition(".")[0] in ("flows", "uses")]:
        del sys.modules[name]


def test_a_node_is_checked_by_name(capsys: Captured) -> None:
    assert main(["check", "flows.good:solve"]) == 0
    out, err = capsys.readouterr()
    assert out.startswith("flows.good:solve\n\nstep          what   bound")
    assert "model calls: at most (items of write)\nwith retries: at most 4·(items of write)\n" in out
    assert err == "hello\n"  # what a module prints is no data


def test_of_a_module_every_public_node_is_checked_that_it_defines(capsys: Captured) -> None:
    assert main(["check", "flows.good", "--json"]) == 0
    targets = [plan["target"] for plan in json.loads(capsys.readouterr().out)["plans"]]
    assert targets == [f"flows.good:{name}" for name in ("write", "solve", "pages", "small")]


def test_several_targets_are_checked_in_one_go(capsys: Captured) -> None:
    assert main(["check", "flows.good:_helper", "flows.parts"]) == 0
    out = capsys.readouterr().out
    assert [line for line in out.splitlines() if ":" in line and line.startswith("flows")] == [
        "flows.good:_helper",
        "flows.parts:fetch",
        "flows.parts:join",
    ]
    assert out.count("not counted") == 1


def test_json_has_the_rows_and_the_bounds(capsys: Captured) -> None:
    assert main(["check", "flows.good:small", "--json"]) == 0
    data = json.loads(capsys.readouterr().out)
    assert (data["problems"], data["not_found"]) == ([], [])
    (plan,) = data["plans"]
    assert (plan["name"], plan["calls"]) == (
        "small",
        {"text": "(items of write)", "known": None, "symbols": ["items of write"]},
    )
    assert [row["path"] for row in plan["rows"]] == ["small", "small/write", "small/write[i]", "small/join"]
    assert plan["rows"][0]["options"] == "timeout=5"
    assert plan["rows"][2]["attempts"] == {"text": "4", "known": 4, "symbols": []}


def test_all_broken_graphs_of_a_module_are_reported_at_once(capsys: Captured) -> None:
    assert main(["check", "flows.broken"]) == 1
    out, err = capsys.readouterr()
    assert [line for line in out.splitlines() if line.startswith("flows.")] == ["flows.broken:write", "flows.broken:fine"]
    assert "swarmlet: flows.broken:user has no plan, as there are broken graphs in it\n" not in err  # it is broken itself
    assert "swarmlet: 7 things are wrong:\n" in err
    for says in (
        "'write' is called wrongly: got an unexpected keyword argument 'tone'",
        "write is str, but the graph's declared result asks for int",
        "nothing uses the result of 'write'",
        "first is int, but the graph's declared result asks for str",
        "must be a plain function: wiring needs no await",
        "name 'Nowhere' is not defined",
        "nothing uses the result of 'fourth'",
    ):
        assert err.count(says) == 1


def test_a_plan_with_a_broken_graph_in_it_is_not_shown(folder: Path, capsys: Captured) -> None:
    (folder / "uses.py").write_text(
        "from swarmlet import graph\nfrom flows.broken import first\n@graph\ndef uses(task: str) -> int: return first(task)\n",
        encoding="utf-8",
    )
    assert main(["check", "uses", "--json"]) == 1
    out, err = capsys.readouterr()
    assert json.loads(out)["plans"] == []
    assert len(json.loads(out)["problems"]) == 7
    assert err.startswith("swarmlet: uses:uses has no plan, as there are broken graphs in it\n")
    assert main(["check", "flows.broken:first"]) == 1  # also when its module is there already
    assert "got an unexpected keyword" in capsys.readouterr().err


def test_what_ends_an_import_is_reported_with_what_was_found_before(capsys: Captured) -> None:
    assert main(["check", "flows.late", "flows.late:write", "flows.good:solve"]) == 1
    out, err = capsys.readouterr()
    assert "flows.good:solve" in out
    assert "8 things are wrong" in err
    assert "must be a node or a function, not 3" in err


@pytest.mark.parametrize(
    ("target", "says"),
    [
        ("flows.nope", "module 'flows.nope' cannot be imported: ModuleNotFoundError: No module named 'flows.nope'"),
        ("flows.boom", "module 'flows.boom' cannot be imported (boom.py:1): ZeroDivisionError: division by zero"),
        ("flows.quits", "module 'flows.quits' cannot be imported (quits.py:1): SystemExit: 3"),
        ("flows.empty", "module 'flows.empty' defines no public node"),
        ("flows.empty:x", "flows.empty:x is no node, it is of type 'int'"),
        ("flows.parts:fetsh", "module 'flows.parts' has no 'fetsh'; its nodes are fetch, join"),
        ("flows.parts:", "'flows.parts:' is no target: give package.module, or package.module:name"),
        ("", "'' is no target"),
        (
            "./flows/good.py",
            "'./flows/good.py' is no target: give package.module, or package.module:name; for a file, flows.good",
        ),
        ("flows.py", "for a file, flows"),
    ],
)
def test_a_target_that_is_not_there_is_status_2(target: str, says: str, capsys: Captured) -> None:
    assert main(["check", target, "flows.parts:fetch"]) == 2
    out, err = capsys.readouterr()
    assert out.startswith("flows.parts:fetch\n")
    assert err.startswith("swarmlet: ")
    assert says in err
    assert err.count("\n") == 1


def test_a_missing_target_does_not_hide_what_is_wrong(capsys: Captured) -> None:
    assert main(["check", "nope", "flows.broken:first", "flows.boom", "--json"]) == 2
    out, err = capsys.readouterr()
    data = json.loads(out)
    assert (len(data["problems"]), len(data["not_found"])) == (7, 2)
    assert "7 things are wrong" in err
    assert "No module named 'nope'" in err
    assert "division by zero" in err


def test_the_path_is_left_as_it_was() -> None:
    before = list(sys.path)
    assert main(["check", "flows.parts"]) == 0
    assert sys.path == before


def test_the_command_finds_modules_of_the_current_directory(folder: Path) -> None:
    code = "import sys; sys.path.remove(''); from swarmlet.cli.main import main; sys.exit(main(['check', 'flows.broken:fine']))"
    done = subprocess.run([sys.executable, "-c", code], check=False, capture_output=True, encoding="utf-8", cwd=folder)
    assert (done.returncode, done.stdout.splitlines()[0]) == (1, "flows.broken:fine")
    assert "7 things are wrong" in done.stderr


def test_a_stand_in_cannot_run(folder: Path) -> None:
    module: Any = ModuleType("stand_ins")
    with checking() as errors:
        exec(compile(BROKEN, str(folder / "stand_ins.py"), "exec"), module.__dict__)
    assert len(errors) == 5
    assert repr(module.first) == "<Node first(task: str) -> int>"
    with pytest.raises(Exception, match="unexpected keyword argument 'tone'"):
        run_sync(module.first, "hi")
    with pytest.raises(GraphError):
        exec(compile(BROKEN, str(folder / "stand_ins.py"), "exec"), ModuleType("stand_ins").__dict__)

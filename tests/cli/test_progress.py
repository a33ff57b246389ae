"""`progress=True`: what a terminal, a notebook and a log see of a run, on both loops; and that no run ever notices."""

from __future__ import annotations

import io
import os
import subprocess
import sys
import textwrap
from decimal import Decimal
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest

from swarmlet import GraphError, StepFailed, Swarm, graph, node, run
from swarmlet.swarm.progress import Progress, display
from swarmlet.swarm.progress.screen import Screen
from swarmlet.swarm.progress.tally import Tally
from swarmlet.swarm.progress.words import lines_of, sentence
from swarmlet.trace import CallEnded, CallStarted, RunEnded, RunId, RunStarted, StepEnded, StepStarted
from swarmlet.trace.journal import MemoryJournal
from swarmlet.trace.record import Recorder
from tests.cli.terminals import WAIT, environment, in_terminal

LOOPS = ("asyncio", "trio")
BEGIN = """
import sys
import anyio
from swarmlet import Swarm, ask, each, graph, node, run, run_sync
from swarmlet.swarm import people


@node
async def typed(n: int) -> str:
    return await anyio.to_thread.run_sync(sys.stdin.readline)


@node
async def quick(n: int) -> int:
    print("printed by the user's code", n)
    return n


@graph
def work(n: int) -> str:
    return typed(quick(n))

"""


def script(folder: Path, text: str) -> list[str]:
    path = folder / "script.py"
    path.write_text(BEGIN + textwrap.dedent(text))
    return [sys.executable, str(path)]


def screen_of(text: str) -> list[str]:
    """The lines that a terminal shows in the end: as much of one as these programs need."""
    lines, row, column = [""], 0, 0
    rest = text.replace("\n", "\r\n")
    while rest:
        if rest.startswith("\x1b["):
            code, rest = _escape(rest)
            if code.endswith("A"):
                row = max(0, row - int(code[:-1]))
            elif code == "J":
                lines[row:] = [lines[row][:column]]
            continue
        letter, rest = rest[0], rest[1:]
        if letter == "\r":
            column = 0
        elif letter == "\n":
            row += 1
            lines += [""] * (row + 1 - len(lines))
        else:
            lines[row] = lines[row][:column].ljust(column) + letter + lines[row][column + 1 :]
            column += 1
    return lines


def _escape(text: str) -> tuple[str, str]:
    end = next(index for index, letter in enumerate(text[2:], 2) if letter.isalpha())
    return text[2 : end + 1], text[end + 1 :]


# In a terminal


@pytest.mark.parametrize("loop", LOOPS)
def test_a_terminal_shows_what_goes_on_and_is_left_clean(loop: str, tmp_path: Path) -> None:
    command = script(
        tmp_path,
        f"""
        async def main():
            print("result", (await run(work, 3, progress=True)).output.strip())
        anyio.run(main, backend={loop!r})
        """,
    )
    shown = in_terminal(command, typed={"1 running": "go on\n"}, echo=False)
    assert shown.status == 0, shown.text
    assert "work: " in shown.text
    assert "work/typed" in shown.text
    lines = [line for line in screen_of(shown.text) if line]
    assert lines[0] == "printed by the user's code 3"
    assert lines[-1] == "result go on"
    assert lines[-2].startswith("work: finished, ")
    assert not [line for line in lines if "1 running" in line]


@pytest.mark.parametrize(
    "call",
    [
        "print('result', run_sync(work, 3, progress=True).output.strip())",
        """
        async def main():
            async with Swarm() as swarm:
                async with swarm.stream(work, 3, progress=True) as stream:
                    kinds = [event.kind async for event in stream]
                print("result", stream.output.strip(), len(kinds) > 3)
        anyio.run(main)
        """,
        """
        async def main():
            from swarmlet.swarm.progress import Progress
            async with Swarm() as swarm:
                with Progress() as shown, swarm.heard_by(shown):
                    print("result", (await swarm.run(work, 3)).output.strip())
        anyio.run(main)
        """,
    ],
)
def test_every_way_to_run_shows_progress(call: str, tmp_path: Path) -> None:
    shown = in_terminal(script(tmp_path, call), typed={"1 running": "yes\n"}, echo=False)
    assert shown.status == 0, shown.text
    assert "result yes" in shown.text
    assert "work: finished" in shown.text


@pytest.mark.parametrize("loop", LOOPS)
def test_progress_and_a_question_do_not_garble_one_another(loop: str, tmp_path: Path) -> None:
    command = script(
        tmp_path,
        f"""
        @ask(bool)
        def sure(n: int) -> str:
            return "Sure?"

        @node
        async def join(sure: bool, n: str) -> bool:
            return sure

        @graph
        def both(n: int) -> bool:
            return join(sure(quick(n)), "x")

        async def main():
            async with Swarm(people=people.terminal) as swarm:
                print("result", (await swarm.run(both, 1, progress=True)).output)
        anyio.run(main, backend={loop!r})
        """,
    )
    shown = in_terminal(command, typed={"[yes / no] ": "yes\n"})
    assert shown.status == 0, shown.text
    asked = shown.text.partition("both asks at both/sure:")[2].partition("[yes / no] ")
    assert "\x1b" not in asked[0]
    assert asked[2].startswith("yes\n")  # what was typed, and nothing before it
    lines = screen_of(shown.text)
    assert "Sure?" in lines
    assert "[yes / no] yes" in lines
    assert "result True" in lines


@pytest.mark.parametrize("loop", LOOPS)
def test_a_question_begins_on_a_line_of_its_own_after_words_that_were_streamed(loop: str, tmp_path: Path) -> None:
    command = script(
        tmp_path,
        f"""
        @ask(bool)
        def sure(n: int) -> str:
            return "Sure?"

        async def main():
            async with Swarm(people=people.terminal) as swarm:
                print("I would like to", end="", flush=True)
                print("result", (await swarm.run(sure, 1)).output)
        anyio.run(main, backend={loop!r})
        """,
    )
    shown = in_terminal(command, typed={"[yes / no] ": "yes\n"})
    assert screen_of(shown.text)[:2] == ["I would like to", "sure asks at sure:"]
    assert "result True" in screen_of(shown.text)


def test_several_runs_share_the_terminal(tmp_path: Path) -> None:
    command = script(
        tmp_path,
        """
        @node
        async def wait(n: int) -> int:
            if n == 1:
                await anyio.to_thread.run_sync(sys.stdin.readline)
                done.set()
            await done.wait()
            return n

        async def main():
            global done
            done = anyio.Event()
            async with Swarm() as swarm, anyio.create_task_group() as group:
                for n in (1, 2):
                    group.start_soon(lambda n: swarm.run(wait.with_options(name=f"wait{n}"), n, progress=True), n)
        anyio.run(main)
        print("over")
        """,
    )
    shown = in_terminal(command, typed={"wait2: ": "\n"}, echo=False)
    assert shown.status == 0, shown.text
    lines = [line for line in screen_of(shown.text) if line]
    assert sorted(line.partition(":")[0] for line in lines[:-1]) == ["wait1", "wait2"]
    assert lines[-1] == "over"


def test_a_terminal_that_is_gone_does_not_reach_the_run(tmp_path: Path) -> None:
    command = script(tmp_path, "sys.stderr.close(); print('result', run_sync(quick, 3, progress=True).output)")
    done = subprocess.run(command, check=False, capture_output=True, text=True, env=environment(), timeout=WAIT)
    assert (done.returncode, done.stdout.splitlines()[-1]) == (0, "result 3")


# Elsewhere


def test_without_a_terminal_there_is_a_line_now_and_then_on_stderr(tmp_path: Path) -> None:
    command = script(
        tmp_path,
        """
        from swarmlet.swarm.progress import display
        display.SAYS = 0.05
        print(run_sync(typed, 3, progress=True).output.strip())
        """,
    )
    process = subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment()
    )
    assert process.stderr is not None
    first = process.stderr.readline()
    out, err = process.communicate("go on\n", timeout=WAIT)
    assert first.startswith("swarmlet: typed: ")
    assert "1 running" in first
    assert err.splitlines()[-1].startswith("swarmlet: typed: finished, ")
    assert "\x1b" not in first + err
    assert out == "go on\n"


@node
def double(n: int) -> int:
    return 2 * n


@graph
def doubled(n: int) -> int:
    return double(n)


@pytest.fixture
def notebook(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, str]]:
    """IPython as far as a display needs it, which is not ours and not installed here."""
    shown: list[dict[str, str]] = []

    def update(data: dict[str, str], *, raw: bool) -> None:
        assert raw
        shown.append(data)

    def show(data: dict[str, str], *, raw: bool, display_id: bool) -> Any:
        assert raw
        assert display_id
        shown.append(data)
        return SimpleNamespace(update=update)

    found, part = ModuleType("IPython"), ModuleType("IPython.display")
    vars(found).update(get_ipython=lambda: SimpleNamespace(kernel=object()))
    vars(part).update(display=show)
    monkeypatch.setitem(sys.modules, "IPython", found)
    monkeypatch.setitem(sys.modules, "IPython.display", part)
    return shown


@pytest.mark.anyio
async def test_a_notebook_has_one_output_that_is_updated(notebook: list[dict[str, str]]) -> None:
    assert (await run(doubled, 4, progress=True)).output == 8
    assert notebook[-1]["text/plain"].startswith("doubled: finished, ")
    assert notebook[-1]["text/html"].startswith("<pre>doubled: finished, ")


@pytest.mark.anyio
async def test_a_display_that_raises_does_not_reach_the_run(
    notebook: list[dict[str, str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object, **__: object) -> object:
        raise OSError("no display")

    vars(sys.modules["IPython.display"])["display"] = broken
    assert (await run(doubled, 4, progress=True)).output == 8

    def half(*_: object, **__: object) -> object:
        return SimpleNamespace(update=broken)

    vars(sys.modules["IPython.display"])["display"] = half
    monkeypatch.setattr(display, "UPDATES", 0.01)
    assert (await run(doubled, 4, progress=True)).output == 8


# The argument


@node
def told(progress: int) -> int:
    return progress


@pytest.mark.anyio
async def test_run_as_resume_and_fork_show_it_too(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    broken = True

    @node
    def half(n: int) -> int:
        if broken:
            raise ValueError("no")
        return n // 2

    @graph
    def both(n: int) -> int:
        return half(double(n))

    async with Swarm(journal=tmp_path / "runs.sqlite") as swarm:
        with pytest.raises(StepFailed):
            await swarm.run_as("one", both, n=4, progress=True)
        assert "both: failed, " in capsys.readouterr().err
        broken = False
        assert (await swarm.resume("one", both, progress=True)).output == 4
        said = capsys.readouterr().err
        assert "both: finished, " in said
        assert "2 steps done" in said, "the one that was done before, too"
        assert (await swarm.fork("one", both, inputs={"n": 6}, progress=True)).output == 6
        assert "both: finished, " in capsys.readouterr().err
        assert (await swarm.run_as("one", both, 4, progress=True)).output == 4
        assert "both" not in capsys.readouterr().err, "nothing was done"
        await swarm.run_as("two", both, 4, progress=False)
        await swarm.resume("two", both)
        await swarm.fork("two", both)
        assert capsys.readouterr().err == ""
        assert (await swarm.run_as("three", told, progress=7)).output == 7
        assert (await swarm.fork("three", told, inputs={"progress": 8}, progress=True)).output == 8
        assert "told: finished, " in capsys.readouterr().err


@pytest.mark.anyio
async def test_a_node_with_a_parameter_of_that_name_gets_it_itself(capsys: pytest.CaptureFixture[str]) -> None:
    assert (await run(told, progress=7)).output == 7
    assert capsys.readouterr().err == ""


@pytest.mark.anyio
async def test_no_progress_is_none_and_anything_else_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert (await run(doubled, 4, progress=False)).output == 8
    assert capsys.readouterr().err == ""
    wrong: Any = "yes"
    with pytest.raises(GraphError, match="progress= is True or False, not 'yes'"):
        await run(doubled, 4, progress=wrong)
    async with Swarm(journal=MemoryJournal()) as swarm:
        with pytest.raises(GraphError, match="progress= is True or False, not 'yes'"):
            await swarm.run_as("one", doubled, 4, progress=wrong)
        await swarm.run_as("one", doubled, 4)
        with pytest.raises(GraphError, match="progress= is True or False, not 'yes'"):
            await swarm.resume("one", doubled, progress=wrong)
        with pytest.raises(GraphError, match="progress= is True or False, not 'yes'"):
            await swarm.fork("one", doubled, progress=wrong)


@pytest.mark.anyio
async def test_a_run_that_fails_raises_what_it_would(capsys: pytest.CaptureFixture[str]) -> None:
    @node
    def broken(n: int) -> int:
        raise ValueError("no")

    async with Swarm() as swarm:
        with pytest.raises(Exception, match="broken") as plain:
            await swarm.run(broken, 1)
        with pytest.raises(type(plain.value), match="broken"):
            await swarm.run(broken, 1, progress=True)
    assert "broken: failed, " in capsys.readouterr().err


def test_drafts_do_for_progress_so_steps_stay_cheap() -> None:
    assert Recorder(RunId("r"), (Progress(),)).takes_drafts


def test_a_terminal_is_drawn_no_more_than_ten_times_a_second() -> None:
    assert display.DRAWS >= 0.1


# What is said


def test_what_is_said_counts_calls_tokens_and_what_is_left() -> None:
    tally = Tally(RunId("r"), {"usd": Decimal("0.02"), "tokens": 5000}, None)
    place = {"path": "solve/write", "turn": 1}
    events: list[Any] = [
        RunStarted(at=0, run=RunId("r"), name="solve", node="app:solve"),
        StepStarted(at=0, path="solve/write", node="app:write"),
        CallStarted(at=0, attempt=1, model="m", **place),  # type: ignore[arg-type]
        CallEnded(at=1, attempt=1, state="failed", retry_in=2.0, **place),  # type: ignore[arg-type]
        CallStarted(at=3, attempt=2, model="m", **place),  # type: ignore[arg-type]
    ]
    for event in events:
        tally.take(event)
    assert lines_of([tally], 4.0)[0].endswith("1 call + 1 under way · 1 tried again · left: 0.0200 USD, 5,000 tokens")
    assert lines_of([tally], 4.0)[1] == "  solve/write  4.0 s, model"
    tally.take(CallEnded(at=5, attempt=2, state="finished", input_tokens=900, output_tokens=100, usd="0.005", **place))  # type: ignore[arg-type]
    tally.take(StepEnded(at=5, path="solve/write", state="finished"))
    tally.take(RunEnded(at=5, state="finished"))
    said = "solve: finished, 5.0 s, 1 step done · 2 calls · 1 tried again · 1,000 tokens · 0.0050 USD"
    assert sentence(tally, 99.0) == f"{said} · left: 0.0150 USD, 4,000 tokens"


def test_names_hold_nothing_that_a_terminal_obeys() -> None:
    tally = Tally(RunId("r"), {}, None)
    tally.take(RunStarted(at=0, run=RunId("r"), name="a\x1b[2Jb", node="x"))
    tally.take(StepStarted(at=0, path="p\x9b\u202e", node="x"))
    assert not set("\x1b\x9b\u202e") & set("".join(lines_of([tally], 1.0)))


class Terminal(io.StringIO):
    """A text stream that says it is a terminal."""

    def isatty(self) -> bool:
        return True


def test_a_line_that_somebody_has_begun_is_not_drawn_into(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal, screen = Terminal(), Screen()
    monkeypatch.setattr(sys, "stdout", terminal)
    monkeypatch.setattr(sys, "stderr", terminal)
    screen.open(terminal)
    try:
        screen.draw(["one", "two"])
        sys.stdout.write("begun ")
        screen.draw(["one", "two"])
        sys.stdout.write("ended\n")
        screen.draw(["one", "two"])
        with screen.held():
            screen.draw(["never"])
    finally:
        screen.close()
    assert (sys.stdout, sys.stderr) == (terminal, terminal)
    assert screen_of(terminal.getvalue()) == ["begun ended", ""]
    assert "never" not in terminal.getvalue()


def test_where_stdout_is_no_terminal_it_stays_as_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    data, terminal, screen = io.StringIO(), Terminal(), Screen()
    monkeypatch.setattr(sys, "stdout", data)
    monkeypatch.setattr(sys, "stderr", terminal)
    screen.open(terminal)
    assert sys.stdout is data
    screen.close()
    assert os.linesep

"""A question over a source tree: what is read, what of the answer is checked, and what it costs to ask again."""

from __future__ import annotations

import os
from pathlib import Path

import anyio
import pytest

from examples.codebase.__main__ import arguments, main
from examples.codebase.ask import KEPT, Answer, Found, ask, conclude, first_batch, narrow, pick, read
from examples.codebase.check import Finding, Quote, cited, place
from examples.codebase.tree import FILE_BYTES, PIECE_CHARACTERS, Piece, Tree, read_tree
from swarmlet import Budget, MemoryCache, Run, StepFailed, Swarm, loop, run
from swarmlet.testing import Fail, Hang, Refuse, Say, ScriptedServer
from swarmlet.testing.replies import Tokens
from tests.examples.steps import asked, paths

pytestmark = pytest.mark.anyio
QUESTION = "How is a total made?"
TOTAL = "def total(prices):\n    return sum(prices)\n"
PRINTS = "import shop\n\nprint(shop.total([1, 2]))\n"
MAKES = Quote(first=1, last=2, quote="def total(prices):\n    return sum(prices)", why="it is a sum")


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """A tree of two files."""
    folder = tmp_path / "source"
    folder.mkdir()
    (folder / "shop.py").write_text(TOTAL)
    (folder / "main.py").write_text(PRINTS)
    return folder


def reads(server: ScriptedServer, path: str, *quotes: Quote, times: int | None = None) -> None:
    server.when(asked(read, f"{path}\n"), {"value": quotes}, times=times)


async def arrived(server: ScriptedServer, requests: int) -> None:
    with anyio.fail_after(10):
        while len(server.requests) < requests:  # noqa: ASYNC110  # the server has no event for it
            await anyio.sleep(0.01)


async def answer(root: Path, question: str = QUESTION, *, budget: Budget | None = None) -> Run[Answer]:
    with anyio.fail_after(30):
        return await run(ask if budget is None else ask.with_options(budget=budget), question, str(root))


# What is read


async def tree_of(root: Path) -> Tree:
    return (await run(read_tree, str(root))).output


async def test_text_files_are_read_in_order_and_all_else_is_skipped_with_a_reason(source: Path) -> None:
    (source / "logo.png").write_bytes(b"\x89PNG\0\0")
    (source / "zeros").write_bytes(b"abc\0def")
    (source / "latin.txt").write_bytes("caf\xe9".encode("latin-1"))
    (source / "huge.sql").write_bytes(b"x\n" * FILE_BYTES)
    (source / "small.min.js").write_text("x" * 5_000)
    (source / "empty.py").write_text("\n")
    (source / ".env").write_text("SECRET=1")
    (source / "node_modules").mkdir()
    (source / "node_modules" / "left.js").write_text("left()")
    (source / "link.py").symlink_to(source / "shop.py")
    (source / "circle").symlink_to(source)
    os.mkfifo(source / "pipe")
    with anyio.fail_after(10):
        tree = await tree_of(source)
    assert [piece.name for piece in tree.pieces] == ["main.py:1-3", "shop.py:1-2"]
    assert tree.outline == "main.py\nshop.py\n"
    assert tree.skipped == {
        "circle": "a link",
        "node_modules": "vendored",
        ".env": "hidden",
        "huge.sql": "larger than 200,000 bytes",
        "latin.txt": "not UTF-8",
        "link.py": "a link",
        "logo.png": "not UTF-8",
        "pipe": "no plain file",
        "small.min.js": "lines too long",
        "zeros": "binary",
    }


async def test_a_long_file_is_cut_into_bounded_pieces_that_know_their_lines(source: Path) -> None:
    lines = [f"line {number} " + "x" * (number % 90) for number in range(1, 801)]
    (source / "long.txt").write_text("\r\n".join(lines))
    pieces = [piece for piece in (await tree_of(source)).pieces if piece.path == "long.txt"]
    assert len(pieces) > 5
    assert all(sum(map(len, piece.lines)) <= PIECE_CHARACTERS for piece in pieces)
    assert [line for piece in pieces for line in piece.lines] == lines
    assert all(piece.text.startswith(f"{piece.first}| line {piece.first} ") for piece in pieces)


async def test_one_file_is_a_tree_and_a_name_that_is_no_text_is_shown_all_the_same(source: Path) -> None:
    assert [piece.path for piece in (await tree_of(source / "shop.py")).pieces] == ["shop.py"]
    (source / os.fsdecode(b"caf\xe9.py")).write_text("x = 1")
    assert "caf\ufffd.py" in (await tree_of(source)).outline


# What is checked

PIECE = Piece(path="a.py", first=11, lines=["def f(x):", "    return  g(x)", "", "def h():", "    return  g(x)"])


@pytest.mark.parametrize(
    ("quote", "near", "lines"),
    [
        ("return g(x)", 12, (12, 12)),
        ("return g(x)", 15, (15, 15)),
        ("return g(x)", 900, (15, 15)),
        ("11| def f(x):\n12|     return g(x)", 11, (11, 12)),
        ("return g(x) def h():", 1, (12, 14)),
        ("return g(y)", 12, None),
        ("g(x)", 12, None),
        ("", 12, None),
    ],
)
def test_a_quote_is_found_where_it_stands(quote: str, near: int, lines: tuple[int, int] | None) -> None:
    assert place(quote, PIECE, near) == lines


def found(*numbers: int, path: str = "a.py") -> list[Finding]:
    return [Finding(path=path, first=n, last=n, quote=f"quote {n}", why=f"why {n}") for n in numbers]


@pytest.mark.parametrize(
    ("text", "shown", "named", "invented"),
    [
        ("So [1].", "So (a.py:7).", 1, 0),
        ("So [1, 2] and [2][1].", "So (a.py:7)(a.py:8) and (a.py:8)(a.py:7).", 2, 0),
        ("So [3].", "So (an invented place).", 0, 1),
        ("So (a.py:8), b.py:3 and a.py:88.", "So (a.py:8), (an invented place) and (an invented place).", 1, 2),
        ("The call args[1] in a.py.", "The call args[1] in a.py.", 0, 0),
    ],
)
def test_an_answer_names_places_that_were_checked_and_no_others(text: str, shown: str, named: int, invented: int) -> None:
    said, places, wrong = cited(text, found(7, 8))
    assert (said, len(places), wrong) == (shown, named, invented)


# The whole


async def test_an_answer_cites_what_was_found_and_every_prompt_begins_alike(
    scripted_server: ScriptedServer, source: Path
) -> None:
    reads(scripted_server, "main.py", times=1)
    scripted_server.when(
        asked(read, "shop.py"), Say({"value": [MAKES]}, usage=Tokens(input=1500, output=50, cached=1024)), times=1
    )
    scripted_server.when(asked(conclude), "It adds the prices up [1].", times=1)
    result = await answer(source)
    assert result.output.text == "It adds the prices up (shop.py:1-2)."
    assert [(one.place, one.why) for one in result.output.cited] == [("shop.py:1-2", "it is a sum")]
    assert (result.output.files, result.output.unread, result.output.dropped, result.output.repaired) == (2, [], 0, 0)
    assert result.usage.cached_tokens == 1024
    first, second = scripted_server.requests[:2]
    assert first.messages[:2] == second.messages[:2]
    assert first.body["response_format"] == second.body["response_format"]
    assert {"ask/look[0]/read", "ask/look[1]/check", "ask/switch/conclude"} <= paths(result.trace)


async def test_the_first_call_goes_alone_so_that_the_others_find_its_prefix_cached(
    scripted_server: ScriptedServer, source: Path
) -> None:
    for number in range(3):
        (source / f"more{number}.py").write_text("x = 1\n")
    scripted_server.when(asked(read), {"value": []}, times=5)
    trace = (await answer(source)).trace
    first, *others = (trace.step(f"ask/look[{index}]/read") for index in range(5))
    assert first.end is not None
    assert all(other.begin is not None and other.begin >= first.end for other in others)


async def test_lies_are_dropped_and_wrong_lines_are_mended(scripted_server: ScriptedServer, source: Path) -> None:
    lie = Quote(first=1, last=1, quote="return prices[0] * len(prices)", why="invented")
    reads(scripted_server, "main.py", Quote(first=90, last=95, quote="print(shop.total([1, 2]))", why="a use"), times=1)
    reads(scripted_server, "shop.py", MAKES, lie, times=1)
    scripted_server.when(asked(conclude), "Used [1], made [2], see also [3] and secret.py:4.", times=1)
    result = (await answer(source)).output
    assert [one.place for one in result.cited] == ["main.py:3", "shop.py:1-2"]
    assert (result.repaired, result.dropped) == (1, 3)
    assert "secret.py" not in result.text
    assert "invented" not in scripted_server.requests[-1].last


async def test_a_tree_without_evidence_costs_no_answer(scripted_server: ScriptedServer, source: Path) -> None:
    scripted_server.when(asked(read), {"value": []}, times=2)
    result = (await answer(source)).output
    assert result.text.startswith("Nothing that was read answers this.")
    assert (result.cited, result.files) == ([], 2)


async def test_an_answer_without_a_citation_says_so(scripted_server: ScriptedServer, source: Path) -> None:
    reads(scripted_server, "main.py", times=1)
    reads(scripted_server, "shop.py", MAKES, times=1)
    scripted_server.when(asked(conclude), "By magic.", times=1)
    assert (await answer(source)).output.text == "By magic.\n(No place in the source backs this.)"


async def test_an_empty_tree_costs_nothing(scripted_server: ScriptedServer, tmp_path: Path) -> None:
    result = await answer(tmp_path)
    assert (result.output.files, result.output.cited, result.usage.requests) == (0, [], 0)


async def test_a_piece_that_cannot_be_read_is_named_and_the_rest_is_answered(
    scripted_server: ScriptedServer, source: Path
) -> None:
    scripted_server.when(asked(read, "main.py"), Refuse(), times=1)
    reads(scripted_server, "shop.py", MAKES, times=1)
    scripted_server.when(asked(conclude), "A sum [1].", times=1)
    result = (await answer(source)).output
    assert result.unread == ["main.py:1-3 (Refused)"]
    assert result.text == "A sum (shop.py:1-2)."


async def test_a_wrong_key_fails_the_run_after_one_call(scripted_server: ScriptedServer, source: Path) -> None:
    scripted_server.when(asked(read), Fail(401, message="Incorrect API key provided."), times=1)
    with pytest.raises(StepFailed, match="401 Incorrect API key") as caught:
        await answer(source)
    assert caught.value.path == "ask/look[0]/read"
    assert len(scripted_server.requests) == 1


async def test_a_small_budget_gives_an_answer_that_says_what_was_not_read(
    scripted_server: ScriptedServer, source: Path
) -> None:
    for number in range(20):
        (source / f"shop{number:02}.py").write_text(TOTAL + "# more\n" * 700)
    scripted_server.when(asked(read), {"value": [MAKES]})
    scripted_server.when(asked(conclude), "A sum [1].", times=1)
    result = await answer(source, budget=Budget(usd="0.008"))
    assert 3 < len(result.output.unread) < 20
    assert all(name.endswith("(BudgetExceeded)") for name in result.output.unread)
    assert result.output.text.startswith("A sum (shop.py:1-2)") or "(shop" in result.output.text
    assert result.usage.usd < 0.008


async def test_where_no_answer_is_written_there_are_the_findings(scripted_server: ScriptedServer, source: Path) -> None:
    reads(scripted_server, "main.py", times=1)
    reads(scripted_server, "shop.py", MAKES, times=1)
    scripted_server.when(asked(conclude), Refuse(), times=1)
    text = (await answer(source)).output.text
    assert text == "No answer was written. What was found:\n- it is a sum (shop.py:1-2)"


# Too many findings


def many(count: int) -> Found:
    return Found(QUESTION, [one.model_copy(update={"quote": "x" * 200}) for one in found(*range(count))])


async def narrowed(found: Found) -> Run[Found]:
    with anyio.fail_after(30):
        return await run(loop(narrow, rounds=10, otherwise=first_batch), found)


async def test_findings_that_fit_one_prompt_are_not_narrowed(scripted_server: ScriptedServer) -> None:
    assert (await narrowed(many(20))).output == many(20)


async def test_too_many_findings_are_picked_from_in_rounds_until_they_fit(scripted_server: ScriptedServer) -> None:
    scripted_server.when(asked(pick), {"value": [2, 2, 1, 999, -1, 0, 3]})
    result = await narrowed(many(900))
    assert 0 < len(result.output.findings) <= 60
    assert {len(one.quote) for one in result.output.findings} == {200}
    assert [one.first for one in result.output.findings[:2]] == [1, 0]
    assert len({path.partition("]")[0] for path in paths(result.trace)}) == 2


async def test_a_batch_that_cannot_be_judged_keeps_its_first_findings(scripted_server: ScriptedServer) -> None:
    scripted_server.when(asked(pick), Refuse())
    result = await narrowed(many(90))
    assert [one.first for one in result.output.findings[:KEPT]] == list(range(KEPT))


async def test_findings_that_no_round_makes_fewer_are_cut_to_one_prompt(scripted_server: ScriptedServer) -> None:
    scripted_server.when(asked(pick), {"value": [1, 2, 3, 4]})
    long = [one.model_copy(update={"path": "p" * 4_000}) for one in many(6).findings]
    assert (await narrowed(Found(QUESTION, long))).output.findings == long[:2]
    assert len(scripted_server.requests) == 30


# Asking again


async def test_the_same_question_again_pays_only_for_what_has_changed(scripted_server: ScriptedServer, source: Path) -> None:
    reads(scripted_server, "main.py")
    reads(scripted_server, "shop.py", MAKES)
    scripted_server.when(asked(conclude), "A sum [1].")
    async with Swarm(cache=MemoryCache()) as swarm:

        async def paid(question: str = QUESTION) -> int:
            return (await swarm.run(ask, question, str(source))).usage.requests

        assert await paid() == 3
        assert await paid() == 0
        (source / "main.py").write_text(PRINTS + "print(2)\n")
        assert await paid() == 1  # the piece that has changed; what was found in it has not, so the answer is there
        assert await paid("And what is printed?") == 3  # the question stands in every prompt
        (source / "new.py").write_text("x = 1\n")
        reads(scripted_server, "new.py")
        assert await paid() == 3  # all pieces, as the names of files stand in every prompt; not the answer


async def test_a_run_that_was_killed_goes_on_and_pays_for_no_piece_twice(
    scripted_server: ScriptedServer, source: Path, tmp_path: Path
) -> None:
    reads(scripted_server, "main.py", times=1)
    scripted_server.when(asked(read, "shop.py"), Hang(), times=1)
    journal = tmp_path / "runs.sqlite"
    with anyio.CancelScope() as scope:
        async with Swarm(journal=journal) as swarm, swarm.stream(ask, QUESTION, str(source)) as events:
            async for event in events:
                if event.kind == "call_started" and "look[1]" in event.path:
                    await arrived(scripted_server, 2)
                    scope.cancel()
    (source / "main.py").write_text("changed")  # the run goes on with what it has read
    reads(scripted_server, "shop.py", MAKES, times=1)
    scripted_server.when(asked(conclude), "A sum [1].", times=1)
    async with Swarm(journal=journal) as swarm:
        result = await swarm.resume("last", ask)
    assert result.output.text == "A sum (shop.py:1-2)."
    assert len([request for request in scripted_server.requests if "main.py\n1|" in request.last]) == 1


async def test_a_run_that_failed_over_its_key_goes_on_with_what_it_has_read(
    scripted_server: ScriptedServer, source: Path, tmp_path: Path
) -> None:
    reads(scripted_server, "main.py", times=1)
    scripted_server.when(asked(read, "shop.py"), Fail(401), times=1)
    journal = tmp_path / "runs.sqlite"
    async with Swarm(journal=journal) as swarm:
        with pytest.raises(StepFailed, match="401"):
            await swarm.run(ask, QUESTION, str(source))
    reads(scripted_server, "shop.py", MAKES, times=1)
    scripted_server.when(asked(conclude), "A sum [1].", times=1)
    async with Swarm(journal=journal) as swarm:
        assert (await swarm.resume("last", ask)).output.text == "A sum (shop.py:1-2)."
    assert len(scripted_server.requests) == 4


# The program


async def test_the_program_prints_the_answer_its_places_and_what_it_cost(
    scripted_server: ScriptedServer, source: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (source / "logo.png").write_bytes(b"\x89PNG\0\0")
    reads(scripted_server, "main.py", times=1)
    reads(scripted_server, "shop.py", MAKES, times=1)
    scripted_server.when(asked(conclude), "A sum [1].", times=1)
    words = [QUESTION, str(source), "--cache", str(tmp_path / "replies.db"), "--journal", str(tmp_path / "runs.sqlite")]
    await main(arguments(words))
    shown = capsys.readouterr().out
    assert shown.startswith("A sum (shop.py:1-2).\n\n  shop.py:1-2  it is a sum\n")
    assert "1 skipped: logo.png (not UTF-8)\n0 not read\n3 calls" in shown
    await main(arguments([*words, "--resume"]))
    assert capsys.readouterr().out.startswith("A sum (shop.py:1-2).")


def test_what_a_model_writes_is_bounded() -> None:
    assert all(agent.settings.max_tokens <= 900 for agent in (read, pick, conclude))

"""Replies to mail: drafts are checked and mended, a person decides, and what is approved goes out once."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from email import message_from_bytes, policy
from pathlib import Path

import pytest

from examples.email import __main__ as program
from examples.email.checks import broken
from examples.email.flow import find_facts, find_question, judge_tone, reply, write
from examples.email.outbox import Outbox
from examples.email.shapes import Asked, Draft, Facts, Outgoing, Rejected, Sent, Thread, Tone
from swarmlet import Agent, Question, StepFailed, Suspended, Swarm
from swarmlet.cli.main import main as swarmlet
from swarmlet.testing import Barrier, ScriptedServer
from tests.examples.steps import asked, paths
from tests.examples.test_main import unbounded

pytestmark = pytest.mark.anyio

DATA = Path(program.__file__).parent / "data"
CHAIRS = Thread.model_validate_json((DATA / "chairs.json").read_bytes())
GOOD = "Hello Mira,\n\nthe chairs are ready on 5 June.\n\nAll the best\nJon"
ROUGH = "Mira, the chairs come on 7 June."
FLAT = "Hello Mira,\n\n5 June.\n\nJon"


@pytest.fixture
def outbox(tmp_path: Path) -> Outbox:
    return Outbox(tmp_path / "outbox")


def read(server: ScriptedServer) -> None:
    """Both must be at work at once."""
    server.when(asked(find_facts), Barrier(2, Facts(facts=["ready on 5 June"], promised=[])), times=1)
    server.when(asked(find_question), Barrier(2, Asked(question="When do the chairs come?")), times=1)


def drafted(server: ScriptedServer, *drafts: tuple[str, int]) -> None:
    for text, points in drafts:
        server.when(asked(write), Draft(text=text), times=1)
        server.when(asked(judge_tone, text), Tone(advice=f"warmer than {points}", points=points), times=1)


def says(*answers: object, heard: list[Question] | None = None) -> Callable[[Question], Awaitable[object]]:
    left = list(answers)

    async def person(question: Question) -> object:
        if heard is not None:
            heard.append(question)
        return left.pop(0)

    return person


def office(outbox: Outbox, people: Callable[[Question], Awaitable[object]] | None = None) -> Swarm:
    return Swarm(journal=outbox.folder.parent / "runs.sqlite", people=people, resources={Outbox: outbox})


def mails(outbox: Outbox) -> list[str]:
    found = sorted(outbox.folder.glob("*")) if outbox.folder.exists() else []
    parsed = [message_from_bytes(file.read_bytes(), policy=policy.default) for file in found]
    return [f"{one['to']}: {one['subject']}\n{one.get_content().strip()}" for one in parsed]


SENT = [f"Mira Sol <mira@hall.example>: Re: 40 chairs for the hall\n{GOOD}"]


# The rules


@pytest.mark.parametrize(
    ("text", "wrong"),
    [
        (GOOD, []),
        ("Good morning Mira,\n\n89 EUR each, as I said.", []),
        ("The chairs are ready.", ["begin with a greeting"]),
        ("Hello Mira,\n\nthey come on Friday 7 June.", ["do not say 7:", "do not say friday:"]),
        ("Hello Mira,\n\nfor you it is 85.50 EUR.", ["do not say 85.50:"]),
        ("Hello Mira,\n\nbest wishes\n[your name]", ["leave no gap to fill in, such as [your name]"]),
        ("Hello Mira,\n\n" + "so " * 150, ["it has 152 words: use at most 150"]),
        (
            "Hello Mira,\n\noak costs us 52 EUR a chair right now.",
            ["do not quote colleagues: 52 eur a chair right"],
        ),
        ("Hello Mira,\n\nin oak a chair is 89 EUR, delivery included.", []),
    ],
)
def test_a_draft_is_checked_by_rules(text: str, wrong: list[str]) -> None:
    found = broken(CHAIRS, text)
    assert [one.startswith(start) for one, start in zip(found, wrong, strict=True)] == [True] * len(wrong)


@pytest.mark.parametrize("path", sorted(DATA.iterdir()), ids=lambda path: path.stem)
def test_the_voice_of_every_example_keeps_the_rules_of_form(path: Path) -> None:
    thread = Thread.model_validate_json(path.read_bytes())
    assert thread.to not in ("", thread.me)
    assert [broken(Thread(subject="", me="", mails=[{"sender": "", "text": mail}]), mail) for mail in thread.voice] == [  # type: ignore[list-item]
        () for _ in thread.voice
    ]


@pytest.mark.parametrize("agent", [find_facts, find_question, write, judge_tone], ids=lambda agent: agent.name)
def test_what_a_model_writes_is_bounded(agent: Agent[..., object]) -> None:
    assert agent.settings.output.format is not None
    assert list(unbounded(agent.settings.output.format.schema)) == []
    assert agent.settings.max_tokens <= 500


# The draft


async def test_a_good_draft_is_shown_to_a_person_and_sent(scripted_server: ScriptedServer, outbox: Outbox) -> None:
    read(scripted_server)
    drafted(scripted_server, (GOOD, 5))
    heard: list[Question] = []
    async with office(outbox, says({"verdict": "send"}, heard=heard)) as swarm:
        result = await swarm.run(reply, CHAIRS)
    assert isinstance(result.output, Sent)
    assert mails(outbox) == SENT
    assert result.usage.requests == 4
    assert (
        heard[0].text
        == f"To Mira Sol <mira@hall.example>, Re: 40 chairs for the hall\n\n{GOOD}\n\n(tone 5 of 5: warmer than 5)"
    )


async def test_what_is_wrong_goes_into_the_next_draft(scripted_server: ScriptedServer, outbox: Outbox) -> None:
    read(scripted_server)
    drafted(scripted_server, (ROUGH, 3), (GOOD, 4))
    async with office(outbox, says({"verdict": "send"})) as swarm:
        result = await swarm.run(reply, CHAIRS)
    assert mails(outbox) == SENT
    drafts = [request.last for request in scripted_server.requests if request.system == write.settings.instructions]
    again = drafts[1]
    assert f"Your last draft:\n{ROUGH}" in again
    assert again.endswith("- do not say 7: the thread does not\n- warmer than 3")
    assert "reply/attempt[1]/decide" in paths(result.trace)


async def test_out_of_rounds_the_best_draft_counts_and_no_tone_outweighs_a_broken_rule(
    scripted_server: ScriptedServer, outbox: Outbox
) -> None:
    read(scripted_server)
    drafted(scripted_server, (ROUGH, 5), (FLAT, 2), (ROUGH + "!", 5))
    heard: list[Question] = []
    async with office(outbox, says({"verdict": "reject", "text": "I write it myself"}, heard=heard)) as swarm:
        result = await swarm.run(reply, CHAIRS)
    assert result.output == Rejected("I write it myself")
    assert FLAT in (heard[0].text or "")
    assert mails(outbox) == []


# The person


async def test_what_a_person_has_edited_is_sent_as_it_is(scripted_server: ScriptedServer, outbox: Outbox) -> None:
    read(scripted_server)
    drafted(scripted_server, (GOOD, 5))
    heard: list[Question] = []
    edited = "Dear Mira,\n\non 5 June, promised.\n\nJon"
    people = says({"verdict": "edit"}, {"verdict": "edit", "text": edited}, heard=heard)
    async with office(outbox, people) as swarm:
        await swarm.run(reply, CHAIRS)
    assert mails(outbox) == [SENT[0].replace(GOOD, edited)]
    assert "an edit needs the text of the mail" in (heard[1].text or "")


async def test_a_mail_that_shall_go_out_changed_is_not_sent_as_it_is(scripted_server: ScriptedServer, outbox: Outbox) -> None:
    read(scripted_server)
    drafted(scripted_server, (GOOD, 5))
    heard: list[Question] = []
    people = says({"verdict": "send", "text": "but not before Monday"}, {"verdict": "reject"}, heard=heard)
    async with office(outbox, people) as swarm:
        await swarm.run(reply, CHAIRS)
    assert mails(outbox) == []
    assert "send takes no text" in (heard[1].text or "")


async def test_nothing_is_sent_before_somebody_has_answered_and_nothing_is_paid_twice(
    scripted_server: ScriptedServer, outbox: Outbox
) -> None:
    read(scripted_server)
    drafted(scripted_server, (GOOD, 5))
    async with office(outbox) as swarm:
        with pytest.raises(Suspended) as caught:
            await swarm.run(reply, CHAIRS)
    assert caught.value.questions == ("reply/approve",)
    assert mails(outbox) == []
    async with office(outbox) as swarm:
        (question,) = await swarm.inbox()
        await swarm.answer(question.run, question.path, {"verdict": "send"}, by="jon")
        result = await swarm.resume(question.run, reply)
        again = await swarm.resume(question.run, reply)
    assert mails(outbox) == SENT
    assert result.usage.requests == again.usage.requests == len(scripted_server.requests) == 4


async def test_a_mail_that_could_not_be_sent_is_sent_by_a_resume_and_nobody_is_asked_again(
    scripted_server: ScriptedServer, outbox: Outbox
) -> None:
    read(scripted_server)
    drafted(scripted_server, (GOOD, 5))
    outbox.folder.write_text("in the way")
    async with office(outbox, says({"verdict": "send"})) as swarm:
        with pytest.raises(StepFailed) as caught:
            await swarm.run(reply, CHAIRS)
    assert caught.value.path == "reply/match/send"
    assert caught.value.run is not None
    outbox.folder.unlink()
    async with office(outbox, says()) as swarm:
        await swarm.resume(caught.value.run.id, reply)
    assert mails(outbox) == SENT


class Dying(Outbox):
    """Sends, and its process dies before that is recorded."""

    def put(self, mail: Outgoing, key: str) -> str:
        super().put(mail, key)
        raise ConnectionError("the process died")


async def test_a_mail_that_went_out_before_a_crash_is_not_sent_again(scripted_server: ScriptedServer, outbox: Outbox) -> None:
    read(scripted_server)
    drafted(scripted_server, (GOOD, 5))
    async with Swarm(
        journal=outbox.folder.parent / "runs.sqlite",
        people=says({"verdict": "send"}),
        resources={Outbox: Dying(outbox.folder)},
    ) as swarm:
        with pytest.raises(StepFailed) as caught:
            await swarm.run(reply, CHAIRS)
    before = [file.stat().st_ino for file in outbox.folder.iterdir()]
    assert caught.value.run is not None
    async with office(outbox) as swarm:
        result = await swarm.resume(caught.value.run.id, reply)
    assert isinstance(result.output, Sent)
    assert mails(outbox) == SENT
    assert [file.stat().st_ino for file in outbox.folder.iterdir()] == before


# The program


def test_the_answer_comes_later_from_the_shell(
    scripted_server: ScriptedServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("SWARMLET_JOURNAL", str(tmp_path / "runs.sqlite"))
    read(scripted_server)
    drafted(scripted_server, (GOOD, 5))
    program.main(["--later"])
    told = capsys.readouterr().out
    answer, resume = (
        line.split()[1:] for line in told.splitlines() if line.startswith(("    swarmlet answer", "    swarmlet res"))
    )
    assert "reply/attempt[0]/judge_tone" in told
    assert swarmlet(["inbox"]) == 0
    assert "send / edit / reject, then text" in capsys.readouterr().out
    assert swarmlet(answer) == 0
    assert swarmlet(resume) == 0
    sent = json.loads(capsys.readouterr().out)
    assert mails(Outbox(tmp_path / "outbox")) == SENT
    assert (tmp_path / "outbox" / sent["file"]).exists()


def test_where_no_terminal_is_nobody_is_there(
    scripted_server: ScriptedServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("SWARMLET_JOURNAL", str(tmp_path / "runs.sqlite"))
    scripted_server.answer_from_schema()
    program.main([str(DATA / "invoice.json")])
    assert "It waits for a person" in capsys.readouterr().out

"""The support chat: it streams, hands over, stays within its window and its bounds, and a person takes over what fails."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager

import anyio
import pytest

from examples.support import __main__ as program
from examples.support import talk as talks
from examples.support.desk import MEMBERS, TEAMS, WINDOW, billing, orders, reception
from examples.support.shop import Shop
from examples.support.talk import TOKENS, Talk, answer
from swarmlet import Agent, Message, Question, Refuse, Swarm
from swarmlet.testing import CallTools, Cut, Fail, Hang, Request, Say, ScriptedServer, call
from swarmlet.trace import CallStarted, Event, TextDelta

pytestmark = pytest.mark.anyio
TO_BILLING = call("hand_to_billing", why="money")
REFUND = call("refund", order=1042, euros=49)


def by(agent: Agent[..., object], text: str = "") -> Callable[[Request], bool]:
    """Whether a request is this member's, with `text` last in it."""
    return lambda request: request.system.startswith(agent.settings.instructions) and text in request.last


async def approves(question: Question) -> bool:
    return True


class Chat:
    """A conversation that is stored between its turns, as a web app does."""

    def __init__(self, swarm: Swarm, shop: Shop) -> None:
        self.swarm, self.shop = swarm, shop
        self.stored = Talk(customer="Ada").model_dump_json()
        self.events: list[Event] = []

    async def say(self, text: str) -> Talk:
        self.events.clear()
        with anyio.fail_after(30):
            talk = await answer(self.swarm, Talk.model_validate_json(self.stored), text, self.events.append)
        self.stored = talk.model_dump_json()
        assert Talk.model_validate_json(self.stored) == talk
        return talk


@asynccontextmanager
async def chatting(people: Callable[[Question], object] = approves) -> AsyncGenerator[Chat, None]:
    shop = Shop()
    async with Swarm(people=people, resources={Shop: shop}) as swarm:
        yield Chat(swarm, shop)


def last(talk: Talk) -> tuple[str, str]:
    return talk.lines[-1].who, talk.lines[-1].text


async def test_a_question_is_handed_over_and_answered_word_by_word(scripted_server: ScriptedServer) -> None:
    handing = CallTools([call("hand_to_orders", why="where is it")], text="One moment.")
    scripted_server.script(handing, call("find_order", order=1043), "It is on its way to you.")
    async with chatting() as chat:
        talk = await chat.say("Where is my order 1043?")
    assert last(talk) == ("orders", "It is on its way to you.")
    assert talk.desk == "orders"
    told = [(event.path, event.text) for event in chat.events if isinstance(event, TextDelta)]
    assert "".join(text for path, text in told if path == "team/reception") == "One moment."
    assert "".join(text for path, text in told if path == "team/orders") == "It is on its way to you."
    assert len(told) > 2
    assert '"status":"sent"' in scripted_server.requests[-1].last


async def test_who_has_answered_has_the_conversation_in_the_next_turn(scripted_server: ScriptedServer) -> None:
    scripted_server.script(call("hand_to_orders", why=""), "Which order?")
    scripted_server.when(by(orders, "1043"), "It is sent.", times=1)
    async with chatting() as chat:
        await chat.say("Where is it?")
        talk = await chat.say("1043")
    assert [line.who for line in talk.lines] == ["Ada", "orders", "Ada", "orders"]
    assert len(scripted_server.requests) == 3


async def test_each_member_has_its_own_tools_and_only_billing_can_pay_back(scripted_server: ScriptedServer) -> None:
    scripted_server.script(TO_BILLING, "Hello.")
    async with chatting() as chat:
        await chat.say("A refund, please.")
    first, second = (set(request.tools) for request in scripted_server.requests)
    assert first == {"hand_to_orders", "hand_to_billing", "hand_to_technical"}
    assert second == {"find_invoice", "refund", "hand_to_reception", "hand_to_orders", "hand_to_technical"}


async def test_a_customer_sees_no_order_of_another(scripted_server: ScriptedServer) -> None:
    scripted_server.script(call("hand_to_orders", why=""), call("find_order", order=2001), "There is no such order.")
    async with chatting() as chat:
        await chat.say("Where is order 2001? I am Grace.")
    assert scripted_server.requests[-1].last == "Error: LookupError: this customer has no order 2001"


async def test_a_refund_is_paid_once_a_person_has_approved_it(scripted_server: ScriptedServer) -> None:
    asked: list[Question] = []

    async def boss(question: Question) -> bool:
        asked.append(question)
        return True

    scripted_server.script(TO_BILLING, call("find_invoice", order=1042), REFUND, "Paid back.", REFUND, "It was already.")
    async with chatting(boss) as chat:
        assert last(await chat.say("My 49 euros for 1042, please.")) == ("billing", "Paid back.")
        assert chat.shop.orders[1042].paid_back == 49
        await chat.say("Again!")
        assert chat.shop.orders[1042].paid_back == 49
    assert [(question.tool, question.arguments) for question in asked] == [("refund", {"order": 1042, "euros": 49})] * 2
    assert "only 0 EUR of order 1042 can be paid back" in scripted_server.requests[-1].last


async def test_a_refund_that_is_refused_is_not_paid_and_the_model_is_told_why(scripted_server: ScriptedServer) -> None:
    async def boss(question: Question) -> Refuse:
        return Refuse("the lamp has not come back")

    scripted_server.script(TO_BILLING, REFUND, "We wait for the lamp.")
    async with chatting(boss) as chat:
        talk = await chat.say("My money!")
    assert chat.shop.orders[1042].paid_back == 0
    assert "a person has refused it: the lamp has not come back" in scripted_server.requests[-1].last
    assert talk.escalation is None


async def test_members_that_hand_over_for_ever_are_stopped(scripted_server: ScriptedServer) -> None:
    scripted_server.script(TO_BILLING, call("hand_to_technical", why=""), TO_BILLING, "I do not know.")
    async with chatting() as chat:
        talk = await chat.say("Hm?")
    assert last(talk) == ("billing", "I do not know.")
    assert not [name for name in scripted_server.requests[-1].tools if name.startswith("hand_to")]


async def test_thirty_long_turns_stay_within_the_window_and_nothing_is_lost(scripted_server: ScriptedServer) -> None:
    scripted_server.answer(lambda request: Say("Well. " * 40))
    talk = Talk(customer="Ada")
    async with chatting() as chat:
        for number in range(30):
            talk = await chat.say(f"Question {number}: " + "why? " * 50)
            started = [event for event in chat.events if isinstance(event, CallStarted)]
            assert all(event.estimated + event.max_tokens <= WINDOW for event in started)
    assert len(talk.lines) == 60
    sent = scripted_server.requests[-1]
    assert talk.chat[:-1] == tuple(Message(**message) for message in sent.messages[2:])
    assert 5 < len(sent.messages) < 40
    kept = [str(message["content"]) for message in sent.messages if message["role"] == "user"]
    assert kept[0].startswith("Question 0:")
    assert kept[-1].startswith("Question 29:")


async def test_a_reply_that_breaks_off_brings_a_person_who_is_told_what_was_done(scripted_server: ScriptedServer) -> None:
    scripted_server.script(TO_BILLING, REFUND, Cut("I have just paid back your money, and", after=4))
    async with chatting() as chat:
        talk = await chat.say("My money!")
        assert talk.escalation is not None
        assert (talk.escalation.why, talk.escalation.done) == ("failure", ("refund: finished",))
        assert "team/billing" in talk.escalation.error
        assert last(talk) == ("desk", talks.SORRY["failure"])
        shown = "".join(event.text for event in chat.events if isinstance(event, TextDelta))
        assert (talk.lines[-2].who, talk.lines[-2].text) == ("cut off", shown)
        assert "I have just paid back your money, and".startswith(shown)
        assert shown
        later = await chat.say("Hello?")
    assert last(later)[1].startswith("A colleague has your case")
    assert len(scripted_server.requests) == 3
    assert talk.tokens > 0


async def test_a_tool_that_fails_is_told_to_the_model_and_the_chat_goes_on(scripted_server: ScriptedServer) -> None:
    scripted_server.script(TO_BILLING, call("refund", order=1042, euros=-5), call("refund", order="x"), "Which order?")
    async with chatting() as chat:
        talk = await chat.say("Money!")
    assert last(talk) == ("billing", "Which order?")
    assert "the arguments do not fit" in scripted_server.requests[-1].last


async def test_a_conversation_that_has_used_its_budget_goes_to_a_person_before_a_call(scripted_server: ScriptedServer) -> None:
    async with chatting() as chat:
        chat.stored = Talk(customer="Ada", tokens=TOKENS - 150).model_dump_json()
        talk = await chat.say("One more thing.")
    assert talk.escalation is not None
    assert talk.escalation.why == "budget"
    assert not scripted_server.requests


async def test_a_turn_that_takes_too_long_goes_to_a_person(
    scripted_server: ScriptedServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(talks, "SECONDS", 0.1)
    scripted_server.answer(lambda request: Hang())  # if it gets there in time
    async with chatting() as chat:
        talk = await chat.say("Hello?")
    assert talk.escalation is not None
    assert (talk.escalation.why, talk.escalation.done) == ("time", ())


async def test_the_program_prints_who_says_what_and_goes_on_from_its_file(
    scripted_server: ScriptedServer, capsys: pytest.CaptureFixture[str], tmp_path: object
) -> None:
    state = anyio.Path(str(tmp_path)) / "talk.json"
    scripted_server.when(by(reception, "1043"), call("hand_to_orders", why="an order"), times=1)
    scripted_server.when(by(orders, "Done."), "It is sent.", times=1)
    scripted_server.when(by(orders, "49 euros"), TO_BILLING, times=1)
    scripted_server.when(by(billing, "Done."), REFUND, times=1)
    scripted_server.when(by(billing, "are paid back"), "You have it.", times=1)
    scripted_server.when(by(billing, "router"), "Restart it.", times=1)
    await program.main(state=state)
    printed = capsys.readouterr().out
    assert "\norders: It is sent.\n" in printed
    assert "[a colleague agrees to refund {'order': 1042, 'euros': 49}]" in printed
    assert "\nbilling: You have it.\n" in printed
    script = anyio.Path(str(tmp_path)) / "lines.txt"
    await script.write_text("Bye!")
    scripted_server.when(by(billing, "Bye!"), "Goodbye.", times=1)
    await program.main(script, state)
    assert "\nyou: Bye!\nbilling: Goodbye.\n" in capsys.readouterr().out
    assert len(Talk.model_validate_json(await state.read_text()).lines) == 8


async def test_the_program_tells_the_colleague_why_and_once(
    scripted_server: ScriptedServer, capsys: pytest.CaptureFixture[str]
) -> None:
    scripted_server.when(by(reception), Fail(401, message="Incorrect \x1b[31mkey"), times=1)
    await program.main()
    said = capsys.readouterr()
    assert said.err.count("[for the colleague: ") == 1
    assert "401" in said.err
    assert "\x1b" not in said.err
    assert said.out.count("A colleague has your case") == 2


def test_what_a_model_writes_is_bounded() -> None:
    assert all(member.settings.max_tokens <= 200 and member.settings.max_turns <= 10 for member in MEMBERS)
    assert set(TEAMS) == {member.name for member in MEMBERS}


def test_each_member_is_told_who_it_talks_with() -> None:
    for member in MEMBERS:
        instructions, house, user = member.render([Message.user("Hello!")], "Ada")
        assert instructions.text == member.settings.instructions
        assert "Ada" in house.text
        assert user.text == "Hello!"

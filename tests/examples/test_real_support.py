"""The support chat with a real model: it streams and stays within its bounds, whatever it says."""

from __future__ import annotations

import pytest

from examples._show import model
from examples.support import talk as talks
from examples.support.desk import TEAMS, WINDOW
from examples.support.shop import Shop
from examples.support.talk import SORRY, Talk, answer
from swarmlet import Question, Swarm
from swarmlet.trace import CallStarted, Event, TextDelta
from tests.examples.real import REAL_MODEL

pytestmark = REAL_MODEL


async def refuses(question: Question) -> bool:
    return False


async def test_a_conversation_of_two_turns(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(talks, "SECONDS", 400.0)  # a shared machine may be slow
    talk, shop, events = Talk(customer="Ada"), Shop(), list[Event]()
    async with Swarm(model=model(), people=refuses, resources={Shop: shop}) as swarm:
        for text in ("Good morning!", "Where is my order 1043?"):
            talk = await answer(swarm, talk, text, events.append)
            talk = Talk.model_validate_json(talk.model_dump_json())
    assert {line.who for line in talk.lines} <= {*TEAMS, "Ada", "desk", "cut off"}
    if talk.escalation is None:  # a small model may call tools so wrongly that its server gives up
        pieces = [event.text for event in events if isinstance(event, TextDelta)]
        assert len(pieces) > 4
        assert [line.who for line in talk.lines[::2]] == ["Ada", "Ada"]
        assert "".join(pieces).endswith(talk.lines[-1].text)
        assert talk.tokens > 0
    else:
        assert SORRY[talk.escalation.why] in {line.text for line in talk.lines}
        assert talk.escalation.error
    assert all(event.estimated + event.max_tokens <= WINDOW for event in events if isinstance(event, CallStarted))
    assert all(order.paid_back == 0 for order in shop.orders.values())

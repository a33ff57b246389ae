"""Routing: the kind of the mail decides which arm runs, and the others do not."""

from __future__ import annotations

import pytest

from examples.route import MAILS, Kind, Mail, Reply, answer, classify, explain, technical
from swarmlet import GraphError, each, run, switch
from swarmlet.testing import Barrier, ScriptedServer
from tests.examples.steps import asked, paths

pytestmark = pytest.mark.anyio


def classified(server: ScriptedServer, kind: Kind) -> None:
    server.when(asked(classify), {"value": kind}, times=1)


async def test_a_billing_mail_is_answered_from_the_ledger(scripted_server: ScriptedServer) -> None:
    classified(scripted_server, "billing")
    scripted_server.when("invoice 2041, 49 EUR, paid", Reply(text="It is paid."), times=1)
    result = await run(answer, MAILS[0])
    assert result.output == Reply(text="It is paid.")
    assert paths(result.trace) == {
        "answer/switch/classify",
        "answer/switch/billing/find_invoice",
        "answer/switch/billing/explain",
    }


@pytest.mark.parametrize("text", ["Where is my refund?", "And invoice 9999?"])
async def test_an_invoice_that_is_not_in_the_ledger_is_unknown(scripted_server: ScriptedServer, text: str) -> None:
    classified(scripted_server, "billing")
    scripted_server.when("unknown", Reply(text="We do not find it."), times=1)
    assert (await run(answer, Mail(sender="Ada", text=text))).output.text == "We do not find it."


async def test_a_technical_mail_goes_to_the_technical_agent(scripted_server: ScriptedServer) -> None:
    classified(scripted_server, "technical")
    scripted_server.when(asked(technical), Reply(text="Restart."), times=1)
    result = await run(answer, MAILS[1])
    assert result.output.text == "Restart."
    assert paths(result.trace) == {"answer/switch/classify", "answer/switch/technical"}


async def test_any_other_mail_costs_one_call_and_goes_to_a_person(scripted_server: ScriptedServer) -> None:
    classified(scripted_server, "other")
    result = await run(answer, MAILS[2])
    assert "Alan" in result.output.text
    assert paths(result.trace) == {"answer/switch/classify", "answer/switch/forward"}
    assert result.usage.requests == 1


async def test_mails_are_routed_side_by_side_and_answered_in_their_order(scripted_server: ScriptedServer) -> None:
    kinds: list[Kind] = ["billing", "technical", "other"]
    for mail, kind in zip(MAILS, kinds, strict=True):
        scripted_server.when(asked(classify, mail.text), Barrier(3, {"value": kind}), times=1)
    scripted_server.when(asked(explain, MAILS[0].text), Barrier(2, Reply(text="paid")), times=1)
    scripted_server.when(asked(technical, MAILS[1].text), Barrier(2, Reply(text="restart")), times=1)
    result = await run(each(answer), MAILS)
    assert [reply.text for reply in result.output[:2]] == ["paid", "restart"]
    assert "answer[2]/switch/forward" in paths(result.trace)


def test_a_kind_without_an_arm_is_an_error_before_anything_runs() -> None:
    with pytest.raises(GraphError, match="other"):
        switch(classify, {"billing": technical, "technical": technical})

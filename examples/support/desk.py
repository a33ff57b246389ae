"""The team that answers. Who has the conversation hands it over by a tool, and the next one sees all that was said."""

from collections.abc import Sequence

from examples.support.shop import find_invoice, find_order, refund, restart
from swarmlet import DropOldest, Message, agent, team, tool

WINDOW = 3_000
"""Tokens of one request, reply included. The model would take 40 times as much; this is for the bill and the first word."""


def _chat(chat: Sequence[Message], customer: str) -> Sequence[Message]:
    house = f"You talk with {customer}. Answer in one or two short sentences. Say only what you know from the chat or a tool."
    return [Message.system(house), *chat]


@agent(str, fit=DropOldest(), window=WINDOW, max_tokens=200, temperature=0)
def reception(chat: Sequence[Message], customer: str) -> Sequence[Message]:
    """You greet customers of a shop, and find out what they need.

    Hand over to orders, billing or technical as soon as you know which. You cannot look anything up yourself.
    """
    return _chat(chat, customer)


@agent(str, tools=[find_order], fit=DropOldest(), window=WINDOW, max_tokens=200, max_turns=5, temperature=0)
def orders(chat: Sequence[Message], customer: str) -> Sequence[Message]:
    """You say where orders are, and what is in them."""
    return _chat(chat, customer)


@agent(
    str,
    tools=[find_invoice, tool(refund, effects=True, approve=True)],
    fit=DropOldest(),
    window=WINDOW,
    max_tokens=200,
    max_turns=5,
    temperature=0,
)
def billing(chat: Sequence[Message], customer: str) -> Sequence[Message]:
    """You deal with invoices and refunds.

    Look the invoice up before you pay anything back. If a refund is refused, say so, and why.
    """
    return _chat(chat, customer)


@agent(str, tools=[restart], fit=DropOldest(), window=WINDOW, max_tokens=200, max_turns=5, temperature=0)
def technical(chat: Sequence[Message], customer: str) -> Sequence[Message]:
    """You help with lamps and routers that do not work."""
    return _chat(chat, customer)


MEMBERS = (reception, orders, billing, technical)
TEAMS = {
    first.name: team(first, *(other for other in MEMBERS if other is not first), handoffs=3)  # in turn, each begins
    for first in MEMBERS
}
"""The team by who has the conversation: the customer goes on talking with whoever has answered last."""

"""Routing: one small call says what kind of input this is, and the specialist for that kind takes over.

When to use it: inputs fall into kinds that want different prompts, different data, or no model at all.

What to look at: the agent `classify` is the key of the `switch`, and its `Literal` is closed, so a kind without an arm is
an error when this file is imported. The arms take the same mail, but each is something else: an agent, a graph that
looks the invoice up first, and plain code. Only the arm that was chosen runs.
"""

import re
from typing import Literal

import anyio
from pydantic import BaseModel, Field

from examples._show import model, print_trace, told
from swarmlet import Swarm, agent, each, graph, node, switch

Kind = Literal["billing", "technical", "other"]


class Mail(BaseModel):
    sender: str
    text: str


class Reply(BaseModel):
    text: str = Field(max_length=280)


class Invoice(BaseModel):
    number: str
    amount: str
    status: Literal["open", "paid", "unknown"]


@agent(Kind, max_tokens=20, temperature=0)
def classify(mail: Mail) -> str:
    """You sort mail by topic: billing, technical or other.

    "My refund has not come": billing. "It stops with an error": technical. "Do you hire?": other.
    """
    return mail.text


@agent(Reply, max_tokens=250, temperature=0)
def technical(mail: Mail) -> str:
    """You are the technical support of an app. You answer in two short sentences."""
    return f"Mail: {mail.text}\n\nName one likely cause, and one thing to try."


@node
def find_invoice(text: str) -> Invoice:
    """Plain code where plain code is enough: no model reads the ledger."""
    ledger = {"2041": Invoice(number="2041", amount="49 EUR", status="paid")}
    found = re.search(r"\b\d{4}\b", text)
    number = found[0] if found else "?"
    return ledger.get(number, Invoice(number=number, amount="?", status="unknown"))


@agent(Reply, max_tokens=250, temperature=0)
def explain(mail: Mail, invoice: Invoice) -> str:
    """You answer a customer in one or two short sentences. Say only what the ledger says."""
    return f"Ledger: invoice {invoice.number}, {invoice.amount}, {invoice.status}.\n\nCustomer: {mail.text}"


@graph
def billing(mail: Mail) -> Reply:
    return explain(mail, find_invoice(mail.text))


@node
def forward(mail: Mail) -> Reply:
    return Reply(text=f"Thank you, {mail.sender}. A colleague will read your mail and answer it today.")


@graph
def answer(mail: Mail) -> Reply:
    return switch(classify, {"billing": billing, "technical": technical, "other": forward})(mail)


MAILS = [
    Mail(sender="Ada", text="Did you get my payment for invoice 2041?"),
    Mail(sender="Grace", text="The app crashes with an error as soon as I open a photo."),
    Mail(sender="Alan", text="I would love to write about your team in our school paper."),
]


async def main() -> None:
    async with Swarm(model=model()) as swarm:
        result = await swarm.run(each(answer), MAILS)
    for mail, reply in zip(MAILS, result.output, strict=True):
        print(f"{mail.sender}: {mail.text}\n  -> {reply.text}")
    print_trace(result.trace)


if __name__ == "__main__":
    with told():
        anyio.run(main)

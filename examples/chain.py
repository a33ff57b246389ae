"""Prompt chaining: a task is cut into small steps, and plain code checks between them.

When to use it: the steps are known beforehand, and each is easier to get right than the whole.

What to look at: `honest` is a gate in plain code. It costs no tokens, and it stands before the last call: text with a
number that the facts do not have is never translated. `switch` then takes the way that the gate says.
"""

import re
from typing import Annotated

import anyio
from pydantic import BaseModel, Field

from examples._show import model, print_trace, told
from swarmlet import Swarm, agent, graph, node, switch


class Product(BaseModel):
    name: str
    facts: list[str]


class Highlights(BaseModel):
    points: list[Annotated[str, Field(max_length=80)]] = Field(min_length=1, max_length=3)


class Copy(BaseModel):
    text: str = Field(max_length=240)


class Page(BaseModel):
    title: str
    english: str
    french: str | None


page = node(Page)


@agent(Highlights, max_tokens=200, temperature=0)
def pick(product: Product) -> str:
    """You pick the facts that matter most to a buyer. Copy them, do not invent any."""
    return f"Facts about {product.name}:\n" + "\n".join(f"- {fact}" for fact in product.facts)


@agent(Copy, max_tokens=200, temperature=0)
def write(name: str, highlights: Highlights) -> str:
    """You write product descriptions of two short sentences."""
    return f"Describe {name}. Use only this:\n" + "\n".join(f"- {point}" for point in highlights.points)


@agent(Copy, max_tokens=250, temperature=0)
def translate(copy: Copy) -> str:
    """You translate from English into French."""
    return f"Translate into French: {copy.text}"


@node
def honest(product: Product, copy: Copy) -> bool:
    """The gate: every number in the text is one of the facts' numbers."""
    return numbers(copy.text) <= numbers(product.name, *product.facts)


def numbers(*texts: str) -> set[str]:
    return {found for text in texts for found in re.findall(r"\d+(?:[.,]\d+)*", text)}


@graph
def publish(product: Product, copy: Copy) -> Page:
    return page(title=product.name, english=copy.text, french=translate(copy).text)


@node
def hold(product: Product, copy: Copy) -> Page:
    """The text is not to be trusted: show the plain facts, and leave the rest to a person."""
    return Page(title=product.name, english=f"{'. '.join(product.facts)}.", french=None)


@graph
def describe(product: Product) -> Page:
    copy = write(product.name, pick(product))
    return switch(honest, {True: publish, False: hold})(product, copy)


LAMP = Product(
    name="Lumo desk lamp",
    facts=["Battery lasts 12 hours", "Weighs 640 g", "Charges by USB-C in 2 hours", "Made of recycled aluminium"],
)


async def main() -> None:
    async with Swarm(model=model()) as swarm:
        result = await swarm.run(describe, LAMP)
    print(result.output.model_dump_json(indent=2))
    print_trace(result.trace)


if __name__ == "__main__":
    with told():
        anyio.run(main)

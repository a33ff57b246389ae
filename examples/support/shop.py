"""A small shop in memory, and what the desk's tools do in it."""

from dataclasses import dataclass, field
from typing import Annotated, Literal

from pydantic import BaseModel, Field

from swarmlet import current


@dataclass(frozen=True)
class Customer:
    """Who is signed in. The app says it, from its session; a model has no say in it."""

    name: str


class Order(BaseModel):
    number: int
    customer: str
    item: str
    euros: int
    status: Literal["packed", "sent", "delivered"]
    paid_back: int = 0


def _stock() -> dict[int, Order]:
    orders = [
        Order(number=1042, customer="Ada", item="Lumo desk lamp", euros=49, status="delivered"),
        Order(number=1043, customer="Ada", item="Halo router", euros=89, status="sent"),
        Order(number=2001, customer="Grace", item="Lumo floor lamp", euros=120, status="packed"),
    ]
    return {order.number: order for order in orders}


@dataclass
class Shop:
    orders: dict[int, Order] = field(default_factory=_stock)
    restarted: list[str] = field(default_factory=list[str])


async def find_order(order: int) -> Order:
    """Look up one of the customer's orders: what it is, what it cost, where it is."""
    found = current().get(Shop).orders.get(order)
    if found is None or found.customer != current().get(Customer).name:
        raise LookupError(f"this customer has no order {order}")
    return found


async def find_invoice(order: int) -> str:
    """Look up the invoice of one of the customer's orders."""
    found = await find_order(order)
    return f"Invoice {found.number}: {found.item}, {found.euros} EUR, paid; {found.paid_back} EUR of it paid back."


async def restart(device: Literal["lamp", "router"]) -> str:
    """Restart one of the customer's devices over the network."""
    current().get(Shop).restarted.append(device)
    return f"The {device} has restarted."


async def refund(order: int, euros: Annotated[int, Field(ge=1)]) -> str:
    """Pay back some or all of what an order has cost."""
    found = await find_order(order)
    if found.paid_back + euros > found.euros:
        raise ValueError(f"only {found.euros - found.paid_back} EUR of order {order} can be paid back")
    found.paid_back += euros
    return f"{euros} EUR for order {order} are paid back."

"""Receipts: what adds up is accepted, what does not is read again, voted on, and then left to a person."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any, TypeAlias

import pytest

from examples.receipts.__main__ import DATA, load, main
from examples.receipts.checks import doubts, figures
from examples.receipts.flow import read, receipts
from examples.receipts.shapes import (
    Accepted,
    Discount,
    Doubt,
    ForPerson,
    Line,
    NotAReceipt,
    Reading,
    Receipt,
    Scan,
    Tax,
    Verdict,
)
from swarmlet import Budget, Failed, Image, Run, StepFailed, Swarm, run
from swarmlet.testing import Barrier, Fail, Refuse, Request, ScriptedServer
from swarmlet.trace import Journal
from tests.examples.test_main import unbounded

pytestmark = pytest.mark.anyio

Row: TypeAlias = tuple[str, str] | tuple[str, str, str, str]


def line(name: str, amount: str, quantity: str | None = None, price: str | None = None) -> Line:
    return Line.model_validate({"name": name, "amount": amount, "quantity": quantity, "unit_price": price})


def reading(shop: str, day: str, currency: str, total: str, *rows: Row, tip: str = "0") -> Receipt:
    return Receipt(
        shop=shop,
        day=date.fromisoformat(day),
        currency=currency,
        lines=[line(*row) for row in rows],
        discounts=[],
        taxes=[],
        tip=Decimal(tip),
        total=Decimal(total),
    )


def taken(receipt: Receipt, *discounts: str, taxes: tuple[tuple[str, str | None, str], ...] = ()) -> Receipt:
    off = [Discount(name="offer", amount=Decimal(one)) for one in discounts]
    due = [Tax.model_validate({"percent": percent, "net": net, "amount": amount}) for percent, net, amount in taxes]
    return receipt.model_copy(update={"discounts": off, "taxes": due})


MARKET = taken(
    reading(
        "Greenleaf Market",
        "2025-03-14",
        "GBP",
        "25.50",
        ("Oat milk 1 l", "3.70", "2", "1.85"),
        ("Bananas", "1.14"),
        ("Loaf", "2.20"),
        ("Cheddar", "4.50"),
        ("Tomatoes", "1.95"),
        ("Coffee", "6.99"),
        ("Oil", "7.25"),
    ),
    "1.50",
    "0.73",
)
INN = taken(
    reading(
        "Gasthaus Lindenhof",
        "2025-06-21",
        "EUR",
        "70.00",
        ("Schnitzel", "39.00", "2", "19.50"),
        ("Salad", "5.20"),
        ("Strudel", "6.80"),
        ("Beer", "9.80", "2", "4.90"),
        ("Coffee", "3.60"),
        tip="5.60",
    ),
    taxes=(("10", "46.36", "4.64"), ("20", "11.17", "2.23")),
)
BAKERY = taken(
    reading(
        "Bäckerei Sonnenkorn",
        "2025-05-02",
        "EUR",
        "53.80",
        ("Roggenbrot", "4.80"),
        ("Brezel", "5.70", "6", "0.95"),
        ("Milchkaffee", "6.80", "2", "3.40"),
        ("Torte", "38.50"),
    ),
    "-2.00",
    taxes=(("7", "43.93", "3.07"), ("19", "5.71", "1.09")),
)
REFUND = taken(
    reading("Halden Sport", "2025-01-10", "EUR", "-102.40", ("Shoes", "-89.90", "-1", "89.90"), ("Socks", "-12.50")),
    taxes=(("19", None, "-16.35"),),
)
HARDWARE = taken(
    reading(
        "Bolt & Beam",
        "2025-02-27",
        "USD",
        "36.44",
        ("Bolt", "12.75", "3", "4.25"),
        ("Gloves", "9.99"),
        ("Lamp", "13.00", "2", "6.50"),
    ),
    "2.00",
    taxes=(("8", None, "2.70"),),
)
FADED = reading(
    "Corner Hardware",
    "2024-11-08",
    "GBP",
    "18.55",
    ("Screws", "3.20"),
    ("Sandpaper", "4.00", "5", "0.80"),
    ("Brush", "6.45"),
    ("Spirit", "5.90"),
)
KIOSK = reading(
    "Kiosk am Hafen", "2025-07-19", "EUR", "20.20", ("Postkarte", "4.80", "4", "1.20"), ("Eis", "2.90"), ("Sonnenhut", "12.50")
)
NOTICE = NotAReceipt(what="a notice of a water company")
RIGHT = {
    "supermarket.txt": MARKET,
    "restaurant.txt": INN,
    "baeckerei.txt": BAKERY,
    "refund.txt": REFUND,
    "hardware.txt": HARDWARE,
    "kiosk.png": KIOSK,
}


def scan(name: str) -> Scan:
    return load(DATA / name).model_copy(update={"received": date(2025, 8, 1)})


def asked(scan: Scan, how: str) -> Callable[[Request], bool]:
    """Whether a request is the first reading of a receipt (`read`), the second (`again`), or one of a vote (`sample`)."""

    given = scan.content.url if isinstance(scan.content, Image) else f"Receipt:\n\n{scan.content}"

    def matches(request: Request) -> bool:
        content = request.messages[-1]["content"]
        parts: list[Any] = [{"text": content}] if isinstance(content, str) else content  # Any: JSON
        first, *more = parts
        told = first.get("text") or first["image_url"]["url"]
        kind = "sample" if request.body["temperature"] else "again" if more else "read"
        return bool(told == given) and kind == how

    return matches


def answered(server: ScriptedServer, scan: Scan, *readings: Reading) -> None:
    for how, value in zip(("read", "again"), readings, strict=False):
        server.when(asked(scan, how), value, times=1)
    for value in readings[2:]:
        server.when(asked(scan, "sample"), value, times=1)


async def read_one(scan: Scan, **budget: int) -> Run[list[Verdict | Failed]]:
    return await run(receipts.with_options(budget=Budget(usd="1", **budget)), [scan])


# The arithmetic


@pytest.mark.parametrize("name", RIGHT)
def test_a_right_reading_of_an_example_leaves_no_doubt(name: str) -> None:
    assert doubts(RIGHT[name], scan(name)) == ()


def changed(receipt: Receipt, **changes: object) -> Receipt:
    return receipt.model_copy(update=changes)


@pytest.mark.parametrize(
    ("receipt", "of", "found"),
    [
        (FADED, "faded.txt", [Doubt("sum", "lines, discounts and tip come to 19.55, but the total is 18.55")]),
        (changed(FADED, total=Decimal("19.55")), "faded.txt", [Doubt("print", "19.55 is not printed on it")]),
        (
            changed(KIOSK, lines=[line("Postkarte", "4.80", "4", "1.30"), *KIOSK.lines[1:]]),
            "kiosk.png",
            [Doubt("line", "Postkarte: 4 x 1.30 is 5.20, not 4.80")],
        ),
        (changed(KIOSK, day=None), "kiosk.png", [Doubt("day", "there is no date")]),
        (
            changed(KIOSK, day=date(2052, 7, 19)),
            "kiosk.png",
            [Doubt("day", "2052-07-19 is no date for a receipt that came in on 2025-08-01")],
        ),
        (
            taken(BAKERY, "2.00", taxes=(("7", "43.93", "8.35"),)),
            "baeckerei.txt",
            [Doubt("tax", "7 % of 43.93 is 3.08, not 8.35")],
        ),
        (taken(HARDWARE, taxes=(("8", None, "3.60"),)), "hardware.txt", ["sum", "tax"]),
    ],
)
def test_what_does_not_add_up_is_doubted(receipt: Receipt, of: str, found: list[Doubt | str]) -> None:
    there = doubts(receipt, scan(of))
    assert [doubt if isinstance(wanted, Doubt) else doubt.about for doubt, wanted in zip(there, found, strict=True)] == found


def test_readings_agree_by_their_figures_and_not_by_their_words() -> None:
    other = changed(MARKET, shop="GREENLEAF", lines=list(reversed(MARKET.lines)), total=Decimal("25.5"))
    assert figures(other) == figures(MARKET)
    assert figures(changed(MARKET, total=Decimal("25.51"))) != figures(MARKET)
    assert figures(NOTICE) == figures(NotAReceipt(what="a letter"))


def test_what_a_model_writes_is_bounded() -> None:
    assert read.settings.output.format is not None
    loose = [known for known in unbounded(read.settings.output.format.schema) if known != {"format": "date", "type": "string"}]
    assert loose == []


# The flow


async def test_receipts_are_read_side_by_side_and_what_adds_up_costs_one_call(scripted_server: ScriptedServer) -> None:
    scans = [scan(name) for name in RIGHT]
    for one, right in zip(scans, RIGHT.values(), strict=True):
        scripted_server.when(asked(one, "read"), Barrier(len(scans), right), times=1)
    result = await run(receipts, scans)
    assert result.output == [Accepted(right) for right in RIGHT.values()]
    assert result.usage.requests == len(scans)


async def test_a_picture_is_sent_as_it_is(scripted_server: ScriptedServer) -> None:
    kiosk = scan("kiosk.png")
    answered(scripted_server, kiosk, KIOSK)
    await read_one(kiosk)
    (part,) = scripted_server.requests[0].messages[-1]["content"]
    assert part["image_url"]["url"].startswith("data:image/png;base64,iVBOR")


async def test_a_picture_is_in_the_journal_once_however_often_it_is_read(
    scripted_server: ScriptedServer, tmp_path: Path
) -> None:
    kiosk = scan("kiosk.png")
    slip = changed(KIOSK, total=Decimal("20.70"))
    answered(scripted_server, kiosk, slip, slip, slip, KIOSK, KIOSK)
    scripted_server.when(asked(kiosk, "sample"), KIOSK)
    async with Swarm(journal=tmp_path / "runs.sqlite") as swarm:
        result = await swarm.run(receipts, [kiosk])
    assert len(scripted_server.requests) >= 6
    assert result.trace.step("receipt[0]/attempt/settle/settled").state == "finished"
    letters = Image.read(DATA / "kiosk.png").url[-400:]
    assert "".join(Journal(tmp_path / "runs.sqlite").export(result.id)).count(letters) == 1


async def test_a_doubtful_receipt_is_read_again_with_what_does_not_add_up(scripted_server: ScriptedServer) -> None:
    market = scan("supermarket.txt")
    slip = changed(MARKET, discounts=MARKET.discounts[:1])
    answered(scripted_server, market, slip, MARKET)
    result = await read_one(market)
    doubt = Doubt("sum", "lines, discounts and tip come to 26.23, but the total is 25.50")
    assert result.output == [Accepted(MARKET, (doubt,))]
    again = scripted_server.requests[1]
    assert again.messages[0] == scripted_server.requests[0].messages[0]
    assert f"- {doubt.text}\n" in again.last


async def test_readings_that_stay_in_doubt_are_voted_on_and_the_majority_ends_the_vote(scripted_server: ScriptedServer) -> None:
    inn = scan("restaurant.txt")
    slip = changed(INN, tip=Decimal(0))
    answered(scripted_server, inn, slip, slip, INN, INN, INN)
    result = await read_one(inn)
    (verdict,) = result.output
    assert isinstance(verdict, Accepted)
    assert verdict.receipt == INN
    assert [doubt.about for doubt in verdict.doubted] == ["sum"]
    assert result.usage.requests == 5


async def test_what_is_misprinted_is_for_a_person_also_where_all_readings_agree(scripted_server: ScriptedServer) -> None:
    faded = scan("faded.txt")
    answered(scripted_server, faded, *[FADED] * 5)
    result = await read_one(faded)
    assert result.output == [ForPerson(FADED, doubts(FADED, faded))]


async def test_without_a_majority_it_is_for_a_person(scripted_server: ScriptedServer) -> None:
    faded = scan("faded.txt")
    others = [changed(FADED, total=Decimal(total)) for total in ("13.55", "16.55", "19.55", "18.00")]
    answered(scripted_server, faded, FADED, FADED, *others)
    scripted_server.when(asked(faded, "sample"), FADED)  # which may be asked for, and cannot win any more
    result = await read_one(faded)
    assert result.output == [ForPerson(FADED, doubts(FADED, faded))]
    assert (
        result.trace.step("receipt[0]/attempt/settle/sample").decisions[0].chosen
        == "receipt[0]/attempt/settle/sample/~last_reading"
    )


async def test_no_receipt_is_none_after_one_call(scripted_server: ScriptedServer) -> None:
    notice = scan("notice.txt")
    answered(scripted_server, notice, NOTICE)
    assert (await read_one(notice)).output == [NOTICE]


async def test_a_receipt_that_the_model_refuses_does_not_harm_the_others(scripted_server: ScriptedServer) -> None:
    scans = [scan("refund.txt"), scan("hardware.txt")]
    scripted_server.when(asked(scans[0], "read"), Refuse("I would rather not."), times=1)
    answered(scripted_server, scans[1], HARDWARE)
    failed, verdict = (await run(receipts, scans)).output
    assert isinstance(failed, Failed)
    assert failed.type == "Refused"
    assert verdict == Accepted(HARDWARE)


async def test_a_wrong_key_ends_the_run(scripted_server: ScriptedServer) -> None:
    scripted_server.when(lambda request: True, Fail(401, message="Incorrect API key provided."), times=1)
    with pytest.raises(StepFailed, match="401 Incorrect API key"):
        await run(receipts, [scan("refund.txt")])


async def test_where_the_budget_ends_what_was_read_is_kept(scripted_server: ScriptedServer) -> None:
    scans = [scan(name) for name in RIGHT]
    for one, right in zip(scans, RIGHT.values(), strict=True):
        scripted_server.when(asked(one, "read"), right)
    result = await run(receipts.with_options(budget=Budget(requests=2)), scans)
    failed = [verdict for verdict in result.output if isinstance(verdict, Failed)]
    assert {one.type for one in failed} == {"BudgetExceeded"}
    assert len([verdict for verdict in result.output if isinstance(verdict, Accepted)]) == len(scans) - len(failed) == 2


async def test_a_budget_that_has_nothing_left_for_the_vote_leaves_it_to_a_person(scripted_server: ScriptedServer) -> None:
    faded = scan("faded.txt")
    answered(scripted_server, faded, FADED, FADED)
    result = await read_one(faded, requests=2)
    assert result.output == [ForPerson(FADED, doubts(FADED, faded))]
    assert result.usage.requests == 2


# The program


def test_the_program_prints_a_table_and_the_trace(
    scripted_server: ScriptedServer, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("EXAMPLE_MODEL", "gpt-6-luna")
    faded, notice, market, refund = (load(DATA / name) for name in ("faded.txt", "notice.txt", "supermarket.txt", "refund.txt"))
    answered(scripted_server, faded, *[FADED] * 5)
    answered(scripted_server, notice, NOTICE)
    answered(scripted_server, market, changed(MARKET, discounts=[]), MARKET)
    scripted_server.when(asked(refund, "read"), Refuse("no"), times=1)
    main([str(DATA / one.name) for one in (faded, notice, market, refund)])
    table, _, steps = capsys.readouterr().out.partition("\n\n")
    rows = table.splitlines()[1:]
    assert [row.split()[0] for row in rows] == ["faded.txt", "notice.txt", "supermarket.txt", "refund.txt"]
    assert rows[0].endswith("lines, discounts and tip come to 19.55, but the total is 18.55")
    assert "18.55 GBP  for a person      5" in rows[0]
    assert "no receipt        1" in rows[1]
    assert "25.50 GBP  accepted          2" in rows[2]
    assert rows[2].endswith("  sum")
    assert rows[3].endswith("  Refused")
    assert "receipt[0]/attempt/settle/settled" in steps

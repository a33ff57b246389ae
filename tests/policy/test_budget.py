"""`Budget` takes limits that mean something and refuses the others by name."""

from __future__ import annotations

import math
import pickle
from decimal import Decimal, localcontext
from typing import Any, cast

import pytest

from swarmlet.errors import BudgetExceeded, GraphError, RunError
from swarmlet.policy.budget import Budget

COUNTS = ["tokens", "input_tokens", "output_tokens", "requests"]


def refusal(**limits: object) -> str:
    make = cast("Any", Budget)  # Any: these calls are what a checker would refuse
    with pytest.raises(GraphError) as caught:
        make(**limits)
    return str(caught.value)


def test_limits_are_those_that_are_set() -> None:
    budget = Budget(tokens=60_000, usd="0.02", seconds=30)
    assert budget.limits == {"tokens": 60_000, "usd": Decimal("0.02")}


def test_it_is_shown_as_one_would_write_it() -> None:
    shown = repr(Budget(tokens=60_000, usd="0.0000001", seconds=30))
    assert shown == "Budget(tokens=60000, usd='0.0000001', seconds=30)"
    assert eval(shown) == Budget(tokens=60_000, usd="0.0000001", seconds=30)


@pytest.mark.parametrize(
    ("given", "kept"),
    [("0.02", "0.02"), (" 0.020 ", "0.02"), ("2e-2", "0.02"), (Decimal("0.02"), "0.02"), (3, "3")],
)
def test_usd_is_kept_as_the_exact_decimal(given: str | Decimal | int, kept: str) -> None:
    budget = Budget(usd=given)
    assert isinstance(budget.usd, Decimal)
    assert budget.usd == Decimal(kept)
    assert budget == Budget(usd=kept)
    assert hash(budget) == hash(Budget(usd=kept))


def test_usd_is_exact_whatever_precision_the_application_has_set() -> None:
    with localcontext(prec=2):
        assert Budget(usd="1.23456789").usd == Decimal("1.23456789")


def test_a_float_of_money_is_told_to_be_a_string() -> None:
    assert refusal(usd=0.02) == "Budget(usd=) is exact: give it as a string, usd='0.02', and not as the float 0.02"


@pytest.mark.parametrize(
    "value", ["", "much", "1,50", "$2", "NaN", "sNaN", "inf", "-1", "0", 0, -3, Decimal("NaN"), True, b"1", []]
)
def test_what_is_no_amount_of_money_is_refused(value: object) -> None:
    message = refusal(usd=value)
    assert message.startswith("Budget(usd=) is ")
    assert repr(value) in message


@pytest.mark.parametrize("value", ["1e16", "1e999999", "1e-31", "1e-999999"])
def test_money_has_a_sane_size(value: str) -> None:
    assert "below 10**16 and has at most 30 decimal places" in refusal(usd=value)


@pytest.mark.parametrize("name", COUNTS)
@pytest.mark.parametrize("value", [0, -1, 1.0, math.nan, "10", True, Decimal(5)])
def test_counts_are_whole_numbers_from_1(name: str, value: object) -> None:
    assert refusal(**{name: value}) == (
        f"Budget({name}=) is a whole number of at least 1, not {value!r}; leave it out for no limit"
    )


@pytest.mark.parametrize("name", COUNTS)
def test_the_smallest_count_is_1(name: str) -> None:
    make = cast("Any", Budget)  # Any: the name of the argument is data here
    assert make(**{name: 1}).limits == {name: 1}


@pytest.mark.parametrize("value", [0, -1, math.nan, math.inf, -math.inf, "3", True])
def test_seconds_are_finite_and_above_0(value: object) -> None:
    assert refusal(seconds=value).startswith("Budget(seconds=) is a finite number above 0, not ")


def test_seconds_alone_are_a_budget() -> None:
    assert Budget(seconds=0.5).limits == {}


def test_a_budget_without_a_limit_is_refused() -> None:
    assert refusal() == (
        "Budget() limits nothing: set at least one of tokens=, input_tokens=, output_tokens=, requests=, usd= or seconds="
    )


def test_budgets_do_not_change() -> None:
    budget = cast("Any", Budget(tokens=5))  # Any: assigning is what a checker would refuse
    with pytest.raises(AttributeError):
        budget.tokens = 6


def test_budgets_survive_pickling() -> None:
    budget = Budget(tokens=5, usd="0.1")
    assert pickle.loads(pickle.dumps(budget)) == budget


def test_exceeding_says_what_ran_out_where_and_what_to_do() -> None:
    error = BudgetExceeded("solve/write", "usd", Decimal("0.02"), Decimal("0.0199"), Decimal("0.0000003"), "solve")
    assert isinstance(error, RunError)
    assert (error.path, error.kind, error.scope) == ("solve/write", "usd", "solve")
    assert str(error) == (
        "step 'solve/write' does not fit the budget of 'solve': usd=0.02, of which 0.0199 is used, and the next call needs "
        "0.0000003. Give 'solve' a larger usd= or a smaller max_tokens=, or take what is finished: within(node, budget)"
    )


def test_a_smaller_reply_is_not_advised_against_a_limit_on_requests() -> None:
    assert "max_tokens" not in str(BudgetExceeded("a", "requests", 3, 3, 1, "a"))
    assert "max_tokens" in str(BudgetExceeded("a", "tokens", 300, 250, 60, "a"))


def test_exceeding_survives_pickling() -> None:
    error = BudgetExceeded("solve/write", "tokens", 10, 8, 3, "solve")
    copy = pickle.loads(pickle.dumps(error))
    assert str(copy) == str(error)

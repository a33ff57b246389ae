"""The pure limiter: no window is ever exceeded, nobody starves, and it learns what the server says. No clock, no loop."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby, pairwise
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from swarmlet.errors import GraphError
from swarmlet.policy.pace import Allowance, Pace, Ticket
from swarmlet.policy.queue import AGING
from swarmlet.policy.ratelimit_headers import Figure, Reading, parse_seconds, read_headers
from swarmlet.policy.window import STEADY, Gauge, Window


def headers(kind: str = "requests", limit: float = 600, remaining: float = 599, reset: str = "100ms") -> dict[str, str]:
    return {
        f"x-ratelimit-limit-{kind}": f"{limit:g}",
        f"x-ratelimit-remaining-{kind}": f"{remaining:g}",
        f"x-ratelimit-reset-{kind}": reset,
    }


def pace_of(*requests: Window, tokens: Sequence[Window] = (), concurrency: int = 10_000, seed: int = 0) -> Pace:
    allowance = Allowance(requests=requests, tokens=tuple(tokens), concurrency=concurrency, first=concurrency)
    return Pace(allowance, random=Random(seed))


def play(pace: Pace, now: float, until: float) -> list[tuple[float, Ticket]]:
    """Sleep exactly as long as the pace says, and tell when each went; a call ends as soon as it went."""
    went: list[tuple[float, Ticket]] = []
    for ticket in pace.due(now):
        went.append((now, ticket))
    while (at := pace.next_at(now)) is not None and at <= until:
        now = at
        for ticket in pace.due(now):
            went.append((now, ticket))
    return went


def worst(log: Sequence[tuple[float, float]], seconds: float) -> float:
    """The most that any window of this length holds, its end not counted."""
    most = total = 0.0
    first = 0
    for at, amount in log:
        total += amount
        while log[first][0] <= at - seconds:
            total -= log[first][1]
            first += 1
        most = max(most, total)
    return most


def end(pace: Pace, now: float, ticket: Ticket, part: float, what: str) -> float | None:
    """End a call in this way, or not at all; gives the tokens that the server counted, if it saw the call."""
    used = float(int(ticket.tokens * part))
    match what:
        case "unsent":
            pace.cancel(now, ticket)
            return None
        case "refuse":
            pace.refused(now, 1.0, ticket)
            pace.cancel(now, ticket, sent=True)
        case "headers":
            pace.observe(now, headers("requests", 1000, 900) | headers("tokens", 1000, 950), ticket)
            pace.settle(now, ticket, used)
        case "end":
            pace.settle(now, ticket, used)
        case _:
            pass
    return ticket.tokens if what in ("hold", "refuse") else used


# --- windows

_windows = st.builds(
    Window,
    st.integers(1, 400),
    st.sampled_from([1.0, 10.0, 60.0, 300.0, 3600.0]),
    st.one_of(st.none(), st.floats(1, 400)),
)


@settings(max_examples=150, deadline=None)
@given(
    requests=st.lists(_windows, max_size=2, unique_by=lambda window: window.seconds),
    tokens=st.lists(_windows, max_size=2, unique_by=lambda window: window.seconds),
    start=st.floats(0, 1e6),
    calls=st.lists(
        st.tuples(
            st.floats(0, 30) | st.just(0.0),  # seconds until the next thing happens
            st.integers(0, 60),  # tokens reserved
            st.floats(0, 1),  # the part of them that is used
            st.sampled_from(["end", "end", "end", "hold", "unsent", "refuse", "headers"]),
        ),
        max_size=80,
    ),
)
def test_no_window_is_ever_exceeded(
    requests: list[Window],
    tokens: list[Window],
    start: float,
    calls: list[tuple[float, int, float, str]],
) -> None:
    pace = pace_of(*requests, tokens=tokens)
    smallest = min((window.amount for window in tokens), default=60)
    plans: dict[Ticket, tuple[float, str]] = {}
    log: list[tuple[float, float]] = []
    now = start

    def went(ticket: Ticket) -> None:
        used = end(pace, now, ticket, *plans[ticket])
        if used is not None:
            log.append((now, used))

    def advance(until: float) -> None:
        nonlocal now
        while (at := pace.next_at(now)) is not None and at <= until:
            now = max(now, at)
            for ticket in pace.due(now):
                went(ticket)
        now = until

    for delay, size, part, what in calls:
        ticket = pace.admit(now, min(size, smallest), run="ab"[size % 2])
        plans[ticket] = (part, what)
        if ticket.granted:
            went(ticket)
        advance(now + delay)
    advance(now + 1e7)

    assert pace.waiting == 0, "everyone went in the end"
    sent = [(at, 1.0) for at, _ in log]
    for windows, charged in ((requests, sent), (tokens, log)):
        for window in windows:
            assert worst(charged, window.seconds) <= window.amount + 1e-6


@settings(max_examples=50, deadline=None)
@given(window=_windows, start=st.floats(0, 1e6))
def test_a_busy_caller_gets_what_is_allowed_but_for_a_few_percent(window: Window, start: float) -> None:
    pace = pace_of(window)
    tickets = [pace.admit(start, 0) for _ in range(int(window.amount * 4))]

    went = play(pace, start, start + 4 * window.seconds / STEADY * 66 / 64)

    assert all(ticket.granted for ticket in tickets)
    assert worst([(start, len(tickets) - len(went)), *((at, 1) for at, _ in went)], window.seconds) <= window.amount


def test_a_wait_is_exact_before_it_nothing_goes_and_after_it_something_does() -> None:
    pace = pace_of(Window(60), tokens=[Window(6000)])
    for _ in range(200):
        pace.admit(0.0, 90)
    now = 0.0
    for _ in range(100):
        at = pace.next_at(now)
        assert at is not None
        assert pace.due(at - 1e-5) == []
        assert pace.due(at) != []
        now = at


def test_ten_in_five_minutes() -> None:
    pace = pace_of(Window(10, 300))
    for _ in range(25):
        pace.admit(0.0, 0)

    times = [at for at, _ in [(0.0, None), *play(pace, 0.0, 2000)]]

    assert worst([(at, 1) for at in times], 300) <= 10
    assert times[-1] < 25 / 10 * 300 * 1.05


def test_a_day_s_quota_may_be_used_at_once() -> None:
    pace = pace_of(Window(1000, 86400))

    assert all(pace.admit(0.0, 0).granted for _ in range(1000))
    assert not pace.admit(0.0, 0).granted


def test_a_call_larger_than_the_burst_goes_when_the_bucket_is_full_and_one_larger_than_the_window_when_it_is_empty() -> None:
    pace = pace_of(tokens=[Window(6000)])
    assert pace.admit(0.0, 5000).granted, "the burst is 1000, and nothing else goes"
    assert not pace.admit(0.0, 1000).granted
    huge = pace.admit(0.0, 50_000)

    (first, second) = play(pace, 0.0, 1000)

    assert second[1] is huge
    assert second[0] - first[0] >= 60


def test_what_was_reserved_and_not_used_comes_back() -> None:
    pace = pace_of(tokens=[Window(60, burst=60)])
    first = pace.admit(0.0, 60)
    second = pace.admit(0.0, 50)
    assert not second.granted

    pace.settle(1.0, first, 5)

    assert pace.due(1.0) == [second]


def test_more_than_was_reserved_is_charged_too() -> None:
    pace = pace_of(tokens=[Window(60, burst=60)])
    pace.settle(0.0, pace.admit(0.0, 10), 60)

    assert not pace.admit(0.0, 10).granted


def test_a_call_that_never_went_out_gives_back_all_and_one_that_did_gives_back_nothing() -> None:
    pace = pace_of(Window(2, burst=2))
    first, second = pace.admit(0.0, 0), pace.admit(0.0, 0)
    third, fourth = pace.admit(0.0, 0), pace.admit(0.0, 0)

    pace.cancel(0.0, first, sent=False)
    pace.cancel(0.0, first, sent=False)
    pace.cancel(0.0, second, sent=True)

    assert pace.due(0.0) == [third]
    assert not fourth.granted
    pace.cancel(0.0, fourth)
    assert (pace.waiting, pace.in_flight) == (0, 1)


def test_calls_in_flight_are_bounded() -> None:
    pace = pace_of(Window(1000, burst=1000), concurrency=3)
    tickets = [pace.admit(0.0, 0) for _ in range(5)]

    assert [ticket.granted for ticket in tickets] == [True, True, True, False, False]
    assert pace.next_at(0.0) is None, "only an end helps"
    pace.settle(0.0, tickets[1])
    assert pace.due(0.0) == [tickets[3]]


@pytest.mark.parametrize(
    "wrong", [{"amount": 0}, {"amount": 1, "seconds": 0}, {"amount": 1, "burst": -1}, {"amount": float("nan")}]
)
def test_a_window_of_nothing_is_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(GraphError, match=r"Window\(.*must be a number above 0"):
        Window(**wrong)


def test_an_allowance_is_checked() -> None:
    with pytest.raises(GraphError, match="same length"):
        Allowance(requests=(Window(1), Window(2)))
    with pytest.raises(GraphError, match="concurrency"):
        Allowance(concurrency=0)
    with pytest.raises(GraphError, match="weight above 0"):
        pace_of().admit(0.0, 1, weight=0)


# --- turns


def order(pace: Pace, tickets: dict[Ticket, str]) -> str:
    return "".join(tickets[ticket] for _, ticket in play(pace, 0.0, 1e9))


def blocked(*, rate: float = 60) -> Pace:
    pace = pace_of(Window(rate, burst=1))
    assert pace.admit(0.0, 0).granted
    return pace


def test_runs_take_turns_and_each_keeps_its_own_order() -> None:
    pace = blocked()
    tickets = {pace.admit(0.0, 0, run=name[0]): name for name in ("a1", "a2", "a3", "b1", "b2", "c1")}

    went = [tickets[ticket] for _, ticket in play(pace, 0.0, 1e6)]

    assert went == ["a1", "b1", "c1", "a2", "b2", "a3"]


def test_a_run_that_asks_one_at_a_time_gets_its_turns_and_no_more() -> None:
    pace = blocked()
    many = {pace.admit(0.0, 0, run="many") for _ in range(20)}
    now, alone, went = 0.0, pace.admit(0.0, 0, run="alone"), ""
    for _ in range(20):
        now = pace.next_at(now) or now
        (ticket,) = pace.due(now)
        went += "m" if ticket in many else "a"
        if ticket is alone:
            alone = pace.admit(now, 0, run="alone")

    assert went.count("a") == 10
    assert "aa" not in went


def test_a_weight_is_a_number_of_turns() -> None:
    pace = blocked()
    tickets = {pace.admit(0.0, 0, run=name, weight=3 if name == "a" else 1): name for name in "a" * 30 + "b" * 30}

    assert order(pace, tickets)[:20].count("a") == 15


def test_the_higher_priority_goes_first_and_the_lower_never_starves() -> None:
    pace = blocked()
    tickets = {pace.admit(0.0, 0, run="r", priority=priority): str(priority) for priority in [0] * 5 + [2] * 200}

    went = order(pace, tickets)

    assert went[:5] == "22222"
    gaps = [len(list(group)) for name, group in groupby(went) if name == "2"]
    assert max(gaps[:-1]) <= 3 * AGING + 1
    assert went.index("0") <= 3 * AGING


@settings(max_examples=100, deadline=None)
@given(st.lists(st.tuples(st.sampled_from("abc"), st.integers(-1, 1), st.booleans()), min_size=1, max_size=60))
def test_everyone_goes_once_in_the_order_of_its_run(asks: list[tuple[str, int, bool]]) -> None:
    pace = blocked(rate=6000)
    tickets = [(pace.admit(0.0, 0, run=run, priority=priority), run, priority, leaves) for run, priority, leaves in asks]
    for ticket, _, _, leaves in tickets:
        if leaves:
            pace.cancel(0.0, ticket)

    went = [ticket for _, ticket in play(pace, 0.0, 1e9)]

    assert sorted(map(id, went)) == sorted(id(ticket) for ticket, _, _, leaves in tickets if not leaves)
    for key in {(run, priority) for _, run, priority, _ in tickets}:
        mine = [ticket for ticket, run, priority, leaves in tickets if (run, priority) == key and not leaves]
        assert [ticket for ticket in went if ticket in mine] == mine


def test_who_comes_and_goes_leaves_nothing_behind() -> None:
    pace = blocked()
    pace.admit(0.0, 0, run="stays")
    for number in range(5000):
        pace.cancel(0.0, pace.admit(0.0, 0, run=f"run {number}"))

    (level,) = pace._queue._levels.values()  # pyright: ignore[reportPrivateUsage]
    assert len(level.turns) < 100
    assert len(level.runs) == 1


# --- what the server says


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("6ms", 0.006),
        ("1s", 1),
        ("6m0s", 360),
        ("1h2m3s", 3723),
        ("1h2m3.5s", 3723.5),
        ("8.64s", 8.64),
        ("1d", 86400),
        ("12", 12),
        ("0", 0),
        ("-1", None),
        ("", None),
        (None, None),
        ("soon", None),
        ("1s later", None),
        ("nan", None),
        ("1e999", None),
        ("9" * 400 + "s", None),
    ],
)
def test_resets_are_read(text: str | None, seconds: float | None) -> None:
    assert parse_seconds(text) == (None if seconds is None else pytest.approx(seconds))


@given(st.dictionaries(st.sampled_from(list(headers()) + list(headers("tokens"))), st.text(max_size=8)))
def test_no_header_is_too_strange(strange: dict[str, str]) -> None:
    pace = pace_of()
    pace.observe(0.0, strange, pace.admit(0.0, 10))
    reading = read_headers(strange)
    assert all(figure.limit is None or figure.limit > 0 for figure in (reading.requests, reading.tokens))


def test_headers_are_read_in_any_case_and_minus_one_is_nothing() -> None:
    reading = read_headers({"X-RateLimit-Limit-Requests": "500", "x-ratelimit-remaining-tokens": "-1", "date": "now"})

    assert reading == Reading(Figure(limit=500))


@pytest.mark.parametrize(
    ("figure", "seconds"),
    [
        (Figure(600, 599, 0.1), 60),
        (Figure(600, 0, 60), 60),
        (Figure(10_000, 9_980, 172.8), 86400),
        (Figure(10, 5, 150), 300),
        (Figure(10, 5, None), 60),
        (Figure(1000, 1000, 90), 300),
    ],
)
def test_a_long_reset_tells_the_length_of_the_window(figure: Figure, seconds: float) -> None:
    assert figure.seconds == seconds


def test_nothing_is_known_so_a_few_go_and_the_first_answer_opens_the_gate() -> None:
    pace = Pace(Allowance(concurrency=500))
    tickets = [pace.admit(0.0, 100) for _ in range(300)]
    assert sum(ticket.granted for ticket in tickets) == 4

    pace.observe(1.0, headers(remaining=599), tickets[0])
    pace.settle(1.0, tickets[0], 100)

    assert 90 <= len(pace.due(1.0)) <= 100, "a sixth of the minute"


def test_without_headers_each_answer_lets_one_more_go() -> None:
    pace = Pace(Allowance(concurrency=20))
    flying = [ticket for ticket in [pace.admit(0.0, 1) for _ in range(100)] if ticket.granted]
    sizes: list[int] = []
    for step in range(1, 5):
        sizes.append(len(flying))
        for ticket in flying:
            pace.settle(float(step), ticket)
        flying = pace.due(float(step))

    assert sizes == [4, 8, 16, 20]


def test_a_given_window_holds_even_if_the_server_allows_more() -> None:
    pace = pace_of(Window(60, burst=60))
    pace.observe(0.0, headers(limit=6000, remaining=6000))

    assert sum(pace.admit(0.0, 0).granted for _ in range(100)) == 60


def test_it_starts_from_what_is_assumed_and_the_server_corrects_that() -> None:
    assumed = Reading(requests=Figure(limit=60))
    pace = Pace(Allowance(concurrency=500, assumed=assumed))
    tickets = [pace.admit(0.0, 0) for _ in range(500)]
    assert sum(ticket.granted for ticket in tickets) == 10

    pace.observe(0.5, headers(limit=6000, remaining=5990), tickets[0])

    assert len(pace.due(1.5)) > 80


def test_less_remains_than_we_think_so_we_wait_for_the_server() -> None:
    pace = pace_of()
    first = pace.admit(0.0, 0)
    pace.observe(0.0, headers(remaining=599), first)
    second = pace.admit(0.0, 0)
    pace.observe(0.05, headers(remaining=0), second)

    waiting = pace.admit(0.05, 0)

    assert not waiting.granted
    assert 0.09 < (pace.next_at(0.05) or 0) < 0.3, "one in a tenth of a second comes back"


def test_more_remains_than_we_think_so_we_go_on() -> None:
    pace = pace_of()
    first, second = pace.admit(0.0, 0), pace.admit(0.0, 0)
    pace.observe(0.0, headers(remaining=599), first)
    pace.observe(0.01, headers(remaining=0), second)
    waiting = pace.admit(0.01, 0)
    assert not waiting.granted

    pace.observe(0.02, headers(remaining=500))

    assert pace.due(0.02) == [waiting]


def test_a_key_that_was_used_up_before_we_came_is_used_as_it_comes_back() -> None:
    pace = pace_of()
    pace.observe(0.0, headers(remaining=0), pace.admit(0.0, 0))
    for _ in range(200):
        pace.admit(0.0, 0)

    times = [at for at, _ in play(pace, 0.0, 10)]

    assert 70 <= len(times) <= 100


def test_an_old_answer_is_no_news() -> None:
    pace = pace_of()
    old, new = pace.admit(0.0, 0), pace.admit(1.0, 0)
    pace.observe(2.0, headers(remaining=0), new)
    pace.observe(2.0, headers(remaining=599), old)

    assert not pace.admit(2.0, 0).granted or pace.next_at(2.0) is not None


# --- refusals


def test_after_a_refusal_all_pause_and_then_go_one_by_one() -> None:
    pace = pace_of(Window(600), seed=3)
    ticket = pace.admit(0.0, 0)
    pace.refused(1.0, 5.0, ticket)
    pace.cancel(1.0, ticket, sent=True)
    for _ in range(100):
        pace.admit(1.0, 0)

    times = [at for at, _ in play(pace, 1.0, 100)]

    assert 6.0 < times[0] < 6.8, "Retry-After and a little jitter"
    assert worst([(at, 1) for at in times], 1.0) <= 9, "no herd"


def test_refusals_of_one_volley_shrink_the_rate_once_and_it_grows_back() -> None:
    pace = pace_of(Window(600))
    volley = [pace.admit(0.0, 0) for _ in range(20)]
    for ticket in volley:
        pace.refused(1.0, 1.0, ticket)
    meter = pace._meter  # pyright: ignore[reportPrivateUsage]

    assert meter.share(1.0) == pytest.approx(0.8)
    assert meter.share(22.5) == pytest.approx(0.9, abs=0.01)
    assert meter.share(100.0) == 1.0


def test_without_retry_after_the_pauses_double_until_a_call_is_answered() -> None:
    pace = pace_of(Window(600))
    pauses: list[float] = []
    now = 0.0
    for _ in range(4):
        ticket = pace.admit(now, 0)
        pace.refused(now, None, ticket)
        pace.cancel(now, ticket, sent=True)
        waiting = pace.admit(now, 0)
        at = pace.next_at(now)
        assert at is not None
        pauses.append(at - now)
        pace.cancel(now, waiting)
        now = at + 1

    assert all(1.4 < later / earlier < 2.8 for earlier, later in pairwise(pauses))


def test_several_processes_do_not_come_back_in_the_same_instant() -> None:
    ends: set[float] = set()
    for seed in range(10):
        pace = pace_of(Window(600), seed=seed)
        pace.refused(0.0, 10.0)
        pace.admit(0.0, 0)
        ends.add(round(pace.next_at(0.0) or 0, 3))

    assert len(ends) == 10


def test_a_server_that_tells_nothing_is_guessed_from_when_it_refused() -> None:
    pace = Pace(Allowance(concurrency=1000, first=1000))
    tickets = [pace.admit(number / 10, 0) for number in range(600)]
    pace.refused(60.0, 1.0, tickets[-1])
    for ticket in tickets:
        pace.settle(60.0, ticket)
    for _ in range(2000):
        pace.admit(60.5, 0)

    went: list[float] = []
    now = 60.5
    while (at := pace.next_at(now)) is not None and at < 260:
        now = at
        for ticket in pace.due(now):
            went.append(now)
            pace.settle(now, ticket)

    assert 400 < worst([(at, 1) for at in went], 60) < 800


@pytest.mark.parametrize("calls", [1, 2, 64])
def test_who_is_refused_at_once_by_a_server_that_tells_nothing_is_not_held_for_a_minute(calls: int) -> None:
    """Such a server may be short of room for a moment: what went in the first second is no minute's allowance."""
    pace = Pace(Allowance(careful=False))
    now = 0.0
    for _ in range(3):
        tickets = [pace.admit(now, 0) for _ in range(calls)]
        waits = [0.0]
        while (at := pace.next_at(now)) is not None:
            waits.append(at - now)
            now = at
            pace.due(now)
        pace.refused(now, 0.1, tickets[-1])
        for ticket in tickets:
            pace.cancel(now, ticket, sent=True)
        assert max(waits) < 5


def test_a_gauge_takes_a_thousand_years_in_its_stride() -> None:
    gauge = Gauge(Window(10), 0.0)
    gauge.take("", 10)
    assert gauge.wait(0.0, 1) > 0
    assert gauge.wait(3e10, 1) == 0

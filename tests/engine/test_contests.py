"""Races, hedges, votes and best-of-n: what wins, who is stopped, and what is kept of the failures."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, cast

import anyio
import pytest
import trio
import trio.testing
from anyio.lowlevel import checkpoint

from swarmlet import GraphError, Node, NoQuorum, Run, StepFailed, best, each, graph, hedge, node, race, run, vote
from swarmlet.engine.context import current
from swarmlet.trace.events import Decided, StepEnded, StepStarted
from tests.engine.quickly import causes, failed_paths, quickly

pytestmark = pytest.mark.anyio


def decided(result: Run[Any]) -> list[tuple[str, str, str]]:
    return [(event.path, event.by, event.chosen) for event in result.trace.events if isinstance(event, Decided)]


def states(result: Run[Any]) -> dict[str, str]:
    return {event.path: event.state for event in result.trace.events if isinstance(event, StepEnded)}


def in_virtual_time(main: Callable[[], Awaitable[Any]]) -> Any:  # Any: as the caller knows
    return cast("Any", trio.run)(main, clock=trio.testing.MockClock(autojump_threshold=0))


def sleeper(name: str, seconds: float, answer: int | None, ended: list[str] | None = None) -> Node[[int], int]:
    async def sleep(count: int) -> int:
        try:
            await anyio.sleep(seconds)
        finally:
            if ended is not None:
                ended.append(name)
        if answer is None:
            raise ValueError(name)
        return answer

    return node(sleep, name=name)


# race


def test_the_first_success_wins_a_race_and_nothing_of_the_losers_is_alive() -> None:
    ended: list[str] = []
    runners: list[Node[[int], int]] = [
        sleeper("slow", 9, 1, ended),
        sleeper("quick", 3, 2, ended),
        sleeper("broken", 1, None, ended),
    ]

    async def main() -> tuple[Run[int], float]:
        result = await run(race(runners[0], *runners[1:]), 0)
        return result, trio.current_time()

    began = trio.testing.MockClock().current_time()
    result, at = in_virtual_time(main)
    assert result.output == 2
    assert at - began == pytest.approx(3, abs=0.5)
    assert ended == ["broken", "quick", "slow"]
    assert decided(result) == [("race", "race", "race/quick")]
    assert states(result) == {"race/broken": "failed", "race/quick": "finished", "race/slow": "cancelled"}


async def test_a_race_that_nobody_wins_is_one_error_with_all_causes() -> None:
    with pytest.raises(StepFailed, match="every runner failed") as caught:
        await quickly(race(sleeper("a", 0, None), sleeper("b", 0, None), sleeper("a", 0, None)), 0)
    assert sorted(failed_paths(caught.value)) == ["race/a", "race/a~2", "race/b"]
    assert caught.value.path == "race"
    assert caught.value.run is not None


async def test_a_race_of_one_that_fails_names_its_failure() -> None:
    with pytest.raises(StepFailed) as caught:
        await quickly(race(sleeper("only", 0, None)), 0)
    assert isinstance(caught.value.__cause__, StepFailed)
    assert caught.value.__cause__.path == "race/only"


async def test_what_a_losing_graph_has_begun_ends_with_it() -> None:
    alive: set[str] = set()

    @node
    async def linger(name: str) -> str:
        alive.add(name)
        try:
            await anyio.sleep_forever()
        finally:
            alive.discard(name)
        return name

    @node
    async def at_once(name: str) -> str:
        while len(alive) < 3:
            await checkpoint()
        return name

    @graph
    def wide(name: str) -> str:
        return last(each(linger)(both(name)))

    assert (await quickly(race(wide, at_once, linger), "x")).output == "x"
    assert not alive


@node
def both(name: str) -> list[str]:
    return [f"{name}1", f"{name}2"]


@node
def last(names: list[str]) -> str:
    return names[-1]


async def test_a_cancelled_race_leaves_nothing_behind() -> None:
    ended: list[str] = []
    with anyio.move_on_after(0.05) as scope:
        await run(race(sleeper("a", 99, 1, ended), sleeper("b", 99, 1, ended)), 0)
    assert scope.cancelled_caught
    assert sorted(ended) == ["a", "b"]


def test_races_need_runners_that_are_called_alike() -> None:
    with pytest.raises(GraphError, match="it has no runners"):
        cast("Any", race)()

    @node
    async def other(text: str, more: int) -> int:
        return len(text) + more

    with pytest.raises(GraphError, match="takes 2 arguments"):
        cast("Any", race)(sleeper("a", 0, 1), other)


# hedge


def test_a_slow_try_is_followed_by_another() -> None:
    seen: list[str] = []

    @node
    async def fetch(count: int) -> int:
        path = current().path
        seen.append(path)
        await anyio.sleep(10 if path.endswith("[0]") else 1)
        return count

    async def main() -> tuple[Run[int], float]:
        began = trio.current_time()
        return await run(hedge(fetch, after=2), 7), trio.current_time() - began

    result, took = in_virtual_time(main)
    assert (result.output, took) == (7, pytest.approx(3, abs=0.01))
    assert seen == ["fetch[0]", "fetch[1]"]
    assert decided(result) == [("fetch", "hedge", "fetch[1]")]
    assert states(result)["fetch[0]"] == "cancelled"


def test_a_quick_try_is_not_followed() -> None:
    async def main() -> Run[int]:
        return await run(hedge(sleeper("fetch", 1, 5), after=2, tries=4), 0)

    assert len([event for event in in_virtual_time(main).trace.events if isinstance(event, StepStarted)]) == 1


def test_a_try_that_fails_is_followed_at_once_and_an_old_alarm_starts_nothing() -> None:
    starts: list[float] = []

    @node
    async def fetch(count: int) -> int:
        starts.append(trio.current_time())
        await anyio.sleep(1)
        if len(starts) == 1:
            raise ValueError("first")
        await anyio.sleep(20)
        return len(starts)

    async def main() -> float:
        began = trio.current_time()
        await run(hedge(fetch, after=3, tries=3), 0)
        return began

    began = in_virtual_time(main)
    assert [round(at - began, 1) for at in starts] == [0, 1, 4]


async def test_a_hedge_whose_tries_all_fail_keeps_all_causes() -> None:
    with pytest.raises(StepFailed, match="every try failed") as caught:
        await quickly(hedge(sleeper("fetch", 0, None), after=60, tries=3), 0)
    assert len(causes(caught.value)) == 3


@pytest.mark.parametrize("wrong", [{"after": -1}, {"after": float("inf")}, {"after": True}, {"after": 1, "tries": 1}])
def test_hedges_refuse_what_makes_no_hedge(wrong: dict[str, Any]) -> None:
    with pytest.raises(GraphError, match=r"hedge\(fetch\)"):
        hedge(sleeper("fetch", 0, 1), **wrong)


# vote


def answers(*given: object) -> Any:  # Any: a node for calls
    """A node whose sample i gives `given[i]`: an exception is raised, an event waited for."""

    async def ask(count: int) -> Any:  # Any: whatever the test gives
        path = current().path
        answer = given[int(path[path.rindex("[") + 1 : -1])]
        await checkpoint()
        if isinstance(answer, anyio.Event):
            await answer.wait()
        if isinstance(answer, Exception):
            raise answer
        return answer

    return node(ask)


async def test_a_vote_stops_when_the_outcome_is_fixed() -> None:
    never = anyio.Event()
    result = await quickly(vote(answers("a", "a", "a", never, never), of=5), 0)
    assert result.output == "a"
    assert decided(result) == [("ask", "vote", "ask[0]")]
    assert {state for path, state in states(result).items() if path in ("ask[3]", "ask[4]")} <= {"cancelled"}


async def test_a_vote_does_not_stop_while_another_answer_could_still_win() -> None:
    result = await quickly(vote(answers("a", "a", "b", "b", "b"), of=5, quorum=2), 0)
    assert result.output == "b"


async def test_a_vote_starts_no_more_samples_than_it_needs() -> None:
    result = await quickly(vote(answers("a", "a", "a", "b", "b"), of=5, concurrency=1), 0)
    assert len(states(result)) == 3


async def test_a_vote_waits_for_those_that_run_before_it_asks_more_of_them() -> None:
    first = anyio.Event()

    @node
    async def ask() -> str:
        if current().path == "ask[0]":
            first.set()
            return "a"
        await first.wait()
        for _ in range(20):  # the place of the first is free meanwhile
            await checkpoint()
        return "a"

    result = await quickly(vote(ask, of=5, concurrency=3))
    assert set(states(result)) == {"ask[0]", "ask[1]", "ask[2]"}


async def test_a_tie_fails_or_goes_to_the_first_sample() -> None:
    tied = answers("b", "a", "a", "b")
    with pytest.raises(NoQuorum) as caught:
        await quickly(vote(tied, of=4, quorum=2), 0)
    assert (caught.value.votes, caught.value.quorum, caught.value.path) == ((2, 2), 2, "ask")
    assert (await quickly(vote(tied, of=4, quorum=2, ties="first"), 0)).output == "b"


async def test_answers_agree_by_their_key() -> None:
    result = await quickly(vote(answers("Yes", "no", "YES"), of=3, key=lambda answer: str(answer).lower()), 0)
    assert result.output == "Yes"


async def test_a_sample_that_fails_gives_no_vote() -> None:
    wrong = ValueError("wrong")
    assert (await quickly(vote(answers(wrong, "a", "a", wrong, "a"), of=5), 0)).output == "a"
    with pytest.raises(NoQuorum) as caught:
        await quickly(vote(answers(wrong, "a", wrong, wrong, "a"), of=5), 0)
    assert len(causes(caught.value)) == 3
    assert "and 3 failed" in str(caught.value)


async def test_a_key_that_raises_fails_the_vote() -> None:
    with pytest.raises(StepFailed, match="ZeroDivisionError"):
        await quickly(vote(answers(1, 2, 3), of=3, key=lambda answer: cast("int", answer) // 0), 0)


@pytest.mark.parametrize("wrong", [{"of": 0}, {"of": 3, "quorum": 4}, {"of": 2.5}, {"ties": "last"}, {"key": 3}])
def test_votes_refuse_what_can_have_no_outcome(wrong: dict[str, Any]) -> None:
    with pytest.raises(GraphError, match=r"vote\(ask\)"):
        vote(answers(), **wrong)


# best


async def test_the_highest_score_wins_and_the_first_of_equal_ones() -> None:
    result = await quickly(best(answers("aa", "bbb", "c", "ddd"), of=4, score=len), 0)
    assert result.output == "bbb"
    assert decided(result) == [("ask", "best", "ask[1]")]
    assert "ask/len[1]" in states(result)


async def test_a_judge_may_see_what_the_result_is_made_from() -> None:
    @node
    async def near(answer: int, wanted: int) -> float:
        return -abs(answer - wanted)

    @node
    async def guess(wanted: int) -> int:
        return int(current().path[-2]) * 10

    assert (await quickly(best(guess, of=5, score=near), 22)).output == 20


async def test_samples_that_fail_or_have_no_score_are_out() -> None:
    def score(answer: str) -> float:
        return float(answer)

    wrong = ValueError("wrong")
    assert (await quickly(best(answers(wrong, "x", "-2", "-3", "nan"), of=5, score=score), 0)).output == "-2"
    with pytest.raises(StepFailed, match="no sample could be made and scored") as caught:
        await quickly(best(answers(wrong, "x", "nan"), of=3, score=score), 0)
    assert len(causes(caught.value)) == 3


async def test_a_good_enough_score_ends_it() -> None:
    never = anyio.Event()
    result = await quickly(best(answers("a", "aaa", never, never), of=4, score=len, enough=3), 0)
    assert result.output == "aaa"
    assert {state for path, state in states(result).items() if path in ("ask[2]", "ask[3]")} <= {"cancelled"}


async def test_low_scores_and_few_at_once_are_fine() -> None:
    lowest = best(answers("a", "b"), of=2, score=lambda _: float("-inf"), concurrency=1)
    assert (await quickly(lowest, 0)).output == "a"


def test_best_refuses_judges_that_do_not_fit() -> None:
    @node
    def words(text: str) -> str:
        return text

    @node
    def size(text: str) -> str:
        return text

    @node
    def of_number(number: int) -> float:
        return number

    with pytest.raises(GraphError, match="score=size gives str, not float"):
        best(words, of=2, score=cast("Any", size))
    with pytest.raises(GraphError, match=r"score=of_number\(number=\) takes int, but is asked about str"):
        best(words, of=2, score=cast("Any", of_number))
    with pytest.raises(GraphError, match="enough= is a score"):
        best(words, of=2, score=len, enough=float("nan"))


# nested


async def test_contests_nest_without_limit() -> None:
    inner: Node[[int], int] = race(sleeper("a", 0, None), each_sum)
    result: Run[Any] = await quickly(vote(hedge(best(inner, of=2, score=float), after=60), of=3), 4)
    assert result.output == 10
    assert "best" not in result.trace.root.path
    assert result.trace.step("race[0][0][0]/a").state == "failed"


@node
def count_up(count: int) -> list[int]:
    return list(range(count + 1))


@node
async def same(count: int) -> int:
    await checkpoint()
    return count


@node
def total(counts: list[int]) -> int:
    return sum(counts)


@graph
def each_sum(count: int) -> int:
    return total(each(same)(count_up(count)))


def test_judges_and_fallbacks_must_not_demand_what_may_be_left_out() -> None:
    @node
    async def write(topic: str, hints: int = 3) -> str:
        return topic * hints

    @node
    async def strict(topic: str, hints: int) -> str:
        return topic * hints

    @node
    async def score(text: str, topic: str, hints: int) -> float:
        return hints

    with pytest.raises(GraphError, match=r"score\(hints=\) must be given"):
        best(write, of=2, score=cast("Any", score))
    with pytest.raises(GraphError, match=r"strict\(hints=\) must be given"):
        write.with_options(fallback=cast("Any", strict))


def test_a_key_of_another_type_or_of_more_than_the_answer_is_refused() -> None:
    def of_text(text: str) -> str:
        return text

    def of_two(one: int, other: int) -> int:
        return one + other

    with pytest.raises(GraphError, match=r"key=of_text\(text=\) takes str, but is asked about int"):
        vote(same, key=cast("Any", of_text))
    with pytest.raises(GraphError, match="key=of_two takes 2 arguments"):
        vote(same, key=cast("Any", of_two))

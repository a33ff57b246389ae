"""Contests and maps without an event loop: told the outcomes in any order, they do what a few plain lines say they should.

Small cases are gone through completely; larger ones are drawn by Hypothesis. SWARMLET_EXAMPLES sets how many of those.
"""

from __future__ import annotations

import itertools
import math
import os
from collections.abc import AsyncIterator, Sequence
from functools import cache
from typing import Any, Literal, TypeAlias, cast

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from swarmlet import Failed, Node, NoQuorum, StepFailed, best, cascade, each, hedge, node, race, vote
from swarmlet.engine.frame import END, Errand, Frame, Pull, Sleep
from swarmlet.engine.scheduler import Scheduler
from swarmlet.engine.step import Step
from swarmlet.policy.options import Scope

EXAMPLES = int(os.environ.get("SWARMLET_EXAMPLES", "0"))
many = settings(deadline=None, max_examples=EXAMPLES or 150)
Ties: TypeAlias = Literal["fail", "first"]
OnError: TypeAlias = Literal["raise", "keep", "skip"]
BOUNDS = st.none() | st.integers(1, 4)


@node
def ask(value: int) -> int:
    return value


@node
def score(value: int) -> float:
    return value


@node
def accept(value: int) -> bool:
    return bool(value)


class Play:
    """A scheduler, and the steps that it has handed out and that have not ended."""

    def __init__(self, whatever: object, *args: object) -> None:
        plain = cast("Node[..., Any]", whatever)
        self.scheduler = Scheduler(plain, args, {}, plain.name, Scope())
        self.running: dict[str, Step] = {}
        self.started: list[str] = []
        self.errands: list[tuple[Frame, Errand]] = []
        self.take()

    def take(self) -> None:
        """Start what is ready."""
        if not self.is_over():
            for step in self.scheduler.ready:
                assert step.path not in self.started
                self.started.append(step.path)
                self.running[step.path] = step
            self.errands += self.scheduler.errands
        self.scheduler.ready.clear()
        self.scheduler.errands.clear()

    def tell(self, path: str, outcome: object) -> None:
        """The step has ended with a value, or has failed with `None`."""
        step = self.running.pop(path)
        if outcome is None:
            self.scheduler.step_failed(step, StepFailed(path, "no"))
        else:
            self.scheduler.step_finished(step, outcome)
        self.take()

    def bring(self, news: object) -> None:
        """An errand is done."""
        frame, _ = self.errands.pop(0)
        self.scheduler.errand_done(frame, news)
        self.take()

    def is_over(self) -> bool:
        return self.scheduler.over

    @property
    def output(self) -> object:
        assert self.scheduler.done
        assert not self.scheduler.failures
        return self.scheduler.output

    @property
    def failure(self) -> Exception:
        (error,) = self.scheduler.failures
        assert not self.scheduler.done
        return error


def causes_of(error: Exception) -> list[str]:
    """The paths of the failures in its cause, in order."""
    cause = error.__cause__
    found = cast("ExceptionGroup[Exception]", cause).exceptions if isinstance(cause, ExceptionGroup) else [cause]
    assert not isinstance(cause, ExceptionGroup) or len(found) > 1
    assert all(isinstance(one, StepFailed) for one in found)
    return [cast("StepFailed", one).path for one in found]


# race


def runner(number: int) -> Node[[int], int]:
    def runs(value: int) -> int:
        return value

    runs.__name__ = f"r{number}"
    return node(runs)


@pytest.mark.parametrize("count", [1, 2, 3, 4])
def test_the_first_success_wins_a_race_in_every_order_and_all_causes_are_kept_in_the_order_of_failing(count: int) -> None:
    whole = race(*map(runner, range(count)))
    for good in itertools.product([False, True], repeat=count):
        for order in itertools.permutations(range(count)):
            play = Play(whole, 1)
            assert list(play.running) == [f"race/r{number}" for number in range(count)]
            failed: list[str] = []
            for number in order:
                play.tell(f"race/r{number}", number + 10 if good[number] else None)
                if good[number]:
                    assert play.output == number + 10
                    break
                failed.append(f"race/r{number}")
                assert play.is_over() == (len(failed) == count)
            else:
                assert isinstance(play.failure, StepFailed)
                assert play.failure.path == "race"
                assert causes_of(play.failure) == failed


# vote


def elected(answers: Sequence[int | None], quorum: int, ties: Ties) -> int | None:
    """The winner of a vote that is over; `None` is a sample that failed, and no winner."""
    counts = {answer: answers.count(answer) for answer in answers if answer is not None}
    most = max(counts.values(), default=0)
    leaders = [answer for answer in counts if counts[answer] == most]
    if most < quorum or (ties == "fail" and len(leaders) > 1):
        return None
    return min(leaders, key=list(answers).index)


@cache
def outcomes(answers: tuple[int | str | None, ...], quorum: int, ties: Ties) -> frozenset[int | None]:
    """Whatever may come of a vote in which the samples marked `?` are still to come: by trying all that they could say."""
    unknown = answers.count("?")
    said = [one for one in dict.fromkeys(answers) if one is not None and one != "?"]
    could = [*said, *range(100, 100 + unknown), None]
    found: set[int | None] = set()
    for rest in itertools.product(could, repeat=unknown):
        to_come = iter(rest)
        full = [next(to_come) if one == "?" else one for one in answers]
        winner = elected(cast("list[int | None]", full), quorum, ties)
        found.add(winner)
        if len(found) > 1:
            break
    return frozenset(found)


def would_do(known: Sequence[int | str | None], running: set[int], quorum: int, ties: Ties) -> bool:
    """Whether the outcome is fixed if all samples that run say what the leader says."""
    said = [one for one in known if one not in (None, "?")]
    leader = max(said, key=said.count) if said else 99
    full = [leader if sample in running else one for sample, one in enumerate(known)]
    return bool(running) and len(outcomes(tuple(full), quorum, ties)) == 1


def check_vote(answers: Sequence[int | None], quorum: int, ties: Ties, bound: int | None, order: Sequence[int]) -> None:
    of = len(answers)
    play = Play(_vote(of, quorum, ties, bound), 1)
    known: list[int | str | None] = ["?"] * of
    failed: list[str] = []
    before: set[int] = set(range(min(of, bound or of)))
    for turn in order:
        possible = outcomes(tuple(known), quorum, ties)
        assert not play.is_over()
        assert len(possible) > 1, "it goes on although its outcome is fixed"
        running = {int(path[len("ask[") : -1]) for path in play.running}
        most = min(known.count("?"), bound or of)
        assert 1 <= len(running) <= most
        if len(running) < most:
            assert would_do(known, running, quorum, ties), "it waits for samples that cannot fix the outcome"
        if new := running - before:
            assert not would_do(known, running - {max(new)}, quorum, ties), "it starts more samples than it takes"
        before |= running
        path = list(play.running)[turn % len(play.running)]
        sample = int(path[len("ask[") : -1])
        known[sample] = answers[sample]
        failed += [path] if answers[sample] is None else []
        play.tell(path, answers[sample])
        possible = outcomes(tuple(known), quorum, ties)
        if len(possible) == 1:
            assert play.is_over(), "it stops later than it could"
            (winner,) = possible
            if winner is not None:
                assert play.output == winner
                return
            error = play.failure
            assert isinstance(error, NoQuorum)
            assert (error.path, error.quorum, error.failed) == ("ask", quorum, len(failed))
            counted = [known.count(one) for one in dict.fromkeys(known) if one not in (None, "?")]
            assert error.votes == tuple(sorted(counted, reverse=True))
            assert failed == (causes_of(error) if failed else [])
            return
    raise AssertionError("the outcome was never fixed")


@cache
def _vote(of: int, quorum: int, ties: Ties, bound: int | None) -> object:
    return vote(ask, of=of, quorum=quorum, ties=ties, concurrency=bound)


def ballots(of: int) -> list[tuple[int | None, ...]]:
    """All that the samples can say, up to the names of the answers."""
    found: list[tuple[int | None, ...]] = []
    for said in itertools.product([None, *range(of)], repeat=of):
        fresh = list(dict.fromkeys(one for one in said if one is not None))
        if fresh == list(range(len(fresh))):
            found.append(said)
    return found


@pytest.mark.parametrize("ties", ["fail", "first"])
@pytest.mark.parametrize("of", [1, 2, 3, 4])
def test_every_vote_stops_exactly_when_its_outcome_is_fixed(of: int, ties: Ties) -> None:
    for answers in ballots(of):
        for quorum in range(1, of + 1):
            for bound in (None, *range(1, of)):
                for order in itertools.product(*(range(min(left, bound or of)) for left in range(of, 0, -1))):
                    check_vote(answers, quorum, ties, bound, order)


@many
@given(st.data(), st.integers(3, 6), st.sampled_from(["fail", "first"]))
def test_larger_votes_stop_exactly_when_their_outcome_is_fixed(data: st.DataObject, of: int, ties: Ties) -> None:
    answers = data.draw(st.lists(st.none() | st.integers(0, 2), min_size=of, max_size=of))
    order = data.draw(st.lists(st.integers(0, 5), min_size=of, max_size=of))
    check_vote(answers, data.draw(st.integers(1, of)), ties, data.draw(BOUNDS), order)


@many
@given(st.lists(st.sampled_from(["Yes", "yes", "NO", "no"]), min_size=1, max_size=5), st.randoms(use_true_random=False))
def test_answers_that_agree_by_their_key_are_one_answer(said: list[str], random: Any) -> None:
    def lower(text: str) -> str:
        return text.lower()

    @node
    def words(value: int) -> str:
        return str(value)

    play = Play(vote(words, of=len(said), quorum=1, ties="first", key=lower), 1)
    while not play.is_over():
        path = random.choice(list(play.running))
        play.tell(path, said[int(path[len("words[") : -1])])
    folded = [("yes", "no").index(one.lower()) for one in said]
    assert cast("str", play.output).lower() == ("yes", "no")[cast("int", elected(folded, 1, "first"))]


# hedge


@many
@given(st.integers(2, 5), st.lists(st.tuples(st.integers(0, 2), st.integers(0, 9)), max_size=30), st.floats(0, 9))
def test_a_hedge_starts_a_try_for_the_latest_alarm_or_when_all_have_failed(
    tries: int, events: list[tuple[int, int]], after: float
) -> None:
    play = Play(hedge(ask, after=after, tries=tries), 1)
    started, alarms, latest = 1, [1], 1  # an alarm is known by how many tries there were when it was set
    failed: list[str] = []
    assert play.errands[0][1] == Sleep(after)
    for kind, choice in [*events, *[(0, 0)] * (2 * tries)]:
        if kind == 2 and alarms:
            rang = alarms.pop(0)
            play.bring(None)
            begins = rang == latest and started < tries
        elif kind == 1:
            path = list(play.running)[choice % len(play.running)]
            play.tell(path, 7)
            assert play.output == 7
            return
        else:
            path = list(play.running)[choice % len(play.running)]
            failed.append(path)
            play.tell(path, None)
            begins = len(failed) == started < tries
        if begins:
            started += 1
            if started < tries:
                alarms.append(started)
                latest = started
        assert play.started == [f"ask[{number}]" for number in range(started)]
        assert len(play.errands) == len(alarms) or play.is_over()
        if len(failed) == tries:
            assert isinstance(play.failure, StepFailed)
            assert causes_of(play.failure) == failed
            return
        assert not play.is_over()


# best


SCORES = st.none() | st.integers(-3, 3) | st.sampled_from([math.inf, -math.inf, math.nan, 0.5, 10**18, "high"])


def is_score(given: object) -> bool:
    return isinstance(given, int | float) and not math.isnan(given)


@many
@given(
    st.lists(st.tuples(st.booleans(), SCORES), min_size=1, max_size=5),
    st.none() | st.integers(-2, 3) | st.just(-math.inf),
    BOUNDS,
    st.randoms(use_true_random=False),
)
def test_the_best_of_several_is_the_highest_score_in_whatever_order_they_come(
    samples: list[tuple[bool, Any]], enough: float | None, bound: int | None, random: Any
) -> None:
    of = len(samples)
    play = Play(best(ask, of=of, score=score, enough=enough, concurrency=bound), 1)
    scored: dict[int, Any] = {}
    failed: list[str] = []
    ended = 0
    while ended < of:
        assert not play.is_over()
        assert len(play.running) == min(bound or of, of - ended)
        path = random.choice(list(play.running))
        number = int(path.rpartition("[")[2][:-1])
        made, given_score = samples[number]
        if not path.startswith("ask/score"):
            play.tell(path, number + 10 if made else None)
            if made:
                assert f"ask/score[{number}]" in play.running
                continue
        else:
            play.tell(path, given_score)
        ended += 1
        if made and is_score(given_score):
            scored[number] = given_score
            if enough is not None and given_score >= enough:
                assert play.output == number + 10
                return
        else:
            failed.append(path)
    if scored:
        assert play.output == max(scored, key=lambda number: (scored[number], -number)) + 10
    else:
        assert causes_of(play.failure) == failed


def test_a_score_that_no_float_can_hold_costs_no_other_sample() -> None:
    play = Play(best(ask, of=2, score=score), 1)
    for number, given_score in enumerate([1, 10**400]):
        play.tell(f"ask[{number}]", number + 10)
        play.tell(f"ask/score[{number}]", given_score)
    assert play.output in (10, 11)


# cascade


Fate: TypeAlias = Literal["fails", "refused", "accepted", "unjudged"]
FATES: tuple[Fate, ...] = ("fails", "refused", "accepted", "unjudged")


@pytest.mark.parametrize("count", [2, 3, 4])
def test_a_cascade_climbs_until_an_answer_is_accepted(count: int) -> None:
    whole = cascade(*map(runner, range(count)), accept=accept)
    for fates in itertools.product(FATES, repeat=count):
        play = Play(whole, 1)
        failed: list[str] = []
        for number, fate in enumerate(fates):
            path, judge, final = f"cascade/r{number}", f"cascade/accept[{number}]", number == count - 1
            assert list(play.running) == [path]
            play.tell(path, None if fate == "fails" else number + 10)
            if fate == "fails":
                failed.append(path)
            elif final:
                assert play.output == number + 10
            else:
                assert list(play.running) == [judge]
                play.tell(judge, None if fate == "unjudged" else fate == "accepted")
                if fate == "accepted":
                    assert play.output == number + 10
                elif fate == "unjudged":
                    assert cast("StepFailed", play.failure).path == judge
            if play.is_over():
                break
        assert play.is_over()
        if fates[-1] == "fails" and not play.scheduler.done and "unjudged" not in fates[: len(play.started)]:
            assert cast("StepFailed", play.failure).path == "cascade"
            assert causes_of(play.failure) == failed


# each


class Map:
    """What a map should do, in a few plain lines."""

    def __init__(self, good: Sequence[bool], on_error: OnError, at_least: int | None, enough: int | None) -> None:
        self.good = good
        self.on_error = on_error
        self.at_least = at_least
        self.enough = enough
        self.succeeded: list[int] = []
        self.failed: list[int] = []

    def end(self, item: int) -> None:
        (self.succeeded if self.good[item] else self.failed).append(item)

    def check(self, play: Play, known: int | None) -> None:
        """`known` is how many items there are, if that is known."""
        if self.failed and self.on_error == "raise":
            assert cast("StepFailed", play.failure).path == f"ask[{self.failed[0]}]"
        elif len(self.succeeded) == self.enough:
            assert play.output == [item + 10 for item in sorted(self.succeeded)]
        elif known is not None and self.at_least is not None and known - len(self.failed) < self.at_least:
            error = play.failure
            assert cast("StepFailed", error).path == "ask"
            assert (causes_of(error) if self.failed else []) == [f"ask[{item}]" for item in self.failed]
        elif known is not None and len(self.succeeded) + len(self.failed) == known:
            self.check_whole(cast("list[object]", play.output), known)
        else:
            assert not play.is_over()

    def check_whole(self, output: list[object], known: int) -> None:
        if self.on_error == "keep":
            for item, value in zip(range(known), output, strict=True):
                if self.good[item]:
                    assert value == item + 10
                else:
                    assert isinstance(value, Failed)
                    assert value.path == f"ask[{item}]"
        else:
            assert output == [item + 10 for item in range(known) if self.good[item]]


def settings_of_maps(size: int) -> list[tuple[OnError, int | None, int | None]]:
    counts = [None, *range(1, size + 2)]
    found: list[tuple[OnError, int | None, int | None]] = [("raise", None, enough) for enough in counts]
    found.extend(("keep", at_least, None) for at_least in counts)
    found.extend(("skip", a, e) for a in counts for e in counts if a is None or e is None or a <= e)
    return found


@cache
def _each(on_error: OnError, bound: int | None, at_least: int | None, enough: int | None) -> object:
    given: dict[str, Any] = {"concurrency": bound, "on_error": on_error, "at_least": at_least, "enough": enough}
    return cast("Any", each)(ask, **given)


@pytest.mark.parametrize("size", [0, 1, 2, 3])
def test_every_small_map_is_done_exactly_when_it_should_be(size: int) -> None:
    for on_error, at_least, enough in settings_of_maps(size):
        for bound, good in itertools.product((None, *range(1, size)), itertools.product([False, True], repeat=size)):
            for order in itertools.product(*(range(min(left, bound or size)) for left in range(size, 0, -1))):
                play = Play(_each(on_error, bound, at_least, enough), range(size))
                model = Map(good, on_error, at_least, enough)
                model.check(play, size)
                for ended, turn in enumerate(order):
                    if play.is_over():
                        break
                    assert len(play.running) == min(size - ended, bound or size)
                    path = list(play.running)[turn]
                    item = int(path[len("ask[") : -1])
                    model.end(item)
                    play.tell(path, item + 10 if good[item] else None)
                    model.check(play, size)
                assert play.is_over()


async def nothing() -> AsyncIterator[int]:
    return
    yield


@many
@given(
    st.lists(st.booleans(), max_size=6),
    st.integers(0, 6).flatmap(lambda size: st.sampled_from(settings_of_maps(size))),
    BOUNDS,
    st.randoms(use_true_random=False),
)
def test_a_map_over_a_source_is_done_exactly_when_it_should_be(
    good: list[bool], chosen: tuple[OnError, int | None, int | None], bound: int | None, random: Any
) -> None:
    on_error, at_least, enough = chosen
    play = Play(_each(on_error, bound, at_least, enough), nothing())
    model = Map(good, on_error, at_least, enough)
    arrived, ended = 0, False
    while not play.is_over():
        wants = not ended and (bound is None or len(play.running) < bound)
        assert [type(errand) for _, errand in play.errands] == ([Pull] if wants else [])
        assert len(play.started) == arrived
        if play.errands and (not play.running or random.random() < 0.5):
            ended = arrived == len(good)
            play.bring(END if ended else arrived)
            arrived += not ended
        else:
            path = random.choice(list(play.running))
            item = int(path[len("ask[") : -1])
            model.end(item)
            play.tell(path, item + 10 if good[item] else None)
        model.check(play, len(good) if ended else None)


@pytest.mark.parametrize("fails_first", [False, True])
def test_a_map_over_a_source_that_has_ended_fails_as_soon_as_too_few_items_can_succeed(fails_first: bool) -> None:
    play = Play(_each("skip", None, 2, None), nothing())
    play.bring(1)
    play.bring(2)
    if fails_first:
        play.tell("ask[0]", None)
        play.bring(END)
    else:
        play.bring(END)
        play.tell("ask[0]", None)
    assert isinstance(play.failure, StepFailed)

"""What came of each way, read from the journal alone: scores, tokens, money, time, and what the process bought."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from statistics import median
from typing import cast

from examples.humaneval.figures import Interval, paired, wilson
from examples.humaneval.score import judge
from examples.humaneval.ways import WAYS
from swarmlet import Usage
from swarmlet.trace import Journal, StepRecord, Trace


@dataclass(frozen=True)
class Answer:
    """One way's answer to one problem."""

    problem: str
    passed: bool
    usage: Usage
    timing: Timing | None
    """`None` where the run was stopped in the middle of it: what was done before that is not on its critical path."""


@dataclass(frozen=True)
class Timing:
    seconds: float
    """From its first step to the end of its last."""
    in_a_row: int
    """Model calls on its critical path: each had to wait for the one before it."""


def answers(trace: Trace) -> Iterator[Answer]:
    """One for each problem that was answered and scored, also in a run that was stopped."""
    for judged in trace.by_node().get(judge.origin, []):
        if judged.state != "finished":
            continue
        item = trace.step(judged.path.rpartition("/score")[0])
        score = cast("dict[str, object]", trace.output(judged.path))
        yield Answer(str(score["id"]), score["passed"] is True, item.usage, timing(trace, item))


def timing(trace: Trace, item: StepRecord) -> Timing | None:
    critical = trace.critical_path(item)
    if critical.split.away or critical.split.lost:
        return None
    return Timing(item.seconds or 0.0, calls_on(trace, critical.paths))


def calls_on(trace: Trace, paths: Iterable[str]) -> int:
    return sum(1 for path in paths if calls_of(trace.step(path)))


def calls_of(step: StepRecord) -> bool:
    return any(call.state == "finished" for call in step.calls)


@dataclass(frozen=True)
class Row:
    way: str
    answers: list[Answer]
    wall: float | None
    """Seconds that the runs took while they ran, if the row has all of their problems."""

    @property
    def passed(self) -> Interval:
        return wilson(sum(answer.passed for answer in self.answers), len(self.answers))

    def over(self, other: Row) -> Interval:
        """By how much more of the same problems it solves."""
        theirs = {answer.problem: answer.passed for answer in other.answers}
        both = [(theirs[answer.problem], answer.passed) for answer in self.answers if answer.problem in theirs]
        return paired([before for before, _ in both], [after for _, after in both])

    @property
    def usage(self) -> Usage:
        return sum((answer.usage for answer in self.answers), Usage())

    def only(self, problems: set[str]) -> Row:
        kept = [answer for answer in self.answers if answer.problem in problems]
        return Row(self.way, kept, self.wall if len(kept) == len(self.answers) else None)


def read(journal: Journal) -> dict[str, Row]:
    """A row for each way of which the journal has a run."""
    found: dict[str, Row] = {}
    for way in WAYS:
        runs = [run.id for run in journal.runs() if run.id.startswith(f"humaneval-{way}-")]
        traces = [journal.trace(run) for run in reversed(runs)]  # the newest last: of two answers to a problem its one counts
        rows = {answer.problem: answer for trace in traces for answer in answers(trace)}
        if rows:
            found[way] = Row(way, list(rows.values()), sum(map(worked_for, traces)))
    return found


def worked_for(trace: Trace) -> float:
    """Its seconds, without those between a stop and the moment at which it was taken up again."""
    return trace.seconds - trace.critical_path().split.away


def same_problems(rows: Mapping[str, Row]) -> dict[str, Row]:
    """The rows over the problems that all of them have."""
    common = set[str].intersection(*({answer.problem for answer in row.answers} for row in rows.values()))
    return {way: row.only(common) for way, row in rows.items()}


HEAD = (
    "| way | problems | pass@1 (95 % interval) | points more than one call | calls | tokens in + out | USD "
    "| times the USD of one call | wall, s | critical path of a problem, s | calls in a row |\n"
    "|---|---|---|---|---|---|---|---|---|---|---|"
)


def line(row: Row, single: Row | None) -> str:
    usage = row.usage
    gain = row.over(single).points if single is not None and row.way != "single" else ""
    dearer = f"{usage.usd / single.usage.usd:.1f}" if single is not None and single.usage.usd else ""
    wall = f"{row.wall:,.0f}" if row.wall is not None else ""
    timings = [answer.timing for answer in row.answers if answer.timing is not None] or [Timing(0, 0)]
    seconds, in_a_row = median(one.seconds for one in timings), median(one.in_a_row for one in timings)
    return (
        f"| {row.way} | {len(row.answers)} | {row.passed} | {gain} | {usage.requests} "
        f"| {usage.input_tokens:,} + {usage.output_tokens:,} | {usage.usd:.4f} | {dearer} "
        f"| {wall} | {seconds:.1f} | {in_a_row:g} |"
    )


def table(rows: Mapping[str, Row]) -> str:
    """Two tables in Markdown: each way over all that it has answered, and all ways over the problems that all have answered."""
    alike = same_problems(rows)
    whole = [line(row, None) for row in rows.values()]
    same = [line(row, alike.get("single")) for row in alike.values() if row.answers]
    compared = ["", "The same problems for all:", "", HEAD, *same] if len(same) > 1 else []
    return "\n".join(["All that was answered:", "", HEAD, *whole, *compared])

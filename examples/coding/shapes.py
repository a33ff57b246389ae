"""The values that flow through the workflow."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Task:
    text: str
    given: str = ""
    """Code that is there already: what is written may use it."""


@dataclass(frozen=True)
class Code:
    source: str


@dataclass(frozen=True)
class Suite:
    asserts: tuple[str, ...]


@dataclass(frozen=True)
class Report:
    """What came of running code against tests."""

    passed: int
    total: int
    log: str
    """What failed and how, for people and models alike."""
    gave: tuple[str, ...]
    """What each test saw, as far as they ran."""

    @property
    def clean(self) -> bool:
        return self.passed == self.total


@dataclass(frozen=True)
class Attempt:
    """Code with its tests and what came of them: the state of the loop is the best attempt so far."""

    task: Task
    code: Code
    tests: Suite
    report: Report


@dataclass(frozen=True)
class Solution:
    code: Code
    tests: Suite
    report: Report

    @property
    def verdict(self) -> str:
        if not self.report.total:
            return "untested"
        return f"{'passes' if self.report.clean else 'fails'}: {self.report.passed} of {self.report.total} of its own tests"

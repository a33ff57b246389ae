"""What the examples share: which model they ask, how a run is printed, and what is said of a failure."""

import os
import sys
from argparse import ArgumentTypeError
from collections.abc import Generator
from contextlib import contextmanager
from decimal import Decimal, InvalidOperation

from pydantic import ValidationError

from swarmlet import StepsFailed, SwarmletError, Trace
from swarmlet.trace import visible


def model() -> str:
    """The name of the model to ask, from `EXAMPLE_MODEL`."""
    return os.environ.get("EXAMPLE_MODEL", "gpt-4o-mini")


def dollars(text: str) -> Decimal:
    """A sum of money, as an argument of a program."""
    try:
        usd = Decimal(text)
    except InvalidOperation:
        usd = Decimal(0)
    if not usd.is_finite() or usd <= 0:
        raise ArgumentTypeError(f"{text!r} is no sum of USD, such as 0.05")
    return usd


@contextmanager
def told(again: str = "") -> Generator[None, None, None]:
    """A failure in one sentence: the traceback is for those who change the library."""
    try:
        yield
    except KeyboardInterrupt:
        print(f"\nStopped. {again}".rstrip(), file=sys.stderr)
        raise SystemExit(130) from None
    except (SwarmletError, OSError, ValueError) as error:  # ValueError: pydantic's and UnicodeDecodeError, too
        raise SystemExit(f"\n{visible(reason(error))}") from None


def reason(error: Exception) -> str:
    """What an error says, without the pages that some of them add."""
    if isinstance(error, StepsFailed):
        return "\n".join(dict.fromkeys(reason(part) for part in error.exceptions))
    if isinstance(error, ValidationError):
        return "; ".join(": ".join([*map(str, one["loc"][:1]), one["msg"]]) for one in error.errors())
    return str(error)


def counted(number: int, what: str) -> str:
    """`1 file`, `2 files`."""
    return f"{number} {what}" if number == 1 else f"{number} {what}s"


def print_trace(trace: Trace) -> None:
    """One line for each step: when it began, how long it took (seconds), what it read and wrote (tokens)."""
    print(f"\n{'step':<44}{'began':>8}{'took':>8}{'in':>7}{'out':>7}")
    for step in trace.steps():
        began, took, usage = (step.begin or 0) - trace.started.at, step.seconds or 0, step.usage
        tokens = f"{usage.input_tokens:>7}{usage.output_tokens:>7}" if usage.requests else ""
        print(f"{step.path:<44}{began:>8.2f}{took:>8.2f}{tokens}")
    total = trace.usage
    calls = counted(total.requests, "model call")
    print(f"{calls:<52}{trace.seconds:>8.2f}{total.input_tokens:>7}{total.output_tokens:>7}")

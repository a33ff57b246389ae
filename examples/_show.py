"""What the examples share: which model they ask, and how a run is printed."""

import os

from swarmlet import Trace


def model() -> str:
    """The name of the model to ask, from `EXAMPLE_MODEL`."""
    return os.environ.get("EXAMPLE_MODEL", "gpt-4o-mini")


def print_trace(trace: Trace) -> None:
    """One line for each step: when it began, how long it took (seconds), what it read and wrote (tokens)."""
    print(f"\n{'step':<44}{'began':>8}{'took':>8}{'in':>7}{'out':>7}")
    for step in trace.steps():
        began, took, usage = (step.begin or 0) - trace.started.at, step.seconds or 0, step.usage
        tokens = f"{usage.input_tokens:>7}{usage.output_tokens:>7}" if usage.requests else ""
        print(f"{step.path:<44}{began:>8.2f}{took:>8.2f}{tokens}")
    total = trace.usage
    print(f"{f'{total.requests} model calls':<52}{trace.seconds:>8.2f}{total.input_tokens:>7}{total.output_tokens:>7}")

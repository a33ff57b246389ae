"""How long `import swarmlet` takes, against what its dependencies take and against `import openai`.

    python tests/bench/import_time.py

Prints CPU seconds (medians of 15 fresh processes, interleaved, with bytecode caching on) and their ratios.
"""

import os
import statistics
import subprocess
import sys

ROUNDS = 15
WHAT = {
    "swarmlet": "import swarmlet",
    "anyio, pydantic, structlog, tenacity": "import anyio, pydantic, structlog, tenacity",
    "openai": "import openai",
}
CODE = "import time; begin = time.process_time(); {}; print(time.process_time() - begin)"


def seconds(statement: str) -> float:
    """CPU seconds of one import in a process of its own."""
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONDONTWRITEBYTECODE"}
    command = [sys.executable, "-c", CODE.format(statement)]
    return float(subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stdout)


def main() -> None:
    """Measure and print."""
    for statement in WHAT.values():
        seconds(statement)  # writes the bytecode
    taken: dict[str, list[float]] = {name: [] for name in WHAT}
    for _ in range(ROUNDS):
        for name, statement in WHAT.items():
            taken[name].append(seconds(statement))
    medians = {name: statistics.median(values) for name, values in taken.items()}
    for name, median in medians.items():
        print(f"{median:7.3f} s  {medians['swarmlet'] / median:5.2f}  import {name}")
    print("(seconds; swarmlet's median over this one)")


if __name__ == "__main__":
    main()

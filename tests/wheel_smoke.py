"""Run by CI with the built wheel in an environment that has nothing else: the library works with its five dependencies."""

import sys
from importlib.metadata import distributions

import swarmlet

EXTRAS = {"rich", "griffelib", "xllamacpp", "trio", "pytest", "hypothesis", "orjson"}
installed = {distribution.metadata["Name"].lower() for distribution in distributions()}
assert not EXTRAS & installed, f"the wheel brought {EXTRAS & installed}"
early = {"openai", "rich", "httpx2", "structlog", "griffe", "xllamacpp"} & set(sys.modules)
assert not early, f"`import swarmlet` imported {early}"
assert "site-packages" in swarmlet.__file__, swarmlet.__file__


@swarmlet.node
async def double(number: int) -> int:
    return 2 * number


@swarmlet.node
def total(numbers: list[int]) -> int:
    return sum(numbers)


@swarmlet.graph
def double_all(numbers: list[int]) -> int:
    return total(swarmlet.each(double)(numbers))


@swarmlet.agent(str)
def greet(name: str) -> str:
    """You greet people."""
    return name


result = swarmlet.run_sync(double_all, [1, 2, 3])
assert result.output == 12
assert [step.path for step in result.trace.steps()][-1] == "double_all/total"
try:
    swarmlet.run_sync(greet, "Ada")
except swarmlet.StepFailed as error:
    assert "no API key: set OPENAI_API_KEY" in str(error), error
else:
    raise AssertionError("an agent ran without a key")
assert "openai" in sys.modules, "the adapter was not reached"
print("the wheel works")

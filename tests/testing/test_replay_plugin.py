"""The pytest fixture `recorded`, in a project of its own."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

import swarmlet.testing
from swarmlet.testing import Recording, Say, ScriptedServer
from tests.testing.replaying import lines_of

pytest_plugins = ["pytester"]

ONE = """
import pytest
from swarmlet import agent

@agent(str)
def say(text: str) -> str:
    return text

@pytest.fixture(params=["asyncio", "trio"])
def anyio_backend(request):
    return request.param

@pytest.mark.anyio
async def test_hello(recorded):
    async with recorded() as swarm:
        assert (await swarm.run(say, "Hello")).output == "Re: Hello"
"""

MANY = """
@pytest.mark.anyio
@pytest.mark.parametrize("text", ["plain", "not/a name", "not?a name"])
async def test_each(recorded, text):
    async with recorded() as swarm:
        assert (await swarm.run(say, text)).output == f"Re: {text}"

class TestThings:
    @pytest.mark.anyio
    async def test_two(self, recorded):
        for name in ("first", "second"):
            async with recorded(name) as swarm:
                await swarm.run(say, name)
        with pytest.raises(ValueError, match="a name of its own"):
            recorded("first")
"""


@pytest.fixture(autouse=True)
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[ScriptedServer]:
    """The provider, as a default client of the project finds it."""
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")
    monkeypatch.setenv("PYTHONPATH", str(Path(swarmlet.testing.__file__).parents[2]))
    monkeypatch.delenv("CI", raising=False)
    with ScriptedServer() as running:
        running.answer(lambda request: Say(f"Re: {request.text}"))
        monkeypatch.setenv("OPENAI_BASE_URL", running.base_url)
        monkeypatch.setenv("OPENAI_API_KEY", running.api_key)
        yield running


def run(pytester: pytest.Pytester, *arguments: str) -> pytest.RunResult:
    plugins = ("-p", "swarmlet.testing.plugin", "-p", "anyio.pytest_plugin", "-p", "no:cacheprovider")
    return pytester.runpytest_subprocess(*plugins, "-W", "error", *arguments, timeout=60)


def test_a_test_is_recorded_once_and_replayed_on_every_event_loop(pytester: pytest.Pytester, server: ScriptedServer) -> None:
    pytester.makepyfile(test_one=ONE)
    run(pytester, "--swarmlet-record=new").assert_outcomes(passed=2)
    assert len(server.requests) == 1

    run(pytester).assert_outcomes(passed=2)
    assert len(server.requests) == 1
    [path] = pytester.path.rglob("*.jsonl")
    assert path == pytester.path / "recordings" / "test_one" / "test_hello.jsonl"


def test_a_missing_recording_fails_with_the_command_that_records_it(pytester: pytest.Pytester, server: ScriptedServer) -> None:
    pytester.makepyfile(**{"inner/test_one": ONE})
    result = run(pytester, "-k", "asyncio")
    result.assert_outcomes(failed=1, deselected=1)
    command = "pytest 'inner/test_one.py::test_hello[asyncio]' --swarmlet-record=new"
    result.stdout.fnmatch_lines([f"*there is no recording *test_hello.jsonl'. To record it: {command.replace('[', '[[]')}"])
    assert server.requests == []

    run(pytester, "inner/test_one.py::test_hello[asyncio]", "--swarmlet-record=new").assert_outcomes(passed=1)
    run(pytester).assert_outcomes(passed=2)


def test_a_changed_prompt_fails_with_what_differs(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(test_one=ONE)
    run(pytester, "--swarmlet-record=new")
    pytester.makepyfile(test_one=ONE.replace('(say, "Hello")', '(say, "Hello you")'))
    result = run(pytester)
    result.assert_outcomes(failed=2)
    result.stdout.fnmatch_lines(["*message 1 (user): Hello{+ you+}", "*To record it: pytest *--swarmlet-record=new"])


def test_all_records_once_in_a_session(pytester: pytest.Pytester, server: ScriptedServer) -> None:
    pytester.makepyfile(test_one=ONE)
    run(pytester, "--swarmlet-record=new")
    run(pytester, "--swarmlet-record=all").assert_outcomes(passed=2)
    assert len(server.requests) == 2
    [path] = pytester.path.rglob("*.jsonl")
    assert len(Recording.read(path).calls) == 1


def test_parameters_classes_and_names_have_files_of_their_own(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(test_many=ONE + MANY)
    run(pytester, "--swarmlet-record=new").assert_outcomes(passed=10)
    run(pytester).assert_outcomes(passed=10)

    names = sorted(path.name.partition(".jsonl")[0] for path in pytester.path.rglob("*.jsonl"))
    unlike = [name for name in names if name.startswith("test_each-not_a_name-")]
    assert len(unlike) == 2  # characters that files cannot have in their names are told apart by a digest
    assert sorted({*names} - {*unlike}) == [
        "TestThings.test_two-first",
        "TestThings.test_two-second",
        "test_each-plain",
        "test_hello",
    ]


def test_nothing_is_recorded_in_continuous_integration(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch, server: ScriptedServer
) -> None:
    pytester.makepyfile(test_one=ONE)
    monkeypatch.setenv("CI", "true")
    result = run(pytester, "--swarmlet-record=new")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["*CI is set*"])

    run(pytester).assert_outcomes(failed=2)
    assert list(pytester.path.rglob("*.jsonl")) == []
    assert server.requests == []


def test_what_a_failing_test_has_paid_for_is_kept(pytester: pytest.Pytester, server: ScriptedServer) -> None:
    pytester.makepyfile(test_one=ONE.replace('== "Re: Hello"', '== "Re: Hi"'))
    run(pytester, "--swarmlet-record=new").assert_outcomes(failed=2)
    assert len(server.requests) == 1
    [path] = pytester.path.rglob("*.jsonl")
    assert len(lines_of(path)) == 2

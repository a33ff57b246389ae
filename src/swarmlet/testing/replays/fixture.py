"""What the pytest fixture `recorded` gives: a replay for each test, from a file that is named after the test."""

from __future__ import annotations

import os
import re
import shlex
from collections.abc import Sequence
from hashlib import blake2b
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Unpack, final

from swarmlet.testing.replays.replay import Mode, Replay, SwarmSettings

if TYPE_CHECKING:
    import pytest

    from swarmlet.models.base import ChatModel
    from swarmlet.testing.replays.scrub import Scrub

_MODES: Final[dict[str, Mode]] = {"none": "strict", "new": "new", "all": "all"}
_BACKEND = "anyio_backend"
_LONGEST = 100


@final
class Recorded:
    """Makes the replays of one test: `async with recorded() as swarm:`.

    The file is `recordings/MODULE/TEST.jsonl` beside the test's module. Parameters are part of its name, but the event loop is
    not: the same recording serves all. A test with more than one replay names them: `recorded("first")`.
    """

    def __init__(self, request: pytest.FixtureRequest, mode: str, recorded: set[Path]) -> None:
        self._node: Any = request.node  # Any: pytest does not say which kind of item it is
        self._config = request.config
        self._mode: Mode = _MODES[mode]
        self._recorded = recorded
        self._names: set[str] = set()

    def path(self, name: str = "") -> Path:
        """The file of this test's recording, or of the one that is called `name`."""
        module: Path = self._node.path
        known: Sequence[object] = [self._node.cls.__qualname__] if getattr(self._node, "cls", None) else []
        test = ".".join([*map(str, known), str(getattr(self._node, "originalname", None) or self._node.name)])
        parts = [test, *self._parameters(), *([name] if name else [])]
        return module.parent / "recordings" / module.stem / f"{_file_name('-'.join(parts))}.jsonl"

    def __call__(
        self,
        name: str = "",
        *,
        model: str | ChatModel | None = None,
        models: Sequence[ChatModel] = (),
        allow_unused: bool = False,
        scrub: Scrub | None = None,
        **settings: Unpack[SwarmSettings],
    ) -> Replay:
        """The replay of this test, as `replay(...)` makes it. Raises `ValueError` for a second one of the same name."""
        if name in self._names:
            raise ValueError(f"this test has a recording {name!r} already: give each a name of its own, recorded('second')")
        self._names.add(name)
        path = self.path(name)
        return Replay(
            path,
            mode=self._mode_of(path),
            model=model,
            models=models,
            allow_unused=allow_unused,
            scrub=scrub,
            settings=settings,
            hint=f"To record it: {self.command}",
        )

    @property
    def command(self) -> str:
        """The command that records what is missing."""
        rest = self._node.nodeid.partition("::")[2]
        where = os.path.relpath(self._node.path, self._config.invocation_params.dir)
        return f"pytest {shlex.quote(f'{Path(where).as_posix()}::{rest}')} --swarmlet-record=new"

    def _mode_of(self, path: Path) -> Mode:
        """With `all`, what this session has recorded on one event loop is not recorded again on the next."""
        if self._mode == "all" and path in self._recorded:
            return "new"
        self._recorded.add(path)
        return self._mode

    def _parameters(self) -> list[str]:
        callspec = getattr(self._node, "callspec", None)
        if callspec is None:
            return []
        return [
            str(value) if isinstance(value, str | int | float | None) else f"{name}{callspec.indices.get(name, '')}"
            for name, value in sorted(callspec.params.items())
            if name != _BACKEND
        ]


def _file_name(text: str) -> str:
    """A name that every file system takes; where it lost something, a digest keeps it apart from others."""
    name = re.sub(r"[^A-Za-z0-9_.=-]+", "_", text)[:_LONGEST]
    if name == text:
        return name
    return f"{name}-{blake2b(text.encode('utf-8', 'surrogatepass'), digest_size=4).hexdigest()}"

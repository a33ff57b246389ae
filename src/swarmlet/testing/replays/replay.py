"""`replay(...)`: a swarm whose models answer from a recording."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Final, Literal, TypeAlias, TypedDict, Unpack, final, get_args

from swarmlet.errors import GraphError, JournalError, NotRecorded, SwarmletError
from swarmlet.models.hub import Models
from swarmlet.models.openai import OpenAIModel
from swarmlet.models.profiles import profile_of
from swarmlet.policy.limits import Limits
from swarmlet.swarm.swarm import Swarm
from swarmlet.testing.replays.answers import Answers, told
from swarmlet.testing.replays.file import Recording, in_order, read
from swarmlet.testing.replays.models import ReplayedModel, ReplayedModels, Session
from swarmlet.testing.replays.recording import Source, own_profiles, recording
from swarmlet.testing.replays.scrub import Scrub, scrubber
from swarmlet.trace.read import Trace
from swarmlet.trace.result import PartialRun

if TYPE_CHECKING:
    from swarmlet.engine.answers import Dispatcher
    from swarmlet.engine.cashier import LedgerFactory
    from swarmlet.engine.people import Callback
    from swarmlet.models.base import ChatModel
    from swarmlet.models.cache import ReplyCache
    from swarmlet.models.pace import Stores
    from swarmlet.policy.breaker import Breaker
    from swarmlet.policy.budget import Budget
    from swarmlet.testing.replays.call import RecordedCall
    from swarmlet.trace.journal import Store
    from swarmlet.trace.record import Listener

Mode: TypeAlias = Literal["strict", "new", "all"]
"""What becomes of a request that is not recorded: it fails; it is asked and added; or everything is asked anew."""

_MODES: Final = get_args(Mode)


class SwarmSettings(TypedDict, total=False):
    """Settings of `Swarm` that a replay passes on."""

    journal: str | Path | Store | None
    limits: Limits | None
    limit_store: Stores | None
    budget: Budget | None
    ledger: LedgerFactory | None
    cache: ReplyCache | None
    breaker: Breaker | None
    people: Callback | None
    workers: Dispatcher | None
    listeners: Sequence[Listener]
    resources: Mapping[Any, object] | None  # Any: keys are types, each of another class
    capture: bool


class ReplayError(AssertionError):
    """A replay and its recording do not fit; `problems` has one text for each misfit."""

    def __init__(self, problems: Sequence[str]) -> None:
        self.problems: tuple[str, ...] = tuple(problems)
        lines = "\n".join(f"  - {problem}" for problem in self.problems)
        super().__init__(f"what was asked is not what was recorded, in {len(self.problems)} place(s):\n{lines}")


def replay(
    source: str | os.PathLike[str] | Source | Recording,
    *,
    mode: Mode = "strict",
    model: str | ChatModel | None = None,
    models: Sequence[ChatModel] = (),
    allow_unused: bool = False,
    scrub: Scrub | None = None,
    **settings: Unpack[SwarmSettings],
) -> Replay:
    """A swarm whose models answer from a recording: a file, or a run or trace that is at hand.

        async with replay("recordings/solve.jsonl") as swarm:
            result = await swarm.run(solve, task)

    A reply is found by what was asked, whoever asks and when. Tools run, budgets count, and texts can be streamed, all as
    with the models themselves; nothing is sent, and no key is needed. Only what a cap of a smaller budget would have cut off
    is cut off. A call that was cancelled when it was recorded is not answered, so that the same one wins a race.

    `mode` says what becomes of a request that the recording does not have:

    - `"strict"`: it fails with `NotRecorded`, which shows what differs from the nearest recorded one. The block then raises
      `ReplayError` if such a failure went unseen, as behind a fallback, or if a recorded request was never made; unless
      `allow_unused` says that the latter is fine. What fails in the block goes first.
    - `"new"`: the model itself is asked, and the file has it at the end. What is in the file stays.
    - `"all"`: every model is asked everything, and the file is replaced at the end; if the block fails, an old one stays.

    `model` and `models` are those of the swarm: names, or objects, whose prices and windows hold here too. Without `model`
    the recording says which one agents have that name none. `scrub` takes further things out of texts, before they are
    recorded or compared: dates, or names of temporary files. All other settings are those of `Swarm`.

    Entering raises `JournalError` for a file that is not there (in mode `"strict"`) or is no recording.
    """
    return Replay(source, mode=mode, model=model, models=models, allow_unused=allow_unused, scrub=scrub, settings=settings)


@final
class Replay:
    """A replay, as `replay(...)` makes it: an async context manager that gives the open `Swarm`.

    Keep it to ask afterwards which recorded calls were `unused`, and which requests it has `missed`.
    """

    def __init__(
        self,
        source: str | os.PathLike[str] | Source | Recording,
        *,
        mode: Mode,
        model: str | ChatModel | None,
        models: Sequence[ChatModel],
        allow_unused: bool,
        scrub: Scrub | None,
        settings: SwarmSettings,
        hint: str | None = None,
    ) -> None:
        self._path = Path(source) if isinstance(source, str | os.PathLike) else None
        self._source = source
        self._mode = mode
        self._check(settings)
        self._given = {one.name: one for one in (*models, *([] if isinstance(model, str | None) else [model]))}
        self._default = model if isinstance(model, str | None) else model.name
        self._allow_unused = allow_unused
        self._scrub = scrub
        self._settings = settings
        self._hint = hint if hint is not None else self._usual_hint()
        self._old = Recording()
        self._session: Session | None = None
        self._swarm: Swarm | None = None

    def _check(self, settings: SwarmSettings) -> None:
        if self._mode not in _MODES:
            raise GraphError(f"replay(mode=) is one of {', '.join(map(repr, _MODES))}, not {self._mode!r}")
        if self._mode != "strict" and self._path is None:
            raise GraphError(f"replay(mode={self._mode!r}) writes a file, so its recording has to be the path of one")
        if self._mode != "strict" and not settings.get("capture", True):
            raise GraphError(
                f"replay(mode={self._mode!r}) records prompts and replies, which capture=False keeps out of traces"
            )

    def _usual_hint(self) -> str:
        return "" if self._path is None else f"To record it: replay({str(self._path)!r}, mode='new')"

    # --- what came of it

    @property
    def unused(self) -> tuple[RecordedCall, ...]:
        """The recorded calls whose request was not made. One made less often is not among them: votes stop early."""
        return self._opened.answers.unused

    @property
    def missed(self) -> tuple[NotRecorded, ...]:
        """The failures of requests that were not recorded."""
        return tuple(self._opened.missed)

    @property
    def _opened(self) -> Session:
        if self._session is None:
            raise SwarmletError("this replay was not opened: use `async with replay(...) as swarm:`")
        return self._session

    @property
    def problems(self) -> list[str]:
        """What a strict replay complains about at its end."""
        unused = () if self._allow_unused else self.unused
        return [*map(str, self.missed), *(f"never asked for: {told(call)}" for call in unused)]

    # --- running

    async def __aenter__(self) -> Swarm:
        if self._swarm is not None:
            raise SwarmletError("this replay is open already; make one for each `async with`")
        self._old = self._read()
        calls = () if self._mode == "all" else self._old.calls
        session = Session(
            answers=Answers(calls, self._path, self._hint), scrub=scrubber(self._scrub), records=self._mode != "strict"
        )
        swarm = self._make_swarm(session)
        self._session = session
        self._swarm = await swarm.__aenter__()
        return swarm

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        swarm, self._swarm = self._swarm, None
        if swarm is None:
            return
        failed = True
        try:
            await swarm.__aexit__(kind, error, traceback)
            failed = error is not None
        finally:
            if self._mode != "strict":
                self._save(failed=failed)
        if error is None and self._mode == "strict" and (problems := self.problems):
            raise ReplayError(problems) from next(iter(self.missed), None)

    def _read(self) -> Recording:
        if isinstance(self._source, Trace | PartialRun):
            return recording(self._source, models=list(self._given.values()), scrub=self._scrub)
        if isinstance(self._source, Recording):
            return self._source
        path = self._path or Path()
        if not path.exists():
            if self._mode == "strict":
                raise JournalError(f"there is no recording {str(path)!r}. {self._hint}".rstrip())
            return Recording()
        if self._mode == "all":
            return Recording()  # whatever it is, it is replaced
        return read(path, scrubber(self._scrub))

    def _make_swarm(self, session: Session) -> Swarm:
        settings = self._settings.copy()
        store = settings.pop("limit_store", None)  # closed with those who ask it, which are not the swarm's own
        default = self._default or self._old.default
        made = {name: self._model(name, session) for name in self._given}
        limits = settings.get("limits") or Limits()
        models = Models(default, list(made.values()), limits, store, settings.get("breaker"))
        replayed = ReplayedModels(models, made, lambda name: self._model(name, session), session)
        settings["resources"] = {**(settings.get("resources") or {}), Models: lambda: replayed}
        return Swarm(model=default, **settings)

    def _model(self, name: str, session: Session) -> ReplayedModel:
        given = self._given.get(name)
        profile = given.profile if given is not None else self._old.profiles.get(name) or profile_of(name)
        real = given or (OpenAIModel(name) if session.records else None)
        return ReplayedModel(name, profile, session, real)

    # --- recording

    def _save(self, *, failed: bool) -> None:
        """Write what was asked anew. Of a block that has failed, only what was paid for."""
        if self._path is None or (self._mode == "all" and failed and self._path.exists()):
            return
        session = self._opened
        if self._mode == "new" and not session.asked_anew and (failed or self._path.exists()):
            return
        runs = [Trace(one.events, one.values) for one in session.recorders.values()]
        made = recording(*runs, scrub=self._scrub).calls
        kept = [call for call in made if call.reply is not None] if failed else _lasting(made)
        calls = in_order(_joined(self._old.calls, session.answers, kept))
        if failed and not calls:
            return
        profiles = {**self._old.profiles, **own_profiles(list(self._given.values()), calls)}
        Recording(calls, self._default or self._old.default, profiles).save(self._path)


def _lasting(calls: Sequence[RecordedCall]) -> list[RecordedCall]:
    """Without calls that failed for want of a key, which says nothing of the model."""
    return [call for call in calls if call.error is None or call.error.type != "NoApiKey"]


def _joined(old: Sequence[RecordedCall], answers: Answers, made: Sequence[RecordedCall]) -> list[RecordedCall]:
    """What was recorded and what was made. A recorded call that was given is in `made` again, unless it was cancelled now."""
    left = set(map(id, answers.left))
    done = {call.key for call in made if not call.cancelled}
    kept = [call for call in old if id(call) in left or (call.key not in done and not call.cancelled)]
    known = {(call.step, call.key) for call in kept}
    return [*kept, *(call for call in made if not (call.cancelled and (call.step, call.key) in known))]

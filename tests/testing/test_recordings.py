"""Recordings as files: stable, readable, without secrets, and refused in one sentence where they are broken."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from swarmlet import JournalError, StepFailed, Swarm, agent, each, tool
from swarmlet.models.base import ChatReply, ChatRequest, Message, ToolCall
from swarmlet.testing import RecordedCall, Recording, Say, ScriptedServer, call, recording, replay, save_recording
from swarmlet.testing.replays.call import form_of
from swarmlet.testing.replays.scrub import scrubber, short_url
from swarmlet.trace import Journal
from tests.testing.replaying import capital, forecast, lines_of, model_at, run_on, say

HEADER = '{"calls": 1, "default": "gpt-4o-mini", "format": "swarmlet-recording", "version": 1}'
CALL = (
    '{"reply": {"input_tokens": 5, "text": "Hei"}, "request": {"messages": [{"content": "Hello", "role": "user"}], '
    '"model": "gpt-4o-mini"}, "step": "say", "turn": 1}'
)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "r.jsonl"


def written(path: Path, *lines: str) -> Path:
    path.write_text("".join(f"{line}\n" for line in lines), "utf-8")
    return path


# What is written


@pytest.mark.anyio
async def test_the_same_run_gives_the_same_bytes_whatever_came_first(server: ScriptedServer, tmp_path: Path) -> None:
    server.when(lambda request: request.messages[-1]["role"] != "tool", call("weather", city="Oslo"))
    server.answer(lambda _: Say("Rain."))
    cities = [f"city {number}" for number in range(12)]
    for name in ("one", "two"):
        run = await run_on(server, each(forecast), cities)
        save_recording(run, tmp_path / name)

    assert (tmp_path / "one").read_bytes() == (tmp_path / "two").read_bytes()
    steps = [json.loads(line)["step"] for line in lines_of(tmp_path / "one")[1:]]
    assert steps == [f"forecast[{number}]" for number in range(12) for _ in range(2)]


@pytest.mark.anyio
async def test_a_file_has_a_line_for_each_call_with_sorted_keys_and_nothing_of_time_or_place(
    server: ScriptedServer, path: Path
) -> None:
    server.script('{"name": "Æ"}')
    run = await run_on(server, capital, "Norway")
    save_recording(run, path)

    header, line = lines_of(path)
    assert json.loads(header) == {"calls": 1, "default": "gpt-4o-mini", "format": "swarmlet-recording", "version": 1}
    asked = json.loads(line)
    assert list(asked) == sorted(asked) == ["reply", "request", "step", "turn"]
    assert sorted(asked["reply"]) == ["input_tokens", "model", "output_tokens", "service_tier", "text"]
    assert asked["request"]["messages"] == [
        {"content": "You know capitals.", "role": "system"},
        {"content": "The capital of Norway?", "role": "user"},
    ]
    assert "Æ" in line
    for word in (run.id, "sk-scripted", "127.0.0.1", "request_id", "cache_key", str(Path.cwd())):
        assert word not in line


@pytest.mark.anyio
async def test_a_journals_run_gives_the_same_file(server: ScriptedServer, tmp_path: Path) -> None:
    server.script(call("weather", city="Oslo"), "Rain.")
    async with Swarm(model=model_at(server), journal=tmp_path / "j.sqlite") as swarm:
        run = await swarm.run(forecast, "Oslo")
    save_recording(run, tmp_path / "memory")
    save_recording(Journal(tmp_path / "j.sqlite").trace(run.id), tmp_path / "journal")

    assert (tmp_path / "memory").read_bytes() == (tmp_path / "journal").read_bytes()


@pytest.mark.anyio
async def test_a_resumed_run_is_recorded_as_one(server: ScriptedServer, tmp_path: Path) -> None:
    ways = iter([OSError("closed"), None])

    def umbrella(city: str) -> str:
        if error := next(ways, None):
            raise error
        return f"Take one to {city}."

    pack = agent(str, tools=[tool(umbrella, on_error="raise")], name="pack")(prompt)
    server.script(call("umbrella", city="Oslo"), "Packed.")
    async with Swarm(model=model_at(server), journal=tmp_path / "j.sqlite") as swarm:
        with pytest.raises(StepFailed) as caught:
            await swarm.run(pack, "Oslo")
        assert caught.value.run is not None
        run = await swarm.resume(caught.value.run.id, pack)

    made = recording(Journal(tmp_path / "j.sqlite").trace(run.id))
    assert [one.turn for one in made.calls] == [1, 2]
    async with replay(made) as swarm:
        assert (await swarm.run(pack, "Oslo")).output == "Packed."


def prompt(city: str) -> str:
    return city


@pytest.mark.anyio
async def test_a_run_without_contents_cannot_be_recorded(server: ScriptedServer) -> None:
    server.script("Hei")
    async with Swarm(model=model_at(server), capture=False) as swarm:
        run = await swarm.run(say, "Hello")
    with pytest.raises(JournalError, match="capture=False"):
        recording(run)


@pytest.mark.anyio
async def test_a_replayed_run_records_as_the_recorded_one(server: ScriptedServer, tmp_path: Path) -> None:
    server.script(call("weather", city="Oslo"), call("weather", city="Bergen"), "Rain.")
    save_recording(await run_on(server, forecast, "Norway"), tmp_path / "one")
    async with replay(tmp_path / "one") as swarm:
        save_recording(await swarm.run(forecast, "Norway"), tmp_path / "two")

    assert (tmp_path / "one").read_bytes() == (tmp_path / "two").read_bytes()


def test_what_is_read_is_written_as_it_was(path: Path) -> None:
    written(path, HEADER, CALL)
    before = path.read_bytes()
    Recording.read(path).save(path)
    assert path.read_bytes() == before


def test_line_ends_of_windows_and_empty_lines_do_no_harm(path: Path) -> None:
    path.write_bytes(f"{HEADER}\r\n\r\n{CALL}\r\n".encode())
    assert len(Recording.read(path).calls) == 1


def test_nothing_in_a_file_is_invisible(path: Path) -> None:
    text = "a\u202eb\u2028c\x7fd\U000e0041e\x00f\u200bg ü 😀"
    call_ = RecordedCall(step="say", turn=1, request={"model": "m", "messages": []}, reply=ChatReply(text=text))
    Recording((call_,)).save(path)

    assert "".join(lines_of(path)).isprintable()
    assert "ü 😀" in path.read_text("utf-8")
    [back] = Recording.read(path).calls
    assert back.reply is not None
    assert back.reply.text == text


def test_a_file_that_cannot_be_written_is_told_and_leaves_nothing_behind(tmp_path: Path) -> None:
    (tmp_path / "taken").mkdir()
    with pytest.raises(JournalError, match="cannot be written"):
        Recording().save(tmp_path / "taken")
    assert [one.name for one in tmp_path.iterdir()] == ["taken"]


json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-(10**9), 10**9) | st.text(st.characters(exclude_categories=["Cs"])),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)
words = st.text(st.characters(exclude_categories=["Cs"]), max_size=40)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(text=words, arguments=words, step=words, parameters=st.dictionaries(words, json_values, max_size=3))
def test_every_recording_comes_back(path: Path, text: str, arguments: str, step: str, parameters: dict[str, Any]) -> None:
    clean = scrubber()
    tool: dict[str, Any] = {"name": "t", "description": "", "parameters": parameters, "strict": True}
    request: dict[str, Any] = {"model": "m", "messages": [{"role": "user", "content": clean(text)}], "tools": [tool]}
    reply = ChatReply(text=clean(text), tool_calls=(ToolCall("call_1", "t", clean(arguments)),), output_tokens=3)
    Recording((RecordedCall(step=step, turn=2, request=request, reply=reply),), "m").save(path)
    back = Recording.read(path)
    back.save(path)
    first = path.read_bytes()
    Recording.read(path).save(path)

    assert path.read_bytes() == first
    assert (back.calls[0].step, back.calls[0].reply) == (step, reply)


# Secrets and machine paths


@pytest.mark.parametrize(
    ("text", "clean"),
    [
        ("key sk-proj-Ab12_cd-34 and", "key [secret] and"),
        ("OPENAI=sk-0123456789abcdef.", "OPENAI=[secret]."),
        ("AKIAIOSFODNN7EXAMPLE", "[secret]"),
        ("ghp_0123456789abcdefghijABCDEFGHIJ012345", "[secret]"),
        ("Authorization: Bearer abcdef.ghijkl-123", "Authorization: Bearer [secret]"),
        ('{"authorization": "Basic dXNlcjpwYXNz"}', '{"authorization": "Basic [secret]"}'),
        ("postgres://me:hunter2@host/db", "postgres://me:[secret]@host/db"),
        ('"api_key": "0a1b2c3d4e5f6a7b8c9d"', '"api_key": "[secret]"'),
        ("?X-Amz-Signature=0a1b2c3d4e5f6a7b8c9d&x=1", "?X-Amz-Signature=[secret]&x=1"),
        ("-----BEGIN RSA PRIVATE KEY-----\nMII\n-----END RSA PRIVATE KEY-----!", "[secret]!"),
        ("api_key=os.environ['KEY'] # a task-force risk-management sk-learn", None),
        ("password = ask_for_the_password()", None),
        ("the bearer certificate, Authorization: necessary", None),
        ("Bearer abc123def456", "Bearer [secret]"),
        ("click /home/settings, or //item", None),
    ],
)
def test_texts_are_scrubbed(text: str, clean: str | None) -> None:
    scrub = scrubber()
    assert scrub(text) == (text if clean is None else clean)
    assert scrub(scrub(text)) == scrub(text)


def test_the_keys_of_the_environment_and_the_current_folder_are_scrubbed(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("SOME_API_KEY", "plainpassphrase")
    monkeypatch.chdir(tmp_path)
    assert scrubber()(f"plainpassphrase at {tmp_path}/x.py, {tmp_path}") == "[secret] at ./x.py, ."


@pytest.mark.parametrize(
    ("text", "clean"),
    [
        ("see /home/someone/notes.txt and /root/x", "see ~/notes.txt and ~/x"),
        (r"C:\Users\someone\notes.txt", r"~\notes.txt"),
        ("https://example.org/home/page and x/root", None),
    ],
)
def test_requests_are_compared_without_anybodys_home(text: str, clean: str | None) -> None:
    request = ChatRequest(model="m", messages=(Message.user(text),))
    assert form_of(request, scrubber())["messages"] == [{"content": clean or text, "role": "user"}]


@given(words)
def test_scrubbing_twice_changes_nothing(text: str) -> None:
    scrub = scrubber()
    assert scrub(scrub(text)) == scrub(text)


def test_addresses_of_pictures_are_kept_unless_they_hold_the_picture() -> None:
    scrub = scrubber()
    held = "data:image/png;base64," + "A" * 999
    assert short_url("https://example.org/a.png", scrub) == "https://example.org/a.png"
    assert re.fullmatch(r"data:image/png,999 characters, blake2b [0-9a-f]{32}", short_url(held, scrub))
    assert short_url(short_url(held, scrub), scrub) == short_url(held, scrub)


# What is refused

DEEP = '{"x": ' * 100_000 + "1" + "}" * 100_000


@pytest.mark.parametrize(
    ("lines", "line", "why"),
    [
        ([], None, "empty"),
        (["{}"], 1, "format"),
        (["[]"], 1, "JSON object"),
        (["not json"], 1, "not JSON"),
        ([HEADER.replace('"version": 1', '"version": 2')], 1, "version is 2"),
        ([HEADER.replace('"version": 1', '"version": true')], 1, "version"),
        ([HEADER.replace('"version": 1', f'"version": {"9" * 4000}')], 1, "version"),
        ([HEADER.replace('"calls": 1', '"calls": "1"'), CALL], 1, "calls"),
        ([HEADER], None, "there are 1 calls, and there are 0"),
        ([HEADER, CALL, CALL], None, "and there are 2"),
        ([HEADER, CALL[:-20]], 2, "not JSON"),
        ([HEADER, "<<<<<<< HEAD"], 2, "merge"),
        ([HEADER, "null"], 2, "JSON object"),
        ([HEADER, DEEP], 2, "not JSON"),
        ([HEADER, CALL.replace('"turn": 1', '"turn": 0')], 2, "turn"),
        ([HEADER, CALL.replace('"turn": 1', '"turn": NaN')], 2, "not JSON"),
        ([HEADER, CALL.replace('"input_tokens": 5', '"input_tokens": -5')], 2, "input_tokens"),
        ([HEADER, CALL.replace('"input_tokens": 5', '"input_tokens": 1e30')], 2, "input_tokens"),
        ([HEADER, CALL.replace('"input_tokens": 5', f'"input_tokens": {"9" * 400}')], 2, "input_tokens"),
        ([HEADER, CALL.replace('"text": "Hei"', '"text": 5')], 2, "text"),
        ([HEADER, CALL.replace('"text": "Hei"', '"txt": "Hei"')], 2, "'txt'"),
        ([HEADER, CALL.replace('"role": "user"', '"role": "god"')], 2, "role"),
        ([HEADER, CALL.replace('"role": "user"', '"rule": "user"')], 2, "role"),
        ([HEADER, CALL.replace('"model": "gpt-4o-mini"', '"model": "m", "temperature": 1e999')], 2, "number"),
        ([HEADER, CALL.replace('"reply": {"input_tokens": 5, "text": "Hei"}, ', "")], 2, "either a reply"),
        ([HEADER, CALL.replace('"reply"', '"error": {"type": "X", "message": "y"}, "reply"')], 2, "either a reply"),
        ([HEADER, CALL.replace('"reply"', '"error": {"type": "X"}, "reply"')], 2, "error"),
        ([HEADER.replace('"version"', '"profiles": {"m": {"name": "m", "prices": 3}}, "version"'), CALL], 1, "prices"),
    ],
)
def test_a_broken_file_is_refused_with_its_line(path: Path, lines: list[str], line: int | None, why: str) -> None:
    written(path, *lines)
    with pytest.raises(JournalError) as caught:
        Recording.read(path)
    told = str(caught.value)
    assert repr(str(path)) in told
    assert why in told
    assert line is None or told.startswith(f"line {line} of ")
    assert len(told) < 600 + len(str(path))


def test_a_giant_line_is_refused(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("swarmlet.testing.replays.file._LONGEST_LINE", 1000)
    written(path, HEADER, CALL.replace("Hei", "Hei" * 1000))
    with pytest.raises(JournalError, match=r"line 2 of .* longer than 1,000 bytes"):
        Recording.read(path)


def test_a_folder_or_nothing_is_no_recording(tmp_path: Path) -> None:
    for path in (tmp_path, tmp_path / "none"):
        with pytest.raises(JournalError, match="cannot be read"):
            Recording.read(path)


@settings(max_examples=300, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(st.data())
def test_a_damaged_file_is_read_or_refused_and_nothing_else(path: Path, data: st.DataObject) -> None:
    content = bytearray(f"{HEADER}\n{CALL}\n".encode())
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, len(content) - 1))
        damage = data.draw(st.sampled_from(["flip", "cut", "drop", "insert", "repeat"]))
        if damage == "flip":
            content[at] ^= 1 << data.draw(st.integers(0, 7))
        elif damage == "cut" and at:
            del content[at:]
        elif damage == "drop":
            del content[at : at + data.draw(st.integers(1, 9))]
        elif damage == "insert":
            content[at:at] = data.draw(st.binary(max_size=9))
        else:
            content[at:at] = content[max(0, at - 30) : at]
        if not content:
            return
    path.write_bytes(content)
    try:
        Recording.read(path)
    except JournalError as error:
        assert str(path) in str(error)  # noqa: PT017  # whether it is raised is up to the damage


@settings(max_examples=200, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(
    at=st.sampled_from([("reply",), ("request",), ("step",), ("turn",), ("reply", "text"), ("request", "messages")]),
    value=json_values,
)
def test_wrong_types_anywhere_are_read_or_refused(path: Path, at: tuple[str, ...], value: Any) -> None:
    line: dict[str, Any] = json.loads(CALL)
    *way, last = at
    place = line
    for name in way:
        place = place[name]
    place[last] = value
    written(path, HEADER, json.dumps(line))
    try:
        Recording.read(path).save(path)
    except JournalError as error:
        assert "line 2 of " in str(error)  # noqa: PT017  # as above
    else:
        Recording.read(path)


def test_a_file_cut_anywhere_is_refused(path: Path) -> None:
    whole = f"{HEADER}\n{CALL}\n".encode()
    for length in range(len(whole) - 1):
        path.write_bytes(whole[:length])
        with pytest.raises(JournalError):
            Recording.read(path)

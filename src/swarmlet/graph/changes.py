"""What has changed between two fingerprints, in words: a line for each place, part and type."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, final

from swarmlet.graph.spell import without_modules

if TYPE_CHECKING:
    from swarmlet.graph.fingerprint import Fields, Fingerprint, Piece, Row


def changes(then: Fingerprint, now: Fingerprint) -> list[str]:
    """What differs, a line each, in the order of the graph; nothing if the graphs are the same.

    A step under another name is taken as renamed if what it is has not changed and no other step could be meant. Steps are
    compared as far as both fingerprints have rows; that something beyond them differs is told.
    """
    if then.digest == now.digest:
        return []
    known = _pair(then, now)
    types = {one.name: one for one in then.types}, {one.name: one for one in now.types}
    lines = [*_moved(known), *_types(then, now, *types), *_all_pieces(known, types)]
    if then.rest != now.rest:
        lines.append(f"something beyond row {min(len(one.rows) for one in (then, now) if one.rest):,}")
    return lines or ["something that no row tells"]


# Places


@final
@dataclass(frozen=True, slots=True)
class _Paired:
    """Which place now is which place then."""

    then: Mapping[str, Piece]
    now: Mapping[str, Piece]
    same: Mapping[str, str]
    """By the path then, the path now."""
    renamed: Mapping[str, str]
    """Those whose own name differs."""
    new: Sequence[str]
    gone: Sequence[str]


def _pair(then: Fingerprint, now: Fingerprint) -> _Paired:
    old, new = _by_path(then.rows), _by_path(now.rows)
    root, root_now = next(iter(old)), next(iter(new))
    renamed = {} if root == root_now else {root: root_now}
    same = {path: path for path in old if path in new} if root == root_now else {root: root_now}
    taken = set(same.values())
    left = {path: piece for path, piece in new.items() if path not in taken}
    alike: dict[object, list[str]] = defaultdict(list)
    for path, piece in left.items():
        alike[_kind(piece)].append(path)
    rivals: dict[object, int] = defaultdict(int)
    for path, piece in old.items():
        rivals[_kind(piece)] += path not in same
    for path, piece in old.items():
        if path in same:
            continue
        moved = _below(path, renamed)
        if moved not in left:
            found = [one for one in alike[_kind(piece)] if one in left]
            if len(found) != 1 or rivals[_kind(piece)] != 1:
                continue
            moved = renamed[path] = found[0]
        same[path] = moved
        del left[moved]
    gone = [path for path in old if path not in same]
    return _Paired(
        old,
        new,
        same,
        renamed,
        [path for path in left if not then.rest or _is_before(path, new, set(same.values()))],
        [path for path in gone if not now.rest or _is_before(path, old, set(same))],
    )


def _kind(piece: Piece) -> object:
    """What stays when a step is renamed."""
    return piece.what, piece.origin, piece.signature


def _by_path(rows: Iterable[Row]) -> dict[str, Piece]:
    """The pieces by path; further ones of one path, arms of one name, are numbered."""
    found: dict[str, Piece] = {}
    counts: dict[str, int] = defaultdict(int)
    for row in rows:
        counts[row.path] += 1
        count = counts[row.path]
        found[row.path if count == 1 else f"{row.path} ({count})"] = row.piece
    return found


def _below(path: str, renamed: Mapping[str, str]) -> str:
    """The path as it is now, after what is around it was renamed."""
    for end in range(len(path), 0, -1):
        if path[end : end + 1] in ("/", "[") and path[:end] in renamed:
            return renamed[path[:end]] + path[end:]
    return path


def _is_before(path: str, rows: Iterable[str], common: set[str]) -> bool:
    """Whether the row stands before the last one that both have, so that it cannot be beyond the rows of the other."""
    order = {one: index for index, one in enumerate(rows)}
    return order[path] < max(order[one] for one in common)


def _moved(known: _Paired) -> Iterator[str]:
    for old, new in known.renamed.items():
        yield f"{old}: renamed, now {new}"
    yield from (f"{path}: gone" for path in _tops(known.gone))
    yield from (f"{path}: new" for path in _tops(known.new))


def _tops(paths: Sequence[str]) -> Iterator[str]:
    """Those that are not below another one of them."""
    told: set[str] = set()
    for path in paths:
        ends = (end for end in range(1, len(path)) if path[end] in "/[")
        if not any(path[:end] in told for end in ends):
            yield path
        told.add(path)


# Pieces

_Types = tuple[Mapping[str, "Fields"], Mapping[str, "Fields"]]


def _all_pieces(known: _Paired, types: _Types) -> Iterator[str]:
    changed = {name for name in {*types[0], *types[1]} if types[0].get(name) != types[1].get(name)}
    reached = _reached(types[1])
    for old, new in known.same.items():
        then, now = known.then[old], known.now[new]
        if then != now:
            says_type = not changed.isdisjoint(reached(now.types))
            yield from (f"{new}: {line}" for line in _piece(then, now, says_type=says_type))
            yield from (f"{new}: {line}" for line in _wiring(old, new, known))


def _piece(then: Piece, now: Piece, *, says_type: bool) -> Iterator[str]:
    if (then.what, then.signature) != (now.what, now.signature):
        was, is_ = f"{then.what} {then.signature}", f"{now.what} {now.signature}"
        if without_modules(was) != without_modules(is_):
            was, is_ = without_modules(was), without_modules(is_)
        yield f"it was {_article(was)}, and is now {_article(is_)}"
    if then.origin != now.origin:
        yield f"it was defined as {then.origin}, and is now {now.origin}"
    was_so, is_so = dict(then.facts), dict(now.facts)
    for name in dict.fromkeys([*was_so, *is_so]):
        was, is_ = was_so.get(name, ""), is_so.get(name, "")
        schema = now.what == "agent" or then.what == "agent"
        if was == is_ or (name == "output" and (says_type or then.signature != now.signature)):
            continue
        if not was or not is_:
            yield f"{name}{'' if schema else f' {is_ or was}'}: {'new' if is_ else 'gone'}"
        else:
            yield f"{name}: its schema has changed" if schema else f"{name} was {was}, and is now {is_}"


def _article(text: str) -> str:
    return f"{'an' if text[:1] in 'aeiou' else 'a'} {text}"


def _wiring(old: str, new: str, known: _Paired) -> Iterator[str]:
    then, now = known.then[old], known.now[new]
    if then.wiring == now.wiring and then.rest == now.rest:
        return
    steps = {a[len(old) + 1 :]: b[len(new) + 1 :] for a, b in known.renamed.items() if a.startswith(f"{old}/")}
    rename = _renamer(steps)
    was = {(steps.get(one.step, one.step), one.parameter): rename(one.source) for one in then.wiring}
    is_ = {(one.step, one.parameter): one.source for one in now.wiring}
    other = {path[len(new) + 1 :] for path in known.new} | {path[len(old) + 1 :] for path in known.gone}
    for step, parameter in dict.fromkeys([*was, *is_]):
        a, b = was.get((step, parameter)), is_.get((step, parameter))
        if a == b or step in other or _is_beyond(step, parameter, now if b is None else then if a is None else None):
            continue
        place = f"{step}({parameter}=)" if step else "its result"
        if a is None or b is None:
            yield f"{place} {'is no longer given' if b is None else f'comes from {b}, and was not given'}"
        else:
            yield f"{place} came from {a}, and comes now from {b}"
    if then.rest != now.rest:
        yield "something beyond what is listed of its wiring"


def _is_beyond(step: str, parameter: str, lacking: Piece | None) -> bool:
    """Whether the wiring of the one that lacks it is listed only up to another place; it is sorted."""
    if lacking is None or not lacking.rest:
        return False
    last = lacking.wiring[-1] if lacking.wiring else None
    return last is None or (step, parameter) > (last.step, last.parameter)


def _renamer(steps: Mapping[str, str]) -> Callable[[str], str]:
    def rename(source: str) -> str:
        for old, new in steps.items():
            source = source.replace(f"{old}()", f"{new}()")
        return source

    return rename


# Types


def _types(then: Fingerprint, now: Fingerprint, was: Mapping[str, Fields], is_: Mapping[str, Fields]) -> Iterator[str]:
    """The types of both whose fields differ, each told at the first place that it is used in."""
    reached = _reached(is_)
    places: dict[str, list[str]] = defaultdict(list)
    if changed := {name for name in was if name in is_ and was[name].fields != is_[name].fields}:
        for row in now.rows:
            for name in changed.intersection(reached(row.piece.types)):
                places[name].append(row.path)
    for name in sorted(changed):
        lines = "; ".join(_fields(dict(was[name].fields), dict(is_[name].fields)))
        found = places[name]
        more = f" (also used in {len(found) - 1:,} other places)" if len(found) > 1 else ""
        yield f"{found[0] if found else now.rows[0].path}: the type {name} has changed: {lines}{more}"


def _fields(was: Mapping[str, str], is_: Mapping[str, str]) -> Iterator[str]:
    told = False
    for name in dict.fromkeys([*was, *is_]):
        a, b = was.get(name), is_.get(name)
        if a != b:
            told = True
            yield f"{name} is gone" if b is None else f"{name}: {b} is new" if a is None else f"{name} was {a}, and is now {b}"
    if not told:
        yield "its fields stand in another order"


def _reached(types: Mapping[str, Fields]) -> Callable[[tuple[str, ...]], set[str]]:
    """Finds all types that are named by some, and by those in turn."""
    known: dict[tuple[str, ...], set[str]] = {}

    def reached(names: tuple[str, ...]) -> set[str]:
        found = known.get(names)
        if found is None:
            found = known[names] = set()
            stack = list(names)
            while stack:
                name = stack.pop()
                if name not in found:
                    found.add(name)
                    stack += types[name].types if name in types else ()
        return found

    return reached

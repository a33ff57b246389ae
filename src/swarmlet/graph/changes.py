"""What has changed between two fingerprints, in words: a line for each place, part and type."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence, Set
from dataclasses import dataclass
from typing import TYPE_CHECKING, final

from swarmlet.graph.spell import without_modules

if TYPE_CHECKING:
    from swarmlet.graph.rows import Fields, Fingerprint, Piece, Row


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
    for path, around in _with_parents(old):
        if path in same:
            continue
        moved = same[around] + path[len(around) :] if around in same else ""
        if moved not in left:
            kind = _kind(old[path])
            found = [one for one in alike[kind] if one in left]
            if len(found) != 1 or rivals[kind] != 1:
                continue
            moved = renamed[path] = found[0]
        same[path] = moved
        del left[moved]
    gone = [path for path in old if path not in same]
    added = _before_last(left, new, set(same.values())) if then.rest else list(left)
    return _Paired(old, new, same, renamed, added, _before_last(gone, old, same.keys()) if now.rest else gone)


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


def _with_parents(paths: Iterable[str]) -> Iterator[tuple[str, str]]:
    """Each path with the nearest one before it that it lies below, if there is one; paths come in the order of rows."""
    around: list[str] = []
    for path in paths:
        while around and not path.startswith((f"{around[-1]}/", f"{around[-1]}[")):
            around.pop()
        yield path, around[-1] if around else ""
        around.append(path)


def _before_last(paths: Iterable[str], rows: Iterable[str], common: Set[str]) -> list[str]:
    """Those that stand before the last row that both have, so that they cannot be beyond the rows of the other."""
    order = {one: index for index, one in enumerate(rows)}
    last = max(order[one] for one in common)
    return [path for path in paths if order[path] < last]


def _moved(known: _Paired) -> Iterator[str]:
    for old, new in known.renamed.items():
        yield f"{old}: renamed, now {new}"
    yield from (f"{path}: gone" for path in _tops(known.gone))
    yield from (f"{path}: new" for path in _tops(known.new))


def _tops(paths: Sequence[str]) -> Iterator[str]:
    """Those that are not below another one of them."""
    return (path for path, around in _with_parents(paths) if not around)


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
    before = {steps.get(one, one) for one in _steps(known.then, old)}
    after = set(_steps(known.now, new))
    for step, parameter in dict.fromkeys([*was, *is_]):
        a, b = was.get((step, parameter)), is_.get((step, parameter))
        place = f"{step}({parameter}=)" if step else "its result"
        if a is not None and b is not None:
            yield from [f"{place} came from {a}, and comes now from {b}"] if a != b else []
        elif b is None and step in after and not _is_beyond(step, parameter, now):
            yield f"{place} is no longer given"
        elif a is None and step in before and not _is_beyond(step, parameter, then):
            yield f"{place} comes from {b}, and was not given"
    if then.rest != now.rest:
        yield "something beyond what is listed of its wiring"


def _steps(rows: Iterable[str], graph: str) -> Iterator[str]:
    """The paths below a graph, as its wiring has them."""
    return (path[len(graph) + 1 :] for path in rows if path.startswith(f"{graph}/"))


def _is_beyond(step: str, parameter: str, piece: Piece) -> bool:
    """Whether the wiring of `piece`, which is sorted, is listed only up to another place."""
    last = piece.wiring[-1] if piece.rest and piece.wiring else None
    return last is not None and (step, parameter) > (last.step, last.parameter)


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

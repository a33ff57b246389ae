"""Progress in a notebook: an output that is updated in place. Uses IPython where it is running, and never imports it first."""

from __future__ import annotations

import sys
from html import escape
from typing import TYPE_CHECKING, Any, Protocol, cast

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence


class _Handle(Protocol):
    def update(self, data: object, *, raw: bool) -> None: ...


def notebook() -> Callable[[Sequence[str]], None] | None:
    """What shows lines in the running notebook; `None` where there is none."""
    found = sys.modules.get("IPython")
    shell: object = cast("Any", found).get_ipython() if found is not None else None  # Any: IPython may not be there
    if shell is None or not hasattr(shell, "kernel"):  # the shell in a terminal has none
        return None
    from IPython.display import display  # type: ignore[import-not-found,unused-ignore]  # pyright: ignore[reportMissingImports,reportUnknownVariableType]

    show = cast("Callable[..., _Handle | None]", display)
    handle = show(_data(["..."]), raw=True, display_id=True)
    if handle is None:
        return None

    def update(lines: Sequence[str]) -> None:
        handle.update(_data(lines), raw=True)

    return update


def _data(lines: Sequence[str]) -> dict[str, str]:
    text = "\n".join(lines)
    return {"text/plain": text, "text/html": f"<pre>{escape(text)}</pre>"}

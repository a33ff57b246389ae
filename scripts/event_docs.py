"""Writes `docs/events.md` and `docs/events.schema.json` from the classes of events. A test says when they are not current."""

from __future__ import annotations

import json
from pathlib import Path

from swarmlet.trace.schema import event_page, event_schema

DOCS = Path(__file__).parents[1] / "docs"


def main() -> None:
    """Write both files."""
    (DOCS / "events.md").write_text(event_page(), encoding="utf-8")
    (DOCS / "events.schema.json").write_text(json.dumps(event_schema(), indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()

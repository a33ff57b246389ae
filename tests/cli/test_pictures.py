"""The pictures of the terminal in the documentation are what the commands print, and need nothing from elsewhere."""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest

from tests.cli.pictures import FOLDER, draw


def test_pictures_can_be_drawn_anew_and_load_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("SWARMLET_JOURNAL", "FORCE_COLOR", "COLUMNS", "TZ", "NO_COLOR"):
        monkeypatch.setenv(name, os.environ.get(name, ""))  # what drawing sets is set back in the end
    drawn = draw(tmp_path)
    assert {path.name for path in drawn} <= {path.name for path in FOLDER.iterdir()}
    for path in drawn:
        text = path.read_text("utf-8")
        assert not re.search(r"url\(.?https?:|href|<script|<image", text)
        assert str(tmp_path) not in text
    assert "solve/review[3]" in (tmp_path / "terminal-timeline.svg").read_text("utf-8").replace("&#160;", " ")

"""What pictures cost: a base price, and in high detail a price for each tile of 512 pixels.

The rule is that of https://developers.openai.com/api/docs/guides/images-vision: a picture is made to fit 2048 by 2048, then its
shorter side is made 768, and tiles are counted. The size of a `data:` URL is in its header; that of an address is not
known before the call, so the most tiles a picture can have are assumed.
"""

from __future__ import annotations

import base64
import binascii
import re
from dataclasses import dataclass
from math import ceil
from typing import TYPE_CHECKING, NamedTuple

from swarmlet.models.tokens.span import Span

if TYPE_CHECKING:
    from swarmlet.models.base import Image

_TILE = 512
_SQUARE = 2048
_SHORT = 768
MOST_TILES = ceil(_SQUARE / _TILE) * ceil(_SHORT / _TILE)
"""Tiles of the largest picture, 2048 by 768."""
_HEADER = 256 * 1024
"""Base64 letters that are looked at: a camera's JPEG may have a preview before its size."""
_DATA_URL = re.compile(r"data:image/[\w.+-]+(?:;[\w-]+=[\w.-]+)*;base64,", re.IGNORECASE)
_SIZE_MARKERS = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}


class Size(NamedTuple):
    """Pixels."""

    width: int
    height: int


@dataclass(frozen=True, slots=True)
class ImagePrice:
    """Tokens of a picture: in low detail `base`, in high detail `base` and `tile` for each tile."""

    base: int
    tile: int

    def of(self, image: Image) -> Span:
        """The limits for one picture. `auto` is high detail at most; which one is taken, the server decides."""
        if image.detail == "low":
            return Span.of(self.base)
        size = size_of(image.url)
        fewest, most = tiles(size) if size else (1, MOST_TILES)
        worst = self.base + most * self.tile
        return Span(self.base if image.detail == "auto" else self.base + fewest * self.tile, worst, worst)


def tiles(size: Size) -> tuple[int, int]:
    """The tiles of a picture: at least, at most. The guide leaves open whether a small picture is enlarged to 768 pixels."""
    width, height = max(1, size.width), max(1, size.height)
    fit = min(1.0, _SQUARE / max(width, height))
    to_short = _SHORT / (min(width, height) * fit)
    shrunk = fit * min(1.0, to_short)
    fewest = ceil(round(width * shrunk, 3) / _TILE) * ceil(round(height * shrunk, 3) / _TILE)
    enlarged = min(fit * to_short, _SQUARE / max(width, height))
    most = ceil(round(width * enlarged, 3) / _TILE) * ceil(round(height * enlarged, 3) / _TILE)
    return min(fewest, most), max(fewest, most)


def size_of(url: str) -> Size | None:
    """The size of a PNG, JPEG, GIF or WebP in a `data:` URL; `None` for anything else, and for what cannot be read."""
    begin = _DATA_URL.match(url[:200])
    if begin is None:
        return None
    letters = url[begin.end() : begin.end() + _HEADER]
    try:
        data = base64.b64decode(letters[: len(letters) // 4 * 4], validate=True)
        size = _png(data) or _gif(data) or _webp(data) or _jpeg(data)
    except (binascii.Error, ValueError, IndexError):
        return None
    return size if size and min(size) > 0 else None


def _png(data: bytes) -> Size | None:
    if not (data.startswith(b"\x89PNG\r\n\x1a\n") and data[12:16] == b"IHDR" and len(data) >= 24):
        return None
    return Size(int.from_bytes(data[16:20], "big"), int.from_bytes(data[20:24], "big"))


def _gif(data: bytes) -> Size | None:
    if not (data.startswith((b"GIF87a", b"GIF89a")) and len(data) >= 10):
        return None
    return Size(int.from_bytes(data[6:8], "little"), int.from_bytes(data[8:10], "little"))


def _webp(data: bytes) -> Size | None:
    if not (data.startswith(b"RIFF") and data[8:12] == b"WEBP" and len(data) >= 30):
        return None
    kind = data[12:16]
    if kind == b"VP8X":
        return Size(int.from_bytes(data[24:27], "little") + 1, int.from_bytes(data[27:30], "little") + 1)
    if kind == b"VP8L":
        bits = int.from_bytes(data[21:25], "little")
        return Size((bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1)
    if kind == b"VP8 ":
        return Size(int.from_bytes(data[26:28], "little") & 0x3FFF, int.from_bytes(data[28:30], "little") & 0x3FFF)
    return None


def _jpeg(data: bytes) -> Size | None:
    if not data.startswith(b"\xff\xd8"):
        return None
    at = 2
    while at + 9 <= len(data) and data[at] == 0xFF:
        marker = data[at + 1]
        if marker in _SIZE_MARKERS:
            return Size(int.from_bytes(data[at + 7 : at + 9], "big"), int.from_bytes(data[at + 5 : at + 7], "big"))
        if marker == 0xFF:  # padding
            at += 1
        elif marker == 0x01 or 0xD0 <= marker <= 0xD7:  # these have no length
            at += 2
        else:
            at += 2 + int.from_bytes(data[at + 2 : at + 4], "big")
    return None

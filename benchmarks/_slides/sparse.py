"""A large slide: an island of real pictures, far apart on empty ground, as a tiled pyramid in a BigTIFF file."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import imagecodecs
import numpy as np
import tifffile
from numpy.typing import NDArray

PICTURES = ("smear_pink", "smear_purple", "stained_tissue")
GROUND = 242
"""Of the glass, in all colours."""

MARGIN = 512
"""Ground around every picture, in pixels: more than a network and a grouping see."""

_FOLDER = Path(__file__).resolve().parents[2] / "examples" / "dsb2018" / "images"
_TILE = 512
_SPACING = 1536
_TURNS = 8


@dataclass(frozen=True)
class Place:
    """Where a picture lies: its first row and column, which one it is, and in which of eight turns."""

    row: int
    column: int
    picture: str
    turn: int


class SparseSlide:
    """A slide of which any part can be drawn at any level, in little memory; the same for every call.

    Parameters
    ----------
    side
        In pixels.
    pictures
        How many, if there is room: those nearest to the middle. All around is glass, as on most slides.
    """

    def __init__(self, side: int, pictures: int) -> None:
        self.side = side
        self._pictures = {name: imagecodecs.imread(_FOLDER / f"{name}.png")[..., :3] for name in PICTURES}
        rng = np.random.default_rng(0)
        starts = range(MARGIN, side - _SPACING + MARGIN + 1, _SPACING)
        # All multiples of 512, which the network's stride and every level divide: pixels fall on pixels.
        places = [
            Place(row, column, PICTURES[rng.integers(len(PICTURES))], int(rng.integers(_TURNS)))
            for row in starts
            for column in starts
        ]
        middle = (starts[0] + starts[-1]) / 2
        self.places = sorted(places, key=lambda place: math.hypot(place.row - middle, place.column - middle))[:pictures]
        self.levels = 1
        while side >> self.levels > 2 * _TILE:
            self.levels += 1

    def picture(self, place: Place) -> NDArray[np.uint8]:
        """Return the pixels that lie at a place."""
        turned = np.rot90(self._pictures[place.picture], place.turn % 4)
        return turned if place.turn < _TURNS // 2 else turned[::-1]

    def crop(self, place: Place) -> NDArray[np.uint8]:
        """Return a picture with its margin of ground."""
        edges = ((MARGIN, MARGIN), (MARGIN, MARGIN), (0, 0))
        return np.pad(self.picture(place), edges, constant_values=GROUND)

    def write(self, path: Path) -> None:
        """Write all levels, tile by tile."""
        options = {"dtype": np.uint8, "tile": (_TILE, _TILE), "compression": "zlib", "photometric": "rgb"}
        with tifffile.TiffWriter(path, bigtiff=True) as writer:
            for level in range(self.levels):
                below = {"subifds": self.levels - 1} if level == 0 else {"subfiletype": 1}
                shape = (self._side_at(level), self._side_at(level), 3)
                writer.write(self._tiles(level), shape=shape, metadata=None, **options, **below)

    def _side_at(self, level: int) -> int:
        return -(-self.side // 2**level)

    def _tiles(self, level: int) -> Iterator[NDArray[np.uint8]]:
        side = self._side_at(level)
        for top in range(0, side, _TILE):
            for left in range(0, side, _TILE):
                tile = np.full((_TILE, _TILE, 3), GROUND, np.uint8)
                for place in self.places:
                    self._draw(place, level, tile, top, left)
                yield tile

    def _draw(self, place: Place, level: int, tile: NDArray[np.uint8], top: int, left: int) -> None:
        """Draw what a tile shows of a picture."""
        row, column = (place.row >> level) - top, (place.column >> level) - left
        if row >= _TILE or column >= _TILE or row < -_SPACING or column < -_SPACING:
            return
        picture = self.picture(place)[:: 2**level, :: 2**level]
        first, start = max(row, 0), max(column, 0)
        shown = picture[first - row : _TILE - row, start - column : _TILE - column]
        tile[first : first + shown.shape[0], start : start + shown.shape[1]] = shown

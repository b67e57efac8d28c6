"""How a slide is divided: tiles for the network, blocks for grouping, and the tiles that each block needs.

All lengths are in pixels at the model's scale. The tiles are those of `nucleus_unet.inference.tiles`.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from typing import NamedTuple

from nucleus_unet.errors import ImageError
from nucleus_unet.inference.engine import Predictor
from nucleus_unet.inference.predict import padded_size
from nucleus_unet.inference.tiles import Span, Tile, check_parts, lay_tiles
from nucleus_unet.io.plane import Plane
from nucleus_unet.preprocessing.resample import scaled_size

# 2**20 pixels a side. No microscope scans more, and the lists of tiles and blocks fit into memory.
_MAX_PIXELS = 2**40
# Outlines are stored as 32-bit integers.
_MAX_SIDE = 2**31 - 1


class Block(NamedTuple):
    """A rectangle of pixels. A grouping step finds the nuclei whose centres lie in it."""

    rows: slice
    columns: slice


def check_size(shape: tuple[int, int]) -> None:
    """Check the size that a slide's file claims, before memory is allocated for its tiles and blocks.

    Raises
    ------
    ImageError
        If the slide has more pixels than a run can divide.
    """
    height, width = shape
    if height * width > _MAX_PIXELS or max(shape) > _MAX_SIDE:
        raise ImageError(
            f"slide: expected at most {_MAX_PIXELS:,} pixels, {_MAX_SIDE:,} a side, got {height:,} x {width:,}; "
            "if the file is correct, cut the slide into several files"
        )


def lay_blocks(shape: tuple[int, int], side: int) -> list[Block]:
    """Cut an image of ``shape`` (height, width) into blocks of ``side`` pixels, row by row.

    Examples
    --------
    >>> [(block.rows.stop, block.columns.stop) for block in lay_blocks((100, 150), 80)]
    [(80, 80), (80, 150), (100, 80), (100, 150)]
    """
    rows, columns = ([slice(start, min(start + side, size)) for start in range(0, size, side)] for size in shape)
    return [Block(row, column) for row in rows for column in columns]


def widen(block: Block, margin: int, shape: tuple[int, int]) -> Block:
    """Return a block enlarged by a margin on all sides, clipped to the image of ``shape``."""
    return Block(
        *(
            slice(max(0, span.start - margin), min(size, span.stop + margin))
            for span, size in zip(block, shape, strict=True)
        )
    )


def intersection(first: Block, second: Block) -> Block:
    """Return the intersection of two blocks that overlap."""
    return Block(*(slice(max(a.start, b.start), min(a.stop, b.stop)) for a, b in zip(first, second, strict=True)))


class TileGrid:
    """The tiles of an image.

    Parameters
    ----------
    shape
        Height and width of the image.
    tile
        Largest side of a tile in pixels.
    radius
        Receptive radius of the network in pixels.
    stride
        Stride of the network in pixels.

    Attributes
    ----------
    tiles : list of Tile
        All tiles, row by row.

    Raises
    ------
    SettingsError
        If the tile is too small for the network.
    """

    def __init__(self, shape: tuple[int, int], *, tile: int, radius: int, stride: int) -> None:
        self.shape, self.tile = shape, tile
        self.tiles: list[Tile] = lay_tiles(*padded_size(shape, stride), tile=tile, radius=radius, stride=stride)
        self._rows: list[Span] = list(dict.fromkeys(part.rows for part in self.tiles))
        self._columns: list[Span] = list(dict.fromkeys(part.columns for part in self.tiles))

    @property
    def size(self) -> tuple[int, int]:
        """Height and width of every tile."""
        rows, columns = self.tiles[0]
        return rows.stop - rows.start, columns.stop - columns.start

    def core(self, number: int) -> Block:
        """Return the pixels of the image that a tile's core covers."""
        return Block(
            *(
                slice(span.core_start, min(span.core_stop, size))
                for span, size in zip(self.tiles[number], self.shape, strict=True)
            )
        )

    def blocks(self, side: int, margin: int) -> list[Block]:
        """Cut the image into blocks of at most ``side`` pixels, row by row.

        A block reads a ``margin`` around itself. Blocks end a ``margin`` before the cores of tiles end, so that a block
        needs as few tiles as possible. All blocks but the last can be grouped while the network runs on later tiles.

        Examples
        --------
        >>> grid = TileGrid((512, 100), tile=288, radius=32, stride=32)
        >>> [grid.core(number).rows.stop for number in range(len(grid.tiles))]
        [256, 512]
        >>> [block.rows.stop for block in grid.blocks(300, 40)], [block.rows.stop for block in grid.blocks(200, 40)]
        ([216, 512], [108, 216, 364, 512])
        """
        self.check_blocks(side, margin)
        rows, columns = (
            [
                slice(start + length * part // parts, start + length * (part + 1) // parts)
                for start, length, parts in stretches
                for part in range(parts)
            ]
            for stretches in self._stretches(side, margin)
        )
        return [Block(row, column) for row in rows for column in columns]

    def check_blocks(self, side: int, margin: int) -> None:
        """Raise `SettingsError` if the blocks are too many to be listed in memory."""
        rows, columns = (sum(parts for _, _, parts in stretches) for stretches in self._stretches(side, margin))
        check_parts("block", side, self.shape, (rows, columns))

    def _stretches(self, side: int, margin: int) -> tuple[list[Stretch], list[Stretch]]:
        rows, columns = (
            _cut([*(span.core_stop - margin for span in spans[:-1] if span.core_stop > margin), size], side)
            for spans, size in zip((self._rows, self._columns), self.shape, strict=True)
        )
        return rows, columns

    def covering(self, region: Block) -> list[int]:
        """Return the numbers of the tiles whose cores touch a region, ascending."""
        down, across = (
            range(
                bisect_right([span.core_stop for span in spans], extent.start),
                bisect_left([span.core_start for span in spans], extent.stop),
            )
            for spans, extent in zip((self._rows, self._columns), region, strict=True)
        )
        return [row * len(self._columns) + column for row in down for column in across]


def slide_grid(slide: Plane, scale: float, *, engine: Predictor, tile: int) -> TileGrid:
    """Return the tiles of a slide at the model's scale."""
    height, width = (scaled_size(size, scale) for size in slide.shape)
    return TileGrid((height, width), tile=tile, radius=engine.receptive_radius, stride=engine.stride)


Stretch = tuple[int, int, int]
"""Start and length of a range of pixels, and the number of blocks into which it is cut."""


def _cut(ends: list[int], side: int) -> list[Stretch]:
    """Cut the range from 0 to the last of ``ends`` at as few of them as possible. Cut longer parts than ``side``."""
    stretches: list[Stretch] = []
    start = 0
    for end, following in zip(ends, [*ends[1:], None], strict=True):
        if following is None or following - start > side:
            stretches.append((start, end - start, -(-(end - start) // side)))
            start = end
    return stretches

"""How a slide is cut: tiles for the network, blocks for the grouping, and which tiles a block needs.

All in pixels at the model's scale. Tiles are those of `nucleus_unet.inference.tiles`; there is no second way of tiling.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from typing import NamedTuple

from nucleus_unet.errors import ImageError
from nucleus_unet.inference.predict import padded_size
from nucleus_unet.inference.tiles import Span, Tile, check_parts, lay_tiles

# A million pixels a side: more than any microscope has, and little enough for what is kept of each part of a slide.
_MOST_PIXELS = 2**40
# Outlines have 32 bits.
_LONGEST = 2**31 - 1


class Block(NamedTuple):
    """The rows and columns whose centres one grouping step decides."""

    rows: slice
    columns: slice


def check_size(shape: tuple[int, int]) -> None:
    """Find out, before anything is made for each part of a slide, whether it is as large as a file may well claim.

    Raises
    ------
    ImageError
        If no run could keep track of its parts.
    """
    height, width = shape
    if height * width > _MOST_PIXELS or max(shape) > _LONGEST:
        raise ImageError(
            f"slide: expected at most {_MOST_PIXELS:,} pixels, {_LONGEST:,} a side, got {height:,} x {width:,}; "
            "if it is as large as that, cut it into several"
        )


def lay_blocks(shape: tuple[int, int], side: int) -> list[Block]:
    """Cut an image of ``shape`` into blocks of ``side`` pixels, by rows.

    Examples
    --------
    >>> [(block.rows.stop, block.columns.stop) for block in lay_blocks((100, 150), 80)]
    [(80, 80), (80, 150), (100, 80), (100, 150)]
    """
    rows, columns = ([slice(start, min(start + side, size)) for start in range(0, size, side)] for size in shape)
    return [Block(row, column) for row in rows for column in columns]


def widen(block: Block, margin: int, shape: tuple[int, int]) -> Block:
    """Add a margin on all sides, as far as the image reaches."""
    return Block(
        *(
            slice(max(0, span.start - margin), min(size, span.stop + margin))
            for span, size in zip(block, shape, strict=True)
        )
    )


def common(one: Block, other: Block) -> Block:
    """Return the rows and columns of both of two blocks that overlap."""
    return Block(*(slice(max(a.start, b.start), min(a.stop, b.stop)) for a, b in zip(one, other, strict=True)))


class TileGrid:
    """The tiles of an image.

    Parameters
    ----------
    shape
        Height and width of the image.
    tile
        Side of a tile.
    radius, stride
        Of the network.

    Attributes
    ----------
    tiles : list of Tile
        By rows.

    Raises
    ------
    SettingsError
        If the tile is too small for the network.
    """

    def __init__(self, shape: tuple[int, int], *, tile: int, radius: int, stride: int) -> None:
        self.shape, self.tile = shape, tile
        self.tiles: list[Tile] = lay_tiles(*padded_size(shape, stride), tile=tile, radius=radius, stride=stride)
        self._rows: list[Span] = list(dict.fromkeys(each.rows for each in self.tiles))
        self._columns: list[Span] = list(dict.fromkeys(each.columns for each in self.tiles))

    @property
    def size(self) -> tuple[int, int]:
        """Height and width of every tile."""
        rows, columns = self.tiles[0]
        return rows.stop - rows.start, columns.stop - columns.start

    def core(self, number: int) -> Block:
        """Return which pixels of the image come from a tile."""
        return Block(
            *(
                slice(span.keep_start, min(span.keep_stop, size))
                for span, size in zip(self.tiles[number], self.shape, strict=True)
            )
        )

    def blocks(self, side: int, margin: int) -> list[Block]:
        """Cut the image into blocks, by rows, of at most ``side`` pixels, which wait for no more tiles than need be.

        They end a ``margin``, which a block reads beyond itself, before the cores of tiles do: so all but the last are
        decided while the network is at the tiles after them.

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
        """Raise `SettingsError` if so many blocks could not be listed in bounded memory."""
        rows, columns = (sum(parts for _, _, parts in stretches) for stretches in self._stretches(side, margin))
        check_parts("block", side, self.shape, (rows, columns))

    def _stretches(self, side: int, margin: int) -> tuple[list[Stretch], list[Stretch]]:
        rows, columns = (
            _cut([*(span.keep_stop - margin for span in spans[:-1] if span.keep_stop > margin), size], side)
            for spans, size in zip((self._rows, self._columns), self.shape, strict=True)
        )
        return rows, columns

    def covering(self, region: Block) -> list[int]:
        """Return the numbers of the tiles whose cores touch a region, ascending."""
        down, across = (
            range(
                bisect_right([span.keep_stop for span in spans], wanted.start),
                bisect_left([span.keep_start for span in spans], wanted.stop),
            )
            for spans, wanted in zip((self._rows, self._columns), region, strict=True)
        )
        return [row * len(self._columns) + column for row in down for column in across]


Stretch = tuple[int, int, int]
"""Where it starts, how long it is, and into how many blocks it is cut."""


def _cut(places: list[int], side: int) -> list[Stretch]:
    """Cut 0 to the last of some places at as few of them as may be; what is longer than ``side`` is cut further."""
    stretches: list[Stretch] = []
    start = 0
    for place, following in zip(places, [*places[1:], None], strict=True):
        if following is None or following - start > side:
            stretches.append((start, place - start, -(-(place - start) // side)))
            start = place
    return stretches

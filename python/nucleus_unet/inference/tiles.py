"""Cut an image into tiles whose kept parts meet without a seam.

A *tile* is what one network call sees, its *core* what is kept of it, and between them lies a *halo* at least as wide
as the network looks. Tiles lie on the network's stride grid; those at the far edge shift inwards.
"""

from __future__ import annotations

from typing import NamedTuple

from nucleus_unet.errors import SettingsError

# Tiles, and the blocks of a slide, are listed in memory.
_MOST_PARTS = 2**20


class Span(NamedTuple):
    """Pixels ``start`` to ``stop`` are read; of them, ``keep_start`` to ``keep_stop`` are kept."""

    start: int
    stop: int
    keep_start: int
    keep_stop: int


class Tile(NamedTuple):
    """A tile's rows and columns."""

    rows: Span
    columns: Span


def round_up(size: int, stride: int) -> int:
    """Least multiple of ``stride`` that is not below ``size``."""
    return -(-size // stride) * stride


def check_parts(option: str, side: int, shape: tuple[int, int], counts: tuple[int, int]) -> None:
    """Find out before an image is cut into parts whether they can be listed in bounded memory.

    Parameters
    ----------
    option, side
        Name and value of what says how large a part is.
    shape
        Height and width of the image.
    counts
        How many parts there are down and across.

    Raises
    ------
    SettingsError
        If they are too many.
    """
    count = counts[0] * counts[1]
    if count > _MOST_PARTS:
        raise SettingsError(
            f"{option}: expected a side that cuts {shape[0]} x {shape[1]} pixels into at most {_MOST_PARTS:,} parts, "
            f"got {side}, which makes {count:,}; give a larger one"
        )


def lay_tiles(height: int, width: int, *, tile: int, radius: int, stride: int) -> list[Tile]:
    """Cover an image with tiles.

    Parameters
    ----------
    height, width
        Of the image, padded to multiples of ``stride``.
    tile
        Side of a tile in pixels, at most: as many tiles as such ones would be are made as small as covers the image.
    radius
        How far the network looks, in pixels.
    stride
        Of the network.

    Returns
    -------
    list of Tile
        By rows. The kept parts partition the image.

    Raises
    ------
    SettingsError
        If halos would leave no core, or there would be too many tiles.

    Examples
    --------
    >>> [(rows.start, rows.stop, rows.keep_stop) for rows, _ in lay_tiles(128, 16, tile=96, radius=10, stride=16)]
    [(0, 80, 64), (48, 128, 128)]
    """
    # Tiles overlap by twice the halo, which has to be a multiple of the stride; the halo itself need not be.
    side, halo = tile // stride * stride, round_up(2 * radius, stride) // 2
    least = 2 * halo + stride
    if side < least and max(height, width) > side:
        raise SettingsError(
            f"tile: expected at least {least} pixels (the network looks {radius} pixels beyond what it keeps), "
            f"got {tile}"
        )
    counts = _count_spans(height, side, halo), _count_spans(width, side, halo)
    check_parts("tile", tile, (height, width), counts)
    rows, columns = (_lay_spans(size, count, halo, stride) for size, count in zip((height, width), counts, strict=True))
    return [Tile(row, column) for row in rows for column in columns]


def _count_spans(size: int, side: int, halo: int) -> int:
    return 1 if size <= side else 1 - (side - size) // (side - 2 * halo)


def _lay_spans(size: int, count: int, halo: int, stride: int) -> list[Span]:
    if count == 1:
        return [Span(0, size, 0, size)]
    side = 2 * halo + round_up(-(-(size - 2 * halo) // count), stride)
    spans = []
    kept = 0
    while kept < size:
        start = min(max(kept - halo, 0), size - side)
        stop = start + side
        keep_stop = size if stop == size else stop - halo
        spans.append(Span(start, stop, kept, keep_stop))
        kept = keep_stop
    return spans

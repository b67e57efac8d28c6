"""Cut an image into tiles whose cores partition it.

A *tile* is the input of one network call. Its *core* is the part of the output that is used. The *halo* between them is
at least as wide as the network's receptive radius. Tiles lie on the network's stride grid. The last tiles are shifted
inwards.
"""

from __future__ import annotations

from typing import NamedTuple

from nucleus_unet.errors import SettingsError

# Largest number of tiles, or of blocks of a slide, which are listed in memory.
_MAX_PARTS = 2**20


class Span(NamedTuple):
    """Pixels ``start`` to ``stop`` are read. Pixels ``core_start`` to ``core_stop`` are used."""

    start: int
    stop: int
    core_start: int
    core_stop: int


class Tile(NamedTuple):
    """The rows and columns of a tile."""

    rows: Span
    columns: Span


def round_up(size: int, stride: int) -> int:
    """Return the smallest multiple of ``stride`` that is at least ``size``."""
    return -(-size // stride) * stride


def check_parts(option: str, side: int, shape: tuple[int, int], counts: tuple[int, int]) -> None:
    """Check, before an image is divided, that its parts can be listed in memory.

    Parameters
    ----------
    option, side
        Name and value of the option for the side of a part.
    shape
        Height and width of the image.
    counts
        Number of parts down and across.

    Raises
    ------
    SettingsError
        If there are too many parts.
    """
    count = counts[0] * counts[1]
    if count > _MAX_PARTS:
        raise SettingsError(
            f"{option}: expected a side that cuts {shape[0]} x {shape[1]} pixels into at most {_MAX_PARTS:,} parts, "
            f"got {side}, which makes {count:,}; give a larger one"
        )


def lay_tiles(height: int, width: int, *, tile: int, radius: int, stride: int) -> list[Tile]:
    """Divide an image into tiles.

    Parameters
    ----------
    height, width
        Height and width of the image, padded to multiples of ``stride``.
    tile
        Largest side of a tile in pixels. Tiles are made as small as possible without increasing their number.
    radius
        Receptive radius of the network in pixels.
    stride
        Stride of the network in pixels.

    Returns
    -------
    list of Tile
        All tiles, row by row. Their cores partition the image.

    Raises
    ------
    SettingsError
        If the tile is too small for a core between its halos, or if there are too many tiles.

    Examples
    --------
    >>> [(rows.start, rows.stop, rows.core_stop) for rows, _ in lay_tiles(128, 16, tile=96, radius=10, stride=16)]
    [(0, 80, 64), (48, 128, 128)]
    """
    # Tiles overlap by twice the halo. Twice the halo is a multiple of the stride; the halo need not be.
    side, halo = tile // stride * stride, round_up(2 * radius, stride) // 2
    min_side = 2 * halo + stride
    if side < min_side and max(height, width) > side:
        raise SettingsError(
            f"tile: expected at least {min_side} pixels (the network's receptive radius is {radius} pixels), got {tile}"
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
    covered = 0
    while covered < size:
        start = min(max(covered - halo, 0), size - side)
        stop = start + side
        core_stop = size if stop == size else stop - halo
        spans.append(Span(start, stop, covered, core_stop))
        covered = core_stop
    return spans

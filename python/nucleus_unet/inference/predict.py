"""Predict the maps of an image: run the network over tiles and store its output as bytes."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from typing import Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from nucleus_unet import _core
from nucleus_unet.errors import BundleError, MaskError
from nucleus_unet.inference.engine import Predictor
from nucleus_unet.inference.prefetch import prefetch_map
from nucleus_unet.inference.tiles import Tile, lay_tiles, round_up
from nucleus_unet.model.config import OFFSET_SCALE
from nucleus_unet.model.targets import OFFSET_STEPS

Track: TypeAlias = Callable[[list[list[Tile]]], Iterable[list[Tile]]]
"""Iterates over batches of tiles, and may show progress or end with a `CancelledError`."""

# Smaller images, in pixels a side, do not show the network enough to distinguish noise from a nucleus.
_MIN_SIDE = 32

# Number of threads that read tiles, run the network, and quantise its output.
_THREADS = 2


def maps_of_output(
    output: NDArray[np.float32], *, least_foreground: int = 0, threads: int | None = None
) -> NDArray[np.uint8]:
    """Convert the network's output for one image to maps.

    Parameters
    ----------
    output : NDArray[np.float32] (4, H, W)
        Output of `nucleus_unet.inference.engine.Predictor.run` for one image.
    least_foreground
        The offsets of pixels with a smaller foreground value (0 to 255) become 0; see `GroupConfig.least_foreground`.
    threads
        Number of threads. None: one per core. It does not change the result.

    Returns
    -------
    NDArray[np.uint8] (H, W, 4)
        Maps for `nucleus_unet.inference.grouping.group`.

    Raises
    ------
    BundleError
        If a number is not finite.
    """
    try:
        return _core.maps_of_output(
            output,
            offset_steps=OFFSET_SCALE * OFFSET_STEPS,
            least_foreground=least_foreground,
            threads=threads,
        )
    except MaskError as error:
        raise BundleError(
            "the network's output is not finite: its weights are damaged, or training diverged"
        ) from error


def predict_maps(
    network: Predictor,
    read: Callable[[slice, slice], NDArray[np.float32]],
    shape: tuple[int, int],
    *,
    tile: int,
    batch_size: int = 1,
    track: Track = iter,
) -> NDArray[np.uint8]:
    """Predict the maps of an image of any size. Each pixel is predicted once.

    Parameters
    ----------
    network
        Runs the network.
    read
        Returns the normalised pixels of the image, (h, w) or (h, w, 3) float32, for row and column slices within
        ``shape``. Two threads call it at once.
    shape
        Height and width of the image.
    tile
        Largest side of a tile in pixels.
    batch_size
        Number of tiles in a network call.
    track
        Wraps the list of batches to show progress.

    Returns
    -------
    NDArray[np.uint8] (H, W, 4)
        Maps. They do not depend on the tile side if the engine is exact.
    """
    height, width = padded_size(shape, network.stride)
    tiles = lay_tiles(height, width, tile=tile, radius=network.receptive_radius, stride=network.stride)
    maps = np.empty((*shape, 4), np.uint8)

    def predict(batch: list[Tile]) -> None:
        output = network.run(np.stack([read_padded(read, shape, part) for part in batch]))
        for part, values in zip(batch, output, strict=True):
            rows, columns = core_slices(part, shape)
            top, left = part.rows.core_start, part.columns.core_start
            core = maps_of_output(values[:, rows, columns])
            maps[top : top + core.shape[0], left : left + core.shape[1]] = core

    batches = list(_batched(tiles, batch_size))
    if len(batches) == 1:
        for batch in track(batches):
            predict(batch)
        return maps
    # One tile is computed while the next one is read and the previous one is quantised.
    with ThreadPoolExecutor(_THREADS) as pool:
        predicted = prefetch_map(pool, predict, batches, depth=_THREADS)
        for _ in zip(track(batches), predicted, strict=True):
            pass
    return maps


def core_slices(tile: Tile, shape: tuple[int, int]) -> tuple[slice, slice]:
    """Return the rows and columns of a tile's core within the tile, clipped to the image."""
    rows, columns = (
        slice(span.core_start - span.start, min(span.core_stop, size) - span.start)
        for span, size in zip(tile, shape, strict=True)
    )
    return rows, columns


def padded_size(shape: tuple[int, int], stride: int) -> tuple[int, int]:
    """Return the height and width of an image of ``shape`` after padding for the network."""
    height, width = (round_up(max(size, _MIN_SIDE), stride) for size in shape)
    return height, width


def _batched(tiles: list[Tile], size: int) -> Iterator[list[Tile]]:
    remaining = iter(tiles)
    while batch := list(islice(remaining, size)):
        yield batch


def read_padded(
    read: Callable[[slice, slice], NDArray[np.float32]], shape: tuple[int, int], tile: Tile
) -> NDArray[np.float32]:
    """Read a tile as (h, w, 3). Beyond the right and bottom edges of the image its last pixels are repeated.

    An image smaller than `_MIN_SIDE` is mirrored instead, because repeated pixels would form long stripes.
    """
    rows, columns = tile
    pixels = read(slice(rows.start, min(rows.stop, shape[0])), slice(columns.start, min(columns.stop, shape[1])))
    if pixels.ndim == 2:
        pixels = pixels[..., None]
    below = rows.stop - rows.start - pixels.shape[0]
    right = columns.stop - columns.start - pixels.shape[1]
    mode: Literal["symmetric", "edge"] = "symmetric" if min(shape) < _MIN_SIDE else "edge"
    if below or right:
        pixels = np.pad(pixels, ((0, below), (0, right), (0, 0)), mode=mode)
    return np.broadcast_to(pixels, (*pixels.shape[:2], 3))

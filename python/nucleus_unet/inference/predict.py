"""Images to maps: the network run over tiles, its answer stored as bytes."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from nucleus_unet import _core
from nucleus_unet.errors import BundleError, MaskError
from nucleus_unet.inference.engine import Predictor
from nucleus_unet.inference.prefetch import prefetch_map
from nucleus_unet.inference.tiles import Tile, lay_tiles, round_up
from nucleus_unet.model.config import OFFSET_SCALE
from nucleus_unet.model.targets import OFFSET_STEPS

# Less than this, in pixels a side, shows the network too little to tell noise from a nucleus.
_SMALLEST = 32

# Threads that read tiles, wait for the network, and quantise.
_CALLS = 2


def maps_of_output(
    output: NDArray[np.float32], *, least_foreground: int = 0, threads: int | None = None
) -> NDArray[np.uint8]:
    """Turn the network's output for one image into maps.

    Parameters
    ----------
    output : NDArray[np.float32] (4, H, W)
        From `nucleus_unet.inference.engine.Predictor.run`.
    least_foreground
        The offsets of pixels with less are 0: see `GroupConfig.least_foreground`.
    threads
        None for all cores; the result is the same for any number.

    Returns
    -------
    NDArray[np.uint8] (H, W, 4)
        As `nucleus_unet.inference.grouping.group` takes them.

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
    track: Callable[[list[list[Tile]]], Iterable[list[Tile]]] = iter,
) -> NDArray[np.uint8]:
    """Predict the maps of an image of any size, each pixel once.

    Parameters
    ----------
    network
        An engine, or what asks one several times.
    read
        Gives the normalised image's pixels for row and column slices within ``shape``: (h, w) or (h, w, 3) float32.
        Called by two threads at once.
    shape
        Height and width of the image.
    tile
        Side of what one network call sees.
    batch_size
        Tiles a call.
    track
        Wraps the list of batches, to show progress.

    Returns
    -------
    NDArray[np.uint8] (H, W, 4)
        The same for every tile size, by engines whose `Identity` is exact.
    """
    height, width = padded_size(shape, network.stride)
    tiles = lay_tiles(height, width, tile=tile, radius=network.receptive_radius, stride=network.stride)
    maps = np.empty((*shape, 4), np.uint8)

    def predict(batch: list[Tile]) -> None:
        output = network.run(np.stack([read_padded(read, shape, each) for each in batch]))
        for each, values in zip(batch, output, strict=True):
            rows, columns = kept_part(each, shape)
            top, left = each.rows.keep_start, each.columns.keep_start
            kept = maps_of_output(values[:, rows, columns])
            maps[top : top + kept.shape[0], left : left + kept.shape[1]] = kept

    batches = list(_batched(tiles, batch_size))
    if len(batches) == 1:
        for batch in track(batches):
            predict(batch)
        return maps
    # While one tile is computed, the next is read and the one before is quantised.
    with ThreadPoolExecutor(_CALLS) as pool:
        predicted = prefetch_map(pool, predict, batches, depth=_CALLS)
        for _ in zip(track(batches), predicted, strict=True):
            pass
    return maps


def kept_part(tile: Tile, shape: tuple[int, int]) -> tuple[slice, slice]:
    """Tell which rows and columns of a tile are kept and lie within the image."""
    rows, columns = (
        slice(span.keep_start - span.start, min(span.keep_stop, size) - span.start)
        for span, size in zip(tile, shape, strict=True)
    )
    return rows, columns


def padded_size(shape: tuple[int, int], stride: int) -> tuple[int, int]:
    """Height and width of what the network sees of an image of ``shape``."""
    height, width = (round_up(max(size, _SMALLEST), stride) for size in shape)
    return height, width


def _batched(tiles: list[Tile], size: int) -> Iterator[list[Tile]]:
    remaining = iter(tiles)
    while batch := list(islice(remaining, size)):
        yield batch


def read_padded(
    read: Callable[[slice, slice], NDArray[np.float32]], shape: tuple[int, int], tile: Tile
) -> NDArray[np.float32]:
    """Read a tile as (h, w, 3); beyond the image's right and bottom edge its last pixels are repeated.

    An image smaller than `_SMALLEST` is mirrored instead: repeated far, its last pixels are stripes.
    """
    rows, columns = tile
    pixels = read(slice(rows.start, min(rows.stop, shape[0])), slice(columns.start, min(columns.stop, shape[1])))
    if pixels.ndim == 2:
        pixels = pixels[..., None]
    below = rows.stop - rows.start - pixels.shape[0]
    right = columns.stop - columns.start - pixels.shape[1]
    mode: Literal["symmetric", "edge"] = "symmetric" if min(shape) < _SMALLEST else "edge"
    if below or right:
        pixels = np.pad(pixels, ((0, below), (0, right), (0, 0)), mode=mode)
    return np.broadcast_to(pixels, (*pixels.shape[:2], 3))

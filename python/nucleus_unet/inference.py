"""Images to maps: the network run over tiles, its answer stored as bytes."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import islice
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from nucleus_unet.averaging import Asked
from nucleus_unet.devices import Precision, autocast
from nucleus_unet.errors import BundleError
from nucleus_unet.network import OFFSET_SCALE
from nucleus_unet.targets import OFFSET_STEPS, OFFSET_ZERO
from nucleus_unet.tiles import Tile, lay_tiles, round_up

# Probabilities come from a table of quantised logits. The sigmoid of a tensor's last few values takes another path
# through the processor than the rest and may differ in its last bit; rounding and looking up cannot.
_LOGIT_STEPS = 64
_LOGIT_LIMIT = 512
_PROBABILITY = torch.from_numpy(
    np.rint(255 / (1 + np.exp(-np.arange(-_LOGIT_LIMIT, _LOGIT_LIMIT + 1) / _LOGIT_STEPS))).astype(np.uint8)
)

# Rows that are quantised together: on CPUs what comes between output and maps stays in the caches.
_ROWS_TOGETHER = 32

# Less than this, in pixels a side, shows the network too little to tell noise from a nucleus.
_SMALLEST = 32


def quantise_output(output: Tensor) -> Tensor:
    """Turn the network's output into maps.

    Parameters
    ----------
    output : Tensor (N, 4, H, W)
        From `Network`.

    Returns
    -------
    Tensor (N, H, W, 4), uint8
        As `nucleus_unet.grouping.group` takes them.
    """
    output = output.permute(0, 2, 3, 1)
    maps = torch.empty(output.shape, dtype=torch.uint8, device=output.device)
    together = _ROWS_TOGETHER if output.device.type == "cpu" else output.shape[1]
    for start in range(0, output.shape[1], together):
        rows = slice(start, start + together)
        _quantise(output[:, rows].float(), maps[:, rows])
    return maps


def _quantise(output: Tensor, maps: Tensor) -> None:
    if not output.isfinite().all():
        raise BundleError("the network's answer is not finite: its weights are damaged, or training diverged")
    steps = (output[..., :2] * _LOGIT_STEPS).round().clamp(-_LOGIT_LIMIT, _LOGIT_LIMIT)
    maps[..., :2] = _PROBABILITY.to(output.device)[(steps + _LOGIT_LIMIT).long()]
    maps[..., 2:] = ((output[..., 2:] * (OFFSET_SCALE * OFFSET_STEPS)).round() + OFFSET_ZERO).clamp(0, 255)


def predict_maps(
    network: Asked,
    read: Callable[[slice, slice], NDArray[np.float32]],
    shape: tuple[int, int],
    *,
    tile: int,
    batch_size: int = 1,
    precision: Precision = "float32",
    track: Callable[[list[list[Tile]]], Iterable[list[Tile]]] = iter,
) -> NDArray[np.uint8]:
    """Predict the maps of an image of any size, each pixel once.

    Parameters
    ----------
    network
        In evaluation mode, on its device.
    read
        Gives the normalised image's pixels for row and column slices within ``shape``: (h, w) or (h, w, 3) float32.
    shape
        Height and width of the image.
    tile
        Side of what one network call sees.
    batch_size
        Tiles a call.
    precision
        In which convolutions are computed.
    track
        Wraps the list of batches, to show progress.

    Returns
    -------
    NDArray[np.uint8] (H, W, 4)
        The same for every tile size, on hardware whose convolutions do not depend on it (see the design notes).
    """
    height, width = padded_size(shape, network.stride)
    tiles = lay_tiles(height, width, tile=tile, radius=network.receptive_radius, stride=network.stride)
    maps = np.empty((*shape, 4), np.uint8)
    for batch in track(list(_batched(tiles, batch_size))):
        answer = ask(network, [read_padded(read, shape, each) for each in batch], precision)
        for each, values in zip(batch, answer, strict=True):
            kept = kept_maps(values, each, shape)
            rows, columns = each.rows.keep_start, each.columns.keep_start
            maps[rows : rows + kept.shape[0], columns : columns + kept.shape[1]] = kept
    return maps


def ask(network: Asked, images: Sequence[NDArray[np.float32]], precision: Precision) -> NDArray[np.uint8]:
    """Run the network once.

    Parameters
    ----------
    network
        In evaluation mode, on its device.
    images : sequence of NDArray[np.float32] (h, w, 1) or (h, w, 3)
        From `read_padded`; of one shape.
    precision
        In which convolutions are computed.

    Returns
    -------
    NDArray[np.uint8] (N, h, w, 4)
        Maps.
    """
    device = next(network.parameters()).device
    try:
        with torch.inference_mode(), autocast(device, precision):
            parts = [torch.from_numpy(image)[None] for image in images]
            batch = parts[0] if len(parts) == 1 else torch.cat(parts)  # one is not copied
            output = network(batch.to(device).permute(0, 3, 1, 2).expand(-1, 3, -1, -1))
            return quantise_output(output).cpu().numpy()
    except RuntimeError as error:
        if "allocate" not in str(error) and "out of memory" not in str(error):
            raise
        raise MemoryError(f"a tile of {images[0].shape[0]} x {images[0].shape[1]} is too large: lower tile=") from error


def kept_maps(maps: NDArray[np.uint8], tile: Tile, shape: tuple[int, int]) -> NDArray[np.uint8]:
    """Cut a tile's maps down to what is kept of them and lies within the image."""
    (top, left), (bottom, right) = (
        [span.keep_start - span.start for span in tile],
        [min(span.keep_stop, size) - span.start for span, size in zip(tile, shape, strict=True)],
    )
    return maps[top:bottom, left:right]


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
    """Read a tile as (h, w, 1) or (h, w, 3); beyond the image's right and bottom edge its last pixels are repeated.

    An image smaller than `_SMALLEST` is mirrored instead: repeated far, its last pixels are stripes.
    """
    rows, columns = tile
    pixels = read(slice(rows.start, min(rows.stop, shape[0])), slice(columns.start, min(columns.stop, shape[1])))
    if pixels.ndim == 2:
        pixels = pixels[..., None]
    below = rows.stop - rows.start - pixels.shape[0]
    right = columns.stop - columns.start - pixels.shape[1]
    mode: Literal["symmetric", "edge"] = "symmetric" if min(shape) < _SMALLEST else "edge"
    return np.pad(pixels, ((0, below), (0, right), (0, 0)), mode=mode) if below or right else pixels

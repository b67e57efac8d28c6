"""The pixels of an image as they are shown: channels, contrast, colours, and one compressed tile."""

from __future__ import annotations

import itertools
import math
import re
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import imagecodecs
import numpy as np
from numpy.typing import NDArray

from nucleus_unet.errors import ImageError
from nucleus_unet.io.atomic import read_json
from nucleus_unet.io.plane import Plane
from nucleus_unet.io.selection import Selection
from nucleus_unet.io.source import ImageSource, open_image
from nucleus_unet.measures.channels import channel_planes
from nucleus_unet.slides.survey.thumbnail import decode_thumbnail, thumbnail_factor
from nucleus_unet.viewer.pyramid import TILE_SIDE, Pyramid, Thumbnail, Tile, level_shape
from nucleus_unet.viewer.results import Result, thumbnail_files

# Pixels that the first contrast is found from, at most, and the shares of them that are black and white.
_SAMPLE_PIXELS = 2**22
_PATCH, _PATCHES_ALONG = 256, 3
_BLACK, _WHITE = 0.1, 99.8
_JPEG_QUALITY = 92
# Of channels whose colours the file does not say, in order.
_COLOURS = ("#ffffff", "#00ff66", "#ff3cff", "#ffb000", "#33bbff", "#ff4040")
_HEXADECIMAL = re.compile(r"#?[0-9a-fA-F]{6}")


class Shown(NamedTuple):
    """How a channel is shown.

    Attributes
    ----------
    channel
        Its number.
    low, high
        Values that are black and white.
    colour : NDArray[np.float32] (3,)
        What white is in its place; of no effect for a colour image.
    """

    channel: int
    low: float
    high: float
    colour: NDArray[np.float32]


@dataclass(frozen=True)
class ChannelFacts:
    """What the page is told of a channel: its name, kind and colour, the range of its values, its first contrast."""

    name: str
    colours: bool
    colour: str
    segmented: bool
    least: float
    most: float
    low: float
    high: float


class Picture:
    """An image that is shown tile by tile. A context manager.

    Parameters
    ----------
    source
        The opened image.
    pyramids
        Of each channel.
    channels
        Facts of each.
    mpp
        Pixel size that its file holds.
    """

    def __init__(
        self,
        source: ImageSource | None,
        pyramids: Sequence[Pyramid],
        channels: Sequence[ChannelFacts],
        mpp: float | None,
    ) -> None:
        self._source, self._pyramids = source, pyramids
        self.channels, self.mpp = tuple(channels), mpp
        self.shape = pyramids[0].shape

    def tile(self, tile: Tile, shown: Sequence[Shown]) -> bytes:
        """Return a tile as a JPEG file.

        Raises
        ------
        ImageError
            If pixels are damaged.
        """
        height, width = level_shape(self.shape, tile.level)
        rows, columns = (
            slice(place * TILE_SIDE, min((place + 1) * TILE_SIDE, size))
            for place, size in ((tile.row, height), (tile.column, width))
        )
        canvas = np.zeros((rows.stop - rows.start, columns.stop - columns.start, 3), np.float32)
        for each in shown:
            pixels = self._pyramids[each.channel].read(tile.level, rows, columns)
            canvas += _stretched(pixels, each.low, each.high, each.colour)
        content = np.minimum(canvas, 255).round().astype(np.uint8)
        return bytes(imagecodecs.jpeg8_encode(content, level=_JPEG_QUALITY, subsampling="444"))

    def close(self) -> None:
        """Close the image."""
        if self._source is not None:
            self._source.close()


def _stretched(pixels: NDArray[Any], low: float, high: float, colour: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return values from 0 to 255, (h, w, 3)."""
    scaled = (np.nan_to_num(pixels.astype(np.float32)) - np.float32(low)) * np.float32(255 / max(high - low, 1e-30))
    clipped: NDArray[np.float32] = np.clip(scaled, 0, 255)
    return clipped if clipped.ndim == 3 else clipped[..., None] * (colour / np.float32(255))


def open_picture(result: Result) -> Picture:
    """Open the image of a result.

    Raises
    ------
    ImageError
        If it is not there, or cannot be read.
    OSError
        If it cannot be opened.
    """
    if result.image is None:
        raise ImageError("the results do not name their image: give it with --image (image= in Python)")
    if not result.image.exists():
        raise ImageError(f"the image is not at {result.image} any more: give its place with --image (image= in Python)")
    source = open_image(result.image, axes=result.axes, channel_axis=result.channel_axis)
    try:
        return _open(source, result)
    except BaseException:
        source.close()
        raise


def _open(source: ImageSource, result: Result) -> Picture:
    selection = result.selection
    place = result.place or selection.places(source)[0]
    levels = [
        channel_planes(source, selection, place, level=level)
        for level in range(len(source.readable_levels(place.scene)))
    ]
    names = list(levels[0])
    mine = _segmented(source, selection, place.scene, len(names))
    thumbnail = (
        None if result.slide is None or len(mine) > 1 else read_thumbnail(result.slide, levels[0][names[0]].shape)
    )
    scene = source.scene(place.scene)
    described = [each for each in scene.channels or scene.samples if each.kind != "alpha"]
    pyramids, facts = [], []
    for number, name in enumerate(names):
        pyramid = Pyramid(
            [planes[name] for planes in levels], average=True, thumbnail=thumbnail if number in mine else None
        )
        shown = described[number] if len(described) == len(names) else None
        colour = (shown.colour if shown is not None else None) or _COLOURS[number % len(_COLOURS)]
        title = shown.name if shown is not None else name or ("" if levels[0][name].channels is None else "colours")
        pyramids.append(pyramid)
        facts.append(_facts(title or "grey values", levels[0][name], pyramid, colour, segmented=number in mine))
    return Picture(source, pyramids, facts, levels[0][names[0]].mpp)


def _segmented(source: ImageSource, selection: Selection, scene: int, count: int) -> set[int]:
    """Return the numbers of the channels that were segmented."""
    if selection.channel is None or count == 1:
        return {0}
    several = [selection.channel] if isinstance(selection.channel, int | str) else list(selection.channel)
    names = [each.name.casefold() for each in source.scene(scene).channels or source.scene(scene).samples]
    found = {
        names.index(each.casefold()) if isinstance(each, str) and each.casefold() in names else int(each) % count
        for each in several
        if not isinstance(each, str) or each.casefold() in names or each.lstrip("-").isdecimal()
    }
    return found or {0}


def _facts(name: str, plane: Plane, pyramid: Pyramid, colour: str, *, segmented: bool) -> ChannelFacts:
    colours = plane.channels is not None
    if plane.dtype.kind == "b" or (colours and plane.dtype == np.uint8):
        least, most = 0.0, 1.0 if plane.dtype.kind == "b" else 255.0
        low, high = least, most
    else:
        sample = _sample(pyramid).astype(np.float64)
        sample = sample[np.isfinite(sample)] if np.isfinite(sample).any() else np.zeros(1)
        least, most = (0.0, 255.0) if plane.dtype == np.uint8 else (float(sample.min()), float(sample.max()))
        low, high = (float(value) for value in np.percentile(sample, [_BLACK, _WHITE]))
    if high <= low:
        low, high = least, most if most > least else least + 1
    colour = colour.lower() if _HEXADECIMAL.fullmatch(colour) else _COLOURS[0]
    return ChannelFacts(name, colours, colour, segmented, least, max(most, least + 1e-9), low, high)


def _sample(pyramid: Pyramid) -> NDArray[Any]:
    """Return values from all over an image: all of a small one, else patches. What is damaged is left out."""
    height, width = pyramid.shape
    small = height * width <= _SAMPLE_PIXELS
    down, across = (_spans(size, TILE_SIDE if small else None) for size in (height, width))
    values = [np.empty(0)]
    for rows, columns in itertools.product(down, across):
        with suppress(ImageError):  # which is told where a tile of it is shown
            values.append(pyramid.read(0, rows, columns).ravel())
    return np.concatenate(values)


def _spans(size: int, side: int | None) -> list[slice]:
    """Cut a side of an image into parts; without the length of a part, return a few short ones that are far apart."""
    if side is not None:
        return [slice(start, min(start + side, size)) for start in range(0, size, side)]
    middles = [math.floor((part + 0.5) * size / _PATCHES_ALONG) for part in range(_PATCHES_ALONG)]
    starts = [max(0, min(size - _PATCH, middle - _PATCH // 2)) for middle in middles]
    return [slice(start, min(size, start + _PATCH)) for start in starts]


def read_thumbnail(slide: Path, shape: tuple[int, int]) -> Thumbnail | None:
    """Return the thumbnail of a slide's results in values of the slide; None if it is not kept or is damaged."""
    path, _ = thumbnail_files(slide)
    try:
        said = read_json(path)
        pixels = decode_thumbnail(said["thumbnail"]).astype(np.float32)
        low, high = map(float, said["intensity_range"])
        grey = bool((pixels[..., 0] == pixels[..., 1]).all() and (pixels[..., 0] == pixels[..., 2]).all())
    except (OSError, ValueError, TypeError, LookupError, imagecodecs.PngError):
        return None
    values = (pixels[..., 0] if grey else pixels) * ((high - low) / 255) + low
    return Thumbnail(values, thumbnail_factor(shape))


def overview_picture(slide: Path, shape: tuple[int, int]) -> Picture | None:
    """Return what is left of a slide that is not there: its thumbnail, or the overview; None if both are damaged."""
    survey, overview = thumbnail_files(slide)
    try:
        pixels = decode_thumbnail(read_json(survey)["thumbnail"])
    except (OSError, ValueError, TypeError, LookupError, imagecodecs.PngError):
        try:
            pixels = imagecodecs.png_decode(overview.read_bytes())
        except (OSError, imagecodecs.PngError):
            return None
    factor = thumbnail_factor(shape)
    height, width = (-(-size // factor) for size in shape)  # the overview has a legend below
    if pixels.ndim != 3 or pixels.shape[0] < height or pixels.shape[1] < width:
        return None
    thumbnail = Thumbnail(pixels[:height, :width, :3].astype(np.float32), factor)
    pyramid = Pyramid([], average=True, thumbnail=thumbnail, shape=shape)
    facts = ChannelFacts("overview", True, "#ffffff", True, 0.0, 255.0, 0.0, 255.0)
    return Picture(None, [pyramid], [facts], None)

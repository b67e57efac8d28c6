"""Read LIF and LOF files (Leica LAS): each image of the file is a scene. Pixels are memory-mapped."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple
from xml.etree.ElementTree import Element

import numpy as np
from numpy.typing import NDArray

from nucleus_unet.errors import ImageError
from nucleus_unet.extras import require
from nucleus_unet.io.pixel_size import micrometres_in, plausible_pixel_size
from nucleus_unet.io.scene import RGB, Channel, OpenedFile, Scene
from nucleus_unet.io.whole import region_reader

# By the number that the format has for an axis. Wavelengths of emission and excitation are channels without names.
_AXES = {"1": "X", "2": "Y", "3": "Z", "4": "T", "5": "L", "9": "L", "10": "M"}
_ITEM_SIZES = (8, 16, 32, 64)  # in bits
_COLOURS = {"red": "#FF0000", "green": "#00FF00", "blue": "#0000FF", "gray": "#FFFFFF", "grey": "#FFFFFF"}
_BLUE, _RED = "3", "1"


class _Axis(NamedTuple):
    """An axis of an image: its letter, length, the bytes from one place to the next, and micrometres per place."""

    letter: str
    size: int
    stride: int
    pixel_size: float | None = None


def open_file(file: Path | BinaryIO) -> OpenedFile:
    """Open a LIF or LOF file. Tiles of a mosaic are scenes of their own, and not stitched.

    Raises
    ------
    ImageError
        If it is damaged or contains no image.
    MissingExtraError
        If liffile is not installed.
    """
    liffile = require("liffile", f"{file} needs liffile", extra="lif")
    assert isinstance(file, Path)  # as files in memory are not opened
    warnings: list[str] = []
    scenes: list[Scene] = []
    with liffile.LifFile(file) as opened:
        if opened.type not in (liffile.LifFileType.LIF, liffile.LifFileType.LOF):
            raise ImageError("expected a LIF or LOF file, got another of Leica's; open the .lif or .lof files")
        data = np.memmap(file, np.uint8, mode="r")
        for image in opened.images:
            try:
                scenes += _scenes(image, data)
            except (ImageError, LookupError, TypeError, ValueError) as error:
                warnings.append(f"its image {image.path!r} cannot be read: {error}")
    if not scenes:
        raise ImageError(f"expected at least one image; {'; '.join(warnings) or 'the file has none'}")
    if any(", tile " in scene.name for scene in scenes):
        warnings.append("it has mosaics that are not merged: each tile is a scene")
    return OpenedFile(format="LIF (Leica)", scenes=tuple(scenes), warnings=tuple(warnings))


def _scenes(image: Any, data: NDArray[np.uint8]) -> list[Scene]:
    described = image.xml_element.find("./Data/Image/ImageDescription")
    if described is None:
        raise ImageError("it has no pixels but photons (FLIM): save its intensity as an image first")
    channels = described.findall("./Channels/ChannelDescription")
    if not channels:
        raise ImageError("it is damaged: it has no channels")
    dtype = _dtype(channels)
    axes = _axes(described, channels, dtype)
    array = _array(data, image.memory_block, axes, dtype)
    letters = "".join(axis.letter for axis in axes)
    is_blue_first = "S" in letters and channels[0].get("ChannelTag") == _BLUE
    if is_blue_first:
        array = array[tuple(slice(None, None, -1) if letter == "S" else slice(None) for letter in letters)]
    kept = letters.replace("M", "")
    described_channels = _channels(channels, axes)
    tiles = dict(zip(letters, array.shape, strict=True)).get("M", 1)
    return [
        Scene(
            axes=kept,
            shape=tuple(axis.size for axis in axes if axis.letter != "M"),
            dtype=dtype,
            read=region_reader(array[tuple(tile if letter == "M" else slice(None) for letter in letters)], kept),
            name=str(image.path) + (f", tile {tile}" if tiles > 1 else ""),
            channels=described_channels,
            samples=RGB if "S" in kept else (),
            pixel_size=next(axis.pixel_size for axis in axes if axis.letter == "X"),
        )
        for tile in range(tiles)
    ]


def _dtype(channels: Sequence[Element]) -> np.dtype[Any]:
    """Return the dtype of the values, which all channels share."""
    kinds = {(each.get("DataType"), each.get("Resolution")) for each in channels}
    if len(kinds) != 1:
        raise ImageError("its channels are of several data types")
    kind, bits = kinds.pop()
    size = next((size for size in _ITEM_SIZES if int(bits or 0) <= size), 0)
    if kind not in ("0", "1") or size == 0 or int(bits or 0) <= 0 or (kind == "1" and size == 8):
        raise ImageError(
            f"expected integers or floating point numbers of up to 64 bits, got type {kind} of {bits} bits"
        )
    return np.dtype(f"<{'f' if kind == '1' else 'u'}{size // 8}")


def _axes(described: Element, channels: Sequence[Element], dtype: np.dtype[Any]) -> list[_Axis]:
    """Return the axes that have more than one place, and X and Y. Channels next to each other in memory are samples."""
    axes = []
    for each in described.findall("./Dimensions/DimensionDescription"):
        letter = _AXES.get(each.attrib["DimID"], "Q")
        count, stride = int(each.attrib["NumberOfElements"]), int(each.attrib["BytesInc"])
        length, unit = float(each.get("Length") or 0), micrometres_in(each.get("Unit", ""))
        # The length reaches from the first place to the last.
        size = plausible_pixel_size(length / (count - 1), unit) if count > 1 and math.isfinite(length) else None
        if count > 1 or letter in "XY":
            axes.append(_Axis(letter, count, stride, size))
    if len(channels) > 1:
        axes.append(_channel_axis(channels, dtype))
    letters = "".join(axis.letter for axis in axes)
    if "L" in letters and letters.count("L") == 1 and "C" not in letters:
        axes = [axis._replace(letter="C") if axis.letter == "L" else axis for axis in axes]
        letters = letters.replace("L", "C")
    if "L" in letters or len(set(letters)) != len(letters) or not {"X", "Y"} <= set(letters):
        raise ImageError(f"expected the axes T, Z, C, Y and X, each once, got {', '.join(letters)}")
    order = "MQTZCYXS"
    return sorted(axes, key=lambda axis: order.index(axis.letter))


def _channel_axis(channels: Sequence[Element], dtype: np.dtype[Any]) -> _Axis:
    places = [int(each.get("BytesInc") or 0) for each in channels]
    stride = places[1] - places[0]
    if any(place - places[0] != stride * number for number, place in enumerate(places)):
        raise ImageError("its channels do not lie at equal distances")
    tags = {each.get("ChannelTag") for each in channels}
    colours = len(channels) == 3 and stride == dtype.itemsize and {_BLUE, _RED} <= tags
    return _Axis("S" if colours else "C", len(channels), stride)


def _array(data: NDArray[np.uint8], block: Any, axes: Sequence[_Axis], dtype: np.dtype[Any]) -> NDArray[Any]:
    """Return the pixels of an image as they lie in the file."""
    if min(axis.size for axis in axes) < 1 or min(axis.stride for axis in axes) < 1:
        raise ImageError("it is damaged: an axis has no length")
    size = sum((axis.size - 1) * axis.stride for axis in axes) + dtype.itemsize
    if size > min(block.size, len(data) - block.offset):
        raise ImageError(f"it is damaged: expected {size} bytes of pixels, the file has {block.size}")
    return np.ndarray(
        tuple(axis.size for axis in axes),
        dtype,
        data.data,
        block.offset,
        tuple(axis.stride for axis in axes),
    )


def _channels(channels: Sequence[Element], axes: Sequence[_Axis]) -> tuple[Channel, ...]:
    counts: Mapping[str, int] = {axis.letter: axis.size for axis in axes}
    if "C" not in counts:
        return ()
    if len(channels) != counts["C"]:
        return tuple(Channel(str(number)) for number in range(counts["C"]))
    return tuple(_channel(number, each) for number, each in enumerate(channels))


def _channel(number: int, described: Element) -> Channel:
    """Return a channel: named after its dye, or after the colour in which it is shown."""
    shown = described.get("LUTName", "")
    properties = {each.findtext("Key"): each.findtext("Value") for each in described.findall("./ChannelProperty")}
    return Channel(properties.get("DyeName") or shown or str(number), colour=_COLOURS.get(shown.lower()))

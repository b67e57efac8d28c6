"""Read CZI files (Zeiss): fluorescence with channels, stacks and times, scenes, mosaics, and scanned slides."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO
from xml.etree import ElementTree

import numpy as np
from numpy.typing import NDArray

from nucleus_unet.errors import ImageError
from nucleus_unet.io.array_cache import ArrayCache
from nucleus_unet.io.axes import colours_of
from nucleus_unet.io.czi_blocks import Block, CziBlocks
from nucleus_unet.io.pixel_size import plausible_pixel_size
from nucleus_unet.io.scene import Channel, Index, OpenedFile, Scene

_METRE = 1e6  # in micrometres
_CACHE_BYTES = 2**27
_STACKED = "TZC"
# Axes that no `Scene` has: each place on them is a scene of its own.
_APART = {"S": "scene", "B": "block", "V": "view", "R": "rotation", "I": "illumination", "H": "phase"}
_SIDE_LIMIT = 2**31


def open_file(file: Path | BinaryIO) -> OpenedFile:
    """Open a CZI file. Of a pyramid, the full resolution is read; areas that were not scanned are black, or white.

    Raises
    ------
    ImageError
        If it is damaged or of a kind that is not read.
    """
    assert isinstance(file, Path)  # as files in memory are not opened
    source = CziBlocks(file)
    try:
        warnings: list[str] = []
        metadata = _Metadata(source.metadata, warnings)
        groups: dict[tuple[tuple[str, int], ...], list[Block]] = {}
        for block in source.blocks:
            place = tuple((axis, block.index.get(axis, 0)) for axis in _APART)
            groups.setdefault(place, []).append(block)
        if not groups:
            raise ImageError("expected at least one image, got a CZI file without any")
        varying = [axis for axis in _APART if len({dict(place)[axis] for place in groups}) > 1]
        scenes = tuple(
            _scene(source, blocks, metadata, _name(metadata, dict(place), varying))
            for place, blocks in sorted(groups.items())
        )
    except BaseException:
        source.close()
        raise
    return OpenedFile(format="CZI (Zeiss)", scenes=scenes, warnings=tuple(warnings), close=source.close)


def _name(metadata: _Metadata, place: Mapping[str, int], varying: Sequence[str]) -> str:
    parts = []
    for axis in varying:
        named = metadata.scenes.get(place[axis], "") if axis == "S" else ""
        parts.append(named or f"{_APART[axis]} {place[axis]}")
    return ", ".join(parts)


def _scene(source: CziBlocks, blocks: Sequence[Block], metadata: _Metadata, name: str) -> Scene:
    full = [block for block in blocks if block.stored == (block.height, block.width)]
    if not full:
        raise ImageError("its pixels are stored at another resolution than the image's; save it as TIFF first")
    samples = {block.samples for block in full}
    if len(samples) > 1:
        raise ImageError("it has channels in grey and in colour in one scene; save one of them as TIFF first")
    mosaic = _Mosaic(source, full)
    counts = {axis: len(mosaic.places[axis]) for axis in _STACKED}
    axes = "".join(axis for axis in _STACKED if counts[axis] > 1) + "YX" + ("S" if mosaic.samples > 1 else "")
    sizes = {**counts, "Y": mosaic.height, "X": mosaic.width, "S": mosaic.samples}
    return Scene(
        axes=axes,
        shape=tuple(sizes[axis] for axis in axes),
        dtype=mosaic.dtype,
        read=mosaic.read,
        name=name,
        channels=metadata.channels(mosaic.places["C"]) if counts["C"] > 1 else (),
        samples=colours_of(mosaic.samples) if mosaic.samples > 1 else (),
        pixel_size=metadata.pixel_size,
        levels=_levels(blocks, mosaic.height, mosaic.width),
    )


def _levels(blocks: Sequence[Block], height: int, width: int) -> tuple[tuple[int, int], ...]:
    factors = {round(max(block.height / block.stored[0], block.width / block.stored[1])) for block in blocks}
    return tuple((-(-height // factor), -(-width // factor)) for factor in sorted(factors) if factor >= 1)


class _Mosaic:
    """Reads regions of the planes of a scene, whose blocks may overlap or leave gaps."""

    def __init__(self, source: CziBlocks, blocks: Sequence[Block]) -> None:
        self._source = source
        self._cache = ArrayCache(_CACHE_BYTES)
        self._top, self._left = min(block.top for block in blocks), min(block.left for block in blocks)
        self.height = max(block.top + block.height for block in blocks) - self._top
        self.width = max(block.left + block.width for block in blocks) - self._left
        if max(self.height, self.width) > _SIDE_LIMIT:
            raise ImageError(f"it is damaged: its blocks span {self.height} x {self.width} pixels")
        self.samples = blocks[0].samples
        self.dtype = np.result_type(*{block.dtype for block in blocks})
        self.places = {axis: sorted({block.index.get(axis, 0) for block in blocks}) for axis in _STACKED}
        self._planes: dict[tuple[int, ...], _PlaneBlocks] = {}
        for block in sorted(blocks, key=lambda block: block.order):
            key = tuple(block.index.get(axis, 0) for axis in _STACKED)
            self._planes.setdefault(key, _PlaneBlocks()).add(block)

    def read(self, index: Index, rows: slice, columns: slice) -> NDArray[Any]:
        """See `Scene.read`."""
        key = tuple(self.places[axis][index.get(axis, 0)] for axis in _STACKED)
        if key not in self._planes:
            raise ImageError("the file does not contain this plane")
        top, left = rows.start + self._top, columns.start + self._left
        bottom, right = rows.stop + self._top, columns.stop + self._left
        shape = (bottom - top, right - left, *([self.samples] if self.samples > 1 else []))
        # Where nothing was scanned, slides have white glass; fluorescence has no light.
        background = np.iinfo(self.dtype).max if self.samples > 1 and self.dtype.kind == "u" else 0
        region = np.full(shape, background, self.dtype)
        for block in self._planes[key].within(top, left, bottom, right):
            first = max(top, block.top), max(left, block.left)
            last = min(bottom, block.top + block.height), min(right, block.left + block.width)
            pixels = self._pixels(block)
            region[first[0] - top : last[0] - top, first[1] - left : last[1] - left] = pixels[
                first[0] - block.top : last[0] - block.top, first[1] - block.left : last[1] - block.left
            ]
        return region

    def _pixels(self, block: Block) -> NDArray[Any]:
        if not block.compression:
            return self._source.pixels(block)  # of the mapped file
        pixels = self._cache.get(block.position)
        if pixels is None:
            pixels = self._source.pixels(block)
            self._cache.put(block.position, pixels)
        return pixels


@dataclass
class _PlaneBlocks:
    """The blocks of one plane, from the lowest to the one on top."""

    blocks: list[Block] = field(default_factory=list)
    _bounds: NDArray[np.int64] | None = None

    def add(self, block: Block) -> None:
        self.blocks.append(block)

    def within(self, top: int, left: int, bottom: int, right: int) -> list[Block]:
        """Return the blocks that a region meets."""
        if self._bounds is None:
            self._bounds = np.array(
                [(each.top, each.left, each.top + each.height, each.left + each.width) for each in self.blocks],
                np.int64,
            )
        tops, lefts, bottoms, rights = self._bounds.T
        met = (tops < bottom) & (bottoms > top) & (lefts < right) & (rights > left)
        return [self.blocks[number] for number in np.flatnonzero(met)]


class _Metadata:
    """What the XML of a CZI file says. Malformed XML costs the metadata, with a warning.

    Attributes
    ----------
    scenes
        Names of the scenes by their numbers.
    pixel_size
        Micrometres per pixel. None if unknown or implausible.
    """

    def __init__(self, content: bytes, warnings: list[str]) -> None:
        self.scenes: dict[int, str] = {}
        self.pixel_size: float | None = None
        self._channels: dict[int, Channel] = {}
        try:
            self._read(ElementTree.fromstring(content.decode("utf-8", "replace")) if content else None)
        except (ElementTree.ParseError, ValueError) as error:
            warnings.append(f"its metadata are malformed: names and pixel size may be missing ({error})")

    def _read(self, root: ElementTree.Element | None) -> None:
        if root is None:
            return
        size = root.findtext(".//Scaling/Items/Distance[@Id='X']/Value")
        metres = float(size) if size else 0.0
        self.pixel_size = plausible_pixel_size(metres, _METRE) if math.isfinite(metres) else None
        for scene in root.iterfind(".//Information/Image/Dimensions/S/Scenes/Scene"):
            self.scenes[int(scene.get("Index", "-1"))] = scene.get("Name", "")
        shown = {each.get("Id"): each for each in root.iterfind(".//DisplaySetting/Channels/Channel")}
        for number, channel in enumerate(root.iterfind(".//Information/Image/Dimensions/Channels/Channel")):
            also = shown.get(channel.get("Id"))
            name = channel.get("Name") or (also.get("Name") if also is not None else None) or str(number)
            colour = channel.findtext("Color") or (also.findtext("Color") if also is not None else None)
            self._channels[number] = Channel(name, colour=f"#{colour[-6:]}" if colour else None)

    def channels(self, places: Sequence[int]) -> tuple[Channel, ...]:
        """Return the channels of these numbers."""
        return tuple(self._channels.get(place, Channel(str(place))) for place in places)

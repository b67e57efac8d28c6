"""Read ND2 files (Nikon NIS-Elements): times, positions, stacks and channels. Positions are scenes."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

import numpy as np
from numpy.typing import NDArray

from nucleus_unet.errors import ImageError
from nucleus_unet.extras import require
from nucleus_unet.io.array_cache import ArrayCache
from nucleus_unet.io.axes import colours_of
from nucleus_unet.io.pixel_size import plausible_pixel_size
from nucleus_unet.io.scene import Channel, Index, OpenedFile, Scene, numbered
from nucleus_unet.io.segments import LARGEST_SEGMENT

# By the name of a loop of the experiment, its axis. P stands for positions, which are scenes.
_AXES = {"TimeLoop": "T", "NETimeLoop": "T", "XYPosLoop": "P", "ZStackLoop": "Z", "CustomLoop": "Q"}
_CACHE_BYTES = 2**27
_MOST_CHANNELS = 10_000


class _Loop(NamedTuple):
    """A loop of the experiment: its axis, its length, and the names of its places."""

    axis: str
    size: int
    names: tuple[str, ...] = ()


def open_file(file: Path | BinaryIO) -> OpenedFile:
    """Open an ND2 file. Frames that are not compressed are memory-mapped, others are decoded one at a time.

    Raises
    ------
    ImageError
        If it is damaged.
    MissingExtraError
        If nd2 is not installed.
    """
    nd2 = require("nd2", f"{file} needs nd2", extra="nd2")
    opened = nd2.ND2File(file)
    try:
        return _describe(opened)
    except BaseException:
        opened.close()
        raise


def _describe(opened: Any) -> OpenedFile:
    warnings: list[str] = []
    loops = _loops(opened)
    frames = _Frames(opened, loops)
    positions = next((loop for loop in loops if loop.axis == "P"), None)
    axes = "".join(loop.axis for loop in loops if loop.axis != "P") + frames.axes
    sizes = {loop.axis: loop.size for loop in loops} | frames.sizes
    channels, pixel_size = _metadata(opened, frames.sizes.get("C", 0), warnings)
    scenes = tuple(
        Scene(
            axes=axes,
            shape=tuple(sizes[axis] for axis in axes),
            dtype=frames.dtype,
            read=frames.reader(number),
            name=positions.names[number] if positions else "",
            channels=channels,
            samples=colours_of(sizes["S"]) if "S" in axes else (),
            pixel_size=pixel_size,
        )
        for number in range(positions.size if positions else 1)
    )
    return OpenedFile(format="ND2 (Nikon)", scenes=scenes, warnings=tuple(warnings), close=opened.close)


def _loops(opened: Any) -> list[_Loop]:
    loops = []
    for loop in opened.experiment:
        axis = _AXES.get(loop.type, "Q")
        points = getattr(loop.parameters, "points", None) if axis == "P" else None
        loops.append(_Loop(axis, int(loop.count), tuple(str(point.name or "") for point in points or ())))
    axes = "".join(loop.axis for loop in loops)
    if len(set(axes)) != len(axes):
        raise ImageError(f"expected each of the axes T, Z and positions once, got {', '.join(axes)}")
    return [loop for loop in loops if loop.size > 1]


def _metadata(opened: Any, count: int, warnings: list[str]) -> tuple[tuple[Channel, ...], float | None]:
    """Return the channels and the pixel size."""
    try:
        said = opened.metadata.channels or []
        size = said[0].volume.axesCalibration[0] if said and said[0].volume.axesCalibrated[0] else None
        names = [Channel(each.channel.name or str(number), colour=_colour(each)) for number, each in enumerate(said)]
    except Exception as error:  # nd2 raises exceptions of many classes for malformed metadata
        warnings.append(
            f"the names of its channels and its pixel size cannot be read ({type(error).__name__}: {error})"
        )
        return numbered(count), None
    return tuple(names) if len(names) == count else numbered(count), plausible_pixel_size(size)


def _colour(described: Any) -> str:
    colour = described.channel.color
    return f"#{colour.r:02X}{colour.g:02X}{colour.b:02X}"


class _Frames:
    """Reads regions of the frames of a file. A frame holds all channels of one place of the loops."""

    def __init__(self, opened: Any, loops: list[_Loop]) -> None:
        self._opened, self._loops = opened, loops
        self._cache = ArrayCache(_CACHE_BYTES)
        attributes = opened.attributes
        samples = opened.components_per_channel
        colours = samples == 3
        channels = (attributes.channelCount or 1) if colours else attributes.componentCount
        self._shape = (channels, attributes.heightPx, attributes.widthPx or 0, samples if colours else 1)
        self.dtype = opened.dtype
        self._is_mapped = not opened.is_legacy and attributes.compressionType != "lossless"
        if min(self._shape) <= 0 or channels > _MOST_CHANNELS:
            raise ImageError(f"it is damaged: channels, height, width and samples are {self._shape}")
        if not self._is_mapped and math.prod(self._shape) * self.dtype.itemsize > LARGEST_SEGMENT:
            raise ImageError(
                f"its frames are too large to be decoded in parts ({self._shape[1]} x {self._shape[2]} pixels): "
                "save it without compression first"
            )
        kept = {"C": channels, "Y": self._shape[1], "X": self._shape[2], "S": self._shape[3]}
        self.sizes = {axis: size for axis, size in kept.items() if size > 1 or axis in "YX"}
        self.axes = "".join(self.sizes)

    def reader(self, position: int) -> Any:
        """Return the `Scene.read` of a position."""

        def read(index: Index, rows: slice, columns: slice) -> NDArray[Any]:
            number = 0
            for loop in self._loops:
                number = number * loop.size + (position if loop.axis == "P" else index.get(loop.axis, 0))
            region = self._frame(number)[index.get("C", 0), rows, columns]
            # The package gives colours as the file stores them: blue, green, red.
            return np.array(region[..., ::-1] if "S" in self.sizes else region[..., 0])

        return read

    def _frame(self, number: int) -> NDArray[Any]:
        """Return a frame, (C, Y, X, S)."""
        frame = self._cache.get(number)
        if frame is None:
            frame = self._opened.read_frame(number)
            if not self._opened.is_legacy and _owner(frame) is not None:
                raise ImageError(f"the file does not contain frame {number} of its experiment")
            frame = frame.reshape(self._shape)
            if not self._is_mapped:
                self._cache.put(number, frame)
        return np.asarray(frame)


def _owner(frame: NDArray[Any]) -> NDArray[Any] | None:
    """Return the array that owns the values of a frame. None if they are bytes of the file.

    In place of frames that a file lacks, nd2 gives arrays of zeros.
    """
    owner: Any = frame
    while isinstance(owner, np.ndarray) and owner.base is not None:
        owner = owner.base
    return owner if isinstance(owner, np.ndarray) else None

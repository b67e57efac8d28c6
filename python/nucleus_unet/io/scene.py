"""What a reader of a file format returns: the images of a file, their metadata, and how to read a region of one.

To add a format, write a module with a function ``open_file(file) -> OpenedFile`` that describes each image of the
file as a `Scene`, and add a line to `nucleus_unet.io.formats.FORMATS`. Everything else is done for every format in
one place: which plane is meant (`nucleus_unet.io.choice`), dtypes, alpha and messages (`nucleus_unet.io.source`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, BinaryIO, Literal, overload

import numpy as np
from numpy.typing import NDArray

Index = Mapping[str, int]
ReadRegion = Callable[[Index, slice, slice], NDArray[Any]]


@dataclass(frozen=True)
class Channel:
    """A channel of an image.

    Attributes
    ----------
    name
        Its name, or its number if the file does not name it.
    kind
        ``stain``: one of several images of the same place, such as a fluorophore. ``colour``: red, green or blue of a
        colour image, or the grey values. ``alpha``: opacity.
    colour
        The colour that viewers show it in, such as ``#00FF00``. None if the file does not say.
    """

    name: str
    kind: Literal["stain", "colour", "alpha"] = "stain"
    colour: str | None = None


GREY = (Channel("grey", "colour"),)
RGB = (Channel("red", "colour"), Channel("green", "colour"), Channel("blue", "colour"))
ALPHA = (Channel("alpha", "alpha"),)


def numbered(count: int) -> tuple[Channel, ...]:
    """Return channels that have no names."""
    return tuple(Channel(str(number)) for number in range(count))


@dataclass(frozen=True, kw_only=True)
class Scene:
    """One image of a file: a position, a series, a scanned area.

    Attributes
    ----------
    axes
        A letter for each axis: ``T`` time, ``Z`` plane of a stack, ``C`` channel, ``Y`` row, ``X`` column, ``S`` sample
        (the values of one pixel), ``Q`` an axis that the file does not explain. Y and X are always there.
    shape
        Length of each axis.
    dtype
        Type of the values that ``read`` returns.
    read
        Takes the number along each axis but Y, X and S (such as ``{"T": 0, "C": 2}``), and the rows and columns as
        slices within the image. Returns (h, w), or (h, w, S) if there is an axis S. Several threads call it at once.
        It raises `ImageError` if the region is damaged or missing; other exceptions are reported as damage.
    name
        Name of the scene. Empty if it has none.
    channels
        One for each place on the axis C.
    samples
        One for each place on the axis S: `RGB` and the like.
    pixel_size
        Micrometres per pixel. None if the file does not contain a plausible value.
    levels
        Height and width of each level of a pyramid, the full resolution first.
    coarser
        As ``read``, of each level after the first, for pictures: what is segmented is always the full resolution. Empty
        if the levels cannot be read.
    origin
        Row and column of this image on the canvas of the file, where the image is the part of it that viewers show, as
        of MRXS and SCN files. OpenSlide's coordinates are those of the canvas, QuPath's those of the image.
    """

    axes: str
    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    read: ReadRegion
    name: str = ""
    channels: tuple[Channel, ...] = ()
    samples: tuple[Channel, ...] = ()
    pixel_size: float | None = None
    levels: tuple[tuple[int, int], ...] = ()
    coarser: tuple[ReadRegion, ...] = ()
    origin: tuple[int, int] = (0, 0)

    @property
    def sizes(self) -> dict[str, int]:
        """The length of each axis by its letter."""
        return dict(zip(self.axes, self.shape, strict=True))


class LazyScenes(Sequence[Scene]):
    """Scenes that are opened when they are needed, for files of very many, such as plates.

    Parameters
    ----------
    names
        Of the scenes.
    open_scene
        Opens the scene of a name.
    """

    def __init__(self, names: Sequence[str], open_scene: Callable[[str], Scene]) -> None:
        self.names = tuple(names)
        self._open = open_scene
        self._opened: dict[int, Scene] = {}

    def __len__(self) -> int:
        return len(self.names)

    @overload
    def __getitem__(self, key: int) -> Scene: ...

    @overload
    def __getitem__(self, key: slice) -> Sequence[Scene]: ...

    def __getitem__(self, key: int | slice) -> Scene | Sequence[Scene]:
        if isinstance(key, slice):
            return LazyScenes(self.names[key], self._open)
        name = self.names[key]
        number = key % len(self.names)
        if number not in self._opened:
            self._opened[number] = self._open(name)
        return self._opened[number]


@dataclass(frozen=True, kw_only=True)
class OpenedFile:
    """What a reader knows of a file.

    Attributes
    ----------
    format
        Name of the format, such as ``OME-TIFF``.
    scenes
        The images, without thumbnails, labels and macro pictures of slides: a tuple, or `LazyScenes`.
    warnings
        What the reader could not read or had to guess, one sentence each, without the file's name.
    self_contained
        Whether no other file contains pixels of it, so that this file alone tells whether they changed.
    close
        Closes the file. Called once.
    """

    format: str
    scenes: Sequence[Scene]
    warnings: tuple[str, ...] = ()
    self_contained: bool = True
    close: Callable[[], None] = lambda: None

    @property
    def scene_names(self) -> tuple[str, ...]:
        """Names of the scenes, which are not opened."""
        return self.scenes.names if isinstance(self.scenes, LazyScenes) else tuple(each.name for each in self.scenes)


def content_of(file: Any) -> bytes:
    """Return the bytes of a path or of an open binary file."""
    if hasattr(file, "read_bytes"):
        return bytes(file.read_bytes())
    opened: BinaryIO = file
    opened.seek(0)
    return opened.read()

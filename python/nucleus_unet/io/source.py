"""Open images: the one way in which everything reads files and arrays.

>>> import numpy as np
>>> with open_image(np.zeros((500, 300, 4), np.uint8)) as source:
...     plane = source.plane()
...     source.sizes, plane.shape, plane.channels, plane.alpha, plane.read(slice(10, 20), slice(0, 5)).shape
({'Y': 500, 'X': 300, 'S': 4}, (500, 300), 3, True, (10, 5, 3))
"""

from __future__ import annotations

import errno
import logging
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO, Self

import numpy as np
from numpy.typing import NDArray

from nucleus_unet.errors import ImageError, MissingExtraError
from nucleus_unet.io.arrays import open_array
from nucleus_unet.io.choice import Choice, choose_plane, choose_scene
from nucleus_unet.io.dtypes import working_dtype
from nucleus_unet.io.formats import find_format, open_file, read_start
from nucleus_unet.io.plane import Plane, ScenePlane, read_whole
from nucleus_unet.io.scene import Channel, OpenedFile, ReadRegion, Scene

logger = logging.getLogger(__name__)

# Two letters at least before the colon: one is a drive.
_ADDRESS = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+:/")
# Pixels of a file that are read at once.
_MOST_PIXELS = 2**30
# Least share of the opacities that are 0 or the largest. Where colours have soft edges, nearly all are.
_LEAST_PLAIN_ALPHA = 0.5


class ImageSource:
    """An opened image file or array. A context manager; any number of threads may read at once.

    Most attributes describe the first scene; `scene` describes any.

    Attributes
    ----------
    name
        Path of the file, or ``image``, for messages.
    format
        Name of the format, such as ``OME-TIFF``.
    scenes : tuple of str
        Name of each image of the file; empty where it has none.
    sizes : dict of str to int
        Length of each axis: T time, Z plane of a stack, C channel, Y row, X column, S sample of a colour, Q pages that
        the file does not explain.
    dtype
        Type of the values as stored.
    channels : tuple of Channel
        The channels or, of a colour image, red, green and blue.
    pixel_size : float or None
        Micrometres per pixel. None if unknown or implausible.
    levels : tuple of (int, int)
        Height and width of each level of a pyramid, the full resolution first.
    origin : tuple of int
        Row and column of the image on the canvas of the file; see `nucleus_unet.io.scene.Scene`.
    warnings : tuple of str
        What could not be read.
    self_contained : bool
        Whether no other file contains pixels of it.
    """

    def __init__(self, opened: OpenedFile, name: str, *, prefix: str, indices: bool = False) -> None:
        self._opened, self._prefix, self._indices = opened, prefix, indices
        self.name, self.format, self.warnings = name, opened.format, opened.warnings
        self.scenes, self.self_contained = opened.scene_names, opened.self_contained

    def scene(self, scene: int | str | None = 0) -> Scene:
        """Return what is known of a scene.

        Parameters
        ----------
        scene
            Number or name. None: the only one.
        """
        with self._named():
            return self._opened.scenes[choose_scene(self.scenes, scene)]

    @property
    def sizes(self) -> dict[str, int]:
        """See the class."""
        return self.scene().sizes

    @property
    def dtype(self) -> np.dtype[Any]:
        """See the class."""
        return self.scene().dtype

    @property
    def channels(self) -> tuple[Channel, ...]:
        """See the class."""
        return self.scene().channels or self.scene().samples

    @property
    def pixel_size(self) -> float | None:
        """See the class."""
        return self.scene().pixel_size

    @property
    def levels(self) -> tuple[tuple[int, int], ...]:
        """See the class."""
        return self.scene().levels

    @property
    def origin(self) -> tuple[int, int]:
        """See the class."""
        return self.scene().origin

    def plane(
        self,
        *,
        scene: int | str | None = None,
        time: int | None = None,
        z: int | None = None,
        channel: int | str | None = None,
        level: int = 0,
    ) -> ScenePlane:
        """Choose the plane to segment. No pixel is read.

        Parameters
        ----------
        scene
            Number or name of the image in the file. It can be left out if there is one.
        time, z
            Number of the time, and of the plane of a stack. They can be left out if there is one. Negative numbers
            count from the last.
        channel
            Number or name of the channel; ``"rgb"`` takes three channels for red, green and blue. It can be left out if
            there is one channel, or if the channels are colours.
        level
            Number of the level of a pyramid; 0 is the full resolution. `readable_levels` tells how many there are.

        Returns
        -------
        ScenePlane
            See `nucleus_unet.io.plane.Plane`. It can be read as long as the source is open.

        Raises
        ------
        ImageError
            If several planes are possible: the message lists them and the option to give. If there is no such plane.
        """
        with self._named():
            chosen = self._opened.scenes[choose_scene(self.scenes, scene)]
            choice = choose_plane(chosen, time=time, z=z, channel=channel)
            shape, region = self._level(chosen, level)
            colours = choice.colour_axis is not None or isinstance(choice.samples, slice)
            return ScenePlane(
                shape,
                chosen.dtype.newbyteorder("=") if self._indices else working_dtype(chosen.dtype),
                self._reader(region, choice),
                colours=colours,
                alpha=None if choice.alpha is None else self._alpha_reader(region, choice),
                mpp=chosen.pixel_size,
                origin=chosen.origin,
            )

    def readable_levels(self, scene: int | str | None = None) -> tuple[tuple[int, int], ...]:
        """Return the height and width of each level that `plane` opens, the full resolution first."""
        chosen = self.scene(scene)
        full = (chosen.sizes["Y"], chosen.sizes["X"])
        return (full, *chosen.levels[1:]) if len(chosen.coarser) == len(chosen.levels) - 1 else (full,)

    def _level(self, scene: Scene, level: int) -> tuple[tuple[int, int], ReadRegion]:
        sizes = scene.sizes
        if level == 0:
            return (sizes["Y"], sizes["X"]), scene.read
        if not 1 <= level <= len(scene.coarser):
            raise ImageError(f"level: expected 0 to {len(scene.coarser)}, got {level}")
        return scene.levels[level], scene.coarser[level - 1]

    def read(self, plane: Plane) -> NDArray[Any]:
        """Read all pixels of a plane of this source; see `nucleus_unet.io.plane.read_whole`.

        A file of more than 2^30 pixels is refused, because it does not fit into the memory of most machines.
        """
        self.check_size(plane)
        with self._named():
            height, width = plane.shape
            pixels = read_whole(plane)
            if plane.alpha:
                self._check_alpha(pixels, plane.read_alpha(slice(0, height), slice(0, width)))
            return pixels

    def _check_alpha(self, pixels: NDArray[Any], alpha: NDArray[Any]) -> None:
        """Warn of an image that is transparent everywhere, and of a fourth channel that looks like a stain."""
        if not pixels.any() and not alpha.any():
            logger.warning("%s: every pixel is transparent, and is read as black", self.name)
        elif alpha.size and ((alpha == 0) | (alpha == alpha.max())).mean() < _LEAST_PLAIN_ALPHA:
            logger.warning(
                "%s: the last channel is taken for the opacity of the colours, but most of its values are neither 0 "
                "nor the largest: if the channels are stains, give the number of that of the nuclei, --channel "
                "(channel= in Python)",
                self.name,
            )

    def check_size(self, plane: Plane) -> None:
        """Raise `ImageError` if `read` refuses a plane because it is too large."""
        height, width = plane.shape
        with self._named():
            if self._prefix and height * width > _MOST_PIXELS:
                raise ImageError(
                    f"expected at most {_MOST_PIXELS} pixels to be read at once, got {height} x {width}: segment it in "
                    "parts with `nucleus-unet slide` (Segmenter.predict_slide in Python)"
                )

    def close(self) -> None:
        """Close the file."""
        self._opened.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _reader(self, stored: ReadRegion, choice: Choice) -> Callable[[slice, slice], NDArray[Any]]:
        def read(rows: slice, columns: slice) -> NDArray[Any]:
            if choice.colour_axis is not None:
                places = [{**choice.index, choice.colour_axis: number} for number in range(3)]
                return np.stack([self._region(stored, place, rows, columns) for place in places], axis=-1)
            region = self._region(stored, choice.index, rows, columns)
            return region if choice.samples is None else np.ascontiguousarray(region[..., choice.samples])

        return read

    def _alpha_reader(self, stored: ReadRegion, choice: Choice) -> Callable[[slice, slice], NDArray[Any]]:
        def read(rows: slice, columns: slice) -> NDArray[Any]:
            if choice.colour_axis is not None:
                return self._region(stored, {**choice.index, choice.colour_axis: choice.alpha or 0}, rows, columns)
            return np.ascontiguousarray(self._region(stored, choice.index, rows, columns)[..., choice.alpha])

        return read

    def _region(self, stored: ReadRegion, index: dict[str, int], rows: slice, columns: slice) -> NDArray[Any]:
        try:
            return stored(index, rows, columns)
        except ImageError as error:
            raise self._with_name(error) from error
        except Exception as error:  # array libraries and codecs raise exceptions of their own classes
            raise ImageError(
                f"{self.name}: rows {rows.start} to {rows.stop}, columns {columns.start} to {columns.stop} "
                f"cannot be read ({type(error).__name__}: {error})"
            ) from error

    @contextmanager
    def _named(self) -> Iterator[None]:
        """Begin messages with the name of the file."""
        try:
            yield
        except ImageError as error:
            raise self._with_name(error) from error

    def _with_name(self, error: ImageError) -> ImageError:
        text = str(error)
        return error if not self._prefix or text.startswith(self._prefix) else ImageError(f"{self._prefix}: {text}")


def open_image(
    source: Any, *, axes: str | None = None, channel_axis: int | None = None, indices: bool = False
) -> ImageSource:
    """Open an image without reading its pixels, as far as its format allows.

    Parameters
    ----------
    source
        Path of a file or of a Zarr folder; an open binary file; an array of numpy, zarr, dask, torch, xarray or another
        library that gives shape, dtype and regions; a Pillow image; or an OME-Zarr group of zarr. `docs/how-to/
        read-files.md` lists the formats.
    axes
        A letter for each axis in order, in place of what the source says: T, Z, C, Y, X, S (samples of a colour).
    channel_axis
        Axis that holds the channels, if the source does not say. Three or four are colours. The default for arrays of
        three axes is the last one.
    indices
        Read numbers as they are stored, as label images need: those of a palette, in the dtype of the file.

    Raises
    ------
    ImageError
        If the source is not an image or is damaged.
    MissingExtraError
        If the format needs an extra that is not installed.
    OSError
        If a file cannot be opened.

    Examples
    --------
    >>> import numpy as np
    >>> open_image(np.zeros((3, 500, 300), np.uint8), axes="ZYX").sizes
    {'Z': 3, 'Y': 500, 'X': 300}
    """
    if isinstance(source, Path | str):
        _refuse_address(str(source))
        return _open_path(Path(source), axes, channel_axis, indices=indices)
    if _is_file(source) and not type(source).__module__.startswith("PIL."):
        name = str(getattr(source, "name", "image"))
        return _open(source, name, Path(name).suffix, axes, channel_axis, indices=indices)
    opened = open_array(source, axes=axes, channel_axis=channel_axis)
    return ImageSource(opened, "image", prefix="")


def is_source(value: object) -> bool:
    """Whether a value is one image that `open_image` takes. Lists are not, even if they hold numbers of an array."""
    if isinstance(value, Path | str):
        return True
    arrays = ("shape", "__array__", "__array_interface__")
    return any(hasattr(value, name) for name in arrays) or _is_file(value) or hasattr(value, "store_path")


def _is_file(value: object) -> bool:
    return hasattr(value, "read") and hasattr(value, "seek") and not hasattr(value, "shape")


def _refuse_address(text: str) -> None:
    """Raise `ImageError` for an address of the network, of which `Path` may have left one slash."""
    if _ADDRESS.match(text) and not Path(text).exists():
        raise ImageError(f"{text}: expected the path of a file, got an address: download the file first")


def _open_path(path: Path, axes: str | None, channel_axis: int | None, *, indices: bool) -> ImageSource:
    if not path.exists():
        raise FileNotFoundError(errno.ENOENT, "there is no such file", str(path))
    if not path.is_dir():
        if not path.is_file():
            raise ImageError(f"{path}: expected a file, got a pipe or device")
        with path.open("rb"):
            pass  # an unreadable file raises an OSError, which a library might hide
    return _open(path, str(path), path.suffix, axes, channel_axis, indices=indices)


def _open(
    file: Path | BinaryIO, name: str, suffix: str, axes: str | None, channel_axis: int | None, *, indices: bool
) -> ImageSource:
    try:
        is_folder = isinstance(file, Path) and file.is_dir()
        found = find_format(b"" if is_folder else read_start(file), suffix, is_folder=is_folder)
        opened = open_file(file, found, axes=axes, channel_axis=channel_axis, indices=indices)
    except MissingExtraError:
        raise
    except ImageError as error:
        raise ImageError(str(error) if str(error).startswith(name) else f"{name}: {error}") from error
    except Exception as error:  # libraries raise exceptions of many classes for damaged files, and MemoryError
        raise ImageError(f"{name}: cannot be read as an image ({type(error).__name__}: {error})") from error
    for warning in opened.warnings:
        logger.warning("%s: %s", name, warning)
    return ImageSource(opened, name, prefix=name, indices=indices)


def read_image(
    source: Any,
    *,
    scene: int | str | None = None,
    time: int | None = None,
    z: int | None = None,
    channel: int | str | None = None,
    axes: str | None = None,
    channel_axis: int | None = None,
) -> NDArray[Any]:
    """Read the pixels of one plane.

    Parameters
    ----------
    source, axes, channel_axis
        See `open_image`.
    scene, time, z, channel
        See `ImageSource.plane`.

    Returns
    -------
    NDArray[Any] (H, W) or (H, W, 3)
        Of the dtypes that `nucleus_unet.io.dtypes.working_dtype` returns. A view of the caller's array where possible.

    Raises
    ------
    ImageError
        See `open_image` and `ImageSource.plane`; and if pixels are damaged or not finite numbers.

    Examples
    --------
    >>> import numpy as np
    >>> read_image(np.zeros((6, 5, 7), np.uint16), channel_axis=0, channel=2).shape
    (5, 7)
    """
    with open_image(source, axes=axes, channel_axis=channel_axis) as opened:
        return opened.read(opened.plane(scene=scene, time=time, z=z, channel=channel))

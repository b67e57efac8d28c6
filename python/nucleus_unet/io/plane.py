"""One plane of an image: what is segmented."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from nucleus_unet.errors import ImageError

Pixels = Callable[[slice, slice], NDArray[Any]]


class Plane(Protocol):
    """An image of grey values or of red, green and blue that is read in parts. Several threads may read at once.

    Attributes
    ----------
    shape
        Height and width in pixels.
    channels
        3 for colour, None for grey.
    dtype
        ``bool``, ``uint8``, ``uint16``, ``float32`` or ``float64``.
    mpp
        Micrometres per pixel. None if the source does not contain a plausible value.
    origin
        Row and column of this image on the canvas of the file; see `nucleus_unet.io.scene.Scene`.
    alpha
        Whether pixels have an opacity; `read_alpha` returns it.
    """

    shape: tuple[int, int]
    channels: int | None
    dtype: np.dtype[Any]
    mpp: float | None
    origin: tuple[int, int]
    alpha: bool

    def read(self, rows: slice, columns: slice) -> NDArray[Any]:
        """Return pixels of the full resolution, (h, w) or (h, w, 3), for slices within the image.

        Transparent pixels are 0, whatever colour the file hides under them.
        """
        ...

    def read_alpha(self, rows: slice, columns: slice) -> NDArray[Any]:
        """Return the opacity of pixels, (h, w): 0 is transparent, the largest value of the dtype (1 for floats) not."""
        ...


class ScenePlane:
    """A `Plane` of a scene.

    Parameters
    ----------
    shape, mpp, origin
        See `Plane`.
    dtype
        Of what `read` returns; ``pixels`` may come in another.
    colours
        Whether ``pixels`` are red, green and blue.
    pixels
        Returns a region, (h, w) or (h, w, 3), for rows and columns.
    alpha
        Returns the opacity of a region, (h, w). None if there is none.
    """

    def __init__(
        self,
        shape: tuple[int, int],
        dtype: np.dtype[Any],
        pixels: Pixels,
        *,
        colours: bool,
        alpha: Pixels | None = None,
        mpp: float | None = None,
        origin: tuple[int, int] = (0, 0),
    ) -> None:
        self.shape, self.dtype, self.mpp, self.origin = shape, dtype, mpp, origin
        self.channels = 3 if colours else None
        self.alpha = alpha is not None
        self._pixels, self._alpha = pixels, alpha

    def read(self, rows: slice, columns: slice) -> NDArray[Any]:
        """See `Plane`."""
        pixels = np.asarray(self._pixels(rows, columns)).astype(self.dtype, copy=False)
        if self._alpha is not None:
            transparent = self.read_alpha(rows, columns) == 0
            if transparent.any():
                pixels = pixels.copy()
                pixels[transparent] = 0
        return pixels

    def read_alpha(self, rows: slice, columns: slice) -> NDArray[Any]:
        """See `Plane`."""
        if self._alpha is None:
            raise ImageError("the image has no alpha channel")
        return np.asarray(self._alpha(rows, columns))


def read_whole(plane: Plane) -> NDArray[Any]:
    """Read all pixels of a plane.

    Returns
    -------
    NDArray[Any] (H, W) or (H, W, 3)
        A view of the caller's array where possible.

    Raises
    ------
    ImageError
        If pixels are damaged, or not finite numbers.
    """
    pixels = plane.read(slice(0, plane.shape[0]), slice(0, plane.shape[1]))
    if pixels.dtype.kind == "f":
        finite = np.isfinite(pixels)
        finite = finite if finite.ndim == 2 else finite.all(axis=-1)
        bad = finite.size - np.count_nonzero(finite)
        if bad:
            raise ImageError(
                f"image values: expected finite numbers, got {bad} pixels that are NaN or infinite; "
                "replace them first, for example with numpy.nan_to_num"
            )
    return pixels

"""Slides that are arrays: in memory, mapped into it, of zarr or dask; and which channels of a slide are its picture."""

from __future__ import annotations

import math
from typing import Any, Protocol

import numpy as np
from numpy.typing import DTypeLike, NDArray

from nucleus_unet.errors import ImageError
from nucleus_unet.io.channels import prepare_image, working_dtype
from nucleus_unet.io.segments import LARGEST_SEGMENT


class ArrayLike(Protocol):
    """What is asked of an array: numpy's, memory-mapped ones, zarr's and dask's answer it."""

    @property
    def shape(self) -> tuple[int, ...]: ...  # noqa: D102

    @property
    def dtype(self) -> Any: ...  # noqa: D102

    def __getitem__(self, key: tuple[slice | int, ...], /) -> Any: ...


class ArraySlide:
    """A slide from an array, which is only ever asked for regions; see `open_slide`."""

    def __init__(
        self,
        array: ArrayLike,
        *,
        channel: int | str | None = None,
        channel_axis: int | None = None,
        channel_names: tuple[str, ...] = (),
        mpp: float | None = None,
        white_is_zero: bool = False,
        name: str = "slide",
    ) -> None:
        _check_shape_and_chunks(array)
        self._array, self._white_is_zero, self._name = array, white_is_zero, name
        self._axis, self._chosen = choose(tuple(array.shape), channel, channel_axis, channel_names)
        height, width = (size for axis, size in enumerate(array.shape) if axis != self._axis)
        self.shape = (int(height), int(width))
        self.channels = 3 if isinstance(self._chosen, slice) else None
        self.dtype = checked_dtype(array.dtype, self.shape)
        self.mpp = mpp

    def read(self, rows: slice, columns: slice) -> NDArray[Any]:
        """See `Slide`."""
        key: list[slice | int] = [rows, columns]
        if self._axis is not None:
            assert self._chosen is not None  # as there are channels
            key.insert(self._axis, self._chosen)
        try:
            region = np.asarray(self._array[tuple(key)])
        except Exception as error:  # other libraries, and codecs of damaged chunks, raise classes of their own
            raise ImageError(
                f"{self._name}: rows {rows.start} to {rows.stop}, columns {columns.start} to {columns.stop} "
                f"cannot be read ({type(error).__name__}: {error})"
            ) from error
        if self.channels:
            assert self._axis is not None
            region = np.moveaxis(region, self._axis, -1)
        return np.ascontiguousarray(~region if self._white_is_zero else region, self.dtype)


def _check_shape_and_chunks(array: ArrayLike) -> None:
    """Refuse an array of which a region cannot be had in bounded memory."""
    if any(math.isnan(size) for size in array.shape):
        raise ImageError(f"slide: expected a known shape, got {array.shape}; call compute_chunk_sizes() first")
    chunk = getattr(array, "chunksize", getattr(array, "chunks", None))  # dask's, zarr's
    if not (isinstance(chunk, tuple) and all(isinstance(side, int) for side in chunk)):
        return
    if math.prod(chunk) * np.dtype(array.dtype).itemsize > LARGEST_SEGMENT:
        raise ImageError(f"slide: its chunks are too large to be read in parts, {chunk}: rechunk it first")


def choose(
    shape: tuple[int, ...], channel: int | str | None, channel_axis: int | None, names: tuple[str, ...]
) -> tuple[int | None, slice | int | None]:
    """Tell which axis holds channels, and which of them are the picture: one, or the first three.

    An image whose pixels are the numbers of their channels is asked, without memory, how `prepare_image` decides.
    """
    if len(shape) != 3:
        prepare_image(
            np.broadcast_to(np.uint8(0), shape), channel=channel, channel_axis=channel_axis, channel_names=names
        )
        return None, None
    axis = -1 if channel_axis is None else channel_axis
    along = [1, 1, 1]
    if -3 <= axis < 3:
        along[axis] = shape[axis]
    numbers = np.arange(along[axis] if -3 <= axis < 3 else 1, dtype=np.uint16).reshape(along)
    chosen = prepare_image(
        np.broadcast_to(numbers, shape), channel=channel, channel_axis=channel_axis, channel_names=names
    )
    if chosen.ndim == 3:
        return axis % 3, slice(0, 3)
    return axis % 3, int(chosen[0, 0]) if chosen.size else 0


def checked_dtype(dtype: DTypeLike | None, shape: tuple[int, int]) -> np.dtype[Any]:
    """Return the dtype in this machine's byte order."""
    if 0 in shape:
        raise ImageError(f"slide: expected at least one pixel, got {shape[0]} x {shape[1]}")
    return working_dtype(np.dtype(dtype))

"""Slides from arrays of numpy, zarr or dask, and the selection of a slide's channels."""

from __future__ import annotations

import math
from typing import Any, Protocol

import numpy as np
from numpy.typing import DTypeLike, NDArray

from nucleus_unet.errors import ImageError
from nucleus_unet.io.channels import prepare_image, working_dtype
from nucleus_unet.io.segments import LARGEST_SEGMENT


class ArrayLike(Protocol):
    """The interface of arrays that slides are read from: numpy (also memory-mapped), zarr and dask."""

    @property
    def shape(self) -> tuple[int, ...]: ...  # noqa: D102

    @property
    def dtype(self) -> Any: ...  # noqa: D102

    def __getitem__(self, key: tuple[slice | int, ...], /) -> Any: ...


class ArraySlide:
    """A slide that reads regions of an array; see `open_slide`."""

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
        self._axis, self._selection = select_channels(tuple(array.shape), channel, channel_axis, channel_names)
        height, width = (size for axis, size in enumerate(array.shape) if axis != self._axis)
        self.shape = (int(height), int(width))
        self.channels = 3 if isinstance(self._selection, slice) else None
        self.dtype = slide_dtype(array.dtype, self.shape)
        self.mpp = mpp

    def read(self, rows: slice, columns: slice) -> NDArray[Any]:
        """See `Slide`."""
        key: list[slice | int] = [rows, columns]
        if self._axis is not None:
            assert self._selection is not None  # as there are channels
            key.insert(self._axis, self._selection)
        try:
            region = np.asarray(self._array[tuple(key)])
        except Exception as error:  # array libraries and codecs raise exceptions of their own classes
            raise ImageError(
                f"{self._name}: rows {rows.start} to {rows.stop}, columns {columns.start} to {columns.stop} "
                f"cannot be read ({type(error).__name__}: {error})"
            ) from error
        if self.channels:
            assert self._axis is not None
            region = np.moveaxis(region, self._axis, -1)
        return np.ascontiguousarray(~region if self._white_is_zero else region, self.dtype)


def _check_shape_and_chunks(array: ArrayLike) -> None:
    """Raise `ImageError` if regions of an array cannot be read in bounded memory."""
    if any(math.isnan(size) for size in array.shape):
        raise ImageError(f"slide: expected a known shape, got {array.shape}; call compute_chunk_sizes() first")
    chunk = getattr(array, "chunksize", getattr(array, "chunks", None))  # dask's, zarr's
    if not (isinstance(chunk, tuple) and all(isinstance(side, int) for side in chunk)):
        return
    if math.prod(chunk) * np.dtype(array.dtype).itemsize > LARGEST_SEGMENT:
        raise ImageError(f"slide: its chunks are too large to be read in parts, {chunk}: rechunk it first")


def select_channels(
    shape: tuple[int, ...], channel: int | str | None, channel_axis: int | None, names: tuple[str, ...]
) -> tuple[int | None, slice | int | None]:
    """Return the axis of the channels and the selected ones: the number of one channel, or a slice of three.

    The rules of `prepare_image` are applied to an image whose pixels are their channel numbers. It takes no memory.
    """
    if len(shape) != 3:
        prepare_image(
            np.broadcast_to(np.uint8(0), shape), channel=channel, channel_axis=channel_axis, channel_names=names
        )
        return None, None
    axis = -1 if channel_axis is None else channel_axis
    lengths = [1, 1, 1]
    if -3 <= axis < 3:
        lengths[axis] = shape[axis]
    numbers = np.arange(lengths[axis] if -3 <= axis < 3 else 1, dtype=np.uint16).reshape(lengths)
    selected = prepare_image(
        np.broadcast_to(numbers, shape), channel=channel, channel_axis=channel_axis, channel_names=names
    )
    if selected.ndim == 3:
        return axis % 3, slice(0, 3)
    return axis % 3, int(selected[0, 0]) if selected.size else 0


def slide_dtype(dtype: DTypeLike | None, shape: tuple[int, int]) -> np.dtype[Any]:
    """Return the dtype in which a slide is read. Raise `ImageError` if a slide cannot have the dtype or shape."""
    if 0 in shape:
        raise ImageError(f"slide: expected at least one pixel, got {shape[0]} x {shape[1]}")
    return working_dtype(np.dtype(dtype))

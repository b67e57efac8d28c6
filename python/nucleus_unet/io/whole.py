"""Regions of arrays, and images that are decoded as a whole."""

from __future__ import annotations

from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from nucleus_unet.errors import ImageError
from nucleus_unet.io.scene import Channel, Index, OpenedFile, ReadRegion, Scene, numbered


class ArrayLike(Protocol):
    """The interface of arrays that images are read from: numpy (also memory-mapped), zarr and dask."""

    @property
    def shape(self) -> tuple[int, ...]: ...  # noqa: D102

    @property
    def dtype(self) -> Any: ...  # noqa: D102

    def __getitem__(self, key: tuple[slice | int, ...], /) -> Any: ...


def region_reader(array: ArrayLike, axes: str) -> ReadRegion:
    """Return the `Scene.read` of an array.

    Parameters
    ----------
    array
        Gives regions.
    axes
        A letter for each of its axes.
    """

    def read(index: Index, rows: slice, columns: slice) -> NDArray[Any]:
        spans = {"Y": rows, "X": columns, "S": slice(None)}
        region = np.asanyarray(array[tuple(spans.get(axis, index.get(axis, 0)) for axis in axes)])
        refuse_mask(region)
        region = np.asarray(region)
        sizes = zip(axes, array.shape, strict=True)
        shape = tuple(len(range(size)[spans[axis]]) for axis, size in sizes if axis in spans)
        if region.shape != shape or region.dtype.newbyteorder("=") != np.dtype(array.dtype).newbyteorder("="):
            raise ImageError(
                f"image: expected {shape} of {np.dtype(array.dtype)} in a region, as the array says of itself, got "
                f"{region.shape} of {region.dtype}: correct the dtype and the shape that it declares"
            )
        kept = [axis for axis in axes if axis in "YXS"]
        order = [kept.index(axis) for axis in "YXS" if axis in kept]
        return region if order == sorted(order) else region.transpose(order)

    return read


def refuse_mask(array: Any) -> None:
    """Raise `ImageError` if pixels of an array are masked: numpy would read the values below the mask."""
    if np.ma.is_masked(array):
        raise ImageError("image: expected an array without a mask; fill masked pixels with .filled(value)")


def whole_image(
    name: str,
    pixels: NDArray[Any],
    *,
    axes: str = "",
    samples: tuple[Channel, ...] = (),
    pixel_size: float | None = None,
    warnings: tuple[str, ...] = (),
) -> OpenedFile:
    """Return an image that is in memory.

    Parameters
    ----------
    name
        Of the format.
    pixels
        (H, W), (H, W, S), or with the axes ``axes``.
    axes
        A letter for each axis. Default: YX or YXS.
    samples, pixel_size
        See `Scene`. Samples that are not given have numbers.
    warnings
        See `OpenedFile`.
    """
    if pixels.ndim not in (2, 3) and not axes:
        raise ImageError(f"image shape: expected (H, W) or (H, W, C), got {pixels.shape}")
    axes = axes or "YXS"[: pixels.ndim]
    count = dict(zip(axes, pixels.shape, strict=True)).get("S", 0)
    scene = Scene(
        axes=axes,
        shape=pixels.shape,
        dtype=pixels.dtype,
        read=region_reader(pixels, axes),
        samples=samples if len(samples) == count else numbered(count),
        pixel_size=pixel_size,
    )
    return OpenedFile(format=name, scenes=(scene,), warnings=warnings)

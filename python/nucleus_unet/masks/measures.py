"""Nuclei measured: size, place, shape and brightness."""

from collections.abc import Collection
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from nucleus_unet import _core
from nucleus_unet.errors import SettingsError
from nucleus_unet.masks._arguments import as_intensity, as_label_image

_SIZES = ("label", "area", "bbox", "centroid")
_SHAPES = (
    "axis_major_length",
    "axis_minor_length",
    "eccentricity",
    "orientation",
    "perimeter",
    "area_convex",
    "solidity",
)
_RANGE = ("intensity_min", "intensity_max")
_INTENSITIES = ("intensity_mean", *_RANGE)
_PROPERTIES = (*_SIZES, *_SHAPES, *_INTENSITIES)


def regionprops_table(
    labels: ArrayLike,
    intensity: ArrayLike | None = None,
    *,
    properties: Collection[str] | None = None,
    threads: int | None = None,
) -> dict[str, NDArray[Any]]:
    """Measure every instance of a label image, under the names that scikit-image gives to its properties.

    Parameters
    ----------
    labels : (H, W) array of integers
        Label image, 0 background. A C-contiguous uint32 array is read as it is, anything else is copied once.
    intensity : (H, W) array of numbers
        Image to take intensities of, as float32.
    properties
        Some of those below; None for all, without intensities where there is no image of them.
    threads
        Threads to use; None for one a core. The result is the same for any number.

    Returns
    -------
    dict of str to (N,) ndarray
        By labels, ascending:

        ``label``, and ``area`` in pixels.
        ``bbox-0`` to ``bbox-3``: first row and column, and the row and column after the last ones.
        ``centroid-0``, ``centroid-1``: mean row and column.
        ``axis_major_length``, ``axis_minor_length``, ``eccentricity``, ``orientation``: of the ellipse with the same
        second moments; the angle is from the rows' axis to the longer axis, counter-clockwise, from -pi/2 to pi/2.
        ``perimeter``: length of the line through the centres of border pixels, of which diagonal steps count sqrt(2)
        (Benkrid and Crookes 2000).
        ``area_convex``: area of the convex hull of the pixels' squares; ``solidity``: `area` over that.
        ``intensity_mean``, ``intensity_min``, ``intensity_max``.

    Raises
    ------
    MaskError
        If `labels` is not two-dimensional, not of integers, or holds values below 0 or beyond 32 bits; or if
        `intensity` is not of real numbers, or has another shape.
    SettingsError
        If a property is unknown, or of intensities that are not there; or if `threads` is not 1 to 1024.

    Notes
    -----
    All are equal to scikit-image's but `area_convex` and `solidity`: scikit-image counts the pixels of a hull through
    the middles of the pixels' sides, here it is the exact area of the hull through their corners.

    Examples
    --------
    >>> table = regionprops_table([[1, 1, 0], [1, 1, 2]], properties=["area", "centroid", "solidity"])
    >>> table["area"], table["centroid-1"], table["solidity"]
    (array([4, 1]), array([0.5, 2. ]), array([1., 1.]))
    """
    asked = set(
        _PROPERTIES[: None if intensity is not None else -len(_INTENSITIES)] if properties is None else properties
    )
    if unknown := asked.difference(_PROPERTIES):
        raise SettingsError(
            f"properties: expected some of {', '.join(_PROPERTIES)}, got {', '.join(map(repr, sorted(unknown)))}"
        )
    if intensity is None and (missing := asked.intersection(_INTENSITIES)):
        raise SettingsError(f"intensity: expected an image for {', '.join(sorted(missing))}, got None")
    image = as_label_image(labels)
    bright = None if intensity is None else as_intensity(intensity, image.shape)
    found = _sizes(image, bright if "intensity_mean" in asked else None, threads)
    if not asked.isdisjoint((*_SHAPES, *_RANGE)):
        found |= _shapes(image, None if asked.isdisjoint(_RANGE) else bright, threads)
    return {name: column for name, column in found.items() if name.split("-")[0] in asked}


def _sizes(
    labels: NDArray[np.uint32], intensity: NDArray[np.float32] | None, threads: int | None
) -> dict[str, NDArray[Any]]:
    present, areas, boxes, centroids, means, _ = _core.measure(labels, intensity=intensity, threads=threads)
    found: dict[str, NDArray[Any]] = {"label": present, "area": areas}
    found |= {f"bbox-{side}": column for side, column in enumerate(boxes.T)}
    found |= {f"centroid-{axis}": column for axis, column in enumerate(centroids.T)}
    return found if means is None else found | {"intensity_mean": means}


def _shapes(
    labels: NDArray[np.uint32], intensity: NDArray[np.float32] | None, threads: int | None
) -> dict[str, NDArray[Any]]:
    _, areas, axes, eccentricities, orientations, perimeters, convex, ranges = _core.shapes(
        labels, intensity=intensity, threads=threads
    )
    columns = (*axes.T, eccentricities, orientations, perimeters, convex, areas / convex)
    found: dict[str, NDArray[Any]] = dict(zip(_SHAPES, columns, strict=True))
    return found if ranges is None else found | dict(zip(_RANGE, ranges.T, strict=True))

"""Measurements of nuclei: size, position, shape and intensity."""

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
        Intensity image. It is converted to float32.
    properties
        Names of the properties below, without their numbers. None for all; without `intensity`, the intensities are
        left out.
    threads
        Number of threads; None for one per core. The result is the same for any number.

    Returns
    -------
    dict of str to (N,) ndarray
        One column for each property, in ascending order of the labels:

        ``label``, and ``area`` in pixels.
        ``bbox-0`` to ``bbox-3``: first row and column, and the row and column after the last ones.
        ``centroid-0``, ``centroid-1``: mean row and column.
        ``axis_major_length``, ``axis_minor_length``, ``eccentricity``, ``orientation``: of the ellipse with the same
        second moments. The angle is measured counter-clockwise from the row axis to the major axis, from -pi/2 to pi/2.
        ``perimeter``: length of the line through the centres of the border pixels, in which diagonal steps count
        sqrt(2) (Benkrid and Crookes 2000).
        ``area_convex``: area of the convex hull of the pixel squares. ``solidity``: `area` divided by `area_convex`.
        ``intensity_mean``, ``intensity_min``, ``intensity_max``.

    Raises
    ------
    MaskError
        If `labels` is not two-dimensional, not of integers, or holds values below 0 or beyond 32 bits; or if
        `intensity` is not of real numbers, or has another shape.
    SettingsError
        If a property is unknown, an intensity is requested without `intensity`, or `threads` is not 1 to 1024.

    Notes
    -----
    All properties except `area_convex` and `solidity` equal those of scikit-image. scikit-image counts the pixels of a
    hull through the midpoints of the pixel edges. This function computes the exact area of the hull through the pixel
    corners.

    Examples
    --------
    >>> table = regionprops_table([[1, 1, 0], [1, 1, 2]], properties=["area", "centroid", "solidity"])
    >>> table["area"], table["centroid-1"], table["solidity"]
    (array([4, 1]), array([0.5, 2. ]), array([1., 1.]))
    """
    requested = set(
        _PROPERTIES[: None if intensity is not None else -len(_INTENSITIES)] if properties is None else properties
    )
    if unknown := requested.difference(_PROPERTIES):
        raise SettingsError(
            f"properties: expected some of {', '.join(_PROPERTIES)}, got {', '.join(map(repr, sorted(unknown)))}"
        )
    if intensity is None and (missing := requested.intersection(_INTENSITIES)):
        raise SettingsError(f"intensity: expected an image for {', '.join(sorted(missing))}, got None")
    image = as_label_image(labels)
    values = None if intensity is None else as_intensity(intensity, image.shape)
    columns = _sizes(image, values if "intensity_mean" in requested else None, threads)
    if not requested.isdisjoint((*_SHAPES, *_RANGE)):
        columns |= _shapes(image, None if requested.isdisjoint(_RANGE) else values, threads)
    return {name: column for name, column in columns.items() if name.split("-")[0] in requested}


def _sizes(
    labels: NDArray[np.uint32], intensity: NDArray[np.float32] | None, threads: int | None
) -> dict[str, NDArray[Any]]:
    present, areas, boxes, centroids, means = _core.measure(labels, intensity=intensity, threads=threads)
    found: dict[str, NDArray[Any]] = {"label": present, "area": areas}
    found |= {f"bbox-{side}": column for side, column in enumerate(boxes.T)}
    found |= {f"centroid-{axis}": column for axis, column in enumerate(centroids.T)}
    return found if means is None else found | {"intensity_mean": means}


def _shapes(
    labels: NDArray[np.uint32], intensity: NDArray[np.float32] | None, threads: int | None
) -> dict[str, NDArray[Any]]:
    _, areas, axes, eccentricities, orientations, perimeters, convex, _, ranges = _core.shapes(
        labels, intensity=intensity, threads=threads
    )
    columns = (*axes.T, eccentricities, orientations, perimeters, convex, areas / convex)
    found: dict[str, NDArray[Any]] = dict(zip(_SHAPES, columns, strict=True))
    return found if ranges is None else found | dict(zip(_RANGE, ranges.T, strict=True))

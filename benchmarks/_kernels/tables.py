"""Measurements of nuclei, and the table of what two label images share."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from nucleus_unet import _core, masks
from numpy.typing import NDArray

from _kernels.contest import Contest, Task, installed
from _kernels.scenes import Labels, Scenes

MEASURE = 10.0
OVERLAP = 10.0


def contests(scenes: Scenes, threads: int) -> Iterator[Contest]:
    """Rows of this family."""
    cases = scenes.cases(threads)
    for case, labels in cases.items():
        yield _measuring(case, labels, threads)
    yield _measuring_intensity("mosaic", scenes.mosaic, threads)
    yield _measuring_statistics("mosaic", scenes.mosaic, threads)
    yield _measuring_shape("mosaic", scenes.mosaic, threads)
    yield _finding_neighbours("250,000 points", threads)
    for case, labels in cases.items():
        yield _overlap(case, labels, threads)


def _measuring(case: str, labels: Labels, threads: int) -> Contest:
    peers: dict[str, Task] = {}
    if cc3d := installed("cc3d"):
        peers["cc3d"] = lambda: cc3d.statistics(labels, no_slice_conversion=True)["voxel_counts"]
    if cv2 := installed("cv2"):
        peers["cv2 (finds components too)"] = lambda: cv2.connectedComponentsWithStats((labels > 0).view(np.uint8))
    against: tuple[str, ...] = ()
    if installed("skimage") and labels.max() < 10_000:
        from skimage.measure import regionprops_table

        properties = ("label", "area", "bbox", "centroid")
        peers["regionprops_table"] = lambda: regionprops_table(labels, properties=properties)["area"]
        against = ("regionprops_table",)
    return Contest(
        "measure",
        case,
        threads,
        lambda: _core.measure(labels, threads=threads),
        peers,
        _same_areas,
        MEASURE if against else None,
        against,
    )


def _measuring_intensity(case: str, labels: Labels, threads: int) -> Contest:
    intensity = np.random.default_rng(0).random(labels.shape, np.float32)
    peers: dict[str, Task] = {}
    if installed("skimage"):
        from skimage.measure import regionprops_table

        properties = ("label", "area", "bbox", "centroid", "intensity_mean")
        peers["regionprops_table"] = lambda: regionprops_table(labels, intensity, properties)["area"]
    if installed("scipy"):
        peers["scipy"] = lambda: _measured_by_scipy(labels, intensity)
    return Contest(
        "measure with intensity",
        case,
        threads,
        lambda: _core.measure(labels, intensity=intensity, threads=threads),
        peers,
        _same_areas,
        MEASURE,
        ("regionprops_table",),
    )


def _measuring_statistics(case: str, labels: Labels, threads: int) -> Contest:
    intensity = np.random.default_rng(0).random(labels.shape, np.float32)
    peers: dict[str, Task] = {}
    if installed("scipy"):
        from scipy import ndimage

        present = np.arange(1, int(labels.max()) + 1)
        functions = (ndimage.mean, ndimage.standard_deviation, ndimage.minimum, ndimage.maximum, ndimage.sum_labels)

        def by_scipy() -> NDArray[np.float64]:
            found = [function(intensity, labels, present) for function in functions]
            return np.column_stack([*found, ndimage.median(intensity, labels, present)])

        peers["scipy"] = by_scipy
    if installed("skimage") and labels.max() < 10_000:
        from skimage.measure import regionprops_table

        properties = ("intensity_mean", "intensity_std", "intensity_min", "intensity_max", "intensity_median")
        peers["regionprops_table"] = lambda: regionprops_table(labels, intensity, properties)["intensity_mean"]
    return Contest(
        "intensity statistics",
        case,
        threads,
        lambda: _core.statistics(labels, intensity, percents=[50.0], threads=threads)[1],
        peers,
        _same_statistics,
        MEASURE,
    )


def _same_statistics(ours: NDArray[np.float64], name: str, theirs: NDArray[np.float64]) -> None:
    np.testing.assert_allclose(ours if name == "scipy" else ours[:, 0], theirs, rtol=1e-4)


def _finding_neighbours(case: str, threads: int) -> Contest:
    points = np.random.default_rng(0).uniform(0, 10_000, (250_000, 2))
    radius = 100.0
    peers: dict[str, Task] = {}
    if installed("scipy"):
        from scipy.spatial import cKDTree

        def by_scipy() -> tuple[NDArray[np.float64], NDArray[np.int64]]:
            tree = cKDTree(points)
            nearest = tree.query(points, 2, workers=threads)[0][:, 1]
            return nearest, tree.query_ball_point(points, radius, return_length=True, workers=threads) - 1

        peers["scipy"] = by_scipy
    return Contest(
        "nearest neighbours",
        case,
        threads,
        lambda: _core.neighbours(points, radius, threads=threads),
        peers,
        _same_neighbours,
        None,
    )


def _same_neighbours(ours: tuple[Any, ...], _: str, theirs: tuple[Any, ...]) -> None:
    np.testing.assert_allclose(ours[0], np.where(theirs[0] <= 100, theirs[0], np.nan))
    np.testing.assert_array_equal(ours[1], theirs[1])


def _measuring_shape(case: str, labels: Labels, threads: int) -> Contest:
    properties = (
        "area",
        "axis_major_length",
        "axis_minor_length",
        "eccentricity",
        "orientation",
        "perimeter",
        "solidity",
    )
    peers: dict[str, Task] = {}
    if installed("skimage"):
        from skimage.measure import regionprops_table

        peers["regionprops_table"] = lambda: regionprops_table(labels, properties=properties)
    return Contest(
        "measure shapes",
        case,
        threads,
        lambda: masks.regionprops_table(labels, properties=properties, threads=threads),
        peers,
        _same_shapes,
        MEASURE,
    )


def _same_shapes(ours: dict[str, NDArray[Any]], _: str, theirs: dict[str, NDArray[Any]]) -> None:
    for name in ("area", "axis_major_length", "perimeter"):
        np.testing.assert_allclose(ours[name], theirs[name], rtol=1e-6, atol=1e-6)


def _measured_by_scipy(labels: Labels, intensity: NDArray[np.float32]) -> NDArray[np.int64]:
    """Boxes and counts of all labels at once."""
    from scipy import ndimage

    rows, columns = np.nonzero(labels)
    owner = labels[rows, columns]
    areas = np.bincount(owner)
    for weights in (rows, columns, intensity[rows, columns]):
        np.bincount(owner, weights)
    ndimage.find_objects(labels.view(np.int32))
    return areas[1:][areas[1:] > 0]


def _same_areas(ours: tuple[Any, ...], name: str, theirs: Any) -> None:
    if name == "cc3d":
        theirs = theirs[1:][theirs[1:] > 0]
    if name.startswith("cv2"):
        return  # touching nuclei are one component there; it is listed for its time alone
    np.testing.assert_array_equal(ours[1], theirs)


def _overlap(case: str, labels: Labels, threads: int) -> Contest:
    other = np.roll(labels, (2, 3), (0, 1))
    peers: dict[str, Task] = {"numpy, unique pairs": lambda: _pairs_by_numpy(labels, other)}
    if int(labels.max() + 1) * int(other.max() + 1) < 1 << 26:
        peers["numpy, dense table as stardist's matching"] = lambda: _dense_by_numpy(labels, other)
    if installed("skimage"):
        from skimage.metrics import contingency_table

        peers["scikit-image"] = lambda: contingency_table(labels, other)
    return Contest(
        "overlap table",
        case,
        threads,
        lambda: masks.overlap_table(labels, other, threads=threads),
        peers,
        _same_pairs,
        OVERLAP,
    )


def _pairs_by_numpy(a: Labels, b: Labels) -> NDArray[np.int64]:
    pairs, pixels = np.unique(a.astype(np.uint64) << np.uint64(32) | b, return_counts=True)
    inside = (pairs >> np.uint64(32) > 0) & (pairs & np.uint64(2**32 - 1) > 0)
    return pixels[inside]


def _dense_by_numpy(a: Labels, b: Labels) -> NDArray[np.int64]:
    width = int(b.max()) + 1
    table = np.bincount((a * np.int64(width) + b).ravel(), minlength=(int(a.max()) + 1) * width)
    inside = table.reshape(-1, width)[1:, 1:]
    return inside[inside > 0]


def _same_pairs(ours: masks.OverlapTable, name: str, theirs: Any) -> None:
    if name == "scikit-image":
        theirs = theirs.tocsr()[1:, 1:]
        theirs.sort_indices()
        theirs = theirs.data[theirs.data > 0]
    np.testing.assert_array_equal(ours.pixels, theirs)

"""Clustering of images by appearance, for sets without named categories.

Six features describe an image. Each is about 0 to 1. They distinguish staining, modality and magnification. The
features are clustered by k-means (Lloyd 1982). The initial centres are the images farthest from one another (Gonzalez
1985), so the result is deterministic. The number of clusters is the largest number whose mean silhouette (Rousseeuw
1987) is within 0.05 of the best. The best number alone only separates fluorescence from stained samples.
"""

from __future__ import annotations

import string
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

MAX_CLUSTERS = 8
MIN_SILHOUETTE = 0.35
"""Minimum mean silhouette. Below it, all images form one cluster."""

_SILHOUETTE_TOLERANCE = 0.05
_MAX_ITERATIONS = 100
_SAMPLE = 1000
_MIN_COLOURFULNESS = 0.08
_MIN_LIGHT_BRIGHTNESS = 0.5
# A factor of 16 in diameter is as large a distance as that between black and white.
_DIAMETER_WEIGHT = 1 / 4

ImageFeatures = tuple[float, float, float, float, float, float]


def image_features(image: NDArray[np.float32], grey: NDArray[np.float32], diameter: float | None) -> ImageFeatures:
    """Compute the features by which images are clustered.

    Parameters
    ----------
    image : NDArray[np.float32] (H, W) or (H, W, 3)
        Normalised image, 0 to 1.
    grey : NDArray[np.float32] (H, W)
        Mean of its channels.
    diameter
        Median diameter of its nuclei in pixels. None if there are none.

    Returns
    -------
    tuple of float
        Median and standard deviation of the brightness, colourfulness, mean of red minus green, mean of blue minus
        green, and the scaled logarithm of the median diameter (NaN without nuclei).
    """
    colourfulness = red = blue = 0.0
    if image.ndim == 3:
        colourfulness = float((image.max(axis=-1) - image.min(axis=-1)).mean())
        red, blue = (float((image[..., channel] - image[..., 1]).mean()) for channel in (0, 2))
    size = float("nan") if diameter is None else float(np.log2(diameter)) * _DIAMETER_WEIGHT
    return float(np.median(grey)), float(grey.std()), colourfulness, red, blue, size


def cluster_images(features: Sequence[ImageFeatures]) -> list[str]:
    """Cluster images by their features, and name the clusters. The result is deterministic.

    Parameters
    ----------
    features
        The features of each image.

    Returns
    -------
    list of str
        The name of each image's cluster: a letter (A for the largest cluster) and a description of the appearance. If
        several clusters have the same description, the nuclear diameter is added.

    Examples
    --------
    >>> dark, stained = (0.1, 0.2, 0.0, 0.0, 0.0, 1.0), (0.8, 0.1, 0.3, 0.2, 0.2, 1.2)
    >>> cluster_images([dark, dark, stained, dark])
    ['A: grey on dark', 'A: grey on dark', 'B: coloured on light', 'A: grey on dark']
    """
    points = np.array(features, np.float64)
    sizes = points[:, 5]
    known = sizes[~np.isnan(sizes)]
    points[:, 5] = np.where(np.isnan(sizes), np.median(known) if known.size else 0, sizes)
    cluster = _clusters(points)
    by_frequency = np.argsort(-np.bincount(cluster), kind="stable").tolist()
    centres = [points[cluster == each].mean(axis=0) for each in by_frequency]
    texts = [_describe(centre) for centre in centres]
    names = {
        each: f"{letter}: {text}" + (f", {_diameter(centre):.0f} pixels wide" if texts.count(text) > 1 else "")
        for letter, each, centre, text in zip(string.ascii_uppercase, by_frequency, centres, texts, strict=False)
    }
    return [names[each] for each in cluster.tolist()]


def _describe(centre: NDArray[np.float64]) -> str:
    colour = "coloured" if centre[2] >= _MIN_COLOURFULNESS else "grey"
    return f"{colour} on {'light' if centre[0] >= _MIN_LIGHT_BRIGHTNESS else 'dark'}"


def _diameter(centre: NDArray[np.float64]) -> float:
    return float(2 ** (centre[5] / _DIAMETER_WEIGHT))


def _clusters(points: NDArray[np.float64]) -> NDArray[np.intp]:
    most = min(MAX_CLUSTERS, len(np.unique(points, axis=0)))
    candidates = [_k_means(points, count) for count in range(2, most + 1)]
    silhouettes = [_silhouette(points, clusters) for clusters in candidates]
    enough = max([MIN_SILHOUETTE, *(silhouette - _SILHOUETTE_TOLERANCE for silhouette in silhouettes)])
    good = [clusters for clusters, silhouette in zip(candidates, silhouettes, strict=True) if silhouette >= enough]
    return good[-1] if good else np.zeros(len(points), np.intp)


def _k_means(points: NDArray[np.float64], count: int) -> NDArray[np.intp]:
    centres = points[_farthest_apart(points, count)]
    clusters = np.zeros(len(points), np.intp)
    for _ in range(_MAX_ITERATIONS):
        nearest = np.argmin(_distances(points, centres), axis=1)
        if np.array_equal(nearest, clusters):
            break
        clusters = nearest
        centres = np.array(
            [
                points[clusters == each].mean(axis=0) if (clusters == each).any() else centres[each]
                for each in range(count)
            ]
        )
    return np.unique(clusters, return_inverse=True)[1]


def _farthest_apart(points: NDArray[np.float64], count: int) -> list[int]:
    """Choose the point nearest the mean, then repeatedly the point farthest from all chosen points."""
    chosen = [int(np.argmin(_distances(points, points.mean(axis=0, keepdims=True))))]
    while len(chosen) < count:
        chosen.append(int(np.argmax(_distances(points, points[chosen]).min(axis=1))))
    return chosen


def _silhouette(points: NDArray[np.float64], clusters: NDArray[np.intp]) -> float:
    """Return the mean silhouette of at most 1,000 evenly spaced points: the cost is quadratic."""
    some = np.unique(np.linspace(0, len(points) - 1, min(len(points), _SAMPLE)).astype(np.intp))
    points, (_, clusters, sizes) = points[some], np.unique(clusters[some], return_inverse=True, return_counts=True)
    if len(sizes) < 2:
        return -1.0
    distances = _distances(points, points)
    sums = np.stack([distances[:, clusters == each].sum(axis=1) for each in range(len(sizes))], axis=1)
    own = np.arange(len(points)), clusters
    inside = sums[own] / np.maximum(sizes[clusters] - 1, 1)
    means = sums / sizes
    means[own] = np.inf
    outside = means.min(axis=1)
    # The silhouette of a point alone in its cluster is 0 by definition. Equal points are always in one cluster.
    values = np.where(sizes[clusters] > 1, (outside - inside) / np.maximum(np.maximum(inside, outside), 1e-12), 0)
    return float(values.mean())


def _distances(a: NDArray[np.float64], b: NDArray[np.float64]) -> NDArray[np.float64]:
    result: NDArray[np.float64] = np.linalg.norm(a[:, None] - b[None], axis=-1)
    return result

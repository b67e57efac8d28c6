"""Kinds of image, found where nobody has named them: images of like look, clustered.

The look of an image is a handful of numbers, each about 0 to 1, that tell staining, modality and magnification apart.
They are clustered by k-means (Lloyd 1982), started from the images farthest from one another (Gonzalez 1985) so that
nothing is drawn by chance. The number of kinds is the largest whose mean silhouette (Rousseeuw 1987) is as good as that
of any other but for a twentieth: the best alone tells fluorescence from stained samples, and no more.
"""

from __future__ import annotations

import string
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

MOST_KINDS = 8
LEAST_SILHOUETTE = 0.35
"""Below it the images fall into no kinds worth the name, and count as one."""

_AS_GOOD = 0.05
_ROUNDS = 100
_SAMPLE = 1000
_COLOURED = 0.08
_LIGHT = 0.5
# Sixteen times the diameter is as far apart as black and white.
_SIZE = 1 / 4

Look = tuple[float, float, float, float, float, float]


def look(shown: NDArray[np.float32], median_diameter: float | None) -> Look:
    """Describe an image by numbers that images of one kind share.

    Parameters
    ----------
    shown : NDArray[np.float32] (H, W) or (H, W, 3)
        Normalised, 0 to 1.
    median_diameter
        Of its nuclei, in pixels; None without any.

    Returns
    -------
    tuple of float
        Median and standard deviation of the brightness, colourfulness, red over green, blue over green, and the
        logarithm of the median diameter (not a number without one).
    """
    grey = shown if shown.ndim == 2 else shown.mean(axis=-1)
    colourful = red = blue = 0.0
    if shown.ndim == 3:
        colourful = float((shown.max(axis=-1) - shown.min(axis=-1)).mean())
        red, blue = (float((shown[..., channel] - shown[..., 1]).mean()) for channel in (0, 2))
    size = float("nan") if median_diameter is None else float(np.log2(median_diameter)) * _SIZE
    return float(np.median(grey)), float(grey.std()), colourful, red, blue, size


def find_kinds(looks: Sequence[Look]) -> list[str]:
    """Cluster images by their looks, and name the clusters.

    Parameters
    ----------
    looks
        One of each image. The result does not depend on chance.

    Returns
    -------
    list of str
        The kind of each image: a letter, A for the most frequent, and in words what its images look like; where several
        look alike, how wide their nuclei are too.

    Examples
    --------
    >>> dark, stained = (0.1, 0.2, 0.0, 0.0, 0.0, 1.0), (0.8, 0.1, 0.3, 0.2, 0.2, 1.2)
    >>> find_kinds([dark, dark, stained, dark])
    ['A: grey on dark', 'A: grey on dark', 'B: coloured on light', 'A: grey on dark']
    """
    points = np.array(looks, np.float64)
    sizes = points[:, 5]
    known = sizes[~np.isnan(sizes)]
    points[:, 5] = np.where(np.isnan(sizes), np.median(known) if known.size else 0, sizes)
    cluster = _clusters(points)
    by_frequency = np.argsort(-np.bincount(cluster), kind="stable").tolist()
    centres = [points[cluster == each].mean(axis=0) for each in by_frequency]
    words = [_in_words(centre) for centre in centres]
    names = {
        each: f"{letter}: {said}" + (f", {_diameter(centre):.0f} pixels wide" if words.count(said) > 1 else "")
        for letter, each, centre, said in zip(string.ascii_uppercase, by_frequency, centres, words, strict=False)
    }
    return [names[each] for each in cluster.tolist()]


def _in_words(centre: NDArray[np.float64]) -> str:
    colour = "coloured" if centre[2] >= _COLOURED else "grey"
    return f"{colour} on {'light' if centre[0] >= _LIGHT else 'dark'}"


def _diameter(centre: NDArray[np.float64]) -> float:
    return float(2 ** (centre[5] / _SIZE))


def _clusters(points: NDArray[np.float64]) -> NDArray[np.intp]:
    most = min(MOST_KINDS, len(np.unique(points, axis=0)))
    candidates = [_k_means(points, count) for count in range(2, most + 1)]
    silhouettes = [_silhouette(points, clusters) for clusters in candidates]
    enough = max([LEAST_SILHOUETTE, *(silhouette - _AS_GOOD for silhouette in silhouettes)])
    good = [clusters for clusters, silhouette in zip(candidates, silhouettes, strict=True) if silhouette >= enough]
    return good[-1] if good else np.zeros(len(points), np.intp)


def _k_means(points: NDArray[np.float64], count: int) -> NDArray[np.intp]:
    centres = points[_farthest_apart(points, count)]
    clusters = np.zeros(len(points), np.intp)
    for _ in range(_ROUNDS):
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
    """Choose the point nearest the mean, then each time the one farthest from all chosen."""
    chosen = [int(np.argmin(_distances(points, points.mean(axis=0, keepdims=True))))]
    while len(chosen) < count:
        chosen.append(int(np.argmax(_distances(points, points[chosen]).min(axis=1))))
    return chosen


def _silhouette(points: NDArray[np.float64], clusters: NDArray[np.intp]) -> float:
    """Mean silhouette, of at most 1,000 points spread evenly over them: its cost goes with the square."""
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
    # A point alone in its cluster has none by definition; equal points in different clusters cannot be.
    values = np.where(sizes[clusters] > 1, (outside - inside) / np.maximum(np.maximum(inside, outside), 1e-12), 0)
    return float(values.mean())


def _distances(a: NDArray[np.float64], b: NDArray[np.float64]) -> NDArray[np.float64]:
    result: NDArray[np.float64] = np.linalg.norm(a[:, None] - b[None], axis=-1)
    return result

"""Segment an image at several scales, and measure what is found at each.

Nuclei that are too large for the model fall into pieces, and nuclei that are too small vanish or merge. At a suitable
scale, they are found with high probability, much the same nuclei are found at the neighbouring scales, and neighbouring
pixels differ.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from nucleus_unet.inference.engine import Predictor
from nucleus_unet.inference.grouping import group
from nucleus_unet.inference.image_detail import detail_at
from nucleus_unet.inference.label_scaling import scale_labels
from nucleus_unet.inference.predict import Track, predict_maps
from nucleus_unet.masks import overlap_table
from nucleus_unet.model.group_config import GroupConfig
from nucleus_unet.preprocessing.resample import resample

SCALES = (0.125, 0.18, 0.25, 0.35, 0.5, 1.0)
"""The scales at which an image is segmented, ascending. Together the smaller ones cost half as much as the last."""
# Two nuclei of neighbouring scales are the same if their intersection over union is at least this.
_SAME = 0.7


@dataclass(frozen=True)
class RegionNuclei:
    """The nuclei that were found in one region at one scale.

    Attributes
    ----------
    maps : NDArray[np.uint8] (h, w, 4)
        Output of the network.
    labels : NDArray[np.uint32] (h, w)
        Nuclei, at that scale.
    probabilities : NDArray[np.float32] (N,)
        Mean foreground probability of each nucleus.
    """

    maps: NDArray[np.uint8]
    labels: NDArray[np.uint32]
    probabilities: NDArray[np.float32]

    @cached_property
    def areas(self) -> NDArray[np.intp]:
        """Number of pixels of each nucleus, (N,)."""
        return np.bincount(self.labels.ravel())[1:]


def segment_at(
    scale: float,
    pixels: NDArray[np.float32],
    *,
    engine: Predictor,
    config: GroupConfig,
    tile: int,
    batch_size: int = 1,
    track: Track = iter,
) -> RegionNuclei:
    """Segment normalised pixels, (h, w) or (h, w, 3), at a scale."""
    scaled = pixels if scale == 1 else resample(pixels, scale)

    def read(rows: slice, columns: slice) -> NDArray[np.float32]:
        return scaled[rows, columns]

    shape = scaled.shape[0], scaled.shape[1]
    maps = predict_maps(engine, read, shape, tile=tile, batch_size=batch_size, track=track)
    grouped = group(maps, config)
    return RegionNuclei(maps, grouped.labels, grouped.probabilities)


def diameters_at(found: Sequence[Sequence[RegionNuclei]], index: int) -> NDArray[np.float64]:
    """Return the equivalent diameters of the nuclei of all regions at one of `SCALES`, in pixels of that scale."""
    return _diameters(np.concatenate([region[index].areas for region in found]))


def _diameters(areas: NDArray[Any]) -> NDArray[np.float64]:
    diameters: NDArray[np.float64] = 2 * np.sqrt(areas / np.pi)
    return diameters


def measure_scales(
    found: Sequence[Sequence[RegionNuclei]], energies: Sequence[NDArray[np.float64]], threshold: float
) -> NDArray[np.float64]:
    """Return the measurements of each scale, from the nuclei and the pixels of all regions.

    Parameters
    ----------
    found
        For each region, from `segment_at` at each of `SCALES`.
    energies
        For each region, from `nucleus_unet.inference.image_detail.octave_energies`.
    threshold
        Least foreground probability of a nucleus's pixel.

    Returns
    -------
    NDArray[np.float64] (6, 21)
        For the coarser and for the finer neighbouring scale: the share of the area of the nuclei that are the same in
        both, here and there; the differences of mean probability, number (logarithm) and covered area; whether the
        scale exists. Then of the scale itself: mean probability, also weighted by area; covered area; logarithms of the
        median diameter, the mean diameter weighted by area, and the number. Covered areas are shares of the largest.
        Last, the three columns of `nucleus_unet.inference.image_detail.detail_at`.
    """
    each_scale = [measure_scale(found, index) for index in range(len(SCALES))]
    largest = max(each.covered for each in each_scale) or 1.0
    shared = [_shared_areas(found, index, threshold) for index in range(len(SCALES) - 1)]
    rows = []
    for index, own in enumerate(each_scale):
        row: list[float] = []
        for neighbour in (index - 1, index + 1):
            if not 0 <= neighbour < len(SCALES):
                row += [0.0] * 6
                continue
            other = each_scale[neighbour]
            shares = shared[min(index, neighbour)]
            here, there = shares if neighbour > index else reversed(shares)
            row += [here, there, other.probability - own.probability]
            row += [np.log((other.number + 1) / (own.number + 1)), (other.covered - own.covered) / largest, 1.0]
        row += [own.probability, own.weighted_probability, own.covered / largest]
        row += [np.log(own.median_diameter + 1e-3), np.log(own.weighted_diameter + 5), np.log(own.number + 1)]
        rows.append(row)
    return np.hstack([rows, detail_at(SCALES, np.mean(energies, axis=0))])


class ScaleSummary(NamedTuple):
    """What is found at one scale, whatever is found at the others.

    Attributes
    ----------
    probability, weighted_probability
        Mean foreground probability of the nuclei, and the same weighted by area.
    covered
        Share of the pixels that nuclei cover.
    median_diameter, weighted_diameter
        Median diameter, and mean diameter weighted by area, in pixels of the scale.
    number
        Number of nuclei.
    """

    probability: float
    weighted_probability: float
    covered: float
    median_diameter: float
    weighted_diameter: float
    number: int


def measure_scale(found: Sequence[Sequence[RegionNuclei]], index: int) -> ScaleSummary:
    """Return what is found in all regions at one of `SCALES`."""
    regions = [region[index] for region in found]
    areas = np.concatenate([each.areas for each in regions]).astype(np.float64)
    if not len(areas):
        return ScaleSummary(0.0, 0.0, 0.0, 5.0, 0.0, 0)
    probabilities = np.concatenate([each.probabilities for each in regions]).astype(np.float64)
    diameters = _diameters(areas)
    pixels = sum(each.labels.size for each in regions)
    return ScaleSummary(
        float(probabilities.mean()),
        float((probabilities * areas).sum() / areas.sum()),
        float(areas.sum() / pixels),
        float(np.median(diameters)),
        float((diameters * areas).sum() / areas.sum()),
        len(areas),
    )


def _shared_areas(found: Sequence[Sequence[RegionNuclei]], index: int, threshold: float) -> tuple[float, float]:
    """Return the share of the area of nuclei that a scale and the next finer one both have, at either scale."""
    same, total = np.zeros(2), np.zeros(2)
    for region in found:
        coarse, fine = region[index], region[index + 1]
        ratio = SCALES[index] / SCALES[index + 1]
        shape = (fine.labels.shape[0], fine.labels.shape[1])
        enlarged = scale_labels(coarse.labels, coarse.maps[..., 0], shape, ratio, threshold=threshold)
        table = overlap_table(enlarged, fine.labels)
        matched = table.iou >= _SAME
        for side, (areas, indices) in enumerate(((table.areas_a, table.index_a), (table.areas_b, table.index_b))):
            same[side] += areas[np.unique(indices[matched])].sum()
            total[side] += areas.sum()
    shares = same / np.maximum(total, 1)
    return float(shares[0]), float(shares[1])

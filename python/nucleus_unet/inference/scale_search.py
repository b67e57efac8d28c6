"""Find the scale at which the nuclei of an image are of a size that the model knows.

The image is segmented at several scales. Nuclei that are too large for the model fall into pieces, and nuclei that are
too small vanish or merge. At a suitable scale, they are found with high probability, much the same nuclei are found at
the neighbouring scales, and neighbouring pixels differ. A learned score
(`nucleus_unet.model.scale_score.ScaleScore`) weighs these measurements.

The result is a function of the image alone: tiles, regions of interest and the tissue mask do not change it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property, partial
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from nucleus_unet.inference.engine import Predictor
from nucleus_unet.inference.grouping import group
from nucleus_unet.inference.hidden_nuclei import HiddenNuclei, few_are_bright, find_hidden
from nucleus_unet.inference.image_detail import detail_at, octave_energies
from nucleus_unet.inference.label_scaling import scale_labels
from nucleus_unet.inference.predict import predict_maps
from nucleus_unet.inference.search_regions import Read, choose_regions
from nucleus_unet.masks import overlap_table
from nucleus_unet.model.group_config import GroupConfig
from nucleus_unet.model.scale_score import ScaleScore
from nucleus_unet.preprocessing.resample import resample

SCALES = (0.125, 0.18, 0.25, 0.35, 0.5, 1.0)
"""The scales at which an image is segmented, ascending. Together the smaller ones cost half as much as the last."""
# Another scale must be better than 1 by this much of mSA, divided by the square root of its number of nuclei. The score
# of few nuclei is uncertain.
_PREFERENCE_FOR_ONE = 0.05
ENLARGED = 2.0
"""Scale of an image whose nuclei are too small for the model."""
# A few specks do not enlarge an image: so many nuclei are needed, and their mean diameter, weighted by area, is at most
# this many times the largest median.
_FEWEST_SMALL, _WEIGHTED_RATIO = 5, 1.2
# Median diameters, in pixels, of nuclei that are found only in the enlarged image. Single bright pixels are smaller.
# Larger nuclei are found at scale 1, too. Tiny nuclei cover at least this share of what is found otherwise. Fragments
# of large nuclei and their texture are larger, or cover less.
_TINY_DIAMETERS, _LEAST_COVER = (3.3, 6.5), 0.1
# They are looked for in whole images up to this side, and in regions of this side of larger ones.
_TINY_SIDE = 512
# Two nuclei of neighbouring scales are the same if their intersection over union is at least this.
_SAME = 0.7
# Larger images, in pixels, are segmented in some square regions of this side only.
_WHOLE_PIXELS, _REGION_SIDE = 2304**2, 1024
# Noise that is enlarged by clipping may be taken for nuclei. Their expected mSA is lower than before by more than this.
_TOLERANCE = 0.1
# Columns of the measurements: the shares of the area that the coarser and the finer scale have, too.
_SHARES = [0, 6]


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


@dataclass(frozen=True)
class ScaleSearch:
    """The result of the search.

    Attributes
    ----------
    scale
        Magnification from the image to the model's scale; 1 if no nuclei were found.
    diameter
        Median diameter of the nuclei in pixels of the image. None if none were found or looked for.
    number
        Number of nuclei that were found at the scale that was chosen, before the image is enlarged.
    expected_msa
        Estimate of the mSA of the nuclei, 0 to 1; of an image that is enlarged, of those at scale 1. None if none were
        found there or looked for.
    maps
        Output of the network for the whole image by scale. Empty if only regions were segmented.
    hidden
        Nuclei that a few bright pixels hide. None if there are none, or if they were not looked for.
    """

    scale: float
    diameter: float | None = None
    number: int = 0
    expected_msa: float | None = None
    maps: Mapping[float, NDArray[np.uint8]] = field(default_factory=dict)
    hidden: HiddenNuclei | None = None


def find_scale(
    engine: Predictor,
    config: GroupConfig,
    score: ScaleScore,
    read: Read,
    shape: tuple[int, int],
    *,
    tile: int,
    batch_size: int = 1,
    look_for_hidden: bool = False,
) -> ScaleSearch:
    """Find the scale of an image.

    Parameters
    ----------
    engine
        Runs the network.
    config
        The model's settings of the grouping.
    score
        The model's score of scales.
    read
        Returns the normalised pixels of row and column slices, (h, w) or (h, w, 3).
    shape
        Height and width of the image.
    tile, batch_size
        See `nucleus_unet.inference.predict.predict_maps`.
    look_for_hidden
        Whether to look for nuclei that a few bright pixels hide. It takes a second search where few are bright.
    """
    regions = choose_regions(read, shape, whole=_WHOLE_PIXELS, side=_REGION_SIDE)
    look = partial(_look, engine, config, score, tile=tile, batch_size=batch_size)
    seen = look(np.ascontiguousarray(read(*region)) for region in regions)
    hidden = None
    if look_for_hidden and seen.few_are_bright:

        def count(clipped: Iterable[NDArray[np.float32]]) -> int:
            again = look(clipped)
            return again.number if (again.expected_msa or 0) >= (seen.expected_msa or 0) - _TOLERANCE else 0

        hidden = find_hidden(count, [read(*region) for region in regions], seen.number)
    if seen.number < _FEWEST_SMALL:
        enlarge = partial(segment_at, ENLARGED, engine, config, tile=tile, batch_size=batch_size)
        tiny = _find_tiny(enlarge, score, read, shape)
        if tiny is not None and tiny.covered >= _LEAST_COVER * _measure_scale(seen.found, seen.best).covered:
            return replace(tiny.search, expected_msa=seen.expected_msa, hidden=hidden)
    scale = SCALES[seen.best]
    diameter = float(np.median(seen.diameters)) / scale if seen.number else None
    if scale == 1 and are_small(seen.diameters, score.small_diameter):
        scale = ENLARGED
    is_whole = shape[0] * shape[1] <= _WHOLE_PIXELS
    maps = {each: result.maps for each, result in zip(SCALES, seen.found[0], strict=True)} if is_whole else {}
    return ScaleSearch(scale, diameter, seen.number, seen.expected_msa, maps, hidden)


class _Look(NamedTuple):
    """What regions of an image show at all scales.

    Attributes
    ----------
    found
        The nuclei of each region at each scale.
    best
        Index of the best scale.
    diameters : NDArray[np.float64] (N,)
        Of the nuclei at that scale, in pixels of it.
    expected_msa
        See `ScaleSearch`.
    few_are_bright
        See `nucleus_unet.inference.hidden_nuclei.few_are_bright`; of all regions.
    """

    found: list[list[RegionNuclei]]
    best: int
    diameters: NDArray[np.float64]
    expected_msa: float | None
    few_are_bright: bool

    @property
    def number(self) -> int:
        """Number of nuclei at the best scale."""
        return len(self.diameters)


def _look(
    engine: Predictor,
    config: GroupConfig,
    score: ScaleScore,
    regions: Iterable[NDArray[np.float32]],
    *,
    tile: int,
    batch_size: int,
) -> _Look:
    """Segment regions at all scales, and choose one."""
    found, energies, is_dark = [], [], []
    for pixels in regions:
        found.append(segment_at_scales(engine, config, pixels, tile=tile, batch_size=batch_size))
        energies.append(octave_energies(pixels))
        is_dark.append(few_are_bright(pixels))
    diameters = [diameters_at(found, number) for number in range(len(SCALES))]
    counts = [len(each) for each in diameters]
    measurements = measure_scales(found, energies, config.foreground_threshold)
    best = choose_index(score, measurements, counts) if any(counts) else SCALES.index(1.0)
    # Rounded, as its last bits may depend on the processor.
    expected = round(score.expected_msa(measurements[best]), 2) if counts[best] else None
    return _Look(found, best, diameters[best], expected, all(is_dark))


class _Tiny(NamedTuple):
    """Nuclei that are found only if the image is enlarged, and the share of the pixels that they cover."""

    search: ScaleSearch
    covered: float


def _find_tiny(
    enlarge: Callable[[NDArray[np.float32]], RegionNuclei], score: ScaleScore, read: Read, shape: tuple[int, int]
) -> _Tiny | None:
    """Look for nuclei that are too small to be found at scale 1. None if these are few, or not small."""
    regions = choose_regions(read, shape, whole=_TINY_SIDE**2, side=_TINY_SIDE)
    found = [[enlarge(np.ascontiguousarray(read(*each)))] for each in regions]
    diameters = diameters_at(found, 0) / ENLARGED
    least, most = _TINY_DIAMETERS
    if not are_small(diameters, min(most, score.small_diameter)) or np.median(diameters) < least:
        return None
    maps = {ENLARGED: found[0][0].maps} if shape[0] * shape[1] <= _TINY_SIDE**2 else {}
    search = ScaleSearch(ENLARGED, float(np.median(diameters)), len(diameters), None, maps)
    return _Tiny(search, _measure_scale(found, 0).covered)


def choose_index(score: ScaleScore, measurements: NDArray[np.float64], counts: Sequence[int] | NDArray[np.intp]) -> int:
    """Return the index of the best of `SCALES`, or that of scale 1 if no nuclei are to be believed.

    Parameters
    ----------
    score
        The model's score of scales.
    measurements : NDArray[np.float64] (6, 21)
        From `measure_scales`.
    counts
        Number of nuclei at each scale.
    """
    one = SCALES.index(1.0)
    scores = score.predict(measurements)
    # What no neighbouring scale has is no nucleus, but noise or uneven light.
    is_alone = measurements[:, _SHARES].max(axis=1) == 0
    is_alone[one] = False
    numbers = np.array(counts)
    scores[is_alone | (numbers == 0)] = -np.inf
    smaller = int(np.argmax(scores[:one]))
    if scores[smaller] == -np.inf or scores[one] + _PREFERENCE_FOR_ONE / np.sqrt(numbers[smaller]) >= scores[smaller]:
        return one
    return smaller


def segment_at_scales(
    engine: Predictor, config: GroupConfig, pixels: NDArray[np.float32], *, tile: int, batch_size: int = 1
) -> list[RegionNuclei]:
    """Segment normalised pixels, (h, w) or (h, w, 3), at each of `SCALES`."""
    return [segment_at(scale, engine, config, pixels, tile=tile, batch_size=batch_size) for scale in SCALES]


def segment_at(
    scale: float,
    engine: Predictor,
    config: GroupConfig,
    pixels: NDArray[np.float32],
    *,
    tile: int,
    batch_size: int = 1,
) -> RegionNuclei:
    """Segment normalised pixels, (h, w) or (h, w, 3), at a scale."""
    scaled = pixels if scale == 1 else resample(pixels, scale)

    def read(rows: slice, columns: slice) -> NDArray[np.float32]:
        return scaled[rows, columns]

    maps = predict_maps(engine, read, (scaled.shape[0], scaled.shape[1]), tile=tile, batch_size=batch_size)
    grouped = group(maps, config)
    return RegionNuclei(maps, grouped.labels, grouped.probabilities)


def diameters_at(found: Sequence[Sequence[RegionNuclei]], number: int) -> NDArray[np.float64]:
    """Return the equivalent diameters of the nuclei of all regions at a scale, in pixels of that scale."""
    areas = np.concatenate([region[number].areas for region in found])
    diameters: NDArray[np.float64] = 2 * np.sqrt(areas / np.pi)
    return diameters


def measure_scales(
    found: Sequence[Sequence[RegionNuclei]], energies: Sequence[NDArray[np.float64]], threshold: float
) -> NDArray[np.float64]:
    """Return the measurements of each scale, from the nuclei and the pixels of all regions.

    Parameters
    ----------
    found
        For each region, from `segment_at_scales`.
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
    each_scale = [_measure_scale(found, number) for number in range(len(SCALES))]
    largest = max(each.covered for each in each_scale) or 1.0
    shared = [_shared_areas(found, number, threshold) for number in range(len(SCALES) - 1)]
    rows = []
    for number, own in enumerate(each_scale):
        row: list[float] = []
        for neighbour in (number - 1, number + 1):
            if not 0 <= neighbour < len(SCALES):
                row += [0.0] * 6
                continue
            other = each_scale[neighbour]
            shares = shared[min(number, neighbour)]
            here, there = shares if neighbour > number else reversed(shares)
            row += [here, there, other.probability - own.probability]
            row += [np.log((other.number + 1) / (own.number + 1)), (other.covered - own.covered) / largest, 1.0]
        row += [own.probability, own.weighted_probability, own.covered / largest]
        row += [np.log(own.median_diameter + 1e-3), np.log(own.weighted_diameter + 5), np.log(own.number + 1)]
        rows.append(row)
    return np.hstack([rows, detail_at(SCALES, np.mean(energies, axis=0))])


class _Summary(NamedTuple):
    probability: float
    weighted_probability: float
    covered: float
    median_diameter: float
    weighted_diameter: float
    number: int


def _measure_scale(found: Sequence[Sequence[RegionNuclei]], number: int) -> _Summary:
    regions = [region[number] for region in found]
    areas = np.concatenate([each.areas for each in regions]).astype(np.float64)
    if not len(areas):
        return _Summary(0.0, 0.0, 0.0, 5.0, 0.0, 0)
    probabilities = np.concatenate([each.probabilities for each in regions]).astype(np.float64)
    diameters = 2 * np.sqrt(areas / np.pi)
    pixels = sum(each.labels.size for each in regions)
    return _Summary(
        float(probabilities.mean()),
        float((probabilities * areas).sum() / areas.sum()),
        float(areas.sum() / pixels),
        float(np.median(diameters)),
        float((diameters * areas).sum() / areas.sum()),
        len(areas),
    )


def _shared_areas(found: Sequence[Sequence[RegionNuclei]], number: int, threshold: float) -> tuple[float, float]:
    """Return the share of the area of nuclei that a scale and the next finer one both have, at either scale."""
    same, total = np.zeros(2), np.zeros(2)
    for region in found:
        coarse, fine = region[number], region[number + 1]
        ratio = SCALES[number] / SCALES[number + 1]
        shape = (fine.labels.shape[0], fine.labels.shape[1])
        enlarged = scale_labels(coarse.labels, coarse.maps[..., 0], shape, ratio, threshold=threshold)
        table = overlap_table(enlarged, fine.labels)
        matched = table.iou >= _SAME
        for side, (areas, index) in enumerate(((table.areas_a, table.index_a), (table.areas_b, table.index_b))):
            same[side] += areas[np.unique(index[matched])].sum()
            total[side] += areas.sum()
    shares = same / np.maximum(total, 1)
    return float(shares[0]), float(shares[1])


def are_small(diameters: NDArray[np.float64], largest_median: float) -> bool:
    """Return whether nuclei, with these diameters in pixels at scale 1, are too small for the model."""
    if len(diameters) < _FEWEST_SMALL:
        return False
    weighted = float((diameters**3).sum() / (diameters**2).sum())
    return float(np.median(diameters)) < largest_median and weighted < _WEIGHTED_RATIO * largest_median

"""Find the scale at which the nuclei of an image are of a size that the model knows.

The image is segmented at several scales. A learned score (`nucleus_unet.model.scale_score.ScaleScore`) weighs what is
measured at each (`nucleus_unet.inference.scale_measurements`).

The result is a function of the image alone: tiles, regions of interest and the tissue mask do not change it.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from nucleus_unet.inference.engine import Predictor
from nucleus_unet.inference.hidden_nuclei import HiddenNuclei, few_are_bright, find_hidden
from nucleus_unet.inference.image_detail import octave_energies
from nucleus_unet.inference.scale_measurements import (
    SCALES,
    RegionNuclei,
    diameters_at,
    measure_scale,
    measure_scales,
    segment_at,
)
from nucleus_unet.inference.search_regions import Read, choose_regions
from nucleus_unet.model.group_config import GroupConfig
from nucleus_unet.model.scale_score import ScaleScore
from nucleus_unet.preprocessing.resample import resample
from nucleus_unet.progress import Progress, tracker

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
# Larger images, in pixels, are segmented in some square regions of this side only.
_WHOLE_PIXELS, _REGION_SIDE = 2304**2, 1024
# Noise that is enlarged by clipping may be taken for nuclei. Their expected mSA is lower than before by more than this.
_TOLERANCE = 0.1
# Columns of the measurements: the shares of the area that the coarser and the finer scale have, too; the covered area.
_SHARES, _COVERED = [0, 6], 14
# What scale 1 alone has are specks if they cover less than this share of the nuclei that smaller scales agree on.
_SPECKS = 0.01
# Factor between two scales up to which the estimate of the mSA at one serves for the other.
_NEAR = 1.5


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
        Number of nuclei that were found at the scale that was chosen. Of an image that is enlarged because its nuclei
        are small, at scale 1; because fewer than five were found otherwise, in the enlarged image.
    expected_msa
        Estimate of the mSA of the nuclei, 0 to 1. Of an image that is enlarged because its nuclei are small, of those
        at scale 1; because fewer than five were found otherwise, of those in the enlarged image. None if none were
        found or looked for.
    maps
        Output of the network for the whole image by scale. Empty if only regions were segmented.
    hidden
        Nuclei that a few bright pixels hide. None if there are none, or if they were not looked for.
    estimates
        Estimate of the mSA at each scale at which nuclei were found. Empty if the image is enlarged because
        fewer than five were found otherwise.
    is_from_file
        Whether the scale follows from the pixel size in the file.
    """

    scale: float
    diameter: float | None = None
    number: int = 0
    expected_msa: float | None = None
    maps: Mapping[float, NDArray[np.uint8]] = field(default_factory=dict)
    hidden: HiddenNuclei | None = None
    estimates: Mapping[float, float] = field(default_factory=dict)
    is_from_file: bool = False

    def estimate_near(self, scale: float) -> float | None:
        """Return the estimate of the mSA at the nearest scale; None if that differs by more than a factor of 1.5."""
        nearest = min(self.estimates, key=lambda each: abs(math.log(each / scale)), default=None)
        if nearest is None or max(nearest / scale, scale / nearest) > _NEAR:
            return None
        return self.estimates[nearest]


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
    progress: Progress,
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
    progress
        Reports after each region. The search is cancelled before its next tile.

    Returns
    -------
    ScaleSearch
        The scale, and what was found at it.

    Raises
    ------
    CancelledError
        If the call was cancelled.
    """
    regions = choose_regions(read, shape, whole=_WHOLE_PIXELS, side=_REGION_SIDE)
    segment = partial(
        segment_at, engine=engine, config=config, tile=tile, batch_size=batch_size, track=progress.checked
    )
    look = partial(_look, segment, score, threshold=config.foreground_threshold)
    track = tracker("finding the scale", show=progress)
    seen = look(np.ascontiguousarray(read(*region)) for region in track(regions))
    hidden = None
    if look_for_hidden and seen.few_are_bright:

        def count(clipped: Iterable[NDArray[np.float32]]) -> int:
            again = look(clipped)
            return again.number if (again.expected_msa or 0) >= (seen.expected_msa or 0) - _TOLERANCE else 0

        hidden = find_hidden(count, [read(*region) for region in regions], seen.number)
    if seen.number < _FEWEST_SMALL:
        least = _LEAST_COVER * measure_scale(seen.found, seen.best).covered
        tiny = _find_tiny(segment, score, read, shape, threshold=config.foreground_threshold, least_covered=least)
        if tiny is not None:
            return replace(tiny, hidden=hidden)
    scale = SCALES[seen.best]
    diameter = float(np.median(seen.diameters)) / scale if seen.number else None
    if scale == 1 and are_small(seen.diameters, score.small_diameter):
        scale = ENLARGED
    is_whole = shape[0] * shape[1] <= _WHOLE_PIXELS
    maps = {each: result.maps for each, result in zip(SCALES, seen.found[0], strict=True)} if is_whole else {}
    return ScaleSearch(scale, diameter, seen.number, seen.expected_msa, maps, hidden, seen.estimates)


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
    estimates
        See `ScaleSearch`.
    few_are_bright
        See `nucleus_unet.inference.hidden_nuclei.few_are_bright`; of all regions.
    """

    found: list[list[RegionNuclei]]
    best: int
    diameters: NDArray[np.float64]
    estimates: Mapping[float, float]
    few_are_bright: bool

    @property
    def expected_msa(self) -> float | None:
        """See `ScaleSearch`."""
        return self.estimates.get(SCALES[self.best])

    @property
    def number(self) -> int:
        """Number of nuclei at the best scale."""
        return len(self.diameters)


def _look(
    segment: Callable[..., RegionNuclei],
    score: ScaleScore,
    regions: Iterable[NDArray[np.float32]],
    *,
    threshold: float,
) -> _Look:
    """Segment regions at all scales, and choose one."""
    found, energies, few_bright = [], [], []
    for pixels in regions:
        found.append([segment(scale, pixels) for scale in SCALES])
        energies.append(octave_energies(pixels))
        few_bright.append(few_are_bright(pixels))
    diameters = [diameters_at(found, index) for index in range(len(SCALES))]
    counts = [len(each) for each in diameters]
    measurements = measure_scales(found, energies, threshold)
    best = choose_index(score, measurements, counts) if any(counts) else SCALES.index(1.0)
    estimates = {
        scale: _rounded(score.expected_msa(measured))
        for scale, measured, count in zip(SCALES, measurements, counts, strict=True)
        if count
    }
    return _Look(found, best, diameters[best], estimates, all(few_bright))


def _find_tiny(
    segment: Callable[..., RegionNuclei],
    score: ScaleScore,
    read: Read,
    shape: tuple[int, int],
    *,
    threshold: float,
    least_covered: float,
) -> ScaleSearch | None:
    """Look for nuclei that are too small to be found at scale 1. None if these are few, not small, or cover too little.

    Parameters
    ----------
    segment
        `segment_at`, for the engine and its grouping.
    score, read, shape
        As for `find_scale`.
    threshold
        As for `measure_scales`.
    least_covered
        Least share of the pixels that they cover.
    """
    regions = choose_regions(read, shape, whole=_TINY_SIDE**2, side=_TINY_SIDE)
    enlarged = [resample(np.ascontiguousarray(read(*each)), ENLARGED) for each in regions]
    finest = [segment(1.0, pixels) for pixels in enlarged]
    alone = [[each] for each in finest]
    diameters = diameters_at(alone, 0) / ENLARGED
    least, most = _TINY_DIAMETERS
    if not are_small(diameters, min(most, score.small_diameter)) or np.median(diameters) < least:
        return None
    if measure_scale(alone, 0).covered < least_covered:
        return None
    found = [
        [*(segment(scale, pixels) for scale in SCALES[:-1]), own] for pixels, own in zip(enlarged, finest, strict=True)
    ]
    measurements = measure_scales(found, [octave_energies(pixels) for pixels in enlarged], threshold)
    maps = {ENLARGED: finest[0].maps} if shape[0] * shape[1] <= _TINY_SIDE**2 else {}
    median, expected = float(np.median(diameters)), _rounded(score.expected_msa(measurements[SCALES.index(1.0)]))
    return ScaleSearch(ENLARGED, median, len(diameters), expected, maps)


def _rounded(expected_msa: float) -> float:
    """Return an estimate without its last bits, which may depend on the processor."""
    return round(expected_msa, 2)


def choose_index(score: ScaleScore, measurements: NDArray[np.float64], counts: Sequence[int] | NDArray[np.intp]) -> int:
    """Return the index of the best of `SCALES`, or that of scale 1 if no scale has nuclei that another one agrees with.

    A scale without agreement is ignored. Scale 1 is an exception, because small nuclei vanish at 0.5: it is ignored
    only if its nuclei cover less than a hundredth of the area on which other scales agree.

    Parameters
    ----------
    score
        The model's score of scales.
    measurements : NDArray[np.float64] (6, 21)
        From `measure_scales`.
    counts
        Number of nuclei at each scale.

    Returns
    -------
    int
        Index into `SCALES`.
    """
    one = SCALES.index(1.0)
    scores = score.predict(measurements)
    # What no neighbouring scale has is no nucleus, but noise or uneven light.
    is_alone = measurements[:, _SHARES].max(axis=1) == 0
    agreed = measurements[~is_alone, _COVERED].max(initial=0)
    is_alone[one] &= bool(measurements[one, _COVERED] < _SPECKS * agreed)
    numbers = np.array(counts)
    scores[is_alone | (numbers == 0)] = -np.inf
    smaller = int(np.argmax(scores[:one]))
    if scores[smaller] == -np.inf or scores[one] + _PREFERENCE_FOR_ONE / np.sqrt(numbers[smaller]) >= scores[smaller]:
        return one
    return smaller


def are_small(diameters: NDArray[np.float64], largest_median: float) -> bool:
    """Return whether nuclei, with these diameters in pixels at scale 1, are too small for the model."""
    if len(diameters) < _FEWEST_SMALL:
        return False
    weighted = float((diameters**3).sum() / (diameters**2).sum())
    return float(np.median(diameters)) < largest_median and weighted < _WEIGHTED_RATIO * largest_median

"""Learn the score by which the scale of an image is found, from labelled images that are shown at several sizes."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from nucleus_unet.data.dataset import Example
from nucleus_unet.errors import DataError
from nucleus_unet.evaluation.metrics import score_image
from nucleus_unet.inference.engine import Predictor
from nucleus_unet.inference.factory import open_engine
from nucleus_unet.inference.grouping import group
from nucleus_unet.inference.image_detail import octave_energies
from nucleus_unet.inference.label_scaling import scale_labels
from nucleus_unet.inference.scale_measurements import (
    SCALES,
    diameters_at,
    measure_scales,
    segment_at,
)
from nucleus_unet.inference.scale_search import ENLARGED, are_small, choose_index
from nucleus_unet.io.atomic import check_new_folder
from nucleus_unet.model.bundle import Bundle, BundleConfig
from nucleus_unet.model.group_config import GroupConfig
from nucleus_unet.model.quadratic import terms
from nucleus_unet.model.scale_score import TERMS, ScaleScore
from nucleus_unet.preprocessing.levels import normalise_image
from nucleus_unet.preprocessing.resample import resample
from nucleus_unet.training.calibration import Track, save_calibrated, untracked
from nucleus_unet.training.magnification import add_fine_texture
from nucleus_unet.training.noise import empty_field, normalised
from nucleus_unet.wording import counted

# Each image is shown at these sizes.
_SIZES = (0.5, 0.75, 1.0, 1.5, 2.0, 3.0, 4.0, 6.0, 8.0)
# Share of the enlarged images that are shown with texture.
_TEXTURED = 0.7
# Enlarged images are cropped to this side in pixels.
_MAX_SIDE = 1024
# Scales that are worse than the best one by more than this much of mSA are equally bad.
_WORST = 0.4
# Penalty of squared weights against squared errors, for the choice of a scale and for the accuracy of its nuclei.
_CHOICE_RIDGE, _ACCURACY_RIDGE = 100.0, 1000.0
# Weight of the scales that are not chosen when the accuracy is learned. Without them, the estimate for images unlike
# the training images was often far too high.
_OTHER_SCALES_WEIGHT = 0.3
# Number of empty fields, and their side in pixels. What is found in them is wrong, and the accuracy is learned from it.
_EMPTY_FIELDS, _EMPTY_SIDE = 45, 512
# Of every third one, the dark or the bright part is cut off at one of these shares of the pixels, as background
# subtraction and saturation do. What is left looks like nuclei.
_CUT_SHARES = (0.6, 0.98)
# Candidates for the median diameter, in pixels, below which an image is enlarged. With 0, none is.
_SMALL_DIAMETERS = (0.0, *(step / 2 for step in range(12, 41)))


_CARD = """\

## Search for the scale

`nucleus-unet calibrate --scale` learned to find the scale of an image from {images}. All other metrics on this
card were measured before.
"""


class Enlargement(NamedTuple):
    """What enlarging does to an image.

    Attributes
    ----------
    diameters : NDArray[np.float64] (N,)
        Diameters of its nuclei in pixels.
    gain
        Gain of mSA.
    at_own_size
        Whether the image is shown at its own size.
    """

    diameters: NDArray[np.float64]
    gain: float
    at_own_size: bool = True


class Observation(NamedTuple):
    """An image that is shown at one size, and what is found in it.

    Attributes
    ----------
    magnification
        At which it is shown.
    measurements : NDArray[np.float64] (6, 21)
        From `measure_scales`.
    msa : NDArray[np.float64] (6,)
        Mean average precision of the nuclei that the search sees at each scale. The choice of a scale is learned from
        it.
    returned_msa : NDArray[np.float64] (6,)
        The same of the nuclei that `predict` would return at each scale. The accuracy is learned from it.
    counts : NDArray[np.intp] (6,)
        Number of nuclei that the search sees at each scale.
    diameters : NDArray[np.float64] (N,)
        Of the nuclei at scale 1, in pixels.
    enlarged_msa
        The same if the image is enlarged. None if its nuclei are large, or if it is shown enlarged.
    is_empty
        Whether the image has no nuclei. Its mSA is then 1 where none are found, else 0.
    """

    magnification: float
    measurements: NDArray[np.float64]
    msa: NDArray[np.float64]
    returned_msa: NDArray[np.float64]
    counts: NDArray[np.intp]
    diameters: NDArray[np.float64]
    enlarged_msa: float | None
    is_empty: bool


class Shown(NamedTuple):
    """A labelled image at another size.

    Attributes
    ----------
    pixels : NDArray[np.float32] (H, W) or (H, W, 3)
        Normalised pixels.
    labels : NDArray[np.uint32] (H, W)
        Its nuclei.
    valid : NDArray[np.bool_] (H, W) or None
        The annotated pixels. None for all.
    """

    pixels: NDArray[np.float32]
    labels: NDArray[np.uint32]
    valid: NDArray[np.bool_] | None = None


def shown_part(shape: tuple[int, ...], magnification: float) -> tuple[slice, ...]:
    """Return the rows and columns of an image of ``shape`` that `show_at` shows."""
    side = int(_MAX_SIDE / magnification)
    starts = [max(0, (size - side) // 2) for size in shape]
    return tuple(slice(start, start + side) for start in starts)


def show_at(example: Example, magnification: float, rng: np.random.Generator | None = None) -> Shown:
    """Show the middle of an image at another size.

    Parameters
    ----------
    example
        Labelled image.
    magnification
        Below 1, the image becomes smaller.
    rng
        Draws the texture that an objective of that magnification shows. None: the image is only enlarged.
    """
    middle = shown_part(example.labels.shape, magnification)
    pixels, labels = normalise_image(example.image)[middle], example.labels[middle].astype(np.uint32)
    valid = None if example.valid is None else example.valid[middle]
    if magnification == 1:
        return Shown(np.ascontiguousarray(pixels), labels, valid)
    pixels = resample(np.ascontiguousarray(pixels), magnification)
    opaque = np.where(labels > 0, np.uint8(255), np.uint8(0))
    labels = scale_labels(labels, opaque, (pixels.shape[0], pixels.shape[1]), 1 / magnification, threshold=0.5)
    if valid is not None:
        nearest = (
            np.minimum((np.arange(new) + 0.5) / magnification, old - 1).astype(np.intp)
            for new, old in zip(labels.shape, valid.shape, strict=True)
        )
        valid = valid[np.ix_(*nearest)] | (labels > 0)
    if rng is None or magnification < 1:
        return Shown(pixels, labels, valid)
    planes = np.moveaxis(pixels if pixels.ndim == 3 else np.stack([pixels] * 3, axis=-1), -1, 0)
    is_dark = bool(np.median(planes) < 0.5)
    textured = add_fine_texture(np.ascontiguousarray(planes), labels, magnification, is_dark, rng)
    return Shown(np.moveaxis(textured, 0, -1) if pixels.ndim == 3 else textured[0], labels, valid)


def fit_scale_score(
    engine: Predictor, config: BundleConfig, examples: Sequence[Example], *, tile: int, track: Track = untracked
) -> ScaleScore:
    """Learn from labelled images how to choose the scale of an image, and how accurate its nuclei are.

    Parameters
    ----------
    engine, config
        Engine and configuration of the model.
    examples
        Labelled images of many kinds.
    tile
        Largest side of a tile in pixels.
    track
        Shows the progress.

    Raises
    ------
    DataError
        There are no labelled nuclei in the middle of the images.
    """
    if not any(example.labels[shown_part(example.labels.shape, _SIZES[0])].any() for example in examples):
        raise DataError("expected labelled nuclei to learn from, found none")
    observations = [
        observation
        for number, example in enumerate(track([*examples, *_empty_fields()], "images at several sizes"))
        for observation in observe(engine, config, example, np.random.default_rng(number), tile=tile)
    ]
    return fit(observations)


def _empty_fields() -> Iterator[Example]:
    """Yield images of noise, grey or coloured."""
    labels = np.zeros((_EMPTY_SIDE, _EMPTY_SIDE), np.uint32)
    for number in range(_EMPTY_FIELDS):
        rng = np.random.default_rng(number)
        field = empty_field(_EMPTY_SIDE, rng)
        if number % 3 == 2:
            field = np.maximum(field, np.quantile(field, rng.uniform(*_CUT_SHARES)))
            field = normalised(field if rng.random() < 0.5 else -field)
        pixels = np.rint(255 * np.moveaxis(field, 0, -1)).astype(np.uint8)
        is_grey = bool((pixels == pixels[..., :1]).all())
        name = f"empty field {number}"
        yield Example(name, "empty fields", pixels[..., 0] if is_grey else pixels, labels, name)


def observe(
    engine: Predictor, config: BundleConfig, example: Example, rng: np.random.Generator, *, tile: int
) -> Iterator[Observation]:
    """Segment an image that is shown at several sizes, at each scale.

    Parameters
    ----------
    engine, config, tile
        As for `fit_scale_score`.
    example
        The image.
    rng
        Draws whether an enlarged image has the texture of a high magnification, and the texture.
    """
    searched = config.group
    segment = partial(segment_at, engine=engine, config=searched, tile=tile)
    for magnification in _SIZES:
        shown = show_at(example, magnification, rng if rng.random() < _TEXTURED else None)
        found = [segment(scale, shown.pixels) for scale in SCALES]
        at_one = diameters_at([found], SCALES.index(1.0))
        enlarged = None
        if magnification <= 1 and are_small(at_one, _SMALL_DIAMETERS[-1]):
            result = segment(ENLARGED, shown.pixels)
            enlarged = _returned_msa(result.maps, config.grouping, shown)
        yield Observation(
            magnification,
            measure_scales([found], [octave_energies(shown.pixels)], searched.foreground_threshold),
            np.array([_msa(result.labels, result.maps, searched, shown) for result in found]),
            np.array([_returned_msa(result.maps, config.grouping, shown) for result in found]),
            np.array([len(result.probabilities) for result in found]),
            at_one,
            enlarged,
            not shown.labels.any(),
        )


def fit(observations: Sequence[Observation]) -> ScaleScore:
    """Learn from observations: both functions by ridge regression, and below which diameter an image is enlarged.

    Parameters
    ----------
    observations
        From `observe`, of many images.
    """
    # Where there are no nuclei, no scale is better than the others.
    with_nuclei = [each for each in observations if not each.is_empty]
    enlargements = [
        Enlargement(each.diameters, each.enlarged_msa - each.returned_msa[-1], each.magnification == 1)
        for each in with_nuclei
        if each.enlarged_msa is not None
    ]
    rows = np.concatenate([each.measurements for each in with_nuclei])
    mean, spread = (_rounded(values) for values in (rows.mean(axis=0), rows.std(axis=0) + 1e-6))
    losses = np.concatenate([np.maximum(each.msa - each.msa.max(), -_WORST) for each in with_nuclei])
    choice = _regress(rows, losses, np.ones(len(rows)), mean, spread, _CHOICE_RIDGE)
    score = ScaleScore(mean, spread, choice, (0.0,) * TERMS, small_diameter(enlargements))
    outcomes, weights = zip(*(_outcomes(each, score) for each in observations), strict=True)
    rows = np.concatenate([each.measurements for each in observations])
    accuracy = _regress(rows, np.concatenate(outcomes), np.concatenate(weights), mean, spread, _ACCURACY_RIDGE)
    return replace(score, accuracy_weights=accuracy)


def _outcomes(observation: Observation, score: ScaleScore) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the mSA of what `predict` returns at each scale, and its weight when the accuracy is learned.

    Where nothing is found, nothing is estimated.
    """
    outcomes = observation.returned_msa.copy()
    enlarged = observation.enlarged_msa
    if enlarged is not None and are_small(observation.diameters, score.small_diameter):
        outcomes[SCALES.index(1.0)] = enlarged
    weights = np.where(observation.counts > 0, _OTHER_SCALES_WEIGHT, 0.0)
    chosen = choose_index(score, observation.measurements, observation.counts)
    if observation.counts[chosen]:
        weights[chosen] = 1.0
    return outcomes, weights


def small_diameter(enlargements: Sequence[Enlargement]) -> float:
    """Return the diameter below which enlarging gains most. It is 0 if no diameter gains anything.

    Images at their own size decide, and of equal diameters all images. Enlarging gains more on images that were made
    smaller, whose outlines are smoother than those that people draw.

    Parameters
    ----------
    enlargements
        Images with small nuclei.

    Examples
    --------
    >>> import numpy as np
    >>> small_diameter([Enlargement(np.full(9, 8.0), 0.2), Enlargement(np.full(9, 14.0), -0.1)])
    8.5
    """

    def gains(bound: float) -> tuple[float, float]:
        enlarged = [each for each in enlargements if are_small(each.diameters, bound)]
        return sum(each.gain for each in enlarged if each.at_own_size), sum(each.gain for each in enlarged)

    return max(_SMALL_DIAMETERS, key=gains)


def fit_scale_score_of_bundle(
    bundle: Bundle, examples: Sequence[Example], out: Path, *, device: str = "auto", track: Track = untracked
) -> None:
    """Learn a bundle's score of scales, and save the model with it as a new bundle.

    Parameters
    ----------
    bundle
        The model.
    examples
        Labelled images.
    out
        Folder of the new bundle, new or empty. It is written atomically.
    device
        Device of the network. See `nucleus_unet.inference.devices.choose_device`.
    track
        Shows the progress.

    Raises
    ------
    SettingsError
        ``out`` is not a new or empty folder.
    DataError
        There are no images, or no nuclei in them.
    """
    check_new_folder(out, "the model bundle")
    engine = open_engine(bundle, device=device)
    score = fit_scale_score(engine, bundle.config, examples, tile=engine.default_tile, track=track)
    card = _CARD.format(images=counted(len(examples), "image"))
    save_calibrated(bundle, replace(bundle.config, scale_score=score), examples, out, card)


def _returned_msa(maps: NDArray[np.uint8], grouping: GroupConfig, shown: Shown) -> float:
    """Return the mSA of the nuclei that `predict` finds in these maps."""
    return _msa(group(maps, grouping).labels, maps, grouping, shown)


def _msa(labels: NDArray[np.uint32], maps: NDArray[np.uint8], grouping: GroupConfig, shown: Shown) -> float:
    """Return the mSA of nuclei at the scale of the maps."""
    shape = (shown.labels.shape[0], shown.labels.shape[1])
    threshold = grouping.foreground_threshold
    labels = scale_labels(labels, maps[..., 0], shape, maps.shape[0] / shape[0], threshold=threshold)
    return float(np.mean(score_image(shown.labels, labels, shown.valid).average_precision))


def _regress(
    rows: NDArray[np.float64],
    values: NDArray[np.float64],
    row_weights: NDArray[np.float64],
    mean: Sequence[float],
    spread: Sequence[float],
    ridge: float,
) -> tuple[float, ...]:
    """Return the weights of `nucleus_unet.model.quadratic.terms` that estimate the values, by ridge regression."""
    every = terms(rows, np.array(mean), np.array(spread))[:, 1:]
    shares = (row_weights / row_weights.sum())[:, None]
    centre = (every * shares).sum(axis=0)
    width = np.sqrt(((every - centre) ** 2 * shares).sum(axis=0)) + 1e-6
    standardised, typical = (every - centre) / width, float((values * shares[:, 0]).sum())
    weighted = standardised * row_weights[:, None]
    penalty = ridge * np.eye(standardised.shape[1])
    weights = np.linalg.solve(weighted.T @ standardised + penalty, weighted.T @ (values - typical)) / width
    return _rounded([typical - (weights * centre).sum(), *weights])


def _rounded(values: Iterable[float]) -> tuple[float, ...]:
    return tuple(float(f"{value:.6g}") for value in values)

"""Learn from labelled images to estimate the quality of a nucleus."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from nucleus_unet.data.dataset import Example
from nucleus_unet.errors import DataError
from nucleus_unet.evaluation.annotated import counted_predictions
from nucleus_unet.inference.grouping import group
from nucleus_unet.io.atomic import check_new_folder
from nucleus_unet.masks import overlap_table
from nucleus_unet.model.bundle import Bundle
from nucleus_unet.model.group_config import GroupConfig
from nucleus_unet.model.quadratic import terms
from nucleus_unet.model.quality_score import QualityScore
from nucleus_unet.training.calibration import Track, predict_as_by_default, save_calibrated, untracked
from nucleus_unet.training.validation import PredictedMaps, calibrate
from nucleus_unet.wording import counted

MIN_QUALITY_NUCLEI = 4000
"""Minimum number of nuclei for learning; see docs/decisions/0012-quality-of-a-nucleus.md."""
# The loss has half of this times the sum of the squared weights. The N nuclei of an image count as sqrt(N) together.
_RIDGE = 0.1
# Newton's method converges in about ten steps, unless all nuclei are right or all are wrong.
_STEPS, _TOLERANCE = 30, 1e-8

_CARD = """\

## Quality of nuclei

`nucleus-unet calibrate --quality` learned to estimate the quality of nuclei from {nuclei} nuclei of {images}.
Nuclei with a quality below {least:g} are dropped. The metrics on this card were measured before this change.
"""


def observe_nuclei(predicted: PredictedMaps, config: GroupConfig) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Group the maps of a labelled image, without dropping doubtful nuclei, and compare the nuclei with the truth.

    Parameters
    ----------
    predicted
        Maps of a labelled image.
    config
        Settings of the grouping.

    Returns
    -------
    measurements : NDArray[np.float64] (N, 6)
        See `nucleus_unet.inference.grouping.Grouped`.
    ious : NDArray[np.float64] (N,)
        The largest intersection over union of each nucleus with a true one, 0 if it touches none.
    """
    grouped = group(predicted.maps, replace(config, min_score=0.0, min_peak=0.0, quality=None))
    truth, labels = predicted.example.labels, predicted.on_image(grouped.labels, config)
    if predicted.example.valid is not None:
        labels = counted_predictions(truth, labels, predicted.example.valid).astype(np.uint32)
    # Nuclei that vanish on the pixels of the image, or do not count, are left out.
    table = overlap_table(labels, truth)
    ious = np.zeros(len(table.labels_a))
    np.maximum.at(ious, table.index_a, table.iou)
    return grouped.measurements[table.labels_a.astype(np.intp) - 1], ious


def fit_quality_score(
    measurements: NDArray[np.float64], ious: NDArray[np.float64], weights: NDArray[np.float64]
) -> QualityScore:
    """Learn the function by logistic regression with a ridge penalty, where the target is the IoU itself.

    Parameters
    ----------
    measurements : NDArray[np.float64] (N, 6)
        Of nuclei.
    ious : NDArray[np.float64] (N,)
        Their intersections over union with the true nuclei.
    weights : NDArray[np.float64] (N,)
        How much each nucleus counts.

    Raises
    ------
    DataError
        The IoUs are nearly all 0 or nearly all 1.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> measurements = rng.normal(size=(500, 6))
    >>> score = fit_quality_score(measurements, 1 / (1 + np.exp(-measurements[:, 0])), np.ones(500))
    >>> round(score.weights[1], 1)  # of the first measurement
    1.0
    """
    mean, spread = measurements.mean(axis=0), measurements.std(axis=0) + 1e-6
    varying = terms(measurements, mean, spread)[:, 1:]
    term_mean, term_spread = varying.mean(axis=0), varying.std(axis=0) + 1e-6
    # All terms count alike in the penalty. The constant, which comes first, has none.
    design = np.hstack([np.ones((len(varying), 1)), (varying - term_mean) / term_spread])
    penalty = np.diag([0.0, *[_RIDGE] * varying.shape[1]])
    coefficients = np.zeros(design.shape[1])
    for _ in range(_STEPS):
        estimates = 1 / (1 + np.exp(-design @ coefficients))
        gradient = design.T @ (weights * (estimates - ious)) + penalty @ coefficients
        curvature = (design * (weights * estimates * (1 - estimates))[:, None]).T @ design + penalty
        step = np.linalg.solve(curvature, gradient)
        coefficients -= step
        if np.abs(step).max() < _TOLERANCE:
            break
    else:
        raise DataError("expected nuclei that are right and nuclei that are wrong; those found are nearly all the same")
    slopes = coefficients[1:] / term_spread
    constant = coefficients[0] - slopes @ term_mean
    return QualityScore(*(_rounded(values) for values in (mean, spread, np.append(constant, slopes))))


def _rounded(values: NDArray[np.float64]) -> tuple[float, ...]:
    return tuple(float(f"{value:.7g}") for value in values)


def fit_quality_score_of_bundle(
    bundle: Bundle, examples: Sequence[Example], out: Path, *, device: str = "auto", track: Track = untracked
) -> Bundle:
    """Learn to estimate the quality of a bundle's nuclei, choose the minimum quality, and save a new bundle.

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

    Returns
    -------
    Bundle
        The model with the function.

    Raises
    ------
    SettingsError
        ``out`` is not a new or empty folder.
    DataError
        Fewer than `MIN_QUALITY_NUCLEI` nuclei are found in the images, these have no true nuclei, or nearly all IoUs
        are 0 or 1.
    """
    check_new_folder(out, "the model bundle")
    if not any(example.labels.any() for example in examples):
        raise DataError(f"expected labelled nuclei to learn from, found none in {counted(len(examples), 'image')}")
    predicted = predict_as_by_default(bundle, examples, device=device, track=track)
    observed = [observe_nuclei(each, bundle.config.group) for each in predicted]
    count = sum(len(ious) for _, ious in observed)
    if count < MIN_QUALITY_NUCLEI:
        raise DataError(
            f"expected images with at least {MIN_QUALITY_NUCLEI} nuclei to learn their quality from, found {count}"
        )
    weights = np.concatenate([np.full(len(ious), max(len(ious), 1) ** -0.5) for _, ious in observed])
    measurements, ious = (np.concatenate(part) for part in zip(*observed, strict=True))
    config = replace(bundle.config, quality_score=fit_quality_score(measurements, ious, weights))
    chosen = calibrate(predicted, config.grouping, names=["min_quality"], track=lambda names: track(names, "settings"))
    card = _CARD.format(nuclei=count, images=counted(len(examples), "image"), least=chosen.min_quality)
    return save_calibrated(bundle, config.with_grouping(chosen), examples, out, card)

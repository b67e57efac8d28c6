"""The loss function of training for one whole image, in numpy. `nucleus_unet.training.losses` is the torch version."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from nucleus_unet.model.config import OFFSET_SCALE
from nucleus_unet.model.targets import Targets

REFERENCE_DIAMETER = 24.0
"""Diameter in pixels of a nucleus whose pixels have weight 1. The pixels of smaller nuclei have larger weights."""
WEIGHT_BOUNDS = (0.5, 3.0)
DICE_WEIGHT, HEAT_WEIGHT, OFFSET_WEIGHT = 0.5, 1.0, 0.5
"""Standard loss weights. The weight of the foreground's cross-entropy is 1."""
SMOOTH_L1_BETA = 0.2
"""The parameter beta of the smooth L1 loss, in radii: it is quadratic for smaller errors."""


def validation_loss(output: NDArray[np.float32], targets: Targets, valid: NDArray[np.bool_] | None = None) -> float:
    """Compute the loss of the network's output for an image.

    The components are those of `nucleus_unet.training.losses.losses`, with the standard loss weights.

    Parameters
    ----------
    output : NDArray[np.float32] (4, H, W)
        Output of `nucleus_unet.inference.engine.Predictor.run`.
    targets
        Targets from `nucleus_unet.model.targets.targets`.
    valid : NDArray[np.bool_] (H, W) or None
        The pixels that count. None for all.

    Returns
    -------
    float
        The loss.
    """
    foreground, heat, offset, diameter = targets
    size = np.clip(np.float32(REFERENCE_DIAMETER) / np.maximum(diameter, 1), *WEIGHT_BOUNDS)
    weight = np.where(foreground > 0, size, np.float32(1))
    inside = foreground
    if valid is not None:
        weight, inside = weight * valid, foreground * valid
    counted = max(_sum(weight), 1)
    probability = 1 / (1 + np.exp(-np.maximum(output[0], -80)))
    overlap, both = _sum(probability * foreground * weight), _sum((probability + foreground) * weight)
    # The entropy of the soft target is subtracted, so that the minimum of this component is 0.
    heat_weight = weight * (1 + 4 * heat) * (np.float32(0.3) + np.float32(0.7) * foreground)
    heat_error = _cross_entropy(output[1], heat) - _entropy(heat)
    radius = np.maximum(diameter / 2, 2)
    error = np.abs(output[2:] * np.float32(OFFSET_SCALE) - offset) / radius
    smooth = np.where(error < SMOOTH_L1_BETA, error**2 / (2 * SMOOTH_L1_BETA), error - SMOOTH_L1_BETA / 2)
    return (
        _sum(_cross_entropy(output[0], foreground) * weight) / counted
        + DICE_WEIGHT * (1 - (2 * overlap + 1) / (both + 1))
        + HEAT_WEIGHT * _sum(heat_error * heat_weight) / max(_sum(heat_weight), 1)
        + OFFSET_WEIGHT * _sum(smooth.sum(axis=0) * inside * size) / max(_sum(inside * size), 1)
    )


def _sum(values: NDArray[np.floating]) -> float:
    return float(values.sum(dtype=np.float64))


def _cross_entropy(logit: NDArray[np.float32], target: NDArray[np.float32]) -> NDArray[np.float32]:
    entropy: NDArray[np.float32] = np.maximum(logit, 0) - logit * target + np.log1p(np.exp(-np.abs(logit)))
    return entropy


def _entropy(target: NDArray[np.float32]) -> NDArray[np.float32]:
    least = np.float32(1e-30)  # 0 times the logarithm of 0 is 0
    other = 1 - target
    return -(target * np.log(np.maximum(target, least)) + other * np.log(np.maximum(other, least)))

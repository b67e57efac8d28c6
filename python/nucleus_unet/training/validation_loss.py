"""The loss of training, of one whole image, in numpy: `nucleus_unet.training.losses` has it in torch."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from nucleus_unet.model.config import OFFSET_SCALE
from nucleus_unet.model.targets import Targets

TYPICAL_DIAMETER = 24.0
"""A nucleus of this diameter in pixels weighs 1 a pixel. Smaller ones weigh more, or they would be lost in the sum."""
WEIGHT_BOUNDS = (0.5, 3.0)
DICE_WEIGHT, HEAT_WEIGHT, OFFSET_WEIGHT = 0.5, 1.0, 0.5
"""Standard weights of the parts of the loss, against 1 for the foreground's cross-entropy."""
SMOOTH_UNTIL = 0.2
"""Of the smooth L1 loss: errors, in radii, up to which it is a parabola."""


def validation_loss(output: NDArray[np.float32], targets: Targets) -> float:
    """Compare the network's output for an image with its targets.

    The parts are those of `nucleus_unet.training.losses.losses`, with their standard weights.

    Parameters
    ----------
    output : NDArray[np.float32] (4, H, W)
        From `nucleus_unet.inference.engine.Predictor.run`.
    targets
        From `nucleus_unet.model.targets.targets`.
    """
    foreground, heat, offset, diameter = targets
    size = np.clip(np.float32(TYPICAL_DIAMETER) / np.maximum(diameter, 1), *WEIGHT_BOUNDS)
    weight = np.where(foreground > 0, size, np.float32(1))
    counted = max(_sum(weight), 1)
    probability = 1 / (1 + np.exp(-np.maximum(output[0], -80)))
    overlap, both = _sum(probability * foreground * weight), _sum((probability + foreground) * weight)
    # Only shape and place of the peaks matter: the entropy of the soft target itself is no error.
    heat_weight = weight * (1 + 4 * heat) * (np.float32(0.3) + np.float32(0.7) * foreground)
    heat_error = _cross_entropy(output[1], heat) - _entropy(heat)
    radius = np.maximum(diameter / 2, 2)
    error = np.abs(output[2:] * np.float32(OFFSET_SCALE) - offset) / radius
    smooth = np.where(error < SMOOTH_UNTIL, error**2 / (2 * SMOOTH_UNTIL), error - SMOOTH_UNTIL / 2)
    return (
        _sum(_cross_entropy(output[0], foreground) * weight) / counted
        + DICE_WEIGHT * (1 - (2 * overlap + 1) / (both + 1))
        + HEAT_WEIGHT * _sum(heat_error * heat_weight) / max(_sum(heat_weight), 1)
        + OFFSET_WEIGHT * _sum(smooth.sum(axis=0) * foreground * size) / max(_sum(foreground * size), 1)
    )


def _sum(values: NDArray[np.floating]) -> float:
    return float(values.sum(dtype=np.float64))


def _cross_entropy(logit: NDArray[np.float32], target: NDArray[np.float32]) -> NDArray[np.float32]:
    entropy: NDArray[np.float32] = np.maximum(logit, 0) - logit * target + np.log1p(np.exp(-np.abs(logit)))
    return entropy


def _entropy(target: NDArray[np.float32]) -> NDArray[np.float32]:
    least = np.float32(1e-30)  # 0 times the logarithm of 0 is 0
    other = 1 - target
    entropy: NDArray[np.float32] = -(
        target * np.log(np.maximum(target, least)) + other * np.log(np.maximum(other, least))
    )
    return entropy

"""Smoothing of samples."""

from __future__ import annotations

import math

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn import functional


def blurred(image: NDArray[np.float32], sigma: float) -> NDArray[np.float32]:
    """Smooth each plane by a Gaussian; the edge pixels are repeated beyond the edge.

    Parameters
    ----------
    image : NDArray[np.float32] (C, H, W)
        Any values.
    sigma
        Standard deviation of the Gaussian, in pixels.
    """
    radius = math.ceil(2.5 * sigma)
    weights = np.exp(-(np.arange(-radius, radius + 1) ** 2) / (2 * sigma**2)).astype(np.float32)
    kernel = torch.from_numpy(weights / weights.sum())
    planes = torch.from_numpy(np.ascontiguousarray(image))[:, None]
    planes = functional.pad(planes, (radius, radius, radius, radius), mode="replicate")
    planes = functional.conv2d(functional.conv2d(planes, kernel[None, None, :, None]), kernel[None, None, None, :])
    result: NDArray[np.float32] = planes[:, 0].numpy()
    return result

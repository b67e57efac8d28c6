"""Filters for augmentation."""

from __future__ import annotations

import math

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn import functional


def gaussian_blur(image: NDArray[np.float32], sigma: float) -> NDArray[np.float32]:
    """Smooth each channel by a Gaussian filter. The image is padded by repeating its edge pixels.

    Parameters
    ----------
    image : NDArray[np.float32] (C, H, W)
        The image.
    sigma
        Standard deviation of the Gaussian in pixels.

    Returns
    -------
    NDArray[np.float32] (C, H, W)
        The smoothed image.
    """
    radius = math.ceil(2.5 * sigma)
    weights = np.exp(-(np.arange(-radius, radius + 1) ** 2) / (2 * sigma**2)).astype(np.float32)
    kernel = torch.from_numpy(weights / weights.sum())
    planes = torch.from_numpy(np.ascontiguousarray(image))[:, None]
    planes = functional.pad(planes, (radius, radius, radius, radius), mode="replicate")
    planes = functional.conv2d(functional.conv2d(planes, kernel[None, None, :, None]), kernel[None, None, None, :])
    return planes[:, 0].numpy()

"""Segmentations that no network made."""

import numpy as np
from nucleus_unet.plan import Plan
from nucleus_unet.segmentation import Segmentation
from numpy.typing import NDArray

PLAN = Plan(
    "tiny",
    "0" * 64,
    [0.0, 1.0],
    None,
    1.0,
    False,
    None,
    None,
    "openvino 1",
    "cpu",
    "float32",
    "x86-64",
    None,
    None,
    None,
    {},
)


def blobs() -> NDArray[np.uint32]:
    """Label image with a ring, its inside, neighbours and a nucleus of two pieces that meet in a corner."""
    labels = np.zeros((24, 31), np.uint32)
    labels[2:9, 3:11] = 1
    labels[4:7, 5:9] = 2
    labels[2:6, 11:20] = 3
    labels[12, 1] = labels[13, 2] = 4
    labels[15:24, 20:31] = 5
    return labels


def made(labels: NDArray[np.uint32], image: NDArray[np.generic] | None = None) -> Segmentation:
    scores = np.linspace(0.5, 1, int(labels.max(initial=0)), dtype=np.float32)
    if image is None:
        image = np.random.default_rng(0).integers(0, 255, labels.shape).astype(np.uint8)
    return Segmentation(labels, scores, scores[::-1].copy(), PLAN, image)

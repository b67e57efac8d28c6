"""Small images, settings and weights of trainings."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import torch
from nucleus_unet.data.dataset import Example
from nucleus_unet.model.bundle import Bundle
from nucleus_unet.model.config import NetworkConfig
from nucleus_unet.training.augmentation import AugmentConfig
from nucleus_unet.training.fine_tuning import fine_tuning_config
from nucleus_unet.training.trainer import CHECKPOINT, TrainConfig
from safetensors.torch import load_file

TINY = TrainConfig(
    network=NetworkConfig(form="plain", width=4, depth=1, dropout=0.3),
    augment=AugmentConfig(crop=32),
    pretrained=False,
    samples=24,
    batch_size=2,
    warmup=4,
    checkpoint_every=4,
    validate_every=8,
    precision="float32",
)


def field(seed: int, *, side: int = 64, kind: str = "disc", colour: bool = False) -> Example:
    """Draw bright discs on a dark ground."""
    rng = np.random.default_rng(seed)
    rows, columns = np.mgrid[:side, :side]
    labels = np.zeros((side, side), np.uint32)
    for number, (row, column) in enumerate(rng.integers(6, side - 6, (6, 2)), start=1):
        labels[((rows - row) ** 2 + (columns - column) ** 2 < 25) & (labels == 0)] = number
    image = (30 + 150 * (labels > 0) + rng.integers(0, 20, (side, side))).astype(np.uint8)
    if colour:
        image = np.stack([255 - image, image, image // 2], axis=-1)
    return Example(f"{kind}-{seed}", kind, image, labels, str(seed))


FIELDS = [field(seed) for seed in range(4)]


def weights(folder: Path) -> dict[str, torch.Tensor]:
    return load_file(folder / CHECKPOINT)


def assert_same_weights(one: Path, other: Path) -> None:
    first, second = weights(one), weights(other)
    assert first.keys() == second.keys()
    for name, tensor in first.items():
        assert torch.equal(tensor, second[name]), name


def brief(origin: Bundle) -> TrainConfig:
    """A fine-tuning of a few small samples."""
    return dataclasses.replace(
        fine_tuning_config(origin),
        augment=AugmentConfig(crop=32),
        samples=24,
        batch_size=2,
        warmup=4,
        checkpoint_every=4,
        validate_every=8,
        precision="float32",
    )

"""Train and fine-tune a model."""

from __future__ import annotations

from typing import TYPE_CHECKING

from nucleus_unet.lazy import lazy_names

if TYPE_CHECKING:
    from nucleus_unet.training.augmentation import AugmentConfig
    from nucleus_unet.training.pipeline import train_bundle
    from nucleus_unet.training.trainer import TrainConfig

__all__ = ["AugmentConfig", "TrainConfig", "train_bundle"]

__getattr__, __dir__ = lazy_names(
    __name__,
    {
        "AugmentConfig": "nucleus_unet.training.augmentation",
        "TrainConfig": "nucleus_unet.training.trainer",
        "train_bundle": "nucleus_unet.training.pipeline",
    },
)

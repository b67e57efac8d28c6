"""Run a network over images: engines, tiles, test-time augmentation, grouping."""

from __future__ import annotations

from typing import TYPE_CHECKING

from nucleus_unet.lazy import lazy_names

if TYPE_CHECKING:
    from nucleus_unet.inference.engine import Engine, Identity, Predictor
    from nucleus_unet.inference.factory import open_engine
    from nucleus_unet.inference.grouping import group
    from nucleus_unet.inference.predict import maps_of_output, predict_maps

__all__ = ["Engine", "Identity", "Predictor", "group", "maps_of_output", "open_engine", "predict_maps"]

__getattr__, __dir__ = lazy_names(
    __name__,
    {
        "Engine": "nucleus_unet.inference.engine",
        "Identity": "nucleus_unet.inference.engine",
        "Predictor": "nucleus_unet.inference.engine",
        "group": "nucleus_unet.inference.grouping",
        "maps_of_output": "nucleus_unet.inference.predict",
        "open_engine": "nucleus_unet.inference.factory",
        "predict_maps": "nucleus_unet.inference.predict",
    },
)

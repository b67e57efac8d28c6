"""Measures of nuclei and of the cells around them, the same for images and slides."""

from __future__ import annotations

from typing import TYPE_CHECKING

from nucleus_unet.lazy import lazy_names

if TYPE_CHECKING:
    from nucleus_unet.measures.stains import StainScore, h_score, positive_share, stain_densities, stain_score

__all__ = ["StainScore", "h_score", "positive_share", "stain_densities", "stain_score"]

__getattr__, __dir__ = lazy_names(__name__, dict.fromkeys(__all__, "nucleus_unet.measures.stains"))

"""Comparison of several models on one labelled set, with confidence intervals of the differences."""

from nucleus_unet.comparison.compare import Comparison, compare

__all__ = ["Comparison", "compare"]

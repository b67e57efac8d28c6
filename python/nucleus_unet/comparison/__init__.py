"""Which of several models is better on a labelled set, and whether the difference is more than chance."""

from nucleus_unet.comparison.compare import Comparison, compare

__all__ = ["Comparison", "compare"]

"""Training sets: readers, folds, download."""

from __future__ import annotations

from typing import TYPE_CHECKING

from nucleus_unet.lazy import lazy_names

if TYPE_CHECKING:
    from nucleus_unet.data.dataset import Example, ReadReport, read_examples

__all__ = ["Example", "ReadReport", "read_examples"]

__getattr__, __dir__ = lazy_names(
    __name__,
    {
        "Example": "nucleus_unet.data.dataset",
        "ReadReport": "nucleus_unet.data.dataset",
        "read_examples": "nucleus_unet.data.dataset",
    },
)

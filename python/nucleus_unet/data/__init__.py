"""Training sets: readers, folds, download."""

from nucleus_unet.data.dataset import Example, ReadReport, read_examples

__all__ = ["Example", "ReadReport", "read_examples"]

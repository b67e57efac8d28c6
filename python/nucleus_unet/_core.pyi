"""Rust kernels of nucleus-unet. The modules of the package check and convert arguments, then call these."""

from collections.abc import Iterable
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

__all__ = [
    "__version__",
    "coco_to_labels",
    "contingency",
    "kaggle_to_labels",
    "labels_to_coco",
    "labels_to_kaggle",
    "merge_mask_pngs",
]

__version__: str

# --- Run-length encoding, mask PNGs, overlap: behind nucleus_unet.masks ------------------------------------

_Merged: TypeAlias = tuple[NDArray[np.uint32], list[tuple[int, int, int]], list[int], list[int]]

def labels_to_kaggle(labels: NDArray[np.uint32], *, threads: int | None = None) -> list[tuple[int, str]]:
    """Encode every instance of an (H, W) C-contiguous label image as (label, Kaggle string), ascending."""

def kaggle_to_labels(masks: Iterable[str], shape: tuple[int, int], *, threads: int | None = None) -> _Merged:
    """Decode Kaggle strings to (labels, [(earlier, later, pixels)], empty masks, hidden masks).

    Raises MaskError with the place of the first fault of the first faulty mask.
    """

def labels_to_coco(
    labels: NDArray[np.uint32], *, compressed: bool, threads: int | None = None
) -> list[tuple[int, str | list[int]]]:
    """Encode every instance of an (H, W) C-contiguous label image as (label, COCO counts), ascending.

    Raises MaskError where the image has 2**32 pixels or more.
    """

def coco_to_labels(
    masks: Iterable[str | bytes | Iterable[int]], shape: tuple[int, int], *, threads: int | None = None
) -> _Merged:
    """Decode COCO counts, compressed or not, as `kaggle_to_labels` does."""

def merge_mask_pngs(
    files: Iterable[bytes], shape: tuple[int, int] | None = None, *, threads: int | None = None
) -> _Merged:
    """Merge PNGs of one mask each as `kaggle_to_labels` does; without a shape the first file gives it.

    Raises MaskError for the first file that is damaged or of another shape.
    """

def contingency(
    a: NDArray[np.uint32], b: NDArray[np.uint32], *, threads: int | None = None
) -> tuple[NDArray[np.uint32], NDArray[np.uint32], NDArray[np.int64]]:
    """Count the pixels of each pair of labels, background included: (a, b, pixels), sorted by (a, b).

    Raises MaskError where the shapes differ.
    """

"""Mask PNGs, one nucleus each, to a label image."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from io import BytesIO
from typing import Any

import numpy as np
from nucleus_unet import masks
from numpy.typing import NDArray

from _kernels.contest import Contest, Task, installed
from _kernels.scenes import Labels, Scenes

TARGET = 8.0


def contests(scenes: Scenes, threads: int) -> Iterator[Contest]:
    """Rows of this family."""
    files = scenes.field.files
    peers: dict[str, Task] = {}
    if installed("PIL"):
        from PIL import Image

        peers["Pillow"] = lambda: _merged(files, lambda file: np.asarray(Image.open(BytesIO(file))))
    if imageio := installed("imageio"):
        peers["imageio"] = lambda: _merged(files, lambda file: imageio.v3.imread(file, extension=".png"))
    if cv2 := installed("cv2"):
        peers["cv2"] = lambda: _merged(
            files, lambda file: cv2.imdecode(np.frombuffer(file, np.uint8), cv2.IMREAD_GRAYSCALE)
        )
    yield Contest(
        "mask PNGs to labels",
        "field",
        threads,
        lambda: masks.merge_mask_pngs(files, threads=threads)[0],
        peers,
        _equal,
        TARGET,
        tuple(name for name in peers if name != "cv2"),
    )


def _merged(files: list[bytes], read: Callable[[bytes], NDArray[Any]]) -> Labels:
    """Mask by mask, as everybody does; the masks of a field do not overlap."""
    labels: Labels | None = None
    for label, file in enumerate(files, 1):
        mask = read(file)
        if labels is None:
            labels = np.zeros(mask.shape[:2], np.uint32)
        labels[(mask if mask.ndim == 2 else mask[..., 0]) > 0] = label
    assert labels is not None
    return labels


def _equal(ours: Labels, _: str, theirs: Labels) -> None:
    np.testing.assert_array_equal(ours, theirs)

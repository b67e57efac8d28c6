"""Outlines of nuclei."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from nucleus_unet import _core
from numpy.typing import NDArray

from _kernels.contest import Contest, Task, installed
from _kernels.scenes import Labels, Scenes

TARGET = 1.0


def contests(scenes: Scenes, threads: int) -> Iterator[Contest]:
    """Rows of this family: one thread's work."""
    if threads != 1:
        return
    cases = scenes.cases(threads)
    for case, labels in cases.items():
        pixels = int(np.count_nonzero(labels))
        peers: dict[str, Task] = {}
        # There cv2's time goes with more than the square of the pixels: a quarter of an hour for this size. So does
        # scikit-image's on the spiral.
        cv2 = installed("cv2") if case != "checkerboard" else None
        if cv2:
            # One call for all: nuclei that touch come out as one, which is less than is asked.
            binary = (labels > 0).view(np.uint8)
            peers["cv2, all nuclei as one mask"] = lambda binary=binary, cv2=cv2: cv2.findContours(
                binary, cv2.RETR_CCOMP, cv2.CHAIN_APPROX_SIMPLE
            )
        few = labels.max() < 10_000
        if few and cv2 and installed("scipy"):
            peers["cv2, nucleus by nucleus"] = lambda labels=labels: _one_by_one(labels, _traced_by_cv2)
        if few and case not in ("checkerboard", "spiral") and installed("skimage") and installed("scipy"):
            peers["scikit-image, nucleus by nucleus"] = lambda labels=labels: _one_by_one(labels, _traced_by_skimage)
        yield Contest(
            "contours",
            case,
            1,
            lambda labels=labels: _core.contours(labels),
            peers,
            lambda ours, name, theirs, pixels=pixels: _whole(ours, name, theirs, pixels),
            TARGET,
        )


def _one_by_one(labels: Labels, trace: Any) -> list[Any]:
    from scipy import ndimage

    boxes = ndimage.find_objects(labels.view(np.int32))
    return [trace(labels[box] == label, box) for label, box in enumerate(boxes, 1) if box is not None]


def _traced_by_cv2(inside: NDArray[np.bool_], box: tuple[slice, slice]) -> Any:
    cv2 = installed("cv2")
    assert cv2 is not None
    offset = (box[1].start, box[0].start)
    return cv2.findContours(inside.view(np.uint8), cv2.RETR_CCOMP, cv2.CHAIN_APPROX_SIMPLE, offset=offset)


def _traced_by_skimage(inside: NDArray[np.bool_], box: tuple[slice, slice]) -> list[NDArray[np.float64]]:
    from skimage.measure import find_contours

    corner = (box[0].start - 1, box[1].start - 1)
    return [ring + corner for ring in find_contours(np.pad(inside, 1), 0.5)]


def _whole(ours: list[Any], name: str, theirs: Any, pixels: int) -> None:
    """Our rings enclose each pixel once; the peer found as many nuclei, but its rings run through pixels."""
    rings = [ring.astype(np.int64) for outline in ours for polygon in outline for ring in polygon]
    twice = sum(int((x[:-1] * y[1:] - x[1:] * y[:-1]).sum()) for x, y in (ring.T for ring in rings))
    assert twice == 2 * pixels, f"rings enclose {twice / 2} pixels, not {pixels}"
    if name.endswith("nucleus by nucleus"):
        assert len(theirs) == len(ours), f"{len(theirs)} nuclei, not {len(ours)}"

"""Label images made from label images."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from nucleus_unet import masks

from _kernels.contest import Contest, Task, installed
from _kernels.scenes import Labels, Scenes

TARGET = 1.0

_MIN_AREA = 60
_DISTANCE = 6.0


def contests(scenes: Scenes, threads: int) -> Iterator[Contest]:
    """Rows of this family; all but `expand_labels` are one thread's work."""
    cases = scenes.cases(threads)
    if threads == 1:
        shuffled = np.random.default_rng(0).permutation(scenes.specks.max() + 1).astype(np.uint32)
        shuffled[shuffled == 0], shuffled[0] = shuffled[0], 0
        scattered = {
            "a million specks, shuffled numbers": shuffled[scenes.specks],
            "a million specks, numbers beyond 2^31": np.where(scenes.specks > 0, scenes.specks * 1021 | 1 << 31, 0),
        }
        for case, labels in (cases | scattered).items():
            yield _relabel(case, labels.astype(np.uint32, copy=False))
        for case, labels in cases.items():
            yield _filter(case, labels)
        yield _fill("mosaic", _punctured(scenes.mosaic))
    for case, labels in cases.items():
        yield _expand(case, labels, threads)


def _relabel(case: str, labels: Labels) -> Contest:
    peers: dict[str, Task] = {}
    if fastremap := installed("fastremap"):
        peers["fastremap"] = lambda: fastremap.renumber(labels)[0]
    if installed("skimage") and labels.max() < 1 << 26:
        from skimage.segmentation import relabel_sequential

        peers["scikit-image (keeps the order of numbers)"] = lambda: relabel_sequential(labels)[0]
    work: Task = lambda: masks.relabel_by_position(labels)[0]  # noqa: E731
    return Contest("relabel", case, 1, work, peers, _same_numbers, TARGET)


def _filter(case: str, labels: Labels) -> Contest:
    peers: dict[str, Task] = {"numpy": lambda: _filtered_by_numpy(labels)}
    if fastremap := installed("fastremap"):
        peers["fastremap"] = lambda: _filtered_by_fastremap(fastremap, labels)
    if installed("skimage"):
        from skimage.morphology import remove_small_objects

        peers["scikit-image"] = lambda: remove_small_objects(labels, max_size=_MIN_AREA - 1)
    work: Task = lambda: masks.filter_by_area(labels, min_area=_MIN_AREA)  # noqa: E731
    return Contest("filter by area", case, 1, work, peers, _equal, TARGET)


def _filtered_by_numpy(labels: Labels) -> Labels:
    kept = np.bincount(labels.ravel()) >= _MIN_AREA
    return np.where(kept, np.arange(kept.size, dtype=np.uint32), 0)[labels].astype(np.uint32)


def _filtered_by_fastremap(fastremap: Any, labels: Labels) -> Labels:
    present, pixels = fastremap.unique(labels, return_counts=True)
    result: Labels = fastremap.mask_except(labels, present[pixels >= _MIN_AREA].tolist())
    return result


def _punctured(labels: Labels) -> Labels:
    """Take pixels out of the middle of every nucleus that is thick enough."""
    holes = masks.distance(labels) >= 3
    rows, columns = np.nonzero(holes)
    punctured = labels.copy()
    some = (rows % 7 == 0) & (columns % 7 == 0)
    punctured[rows[some], columns[some]] = 0
    return punctured


def _fill(case: str, labels: Labels) -> Contest:
    peers: dict[str, Task] = {}
    if installed("scipy"):
        peers["scipy, nucleus by nucleus"] = lambda: _filled_by_scipy(labels)
    return Contest("fill holes", case, 1, lambda: masks.fill_holes(labels), peers, _equal, TARGET)


def _filled_by_scipy(labels: Labels) -> Labels:
    from scipy import ndimage

    filled = labels.copy()
    for label, box in enumerate(ndimage.find_objects(labels.view(np.int32)), 1):
        if box is not None:
            inside = ndimage.binary_fill_holes(labels[box] == label)
            filled[box][inside & (labels[box] == 0)] = label
    return filled


def _expand(case: str, labels: Labels, threads: int) -> Contest:
    peers: dict[str, Task] = {}
    if installed("skimage"):
        from skimage.segmentation import expand_labels

        peers["scikit-image"] = lambda: expand_labels(labels, _DISTANCE)
    work: Task = lambda: masks.expand_labels(labels, _DISTANCE, threads=threads)  # noqa: E731
    return Contest("expand", case, threads, work, peers, _same_reach, TARGET)


def _equal(ours: Labels, _: str, theirs: Labels) -> None:
    np.testing.assert_array_equal(ours, theirs)


def _same_numbers(ours: Labels, name: str, theirs: Labels) -> None:
    if name == "fastremap":
        np.testing.assert_array_equal(ours, theirs)
    assert ours.max() == theirs.max()


def _same_reach(ours: Labels, _: str, theirs: Labels) -> None:
    """Which of two labels as near has a pixel, scikit-image leaves open."""
    np.testing.assert_array_equal(ours > 0, theirs > 0)
    differing = np.count_nonzero(ours != theirs)
    assert differing <= 0.2 * ours.size, f"{differing} pixels differ"

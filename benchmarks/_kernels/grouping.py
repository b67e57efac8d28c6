"""Maps to instances."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from nucleus_unet import masks
from nucleus_unet.inference.grouping import Grouped, group
from nucleus_unet.model.group_config import GroupConfig
from nucleus_unet.model.targets import OFFSET_STEPS, OFFSET_ZERO, quantise, targets
from numpy.typing import NDArray

from _kernels.contest import Contest, Task, installed
from _kernels.scenes import Labels, Scenes


def contests(scenes: Scenes, threads: int) -> Iterator[Contest]:
    """Rows of this family."""
    for case, labels in scenes.cases(threads).items():
        if case not in ("mosaic", "8192 x 8192", "empty"):
            continue  # not what a network could say of nuclei
        maps = quantise(*targets(labels)[:3])
        peers: dict[str, Task] = {}
        if installed("scipy"):
            peers["numpy and scipy"] = lambda maps=maps: _group_by_scipy(maps, GroupConfig())
        yield Contest(
            "group",
            case,
            threads,
            lambda maps=maps: group(maps, GroupConfig(), threads=threads),
            peers,
            _alike,
            None,
        )


def _group_by_scipy(maps: NDArray[np.uint8], config: GroupConfig) -> Labels:
    """Smooth, find peaks, assign pixels to the nearest, clean up; centres are not merged and ties not broken."""
    from scipy import ndimage
    from scipy.spatial import KDTree

    heat = ndimage.gaussian_filter(maps[..., 1].astype(np.float32), config.centre_sigma, truncate=2)
    peaks = (heat == ndimage.maximum_filter(heat, 2 * config.window + 1)) & (heat >= config.centre_threshold * 255)
    centres = np.argwhere(peaks)
    labels = np.zeros(maps.shape[:2], np.uint32)
    if not len(centres):
        return labels
    rows, columns = np.nonzero(maps[..., 0] >= config.foreground_threshold * 255)
    offsets = (maps[rows, columns, 2:].astype(np.float32) - OFFSET_ZERO) / OFFSET_STEPS
    away, nearest = KDTree(centres).query(np.column_stack((rows, columns)) + offsets)
    near = away <= config.assignment_radius
    labels[rows[near], columns[near]] = nearest[near] + 1
    for label, box in enumerate(ndimage.find_objects(labels.view(np.int32)), 1):
        if box is None:
            continue
        window = labels[box]
        pieces, count = ndimage.label(window == label)
        largest = pieces == np.argmax(np.bincount(pieces.ravel())[1:]) + 1 if count > 1 else window == label
        window[(window == label) & ~largest] = 0
        if np.count_nonzero(largest) < config.min_area:
            window[largest] = 0
        else:
            window[ndimage.binary_fill_holes(largest) & (window == 0)] = label
    return labels


def _alike(ours: Grouped, _: str, theirs: Labels) -> None:
    """Both find nearly all nuclei, with nearly the same pixels: the peer neither merges centres nor breaks ties."""
    table = masks.overlap_table(ours.labels, theirs)
    found = np.count_nonzero(table.iou > 0.5)
    most = max(table.labels_a.size, table.labels_b.size)
    assert found >= 0.9 * most, f"{found} of {most} nuclei alike"

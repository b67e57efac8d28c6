"""Run-length encoding and back, and what is known of encoded masks without decoding them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from nucleus_unet import masks
from numpy.typing import NDArray

from _kernels.contest import Contest, Task, installed
from _kernels.scenes import Labels, Scenes

ALL_INSTANCES = 10.0
ONE_MASK = 2.0

Runs = tuple[NDArray[np.uint32], NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]


def contests(scenes: Scenes, threads: int) -> Iterator[Contest]:
    """Rows of this family."""
    field, mosaic = scenes.field.labels, scenes.mosaic
    yield from _encoding("field", field, threads, by_mask=True)
    for case, labels in scenes.cases(threads).items():
        yield from _encoding(case, labels, threads, by_mask=False)
    yield from _decoding("field", field, threads, by_mask=True)
    yield from _decoding("mosaic", mosaic, threads, by_mask=False)
    yield from _measuring(field, threads)
    yield from _one_mask(field, threads)


def _encoding(case: str, labels: Labels, threads: int, *, by_mask: bool) -> Iterator[Contest]:
    kaggle: dict[str, Task] = {"numpy, one pass": lambda: _kaggle_by_numpy(labels)}
    yield Contest(
        "labels to Kaggle strings",
        case,
        threads,
        lambda: masks.labels_to_kaggle(labels, threads=threads),
        kaggle,
        _equal,
        ALL_INSTANCES,
    )
    counts: dict[str, Task] = {"numpy, one pass": lambda: _counts_by_numpy(labels)}
    strings: dict[str, Task] = {}
    if pycocotools := _pycocotools():
        strings["numpy, one pass, and pycocotools"] = lambda: _strings(labels, _counts_by_numpy(labels))
    if by_mask and pycocotools:
        strings["pycocotools"] = lambda: _strings_of_stack(labels)
    if by_mask and (rlemasklib := installed("rlemasklib")):
        strings["rlemasklib"] = lambda: {
            label: rlemasklib.encode(labels == label)["counts"].decode() for label in np.unique(labels[labels > 0])
        }
    yield Contest(
        "labels to COCO counts",
        case,
        threads,
        lambda: _only_counts(masks.labels_to_coco(labels, compressed=False, threads=threads)),
        counts,
        _equal,
        ALL_INSTANCES,
    )
    yield Contest(
        "labels to COCO strings",
        case,
        threads,
        lambda: _only_counts(masks.labels_to_coco(labels, threads=threads)),
        strings,
        _equal,
        ALL_INSTANCES,
    )


def _decoding(case: str, labels: Labels, threads: int, *, by_mask: bool) -> Iterator[Contest]:
    shape = labels.shape
    kaggle = list(masks.labels_to_kaggle(labels).values())
    coco = list(masks.labels_to_coco(labels).values())
    as_bytes = [{"size": list(shape), "counts": str(rle["counts"]).encode()} for rle in coco]
    yield Contest(
        "Kaggle strings to labels",
        case,
        threads,
        lambda: masks.kaggle_to_labels(kaggle, shape, threads=threads)[0],
        {"numpy": lambda: _labels_by_numpy(kaggle, shape)},
        _equal_arrays,
        ALL_INSTANCES,
    )
    strings: dict[str, Task] = {}
    if by_mask and (coder := _pycocotools()):
        strings["pycocotools"] = lambda: (
            coder.decode(as_bytes) * np.arange(1, len(as_bytes) + 1, dtype=np.uint32)
        ).max(2)
    if rlemasklib := installed("rlemasklib"):
        strings["rlemasklib"] = lambda: _labels_by_rlemasklib(rlemasklib, as_bytes, shape)
    yield Contest(
        "COCO strings to labels",
        case,
        threads,
        lambda: masks.coco_to_labels(coco, threads=threads)[0],
        strings,
        _equal_arrays,
        ALL_INSTANCES,
    )


def _measuring(labels: Labels, threads: int) -> Iterator[Contest]:
    ours = [
        {"size": list(labels.shape), "counts": str(rle["counts"]).encode()}
        for rle in masks.labels_to_coco(labels).values()
    ]
    moved = masks.labels_to_coco(np.roll(labels, (2, 3), (0, 1)))
    others = [{"size": list(labels.shape), "counts": str(rle["counts"]).encode()} for rle in moved.values()]
    areas: dict[str, Task] = {}
    boxes: dict[str, Task] = {}
    ious: dict[str, Task] = {}
    if coder := _pycocotools():
        areas["pycocotools"] = lambda: coder.area(ours)
        boxes["pycocotools"] = lambda: _sides(coder.toBbox(ours))
        ious["pycocotools"] = lambda: coder.iou(ours, others, [0] * len(others))
    if rlemasklib := installed("rlemasklib"):
        read = rlemasklib.RLEMask.from_dict
        areas["rlemasklib"] = lambda: rlemasklib.area(ours)
        boxes["rlemasklib"] = lambda: _sides(np.asarray(rlemasklib.to_bbox(ours)))
        ious["rlemasklib"] = lambda: rlemasklib.RLEMask.iou_matrix(
            [read(mask) for mask in ours], [read(mask) for mask in others]
        )
    rows: list[tuple[str, Task, dict[str, Task]]] = [
        ("areas of COCO strings", lambda: masks.rle_areas(ours, threads=threads), areas),
        ("boxes of COCO strings", lambda: masks.rle_boxes(ours, threads=threads), boxes),
        ("IoU of COCO strings", lambda: masks.rle_iou(ours, others, threads=threads), ious),
    ]
    for kernel, work, peers in rows:
        yield Contest(kernel, "field", threads, work, peers, _close_arrays, ALL_INSTANCES)


def _one_mask(labels: Labels, threads: int) -> Iterator[Contest]:
    """Encode and decode a single mask of the whole foreground, as a network's answer comes."""
    mask = (labels > 0).astype(np.uint8)
    rle = masks.labels_to_coco(mask)[1]
    as_bytes = {"size": list(mask.shape), "counts": str(rle["counts"]).encode()}
    encoders: dict[str, Task] = {}
    decoders: dict[str, Task] = {}
    if coder := _pycocotools():
        encoders["pycocotools"] = lambda: coder.encode(np.asfortranarray(mask))["counts"].decode()
        decoders["pycocotools"] = lambda: coder.decode(as_bytes)
    if rlemasklib := installed("rlemasklib"):
        encoders["rlemasklib"] = lambda: rlemasklib.encode(mask)["counts"].decode()
        decoders["rlemasklib"] = lambda: rlemasklib.decode(as_bytes)
    yield Contest(
        "one mask to a COCO string",
        "field",
        threads,
        lambda: masks.mask_to_coco(mask, threads=threads)["counts"],
        encoders,
        _equal,
        ONE_MASK,
    )
    yield Contest(
        "one COCO string to a mask",
        "field",
        threads,
        lambda: masks.coco_to_mask(rle),
        decoders,
        _equal_arrays,
        ONE_MASK,
    )


def _runs_by_numpy(labels: Labels) -> Runs:
    """Label, start and length of each run in column-major order, sorted by label, and where each label's begin."""
    flat = labels.ravel(order="F")
    starts = np.concatenate(([0], np.flatnonzero(flat[1:] != flat[:-1]) + 1))
    lengths = np.diff(starts, append=flat.size)
    values = flat[starts]
    inside = np.flatnonzero(values)
    order = inside[np.argsort(values[inside], kind="stable")]
    values = values[order]
    first = np.flatnonzero(np.diff(values, prepend=np.uint32(0)))
    return values, starts[order], lengths[order], first


def _kaggle_by_numpy(labels: Labels) -> dict[int, str]:
    values, starts, lengths, first = _runs_by_numpy(labels)
    numbers = list(map(str, np.column_stack((starts + 1, lengths)).ravel().tolist()))
    return {label: " ".join(numbers[2 * begin : 2 * end]) for label, begin, end in _instances(values, first)}


def _instances(values: NDArray[np.uint32], first: NDArray[np.int64]) -> Iterator[tuple[int, int, int]]:
    """Each label with the places of its first run and of the next label's."""
    bounds = np.append(first, values.size).tolist()
    return zip(values[first].tolist(), bounds[:-1], bounds[1:], strict=True)


def _counts_by_numpy(labels: Labels) -> dict[int, list[int]]:
    values, starts, lengths, first = _runs_by_numpy(labels)
    ends = starts + lengths
    gaps = starts - np.concatenate(([0], ends[:-1])) if ends.size else starts
    gaps[first] = starts[first]
    counts = np.column_stack((gaps, lengths)).ravel().tolist()
    counted: dict[int, list[int]] = {}
    for label, begin, stop in _instances(values, first):
        rest = labels.size - int(ends[stop - 1])
        counted[label] = counts[2 * begin : 2 * stop] + ([rest] if rest else [])
    return counted


def _strings(labels: Labels, counts: dict[int, list[int]]) -> dict[int, str]:
    height, width = labels.shape
    plain = [{"size": [height, width], "counts": each} for each in counts.values()]
    encoded = _pycocotools().frPyObjects(plain, height, width) if plain else []
    return {label: rle["counts"].decode() for label, rle in zip(counts, encoded, strict=True)}


def _strings_of_stack(labels: Labels) -> dict[int, str]:
    present = np.unique(labels[labels > 0])
    stack = np.asfortranarray(labels[:, :, None] == present, np.uint8)
    return {
        int(label): rle["counts"].decode() for label, rle in zip(present, _pycocotools().encode(stack), strict=True)
    }


def _labels_by_numpy(rles: list[str], shape: tuple[int, ...]) -> Labels:
    flat = np.zeros(shape[0] * shape[1], np.uint32)
    for label, rle in enumerate(rles, 1):
        numbers = np.array(rle.split(), np.int64)
        for start, length in zip(numbers[::2] - 1, numbers[1::2], strict=True):
            flat[start : start + length] = label
    return flat.reshape(shape, order="F")


def _labels_by_rlemasklib(rlemasklib: Any, rles: list[dict[str, Any]], shape: tuple[int, ...]) -> Labels:
    labels = np.zeros(shape, np.uint32)
    for label, rle in enumerate(rles, 1):
        rlemasklib.RLEMask.from_dict(rle).decode_into(labels, fg_value=label)
    return labels


def _only_counts(rles: dict[int, masks.CocoRle]) -> dict[int, Any]:
    return {label: rle["counts"] for label, rle in rles.items()}


def _sides(boxes: NDArray[np.float64]) -> NDArray[np.float64]:
    """First row and column and those after the last, from x, y, width and height."""
    left, top, width, height = boxes.T
    return np.column_stack((top, left, top + height, left + width))


def _pycocotools() -> Any:
    if not installed("pycocotools"):
        return None
    from pycocotools import mask

    return mask


def _equal(ours: Any, _: str, theirs: Any) -> None:
    assert ours == theirs


def _equal_arrays(ours: Any, _: str, theirs: Any) -> None:
    np.testing.assert_array_equal(ours, theirs)


def _close_arrays(ours: Any, _: str, theirs: Any) -> None:
    np.testing.assert_allclose(ours, theirs, rtol=1e-6)

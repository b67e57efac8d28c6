"""Correct a label image: merge, delete, divide along a line or at points, tidy. Every function returns a new image.

A nucleus stays one piece. A function that cannot do what was asked raises an error and changes nothing.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from nucleus_unet import _core
from nucleus_unet.errors import MaskError
from nucleus_unet.masks import distance, fill_holes, label, watershed

Labels = NDArray[np.uint32]

# Pixels of background that a merge bridges at most between two pieces.
_BRIDGE = 4
# A smaller piece beside a line is no nucleus; it stays with its neighbour.
_LEAST_PIECE = 10
# A neck is at most this share as wide as the parts on both sides of it.
_NECK = 0.9
# Pixels. What lies farther away is no place in a window.
_FARTHEST = 1e12
# The corners of a line are rounded to this part of a pixel.
_STEPS = 16

Seeds = Callable[[Labels, int, tuple[slice, slice]], Labels]
"""Gets the labels around a nucleus, its label, and where they lie; returns the numbered beginnings of its parts."""
Spread = Callable[[NDArray[np.bool_], Labels], Labels]
"""Gets the mask of a nucleus and the beginnings of its parts; returns the part of each pixel."""


def as_labels(values: ArrayLike) -> Labels:
    """Return labels of any integer type as uint32, in any number of axes; a copy, unless they are uint32 already.

    Raises
    ------
    MaskError
        If they are not integers, or below 0 or beyond 32 bits.

    Examples
    --------
    >>> as_labels(np.array([[0, 300]], np.int64))
    array([[  0, 300]], dtype=uint32)
    """
    labels = np.asarray(values)
    if labels.dtype.kind not in "biu":
        raise MaskError(f"labels: expected integers, got {labels.dtype}")
    most = np.iinfo(np.uint32).max
    if labels.size and labels.dtype != np.uint32 and not 0 <= labels.min() <= labels.max() <= most:
        raise MaskError(f"labels: expected 0 to {most}, got {labels.min()} to {labels.max()}")
    return labels.astype(np.uint32, copy=False)


def labels_under(labels: Labels, points: ArrayLike) -> list[int]:
    """Return the labels at points, each once, in order; points on background and beyond the image are passed over.

    Parameters
    ----------
    labels : (H, W) array of uint32
        Label image.
    points : (N, 2) array
        Rows and columns.

    Examples
    --------
    >>> labels_under(np.array([[0, 7, 7, 2]], np.uint32), [[0, 2.4], [0, 1], [0, 3], [5, 5]])
    [7, 2]
    """
    rows, columns = _pixels(points, labels.shape)
    return [number for number in dict.fromkeys(labels[rows, columns].tolist()) if number]


def delete(labels: Labels, numbers: Iterable[int]) -> Labels:
    """Make nuclei background.

    Parameters
    ----------
    labels : (H, W) array of uint32
        Label image.
    numbers
        Labels of the nuclei.

    Raises
    ------
    MaskError
        If there are none.

    Examples
    --------
    >>> delete(np.array([[1, 1, 0, 2]], np.uint32), [1])
    array([[0, 0, 0, 2]], dtype=uint32)
    """
    chosen = list(numbers)
    if not chosen:
        raise MaskError("delete: expected at least one nucleus, got none: click on nuclei first")
    return np.where(np.isin(labels, chosen), np.uint32(0), labels)


def merge(labels: Labels, numbers: Sequence[int]) -> Labels:
    """Make several nuclei one, with the label of the first. Gaps of some pixels between them are filled.

    Parameters
    ----------
    labels : (H, W) array of uint32
        Label image.
    numbers
        Labels of the nuclei.

    Raises
    ------
    MaskError
        If there are fewer than two, or if they lie apart.

    Examples
    --------
    >>> merge(np.array([[4, 4, 0, 9, 9, 2]], np.uint32), [9, 4])
    array([[9, 9, 9, 9, 9, 2]], dtype=uint32)
    """
    numbers = [number for number in dict.fromkeys(numbers) if number]  # 0 is background
    if len(numbers) < 2:
        raise MaskError(f"merge: expected at least 2 nuclei, got {len(numbers)}: click on each of them first")
    top, left, bottom, right = _box(labels, numbers, margin=_BRIDGE)
    near = labels[top:bottom, left:right]
    joined = np.isin(near, numbers)
    if _is_in_pieces(joined):
        joined |= _bridges(near, numbers)
    if _is_in_pieces(joined):
        raise MaskError(
            f"merge: expected nuclei that touch or lie at most {_BRIDGE} pixels apart, got "
            f"{', '.join(map(str, numbers))}: paint what is between them first"
        )
    merged = labels.copy()
    merged[top:bottom, left:right][joined] = numbers[0]
    return merged


def _is_in_pieces(mask: NDArray[np.bool_]) -> bool:
    return bool(label(mask, connectivity=2).max(initial=0) > 1)


def _bridges(near: Labels, numbers: Sequence[int]) -> NDArray[np.bool_]:
    """Return the pixels of background between pieces, where the gap is about as narrow as it gets."""
    pieces = label(np.where(np.isin(near, numbers), 1, 0), connectivity=2)
    away = np.stack([distance(pieces != number) for number in range(1, int(pieces.max()) + 1)])
    nearest = np.sort(away, axis=0)
    gap = np.where(near == 0, nearest[0] + nearest[1], np.inf)
    bridges = np.zeros(near.shape, bool)
    # Each piece is joined to the others where it is nearest to one of them.
    for piece in away:
        own = np.where(piece == nearest[0], gap, np.inf)
        bridges |= own <= min(own.min() + 1, _BRIDGE + 1)
    return bridges


class Divided(NamedTuple):
    """A label image in which nuclei were divided.

    Attributes
    ----------
    labels : (H, W) array of uint32
        The image. The largest part of a nucleus keeps its label.
    parts
        For each nucleus that was divided, the labels of its parts.
    """

    labels: Labels
    parts: dict[int, list[int]]


def divide_along(labels: Labels, line: ArrayLike, *, first: int | None = None) -> Divided:
    """Divide every nucleus that a line cuts into pieces. Each pixel under the line goes to the nearest piece.

    Parameters
    ----------
    labels : (H, W) array of uint32
        Label image.
    line : (N, 2) array
        Rows and columns of the corners of the line.
    first
        First label for new nuclei. Default: one more than the greatest.

    Raises
    ------
    MaskError
        If the line cuts no nucleus into pieces.

    Examples
    --------
    >>> divide_along(np.full((4, 12), 3, np.uint32), [[-1, 5], [4, 5]], first=8).parts
    {3: [3, 8]}
    """
    rows, columns = _line_pixels(np.asarray(line, float).reshape(-1, 2), labels.shape)
    under = np.zeros(labels.shape, bool)
    under[rows, columns] = True

    def seeds(near: Labels, number: int, place: tuple[slice, slice]) -> Labels:
        pieces = label((near == number) & ~under[place])
        areas = np.bincount(pieces.ravel())
        small = areas < _LEAST_PIECE
        pieces[small[pieces]] = 0
        return _core.relabel_sequential(pieces)[0]

    divided = _divide(labels, np.unique(labels[under]).tolist(), seeds, _nearest, first)
    if not divided.parts:
        raise MaskError("split: expected a line across a nucleus from border to border, got one that cuts none in two")
    return divided


def divide_at(labels: Labels, points: ArrayLike, *, first: int | None = None) -> Divided:
    """Divide every nucleus that has several points into as many parts, along the neck between them.

    Parameters
    ----------
    labels : (H, W) array of uint32
        Label image.
    points : (N, 2) array
        Rows and columns, one for each nucleus that there should be.
    first
        First label for new nuclei. Default: one more than the greatest.

    Raises
    ------
    MaskError
        If no nucleus has at least two points.

    Examples
    --------
    >>> divide_at(np.full((4, 12), 3, np.uint32), [[2, 2], [2, 9]]).labels[0]
    array([3, 3, 3, 3, 3, 3, 4, 4, 4, 4, 4, 4], dtype=uint32)
    """
    rows, columns = _pixels(points, labels.shape)
    markers = np.zeros(labels.shape, np.uint32)
    markers[rows, columns] = np.arange(1, len(rows) + 1)

    def seeds(near: Labels, number: int, place: tuple[slice, slice]) -> Labels:
        inside = np.where(near == number, markers[place], np.uint32(0))
        return _core.relabel_sequential(inside)[0]

    under = np.unique(labels[rows, columns])
    divided = _divide(labels, under[under > 0].tolist(), seeds, _by_necks, first)
    if not divided.parts:
        raise MaskError("split: expected at least 2 points in one nucleus, got none with 2: click on each part of it")
    return divided


def _nearest(mask: NDArray[np.bool_], seeds: Labels) -> Labels:
    level = np.zeros(mask.shape, np.uint8)
    # Steps along edges measure distances better than those across corners, which reach the rest.
    return watershed(level, watershed(level, seeds, mask=mask), mask=mask, connectivity=2)


def _by_necks(mask: NDArray[np.bool_], seeds: Labels) -> Labels:
    """Divide a mask where it is narrow. Where no neck separates the seeds, each pixel goes to the nearest of them."""
    depth = distance(np.pad(mask, 1))[1:-1, 1:-1]
    parts = watershed(-depth, seeds, mask=mask, connectivity=2)
    count = int(parts.max()) + 1
    widest, borders = np.zeros(count, np.float32), np.zeros(count, np.float32)
    np.maximum.at(widest, parts, depth)
    for one, other in ((np.s_[1:], np.s_[:-1]), (np.s_[:, 1:], np.s_[:, :-1])):
        meet = (parts[one] != parts[other]) & mask[one] & mask[other]
        width = np.minimum(depth[one], depth[other])[meet]
        np.maximum.at(borders, parts[one][meet], width)
        np.maximum.at(borders, parts[other][meet], width)
    return parts if (borders[1:] <= _NECK * widest[1:]).all() else _nearest(mask, seeds)


def _divide(labels: Labels, numbers: Iterable[int], seeds: Seeds, spread: Spread, first: int | None) -> Divided:
    divided = labels.copy()
    following = int(labels.max(initial=0)) + 1 if first is None else first
    parts: dict[int, list[int]] = {}
    for number in numbers:
        if number == 0:
            continue
        top, left, bottom, right = _box(labels, [number], margin=0)
        place = np.s_[top:bottom, left:right]
        near = labels[place]
        found = seeds(near, number, place)
        if found.max(initial=0) < 2:
            continue
        mask = near == number
        spreads = spread(mask, found)
        order = np.argsort(-np.bincount(spreads[mask])[1:], kind="stable") + 1
        names = [number, *range(following, following + len(order) - 1)]
        _check_label(names[-1])
        following += len(order) - 1
        table = np.full(len(order) + 1, number, np.uint32)  # a piece without a beginning keeps the label
        table[order] = names
        divided[place][mask] = table[spreads[mask]]
        parts[number] = names
    return Divided(divided, parts)


def tidy(labels: Labels, *, least: int = _LEAST_PIECE, first: int | None = None) -> Labels:
    """Make every nucleus one piece without holes. Further pieces become nuclei of their own; specks are removed.

    Parameters
    ----------
    labels : (H, W) array of uint32
        Label image, such as one that was painted by hand.
    least
        Least area of a nucleus in pixels.
    first
        First label for new nuclei. Default: one more than the greatest.

    Examples
    --------
    >>> tidy(np.array([[5, 5, 0, 5, 0, 6]], np.uint32), least=1)
    array([[5, 5, 0, 7, 0, 6]], dtype=uint32)
    >>> tidy(np.array([[5, 5, 0, 5, 0, 6]], np.uint32), least=2)
    array([[5, 5, 0, 0, 0, 0]], dtype=uint32)
    """
    pieces = label(labels, connectivity=2)
    count = int(pieces.max(initial=0))
    owner = np.zeros(count + 1, np.uint32)
    owner[pieces.ravel()] = labels.ravel()
    areas = np.bincount(pieces.ravel(), minlength=count + 1)
    following = int(labels.max(initial=0)) + 1 if first is None else first
    names = np.zeros(count + 1, np.uint32)
    taken: set[int] = set()
    for piece in np.argsort(-areas[1:], kind="stable") + 1:
        number = int(owner[piece])
        if areas[piece] < least:
            continue
        if number in taken:
            number, following = following, following + 1
            _check_label(number)
        taken.add(number)
        names[piece] = number
    return fill_holes(names[pieces])


def _check_label(number: int) -> None:
    if number > np.iinfo(np.uint32).max:
        raise MaskError("labels: expected room for one more number, got the greatest of 32 bits: relabel the image")


def _box(labels: Labels, numbers: Sequence[int], *, margin: int) -> tuple[int, int, int, int]:
    """Return the half-open box around nuclei, with a margin, within the image."""
    inside = np.isin(labels, numbers)
    rows, columns = np.flatnonzero(inside.any(axis=1)), np.flatnonzero(inside.any(axis=0))
    if not len(rows):
        raise MaskError(f"expected nuclei of the label image, got {', '.join(map(str, numbers))}, which are not there")
    height, width = labels.shape
    return (
        max(0, int(rows[0]) - margin),
        max(0, int(columns[0]) - margin),
        min(height, int(rows[-1]) + 1 + margin),
        min(width, int(columns[-1]) + 1 + margin),
    )


def _pixels(points: ArrayLike, shape: tuple[int, ...]) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Return the pixels at points that lie on an image."""
    rounded = np.rint(np.asarray(points, float).reshape(-1, 2))
    rounded = rounded[((rounded >= 0) & (rounded < shape)).all(axis=1)].astype(np.intp)
    return rounded[:, 0], rounded[:, 1]


def _line_pixels(line: NDArray[np.float64], shape: tuple[int, ...]) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Return the pixels of an image under a line. They separate what lies on both sides along pixel edges.

    A diagonal step leaves a corner between both sides, which pieces that are connected by edges do not cross.
    """
    line = np.clip(line[np.isfinite(line).all(axis=1)], -_FARTHEST, _FARTHEST)
    corners = np.rint(line * _STEPS).astype(np.int64).tolist()
    path = [(_nearest_pixel(row, _STEPS), _nearest_pixel(column, _STEPS)) for row, column in corners]
    for start, stop in itertools.pairwise(corners):
        path += _between(start, stop, shape)
    return _pixels(path, shape)


def _between(start: list[int], stop: list[int], shape: tuple[int, ...]) -> list[tuple[int, int]]:
    """Return one pixel for each row of a steep line between two corners, or for each column of a flat one.

    The places are whole numbers of steps, so the pixels do not depend on where the image ends.
    """
    axis = 0 if abs(stop[0] - start[0]) >= abs(stop[1] - start[1]) else 1
    (begin, base), (end, other) = sorted([(start[axis], start[1 - axis]), (stop[axis], stop[1 - axis])])
    length = end - begin
    if length == 0:
        return []
    path = []
    for pixel in range(max(0, -(-begin // _STEPS)), min(shape[axis] - 1, end // _STEPS) + 1):
        across = base * length + (pixel * _STEPS - begin) * (other - base)
        path.append((pixel, _nearest_pixel(across, length * _STEPS)))
    return path if axis == 0 else [(row, column) for column, row in path]


def _nearest_pixel(place: int, unit: int) -> int:
    """Return the whole number nearest to ``place / unit``; a half is rounded up."""
    return (2 * place + unit) // (2 * unit)

"""Grouping by a slow reading of its contract, and exact targets."""

import math
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from nucleus_unet import _core
from numpy.typing import NDArray
from scipy import ndimage

Maps = NDArray[np.uint8]
Grouped = tuple[NDArray[np.uint32], NDArray[np.int64], NDArray[np.float32], NDArray[np.float32]]
EVERYWHERE = np.ones((3, 3), bool)


@dataclass(frozen=True)
class Options:
    foreground_threshold: float = 0.5
    centre_threshold: float = 0.3
    centre_sigma: float = 0.0
    window: int = 2
    merge_distance: float = 0.0
    merge_dip: float = 0.1
    assignment_radius: float = 3.0
    max_offset: int = 64
    min_area: int = 0
    min_score: float = 0.0
    min_peak: float = 0.0


def group(maps: Maps, options: Options, threads: int | None = None) -> Grouped:
    labels, centres, scores, peaks, _, _ = _core.group(maps, **asdict(options), threads=threads)
    return labels, centres, scores, peaks


def smoothed(heat: Maps, sigma: float) -> NDArray[np.int64]:
    if sigma == 0:
        return heat.astype(np.int64) * 65536
    radius = math.ceil(3 * sigma)
    ideal = [math.exp(-0.5 * (d / sigma) ** 2) for d in range(radius + 1)]
    total = ideal[0] + 2 * sum(ideal[1:])
    tails = [round(256 * math.fsum(ideal[d:]) / total) for d in range(1, radius + 1)] + [0]
    side = [tails[d] - tails[d + 1] for d in range(radius)]
    weights = np.array([*side[::-1], 256 - 2 * sum(side), *side])
    across = ndimage.correlate1d(heat.astype(np.int64), weights, axis=1, mode="nearest")
    return np.asarray(ndimage.correlate1d(across, weights, axis=0, mode="nearest"))


def bresenham(start: tuple[int, int], end: tuple[int, int]) -> list[tuple[int, int]]:
    """Pixels of the line, after scikit-image's definition."""
    from skimage.draw import line

    return list(zip(*line(*start, *end), strict=True))


def centres_by_definition(heat: NDArray[np.int64], options: Options) -> list[tuple[int, int]]:
    def rank(pixel: tuple[int, int]) -> tuple[int, int, int]:
        return (-int(heat[pixel]), *pixel)

    least = max(1, options.centre_threshold * 255 * 65536)
    candidates = []
    for pixel in np.ndindex(heat.shape):
        around = [
            (r, c)
            for r in range(max(0, pixel[0] - options.window), min(heat.shape[0], pixel[0] + options.window + 1))
            for c in range(max(0, pixel[1] - options.window), min(heat.shape[1], pixel[1] + options.window + 1))
        ]
        if heat[pixel] >= least and min(around, key=rank) == pixel:
            candidates.append(pixel)

    def yields(lower: tuple[int, int], higher: tuple[int, int]) -> bool:
        return (
            rank(higher) < rank(lower)
            and math.dist(higher, lower) <= options.merge_distance
            and min(int(heat[p]) for p in bresenham(lower, higher)) * 65536
            >= int(heat[lower]) * round((1 - options.merge_dip) * 65536)
        )

    return [lower for lower in candidates if not any(yields(lower, higher) for higher in candidates)]


def owners_by_definition(maps: Maps, centres: list[tuple[int, int]], options: Options) -> NDArray[np.int64]:
    """Index + 1 of the centre each pixel goes to."""
    owners = np.zeros(maps.shape[:2], np.int64)
    for r, c in np.ndindex(owners.shape):
        if maps[r, c, 0] < options.foreground_threshold * 255:
            continue
        dr, dc = (max(-options.max_offset, min(options.max_offset, (int(v) - 128) / 2)) for v in maps[r, c, 2:])
        ranked = [((cr - r - dr) ** 2 + (cc - c - dc) ** 2, cr, cc, i) for i, (cr, cc) in enumerate(centres)]
        if ranked and min(ranked)[0] <= options.assignment_radius**2:
            owners[r, c] = min(ranked)[3] + 1
    return owners


def cleaned_by_definition(owners: NDArray[np.int64], owner: int) -> NDArray[np.bool_]:
    pieces, count = ndimage.label(owners == owner)
    sizes = [int((pieces == piece).sum()) for piece in range(1, count + 1)]
    # scipy numbers pieces by their first pixels, and index() finds the first of equals.
    main = pieces == 1 + sizes.index(max(sizes))
    padded = np.pad(main, 1)
    outside, _ = ndimage.label(~padded, EVERYWHERE)
    enclosed = ((outside != outside[0, 0]) & ~padded)[1:-1, 1:-1]
    free = enclosed & ((owners == 0) | (owners == owner))
    regions, count = ndimage.label(free, EVERYWHERE)
    touching = ndimage.binary_dilation(main, EVERYWHERE)
    for region in range(1, count + 1):
        if (touching & (regions == region)).any():
            main = main | (regions == region)
    return np.asarray(main)


def group_by_definition(maps: Maps, options: Options) -> Grouped:
    heat = smoothed(maps[..., 1], options.centre_sigma)
    centres = centres_by_definition(heat, options)
    owners = owners_by_definition(maps, centres, options)
    found = []
    for index, centre in enumerate(centres):
        if not (owners == index + 1).any() or heat[centre] < options.min_peak * 255 * 65536:
            continue
        mask = cleaned_by_definition(owners, index + 1)
        score = int(maps[..., 0][mask].sum()) / (255 * int(mask.sum()))
        if mask.sum() >= options.min_area and score >= options.min_score:
            found.append((int(np.flatnonzero(mask)[0]), mask, centre, score, heat[centre] / (255 * 65536)))
    labels = np.zeros(maps.shape[:2], np.uint32)
    found.sort(key=lambda nucleus: nucleus[0])
    for label, (_, mask, *_) in enumerate(found, 1):
        assert not labels[mask].any(), "two nuclei claim one pixel"
        labels[mask] = label
    return (
        labels,
        np.array([nucleus[2] for nucleus in found], np.int64).reshape(-1, 2),
        np.array([nucleus[3] for nucleus in found], np.float32),
        np.array([nucleus[4] for nucleus in found], np.float32),
    )


def assert_same(one: Grouped, other: Grouped) -> None:
    pairs: list[tuple[NDArray[Any], NDArray[Any]]] = list(zip(one, other, strict=True))
    for got, expected in pairs:
        assert got.dtype == expected.dtype
        np.testing.assert_array_equal(got, expected)


def centre_of(mask: NDArray[np.bool_]) -> tuple[int, int]:
    pixels = np.argwhere(mask)
    row, column = pixels[np.argmin(((pixels - pixels.mean(0)) ** 2).sum(1))].tolist()
    return row, column


def exact_targets(labels: NDArray[np.uint32], sigma: float = 4.0) -> Maps:
    maps = np.full((*labels.shape, 4), 128, np.uint8)
    maps[..., :2] = 0
    r, c = np.mgrid[: labels.shape[0], : labels.shape[1]]
    for label in np.unique(labels[labels > 0]):
        mask = labels == label
        row, column = centre_of(mask)
        squared = (r - row) ** 2 + (c - column) ** 2
        maps[mask, 0] = 255
        maps[mask, 1] = np.where(squared == 0, 255, np.minimum(254, 255 * np.exp(-squared / (2 * sigma**2))))[mask]
        maps[mask, 2] = (128 + 2 * (row - r))[mask]
        maps[mask, 3] = (128 + 2 * (column - c))[mask]
    return maps

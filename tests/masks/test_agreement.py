"""Each kernel against its oracle on a thousand images: a quarter each of real masks, plateaus, ties and noise."""

from collections.abc import Iterator
from typing import Any

import imagecodecs
import numpy as np
import pytest
from helpers.grouping import Options, assert_same, exact_targets, group, group_by_definition
from helpers.oracles import (
    blended,
    distances_by_scipy,
    filled_label_by_label,
    kaggle_by_numpy,
    labelled_by_skimage,
    nearest_by_brute_force,
    pycocotools_encode,
    ranked,
    rasterised,
    shared,
    shared_by_numpy,
)
from helpers.paths import EXAMPLES
from nucleus_unet import _core
from nucleus_unet.masks import (
    blend_tiles,
    clear_border,
    coco_to_labels,
    distance,
    expand_labels,
    fill_holes,
    filter_by_area,
    kaggle_to_labels,
    label,
    labels_to_coco,
    labels_to_kaggle,
    merge_mask_pngs,
    overlap_table,
    regionprops_table,
    relabel_by_position,
    rle_areas,
    rle_boxes,
    rle_iou,
    watershed,
)
from numpy.typing import NDArray
from pycocotools import mask as pycocotools
from scipy import ndimage
from scipy.spatial import ConvexHull
from skimage import segmentation
from skimage.measure import regionprops_table as skimage_table

Labels = NDArray[np.uint32]

CASES = 1000
MASKS = EXAMPLES / "masks"
REAL: list[NDArray[np.uint16]] = [imagecodecs.imread(path) for path in sorted(MASKS.glob("*.png"))]


def real_crop(rng: np.random.Generator, height: int, width: int) -> NDArray[Any]:
    """Part of a labelled photograph, turned; half of them at half the size, so that nuclei are cut and lie closer."""
    mask = REAL[rng.integers(len(REAL))]
    if rng.random() < 0.5:
        mask = mask[::2, ::2]
    top, left = rng.integers(0, np.array(mask.shape) - (height, width) + 1)
    return np.rot90(mask[top : top + height, left : left + width], rng.integers(4))


def plateaus(rng: np.random.Generator, height: int, width: int) -> NDArray[Any]:
    """Large squares of few labels, which touch in edges and corners."""
    side = rng.integers(2, 7)
    squares = rng.integers(0, rng.integers(2, 5), (height // side + 1, width // side + 1))
    return squares.repeat(side, axis=0).repeat(side, axis=1)[:height, :width]


def ties(rng: np.random.Generator, height: int, width: int) -> NDArray[Any]:
    """Single pixels at the nodes of a lattice: between them all is as near to one as to another."""
    step = rng.integers(2, 6)
    dots = np.zeros((height, width), np.int64)
    nodes = dots[:: step + 1, ::step]
    nodes[...] = rng.permutation(nodes.size).reshape(nodes.shape) + 1
    return dots


def noise(rng: np.random.Generator, height: int, width: int) -> NDArray[Any]:
    """Pixels that know nothing of each other, of some labels, the largest among them."""
    density = rng.choice([0.005, 0.5, 1.0])
    return np.where(rng.random((height, width)) < density, rng.choice([0, 1, 2, 7, 2**32 - 1], (height, width)), 0)


def images(largest: int) -> Iterator[tuple[Labels, np.random.Generator]]:
    """Yield a thousand label images of up to so many pixels a side, each with what draws the rest of its case."""
    kinds = (real_crop, plateaus, ties, noise)
    for number in range(CASES):
        rng = np.random.default_rng(number)
        height, width = rng.integers(1, largest + 1, 2)
        if number % 8 == 7:  # beyond the 64 rows that some kernels take together, and with little in it
            height, width = 3 * height, max(1, width // 3)
        yield np.ascontiguousarray(kinds[number % len(kinds)](rng, height, width), np.uint32), rng


def present(labels: Labels) -> list[int]:
    return [int(value) for value in np.unique(labels) if value]


def test_run_lengths_are_those_of_numpy_and_pycocotools_and_decode_to_the_labels() -> None:
    for labels, _ in images(64):
        kaggle, coco = labels_to_kaggle(labels), labels_to_coco(labels)
        assert kaggle == {value: kaggle_by_numpy(labels, value) for value in present(labels)}
        strings = {value: rle["counts"] for value, rle in coco.items()}
        assert strings == {value: pycocotools_encode(labels, value)["counts"].decode() for value in present(labels)}
        for decoded, _ in (
            kaggle_to_labels(kaggle.values(), labels.shape),
            coco_to_labels(coco.values(), labels.shape),
        ):
            np.testing.assert_array_equal(decoded, ranked(labels))


def test_areas_boxes_and_iou_of_run_lengths_are_those_of_pycocotools() -> None:
    for labels, rng in images(48):
        moved = np.roll(labels, rng.integers(-3, 4, 2), (0, 1))
        theirs, others = ([pycocotools_encode(each, value) for value in present(each)] for each in (labels, moved))
        ours = labels_to_coco(labels).values()
        np.testing.assert_array_equal(rle_areas(ours, labels.shape), [pycocotools.area(rle) for rle in theirs])
        left, top, width, height = np.reshape([pycocotools.toBbox(rle) for rle in theirs], (-1, 4)).T
        np.testing.assert_array_equal(rle_boxes(ours, labels.shape).T, [top, left, top + height, left + width])
        expected = pycocotools.iou(theirs, others, [0] * len(others)) if theirs else np.empty((0, len(others)))
        np.testing.assert_allclose(rle_iou(ours, labels_to_coco(moved).values(), labels.shape), expected, rtol=1e-12)


def test_mask_files_are_merged_to_the_labels_that_they_were_made_of() -> None:
    for labels, _ in images(40):
        masks = [(labels == value).astype(np.uint8) * 255 for value in present(labels)]
        merged, report = merge_mask_pngs([imagecodecs.png_encode(mask) for mask in masks], labels.shape)
        np.testing.assert_array_equal(merged, ranked(labels))
        assert not report.overlaps


@pytest.mark.parametrize("connectivity", [1, 2])
def test_components_are_those_of_scikit_image(connectivity: int) -> None:
    for labels, rng in images(64):
        image = labels > 0 if rng.random() < 0.5 else labels
        expected = labelled_by_skimage(image, connectivity)
        np.testing.assert_array_equal(label(image, connectivity=connectivity), expected)


def test_distances_are_those_of_scipy() -> None:
    for labels, rng in images(64):
        image = labels > 0 if rng.random() < 0.5 else labels
        np.testing.assert_array_equal(distance(image), distances_by_scipy(image))


@pytest.mark.parametrize("dtype", [np.uint8, np.float32])
def test_the_watershed_is_that_of_scikit_image(dtype: type[np.generic]) -> None:
    for labels, rng in images(48):
        depth = ndimage.distance_transform_edt(np.pad(labels > 0, 1))[1:-1, 1:-1]
        levels = rng.integers(0, 3, labels.shape) if rng.random() < 0.3 else np.rint(depth.max() - depth)
        markers = np.where(rng.random(labels.shape) < 0.05, rng.integers(1, 9, labels.shape), 0)
        mask = labels > 0 if rng.random() < 0.5 else None
        connectivity = int(rng.integers(1, 3))
        found = watershed(levels.astype(dtype), markers, mask=mask, connectivity=connectivity)
        expected = segmentation.watershed(levels.astype(dtype), markers, mask=mask, connectivity=connectivity)
        np.testing.assert_array_equal(found, expected)


def test_nuclei_are_grouped_as_the_contract_says() -> None:
    for labels, rng in images(16):
        maps = exact_targets(labels).astype(np.int64)
        shaken = maps + rng.integers(-6, 7, maps.shape) * (rng.random(maps.shape) < rng.choice([0.0, 0.3, 1.0]))
        options = Options(
            centre_sigma=float(rng.choice([0.0, 1.0])),
            window=int(rng.integers(1, 4)),
            merge_distance=float(rng.choice([0.0, 5.0])),
            min_area=int(rng.integers(0, 5)),
            min_score=float(rng.choice([0.0, 0.6])),
        )
        clipped = np.clip(shaken, 0, 255).astype(np.uint8)
        assert_same(group(clipped, options), group_by_definition(clipped, options))


def test_measures_are_those_of_scikit_image() -> None:
    for labels, rng in images(48):
        if not labels.any():
            continue
        intensity = rng.normal(100, 50, labels.shape).astype(np.float32)
        found, areas, boxes, centroids, intensities = _core.measure(labels, intensity=intensity)
        names = ("label", "area", "bbox", "centroid", "intensity_mean")
        table = skimage_table(ranked(labels).astype(np.int64), intensity.astype(np.float64), properties=names)
        np.testing.assert_array_equal(found, present(labels))
        np.testing.assert_array_equal(areas, table["area"])
        np.testing.assert_array_equal(boxes.T, [table[f"bbox-{side}"] for side in range(4)])
        np.testing.assert_allclose(centroids.T, [table["centroid-0"], table["centroid-1"]], rtol=1e-12)
        np.testing.assert_allclose(intensities, table["intensity_mean"], rtol=1e-9, atol=1e-9)


def test_shapes_are_those_of_scikit_image_and_hulls_those_of_scipy() -> None:
    for labels, rng in images(48):
        if not labels.any():
            continue
        intensity = rng.normal(100, 50, labels.shape).astype(np.float32)
        found = regionprops_table(labels, intensity)
        names = (
            "axis_major_length",
            "axis_minor_length",
            "perimeter",
            "intensity_mean",
            "intensity_min",
            "intensity_max",
        )
        expected = skimage_table(ranked(labels).astype(np.int64), intensity, properties=(*names, "inertia_tensor"))
        for name in names:
            # A line has no shorter axis, up to rounding of what its root is taken of.
            np.testing.assert_allclose(found[name], expected[name], rtol=1e-6, atol=1e-5, err_msg=name)
        down, both, right = (expected[f"inertia_tensor-{place}"] for place in ("1-1", "0-1", "0-0"))
        clear = np.hypot(down - right, 2 * both) > 1e-9  # a circle has no longer axis
        angles = 0.5 * np.arctan2(-2 * both, down - right)
        turned = np.abs(np.sin(found["orientation"] - angles))[clear]
        np.testing.assert_allclose(turned, 0, atol=1e-6)
        for value, area in zip(present(labels), found["area_convex"], strict=True):
            rows, columns = np.nonzero(labels == value)
            corners = [
                (row + down, column + right)
                for down in (0, 1)
                for right in (0, 1)
                for row, column in zip(rows, columns, strict=True)
            ]
            assert area == pytest.approx(ConvexHull(corners).volume, rel=1e-12)


def test_overlap_tables_are_those_of_numpy() -> None:
    for labels, rng in images(48):
        moved = np.roll(labels, rng.integers(-5, 6, 2), (0, 1))
        assert list(shared(overlap_table(labels, moved)).items()) == list(shared_by_numpy(labels, moved).items())


def test_filled_outlines_are_the_labels() -> None:
    for labels, _ in images(48):
        painted = np.zeros_like(labels)
        for value, polygons in zip(present(labels), _core.contours(labels), strict=True):
            for polygon in polygons:
                painted[rasterised(polygon, labels.shape)] = value
        np.testing.assert_array_equal(painted, labels)


def test_labels_in_sequence_count_first_pixels_and_are_undone_by_their_table() -> None:
    for labels, _ in images(64):
        sequential, old = relabel_by_position(labels)
        assert [*dict.fromkeys(sequential[sequential > 0].tolist())] == [*range(1, len(present(labels)) + 1)]
        np.testing.assert_array_equal(old[sequential], labels)


def test_labels_are_filtered_by_area_and_border_as_by_numpy_and_scikit_image() -> None:
    for labels, rng in images(64):
        least = int(rng.integers(0, 40))
        areas = np.append(0, np.bincount(ranked(labels).ravel())[1:])
        expected = np.where(areas[ranked(labels)] >= least, labels, 0)
        np.testing.assert_array_equal(filter_by_area(labels, min_area=least), expected)
        whole = segmentation.clear_border(labelled_by_skimage(labels, 1))
        np.testing.assert_array_equal(clear_border(labelled_by_skimage(labels, 1)), whole)


def test_holes_are_filled_as_by_scipy_label_by_label() -> None:
    for labels, _ in images(24):
        np.testing.assert_array_equal(fill_holes(labels), filled_label_by_label(labels))


def test_labels_expand_to_the_nearest_as_by_brute_force() -> None:
    for labels, rng in images(14):
        reach = float(rng.choice([1.0, 2**0.5, 2.5, 5.0, np.inf]))
        np.testing.assert_array_equal(expand_labels(labels, reach), nearest_by_brute_force(labels, reach))


def test_tiles_blend_to_their_weighted_mean() -> None:
    for labels, rng in images(24):
        side = int(rng.integers(1, 7))
        corners = np.array([[top, left] for top in range(0, 24, 5) for left in range(0, 24, 7)][: rng.integers(1, 12)])
        tiles = rng.normal(size=(len(corners), side, side, 1)).astype(np.float32)
        weights = rng.integers(0, 4, (side, side)).astype(np.float32)
        found = blend_tiles(tiles, corners, labels.shape, weights=weights)
        np.testing.assert_array_equal(found, blended(tiles, corners, labels.shape, weights))

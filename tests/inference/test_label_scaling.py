"""Labels at the model's scale become labels of the image's pixels, with smooth outlines."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from nucleus_unet import _core
from nucleus_unet.errors import MaskError
from nucleus_unet.inference.label_scaling import axis_points, scale_labels
from nucleus_unet.preprocessing.resample import scaled_size
from numpy.typing import NDArray
from scipy.ndimage import map_coordinates


def by_interpolation(
    labels: NDArray[np.uint32], foreground: NDArray[np.uint8], shape: tuple[int, int], scale: float, threshold: float
) -> NDArray[np.uint32]:
    """Interpolate the level of each nucleus with scipy."""
    positions = np.meshgrid(*((np.arange(size) + 0.5) * scale - 0.5 for size in shape), indexing="ij")
    distance = np.maximum(np.abs(foreground - 255 * threshold), 0.5)
    result = np.zeros(shape, np.uint32)
    for label in np.unique(labels[labels > 0]):
        level = np.where(labels == label, distance, -distance)
        result[map_coordinates(level, positions, order=1, mode="nearest") > 1e-9] = label
    return result


def random_case(seed: int, shape: tuple[int, int], scale: float) -> tuple[NDArray[np.uint32], NDArray[np.uint8]]:
    rng = np.random.default_rng(seed)
    scaled = tuple(scaled_size(size, scale) for size in shape)
    return rng.integers(0, 4, scaled, dtype=np.uint32), rng.integers(0, 256, scaled, dtype=np.uint8)


@given(
    shape=st.tuples(st.integers(1, 40), st.integers(1, 40)),
    scale=st.sampled_from([0.13, 0.25, 0.37, 0.5, 0.9, 1.3, 2.0, 5.1]),
    threshold=st.sampled_from([0.2, 0.45, 0.5]),
    seed=st.integers(0, 999),
)
def test_each_nucleus_covers_the_pixels_at_which_its_interpolated_level_is_positive(
    shape: tuple[int, int], scale: float, threshold: float, seed: int
) -> None:
    labels, foreground = random_case(seed, shape, scale)
    result = scale_labels(labels, foreground, shape, scale, threshold=threshold)
    expected = by_interpolation(labels, foreground, shape, scale, threshold)
    # Where a level is 0 but for rounding, either answer is right.
    assert np.count_nonzero(result != expected) <= 0.01 * result.size


def test_a_disc_that_was_found_at_a_quarter_of_its_size_keeps_its_shape() -> None:
    rows, columns = np.mgrid[:60, :60]
    probability = np.clip((12.3 - np.hypot(rows - 29.5, columns - 29.5)) / 3 + 0.5, 0, 1)
    foreground = np.rint(255 * probability).astype(np.uint8)
    labels = (foreground >= 128).astype(np.uint32)
    rows, columns = np.mgrid[:240, :240]
    disc = np.hypot(rows - 119.5, columns - 119.5) <= 4 * 12.3
    found = scale_labels(labels, foreground, (240, 240), 0.25, threshold=0.5) > 0
    assert np.count_nonzero(found & disc) / np.count_nonzero(found | disc) > 0.995
    nearest = labels.repeat(4, 0).repeat(4, 1) > 0
    assert np.count_nonzero(nearest & disc) / np.count_nonzero(nearest | disc) < 0.98


def test_touching_nuclei_meet_without_a_gap_and_without_an_overlap() -> None:
    labels = np.repeat([[1, 2]], 4, axis=0).repeat(3, axis=1).astype(np.uint32)
    found = scale_labels(labels, np.full((4, 6), 230, np.uint8), (16, 24), 0.25, threshold=0.5)
    np.testing.assert_array_equal(found, np.repeat([[1, 2]], 16, axis=0).repeat(12, axis=1))


@given(
    seed=st.integers(0, 999),
    scale=st.sampled_from([0.18, 0.4, 1.7]),
    start=st.integers(0, 8),
    length=st.integers(1, 20),
)
@settings(max_examples=40)
def test_a_part_gives_the_labels_of_the_whole(seed: int, scale: float, start: int, length: int) -> None:
    shape = (round(20 / scale), round(17 / scale))
    labels, foreground = random_case(seed, shape, scale)
    whole = scale_labels(labels, foreground, shape, scale, threshold=0.5)
    stop = min(start + length, labels.shape[0])
    inside, rows = axis_points(slice(0, shape[0]), labels.shape[0], scale).within(start, stop)
    columns = axis_points(slice(0, shape[1]), labels.shape[1], scale)
    part = _core.resample_labels(labels[start:stop], foreground[start:stop], rows, columns, threshold=0.5)
    np.testing.assert_array_equal(part, whole[inside])


def test_foreground_of_another_shape_is_refused() -> None:
    points = axis_points(slice(0, 4), 2, 0.5)
    with pytest.raises(MaskError, match="expected the shape of labels"):
        _core.resample_labels(np.zeros((2, 2), np.uint32), np.zeros((2, 3), np.uint8), points, points, threshold=0.5)


def test_points_outside_of_the_labels_are_refused() -> None:
    points = axis_points(slice(0, 4), 2, 0.5)
    with pytest.raises(MaskError, match="expected pixels below 1"):
        _core.resample_labels(np.zeros((1, 1), np.uint32), np.zeros((1, 1), np.uint8), points, points, threshold=0.5)

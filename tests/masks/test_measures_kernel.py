"""Measuring against scikit-image."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from nucleus_unet import _core
from nucleus_unet.errors import MaskError
from numpy.typing import NDArray
from skimage.measure import regionprops_table

Labels = NDArray[np.uint32]

shapes = st.tuples(st.integers(0, 20), st.integers(0, 20))
label_images = shapes.flatmap(lambda shape: arrays(np.uint32, shape, elements=st.integers(0, 5)))


def noise_like(labels: Labels, seed: int) -> NDArray[np.float32]:
    return np.random.default_rng(seed).normal(100, 50, labels.shape).astype(np.float32)


@settings(max_examples=200, deadline=None)
@given(label_images, st.integers(0, 2**32))
def test_every_column_is_as_scikit_image_measures_it(labels: Labels, seed: int) -> None:
    intensity = noise_like(labels, seed)
    found, areas, boxes, centroids, intensities = _core.measure(labels, intensity=intensity)
    values = np.unique(labels[labels > 0])
    np.testing.assert_array_equal(found, values)
    if not len(values):
        return
    names = ("label", "area", "bbox", "centroid", "intensity_mean")
    table = regionprops_table(labels.astype(np.int64), intensity.astype(np.float64), properties=names)
    np.testing.assert_array_equal(areas, table["area"])
    np.testing.assert_array_equal(boxes.T, [table[f"bbox-{side}"] for side in range(4)])
    np.testing.assert_allclose(centroids.T, [table["centroid-0"], table["centroid-1"]], rtol=1e-12)
    assert intensities is not None
    np.testing.assert_allclose(intensities, table["intensity_mean"], rtol=1e-9, atol=1e-9)


@settings(max_examples=50, deadline=None)
@given(label_images, st.integers(0, 2**32))
def test_the_number_of_threads_changes_no_bit(labels: Labels, seed: int) -> None:
    intensity = noise_like(labels, seed)
    tables = [_core.measure(labels, intensity=intensity, threads=threads) for threads in (1, 2, None)]
    for columns in zip(*tables, strict=True):
        assert len({column.tobytes() for column in columns if column is not None}) == 1


def test_dtypes_and_shapes_are_as_promised() -> None:
    labels = np.array([[7, 0], [7, 2**32 - 1]], np.uint32)
    found, areas, boxes, centroids, intensity = _core.measure(labels)
    assert (found.tolist(), found.dtype) == ([7, 2**32 - 1], np.uint32)
    assert (areas.tolist(), areas.dtype) == ([2, 1], np.int64)
    assert (boxes.tolist(), boxes.dtype) == ([[0, 0, 2, 1], [1, 1, 2, 2]], np.int64)
    assert (centroids.tolist(), centroids.dtype) == ([[0.5, 0.0], [1.0, 1.0]], np.float64)
    assert intensity is None


def test_an_intensity_that_is_not_a_number_stays_in_its_nucleus() -> None:
    intensity = np.array([[np.nan, 1, 2, 3]], np.float32)
    means = _core.measure(np.array([[1, 1, 0, 2]], np.uint32), intensity=intensity)[4]
    np.testing.assert_array_equal(means, [np.nan, 3])


def test_arrays_that_are_not_contiguous_give_the_same_result() -> None:
    labels = np.random.default_rng(0).integers(0, 4, (30, 20), np.uint32)
    intensity = noise_like(labels, 1)
    expected = _core.measure(labels, intensity=intensity)
    got = _core.measure(np.asfortranarray(labels), intensity=np.asfortranarray(intensity))
    for one, other in zip(got, expected, strict=True):
        np.testing.assert_array_equal(one, other)


def test_another_dtype_is_refused_with_what_came() -> None:
    labels = np.zeros((3, 4), np.uint32)
    with pytest.raises(MaskError, match=r"labels: expected an array \(H, W\) of uint32, got .* of int64"):
        _core.measure(labels.astype(np.int64))
    with pytest.raises(MaskError, match=r"intensity: expected .* of float32, uint8 or uint16, got .* of float64"):
        _core.measure(labels, intensity=np.zeros((3, 4)))  # type: ignore[arg-type]


def test_another_shape_is_refused_by_name() -> None:
    with pytest.raises(MaskError, match=r"intensity: expected the shape .* \(3, 4\), got \(4, 3\)"):
        _core.measure(np.zeros((3, 4), np.uint32), intensity=np.zeros((4, 3), np.float32))


def test_memory_that_is_not_aligned_is_refused() -> None:
    labels = np.frombuffer(bytearray(17), np.uint32, 4, offset=1).reshape(2, 2)
    with pytest.raises(MaskError, match=r"labels: expected .*, got shape \[2, 2\] of unaligned uint32"):
        _core.measure(labels)

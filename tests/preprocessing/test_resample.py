"""Scaling, defined pixel by pixel in the coordinates of the image given."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from nucleus_unet import _core
from nucleus_unet.errors import MaskError
from nucleus_unet.preprocessing.resample import resample, resample_part, scaled_size
from numpy.typing import NDArray

IMAGE = np.random.default_rng(0).random((37, 45), dtype=np.float32)


def direct(image: NDArray[np.float32], scale: float, row: int, column: int) -> float:
    """One output pixel from the definition, without the separation into rows and columns."""
    radius = max(1.0, 1 / scale)
    weights = []
    for place, size in (row, image.shape[0]), (column, image.shape[1]):
        centre = (place + 0.5) / scale - 0.5
        reach = np.arange(int(centre - radius) - 2, int(centre + radius) + 3)
        weight = np.maximum(0, 1 - abs(reach - centre) / radius)
        weights.append((np.clip(reach, 0, size - 1), weight / weight.sum()))
    (rows, down), (columns, across) = weights
    return float(down @ image[np.ix_(rows, columns)].astype(np.float64) @ across)


@pytest.mark.parametrize("scale", [0.3, 0.5, 0.77, 1.0, 1.4, 3.0])
def test_every_pixel_is_as_defined(scale: float) -> None:
    result = resample(IMAGE, scale)
    assert result.dtype == np.float32
    assert result.shape == tuple(scaled_size(size, scale) for size in IMAGE.shape)
    expected = [[direct(IMAGE, scale, r, c) for c in range(result.shape[1])] for r in range(result.shape[0])]
    np.testing.assert_allclose(result, expected, atol=2e-6)


@pytest.mark.parametrize(("scale", "step"), [(0.25, 4), (0.5, 2), (2.0, 1), (4.0, 1)])
def test_a_part_becomes_that_part_of_the_whole(scale: float, step: int) -> None:
    whole = resample(IMAGE, scale)
    top, left = 3 * step, 2 * step
    part = resample(IMAGE[top:, left:], scale)
    rim = int(np.ceil(2 * scale)) + 1  # shows pixels beyond the part's edge
    expected = whole[int(top * scale) :, int(left * scale) :]
    rows, columns = (min(a, b) for a, b in zip(part.shape, expected.shape, strict=True))
    inside = slice(rim, rows - rim), slice(rim, columns - rim)
    assert part[inside].size > 0
    np.testing.assert_array_equal(part[inside], expected[inside])


@given(scale=st.floats(0.1, 5), data=st.data())
def test_any_part_is_that_of_the_whole_to_the_bit(scale: float, data: st.DataObject) -> None:
    whole = resample(IMAGE, scale)
    starts = [data.draw(st.integers(0, size - 1)) for size in whole.shape]
    rows, columns = (
        slice(start, data.draw(st.integers(start + 1, size))) for start, size in zip(starts, whole.shape, strict=True)
    )
    part = resample_part(lambda *region: IMAGE[region], IMAGE.shape, scale, rows, columns)
    np.testing.assert_array_equal(part, whole[rows, columns])


@given(
    value=st.just(0.0) | st.floats(2**-20, 1, width=32),
    scale=st.floats(0.05, 4),
    shape=st.tuples(st.integers(1, 20), st.integers(1, 20)),
)
def test_a_constant_stays_constant(value: float, scale: float, shape: tuple[int, int]) -> None:
    result = resample(np.full(shape, value, np.float32), scale)
    np.testing.assert_allclose(result, value, rtol=1e-6)


def test_the_kernel_refuses_what_is_no_image_and_pixels_beyond_it() -> None:
    image, one = np.ones((2, 3, 1), np.float32), (np.zeros((1, 1), np.int64), np.ones((1, 1), np.float32))
    with pytest.raises(MaskError, match="pixels: expected an array"):
        _core.resample(image.astype(np.float64), one, one)
    with pytest.raises(MaskError, match="columns: expected pixels from 0 to 2, got 3"):
        _core.resample(image, one, (np.full((1, 1), 3), one[1]))


def test_scale_one_changes_nothing() -> None:
    np.testing.assert_array_equal(resample(IMAGE, 1), IMAGE)


def test_channels_are_scaled_apart() -> None:
    colours = np.stack([IMAGE, 1 - IMAGE, IMAGE**2], axis=-1)
    result = resample(colours, 0.6)
    for channel in range(3):
        np.testing.assert_array_equal(result[..., channel], resample(np.ascontiguousarray(colours[..., channel]), 0.6))


@pytest.mark.parametrize("scale", [0.05, 0.5, 1, 20])
def test_a_single_pixel_becomes_at_least_one(scale: float) -> None:
    result = resample(np.full((1, 1), 0.5, np.float32), scale)
    assert min(result.shape) >= 1
    np.testing.assert_allclose(result, 0.5)

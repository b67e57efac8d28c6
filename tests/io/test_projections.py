"""Several planes as one, region by region."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from nucleus_unet.errors import ImageError
from nucleus_unet.io.plane import Plane, read_whole
from nucleus_unet.io.projections import PROJECTIONS, CombinedPlane
from nucleus_unet.io.source import open_image
from numpy.typing import NDArray
from scipy import ndimage

HOW = [*PROJECTIONS, "sum"]


def combined(pixels: Sequence[NDArray[Any]], how: str) -> CombinedPlane:
    planes: list[Plane] = [open_image(each).plane() for each in pixels]
    return CombinedPlane(planes, how)


def noise(dtype: str, shape: tuple[int, ...] = (3, 60, 70)) -> NDArray[Any]:
    values = np.random.default_rng(0).integers(0, 2 if dtype == "bool" else 250, shape)
    return values.astype(dtype)


@given(st.sampled_from(HOW), st.sampled_from(["bool", "uint8", "uint16", "float32", "float64"]), st.data())
def test_a_region_is_that_of_the_whole_plane(how: str, dtype: str, data: st.DataObject) -> None:
    plane = combined(noise(dtype), how)
    rows, columns = (
        slice(*sorted(data.draw(st.lists(st.integers(0, size), min_size=2, max_size=2, unique=True))))
        for size in plane.shape
    )
    np.testing.assert_array_equal(plane.read(rows, columns), read_whole(plane)[rows, columns])


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "float32"])
def test_sum_max_and_mean_are_those_of_numpy(dtype: str) -> None:
    stack = noise(dtype)
    np.testing.assert_array_equal(read_whole(combined(stack, "max")), stack.max(axis=0))
    np.testing.assert_array_equal(read_whole(combined(stack, "sum")), stack.sum(axis=0, dtype=float))
    np.testing.assert_allclose(read_whole(combined(stack, "mean")), stack.mean(axis=0), rtol=1e-6)


@pytest.mark.parametrize("dtype", ["bool", "uint8", "uint16"])
def test_the_largest_values_of_255_channels_are_summed_without_overflow(dtype: str) -> None:
    largest = 1 if dtype == "bool" else np.iinfo(dtype).max
    pixels = read_whole(combined([np.full((2, 2), largest, dtype)] * 255, "sum"))
    assert (pixels.astype(int) == 255 * largest).all()


def test_more_channels_than_can_be_summed_exactly_are_refused() -> None:
    with pytest.raises(ImageError, match="at most 255 channels to be summed, got 256"):
        combined([np.zeros((2, 2), np.uint8)] * 256, "sum")


def test_focus_takes_each_half_from_the_plane_that_is_sharp_there() -> None:
    sharp = noise("uint8", (80, 120))
    blurred = ndimage.gaussian_filter(sharp, 3)
    left = np.where(np.arange(120) < 60, sharp, blurred)
    right = np.where(np.arange(120) < 60, blurred, sharp)
    focus = read_whole(combined([left, right], "focus"))
    away = np.abs(np.arange(120) - 60) > 12
    np.testing.assert_array_equal(focus[:, away], sharp[:, away])


def test_focus_is_the_plane_of_the_largest_mean_squared_laplacian() -> None:
    stack = noise("float64", (3, 50, 60))
    kernel = np.array([[0, 1, 0], [1, -4, 1], [0, 1, 0]])
    padded = np.pad(stack, ((0, 0), (9, 9), (9, 9)), mode="edge")
    squares = [ndimage.convolve(each, kernel, mode="nearest") ** 2 for each in padded]
    sharpness = np.stack([ndimage.uniform_filter(each, 17)[9:-9, 9:-9] for each in squares])
    expected = np.take_along_axis(stack, sharpness.argmax(axis=0)[None], axis=0)[0]
    np.testing.assert_array_equal(read_whole(combined(stack, "focus")), expected)


@pytest.mark.parametrize("how", HOW)
@pytest.mark.parametrize("plane", [0, 1])
def test_a_value_that_is_no_number_is_found_in_any_plane(how: str, plane: int) -> None:
    stack = noise("float32")
    stack[plane, 5, 5] = np.nan
    with pytest.raises(ImageError, match="expected finite numbers"):
        read_whole(combined(stack, how))


@pytest.mark.parametrize("how", PROJECTIONS)
def test_colours_are_projected(how: str) -> None:
    assert read_whole(combined(noise("uint8", (2, 30, 40, 3)), how)).shape == (30, 40, 3)

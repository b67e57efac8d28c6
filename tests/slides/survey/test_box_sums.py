"""Sums over boxes are those of numpy, whatever the dtype and the layout of the pixels."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from nucleus_unet import _core
from nucleus_unet.errors import MaskError
from nucleus_unet.slides.survey.box_sums import box_sums
from numpy.typing import NDArray

SHAPES = st.tuples(st.integers(1, 12), st.integers(1, 12)) | st.tuples(
    st.integers(1, 12), st.integers(1, 12), st.just(3)
)


def places(draw: st.DrawFn, size: int) -> NDArray[np.int64]:
    """Draw where the boxes of an axis begin and end."""
    inner = draw(st.sets(st.integers(1, size - 1))) if size > 1 else set()
    return np.array([0, *sorted(inner), size], np.int64)


@given(st.data())
def test_each_box_has_the_sum_of_its_pixels(data: st.DataObject) -> None:
    dtype = data.draw(st.sampled_from([np.bool_, np.uint8, np.uint16, np.dtype(">u2"), np.float32, np.float64]))
    elements = st.floats(-1000, 1000, width=16) if np.dtype(dtype).kind == "f" else None
    pixels = data.draw(hnp.arrays(dtype, SHAPES, elements=elements))
    if data.draw(st.booleans()):
        pixels = pixels[::-1]  # not contiguous
    rows, columns = (places(data.draw, size) for size in pixels.shape[:2])
    sums = box_sums(pixels, rows, columns)
    exact = pixels.reshape(*pixels.shape[:2], -1).astype(np.float64)
    expected = [[exact[a:b, c:d].sum(axis=(0, 1)) for c, d in pairwise(columns)] for a, b in pairwise(rows)]
    np.testing.assert_allclose(sums, np.array(expected), rtol=1e-12, atol=1e-9)
    assert sums.dtype == np.float64


def test_the_sum_of_a_tall_box_of_the_brightest_pixels_does_not_overflow() -> None:
    pixels = np.full((2**16 + 3, 2), 2**16 - 1, np.uint16)
    sums = box_sums(pixels, np.array([0, len(pixels)]), np.array([0, 1, 2]))
    assert sums[0, :, 0].tolist() == [(2**16 + 3) * (2**16 - 1)] * 2


@pytest.mark.parametrize("cuts", [[], [0, 5], [2, 1], [-1, 2]])
@pytest.mark.parametrize("axis", ["rows", "columns"])
def test_boxes_beyond_the_pixels_are_refused(axis: str, cuts: list[int]) -> None:
    whole = {name: np.array([0, 4]) for name in ("rows", "columns")}
    with pytest.raises(MaskError, match=f"{axis}: expected ascending numbers of pixels from 0 to 4"):
        _core.box_sums(np.ones((4, 4, 1), np.uint8), **{**whole, axis: np.array(cuts, np.int64)})


@pytest.mark.parametrize("wrong", [np.zeros((4, 4, 1), np.int32), np.zeros((4, 8, 1), np.uint8)[:, ::2]])
def test_other_arrays_are_refused(wrong: NDArray[Any]) -> None:
    with pytest.raises(MaskError, match="pixels: expected a C-contiguous array of uint8 or uint16, got"):
        _core.box_sums(wrong, np.array([0, 4]), np.array([0, 4]))


def test_an_array_without_channels_is_refused() -> None:
    with pytest.raises(MaskError, match=r"pixels: expected an array \(H, W, channels\), got shape \[4, 4\]"):
        _core.box_sums(np.zeros((4, 4), np.uint8), np.array([0, 4]), np.array([0, 4]))

"""The one normalisation of images."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from nucleus_unet import _core
from nucleus_unet.errors import ImageError, MaskError
from nucleus_unet.io.source import read_image
from nucleus_unet.preprocessing.normalisation import (
    IntensityRange,
    count_values,
    grey_values,
    normalise,
    percentile_range,
)
from numpy.typing import NDArray

DTYPES = ("bool", "uint8", "uint16", "float32", "float64")


@pytest.mark.parametrize("value", [0, 1, 255])
@pytest.mark.parametrize("dtype", DTYPES)
def test_an_image_of_equal_pixels_has_no_levels(dtype: str, value: int) -> None:
    assert percentile_range(np.full((9, 9), value, dtype)) is None


@pytest.mark.parametrize("shape", [(0, 0), (0, 5), (5, 0), (0, 5, 3)])
def test_an_image_without_pixels_has_no_levels(shape: tuple[int, ...]) -> None:
    assert percentile_range(read_image(np.zeros(shape, np.float32))) is None


def test_levels_are_percentiles() -> None:
    image = np.arange(1001, dtype=np.float64).reshape(1, -1)
    assert percentile_range(image) == pytest.approx((10, 998))


def test_where_all_but_a_few_pixels_are_equal_those_few_count() -> None:
    image = np.full((200, 200), 7, np.uint8)
    image[3, 4] = 107
    assert percentile_range(image) == IntensityRange(7, 107)


def test_an_image_of_bools_goes_from_black_to_white() -> None:
    image = np.eye(8, dtype=bool)
    levels = percentile_range(image)
    assert levels == IntensityRange(0, 1)
    np.testing.assert_array_equal(normalise(image, levels), np.eye(8, dtype=np.float32))


def test_a_range_that_numbers_cannot_hold_is_refused() -> None:
    for dtype in np.float32, np.float64:
        most = np.finfo(dtype).max
        with pytest.raises(ImageError, match="too wide a range"):
            percentile_range(np.array([[-most, 0, most]], dtype))


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("extreme", ["max", "smallest_subnormal"])
def test_the_largest_and_smallest_numbers_are_normalised(dtype: type, extreme: str) -> None:
    most = getattr(np.finfo(dtype), extreme)
    image = np.array([[0, most / 2 if extreme == "max" else most, most]], dtype)
    levels = percentile_range(image)
    assert levels is not None
    result = normalise(image, levels)
    assert np.isfinite(result).all()
    assert (result.min(), result.max()) == (0, 1)


@given(
    image=st.sampled_from(DTYPES).flatmap(
        lambda name: hnp.arrays(
            name,
            st.tuples(st.integers(1, 9), st.integers(1, 9)),
            elements=hnp.from_dtype(np.dtype(name), allow_nan=False, allow_infinity=False),
        )
    ),
    data=st.data(),
)
def test_a_part_is_normalised_as_in_the_whole(image: NDArray[np.generic], data: st.DataObject) -> None:
    try:
        levels = percentile_range(image)
    except ImageError:
        return
    if levels is None:
        return
    whole = normalise(image, levels)
    assert whole.dtype == np.float32
    assert ((whole >= 0) & (whole <= 1)).all()
    rows, columns = (data.draw(st.slices(size)) for size in image.shape)
    np.testing.assert_array_equal(normalise(image[rows, columns], levels), whole[rows, columns])


@given(
    image=hnp.arrays(
        st.sampled_from([np.uint8, np.uint16, np.dtype(">u2"), np.bool_]), st.tuples(*[st.integers(1, 40)] * 2)
    )
)
def test_levels_are_numpys_percentiles_to_the_bit(image: NDArray[np.generic]) -> None:
    values = image.astype(np.uint16)
    black, white = np.percentile(values, (1, 99.8))
    if white <= black and (values != black).any():
        low, high = np.percentile(values[values != black], (5, 95))
        black, white = min(black, low), max(black, high)
    assert percentile_range(image) == ((black, white) if white > black else None)


WHOLE_NUMBERS = hnp.arrays(
    st.sampled_from([np.uint8, np.uint16]), hnp.array_shapes(min_dims=2, max_dims=3, min_side=0, max_side=40)
)


@given(WHOLE_NUMBERS, st.floats(0, 60_000), st.floats(0.5, 60_000))
def test_whole_numbers_are_normalised_as_numpy_does_it_to_the_bit(
    image: NDArray[np.generic], low: float, width: float
) -> None:
    expected = image.astype(np.float32)
    expected -= low
    expected /= (low + width) - low
    found = normalise(image, IntensityRange(low, low + width))
    np.testing.assert_array_equal(found, expected.clip(0, 1), strict=True)


def unaligned(image: NDArray[np.generic]) -> NDArray[np.generic]:
    """Return an equal array whose numbers begin at odd addresses, as memory-mapped files may have them."""
    bytes_ = np.zeros(image.nbytes + 1, np.uint8)
    copy = bytes_[1:].view(image.dtype).reshape(image.shape)
    copy[...] = image
    return copy


LAYOUTS: dict[str, Callable[[NDArray[np.generic]], NDArray[np.generic]]] = {
    "as it is": lambda image: image,
    "every second row": lambda image: image[::2],
    "turned": lambda image: image.T,
    "of another byte order": lambda image: image.astype(">u2"),
    "not aligned": unaligned,
}


@given(WHOLE_NUMBERS, st.sampled_from(list(LAYOUTS)))
def test_values_are_counted_and_normalised_in_every_layout(image: NDArray[np.generic], layout: str) -> None:
    view = LAYOUTS[layout](image)
    counts = count_values(view)
    np.testing.assert_array_equal(counts, np.bincount(view.ravel().astype(int), minlength=len(counts)))
    levels = IntensityRange(3.0, 90.5)
    np.testing.assert_array_equal(normalise(view, levels), normalise(view.astype(np.float64), levels))


@given(WHOLE_NUMBERS.filter(lambda image: image.ndim == 3 and image.shape[-1] > 0))
def test_the_grey_values_of_colours_are_their_means_to_the_bit(image: NDArray[np.generic]) -> None:
    grey, unit = grey_values(image, (0.0, 65_535.0))
    np.testing.assert_array_equal(grey, image.mean(axis=-1).astype(np.float32), strict=True)
    assert unit == 1


def test_a_grey_image_of_bytes_is_measured_as_it_is() -> None:
    image = np.arange(12, dtype=np.uint8).reshape(3, 4)
    assert grey_values(image, None)[0] is image


@pytest.mark.parametrize("image", [np.eye(3, dtype=bool), np.eye(3, dtype=">u2"), np.eye(3, dtype=np.int32)])
def test_other_whole_numbers_are_measured_in_single_precision(image: NDArray[np.generic]) -> None:
    np.testing.assert_array_equal(grey_values(image, None)[0], np.eye(3, dtype=np.float32), strict=True)


def test_a_grey_image_that_is_not_aligned_can_be_measured() -> None:
    image = unaligned(np.arange(12, dtype=np.uint16).reshape(3, 4))
    labels = np.ones((3, 4), np.uint32)
    assert _core.measure(labels, intensity=grey_values(image, None)[0])[4] == [5.5]


@pytest.mark.parametrize("kernel", [_core.count_values, lambda pixels: _core.normalise(pixels, low=0.0, high=1.0)])
@pytest.mark.parametrize(
    "wrong", [np.zeros((4, 4), np.int32), np.zeros((4, 4), np.uint8)[:, ::2], np.zeros((4, 3), np.uint16, order="F")]
)
def test_kernels_of_pixel_values_name_what_they_cannot_take(
    kernel: Callable[[Any], object], wrong: NDArray[np.generic]
) -> None:
    with pytest.raises(MaskError, match="pixels: expected a C-contiguous array of uint8 or uint16, got"):
        kernel(wrong)


def test_arrays_of_many_axes_are_normalised() -> None:
    assert _core.normalise(np.ones((1,) * 40, np.uint8), low=0.0, high=2.0).shape == (1,) * 40

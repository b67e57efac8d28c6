"""Arrays as images: the contract, and the choice of channels."""

from pathlib import Path

import numpy as np
import pytest
import tifffile
import xarray
from helpers.images import GREY, RGB
from nucleus_unet.errors import ImageError
from nucleus_unet.io.source import open_image, read_image
from nucleus_unet.preprocessing.normalisation import normalise, percentile_range


def named_channels(*names: str) -> xarray.DataArray:
    """Return an image with channels of these names, each one brighter than the last."""
    planes = np.stack([GREY + number for number in range(len(names))])
    return xarray.DataArray(planes, dims=("c", "y", "x"), coords={"c": list(names)})


DTYPES = ("bool", "uint8", "uint16", "float32", "float64")
CONVERTED = {"int8": "float32", "int16": "float32", "float16": "float32", "int32": "float64", "uint32": "float64"}
CONVERTED |= {"int64": "float64", "uint64": "float64"}


@pytest.mark.parametrize(("given", "taken"), CONVERTED.items())
def test_other_dtypes_become_floating_point_numbers_that_hold_every_value(given: str, taken: str) -> None:
    image = np.array([[0, 1], [100, 101]], given)
    prepared = read_image(image)
    assert prepared.dtype == taken
    np.testing.assert_array_equal(prepared, image)


@pytest.mark.parametrize("dtype", ["complex64", "datetime64[s]", "object", "U1"])
def test_what_is_no_number_is_refused(dtype: str) -> None:
    with pytest.raises(ImageError, match="image dtype: expected bool, or integers"):
        read_image(np.zeros((3, 3), dtype))


@pytest.mark.parametrize("channel", [True, 1.0, [1]])
def test_what_is_no_number_and_no_name_of_a_channel_is_refused(channel: object) -> None:
    with pytest.raises(ImageError, match="channel: expected the number or the name of a channel"):
        read_image(RGB, channel=channel)  # type: ignore[arg-type]
    with pytest.raises(ImageError, match="channel_axis: expected -3 to 2"):
        read_image(RGB, channel_axis=str(channel))  # type: ignore[arg-type]


def test_a_number_may_be_text_and_a_name_may_look_like_a_number() -> None:
    image = named_channels("561", "488")
    np.testing.assert_array_equal(read_image(image, channel="488"), GREY + 1)
    np.testing.assert_array_equal(read_image(image, channel="1"), GREY + 1)
    with pytest.raises(ImageError, match="no channel is named"):
        read_image(image, channel="9" * 5000)


def test_negative_numbers_count_channels_from_the_last() -> None:
    np.testing.assert_array_equal(read_image(RGB, channel=-1), RGB[..., 2])
    with pytest.raises(ImageError, match="channel: expected 0 to 2, or -3 to -1, got -4"):
        read_image(RGB, channel=-4)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("channels", [None, 1, 3, 4])
def test_every_dtype_and_channel_count_of_the_contract_is_taken(dtype: str, channels: int | None) -> None:
    image = np.zeros((5, 7) if channels is None else (5, 7, channels), dtype)
    prepared = read_image(image)
    assert prepared.dtype == dtype
    assert prepared.shape == ((5, 7) if channels in (None, 1) else (5, 7, 3))


def test_images_of_either_byte_order_are_the_same() -> None:
    levels = percentile_range(GREY)
    assert levels == percentile_range(GREY.astype(">u2"))
    assert levels is not None
    np.testing.assert_array_equal(normalise(GREY, levels), normalise(read_image(GREY.astype(">u2")), levels))


def test_alpha_is_ignored_whatever_it_holds() -> None:
    alpha = np.full((30, 40, 1), np.nan, np.float32)
    image = np.concatenate([RGB.astype(np.float32), alpha], axis=-1)
    np.testing.assert_array_equal(read_image(image), RGB)


def test_an_image_is_not_copied() -> None:
    assert np.shares_memory(read_image(RGB), RGB)


@pytest.mark.parametrize("axis", [0, 1, 2, -1, -2, -3])
def test_channels_may_lie_along_any_axis(axis: int) -> None:
    np.testing.assert_array_equal(read_image(np.moveaxis(RGB, -1, axis), channel_axis=axis), RGB)


@pytest.mark.parametrize("count", [1, 2, 3, 4, 5, 40])
def test_a_channel_is_chosen_by_its_number(count: int) -> None:
    image = np.stack([GREY + number for number in range(count)])
    np.testing.assert_array_equal(read_image(image, channel_axis=0, channel=count - 1), GREY + count - 1)


def test_a_channel_is_chosen_by_its_name() -> None:
    for name in "DAPI", "dapi":
        np.testing.assert_array_equal(read_image(named_channels("GFP", "DAPI"), channel=name), GREY + 1)


def test_the_only_channel_may_be_chosen_too() -> None:
    assert np.shares_memory(read_image(GREY, channel=0), GREY)
    np.testing.assert_array_equal(read_image(named_channels("DAPI"), channel="DAPI"), GREY)


@pytest.mark.parametrize("image", [None, b"text", {"a": 1}, [[1.0, 2.0], [3.0]]])
def test_what_is_no_array_is_an_image_error(image: object) -> None:
    with pytest.raises(ImageError):
        read_image(image)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("shape", "message"),
    [
        ((), r"got \(\)"),
        ((5,), r"got \(5,\)"),
        ((2, 3, 5, 7), r"got \(2, 3, 5, 7\); choose one plane"),
        ((5, 7, 2), "expected one of the 2 channels '0', '1', got none; choose the nuclear stain with --channel"),
        ((5, 7, 0), "expected at least one channel, got none"),
        ((2, 50, 70), "if channels come first, give channel_axis=0; if the first axis is a stack"),
    ],
)
def test_other_shapes_are_refused_with_what_to_do(shape: tuple[int, ...], message: str) -> None:
    with pytest.raises(ImageError, match=message):
        read_image(np.zeros(shape, np.uint8))


@pytest.mark.parametrize(
    ("channel", "message"),
    [
        (3, "expected 0 to 2, or -3 to -1, got 3"),
        (-4, "expected 0 to 2, or -3 to -1, got -4"),
        ("DAPI", "no channel is named 'DAPI'; the channels are 'red', 'green', 'blue'"),
    ],
)
def test_a_channel_that_is_not_there_is_refused(channel: int | str, message: str) -> None:
    with pytest.raises(ImageError, match=message):
        read_image(RGB, channel=channel)


def test_a_grey_image_has_no_second_channel() -> None:
    with pytest.raises(ImageError, match="only one, got channel=1"):
        read_image(GREY, channel=1)


def test_an_axis_that_is_not_there_is_refused() -> None:
    with pytest.raises(ImageError, match=r"expected -3 to 2 .* got 3"):
        read_image(RGB, channel_axis=3)


def test_an_unknown_channel_name_is_answered_with_the_known_ones() -> None:
    with pytest.raises(ImageError, match="no channel is named 'Dap'; the channels are 'GFP', 'DAPI'"):
        read_image(named_channels("GFP", "DAPI"), channel="Dap")


def test_a_name_of_several_channels_is_refused_with_their_numbers(tmp_path: Path) -> None:
    path = tmp_path / "a.tif"
    names = ["Gray", "DAPI", "Gray"]
    tifffile.imwrite(path, np.zeros((3, 20, 20), np.uint8), imagej=True, metadata={"axes": "CYX", "Labels": names})
    with open_image(path) as source, pytest.raises(ImageError, match=r"2 channels are named 'Gray'.*numbers: 0, 2"):
        source.plane(channel="Gray")


def test_four_named_channels_are_not_colours_and_alpha() -> None:
    with pytest.raises(ImageError, match="expected one of the 4 channels 'a', 'b', 'c', 'd', got none"):
        read_image(named_channels("a", "b", "c", "d"))


def test_pixels_that_are_no_numbers_are_counted_once_each() -> None:
    image = RGB.astype(np.float32)
    image[0, 0] = np.nan
    image[1, 1, 2] = np.inf
    image[2, 2, 0] = -np.inf
    with pytest.raises(ImageError, match="got 3 pixels that are NaN or infinite"):
        read_image(image)
    grey = GREY.astype(np.float64)
    grey[:2, 0] = np.nan
    with pytest.raises(ImageError, match="got 2 pixels"):
        read_image(grey)

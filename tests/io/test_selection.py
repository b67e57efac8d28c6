"""Which planes of an image are meant."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
import xarray
import zarr
from helpers.stacks import NAMES, draw_stack
from nucleus_unet.errors import ImageError, SettingsError
from nucleus_unet.io.selection import Place, Selection, check_channels, check_places
from nucleus_unet.io.source import ImageSource, open_image
from numpy.typing import NDArray

STACK = draw_stack(times=6)


@pytest.fixture
def source() -> ImageSource:
    coords = {"channel": NAMES}
    return open_image(xarray.DataArray(STACK, dims=("time", "z", "channel", "y", "x"), coords=coords))


def planes(source: ImageSource, **chosen: Any) -> list[tuple[int, int | None]]:
    return [(place.frame, place.plane) for place in Selection(channel=0, **chosen).places(source)]


def read(source: ImageSource, place: Place, **chosen: Any) -> NDArray[Any]:
    plane = Selection(**chosen).open(source, place)
    pixels = source.read(plane)
    assert pixels.dtype == plane.dtype
    return pixels


@pytest.mark.parametrize(
    ("time", "frames"),
    [
        (2, [2]),
        (-1, [5]),
        ("all", [0, 1, 2, 3, 4, 5]),
        ("0:2", [0, 1]),
        ("4:", [4, 5]),
        (":-4", [0, 1]),
        ("::2", [0, 2, 4]),
    ],
)
def test_a_number_a_range_and_all_choose_times(source: ImageSource, time: int | str, frames: list[int]) -> None:
    assert planes(source, time=time, z=1) == [(frame, 1) for frame in frames]


def test_planes_of_a_stack_come_within_times(source: ImageSource) -> None:
    assert planes(source, time="1:3", z="all") == [(1, 0), (1, 1), (1, 2), (2, 0), (2, 1), (2, 2)]


@pytest.mark.parametrize("projection", ["max", "mean", "focus"])
def test_a_projection_has_one_plane_for_each_time(source: ImageSource, projection: str) -> None:
    assert planes(source, time="0:2", z=projection) == [(0, None), (1, None)]


@pytest.mark.parametrize("time", ["0:7", "9:", "-7:", "3:3", "4:2", "0:2:0"])
def test_a_range_that_is_not_all_there_is_refused(source: ImageSource, time: str) -> None:
    with pytest.raises(ImageError, match=rf"time: expected a range within 0:6, got {time}"):
        planes(source, time=time, z=0)


@pytest.mark.parametrize("time", [6, -7])
def test_a_number_that_is_not_there_is_refused_as_it_was_given(source: ImageSource, time: int) -> None:
    with pytest.raises(ImageError, match=f"time: expected 0 to 5, or -6 to -1, got {time}"):
        planes(source, time=time, z=0)


def test_what_is_left_to_be_chosen_is_refused_with_the_options_to_type(source: ImageSource) -> None:
    with pytest.raises(ImageError, match=r"6 times .*--time 3, or several: --time 0:2, --time all"):
        planes(source, z="max")
    with pytest.raises(ImageError, match=r"3 planes .*--z 1, project them: --z max.* --z all"):
        planes(source, time="all")


def test_several_channels_are_summed_or_the_larger_value_is_taken(source: ImageSource) -> None:
    one, other = STACK[3, 1, 0].astype(int), STACK[3, 1, 1].astype(int)
    chosen = {"time": 3, "z": 1, "channel": ["DAPI", 1]}
    np.testing.assert_array_equal(read(source, Place(frame=3, plane=1), **chosen), one + other)
    np.testing.assert_array_equal(
        read(source, Place(frame=3, plane=1), **chosen, combine="max"), np.maximum(one, other)
    )


def test_channels_become_one_before_planes_do(source: ImageSource) -> None:
    pixels = read(source, Place(frame=2, plane=None), time=2, z="max", channel=[0, 1])
    np.testing.assert_array_equal(pixels, STACK[2].astype(int).sum(axis=1).max(axis=0))


def test_colours_are_no_channels_to_be_combined() -> None:
    source = open_image(np.zeros((2, 9, 9, 3), np.uint8), axes="CYXS")
    with pytest.raises(ImageError, match="expected several single channels, got colours among them"):
        Selection(channel=[0, 1]).places(source)


def test_an_image_without_planes_takes_every_choice_that_it_has_one_of() -> None:
    source = open_image(np.zeros((9, 9), np.uint8))
    assert Selection(time="all", z="max", scene=0).places(source) == [Place(plane=None)]
    assert Selection(time="0:1", z=0).places(source) == [Place()]


def test_pages_that_nothing_explains_are_what_they_are_chosen_as(tmp_path: Path) -> None:
    tifffile.imwrite(tmp_path / "pages.tif", np.zeros((4, 9, 9), np.uint8), photometric="minisblack", metadata=None)
    source = open_image(tmp_path / "pages.tif")
    assert [place.frame for place in Selection(time="all").places(source)] == [0, 1, 2, 3]
    assert [place.plane for place in Selection(z="1:3").places(source)] == [1, 2]
    assert Selection(z="max").places(source) == [Place(plane=None)]
    with pytest.raises(ImageError, match="nothing says what they are"):
        Selection(time="all", z="all").places(source)


def test_dimensions_of_zarr_are_what_their_names_say() -> None:
    array = zarr.create_array(
        {}, shape=(4, 3, 9, 9), chunks=(1, 1, 9, 9), dtype="u1", dimension_names=("t", "c", "y", "x")
    )
    assert open_image(array).sizes == {"T": 4, "C": 3, "Y": 9, "X": 9}


@pytest.mark.parametrize(
    ("value", "meant"),
    [(3, 3), (np.int64(3), 3), ("3", 3), (slice(0, 10), "0:10"), (slice(None, None, 2), "::2"), (range(2, 8), "2:8")],
)
def test_numbers_and_slices_are_plain_numbers_and_ranges(value: Any, meant: int | str) -> None:
    assert check_places()("time", value) == meant


@pytest.mark.parametrize("value", [True, 1.5, "max", "some", "0-10", "", [0, 1], slice("a", "b")])
def test_what_is_no_number_range_or_word_is_refused(value: Any) -> None:
    with pytest.raises(SettingsError, match="time: expected a number, a range such as '0:10', 'all'"):
        check_places()("time", value)


@pytest.mark.parametrize(("value", "message"), [([], "at least one"), (["A", "A"], "different"), ([True], "name")])
def test_channels_are_numbers_or_names_and_differ(value: Any, message: str) -> None:
    with pytest.raises(SettingsError, match=f"channel: expected .*{message}"):
        check_channels("channel", value)

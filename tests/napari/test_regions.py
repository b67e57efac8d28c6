"""Axes and regions of layers, in numbers."""

from __future__ import annotations

import numpy as np
import pytest
from nucleus_unet.errors import ImageError, SettingsError
from nucleus_unet.napari.regions import Region, Window, geojson_of, place_result, possible_axes, region_around


def test_three_axes_without_names_are_a_stack_a_series_or_channels() -> None:
    assert possible_axes(3, rgb=False) == ["ZYX", "TYX", "CYX"]


def test_the_names_of_the_viewer_come_first() -> None:
    assert possible_axes(4, rgb=False, names=["Frame", "c", "row", "column"])[0] == "TCYX"
    assert possible_axes(3, rgb=False, names=["-3", "-2", "-1"])[0] == "ZYX"


def test_colours_are_an_axis_that_the_viewer_does_not_count() -> None:
    assert possible_axes(2, rgb=True) == ["YXS"]
    assert possible_axes(3, rgb=True)[0] == "ZYXS"


@pytest.mark.parametrize("dimensions", [1, 6])
def test_too_few_or_too_many_axes_are_refused(dimensions: int) -> None:
    with pytest.raises(ImageError, match=f"2 to 5 axes, got {dimensions}"):
        possible_axes(dimensions, rgb=False)


def test_a_region_has_the_pixels_whose_centres_lie_between_the_points() -> None:
    region = region_around([[2.5, 3.0], [7.9, 3.0], [7.9, 6.2]], (100, 100), what="the rectangle")
    assert region == Region(3, 3, 8, 7)


def test_a_region_ends_at_the_border_of_the_image() -> None:
    assert region_around([[-50, -50], [500, 500]], (30, 40), what="the view") == Region(0, 0, 30, 40)


def test_a_region_beside_the_image_is_refused() -> None:
    with pytest.raises(SettingsError, match="the rectangle to lie on the image of 30 x 40 pixels"):
        region_around([[50, 50], [60, 60]], (30, 40), what="the rectangle")


@pytest.mark.parametrize("key", [np.s_[0, 2:5, 1:9], np.s_[:, ::3, 4], np.s_[1], np.s_[0:2, -3:, :]])
def test_a_window_gives_the_pixels_of_the_region(key: object) -> None:
    array = np.arange(2 * 30 * 40).reshape(2, 30, 40)
    window = Window(array, "ZYX", Region(7, 5, 27, 35))
    parts = key if isinstance(key, tuple) else (key,)
    assert np.array_equal(window[parts], array[:, 7:27, 5:35][key])  # type: ignore[index]


def test_a_window_reads_nothing_but_what_is_asked_for() -> None:
    asked = []

    class Watched:
        shape, dtype = (5, 1000, 1000), np.dtype(np.uint8)

        def __getitem__(self, key: tuple[slice | int, ...]) -> np.ndarray:
            asked.append(key)
            return np.zeros((2, 3), np.uint8)

    Window(Watched(), "ZYX", Region(100, 200, 300, 400))[4, 0:2, 0:3]
    assert asked == [(4, slice(100, 102, 1), slice(200, 203, 1))]


def test_the_result_of_one_plane_lies_at_this_plane_and_for_all_channels() -> None:
    placed = place_result("TCZYX", {"T": 5, "C": 3, "Z": 9, "Y": 64, "X": 48}, Region(8, 4, 64, 48), {"T": 2, "Z": 7})
    assert placed.shape == (1, 1, 1, 56, 44)
    assert placed.first == (2.0, 1.0, 7.0, 8.0, 4.0)
    assert placed.stretch == (1, 3, 1, 1, 1)


def test_the_result_of_a_projection_covers_all_planes() -> None:
    placed = place_result("ZYX", {"Z": 9, "Y": 64, "X": 48}, Region(0, 0, 64, 48), {"Z": None})
    assert (placed.shape, placed.first, placed.stretch) == ((1, 64, 48), (4.0, 0.0, 0.0), (9, 1, 1))


def test_the_result_of_all_planes_has_all_planes() -> None:
    placed = place_result("TYX", {"T": 6, "Y": 64, "X": 48}, Region(0, 0, 64, 48), {"T": range(6)})
    assert (placed.shape, placed.first, placed.stretch) == ((6, 64, 48), (0.0, 0.0, 0.0), (1, 1, 1))


def test_regions_of_slides_are_closed_polygons_between_pixel_edges() -> None:
    [feature] = geojson_of([np.array([[0, 0], [0, 9], [9, 9], [9, 0]])])["features"]
    assert feature["geometry"]["coordinates"] == [[[0.5, 0.5], [9.5, 0.5], [9.5, 9.5], [0.5, 9.5], [0.5, 0.5]]]

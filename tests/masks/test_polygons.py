"""Polygons as label images: the inverse of outlines, and what scikit-image and shapely say of other polygons."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from nucleus_unet.errors import MaskError
from nucleus_unet.masks import contours, polygons_to_labels
from numpy.typing import NDArray
from skimage.measure import points_in_poly

small = hnp.arrays(np.uint32, st.tuples(st.integers(1, 12), st.integers(1, 12)), elements=st.integers(0, 3))
vertices = hnp.arrays(np.float64, st.tuples(st.integers(3, 9), st.just(2)), elements=st.floats(-9, 29, width=32))

SQUARE = [[1, 1], [1, 6], [6, 6], [6, 1]]
HOLE = [[2, 2], [4, 2], [4, 4], [2, 4]]


def centres(shape: tuple[int, int]) -> NDArray[np.float64]:
    """The centres (x, y) of all pixels in raster order."""
    rows, columns = np.mgrid[: shape[0], : shape[1]] + 0.5
    return np.stack([columns.ravel(), rows.ravel()], axis=1)


@given(small)
def test_the_outlines_of_a_label_image_give_it_back(labels: NDArray[np.uint32]) -> None:
    outlines = contours(labels)
    drawn, report = polygons_to_labels(outlines.values(), labels.shape)
    np.testing.assert_array_equal(np.array([0, *outlines])[drawn], labels)
    assert (report.lost_pixels, report.empty, report.hidden) == (0, (), ())


@settings(deadline=None)
@given(vertices)
def test_a_pixel_belongs_to_a_polygon_that_its_centre_lies_in(ring: NDArray[np.float64]) -> None:
    # A 64th beside the centres, so that no vertex and no edge meets one, where libraries differ.
    ring = np.rint(ring * 8) / 8 + 1 / 64
    inside = points_in_poly(centres((20, 17)), ring).reshape(20, 17)
    near = shapely.distance(shapely.LinearRing(ring), shapely.points(centres((20, 17)))).reshape(20, 17) < 1e-9
    drawn = polygons_to_labels([[[ring]]], (20, 17))[0] > 0
    np.testing.assert_array_equal(drawn[~near], inside[~near])


def test_holes_are_background_and_pieces_are_united() -> None:
    labels, _ = polygons_to_labels([[[SQUARE, HOLE], [[[3, 3], [3, 9], [9, 9], [9, 3]]]]], (10, 10))
    expected = np.zeros((10, 10), np.uint32)
    expected[1:6, 1:6] = 1
    expected[2:4, 2:4] = 0
    expected[3:9, 3:9] = 1
    np.testing.assert_array_equal(labels, expected)


def test_a_ring_may_repeat_its_first_vertex_and_run_either_way() -> None:
    expected = polygons_to_labels([[[SQUARE]]], (8, 8))[0]
    for ring in ([*SQUARE, SQUARE[0]], SQUARE[::-1]):
        np.testing.assert_array_equal(polygons_to_labels([[[ring]]], (8, 8))[0], expected)


def test_what_lies_outside_of_the_image_is_cut_off() -> None:
    huge = [[-1e9, -1e9], [-1e9, 1e9], [1e9, 1e9], [1e9, -1e9]]
    outside = [[20, 20], [20, 30], [30, 30]]
    labels, report = polygons_to_labels([[[huge]], [[outside]]], (3, 4))
    assert (labels == 1).all()
    assert report.empty == (1,)


def test_the_earlier_of_two_polygons_has_the_pixels_of_both() -> None:
    labels, report = polygons_to_labels([[[HOLE]], [[SQUARE]]], (8, 8))
    assert (int((labels == 1).sum()), int((labels == 2).sum()), report.lost_pixels) == (4, 21, 4)


def test_no_polygons_and_polygons_without_pieces_are_background() -> None:
    assert not polygons_to_labels([], (2, 3))[0].any()
    labels, report = polygons_to_labels([[], [[SQUARE]], []], (8, 8))
    assert (set(np.unique(labels)), report.empty) == ({0, 2}, (0, 2))


@pytest.mark.parametrize(
    ("ring", "message"),
    [
        ([[0, 0], [1, 1]], "at least 3 vertices"),
        ([0, 0, 1, 1, 2, 2], "at least 3 vertices"),
        ([[0, 0], [1, "a"], [2, 2]], "at least 3 vertices"),
        ([[0, 0], [1, np.nan], [2, 2]], "finite"),
        ([[0, 0], [1, np.inf], [2, 2]], "finite"),
    ],
)
def test_what_is_no_ring_is_refused_by_its_number(ring: Any, message: str) -> None:
    with pytest.raises(MaskError, match=f"polygon 1: .*{message}"):
        polygons_to_labels([[[SQUARE]], [[ring]]], (8, 8))

"""Merging, deleting, dividing and tidying label images. scipy counts pieces, as the oracle."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from nucleus_unet.errors import MaskError
from nucleus_unet.napari.correcting import as_labels, delete, divide_along, divide_at, labels_under, merge, tidy
from numpy.typing import NDArray
from scipy import ndimage

ROWS, COLUMNS = np.ogrid[:60, :90]
CORNERS_TOUCH = np.ones((3, 3))


def disc(row: int, column: int, radius: int) -> NDArray[np.bool_]:
    inside: NDArray[np.bool_] = (ROWS - row) ** 2 + (COLUMNS - column) ** 2 <= radius**2
    return inside


def dumbbell() -> NDArray[np.uint32]:
    """Two discs that overlap, under one label, and a third disc by itself."""
    labels = np.where(disc(30, 25, 14) | disc(30, 47, 14), np.uint32(3), np.uint32(0))
    labels[disc(15, 75, 8)] = 5
    return labels


def pieces(mask: NDArray[np.bool_]) -> int:
    return int(ndimage.label(mask, CORNERS_TOUCH)[1])


@pytest.mark.parametrize("far", [100.0, 1e6, 1e15, 1e300])
def test_a_line_may_begin_and_end_far_beyond_the_image(far: float) -> None:
    divided = divide_along(dumbbell(), [[-far, 36], [far, 36]])
    np.testing.assert_array_equal(divided.labels, divide_along(dumbbell(), [[0, 36], [59, 36]]).labels)


# Places that stay exact when a whole number is added, so that only the end of the image differs.
PLACES = st.integers(-90 * 16, 150 * 16).map(lambda place: place / 16)


@given(st.lists(st.tuples(PLACES, PLACES), min_size=2, max_size=4))
@example([(54.5, 85.0), (-41.0, 0.0)])
def test_the_part_of_a_line_beyond_the_image_makes_no_difference(line: list[tuple[float, float]]) -> None:
    large = np.pad(dumbbell(), 160)
    try:
        expected = divide_along(large, np.array(line) + 160, first=6).parts
    except MaskError:
        expected = {}
    try:
        found = divide_along(dumbbell(), line, first=6).parts
    except MaskError:
        found = {}
    assert set(found) <= {3, 5}
    assert found == expected


@pytest.mark.parametrize("line", [[], [[np.nan, 1], [3, 4]], [[np.inf, 1], [np.inf, 4]]])
def test_a_line_without_places_divides_nothing(line: list[list[float]]) -> None:
    with pytest.raises(MaskError, match="expected a line across a nucleus"):
        divide_along(dumbbell(), line)


def test_without_a_free_number_the_image_has_to_be_relabelled() -> None:
    most = np.iinfo(np.uint32).max
    with pytest.raises(MaskError, match="relabel the image"):
        tidy(np.array([[most, 0, most]], np.uint32), least=1)
    with pytest.raises(MaskError, match="relabel the image"):
        divide_along(np.where(dumbbell() == 3, np.uint32(most), 0), [[0, 36], [59, 36]])


def test_labels_of_any_integer_type_are_taken_and_others_refused() -> None:
    for dtype in (np.uint8, np.int16, np.int64, np.uint64, bool):
        assert np.array_equal(as_labels(np.eye(3, dtype=dtype)), np.eye(3))
    with pytest.raises(MaskError, match="expected integers, got float64"):
        as_labels(np.eye(3))
    with pytest.raises(MaskError, match="got -1 to 4"):
        as_labels(np.array([[-1, 4]]))
    with pytest.raises(MaskError, match="got 0 to 4294967296"):
        as_labels(np.array([0, 2**32]))


def test_points_name_the_labels_under_them_once_and_in_their_order() -> None:
    assert labels_under(dumbbell(), [[15, 75], [30, 25], [0, 0], [30.4, 46.6], [-5, 3], [100, 3]]) == [5, 3]


def test_deleting_makes_background_and_keeps_every_other_pixel() -> None:
    labels = dumbbell()
    changed = delete(labels, [3])
    assert not (changed == 3).any()
    assert np.array_equal(changed[labels != 3], labels[labels != 3])


def test_deleting_nothing_is_refused() -> None:
    with pytest.raises(MaskError, match="at least one nucleus"):
        delete(dumbbell(), [])


def test_nuclei_that_touch_merge_under_the_label_of_the_first() -> None:
    labels = np.zeros((60, 90), np.uint32)
    labels[20:40, 20:40], labels[20:40, 40:60], labels[50:55, 20:30] = 4, 9, 2
    merged = merge(labels, [9, 4])
    assert np.array_equal(merged == 9, np.isin(labels, [4, 9]))
    assert np.array_equal(merged == 2, labels == 2)


@pytest.mark.parametrize("gap", [1, 2, 3, 4])
def test_a_merge_bridges_a_gap_of_some_pixels(gap: int) -> None:
    labels = np.zeros((60, 90), np.uint32)
    labels[20:40, 20:40], labels[20:40, 40 + gap : 60] = 4, 9
    merged = merge(labels, [4, 9])
    assert pieces(merged == 4) == 1
    assert not (merged == 9).any()


def test_a_merge_takes_no_pixel_of_a_nucleus_between_two_others() -> None:
    labels = np.zeros((60, 90), np.uint32)
    labels[20:40, 20:40], labels[20:30, 40:43], labels[20:40, 43:60] = 1, 2, 3
    merged = merge(labels, [1, 3])
    assert np.array_equal(merged == 2, labels == 2)
    assert pieces(merged == 1) == 1


def test_nuclei_that_lie_apart_are_not_merged() -> None:
    labels = np.zeros((60, 90), np.uint32)
    labels[20:40, 20:40], labels[20:40, 50:60] = 4, 9
    with pytest.raises(MaskError, match="touch or lie at most 4 pixels apart, got 4, 9"):
        merge(labels, [4, 9])


@pytest.mark.parametrize("numbers", [[3], [0, 3], [3, 3]])
def test_one_nucleus_alone_is_not_merged(numbers: list[int]) -> None:
    with pytest.raises(MaskError, match="at least 2 nuclei, got 1"):
        merge(dumbbell(), numbers)


def test_two_points_divide_a_nucleus_at_its_neck() -> None:
    labels, parts = divide_at(dumbbell(), [[30, 20], [28, 55]])
    assert parts == {3: [3, 6]}
    left, right = labels[30, 20], labels[28, 55]
    assert left != right
    assert (labels[:, :35][dumbbell()[:, :35] == 3] == left).all()  # the neck is at column 36
    assert (labels[:, 39:70][dumbbell()[:, 39:70] == 3] == right).all()


def test_a_small_nucleus_beside_a_large_one_is_divided_at_the_neck() -> None:
    large, small = disc(30, 40, 15), disc(30, 60, 7)
    divided = divide_at(np.where(large | small, np.uint32(1), np.uint32(0)), [[30, 36], [30, 61]]).labels
    assert (divided[large & ~small] == 1).mean() > 0.99
    assert (divided[small & ~large] == 2).mean() > 0.9


def test_two_points_in_a_round_nucleus_give_two_parts_that_are_no_rims() -> None:
    labels = np.where(disc(30, 40, 15), np.uint32(1), np.uint32(0))
    divided = divide_at(labels, [[30, 36], [30, 44]]).labels
    areas = np.bincount(divided.ravel())[1:]
    assert len(areas) == 2
    assert areas.min() > 0.4 * areas.sum()


def test_points_divide_each_nucleus_that_has_several_and_leave_the_others() -> None:
    labels = dumbbell()
    divided = divide_at(labels, [[30, 20], [28, 55], [15, 75]], first=100)
    assert divided.parts == {3: [3, 100]}
    assert np.array_equal(divided.labels == 5, labels == 5)


def test_one_point_divides_nothing() -> None:
    with pytest.raises(MaskError, match="at least 2 points in one nucleus"):
        divide_at(dumbbell(), [[30, 20], [15, 75], [0, 0]])


def test_a_line_divides_every_nucleus_that_it_crosses_and_loses_no_pixel() -> None:
    labels = dumbbell()
    divided = divide_along(labels, [[30, -5], [30, 60], [5, 75], [40, 76]])
    assert sorted(divided.parts) == [3, 5]
    assert np.array_equal(divided.labels > 0, labels > 0)
    assert all(pieces(divided.labels == part) == 1 for parts in divided.parts.values() for part in parts)


def test_the_largest_part_keeps_the_label() -> None:
    labels = np.zeros((60, 90), np.uint32)
    labels[10:20, 10:50] = 8
    divided = divide_along(labels, [[5, 20], [25, 20]])
    areas = np.bincount(divided.labels.ravel())
    assert areas[8] > areas[9] > 0


@pytest.mark.parametrize("line", [[[30, 25], [30, 30]], [[0, 0], [5, 5]], [[100, 100], [200, 200]]])
def test_a_line_that_cuts_nothing_in_two_is_refused(line: list[list[int]]) -> None:
    with pytest.raises(MaskError, match="from border to border"):
        divide_along(dumbbell(), line)


def test_a_line_that_shaves_off_a_sliver_is_refused() -> None:
    labels = np.zeros((60, 90), np.uint32)
    labels[10:20, 10:50] = 8
    with pytest.raises(MaskError, match="cuts none in two"):
        divide_along(labels, [[8, 11], [12, 9]])


def test_the_pieces_of_a_label_that_no_point_reaches_keep_it() -> None:
    labels = np.where(disc(30, 25, 14) | disc(30, 75, 10), np.uint32(3), np.uint32(0))
    divided = divide_at(labels, [[30, 18], [30, 32]])
    assert np.array_equal(divided.labels > 0, labels > 0)


def test_tidying_gives_every_piece_a_label_of_its_own_fills_holes_and_removes_specks() -> None:
    labels = dumbbell()
    labels[disc(45, 75, 6)] = 5  # a second piece
    labels[28:31, 20:23] = 0  # a hole
    labels[2, 2] = 3  # a speck
    tidied = tidy(labels)
    assert tidied[2, 2] == 0
    assert (tidied[28:31, 20:23] == 3).all()
    assert tidied[15, 75] == 5
    assert tidied[45, 75] == 6


@given(st.integers(0, 10_000))
def test_whatever_was_painted_is_one_piece_a_label_after_tidying(seed: int) -> None:
    rng = np.random.default_rng(seed)
    labels = np.zeros((40, 40), np.uint32)
    for _ in range(12):
        row, column, height, width = rng.integers(0, 35, 2).tolist() + rng.integers(1, 12, 2).tolist()
        labels[row : row + height, column : column + width] = rng.integers(0, 5)
    tidied = tidy(labels, least=3)
    for number in np.unique(tidied[tidied > 0]):
        assert pieces(tidied == number) == 1
        assert (tidied == number).sum() >= 3
    assert np.array_equal(tidy(tidied, least=3), tidied)

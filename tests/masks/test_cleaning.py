"""Label images tidied: renumbered, filtered, filled, grown."""

from collections.abc import Callable

import numpy as np
import pytest
from helpers.oracles import filled_label_by_label, nearest_by_brute_force
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from nucleus_unet.errors import MaskError, SettingsError
from nucleus_unet.masks import (
    clear_border,
    expand_labels,
    fill_holes,
    filter_by_area,
    relabel_by_position,
    remove_small_objects,
)
from numpy.typing import NDArray
from scipy import ndimage
from skimage import segmentation
from skimage.measure import label as connected
from skimage.morphology import remove_small_objects as skimage_remove_small_objects

Labels = NDArray[np.uint32]

shapes = hnp.array_shapes(min_dims=2, max_dims=2, min_side=0, max_side=40)
few_labels = hnp.arrays(np.uint32, shapes, elements=st.sampled_from([0, 0, 1, 1, 2, 7, 2**32 - 1]))
# Wide and low, so that several blocks of equal labels lie in a row.
flat = hnp.arrays(np.uint32, st.tuples(st.integers(0, 5), st.integers(0, 200)), fill=st.just(np.uint32(3)))
label_images = few_labels | flat
ring_images = hnp.arrays(
    np.uint32,
    hnp.array_shapes(min_dims=2, max_dims=2, min_side=3, max_side=12),
    elements=st.sampled_from([0, 1, 1, 2, 3]),
)
distances = st.sampled_from([0.0, 0.5, 1.0, 1.4, 2**0.5, 2.0, 3**0.5, 5**0.5, 3.0, 7.3, 100.0, np.inf])

EACH: dict[str, Callable[[NDArray[np.generic]], Labels]] = {
    "relabel_by_position": lambda labels: relabel_by_position(labels)[0],
    "filter_by_area": lambda labels: filter_by_area(labels, min_area=2),
    "remove_small_objects": lambda labels: remove_small_objects(labels, max_size=1),
    "clear_border": clear_border,
    "fill_holes": fill_holes,
    "expand_labels": lambda labels: expand_labels(labels, 1.5),
}
each = pytest.mark.parametrize("tidy", EACH.values(), ids=EACH.keys())
some_image = np.array(
    [
        [0, 0, 0, 0, 0, 0, 1],
        [0, 3, 3, 3, 0, 0, 0],
        [0, 3, 0, 3, 0, 2, 0],
        [0, 3, 3, 3, 0, 0, 0],
        [0, 0, 0, 0, 0, 0, 0],
    ],
    np.uint32,
)


class TestRelabelling:
    @given(label_images)
    def test_labels_count_from_one_in_the_order_of_first_pixels(self, labels):
        renumbered, old_labels = relabel_by_position(labels)
        present, first = np.unique(labels, return_index=True)
        in_order = [label for _, label in sorted(zip(first, present, strict=True)) if label]
        assert old_labels.tolist() == [0, *in_order]
        expected = np.zeros_like(labels)
        for number, label in enumerate(in_order, 1):
            expected[labels == label] = number
        np.testing.assert_array_equal(renumbered, expected)
        assert (renumbered.dtype, old_labels.dtype) == (np.uint32, np.uint32)

    @given(label_images)
    def test_the_table_of_old_labels_undoes_it(self, labels):
        renumbered, old_labels = relabel_by_position(labels)
        np.testing.assert_array_equal(old_labels[renumbered], labels)

    @given(label_images)
    def test_relabelling_again_changes_nothing(self, labels):
        renumbered, _ = relabel_by_position(labels)
        again, old_labels = relabel_by_position(renumbered)
        np.testing.assert_array_equal(again, renumbered)
        np.testing.assert_array_equal(old_labels, np.arange(old_labels.size))

    @pytest.mark.parametrize("step", [1, 47_000], ids=["looked up by position", "looked up by hash"])
    def test_more_than_65536_labels_are_kept_apart(self, step):
        labels = (np.arange(300 * 300, dtype=np.uint32) * np.uint32(step)).reshape(300, 300)
        renumbered, old_labels = relabel_by_position(labels[::-1])
        assert renumbered.max() == 300 * 300 - 1
        np.testing.assert_array_equal(old_labels[renumbered], labels[::-1])


class TestFilteringByArea:
    @given(label_images, st.integers(0, 30), st.none() | st.integers(30, 60))
    def test_exactly_the_labels_of_an_area_within_the_limits_stay(self, labels, min_area, max_area):
        present, areas = np.unique(labels, return_counts=True)
        stays = present[(areas >= min_area) & (areas <= (max_area or np.inf))]
        kept = filter_by_area(labels, min_area=min_area, max_area=max_area)
        np.testing.assert_array_equal(kept, np.where(np.isin(labels, stays), labels, 0))
        assert kept.dtype == np.uint32

    @given(label_images, st.integers(0, 30))
    def test_no_area_is_below_the_least_and_filtering_again_changes_nothing(self, labels, min_area):
        kept = filter_by_area(labels, min_area=min_area)
        assert all(np.count_nonzero(kept == label) >= min_area for label in np.unique(kept[kept > 0]))
        np.testing.assert_array_equal(filter_by_area(kept, min_area=min_area), kept)

    @given(few_labels.map(lambda labels: labels % 10), st.integers(0, 29))
    @pytest.mark.filterwarnings("ignore:Only one label was provided")
    def test_small_objects_are_those_of_scikit_image(self, labels, max_size):
        expected = skimage_remove_small_objects(labels.astype(np.int64), max_size=max_size)
        np.testing.assert_array_equal(remove_small_objects(labels, max_size=max_size), expected)

    @pytest.mark.parametrize("area", [2**64, 10**30])
    def test_an_area_beyond_any_image_is_a_limit_like_others(self, area):
        np.testing.assert_array_equal(filter_by_area(some_image, min_area=area), np.zeros_like(some_image))
        np.testing.assert_array_equal(filter_by_area(some_image, max_area=area), some_image)

    @pytest.mark.parametrize(
        ("limits", "message"),
        [
            ({"min_area": -1}, "min_area: expected 0 or more, got -1"),
            ({"min_area": 2.5}, "min_area: expected an integer number of pixels, got 2.5"),
            ({"max_area": "3"}, "max_area: expected an integer number of pixels, got '3'"),
            ({"min_area": 3, "max_area": 2}, "max_area: expected at least min_area, 3, got 2"),
        ],
    )
    def test_limits_that_make_no_sense_are_refused(self, limits, message):
        with pytest.raises(SettingsError, match=message):
            filter_by_area(some_image, **limits)


class TestClearingTheBorder:
    @given(label_images)
    def test_exactly_the_labels_without_a_pixel_at_the_border_stay(self, labels):
        inner = np.zeros(labels.shape, bool)
        inner[1:-1, 1:-1] = True
        kept = clear_border(labels)
        np.testing.assert_array_equal(kept, np.where(np.isin(labels, labels[~inner]), 0, labels))
        np.testing.assert_array_equal(clear_border(kept), kept)

    @given(few_labels)
    def test_of_labels_in_one_piece_those_stay_that_scikit_image_keeps(self, labels):
        pieces = connected(labels.astype(np.int64), connectivity=2) if labels.size else labels
        expected = segmentation.clear_border(pieces) if labels.size else labels
        np.testing.assert_array_equal(clear_border(pieces), expected)

    def test_a_nucleus_goes_with_all_its_pieces(self):
        labels = [[1, 0, 0, 0, 0], [0, 0, 1, 2, 0], [0, 0, 0, 0, 0]]
        np.testing.assert_array_equal(clear_border(labels), [[0] * 5, [0, 0, 0, 2, 0], [0] * 5])


class TestFillingHoles:
    @given(ring_images)
    def test_background_goes_to_the_innermost_label_that_scipy_fills_it_for(self, labels):
        filled = fill_holes(labels)
        np.testing.assert_array_equal(filled, filled_label_by_label(labels))
        assert filled.dtype == np.uint32

    @given(ring_images)
    def test_exactly_the_background_that_scipy_fills_for_any_label_is_filled(self, labels):
        filled = fill_holes(labels)
        by_label = {label: ndimage.binary_fill_holes(labels == label) for label in np.unique(labels[labels > 0])}
        in_holes = np.any([np.zeros(labels.shape, bool), *by_label.values()], axis=0) & (labels == 0)
        np.testing.assert_array_equal(filled > 0, (labels > 0) | in_holes)
        for label, expected in by_label.items():
            assert not np.any((filled == label) & ~expected)

    @given(ring_images)
    def test_a_single_label_is_filled_as_by_scipy(self, labels):
        np.testing.assert_array_equal(fill_holes(labels == 1), ndimage.binary_fill_holes(labels == 1))

    @given(ring_images)
    def test_no_labelled_pixel_changes_and_filling_again_changes_nothing(self, labels):
        filled = fill_holes(labels)
        np.testing.assert_array_equal(filled[labels > 0], labels[labels > 0])
        np.testing.assert_array_equal(fill_holes(filled), filled)

    def test_a_ring_closed_at_corners_only_encloses(self):
        diamond = np.array([[0, 1, 0], [1, 0, 1], [0, 1, 0]])
        np.testing.assert_array_equal(fill_holes(diamond), [[0, 1, 0], [1, 1, 1], [0, 1, 0]])

    def test_a_bay_that_reaches_the_border_is_no_hole(self):
        bay = np.array([[1, 1, 1], [1, 0, 1], [1, 0, 1]])
        np.testing.assert_array_equal(fill_holes(bay), bay)

    def test_background_between_two_rings_goes_to_the_outer_and_within_both_to_the_inner(self):
        labels = np.zeros((9, 9), np.uint32)
        labels[:, :], labels[1:-1, 1:-1] = 1, 0
        labels[2:-2, 2:-2], labels[3:-3, 3:-3] = 2, 0
        filled = fill_holes(labels)
        expected = np.ones((9, 9), np.uint32)
        expected[2:-2, 2:-2] = 2
        np.testing.assert_array_equal(filled, expected)

    def test_background_that_two_labels_enclose_only_together_stays(self):
        labels = np.array([[1, 1, 2], [1, 0, 2], [1, 2, 2]])
        np.testing.assert_array_equal(fill_holes(labels), labels)

    def test_of_crossing_rings_that_enclose_as_much_the_smaller_label_wins(self):
        # Two diamonds that pass through each other at corners.
        labels = np.array([[0, 1, 0, 2, 0], [1, 0, 2, 1, 2], [0, 2, 0, 2, 0], [2, 1, 2, 0, 1], [0, 2, 0, 1, 0]])
        np.testing.assert_array_equal(fill_holes(labels), filled_label_by_label(labels.astype(np.uint32)))


sparse_images = hnp.arrays(
    np.uint32,
    hnp.array_shapes(min_dims=2, max_dims=2, min_side=0, max_side=14),
    elements=st.sampled_from([0] * 9 + [1, 2, 3]),
)


class TestExpanding:
    @given(sparse_images, distances)
    def test_each_background_pixel_takes_the_label_of_the_first_of_the_nearest_pixels(self, labels, distance):
        expanded = expand_labels(labels, distance)
        np.testing.assert_array_equal(expanded, nearest_by_brute_force(labels, distance))
        assert expanded.dtype == np.uint32

    @given(sparse_images.filter(np.any), distances)
    def test_where_one_label_alone_is_nearest_it_is_that_of_scikit_image(self, labels, distance):
        away = [ndimage.distance_transform_edt(labels != label) for label in np.unique(labels[labels > 0])]
        alone = np.count_nonzero(np.isclose(away, np.min(away, axis=0)), axis=0) == 1
        expected = segmentation.expand_labels(labels, distance)
        np.testing.assert_array_equal(expand_labels(labels, distance)[alone], expected[alone])

    def test_the_whole_of_an_image_is_as_scikit_image_has_it_where_none_is_tied(self):
        random = np.random.default_rng(5)
        labels = np.zeros((150, 170), np.uint32)
        labels[random.integers(0, 150, 40), random.integers(0, 170, 40)] = np.arange(1, 41)
        expanded, expected = expand_labels(labels, 20), segmentation.expand_labels(labels, 20)
        np.testing.assert_array_equal(expanded > 0, expected > 0)
        assert np.mean(expanded != expected) < 0.01

    @given(sparse_images, distances, st.integers(1, 4))
    def test_the_number_of_threads_changes_nothing(self, labels, distance, threads):
        expected = expand_labels(labels, distance)
        np.testing.assert_array_equal(expand_labels(labels, distance, threads=threads), expected)

    @given(sparse_images)
    def test_labelled_pixels_stay_and_a_distance_below_one_changes_nothing(self, labels):
        np.testing.assert_array_equal(expand_labels(labels, 0.99), labels)
        np.testing.assert_array_equal(expand_labels(labels, 5)[labels > 0], labels[labels > 0])

    def test_of_two_labels_as_near_the_upper_then_the_left_one_wins(self):
        np.testing.assert_array_equal(expand_labels([[2, 0, 1]], 1), [[2, 2, 1]])
        np.testing.assert_array_equal(expand_labels([[2], [0], [1]], 1), [[2], [2], [1]])
        np.testing.assert_array_equal(expand_labels([[0, 2], [1, 0]], 1), [[2, 2], [1, 2]])

    @pytest.mark.parametrize("distance", [-1, -0.001, np.nan, -np.inf])
    def test_a_distance_that_makes_no_sense_is_refused(self, distance):
        with pytest.raises(SettingsError, match="distance: expected 0 or more pixels, got"):
            expand_labels(some_image, distance)

    def test_no_threads_are_refused(self):
        with pytest.raises(SettingsError, match="threads: expected at least 1"):
            expand_labels(some_image, threads=0)


@each
class TestLabelImagesAsTheyCome:
    @pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.int32, np.int64, np.uint64, ">u4", ">i2"])
    def test_any_integer_dtype_gives_the_same_uint32_labels(self, tidy, dtype):
        tidied = tidy(some_image.astype(dtype))
        np.testing.assert_array_equal(tidied, tidy(some_image))
        assert tidied.dtype == np.uint32

    def test_any_memory_order_gives_the_same(self, tidy):
        expected = tidy(some_image)
        np.testing.assert_array_equal(tidy(np.asfortranarray(some_image)), expected)
        np.testing.assert_array_equal(tidy(np.repeat(some_image, 2, axis=1)[:, ::2]), expected)
        np.testing.assert_array_equal(tidy(some_image[::-1, ::-1].copy()[::-1, ::-1]), expected)

    def test_a_read_only_image_is_taken_and_the_result_may_be_written(self, tidy):
        labels = some_image.copy()
        labels.flags.writeable = False
        tidied = tidy(labels)
        np.testing.assert_array_equal(tidied, tidy(some_image))
        assert tidied.flags.writeable

    def test_the_image_given_is_left_as_it_is(self, tidy):
        labels = some_image.copy()
        assert not np.shares_memory(tidy(labels), labels)
        np.testing.assert_array_equal(labels, some_image)

    @pytest.mark.parametrize("shape", [(0, 0), (0, 5), (5, 0)])
    def test_an_image_without_pixels_stays_so(self, tidy, shape):
        assert tidy(np.zeros(shape, np.uint32)).shape == shape

    @pytest.mark.parametrize("shape", [(1, 1), (1, 40), (40, 1)])
    @pytest.mark.parametrize("label", [0, 2**32 - 1])
    def test_an_image_of_one_row_or_column_is_taken(self, tidy, shape, label):
        assert set(np.unique(tidy(np.full(shape, label, np.uint32)))) <= {0, 1, label}

    @pytest.mark.parametrize("shape", [(), (4,), (2, 2, 3)])
    def test_an_image_that_is_not_two_dimensional_is_refused(self, tidy, shape):
        with pytest.raises(MaskError, match=r"labels: expected a label image of shape \(H, W\), got shape"):
            tidy(np.zeros(shape, np.uint32))

    @pytest.mark.parametrize("dtype", [np.float32, complex, object, str])
    def test_an_image_that_is_not_of_integers_is_refused(self, tidy, dtype):
        with pytest.raises(MaskError, match="labels: expected integers, got"):
            tidy(np.zeros((2, 2), dtype))

    @pytest.mark.parametrize("label", [-1, 2**32])
    def test_labels_that_do_not_fit_in_32_bits_are_refused(self, tidy, label):
        with pytest.raises(MaskError, match="labels: expected labels of 0 to 4294967295, got"):
            tidy(np.array([[0, label]]))

"""The table of pixels that the instances of two label images share."""

import numpy as np
import pytest
from helpers.oracles import shared, shared_by_numpy
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from nucleus_unet.errors import MaskError
from nucleus_unet.masks import overlap_table
from scipy.sparse import coo_array
from skimage.metrics import contingency_table

labels = st.sampled_from([0, 0, 1, 2, 3, 2**32 - 1])
shapes = hnp.array_shapes(min_dims=2, max_dims=2, min_side=0, max_side=90)
image_pairs = shapes.flatmap(lambda shape: st.tuples(*(hnp.arrays(np.uint32, shape, elements=labels) for _ in "ab")))


@given(image_pairs)
def test_the_pairs_that_share_pixels_are_those_that_numpy_finds_in_the_same_order(images):
    assert list(shared(overlap_table(*images)).items()) == list(shared_by_numpy(*images).items())


@given(image_pairs)
def test_labels_and_areas_are_those_of_each_image_without_background(images):
    table = overlap_table(*images)
    for image, labels, areas in zip(
        images, (table.labels_a, table.labels_b), (table.areas_a, table.areas_b), strict=True
    ):
        expected_labels, expected_areas = np.unique(image[image > 0], return_counts=True)
        np.testing.assert_array_equal(labels, expected_labels)
        np.testing.assert_array_equal(areas, expected_areas)
        assert (labels.dtype, areas.dtype) == (np.uint32, np.int64)


@given(image_pairs)
def test_iou_is_intersection_over_union(images):
    a, b = images
    table = overlap_table(a, b)
    for (label_a, label_b), iou in zip(shared(table), table.iou, strict=True):
        union = np.count_nonzero((a == label_a) | (b == label_b))
        assert iou == pytest.approx(np.count_nonzero((a == label_a) & (b == label_b)) / union)


@given(image_pairs)
def test_swapping_the_images_transposes_the_table(images):
    a, b = images
    transposed = {(y, x): pixels for (x, y), pixels in shared(overlap_table(b, a)).items()}
    assert transposed == shared(overlap_table(a, b))


@given(image_pairs, st.integers(1, 4))
def test_the_number_of_threads_changes_nothing(images, threads):
    assert shared(overlap_table(*images, threads=threads)) == shared(overlap_table(*images))


def test_the_table_is_the_sparse_matrix_of_scikit_image():
    random = np.random.default_rng(1)
    a, b = (random.integers(0, 40, (200, 300)).astype(np.uint32) for _ in "ab")
    table = overlap_table(a, b)
    matrix = coo_array((table.pixels, (table.index_a, table.index_b)))
    np.testing.assert_array_equal(matrix.toarray(), contingency_table(a, b).toarray()[1:, 1:])


def test_more_than_65536_instances_and_the_largest_label_are_counted():
    a = np.arange(300 * 300, dtype=np.uint32).reshape(300, 300)
    table = overlap_table(a, np.uint32(2**32 - 1) - a)
    assert len(table.labels_a) == 300 * 300 - 1
    assert table.labels_b[-1] == 2**32 - 1
    assert table.pixels.sum() == 300 * 300 - 1


def test_an_image_without_instances_shares_nothing():
    table = overlap_table(np.zeros((3, 4), np.uint32), np.ones((3, 4), np.uint32))
    assert (table.labels_a.size, table.labels_b.size, table.pixels.size) == (0, 1, 0)
    assert table.iou.shape == (0,)


@pytest.mark.parametrize("shape", [(0, 0), (0, 5), (5, 0)])
def test_images_without_pixels_share_nothing(shape):
    table = overlap_table(np.zeros(shape, np.uint32), np.zeros(shape, np.uint32))
    assert (table.labels_a.size, table.labels_b.size, table.pixels.size) == (0, 0, 0)


def test_any_integer_dtype_and_memory_order_counts_alike():
    a = np.array([[0, 1, 1], [2, 2, 1]])
    expected = shared(overlap_table(a, a))
    assert shared(overlap_table(np.asfortranarray(a), a.astype(np.uint8))) == expected
    read_only = a.astype(np.uint32)
    read_only.flags.writeable = False
    assert shared(overlap_table(read_only, a[:, ::-1][:, ::-1])) == expected


def test_images_of_two_shapes_are_refused():
    with pytest.raises(MaskError, match="expected two label images of one shape, got 2 x 3 and 3 x 2"):
        overlap_table(np.zeros((2, 3), int), np.zeros((3, 2), int))


def test_the_image_that_is_no_label_image_is_named():
    good = np.zeros((2, 2), np.uint32)
    with pytest.raises(MaskError, match="b: expected integers, got float64"):
        overlap_table(good, np.zeros((2, 2)))
    with pytest.raises(MaskError, match=r"a: expected a label image of shape \(H, W\), got shape \(2,\)"):
        overlap_table(np.zeros(2, int), good)

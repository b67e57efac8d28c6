"""Connected components against scikit-image."""

import numpy as np
import pytest
from helpers.oracles import labelled_by_skimage
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from nucleus_unet.errors import MaskError, SettingsError
from nucleus_unet.masks import label

dtypes = st.sampled_from([np.bool_, np.uint8, np.uint16, np.uint32])
shapes = hnp.array_shapes(min_dims=2, max_dims=2, min_side=0, max_side=150)
images = st.tuples(dtypes, shapes).flatmap(
    lambda kind: hnp.arrays(*kind, elements=st.integers(0, 1 if kind[0] is np.bool_ else 3).map(kind[0]))
)
connectivities = st.sampled_from([1, 2])


@given(images, connectivities)
def test_components_are_those_of_scikit_image_by_first_pixel(image, connectivity):
    labels = label(image, connectivity=connectivity)
    assert labels.dtype == np.uint32
    np.testing.assert_array_equal(labels, labelled_by_skimage(image, connectivity))


@pytest.mark.parametrize("connectivity", [1, 2])
@pytest.mark.parametrize("density", [0.1, 0.4, 0.6, 0.9])
def test_components_that_wind_through_all_strips_are_those_of_scikit_image(density, connectivity):
    image = np.random.default_rng(3).random((517, 389)) < density
    np.testing.assert_array_equal(label(image, connectivity=connectivity), labelled_by_skimage(image, connectivity))


@pytest.mark.parametrize("connectivity", [1, 2])
@pytest.mark.parametrize("values", [1, 3])
def test_components_that_go_from_solid_rows_to_speckled_ones_and_back_are_those_of_scikit_image(values, connectivity):
    rng = np.random.default_rng(4)
    speckled = rng.integers(0, values + 1, (600, 201), np.uint32)
    solid = np.repeat(rng.integers(0, values + 1, (600, 3), np.uint32), 67, axis=1)
    image = np.where(np.arange(600)[:, None] // 90 % 2 == 0, speckled, solid)
    np.testing.assert_array_equal(label(image, connectivity=connectivity), labelled_by_skimage(image, connectivity))


@given(images, connectivities, st.integers(1, 4))
def test_the_number_of_threads_changes_nothing(image, connectivity, threads):
    expected = label(image, connectivity=connectivity)
    np.testing.assert_array_equal(label(image, connectivity=connectivity, threads=threads), expected)


def test_more_than_65536_components_are_numbered():
    image = np.zeros((600, 600), bool)
    image[::2, ::2] = True
    labels = label(image)
    np.testing.assert_array_equal(labels[::2, ::2].ravel(), np.arange(1, 300 * 300 + 1))


def test_touching_labels_stay_apart_and_pieces_of_one_label_are_told_apart():
    np.testing.assert_array_equal(label([[4, 4, 9], [0, 0, 0], [9, 0, 4]]), [[1, 1, 2], [0, 0, 0], [3, 0, 4]])


@pytest.mark.parametrize("shape", [(0, 0), (0, 5), (5, 0)])
def test_an_image_without_pixels_gives_one_without_pixels(shape):
    assert label(np.zeros(shape, bool)).shape == shape


@pytest.mark.parametrize("dtype", [bool, np.uint8, np.uint16, np.uint32, np.int64, ">u2"])
def test_memory_order_and_dtype_change_nothing(dtype):
    image = (np.random.default_rng(0).random((40, 90)) < 0.5).astype(dtype)
    expected = labelled_by_skimage(image, 1)
    read_only = image.copy()
    read_only.flags.writeable = False
    for same in (np.asfortranarray(image), np.repeat(image, 2, axis=1)[:, ::2], read_only):
        np.testing.assert_array_equal(label(same), expected)


def test_the_image_is_left_as_it_was():
    image = np.array([[True, False], [True, True]])
    label(image)
    np.testing.assert_array_equal(image, [[True, False], [True, True]])


def test_what_is_no_label_image_is_refused_with_what_came():
    with pytest.raises(MaskError, match="image: expected integers, got float64"):
        label(np.zeros((2, 2)))
    with pytest.raises(MaskError, match=r"image: expected .* shape \(H, W\), got shape \(2,\)"):
        label(np.zeros(2, bool))
    with pytest.raises(MaskError, match="image: expected labels of 0 to 4294967295, got -1 to 0"):
        label(np.array([[-1, 0]]))


def test_another_connectivity_is_refused():
    with pytest.raises(SettingsError, match=r"connectivity: expected 1 .* or 2 .*, got 3"):
        label(np.zeros((2, 2), bool), connectivity=3)

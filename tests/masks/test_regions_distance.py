"""Distances to other labels against SciPy."""

import numpy as np
import pytest
from helpers.oracles import distances_by_scipy
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from nucleus_unet.errors import MaskError, SettingsError
from nucleus_unet.masks import distance
from skimage.draw import disk

dtypes = st.sampled_from([np.bool_, np.uint8, np.uint16, np.uint32])
shapes = hnp.array_shapes(min_dims=2, max_dims=2, min_side=0, max_side=60)
images = st.tuples(dtypes, shapes).flatmap(
    lambda kind: hnp.arrays(
        *kind, elements=st.integers(0, 1 if kind[0] is np.bool_ else 3).map(kind[0]), fill=st.just(1)
    )
)


@given(images)
def test_distances_are_those_of_scipy_label_by_label(image):
    distances = distance(image)
    assert distances.dtype == np.float32
    np.testing.assert_array_equal(distances, distances_by_scipy(image))


@pytest.mark.parametrize("density", [0.01, 0.5, 0.999, 0.99999])
def test_distances_in_a_large_binary_image_are_those_of_scipy(density):
    image = np.random.default_rng(5).random((400, 700)) < density
    image[0, 0] = False
    np.testing.assert_array_equal(distance(image), distances_by_scipy(image))


def test_distances_in_touching_discs_are_those_of_scipy():
    image = np.zeros((300, 300), np.uint16)
    for number, centre in enumerate(np.random.default_rng(2).integers(0, 300, (60, 2)), start=1):
        image[disk(centre, 25, shape=image.shape)] = number
    np.testing.assert_array_equal(distance(image), distances_by_scipy(image))


@given(images, st.integers(1, 4))
def test_the_number_of_threads_changes_nothing(image, threads):
    np.testing.assert_array_equal(distance(image, threads=threads), distance(image))


def test_the_border_of_the_image_ends_nothing():
    np.testing.assert_array_equal(distance([[1, 1, 1, 0]]), [[3, 2, 1, 0]])


def test_an_image_of_one_label_and_no_background_is_infinitely_far_from_everything():
    np.testing.assert_array_equal(distance(np.ones((3, 4), bool)), np.full((3, 4), np.inf))


@pytest.mark.parametrize("shape", [(0, 0), (0, 5), (5, 0)])
def test_an_image_without_pixels_gives_one_without_pixels(shape):
    assert distance(np.zeros(shape, bool)).shape == shape


@pytest.mark.parametrize("dtype", [bool, np.uint8, np.uint16, np.uint32, np.int64, ">u2"])
def test_memory_order_and_dtype_change_nothing(dtype):
    image = (np.random.default_rng(0).random((40, 90)) < 0.8).astype(dtype)
    expected = distances_by_scipy(image)
    read_only = image.copy()
    read_only.flags.writeable = False
    for same in (np.asfortranarray(image), np.repeat(image, 2, axis=1)[:, ::2], read_only):
        np.testing.assert_array_equal(distance(same), expected)


def test_what_is_no_label_image_is_refused_with_what_came():
    with pytest.raises(MaskError, match="image: expected integers, got float32"):
        distance(np.zeros((2, 2), np.float32))
    with pytest.raises(MaskError, match=r"image: expected .* shape \(H, W\), got shape \(1, 2, 2\)"):
        distance(np.zeros((1, 2, 2), bool))
    with pytest.raises(SettingsError, match="threads: expected at least 1"):
        distance(np.zeros((2, 2), bool), threads=0)

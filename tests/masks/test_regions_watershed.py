"""The watershed against scikit-image, label for label."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from nucleus_unet.errors import MaskError, SettingsError
from nucleus_unet.masks import watershed
from scipy import ndimage
from skimage import segmentation

dtypes = st.sampled_from(
    [np.bool_, np.uint8, np.int8, np.uint16, np.int16, np.uint32, np.int64, np.float16, np.float32, np.float64]
)


@st.composite
def scenes(draw):
    """Image with plateaus, markers of which many are of one level, and a mask."""
    shape = draw(hnp.array_shapes(min_dims=2, max_dims=2, min_side=1, max_side=40))
    random = np.random.default_rng(draw(st.integers(0, 2**32)))
    dtype = draw(dtypes)
    lowest = 0 if np.dtype(dtype).kind in "bu" else -60
    levels = random.integers(lowest, lowest + draw(st.sampled_from([1, 2, 5, 120])), shape)
    if draw(st.booleans()):
        levels = ndimage.uniform_filter(levels, 3)
    markers = np.where(
        random.random(shape) < draw(st.sampled_from([0.005, 0.05, 0.4])), random.integers(1, 99, shape), 0
    )
    if draw(st.booleans()):
        markers = ndimage.grey_dilation(markers, 3)
    mask = random.random(shape) < draw(st.sampled_from([0.6, 0.95, 1.0]))
    return levels.astype(dtype), markers, draw(st.sampled_from([mask, None])), draw(st.sampled_from([1, 2]))


@settings(max_examples=400)
@given(scenes())
def test_labels_are_those_of_scikit_image(scene):
    image, markers, mask, connectivity = scene
    labels = watershed(image, markers, mask=mask, connectivity=connectivity)
    assert labels.dtype == np.uint32
    expected = segmentation.watershed(image, markers, mask=mask, connectivity=connectivity)
    np.testing.assert_array_equal(labels, expected)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32, np.float64])
@pytest.mark.parametrize("connectivity", [1, 2])
def test_touching_blobs_are_parted_as_scikit_image_parts_them(dtype, connectivity):
    noise = np.random.default_rng(1).random((300, 400))
    blobs = ndimage.gaussian_filter(noise, 4)
    mask = blobs > np.median(blobs)
    depth = ndimage.distance_transform_edt(mask)
    markers, _ = ndimage.label((depth == ndimage.maximum_filter(depth, 9)) & mask)
    for image in (depth.max() - depth, 20 * depth.max() - 20 * depth):
        expected = segmentation.watershed(image.astype(dtype), markers, mask=mask, connectivity=connectivity)
        labels = watershed(image.astype(dtype), markers, mask=mask, connectivity=connectivity)
        np.testing.assert_array_equal(labels, expected)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32])
def test_markers_on_one_plateau_share_it_as_scikit_image_does(dtype):
    image = np.zeros((90, 110), dtype)
    markers = np.zeros(image.shape, int)
    markers[np.random.default_rng(4).random(image.shape) < 0.01] = 1
    markers[markers > 0] = np.arange(1, markers.sum() + 1)
    np.testing.assert_array_equal(watershed(image, markers), segmentation.watershed(image, markers))


def test_zeros_of_both_signs_and_infinities_are_levels():
    image = np.array([[0.0, -0.0, np.inf, -0.0, 0.0, -np.inf, 1.0]])
    markers = np.array([[0, 1, 0, 2, 0, 0, 3]])
    np.testing.assert_array_equal(watershed(image, markers), segmentation.watershed(image, markers))


def test_the_largest_label_is_kept():
    np.testing.assert_array_equal(watershed([[0, 1]], [[2**32 - 1, 0]]), [[2**32 - 1, 2**32 - 1]])


def test_where_no_flood_comes_there_is_no_label():
    np.testing.assert_array_equal(watershed([[0, 0, 0]], [[1, 0, 0]], mask=[[1, 0, 1]]), [[1, 0, 0]])
    np.testing.assert_array_equal(watershed([[0, 0, 0]], [[0, 0, 0]]), [[0, 0, 0]])


@pytest.mark.parametrize("shape", [(0, 0), (0, 5), (5, 0)])
def test_an_image_without_pixels_gives_one_without_pixels(shape):
    assert watershed(np.zeros(shape), np.zeros(shape, int), mask=np.zeros(shape, bool)).shape == shape


@pytest.mark.parametrize("dtype", [np.uint8, np.float32, np.float64, ">u2", ">f4"])
def test_memory_order_changes_nothing(dtype):
    random = np.random.default_rng(0)
    image = random.integers(0, 9, (40, 50)).astype(dtype)
    markers = np.where(random.random(image.shape) < 0.05, random.integers(1, 9, image.shape), 0)
    mask = random.random(image.shape) < 0.9
    expected = segmentation.watershed(image, markers, mask=mask)
    read_only = image.copy()
    read_only.flags.writeable = False
    for same in (np.asfortranarray(image), np.repeat(image, 2, axis=1)[:, ::2], read_only):
        labels = watershed(same, np.asfortranarray(markers), mask=np.asfortranarray(mask))
        np.testing.assert_array_equal(labels, expected)


def test_arrays_of_another_shape_are_refused_by_name():
    image, markers = np.zeros((2, 3)), np.zeros((2, 3), int)
    with pytest.raises(MaskError, match=r"markers: expected the image's shape \(2, 3\), got \(3, 2\)"):
        watershed(image, markers.T)
    with pytest.raises(MaskError, match=r"mask: expected the image's shape \(2, 3\), got \(3, 3\)"):
        watershed(image, markers, mask=np.ones((3, 3), bool))
    with pytest.raises(MaskError, match=r"image: expected an array \(H, W\) .*, got shape \[2\] of float64"):
        watershed(np.zeros(2), markers)


def test_dtypes_without_levels_are_refused():
    markers = np.zeros((2, 3), int)
    with pytest.raises(MaskError, match=r"image: expected bool, integers or floats .*, got complex128"):
        watershed(np.zeros((2, 3), complex), markers)
    with pytest.raises(MaskError, match="markers: expected integers, got float64"):
        watershed(np.zeros((2, 3)), np.zeros((2, 3)))
    with pytest.raises(MaskError, match="mask: expected bool or integers, got float64"):
        watershed(np.zeros((2, 3)), markers, mask=np.ones((2, 3)))


def test_not_a_number_is_refused_with_its_place():
    image = np.zeros((2, 3))
    image[1, 0] = np.nan
    with pytest.raises(MaskError, match="image: expected numbers, got not-a-number at row 1, column 0"):
        watershed(image, np.zeros((2, 3), int))


def test_another_connectivity_is_refused():
    with pytest.raises(SettingsError, match=r"connectivity: expected 1 .* or 2 .*, got 0"):
        watershed(np.zeros((2, 2)), np.zeros((2, 2), int), connectivity=0)

"""Shapes, against scikit-image and hulls of scipy."""

import numpy as np
import pytest
from helpers.crowds import crowd
from nucleus_unet import _core
from nucleus_unet.measures.shapes import measure_shapes
from scipy.spatial import ConvexHull
from scipy.spatial.distance import pdist
from skimage.measure import regionprops_table

LABELS = crowd()
PRESENT = np.unique(LABELS)[1:]
MEASURED = measure_shapes("nucleus", LABELS, PRESENT, mpp=0.5)


@pytest.mark.parametrize(
    ("name", "theirs"),
    [
        ("area", "area"),
        ("perimeter", "perimeter"),
        ("axis_major", "axis_major_length"),
        ("axis_minor", "axis_minor_length"),
        ("eccentricity", "eccentricity"),
        ("equivalent_diameter", "equivalent_diameter_area"),
    ],
)
def test_sizes_and_forms_are_those_of_scikit_image(name: str, theirs: str) -> None:
    expected = regionprops_table(LABELS, properties=[theirs])[theirs]
    np.testing.assert_allclose(MEASURED[f"nucleus_{name}"], expected, rtol=1e-9, atol=1e-6)


def corners(label: int) -> np.ndarray:
    rows, columns = np.nonzero(label == LABELS)
    return np.concatenate([np.column_stack([rows + down, columns + right]) for down in (0, 1) for right in (0, 1)])


def test_the_greatest_feret_diameter_is_the_longest_distance_of_two_corners() -> None:
    expected = [pdist(corners(label)).max() for label in PRESENT]
    np.testing.assert_allclose(MEASURED["nucleus_feret_max"], expected, rtol=1e-12)


def test_the_least_feret_diameter_is_the_least_width_over_all_directions() -> None:
    angles = np.linspace(0, np.pi, 20_000)
    directions = np.array([np.cos(angles), np.sin(angles)])
    expected = [
        np.ptp(points[ConvexHull(points).vertices] @ directions, axis=0).min() for points in map(corners, PRESENT)
    ]
    np.testing.assert_allclose(MEASURED["nucleus_feret_min"], expected, rtol=1e-3)
    assert (MEASURED["nucleus_feret_min"] <= np.array(expected) + 1e-9).all()


def test_solidity_is_the_share_of_the_hull() -> None:
    expected = [(label == LABELS).sum() / ConvexHull(corners(label)).volume for label in PRESENT]
    np.testing.assert_allclose(MEASURED["nucleus_solidity"], expected, rtol=1e-12)


def test_micrometres_are_pixels_times_the_pixel_size() -> None:
    np.testing.assert_array_equal(MEASURED["nucleus_area_um2"], MEASURED["nucleus_area"] * 0.25)
    np.testing.assert_array_equal(MEASURED["nucleus_feret_max_um"], MEASURED["nucleus_feret_max"] * 0.5)
    assert not any(name.endswith(("_um", "_um2")) for name in measure_shapes("cell", LABELS, PRESENT, mpp=None))


def test_a_single_pixel_has_no_circularity_and_no_error() -> None:
    one = np.zeros((3, 3), np.uint32)
    one[1, 1] = 1
    measured = measure_shapes("nucleus", one, np.array([1], np.uint32), mpp=None)
    assert np.isnan(measured["nucleus_circularity"]).all()
    assert measured["nucleus_feret_min"] == 1


def test_numbers_do_not_depend_on_the_place_in_the_image() -> None:
    moved = np.zeros((LABELS.shape[0] + 1000, LABELS.shape[1] + 777), np.uint32)
    moved[1000:, 777:] = LABELS
    moved = np.pad(moved, ((0, 5), (0, 5)))
    framed = np.pad(LABELS, 5)
    a, b = (measure_shapes("nucleus", each, PRESENT, mpp=None) for each in (framed, moved))
    for name in a:
        np.testing.assert_array_equal(a[name], b[name])
    assert _core.shapes(framed)[7].shape == (len(PRESENT), 2)

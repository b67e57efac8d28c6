"""Intensities, against scipy and scikit-image."""

import numpy as np
import pytest
from helpers.crowds import crowd
from nucleus_unet import _core
from nucleus_unet.errors import MaskError, SettingsError
from nucleus_unet.measures.intensities import measure_intensities
from nucleus_unet.measures.settings import BACKGROUND_REACH
from scipy import ndimage
from skimage.measure import regionprops_table

LABELS = crowd()
IMAGE = np.random.default_rng(1).normal(100, 20, LABELS.shape).astype(np.float32)
PRESENT, _, BOXES, _, _ = _core.measure(LABELS)
MEASURED = measure_intensities("DAPI", IMAGE, {"nucleus": LABELS}, PRESENT, BOXES)


@pytest.mark.parametrize(
    ("name", "function"),
    [
        ("mean", ndimage.mean),
        ("sd", ndimage.standard_deviation),
        ("min", ndimage.minimum),
        ("max", ndimage.maximum),
        ("sum", ndimage.sum_labels),
        ("median", ndimage.median),
    ],
)
def test_statistics_are_those_of_scipy(name: str, function: object) -> None:
    expected = function(IMAGE.astype(np.float64), LABELS, PRESENT)  # type: ignore[operator]
    np.testing.assert_allclose(MEASURED[f"nucleus_DAPI_{name}"], expected, rtol=1e-12)


def test_mean_and_deviation_are_those_of_scikit_image() -> None:
    properties = ["intensity_mean", "intensity_std"]
    expected = regionprops_table(LABELS, IMAGE.astype(np.float64), properties=properties)
    np.testing.assert_allclose(MEASURED["nucleus_DAPI_mean"], expected["intensity_mean"], rtol=1e-12)
    np.testing.assert_allclose(MEASURED["nucleus_DAPI_sd"], expected["intensity_std"], rtol=1e-9)


@pytest.mark.parametrize("percent", [5, 25, 75, 95])
def test_percentiles_are_those_of_numpy(percent: int) -> None:
    expected = [np.percentile(IMAGE[label == LABELS].astype(np.float64), percent) for label in PRESENT]
    np.testing.assert_allclose(MEASURED[f"nucleus_DAPI_p{percent}"], expected, rtol=1e-12)


def test_the_background_is_the_median_of_the_pixels_around_that_belong_to_no_nucleus() -> None:
    expected = []
    for top, left, bottom, right in BOXES + np.array([-1, -1, 1, 1]) * BACKGROUND_REACH:
        near = np.s_[max(0, top) : bottom, max(0, left) : right]
        expected.append(np.median(IMAGE[near][LABELS[near] == 0]))
    np.testing.assert_allclose(MEASURED["DAPI_background"], expected, rtol=1e-6)
    corrected = MEASURED["nucleus_DAPI_mean"] - MEASURED["DAPI_background"]
    np.testing.assert_array_equal(MEASURED["nucleus_DAPI_corrected"], corrected)


def test_a_nucleus_without_background_around_has_none() -> None:
    full = np.ones((5, 5), np.uint32)
    measured = measure_intensities(
        "x", np.ones((5, 5), np.float32), {"nucleus": full}, np.array([1], np.uint32), np.array([[0, 0, 5, 5]])
    )
    assert np.isnan(measured["x_background"]).all()
    assert measured["nucleus_x_mean"] == 1


def test_a_part_without_pixels_has_no_numbers() -> None:
    rings = np.where(LABELS == 3, 0, LABELS).astype(np.uint32)
    measured = measure_intensities("DAPI", IMAGE, {"ring": rings, "cell": LABELS}, PRESENT, BOXES)
    assert np.flatnonzero(np.isnan(measured["ring_DAPI_mean"])).tolist() == [2]


def test_one_thread_gives_the_numbers_of_many() -> None:
    one, many = (_core.statistics(LABELS, IMAGE, percents=[30.0], threads=threads)[1] for threads in (1, 8))
    np.testing.assert_array_equal(one, many)


def test_images_of_another_shape_and_percentages_out_of_range_are_refused() -> None:
    with pytest.raises(MaskError, match="intensity: expected the shape of the labels"):
        _core.statistics(LABELS, IMAGE[1:], percents=[])
    with pytest.raises(MaskError, match="intensity: expected the shape of the labels"):
        _core.backgrounds(LABELS, IMAGE[1:], BOXES)
    with pytest.raises(SettingsError, match="percents: expected numbers of 0 to 100"):
        _core.statistics(LABELS, IMAGE, percents=[101.0])

"""Stains, against scikit-image, and scores of immunohistochemistry."""

import math

import numpy as np
import pytest
from nucleus_unet.errors import SettingsError
from nucleus_unet.measures.stains import h_score, positive_share, stain_densities
from skimage.color import separate_stains

# Ruifrok and Johnston (2001): haematoxylin, eosin, DAB.
ABSORPTION = np.array([[0.65, 0.70, 0.29], [0.07, 0.99, 0.11], [0.27, 0.57, 0.78]])
UNMIX = np.linalg.inv(ABSORPTION / np.linalg.norm(ABSORPTION, axis=1, keepdims=True))


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32, np.float64])
def test_densities_are_those_of_scikit_image(dtype: type) -> None:
    share = np.random.default_rng(0).uniform(0.05, 1, (20, 30, 3))
    most = np.iinfo(dtype).max if np.issubdtype(dtype, np.integer) else 1
    image = np.rint(share * most).astype(dtype) if most > 1 else share.astype(dtype)
    # scikit-image divides the logarithm by that of 1e-6, and clips at 0.
    expected = 6 * separate_stains(image / most, UNMIX)
    found = stain_densities(image)
    for name, place in (("haematoxylin", 0), ("dab", 2)):
        np.testing.assert_allclose(found[name].clip(0), expected[..., place], atol=2e-4)


def test_glass_has_no_density_and_black_a_finite_one() -> None:
    image = np.array([[[255, 255, 255], [0, 0, 0]]], np.uint8)
    for density in stain_densities(image).values():
        assert density[0, 0] == 0
        assert np.isfinite(density).all()


def test_a_density_does_not_depend_on_the_place_of_the_pixel() -> None:
    image = np.random.default_rng(0).random((37, 41, 3))
    whole = stain_densities(image)["dab"]
    for row, column in ((0, 0), (5, 7), (36, 40)):
        np.testing.assert_array_equal(stain_densities(image[row:, column:])["dab"], whole[row:, column:])


def test_the_h_score_weighs_weak_moderate_and_strong_nuclei() -> None:
    density = [0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9]
    assert h_score(density) == pytest.approx(20 * 1 + 20 * 2 + 40 * 3)
    assert positive_share(density, 0.2) == 0.8


def test_no_nuclei_have_no_score() -> None:
    assert math.isnan(h_score([]))
    assert math.isnan(positive_share([], 0.2))


@pytest.mark.parametrize("thresholds", [(0.2, 0.4), (0.4, 0.2, 0.6), (0.2, 0.2, 0.3)])
def test_thresholds_must_be_three_that_ascend(thresholds: tuple[float, ...]) -> None:
    with pytest.raises(SettingsError, match="thresholds: expected three ascending numbers"):
        h_score([0.1], thresholds)


@pytest.mark.parametrize("image", [np.full((2, 2, 3), 200.0), np.full((2, 2, 3), 9, np.int32), np.zeros((2, 2, 3)) - 1])
def test_colours_without_a_known_white_are_refused(image: np.ndarray) -> None:
    with pytest.raises(SettingsError, match="expected colours of 8 or 16 bits, or floating point numbers from 0 to 1"):
        stain_densities(image)

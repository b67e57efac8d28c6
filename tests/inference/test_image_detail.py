"""The detail of an image, octave by octave."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from nucleus_unet.inference.image_detail import detail_at, octave_energies
from nucleus_unet.inference.scale_measurements import SCALES
from nucleus_unet.preprocessing.resample import resample

NOISE = np.random.default_rng(0).random((256, 256), np.float32)


@given(hnp.arrays(np.float32, st.just((64, 64)), elements=st.floats(0, 1, width=32)))
def test_the_energies_of_the_octaves_add_up_to_the_variance(pixels: np.ndarray) -> None:  # type: ignore[type-arg]
    *octaves, whole = octave_energies(pixels)
    exact = pixels.astype(np.float64)
    # Five octaves are halved from 64 to 2 pixels a side. The sixth one repeats the fifth.
    rest = exact.reshape(2, 32, 2, 32).mean(axis=(1, 3)).var()
    assert sum(octaves[:5]) + rest == pytest.approx(exact.var(), abs=1e-6)
    assert octaves[5] == octaves[4]
    means = exact.reshape(32, 2, 32, 2).mean(axis=(1, 3))
    assert octaves[0] == pytest.approx(((exact.reshape(32, 2, 32, 2) - means[:, None, :, None]) ** 2).mean(), abs=1e-6)
    assert whole == pytest.approx(exact.var(), abs=1e-6)


def test_a_colour_image_with_equal_channels_has_the_detail_of_the_grey_one() -> None:
    np.testing.assert_allclose(octave_energies(np.stack([NOISE] * 3, axis=-1)), octave_energies(NOISE), rtol=1e-5)


@pytest.mark.parametrize("magnification", [2, 4])
def test_an_enlarged_image_has_the_detail_of_the_original_at_the_scale_that_undoes_it(magnification: int) -> None:
    enlarged = octave_energies(resample(NOISE, magnification))
    at_one, undone = detail_at((1.0, 1 / magnification), enlarged)
    original = detail_at((1.0,), octave_energies(NOISE))[0]
    assert at_one[0] < original[0] - 0.5  # less detail from pixel to pixel
    assert abs(undone[0] - original[0]) < 0.5
    assert undone[1] > 0  # the next finer octave has less


@pytest.mark.parametrize("shape", [(1, 1), (3, 50), (4, 4), (5, 7), (100, 6)])
def test_tiny_images_have_numbers_too(shape: tuple[int, int]) -> None:
    energies = octave_energies(NOISE[: shape[0], : shape[1]])
    assert np.isfinite(detail_at(SCALES, energies)).all()


def test_a_flat_image_has_no_detail() -> None:
    assert (detail_at(SCALES, octave_energies(np.full((64, 64), 0.5, np.float32))) == 0).all()

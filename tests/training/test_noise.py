"""Training shows the network empty fields: noise of many kinds, in which there is no nucleus."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from nucleus_unet.training.augmentation import AugmentConfig, draw_sample
from nucleus_unet.training.noise import _compressed, empty_field
from nucleus_unet.training.source_image import SourceImage


def likeness_of_neighbours(image: np.ndarray) -> float:
    """Return the correlation of horizontal neighbours, without the slope of the background."""
    detail = image[0] - image[0].mean(axis=0)
    first, second = detail[:, :-1].ravel(), detail[:, 1:].ravel()
    return float((first * second).mean() / max((detail**2).mean(), 1e-9))


@given(st.integers(4, 70), st.integers(0, 2**32 - 1))
def test_an_empty_field_of_any_size_has_intensities_from_0_to_1(size: int, seed: int) -> None:
    image = empty_field(size, np.random.default_rng(seed))
    assert image.shape == (3, size, size)
    assert image.dtype == np.float32
    assert np.isfinite(image).all()
    assert image.min() >= 0
    assert image.max() <= 1


def test_the_same_seed_gives_the_same_field() -> None:
    assert np.array_equal(empty_field(32, np.random.default_rng(7)), empty_field(32, np.random.default_rng(7)))


def test_neighbouring_pixels_are_alike_in_some_fields_and_independent_in_others() -> None:
    likeness = np.array([likeness_of_neighbours(empty_field(96, np.random.default_rng(seed))) for seed in range(200)])
    assert (likeness > 0.5).mean() > 0.25
    assert (abs(likeness) < 0.1).mean() > 0.25


def test_fine_compression_changes_nothing() -> None:
    noise = np.random.default_rng(0).standard_normal((1, 21, 30)).astype(np.float32)
    assert _compressed(noise, 1e-3) == pytest.approx(noise, abs=0.02)


def test_coarse_compression_keeps_the_means_of_blocks_but_no_detail() -> None:
    means = np.array([[40.0, -80.0], [120.0, 40.0]], np.float32)
    blocks = np.kron(means, np.ones((8, 8), np.float32))[None]
    detailed = blocks + np.random.default_rng(0).standard_normal(blocks.shape).astype(np.float32)
    assert _compressed(detailed, 40.0) == pytest.approx(blocks)


def test_a_negative_sample_has_no_nuclei_and_all_its_pixels_count() -> None:
    labels = np.ones((40, 40), np.uint32)
    original = SourceImage(np.zeros((40, 40), np.uint8), labels)
    sample = draw_sample(original, AugmentConfig(crop=48, negatives=1), np.random.default_rng(0))
    assert not sample.targets.foreground.any()
    assert sample.valid.all()

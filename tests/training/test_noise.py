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


def dim_image_with_one_nucleus() -> SourceImage:
    """Return an 8-bit image whose background has few grey levels."""
    image = np.random.default_rng(0).poisson(2, (400, 400)).astype(np.uint8)
    labels = np.zeros(image.shape, np.uint32)
    labels[180:220, 180:220] = 1
    return SourceImage(image + 200 * (labels > 0).astype(np.uint8), labels)


def test_if_samples_are_of_any_size_empty_parts_of_the_image_are_among_those_without_nuclei(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    marker = np.zeros((3, 48, 48), np.float32)
    monkeypatch.setattr("nucleus_unet.training.augmentation.empty_field", lambda *_: marker)
    config = AugmentConfig(crop=48, negatives=1, any_size=0.3)
    original, rng = dim_image_with_one_nucleus(), np.random.default_rng(0)
    samples = [draw_sample(original, config, rng) for _ in range(60)]
    parts = [sample for sample in samples if sample.image.any()]
    assert 15 < len(parts) < 45
    for part in parts:
        assert not part.targets.foreground.any()
        assert part.valid.all()
        assert part.image.max() == 1, "It is normalised as an image of its own."


def test_an_image_that_is_full_of_nuclei_gives_noise_as_samples_without_nuclei() -> None:
    full = SourceImage(np.full((60, 60), 200, np.uint8), np.ones((60, 60), np.uint32))
    config = AugmentConfig(crop=48, negatives=1, any_size=0.3)
    rng = np.random.default_rng(0)
    assert not any(draw_sample(full, config, rng).targets.foreground.any() for _ in range(10))


def test_some_enlarged_samples_have_the_grey_levels_of_the_file_and_others_all_between() -> None:
    config = AugmentConfig(crop=48, negatives=0, strength=0, any_size=1, any_diameters=(160.0, 161.0))
    ramp = np.broadcast_to(np.linspace(0, 8, 100).astype(np.uint8), (100, 100))
    labels = np.zeros(ramp.shape, np.uint32)
    labels[40:60, 40:60] = 1
    rng = np.random.default_rng(0)
    levels = [len(np.unique(draw_sample(SourceImage(ramp, labels), config, rng).image)) for _ in range(40)]
    assert 8 < sum(number <= 9 for number in levels) < 32

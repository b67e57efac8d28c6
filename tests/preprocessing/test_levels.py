"""Nuclei are found the same, whatever numbers the pixels are stored in."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from helpers.images import count_found, draw_nuclei
from hypothesis import given, settings
from hypothesis import strategies as st
from nucleus_unet.io.source import open_image
from nucleus_unet.preprocessing.levels import measure_levels
from nucleus_unet.preprocessing.normalisation import IntensityRange, percentile_range
from nucleus_unet.segmenter import Segmenter
from nucleus_unet.slides.plan import survey_slide
from numpy.typing import NDArray
from scipy import ndimage

NUCLEI, LABELS = draw_nuclei()
COUNTS = 300 + 4000 * NUCLEI + 40 * np.random.default_rng(1).normal(0, 1, NUCLEI.shape)
CAMERA = np.rint(COUNTS).astype(np.uint16)


@pytest.fixture(scope="module")
def embedded() -> Segmenter:
    return Segmenter.from_pretrained(device="cpu")


STORED = {
    "uint16": CAMERA,
    "uint8": np.clip(COUNTS / 20, 0, 255).astype(np.uint8),
    "int8": np.clip(COUNTS / 20 - 120, -128, 127).astype(np.int8),
    "int16, of which half is below 0": (CAMERA.astype(np.int32) - 2000).astype(np.int16),
    "int32, all below 0": CAMERA.astype(np.int32) - 10**6,
    "uint32": CAMERA.astype(np.uint32) * 1000,
    "int64": CAMERA.astype(np.int64) * 10**9,
    "uint64 near its end": CAMERA.astype(np.uint64) * 10**15,
    "float16": (COUNTS / 10).astype(np.float16),
    "float32 from 0 to 1": (COUNTS / 65535).astype(np.float32),
    "float32 from -1 to 1": (COUNTS / 2500 - 1).astype(np.float32),
    "float32 with an offset": (COUNTS + 1e5).astype(np.float32),
    "float32, denormal": (COUNTS * 1e-43).astype(np.float32),
    "float64 beyond single precision": COUNTS * 1e296,
    "float64 below single precision": COUNTS * 1e-303,
    "12 bits in 16": np.clip(COUNTS, 0, 4095).astype(np.uint16),
    "12 bits shifted to the top": np.clip(COUNTS, 0, 4095).astype(np.uint16) << 4,
    "big-endian": CAMERA.astype(">u2"),
    "three levels": np.rint(COUNTS / 2000).astype(np.uint8),
    "bool": NUCLEI > 0.5,
    "saturated": np.clip(COUNTS * 3, 0, 4095).astype(np.uint16),
}


@pytest.mark.parametrize("stored", STORED)
def test_nuclei_are_found_in_numbers_of_every_kind(embedded: Segmenter, stored: str) -> None:
    found = embedded.predict(STORED[stored])
    assert count_found(found.labels, LABELS) == LABELS.max() == len(found)


def with_pixels(image: NDArray[Any], share: float, value: float) -> NDArray[Any]:
    """Set single pixels to a value."""
    changed = image.copy()
    changed[np.random.default_rng(4).random(image.shape) < share] = value
    return changed


@pytest.mark.parametrize(("share", "value"), [(1e-5, 65535), (1e-3, 65535), (1e-5, 0), (1e-3, 0), (1e-2, 0)])
def test_hot_and_dead_pixels_hide_no_nuclei(embedded: Segmenter, share: float, value: int) -> None:
    found = embedded.predict(with_pixels(CAMERA, share, value))
    assert count_found(found.labels, LABELS) == LABELS.max() == len(found)


@pytest.mark.parametrize("dtype", [np.uint16, np.float32, np.float64])
@pytest.mark.parametrize("brightness", [40, 4000])
@pytest.mark.parametrize("hot", [0, 3e-6])
def test_few_nuclei_on_ground_of_one_value_are_found_beside_hot_pixels(
    embedded: Segmenter, dtype: type, brightness: int, hot: float
) -> None:
    nuclei, truth = draw_nuclei((1400, 1400), 2)
    image = np.where(nuclei > 0.3, np.rint(brightness * nuclei), 0).astype(dtype)
    assert np.count_nonzero(image) < 0.002 * image.size  # the percentiles fall together
    found = embedded.predict(with_pixels(image, hot, 65535))
    assert count_found(found.labels, truth) == 2 == len(found)


EMPTY = {
    "camera noise": np.rint(100 + 3 * np.random.default_rng(0).normal(0, 1, (600, 600))).astype(np.uint16),
    "the last bit": np.rint(100 + 0.6 * np.random.default_rng(0).normal(0, 1, (600, 600))).astype(np.uint8),
    "single photons": np.random.default_rng(0).poisson(0.01, (600, 600)).astype(np.uint8),
    "photons": np.random.default_rng(0).poisson(2, (600, 600)).astype(np.uint16),
    "noise of floats": np.random.default_rng(0).normal(0, 1e-6, (600, 600)).astype(np.float32),
    "a ramp": np.add.outer(np.arange(600), np.arange(600)).astype(np.uint16),
    "glass": np.rint(240 + np.random.default_rng(0).normal(0, 1.5, (600, 600, 3))).astype(np.uint8),
    "uneven light": np.rint(ndimage.gaussian_filter(np.random.default_rng(0).random((600, 600)), 120) * 1e5),
}


@pytest.mark.parametrize("name", EMPTY)
def test_noise_is_no_nucleus(embedded: Segmenter, name: str) -> None:
    assert len(embedded.predict(EMPTY[name])) == 0


def test_an_image_of_one_value_is_told(embedded: Segmenter, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    flat = np.full((90, 90), 7, np.uint16)
    with caplog.at_level(logging.WARNING):
        assert len(embedded.predict(flat)) == 0
        assert len(embedded.predict_slide(flat, out=tmp_path)) == 0
    assert caplog.text.count("all pixels are equal: there are no nuclei to find") == 2


@pytest.mark.parametrize("unit", [1.0, 1e296, 1e-303, -1e296])
def test_intensities_are_those_of_the_pixels_even_beyond_single_precision(
    segmenter: Segmenter, tmp_path: Path, unit: float
) -> None:
    image = COUNTS * unit
    found = segmenter.predict(image)
    expected = ndimage.mean(image / unit, found.labels, np.arange(1, len(found) + 1))
    assert len(found)
    np.testing.assert_allclose(found.table["intensity"] / unit, expected, rtol=1e-6)
    result = segmenter.predict_slide(image, out=tmp_path, tissue=False, block=100)
    np.testing.assert_array_equal(tifffile.imread(result.labels_path), found.labels)
    np.testing.assert_array_equal(result.table["intensity"], found.table["intensity"])


# Ranges ----------------------------------------------------------------------------------------------------


def test_each_channel_has_a_range_of_its_own_where_one_is_chosen(segmenter: Segmenter) -> None:
    channels = np.stack([CAMERA, CAMERA // 7, CAMERA + 90])
    for number, plane in enumerate(channels):
        found = segmenter.predict(channels, channel=number, channel_axis=0)
        assert found.plan.intensity_range == list(np.percentile(plane, (1, 99.8)))


def test_colours_share_one_range(segmenter: Segmenter) -> None:
    picture = np.stack([CAMERA, CAMERA // 7, CAMERA + 90], axis=-1)
    assert segmenter.predict(picture).plan.intensity_range == list(np.percentile(picture, (1, 99.8)))


@given(
    rest=st.lists(st.integers(0, 9), min_size=1, max_size=8),
    value=st.integers(0, 9),
    dtype=st.sampled_from([np.uint8, np.uint16, np.float32, np.float64]),
)
@settings(max_examples=60)
def test_where_nearly_all_pixels_are_one_value_the_others_set_the_range(
    rest: list[int], value: int, dtype: type
) -> None:
    image = np.full((80, 90), value, dtype)
    image.ravel()[:: image.size // len(rest)][: len(rest)] = rest
    others = image[image != value]
    expected = None
    if others.size:
        low, high = np.percentile(others, (5, 95))
        expected = IntensityRange(min(value, low), max(value, high))
    assert percentile_range(image) == expected
    assert measure_levels(image).intensity_range == expected
    assert survey_slide(open_image(image).plane(), cell=32, workers=1).levels.intensity_range == expected

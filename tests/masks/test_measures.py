"""Measures of nuclei under scikit-image's names; test_agreement and test_measures_kernel compare the numbers."""

from typing import Any

import numpy as np
import pytest
from nucleus_unet.errors import MaskError, SettingsError
from nucleus_unet.masks import regionprops_table
from skimage.measure import regionprops_table as skimage_table

LABELS = np.array([[0, 5, 5, 0], [0, 5, 5, 2], [9, 0, 0, 2]], np.uint8)
BRIGHT = np.arange(12).reshape(3, 4)


def test_columns_have_the_names_that_scikit_image_gives_them() -> None:
    ours = regionprops_table(LABELS, BRIGHT)
    names = {name.split("-")[0] for name in ours}
    assert list(ours["label"]) == [2, 5, 9]
    assert set(skimage_table(LABELS, BRIGHT, properties=tuple(names))) == set(ours)


def test_all_is_measured_unless_something_is_asked_for() -> None:
    everything = regionprops_table(LABELS)
    assert not any(name.startswith("intensity") for name in everything)
    asked = regionprops_table(LABELS, properties=["bbox", "perimeter"])
    assert list(asked) == ["bbox-0", "bbox-1", "bbox-2", "bbox-3", "perimeter"]
    for name, column in asked.items():
        np.testing.assert_array_equal(column, everything[name])


@pytest.mark.parametrize("threads", [1, 2, 3])
def test_the_number_of_threads_changes_no_bit(threads: int) -> None:
    labels = np.random.default_rng(0).integers(0, 9, (600, 40), np.uint32).repeat(3, 0).repeat(3, 1)
    intensity = np.random.default_rng(1).normal(size=labels.shape)
    found, expected = (regionprops_table(labels, intensity, threads=number) for number in (threads, None))
    for name, column in found.items():
        assert column.tobytes() == expected[name].tobytes(), name


def test_a_shape_does_not_depend_on_where_it_lies() -> None:
    far = np.zeros((3000, 5000), np.uint32)
    far[2990:2993, 4990:4994] = LABELS
    for name, column in regionprops_table(LABELS, properties=["eccentricity", "perimeter", "solidity"]).items():
        assert column.tobytes() == regionprops_table(far, properties=[name])[name].tobytes()


def test_an_intensity_that_is_not_a_number_is_told() -> None:
    bright = BRIGHT.astype(float)
    bright[0, 1] = np.nan
    table = regionprops_table(LABELS, bright)
    np.testing.assert_array_equal(table["intensity_max"], [11, np.nan, 8])
    np.testing.assert_array_equal(table["intensity_min"], [7, np.nan, 8])


@pytest.mark.parametrize("shape", [(0, 0), (0, 4), (5, 0), (5, 4)])
def test_images_without_nuclei_have_columns_without_rows(shape: tuple[int, int]) -> None:
    table = regionprops_table(np.zeros(shape, np.uint32), np.zeros(shape))
    assert {column.shape for column in table.values()} == {(0,)}


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"properties": ["size"]}, SettingsError, "properties: expected some of label, area, .* got 'size'"),
        ({"properties": ["intensity_min"]}, SettingsError, "intensity: expected an image for intensity_min, got None"),
        ({"intensity": BRIGHT[:2]}, MaskError, r"intensity: expected the shape of the labels, \(3, 4\), got \(2, 4\)"),
        ({"intensity": BRIGHT * 1j}, MaskError, "intensity: expected real numbers, got complex128"),
        ({"threads": 0}, SettingsError, "threads: expected at least 1"),
    ],
)
def test_what_cannot_be_measured_is_refused(arguments: dict[str, Any], error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        regionprops_table(LABELS, **arguments)

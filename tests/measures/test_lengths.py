"""Lengths: pixels or micrometres, and a sentence for everything else."""

import pytest
from nucleus_unet.errors import SettingsError
from nucleus_unet.measures.lengths import parse_length


@pytest.mark.parametrize("given", [8, 8.0, "8", "8px", " 8 pixels "])
def test_numbers_and_text_without_another_unit_are_pixels(given: object) -> None:
    assert parse_length("expand", given).pixels("expand", None) == 8


@pytest.mark.parametrize("given", ["4um", "4 µm", "4.0 μm", "4 microns"])
def test_micrometres_become_pixels_by_the_pixel_size(given: str) -> None:
    assert parse_length("expand", given).pixels("expand", 0.25) == 16


@pytest.mark.parametrize("given", [-1, float("nan"), float("inf"), True, "far", "4 mm", "-3", None, [8]])
def test_what_is_no_length_is_refused_with_an_example(given: object) -> None:
    with pytest.raises(SettingsError, match=r'expand: expected a number of pixels such as 8, or .* "4 um", got'):
        parse_length("expand", given)


def test_micrometres_without_a_pixel_size_are_refused_with_what_to_give() -> None:
    with pytest.raises(SettingsError, match=r"does not tell its pixel size.*mpp= \(--mpp\)"):
        parse_length("expand", "4 um").pixels("expand", None)

"""The settings that options of measuring mean."""

import pytest
from nucleus_unet.errors import SettingsError
from nucleus_unet.measures.settings import parse_groups, resolve_settings


@pytest.mark.parametrize("given", ["", [], "size", ["shape", 3], 7, "shape,size"])
def test_unknown_groups_are_refused_with_those_that_exist(given: object) -> None:
    with pytest.raises(SettingsError, match="measure: expected some of intensity, shape, neighbours, stain, texture"):
        parse_groups("measure", given)


def test_nothing_is_measured_unless_it_is_asked_for() -> None:
    assert resolve_settings(None, None, 100, 0.5) is None


def test_lengths_become_pixels() -> None:
    settings = resolve_settings(["shape"], "3 um", "50 um", 0.5)
    assert settings is not None
    assert (settings.expand, settings.neighbour_radius, settings.groups) == (6, 100, ("shape",))


@pytest.mark.parametrize(
    ("expand", "radius", "message"),
    [(1001, 100, "expand: expected at most 1000 pixels, got 1001"), (None, 0, "neighbour_radius: expected a positive")],
)
def test_cells_beyond_memory_and_neighbours_of_no_distance_are_refused(
    expand: float | None, radius: float, message: str
) -> None:
    with pytest.raises(SettingsError, match=message):
        resolve_settings("shape", expand, radius, None)


def test_cells_can_be_made_without_measures() -> None:
    settings = resolve_settings(None, 5, 100, None)
    assert settings is not None
    assert (settings.groups, settings.needs_pixels) == ((), False)

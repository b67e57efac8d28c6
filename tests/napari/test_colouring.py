"""Colours by a measure."""

from __future__ import annotations

import numpy as np
import pytest
from nucleus_unet.errors import SettingsError
from nucleus_unet.napari import colouring
from nucleus_unet.napari.colouring import colours_by, measured_columns
from numpy.typing import NDArray


def grey(shares: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.stack([shares, shares, shares, np.ones_like(shares)], axis=1)


def test_larger_values_are_later_colours_and_one_odd_value_does_not_take_all() -> None:
    values = np.append(np.linspace(10, 20, 99), 1e9)
    coloured = colours_by(np.arange(1, 101), values, grey)
    shares = [float(coloured.colours[label][0]) for label in range(1, 101)]
    assert shares == sorted(shares)
    assert shares[0] == 0
    assert shares[-1] == 1
    assert shares[50] == pytest.approx(0.5, abs=0.05)


def test_nuclei_without_a_value_are_grey_and_background_is_transparent() -> None:
    coloured = colours_by(np.array([4, 9]), np.array([np.nan, 3.0]), grey)
    assert coloured.colours[4].tolist() == [0.5, 0.5, 0.5, 1.0]
    assert coloured.colours[0][3] == coloured.colours[None][3] == 0


@pytest.mark.parametrize("values", [[], [7.0, 7.0], [np.nan]])
def test_equal_values_and_none_are_no_error(values: list[float]) -> None:
    assert len(colours_by(np.arange(1, len(values) + 1), np.array(values), grey).colours) == len(values) + 2


def test_too_many_nuclei_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(colouring, "MOST_COLOURED", 2)
    with pytest.raises(SettingsError, match="at most 2 nuclei, got 3"):
        colours_by(np.arange(3), np.zeros(3), grey)


def test_columns_of_numbers_are_offered_and_names_are_not() -> None:
    table = {"index": np.array([1]), "label": np.array([1]), "area": np.array([5]), "kind": np.array(["a"])}
    assert measured_columns(table) == ["area"]

"""Neighbours from groups of nuclei, against all nuclei at once."""

import numpy as np
import pytest
from helpers.crowds import crowd
from nucleus_unet import _core
from nucleus_unet.exports.nucleus_table import NucleusTable, empty_table
from nucleus_unet.measures.region import measure_neighbours
from nucleus_unet.measures.settings import MeasureSettings
from nucleus_unet.slides.neighbours import NeighbourWindow


def nuclei(seed: int) -> NucleusTable:
    labels = crowd((400, 90), 150, seed)
    labels[:300, 88] = labels.max() + 1  # tall: its centroid is far below its first row
    labels = _core.relabel_sequential(labels)[0]
    present, area, boxes, centroids, _ = _core.measure(labels)
    floats = np.ones(len(present))
    return NucleusTable(
        present, *centroids.T, *boxes.T, area, floats, *[floats.astype(np.float32)] * 2, outline=[b""] * len(present)
    )


@pytest.mark.parametrize("radius", [1.5, 30.0, 170.0, 1000.0])
@pytest.mark.parametrize("seed", range(3))
def test_groups_give_the_neighbours_of_all_nuclei_at_once(radius: float, seed: int) -> None:
    table = nuclei(seed)
    settings = MeasureSettings(groups=("neighbours",), expand=None, neighbour_radius=radius, mpp=0.5)
    expected = measure_neighbours(np.column_stack([table.row, table.column]), settings)
    groups = [table[first : first + 13] for first in range(0, len(table), 13)]
    window = NeighbourWindow(groups, settings)
    found = [window.measure(group) for group in groups]
    for name, values in expected.items():
        np.testing.assert_array_equal(np.concatenate([part[name] for part in found]), values)


def test_groups_far_below_are_not_read() -> None:
    table = nuclei(0)
    groups = [table[first : first + 13] for first in range(0, len(table), 13)]
    ahead = iter(groups)
    settings = MeasureSettings(groups=("neighbours",), expand=None, neighbour_radius=5, mpp=None)
    NeighbourWindow(ahead, settings).measure(table[1:2])
    assert len(list(ahead)) > len(groups) // 2


def test_no_nuclei_have_no_neighbours() -> None:
    settings = MeasureSettings(groups=("neighbours",), expand=None, neighbour_radius=5, mpp=None)
    found = NeighbourWindow([], settings).measure(empty_table())
    assert {name: len(values) for name, values in found.items()} == {"neighbour_distance": 0, "neighbour_count": 0}

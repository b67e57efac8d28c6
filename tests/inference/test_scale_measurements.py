"""What is measured of the nuclei at each scale of the search."""

import numpy as np
import pytest
from nucleus_unet.inference.image_detail import detail_at, octave_energies
from nucleus_unet.inference.scale_measurements import SCALES, RegionNuclei, measure_scales


def at_scales(per_scale: dict[float, list[tuple[slice, slice, float]]], side: int) -> list[RegionNuclei]:
    """Return rectangles as nuclei with probabilities, at every scale of an image with a side."""
    found = []
    for scale in SCALES:
        length = round(side * scale)
        labels = np.zeros((length, length), np.uint32)
        maps = np.zeros((length, length, 4), np.uint8)
        probabilities = []
        for number, (rows, columns, probability) in enumerate(per_scale.get(scale, []), start=1):
            labels[rows, columns] = number
            maps[rows, columns, 0] = 255
            probabilities.append(probability)
        found.append(RegionNuclei(maps, labels, np.array(probabilities, np.float32)))
    return found


def test_the_measurements_are_those_of_their_documentation() -> None:
    coarse = [(slice(10, 20), slice(10, 20), 0.9)]
    fine = [(slice(20, 40), slice(20, 40), 0.7), (slice(60, 70), slice(60, 80), 0.5)]
    energies = octave_energies(np.random.default_rng(0).random((100, 100), np.float32))
    rows = measure_scales([at_scales({0.5: coarse, 1.0: fine}, 100)], [energies], 0.5)
    assert rows.shape == (6, 21)
    half, one = rows[4], rows[5]
    # The one nucleus at scale 0.5 is one of two at scale 1, which has two thirds of their area.
    assert half[6:12] == pytest.approx([1, 2 / 3, 0.6 - 0.9, np.log(3 / 2), (600 - 400) / 600, 1])
    assert one[:6] == pytest.approx([2 / 3, 1, 0.9 - 0.6, np.log(2 / 3), (400 - 600) / 600, 1])
    assert half[12:15] == pytest.approx([0.9, 0.9, 400 / 600])
    diameters = 2 * np.sqrt(np.array([400, 200]) / np.pi)
    weighted = (diameters * [400, 200]).sum() / 600
    weighted_probability = (0.7 * 400 + 0.5 * 200) / 600
    expected = [0.6, weighted_probability, 1, np.log(np.median(diameters) + 1e-3), np.log(weighted + 5), np.log(3)]
    assert one[12:18] == pytest.approx(expected, rel=1e-6)
    np.testing.assert_array_equal(rows[:, 18:], detail_at(SCALES, energies))
    assert one[6:12].tolist() == [0] * 6
    assert rows[0, :6].tolist() == [0] * 6


def test_several_regions_are_measured_as_one() -> None:
    region = at_scales({0.5: [(slice(0, 10), slice(0, 10), 0.8)], 1.0: [(slice(0, 20), slice(0, 20), 0.8)]}, 64)
    empty = at_scales({}, 64)
    energies = octave_energies(np.zeros((64, 64), np.float32))
    alone = measure_scales([region], [energies], 0.5)
    both = measure_scales([region, empty], [energies, energies], 0.5)
    np.testing.assert_allclose(both, alone)

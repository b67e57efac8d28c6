"""Tables of corrected labels."""

from __future__ import annotations

import numpy as np
from helpers.images import draw_discs
from nucleus_unet.napari.correcting import delete, merge
from nucleus_unet.napari.finding import FoundNuclei, Part, find_nuclei
from nucleus_unet.napari.jobs import Progress
from nucleus_unet.napari.regions import Region
from nucleus_unet.napari.tables import measure_again
from nucleus_unet.segmenter import Segmenter

IMAGE = draw_discs((100, 130), [(20, 20, 8), (22, 70, 8), (70, 30, 8), (75, 100, 8)])


def found_in(segmenter: Segmenter, **options: object) -> FoundNuclei:
    part = Part(IMAGE, "YX", Region(5, 5, 100, 130))
    return find_nuclei(segmenter, part, {"diameter": 16, **options}, Progress(""))


def test_labels_that_were_not_changed_have_the_table_that_they_had(segmenter: Segmenter) -> None:
    found = found_in(segmenter, measure=("shape", "intensity", "neighbours"), expand=4.0)
    again = measure_again(found.part, found.labels, found.options, found.table)
    assert list(again) == list(found.table)
    for name, values in found.table.items():
        assert np.array_equal(again[name], values, equal_nan=True), name


def test_what_was_changed_is_measured_anew_and_its_probability_is_not_known(segmenter: Segmenter) -> None:
    found = found_in(segmenter)
    labels = delete(found.labels, [2])
    labels[80:90, 5:15] = 7
    before = {**found.table, "quality": np.linspace(0.5, 0.9, len(found.table["label"]))}
    again = measure_again(found.part, labels, found.options, before)
    assert again["label"].tolist() == [1, 3, 4, 7]
    assert again["area"][3] == 100
    assert (again["row"][3], again["column"][3]) == (89.5, 14.5)
    assert again["intensity"][3] == IMAGE[85:95, 10:20].mean(dtype=np.float64)
    for name in ("probability", "quality"):
        np.testing.assert_array_equal(again[name][:3], before[name][[0, 2, 3]].astype(np.float32))
        assert np.isnan(again[name][3])


def test_a_layer_without_nuclei_has_an_empty_table(segmenter: Segmenter) -> None:
    found = found_in(segmenter)
    again = measure_again(found.part, np.zeros_like(found.labels), {}, found.table)
    assert list(again) == list(found.table)
    assert len(again["label"]) == 0


def test_merged_nuclei_are_one_row(segmenter: Segmenter) -> None:
    found = found_in(segmenter)
    labels = found.labels.copy()
    labels[:, 61:64] = np.where(labels[:, 61:64] > 0, 9, 0)
    joined = merge(labels, [int(labels[17, 60]), 9]) if (labels == 9).any() else labels
    again = measure_again(found.part, joined, found.options, found.table)
    assert len(again["label"]) == 4

"""Nuclei of parts of layers, found without a viewer."""

from __future__ import annotations

from typing import Any

import dask.array
import numpy as np
import pytest
from helpers.images import draw_discs
from nucleus_unet.errors import CancelledError, SettingsError
from nucleus_unet.napari.finding import Part, find_nuclei, plane_images
from nucleus_unet.napari.jobs import Progress
from nucleus_unet.napari.regions import Region
from nucleus_unet.segmenter import Segmenter

DISCS = [(20, 20, 8), (22, 70, 8), (70, 30, 8), (75, 100, 8)]
IMAGE = draw_discs((100, 130), DISCS)
EVERYTHING = Region(0, 0, 100, 130)


def find(segmenter: Segmenter, part: Part, **options: Any) -> Any:
    return find_nuclei(segmenter, part, {"diameter": 16, **options}, Progress("start"))


def test_a_whole_layer_gives_what_predict_gives(segmenter: Segmenter) -> None:
    found, expected = find(segmenter, Part(IMAGE, "YX", EVERYTHING)), segmenter.predict(IMAGE, diameter=16)
    assert np.array_equal(found.labels, expected.labels)
    assert list(found.table) == list(expected.table)
    for name, values in expected.table.items():
        np.testing.assert_array_equal(found.table[name], values)


def test_a_region_has_the_nuclei_of_the_cut_and_rows_and_columns_of_the_layer(segmenter: Segmenter) -> None:
    found = find(segmenter, Part(IMAGE, "YX", Region(50, 60, 100, 130)))
    assert np.array_equal(found.labels, segmenter.predict(IMAGE[50:, 60:], diameter=16).labels)
    assert found.part.placement.first == (50.0, 60.0)
    assert [round(float(found.table[name][0])) for name in ("row", "column")] == [75, 100]
    assert (found.table["top"] >= 50).all()


def test_labels_of_several_planes_are_all_different(segmenter: Segmenter) -> None:
    stack = np.stack([IMAGE, IMAGE[::-1], np.zeros_like(IMAGE), IMAGE])
    found = find(segmenter, Part(stack, "TYX", EVERYTHING, time="all"))
    assert found.labels.shape == stack.shape
    assert [len(np.unique(plane)) - 1 for plane in found.labels] == [4, 4, 0, 4]
    assert len(np.unique(found.labels)) - 1 == 12
    assert found.table["time"].tolist() == [0] * 4 + [1] * 4 + [3] * 4
    assert found.table["label"].tolist() == list(range(1, 13))


def test_one_plane_of_a_stack_of_channels_is_chosen(segmenter: Segmenter) -> None:
    array = np.zeros((3, 2, 100, 130), np.uint8)
    array[1, 1] = IMAGE
    found = find(segmenter, Part(array, "ZCYX", EVERYTHING, z=1, channel=1))
    assert found.labels.shape == (1, 1, 100, 130)
    assert len(found) == 4
    assert (found.table["z"] == 1).all()


def test_a_projection_is_one_plane(segmenter: Segmenter) -> None:
    stack = np.stack([np.where(np.arange(130) < 50, IMAGE, 15), np.where(np.arange(130) >= 50, IMAGE, 15)])
    found = find(segmenter, Part(stack.astype(np.uint8), "ZYX", EVERYTHING, z="max"))
    assert found.labels.shape == (1, 100, 130)
    assert len(found) == 4


def test_a_channel_of_a_colour_image_is_chosen(segmenter: Segmenter) -> None:
    colours = np.dstack([np.zeros_like(IMAGE), IMAGE, np.zeros_like(IMAGE)])
    found = find(segmenter, Part(colours, "YXS", EVERYTHING, channel=1))
    assert np.array_equal(found.labels, segmenter.predict(IMAGE, diameter=16).labels)


def test_several_channels_without_a_choice_are_refused(segmenter: Segmenter) -> None:
    with pytest.raises(SettingsError, match="channel: expected one of 0 to 1"):
        find(segmenter, Part(np.stack([IMAGE, IMAGE]), "CYX", EVERYTHING))


def test_arrays_of_dask_are_read_in_the_region_only(segmenter: Segmenter) -> None:
    def block(place: tuple[int, int]) -> np.ndarray:
        assert place == (0, 0)
        return IMAGE[:100, :100]

    rows = [[dask.array.from_delayed(dask.delayed(block)((0, column)), (100, 100), np.uint8) for column in (0, 1)]]
    lazy = dask.array.block(rows)
    found = find(segmenter, Part(lazy, "YX", Region(0, 0, 100, 90)))
    assert np.array_equal(found.labels, segmenter.predict(IMAGE[:, :90], diameter=16).labels)


def test_cells_and_measures_come_with_all_planes(segmenter: Segmenter) -> None:
    found = find(segmenter, Part(np.stack([IMAGE, IMAGE]), "ZYX", EVERYTHING, z="all"), expand=3, measure="shape")
    assert found.cells.shape == found.labels.shape
    assert (found.cells[found.labels > 0] == found.labels[found.labels > 0]).all()
    assert "nucleus_eccentricity" in found.table


def test_planes_are_reported_and_cancelled_between(segmenter: Segmenter) -> None:
    stack, progress = np.stack([IMAGE] * 3), Progress("start")
    reports = []

    def report(*step: Any) -> None:
        reports.append(step)
        progress.cancel.set()

    progress.report = report  # type: ignore[method-assign]
    with pytest.raises(CancelledError):
        find_nuclei(segmenter, Part(stack, "ZYX", EVERYTHING, z="all"), {"diameter": 16}, progress)
    assert reports == [("planes", 1, 3)]


def test_the_pixels_of_planes_are_those_that_were_segmented() -> None:
    stack = np.stack([IMAGE, IMAGE // 2])
    images = list(plane_images(Part(stack, "ZYX", Region(10, 20, 60, 90), z="all")))
    assert [np.array_equal(image, plane[10:60, 20:90]) for image, plane in zip(images, stack, strict=True)] == [
        True,
        True,
    ]

"""A region gives the numbers of the whole image, and cells belong to the nearest nucleus."""

import numpy as np
import pytest
from helpers.crowds import crowd
from nucleus_unet import _core
from nucleus_unet.measures.region import measure_neighbours, measure_region, rings_of
from nucleus_unet.measures.settings import MeasureSettings
from scipy import ndimage
from scipy.spatial import cKDTree

ALL = ("intensity", "shape", "stain")


def settings(expand: float | None = 7.5, mpp: float | None = 0.5) -> MeasureSettings:
    return MeasureSettings(groups=ALL, expand=expand, neighbour_radius=30, mpp=mpp)


@pytest.mark.parametrize("expand", [None, 0.0, 1.0, 7.5])
@pytest.mark.parametrize("seed", range(4))
def test_a_region_within_reach_gives_the_numbers_of_the_whole_image_to_the_last_bit(
    expand: float | None, seed: int
) -> None:
    labels = crowd((150, 180), 60, seed)
    image = np.random.default_rng(seed).integers(0, 256, (*labels.shape, 3)).astype(np.uint8)
    chosen = settings(expand)
    whole = measure_region(labels, [("", image)], chosen)
    _, _, boxes, _, _ = _core.measure(labels)
    for label in range(1, int(labels.max()) + 1, 3):
        top, left, bottom, right = boxes[label - 1] + np.array([-1, -1, 1, 1]) * chosen.reach
        part = np.s_[max(0, top) : bottom, max(0, left) : right]
        found = measure_region(np.ascontiguousarray(labels[part]), [("", image[part])], chosen)
        place = np.searchsorted(found.present, label)
        for name, values in whole.columns.items():
            np.testing.assert_array_equal(found.columns[name][place], values[label - 1], err_msg=name)
        if whole.cells is not None and found.cells is not None:
            np.testing.assert_array_equal(found.cells == label, whole.cells[part] == label)


def test_a_pixel_belongs_to_the_nearest_nucleus_within_the_distance() -> None:
    labels = crowd((90, 110), 20, 3)
    cells = measure_region(labels, [], MeasureSettings(groups=(), expand=6.0, neighbour_radius=1, mpp=None)).cells
    assert cells is not None
    nearest = ndimage.distance_transform_edt(labels == 0)
    np.testing.assert_array_equal(cells > 0, nearest <= 6)
    for label in range(1, int(labels.max()) + 1):
        own = ndimage.distance_transform_edt(labels != label)
        np.testing.assert_allclose(own[cells == label], nearest[cells == label])
    np.testing.assert_array_equal(cells[labels > 0], labels[labels > 0])


def test_rings_are_cells_without_nuclei_of_any_label() -> None:
    labels = crowd()
    cells = _core.expand_labels(labels, 4)
    rings = rings_of(cells, labels)
    assert not rings[labels > 0].any()
    np.testing.assert_array_equal(np.where(labels > 0, labels, rings), cells)


def test_the_columns_say_part_channel_and_statistic() -> None:
    labels = crowd()
    image = np.zeros(labels.shape, np.uint16)
    groups = MeasureSettings(groups=("intensity", "shape"), expand=3, neighbour_radius=1, mpp=None)
    columns = measure_region(labels, [("DAPI", image), ("CD3", image)], groups).columns
    assert {"nucleus_DAPI_mean", "ring_CD3_p95", "cell_DAPI_corrected", "CD3_background", "cell_feret_max"} <= set(
        columns
    )
    assert {len(values) for values in columns.values()} == {labels.max()}


def test_an_image_without_nuclei_has_all_columns_and_no_rows() -> None:
    empty = measure_region(np.zeros((9, 9), np.uint32), [("", np.zeros((9, 9, 3), np.uint8))], settings())
    full = measure_region(crowd(), [("", np.zeros((120, 150, 3), np.uint8))], settings())
    assert list(empty.columns) == list(full.columns)
    assert all(len(values) == 0 for values in empty.columns.values())


@pytest.mark.parametrize("radius", [0.5, 30.0, 1000.0])
def test_neighbours_are_those_of_a_tree_of_scipy(radius: float) -> None:
    points = np.random.default_rng(0).uniform(-50, 300, (200, 2))
    chosen = MeasureSettings(groups=("neighbours",), expand=None, neighbour_radius=radius, mpp=0.25)
    found = measure_neighbours(points, chosen)
    tree = cKDTree(points)
    distance = tree.query(points, 2)[0][:, 1]
    np.testing.assert_allclose(found["neighbour_distance"], np.where(distance <= radius, distance, np.nan))
    np.testing.assert_array_equal(
        found["neighbour_count"], tree.query_ball_point(points, radius, return_length=True) - 1
    )
    np.testing.assert_array_equal(found["neighbour_distance_um"], found["neighbour_distance"] * 0.25)

"""SpatialData: the package that defines the format reads image, labels, polygons and table, and they fit together."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from helpers.measured import measured
from helpers.segmentations import blobs, made
from nucleus_unet.errors import MissingExtraError, SettingsError
from nucleus_unet.exports import spatialdata as exports_spatialdata
from nucleus_unet.segmentation import Segmentation


def test_without_its_package_the_pip_command_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "spatialdata", None)
    with pytest.raises(MissingExtraError, match=r"pip install 'nucleus-unet\[spatialdata\]'"):
        made(blobs()).save(tmp_path / "a.spatialdata.zarr")
    assert list(tmp_path.iterdir()) == []


@pytest.fixture(scope="module")
def spatialdata() -> Any:
    return pytest.importorskip(
        "spatialdata", reason="spatialdata is not installed: it is too large for the group dev, and needs an older dask"
    )


def written(spatialdata: Any, nuclei: Segmentation, path: Path) -> Any:
    assert nuclei.save(path) == path
    return spatialdata.read_zarr(path)


@pytest.fixture(scope="module")
def read(spatialdata: Any, tmp_path_factory: pytest.TempPathFactory) -> Any:
    return written(spatialdata, measured(mpp=0.5), tmp_path_factory.mktemp("späße") / "a b.spatialdata.zarr")


def test_the_elements_are_named_as_other_readers_name_them(read: Any) -> None:
    assert set(read.images) == {"image"}
    assert set(read.labels) == {"nucleus_labels", "cell_labels"}
    assert set(read.shapes) == {"nucleus_boundaries", "cell_boundaries"}
    assert set(read.tables) == {"table"}


def test_labels_and_image_are_read_back(read: Any) -> None:
    nuclei = measured(mpp=0.5)
    np.testing.assert_array_equal(read["nucleus_labels"].values, nuclei.labels)
    np.testing.assert_array_equal(read["cell_labels"].values, nuclei.cells)
    np.testing.assert_array_equal(read["image"].values[0], nuclei.image)


@pytest.mark.parametrize(("element", "raster"), [("nucleus_boundaries", "labels"), ("cell_boundaries", "cells")])
def test_polygons_are_valid_and_have_the_areas_of_their_labels(read: Any, element: str, raster: str) -> None:
    shapes, labels = read[element], getattr(measured(), raster)
    assert shapes.geometry.is_valid.all()
    assert list(shapes.index) == [1, 2, 3, 4, 5]
    np.testing.assert_array_equal(shapes.area, np.bincount(labels.ravel())[1:])


def test_the_table_annotates_the_polygons(spatialdata: Any, read: Any) -> None:
    elements, table = spatialdata.join_spatialelement_table(
        sdata=read, spatial_element_names="nucleus_boundaries", table_name="table", how="inner"
    )
    assert list(elements["nucleus_boundaries"].index) == list(table.obs["label"]) == [1, 2, 3, 4, 5]
    centroids = elements["nucleus_boundaries"].centroid
    np.testing.assert_allclose(np.column_stack([centroids.x, centroids.y]), table.obsm["spatial"])


def test_the_table_can_annotate_the_labels_instead(spatialdata: Any, read: Any) -> None:
    table = read["table"].copy()
    table.obs["region"] = "nucleus_labels"
    table.obs["region"] = table.obs["region"].astype("category")
    table.uns["spatialdata_attrs"]["region"] = "nucleus_labels"
    data = spatialdata.SpatialData(labels={"nucleus_labels": read["nucleus_labels"]}, tables={"table": table})
    _, joined = spatialdata.join_spatialelement_table(
        sdata=data, spatial_element_names="nucleus_labels", table_name="table", how="left"
    )
    assert len(joined) == 5


def test_all_elements_lie_on_one_another_in_pixels_and_in_micrometres(spatialdata: Any, read: Any) -> None:
    assert set(read.coordinate_systems) == {"global", "micrometers"}
    for system, scale in (("global", 1.0), ("micrometers", 0.5)):
        for raster in ("image", "nucleus_labels"):
            extent = spatialdata.get_extent(read[raster], coordinate_system=system)
            assert extent["x"] == pytest.approx((0, 31 * scale))
            assert extent["y"] == pytest.approx((0, 24 * scale))
        last = read["nucleus_boundaries"].loc[[5]]
        extent = spatialdata.get_extent(last, coordinate_system=system)
        assert extent["x"] == pytest.approx((20 * scale, 31 * scale))
        assert extent["y"] == pytest.approx((15 * scale, 24 * scale))


def test_without_a_pixel_size_there_are_only_pixels(spatialdata: Any) -> None:
    assert made(blobs()).to_spatialdata().coordinate_systems == ["global"]


@pytest.mark.parametrize("shape", [(301, 457), (1000, 90)])
def test_a_large_label_image_is_a_pyramid_of_every_second_pixel(
    spatialdata: Any, tmp_path: Path, shape: tuple[int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(exports_spatialdata, "_CHUNK", 64)
    monkeypatch.setattr(exports_spatialdata, "_COARSEST", 100)
    labels = np.zeros(shape, np.uint32)
    for number in range(200):
        labels.ravel()[number * 131 : number * 131 + 9] = number + 1
    read = written(spatialdata, made(labels), tmp_path / "a.spatialdata.zarr")
    levels = [read["nucleus_labels"][scale]["image"].values for scale in read["nucleus_labels"]]
    assert max(levels[-1].shape) <= 100 < max(levels[-2].shape)
    for number, level in enumerate(levels):
        np.testing.assert_array_equal(level, labels[:: 2**number, :: 2**number])


@pytest.mark.parametrize(
    ("dtype", "channels", "names"),
    [("uint16", (), ["grey"]), ("uint8", (3,), ["r", "g", "b"]), ("float32", (), ["grey"]), ("bool", (), ["grey"])],
)
def test_images_of_every_kind_are_read_back(
    spatialdata: Any, tmp_path: Path, dtype: str, channels: tuple[int, ...], names: list[str]
) -> None:
    image = (np.random.default_rng(1).random((24, 31, *channels)) * 255).astype(dtype)
    read = written(spatialdata, made(blobs(), image), tmp_path / "a.spatialdata.zarr")["image"]
    assert read.coords["c"].values.tolist() == names
    np.testing.assert_array_equal(np.moveaxis(read.values, 0, -1).reshape(image.shape), image)


def test_an_image_without_nuclei_has_labels_and_an_empty_table(spatialdata: Any, tmp_path: Path) -> None:
    read = written(spatialdata, made(np.zeros((24, 31), np.uint32)), tmp_path / "a.spatialdata.zarr")
    assert not read["nucleus_labels"].values.any()
    assert read["table"].shape == (0, 1)
    assert not read.shapes


def test_a_folder_of_ours_is_replaced_but_no_other(spatialdata: Any, tmp_path: Path) -> None:
    for _ in range(2):
        made(blobs()).save(tmp_path / "a.spatialdata.zarr")
    spatialdata.SpatialData().write(tmp_path / "b.spatialdata.zarr")
    with pytest.raises(SettingsError, match=r"b\.spatialdata\.zarr is not a zarr group that this library wrote"):
        made(blobs()).save(tmp_path / "b.spatialdata.zarr")
    assert {path.name for path in tmp_path.iterdir()} == {"a.spatialdata.zarr", "b.spatialdata.zarr"}


def test_a_writer_that_is_stopped_leaves_nothing(
    spatialdata: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stopped(*_: Any, **__: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("spatialdata._io.io_table.write_adata", stopped)
    with pytest.raises(KeyboardInterrupt):
        made(blobs()).save(tmp_path / "a.spatialdata.zarr")
    assert list(tmp_path.iterdir()) == []

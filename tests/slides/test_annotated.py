"""A finished slide as AnnData and SpatialData: the nuclei of its table, and the labels of its label image."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from helpers.slide_results import LABELS, Run, written
from nucleus_unet import Segmenter, _core
from nucleus_unet.errors import DataError
from nucleus_unet.slides.export import export_slide, save_slide
from nucleus_unet.slides.result import SlideResult

anndata = pytest.importorskip("anndata", reason="anndata is not installed; the dependency group dev has it")


@pytest.fixture(scope="module")
def spatialdata() -> Any:
    return pytest.importorskip(
        "spatialdata", reason="spatialdata is not installed: it is too large for the group dev, and needs an older dask"
    )


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    return written(tmp_path_factory.mktemp("results") / "slide-7")


@pytest.mark.parametrize(("chosen", "name"), [("anndata", "nuclei.h5ad"), ("anndatazarr", "nuclei.anndata.zarr")])
def test_the_table_of_a_slide_is_exported(run: Run, tmp_path: Path, chosen: str, name: str) -> None:
    assert export_slide(run.folder, tmp_path, formats=[chosen]) == [tmp_path / name]
    read = anndata.read_h5ad if chosen == "anndata" else anndata.read_zarr
    data = read(tmp_path / name)
    labels, area, _, centroid, _ = _core.measure(LABELS)
    assert list(data.obs["label"]) == labels.tolist()
    np.testing.assert_array_equal(data.obs["area"], area)
    np.testing.assert_allclose(data.obsm["spatial"], centroid[:, ::-1] + 0.5)
    np.testing.assert_allclose(data.obsm["spatial_um"], (centroid[:, ::-1] + 0.5) * 0.25)
    assert list(data.uns["spatial"]) == ["slide-7"]


def test_a_slide_has_the_numbers_of_the_image(segmenter: Segmenter, tmp_path: Path) -> None:
    image = np.random.default_rng(4).integers(0, 40, (90, 110)).astype(np.uint8)
    for row, column in ((20, 30), (60, 30), (40, 80)):
        image[row - 7 : row + 8, column - 7 : column + 8] = 220
    options: dict[str, Any] = {"measure": "intensity,shape", "expand": 3, "mpp": 0.5}
    expected = segmenter.predict(image, **options).to_anndata()
    result = segmenter.predict_slide(image, out=tmp_path / "run", **options)
    found = result.to_anndata()
    assert len(found) == len(expected) > 0
    np.testing.assert_array_equal(found.X, expected.X)
    np.testing.assert_array_equal(found.obsm["spatial_um"], expected.obsm["spatial_um"])
    assert list(found.obs) == list(expected.obs)


def test_a_slide_without_nuclei_has_an_empty_table(tmp_path: Path) -> None:
    empty = written(tmp_path / "empty", np.zeros((40, 50), np.uint32), np.zeros((40, 50), np.uint8))
    assert SlideResult(empty.folder, 0, empty.plan).to_anndata().shape == (0, 1)
    assert anndata.read_h5ad(save_slide(empty.folder, tmp_path / "a.h5ad")).shape == (0, 1)


@pytest.mark.parametrize("name", ["a.h5ad", "a.anndata.zarr"])
def test_a_damaged_table_is_named_and_nothing_is_written(tmp_path: Path, name: str) -> None:
    damaged = written(tmp_path / "run", LABELS[:40, :50], np.zeros((40, 50), np.uint8)).folder
    content = bytearray((damaged / "nuclei.parquet").read_bytes())
    content[len(content) // 4 : len(content) // 2] = bytes(len(content) // 2 - len(content) // 4)
    (damaged / "nuclei.parquet").write_bytes(content)
    with pytest.raises(DataError, match=r"nuclei\.parquet is damaged"):
        save_slide(damaged, tmp_path / "out" / name)
    assert not (tmp_path / "out").exists()


def test_labels_and_polygons_of_a_slide_are_exported(spatialdata: Any, run: Run, tmp_path: Path) -> None:
    (path,) = export_slide(run.folder, tmp_path, formats=["spatialdata"])
    read = spatialdata.read_zarr(path)
    levels = [read["nucleus_labels"][scale]["image"].values for scale in read["nucleus_labels"]]
    for number, level in enumerate(levels):
        np.testing.assert_array_equal(level, LABELS[:: 2**number, :: 2**number])
    assert read["nucleus_boundaries"].geometry.is_valid.all()
    np.testing.assert_array_equal(read["nucleus_boundaries"].area, read["table"].obs["area"])
    assert set(read.coordinate_systems) == {"global", "micrometers"}
    assert not read.images


def test_cells_of_a_slide_are_those_of_the_image(spatialdata: Any, segmenter: Segmenter, tmp_path: Path) -> None:
    image = np.zeros((90, 110), np.uint8)
    for row, column in ((20, 30), (60, 30), (40, 80)):
        image[row - 7 : row + 8, column - 7 : column + 8] = 220
    expected = segmenter.predict(image, expand=3).cells
    segmenter.predict_slide(image, out=tmp_path / "run", expand=3).save(tmp_path / "a.spatialdata.zarr")
    read = spatialdata.read_zarr(tmp_path / "a.spatialdata.zarr")
    np.testing.assert_array_equal(read["cell_labels"].values, expected)
    np.testing.assert_array_equal(read["cell_boundaries"].area, np.bincount(expected.ravel())[1:])


def test_a_damaged_label_image_is_named_and_nothing_is_written(spatialdata: Any, tmp_path: Path) -> None:
    damaged = written(tmp_path / "run").folder
    content = bytearray((damaged / "labels.tif").read_bytes())
    content[len(content) // 4 : len(content) // 2] = bytes(len(content) // 2 - len(content) // 4)
    (damaged / "labels.tif").write_bytes(content)
    with pytest.raises(DataError, match=r"labels\.tif is damaged"):
        export_slide(damaged, tmp_path / "out", formats=["spatialdata"])
    assert list((tmp_path / "out").iterdir()) == []

"""AnnData: the package that defines the format reads what was measured, and where."""

from __future__ import annotations

import operator
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import zarr
from helpers.measured import measured
from helpers.segmentations import blobs, made
from nucleus_unet.errors import MissingExtraError, SettingsError
from nucleus_unet.exports import anndata as exports_anndata
from nucleus_unet.segmentation import Segmentation
from scipy.spatial import cKDTree

anndata = pytest.importorskip("anndata", reason="anndata is not installed; the dependency group dev has it")

READERS = {"nuclei.h5ad": anndata.read_h5ad, "nuclei.anndata.zarr": anndata.read_zarr}


def written(nuclei: Segmentation, path: Path) -> Any:
    assert nuclei.save(path) == path
    return READERS[path.name](path)


@pytest.mark.parametrize("name", READERS)
def test_each_nucleus_is_a_row_and_each_part_of_each_channel_a_column(tmp_path: Path, name: str) -> None:
    nuclei = measured()
    data = written(nuclei, tmp_path / "späße 1" / name)
    assert data.shape == (5, 3)
    assert list(data.obs_names) == ["1", "2", "3", "4", "5"]
    assert list(data.var_names) == ["nucleus_grey", "ring_grey", "cell_grey"]
    assert list(data.var["part"]) == ["nucleus", "ring", "cell"]
    assert list(data.var["channel"]) == ["grey"] * 3
    for label in range(1, 6):
        values = nuclei.image[nuclei.labels == label]
        assert data.X[label - 1, 0] == pytest.approx(values.mean(), rel=1e-6)
        assert data.layers["p75"][label - 1, 0] == pytest.approx(np.percentile(values, 75), rel=1e-6)


def test_every_column_of_the_table_is_in_the_matrix_in_a_layer_or_beside_it() -> None:
    nuclei = measured()
    data = nuclei.to_anndata()
    held = {f"{name}_{layer}" for name in data.var_names for layer in ("mean", *data.layers)} | set(data.obs)
    assert held == set(nuclei.table)
    for name in data.obs:
        np.testing.assert_array_equal(data.obs[name], nuclei.table[name])


def test_points_are_x_and_y_in_pixels_and_in_micrometres(tmp_path: Path) -> None:
    data = written(measured(mpp=0.5), tmp_path / "nuclei.h5ad")
    # The last nucleus covers rows 15 to 24 and columns 20 to 31, whose edges lie at whole numbers.
    np.testing.assert_allclose(data.obsm["spatial"][4], [25.5, 19.5])
    np.testing.assert_allclose(data.obsm["spatial_um"][4], [12.75, 9.75])
    assert data.uns["nucleus_unet"]["mpp"] == 0.5


def test_without_a_pixel_size_nothing_is_in_micrometres() -> None:
    data = measured(mpp=None).to_anndata()
    assert set(data.obsm) == {"spatial"}
    assert "mpp" not in data.uns["nucleus_unet"]


def test_neighbours_of_the_points_are_the_neighbours_that_were_measured() -> None:
    data = measured().to_anndata()
    distances, _ = cKDTree(data.obsm["spatial"]).query(data.obsm["spatial"], k=2)
    np.testing.assert_allclose(distances[:, 1], data.obs["neighbour_distance"])


def test_without_measures_the_intensity_is_the_matrix(tmp_path: Path) -> None:
    nuclei = made(blobs())
    data = written(nuclei, tmp_path / "nuclei.h5ad")
    assert list(data.var_names) == ["intensity"]
    np.testing.assert_allclose(data.X[:, 0], nuclei.table["intensity"], rtol=1e-6)
    assert "intensity" not in data.obs


def test_measures_of_shape_are_no_channels() -> None:
    data = measured().to_anndata()
    assert {"nucleus_feret_max", "nucleus_feret_min", "cell_area"} <= set(data.obs)


@pytest.mark.parametrize("shape", [(24, 31), (24, 31, 3)])
def test_the_picture_fits_the_points(shape: tuple[int, ...], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(exports_anndata, "_PICTURE_SIDE", 10)
    picture = np.zeros(shape, np.uint8)
    picture[15:, 20:] = 200
    library = made(blobs(), picture).to_anndata(name="plate 7").uns["spatial"]["plate 7"]
    scale = library["scalefactors"]["tissue_hires_scalef"]
    shown = library["images"]["hires"]
    assert (shown.dtype, shown.shape, scale) == (np.uint8, (6, 8, 3), 0.25)
    assert shown[int(19.5 * scale), int(25.5 * scale)].tolist() == [255, 255, 255]
    assert shown[0, 0].tolist() == [0, 0, 0]


@pytest.mark.parametrize("name", READERS)
@pytest.mark.parametrize("labels", [np.zeros((5, 7), np.uint32), np.ones((5, 7), np.uint32)], ids=["none", "one"])
def test_an_image_with_no_nucleus_or_one_is_read_back(tmp_path: Path, name: str, labels: Any) -> None:
    data = written(made(labels), tmp_path / name)
    assert data.shape == (labels.max(), 1)
    assert data.obsm["spatial"].shape == (labels.max(), 2)


def test_ten_thousand_nuclei_keep_their_order(tmp_path: Path) -> None:
    crowd = np.arange(1, 100 * 100 + 1, dtype=np.uint32).reshape(100, 100)
    data = written(made(crowd), tmp_path / "nuclei.h5ad")
    assert list(data.obs_names) == [str(label) for label in range(1, 10_001)]
    np.testing.assert_array_equal(data.obsm["spatial"][250], [50.5, 2.5])


def test_a_zarr_folder_of_ours_is_replaced_but_no_other(tmp_path: Path) -> None:
    path = tmp_path / "nuclei.anndata.zarr"
    for _ in range(2):
        made(blobs()).save(path)
    other = tmp_path / "mine.anndata.zarr"
    zarr.open_group(other, mode="w").attrs["encoding-type"] = "anndata"
    with pytest.raises(SettingsError, match=r"mine\.anndata\.zarr is not a zarr group that this library wrote"):
        made(blobs()).save(other)
    assert dict(zarr.open_group(other, mode="r").attrs) == {"encoding-type": "anndata"}
    assert {each.name for each in tmp_path.iterdir()} == {path.name, other.name}


@pytest.mark.parametrize(
    ("name", "writer"), [("nuclei.h5ad", "io.write_elem"), ("nuclei.anndata.zarr", "AnnData.write_zarr")]
)
def test_a_writer_that_is_stopped_leaves_what_was_there(
    tmp_path: Path, name: str, writer: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = written(made(blobs()), tmp_path / name).shape
    write = operator.attrgetter(writer)(anndata)

    def stopped(*arguments: Any, **options: Any) -> None:
        write(*arguments, **options)
        raise KeyboardInterrupt

    monkeypatch.setattr(f"anndata.{writer}", stopped)
    with pytest.raises(KeyboardInterrupt):
        made(np.ones((5, 7), np.uint32)).save(tmp_path / name)
    assert READERS[name](tmp_path / name).shape == before
    assert [each.name for each in tmp_path.iterdir()] == [name]


@pytest.mark.skipif("sys.platform == 'win32'", reason="Windows has no limit of the size of a file")
def test_a_disk_that_is_full_is_an_error_and_no_crash(tmp_path: Path) -> None:
    script = f"""
import resource
import numpy as np
from pathlib import Path
from nucleus_unet.exports.anndata import to_anndata, write_h5ad
table = dict.fromkeys(("label", "row", "column", "area", "intensity"), np.random.default_rng(0).random(5000))
data = to_anndata(table, mpp=None, name="a")
resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))
try:
    write_h5ad(Path({str(tmp_path / "a.h5ad")!r}), data)
except OSError:
    print("told")
"""
    ended = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert (ended.stdout, ended.returncode) == ("told\n", 0), ended.stderr
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", READERS)
def test_without_its_package_the_pip_command_is_named(
    tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "anndata", None)
    with pytest.raises(MissingExtraError, match=r"pip install 'nucleus-unet\[anndata\]'"):
        made(blobs()).save(tmp_path / name)
    assert list(tmp_path.iterdir()) == []

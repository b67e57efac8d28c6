"""`predict` with measures: the table, the cells, and their files."""

import csv
import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas
import pyarrow.parquet
import pytest
import tifffile
from helpers.images import draw_discs
from nucleus_unet import Segmentation, Segmenter
from nucleus_unet.errors import MissingExtraError, SettingsError
from nucleus_unet.measures.stains import stain_densities
from numpy.typing import NDArray
from scipy import ndimage
from skimage.measure import regionprops_table

PLACES = [(20, 20), (20, 44), (60, 30), (90, 80)]


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two channels of 110 x 120 pixels of half a micrometre."""
    nuclei = draw_discs((110, 120), [(row, column, 9) for row, column in PLACES]).astype(np.uint16)
    other = np.random.default_rng(0).integers(100, 900, nuclei.shape).astype(np.uint16)
    path = tmp_path_factory.mktemp("stack") / "a.ome.tif"
    size = {"PhysicalSizeX": 0.5, "PhysicalSizeXUnit": "µm", "PhysicalSizeY": 0.5, "PhysicalSizeYUnit": "µm"}
    metadata = {"axes": "CYX", "Channel": {"Name": ["DAPI", "Ki-67"]}, **size}
    tifffile.imwrite(path, np.stack([nuclei, other]), ome=True, metadata=metadata)
    return path


@pytest.fixture(scope="module")
def measured(segmenter: Segmenter, stack: Path) -> Segmentation:
    return segmenter.predict(
        stack, channel="DAPI", measure="intensity,shape,neighbours", expand="3 um", neighbour_radius="20 um"
    )


def test_every_channel_is_measured_in_nucleus_ring_and_cell(measured: Segmentation, stack: Path) -> None:
    other = tifffile.imread(stack)[1].astype(np.float64)
    assert measured.cells is not None
    parts: dict[str, Any] = {"nucleus": measured.labels, "ring": measured.rings, "cell": measured.cells}
    for part, labels in parts.items():
        expected = regionprops_table(labels, other, properties=["intensity_mean"])["intensity_mean"]
        np.testing.assert_allclose(measured.table[f"{part}_Ki_67_mean"], expected, rtol=1e-12)
        assert f"{part}_DAPI_mean" in measured.table


def test_micrometres_of_the_file_make_the_cells(measured: Segmentation) -> None:
    grown = (measured.cells > 0).sum() - (measured.labels > 0).sum()
    assert len(measured) == len(PLACES)
    assert grown == pytest.approx(len(PLACES) * np.pi * (15.5**2 - 9.5**2), rel=0.15)


def test_neighbours_are_counted_in_the_whole_image(measured: Segmentation) -> None:
    assert measured.table["neighbour_count"].tolist() == [1, 1, 0, 0]
    np.testing.assert_allclose(measured.table["neighbour_distance"][:2], 24)
    np.testing.assert_allclose(measured.table["neighbour_distance_um"][:2], 12)
    assert np.isnan(measured.table["neighbour_distance"][2:]).all()


def test_labels_and_first_columns_are_those_without_measures(
    segmenter: Segmenter, measured: Segmentation, stack: Path
) -> None:
    plain = segmenter.predict(stack, channel="DAPI")
    np.testing.assert_array_equal(plain.labels, measured.labels)
    assert list(measured.table)[: len(plain.table)] == list(plain.table)
    assert plain.cells is plain.rings is None


def test_the_data_frame_has_the_columns_of_the_table(measured: Segmentation) -> None:
    frame = measured.to_pandas()
    assert isinstance(frame, pandas.DataFrame)
    assert frame.index.name == "label"
    assert ["label", *frame.columns] == list(measured.table)


def test_csv_and_parquet_hold_the_very_numbers(measured: Segmentation, tmp_path: Path) -> None:
    measured.save(tmp_path / "a.csv")
    measured.save(tmp_path / "a.parquet")
    with (tmp_path / "a.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    table = pyarrow.parquet.read_table(tmp_path / "a.parquet")
    assert list(rows[0]) == list(measured.table)
    assert [*measured.table, "geometry", "cell_geometry"] == table.column_names
    for name, values in measured.table.items():
        np.testing.assert_array_equal([float(row[name] or "nan") for row in rows], values)
        np.testing.assert_array_equal(table[name].to_numpy(), values)


def test_qupath_gets_cells_with_their_nuclei_and_measurements(measured: Segmentation, tmp_path: Path) -> None:
    measured.save(tmp_path / "a.geojson")
    for row, feature in enumerate(json.loads((tmp_path / "a.geojson").read_text())["features"]):
        assert feature["properties"]["objectType"] == "cell"
        for part, geometry in (("nucleus", feature["nucleusGeometry"]), ("cell", feature["geometry"])):
            x, y = np.array(geometry["coordinates"][0]).T
            area = abs(np.dot(x[:-1], y[1:]) - np.dot(x[1:], y[:-1])) / 2
            assert area == measured.table[f"{part}_area"][row]
        found = feature["properties"]["measurements"]
        assert found["ring_Ki_67_mean"] == pytest.approx(measured.table["ring_Ki_67_mean"][row], rel=1e-5)
        assert ("neighbour_distance" in found) == bool(np.isfinite(measured.table["neighbour_distance"][row]))


def test_cells_and_rings_are_saved_as_label_images(measured: Segmentation, tmp_path: Path) -> None:
    measured.save(tmp_path / "a.cells.tif")
    measured.save(tmp_path / "a.rings.tif")
    np.testing.assert_array_equal(tifffile.imread(tmp_path / "a.cells.tif"), measured.cells)
    np.testing.assert_array_equal(tifffile.imread(tmp_path / "a.rings.tif"), measured.rings)


def test_without_cells_there_is_no_file_of_them(segmenter: Segmenter, stack: Path, tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"there are no cells: give expand= \(--expand\)"):
        segmenter.predict(stack, channel=0).save(tmp_path / "a.cells.tif")
    assert not list(tmp_path.iterdir())


def test_micrometres_need_a_pixel_size(segmenter: Segmenter, discs: NDArray[np.uint8]) -> None:
    with pytest.raises(SettingsError, match="expand: the image does not tell its pixel size"):
        segmenter.predict(discs, expand="3 um")
    assert segmenter.predict(discs, expand="3 um", mpp=0.5, diameter=None).cells is not None


def test_stains_of_a_colour_image_are_measured(segmenter: Segmenter) -> None:
    grey = draw_discs((64, 64), [(32, 32, 9)])
    colours = np.stack([grey, (grey * 0.9).astype(np.uint8), (grey * 0.5).astype(np.uint8)], axis=-1)
    nuclei = segmenter.predict(colours, measure=["stain"], dab=False)
    density = stain_densities(colours)["dab"].astype(np.float64)
    expected = ndimage.mean(density, nuclei.labels, nuclei.table["label"])
    np.testing.assert_allclose(nuclei.table["nucleus_dab_mean"], expected, rtol=1e-12)
    assert {"nucleus_haematoxylin_mean", "dab_background"} <= set(nuclei.table)
    with pytest.raises(SettingsError, match="stain needs an image of red, green and blue"):
        segmenter.predict(grey, measure="stain")


def test_a_flat_image_has_all_columns_and_no_rows(segmenter: Segmenter) -> None:
    flat = segmenter.predict(np.zeros((40, 40), np.uint8), measure="intensity,shape,neighbours", expand=4)
    assert len(flat.table["ring_grey_mean"]) == len(flat.table["neighbour_count"]) == 0


def test_data_frames_without_pandas_name_the_command_that_installs_it(
    measured: Segmentation, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(__import__("sys").modules, "pandas", None)
    with pytest.raises(MissingExtraError, match=r"pip install 'nucleus-unet\[pandas\]'"):
        measured.to_pandas()

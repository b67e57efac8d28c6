"""Plates of wells: a folder for each well, one table, and a picture."""

from __future__ import annotations

import logging
import sys
from pathlib import Path

import imagecodecs
import numpy as np
import pandas as pd
import pytest
import tifffile
from helpers.images import draw_discs
from helpers.stacks import SHAPE, write_plate
from nucleus_unet import Segmenter, StackResult
from nucleus_unet.errors import ImageError
from nucleus_unet.reports.plate import save_plate_overview

ONE, TWO = draw_discs(SHAPE, [(20, 20, 7)]), draw_discs(SHAPE, [(20, 20, 7), (28, 45, 8)])


@pytest.fixture
def plate(tmp_path: Path) -> Path:
    return write_plate(tmp_path / "plate.zarr", {"B/03": [ONE, TWO], "B/04": [TWO], "C/03": [np.zeros_like(ONE)]})


def test_each_well_gets_a_folder_and_its_fields_share_one_table(
    segmenter: Segmenter, plate: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    result = segmenter.predict(plate, scene="all", out=out)
    assert isinstance(result, StackResult)
    assert [path.relative_to(out).as_posix() for path in result.files] == [
        "planes.csv",
        "nuclei.csv",
        "B/03/0.ome.tif",
        "B/03/1.ome.tif",
        "B/04/0.ome.tif",
        "C/03/0.ome.tif",
        "plate.png",
    ]
    text = {"well_row": str, "well_column": str, "field": str}
    planes = pd.read_csv(out / "planes.csv", dtype=text)
    assert list(planes["scene"]) == ["B/03/0", "B/03/1", "B/04/0", "C/03/0"]
    assert list(planes["nuclei"]) == [1, 2, 2, 0]
    table = pd.read_csv(out / "nuclei.csv", dtype=text)
    assert list(table.columns[:7]) == ["scene", "frame", "plane", "well_row", "well_column", "field", "label"]
    assert list(table["well_row"] + table["well_column"] + table["field"]) == ["B030", "B031", "B031", "B040", "B040"]
    np.testing.assert_array_equal(tifffile.imread(out / "B/03/1.ome.tif"), segmenter.predict(TWO).labels)
    with tifffile.TiffFile(out / "B/03/1.ome.tif") as file:
        assert 'PhysicalSizeX="0.5"' in str(file.ome_metadata)


def test_a_plate_is_refused_with_its_fields_if_none_is_chosen(segmenter: Segmenter, plate: Path) -> None:
    with pytest.raises(ImageError, match=r"4 scenes \(0 B/03/0, .*--scene all"):
        segmenter.predict(plate)


@pytest.mark.parametrize("chosen", ["plate.zarr/B/03/1", "plate.zarr/B/03", "plate.zarr"])
def test_a_field_is_chosen_by_its_path_or_its_name(segmenter: Segmenter, plate: Path, chosen: str) -> None:
    scene = {"plate.zarr": "B/03/1", "plate.zarr/B/03": 1}.get(chosen)
    found = segmenter.predict(plate.parent / chosen, scene=scene)
    np.testing.assert_array_equal(found.labels, segmenter.predict(TWO).labels)


def test_names_that_are_no_wells_never_leave_the_folder(segmenter: Segmenter, tmp_path: Path) -> None:
    plate = write_plate(tmp_path / "plate.zarr", {"B/03": [ONE]})
    (plate / "B" / "03" / "..odd").symlink_to(plate / "B" / "03" / "0")
    attributes = (plate / "B" / "03" / ".zattrs").read_text()
    (plate / "B" / "03" / ".zattrs").write_text(attributes.replace('"path": "0"', '"path": "..odd"'))
    result = segmenter.predict(plate, scene="all", out=tmp_path / "out")
    assert result.files[-1] == tmp_path / "out" / "0-B_03_..odd" / "labels.ome.tif"


def test_the_overview_needs_matplotlib_and_the_rest_does_not(
    segmenter: Segmenter, plate: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    with caplog.at_level(logging.WARNING):
        segmenter.predict(plate, scene="0:2", out=tmp_path / "out")
    assert "plate.png is not drawn: plots need matplotlib: pip install 'nucleus-unet[plot]'" in caplog.text
    assert (tmp_path / "out" / "nuclei.csv").exists()


def test_the_overview_shows_more_nuclei_brighter(tmp_path: Path) -> None:
    save_plate_overview(tmp_path / "plate.png", {("A", "1"): 0, ("A", "10"): 50, ("B", "2"): 100})
    picture = imagecodecs.png_decode((tmp_path / "plate.png").read_bytes())
    colours = {tuple(colour) for colour in picture.reshape(-1, picture.shape[-1])[:, :3]}
    assert {(68, 1, 84), (253, 231, 36)} <= colours  # the ends of viridis

"""Measures of a slide: those of `predict` to the last bit, wherever blocks and squares end, and after interruptions."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from helpers.images import draw_discs
from helpers.slides import RESULTS
from nucleus_unet import Segmenter
from nucleus_unet.errors import DataError, SettingsError
from nucleus_unet.exports import parquet
from nucleus_unet.slides import measuring
from nucleus_unet.slides.export import export_slide
from nucleus_unet.slides.writers import cells, outlines
from numpy.typing import NDArray

OPTIONS: dict[str, Any] = {"measure": "intensity,shape,neighbours", "expand": 6, "neighbour_radius": 40}


@pytest.fixture(scope="module")
def mosaic() -> NDArray[np.uint8]:
    """Some sixty discs, many of them touching, in 230 x 250 pixels, in two channels with noise."""
    places = np.random.default_rng(2).integers(0, 250, (70, 2))
    discs = draw_discs((230, 250), [(int(row), int(column), 6) for row, column in places])
    other = np.random.default_rng(3).integers(0, 255, discs.shape).astype(np.uint8)
    return np.stack([discs, other])


@pytest.fixture
def small_squares(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(measuring, "_SIDE", 37)
    monkeypatch.setattr(parquet, "_GROUP_ROWS", 11)
    return


def same_table(found: dict[str, Any], expected: dict[str, Any]) -> None:
    assert list(found) == list(expected)
    for name, values in expected.items():
        np.testing.assert_array_equal(found[name], values, err_msg=name)
        assert found[name].dtype == values.dtype


@pytest.mark.usefixtures("small_squares")
@pytest.mark.parametrize("expand", [None, 2.5, 9])
@pytest.mark.parametrize("block", [64, 1000])
def test_the_table_is_that_of_the_whole_image_to_the_last_bit(
    segmenter: Segmenter, mosaic: NDArray[np.uint8], tmp_path: Path, expand: float | None, block: int
) -> None:
    options = {**OPTIONS, "expand": expand, "channel": 0, "channel_axis": 0}
    expected = segmenter.predict(mosaic, **options)
    result = segmenter.predict_slide(mosaic, out=tmp_path, block=block, tile=136, **options)
    assert len(result) > 30
    same_table(result.table, expected.table)
    result.save(tmp_path / "slide.geojson")
    assert json.loads((tmp_path / "slide.geojson").read_text()) == expected.to_geojson()
    result.save(tmp_path / "slide.csv")
    expected.save(tmp_path / "image.csv")
    assert (tmp_path / "slide.csv").read_bytes() == (tmp_path / "image.csv").read_bytes()


@pytest.mark.usefixtures("small_squares")
def test_stains_and_textures_of_colours_are_those_of_the_whole_image(
    segmenter: Segmenter, mosaic: NDArray[np.uint8], tmp_path: Path
) -> None:
    colours = np.stack([mosaic[0], mosaic[0] // 2, mosaic[1]], axis=-1)[:120, :130]
    options: dict[str, Any] = {"measure": ["stain", "texture"], "expand": 4, "dab": False}
    result = segmenter.predict_slide(colours, out=tmp_path, block=64, tile=136, tissue=False, **options)
    same_table(result.table, segmenter.predict(colours, **options).table)


def test_a_slide_without_nuclei_has_all_columns(segmenter: Segmenter, tmp_path: Path) -> None:
    flat = np.full((70, 200), 7, np.uint8)
    result = segmenter.predict_slide(flat, out=tmp_path, **OPTIONS)
    same_table(result.table, segmenter.predict(flat, **OPTIONS).table)


def test_other_measures_of_a_finished_slide_do_not_segment_it_again(
    segmenter: Segmenter, mosaic: NDArray[np.uint8], tmp_path: Path
) -> None:
    plain = segmenter.predict_slide(mosaic[0], out=tmp_path)
    before = {name: (tmp_path / name).stat().st_mtime_ns for name in ("labels.tif", "overview.png", "plan.json")}
    assert "nucleus_grey_mean" not in plain.table
    first = segmenter.predict_slide(mosaic[0], out=tmp_path, **OPTIONS)
    assert "nucleus_grey_mean" in first.table
    table = (tmp_path / "nuclei.parquet").stat().st_mtime_ns
    segmenter.predict_slide(mosaic[0], out=tmp_path, **OPTIONS)
    assert (tmp_path / "nuclei.parquet").stat().st_mtime_ns == table
    second = segmenter.predict_slide(mosaic[0], out=tmp_path, measure="shape")
    assert "cell_area" not in second.table
    assert "nucleus_area" in second.table
    assert before == {name: (tmp_path / name).stat().st_mtime_ns for name in before}


@pytest.mark.usefixtures("small_squares")
@pytest.mark.parametrize("failing", [1, 5])
def test_an_interrupted_measurement_leaves_the_results_whole_and_is_done_again(
    segmenter: Segmenter,
    mosaic: NDArray[np.uint8],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    failing: int,
) -> None:
    segmenter.predict_slide(mosaic[0], out=tmp_path / "a")
    before = (tmp_path / "a" / "nuclei.parquet").read_bytes()
    calls = iter(range(10_000))
    measure = measuring.measure_region

    def fail(*arguments: Any) -> Any:
        if next(calls) == failing:
            raise KeyboardInterrupt
        return measure(*arguments)

    with monkeypatch.context() as patch:
        patch.setattr(measuring, "measure_region", fail)
        with pytest.raises(KeyboardInterrupt):
            segmenter.predict_slide(mosaic[0], out=tmp_path / "a", **OPTIONS)
    assert (tmp_path / "a" / "nuclei.parquet").read_bytes() == before
    segmenter.predict_slide(mosaic[0], out=tmp_path / "a", **OPTIONS)
    segmenter.predict_slide(mosaic[0], out=tmp_path / "b", **OPTIONS)
    for name in RESULTS:
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes(), name


def test_merged_shards_are_measured(segmenter: Segmenter, mosaic: NDArray[np.uint8], tmp_path: Path) -> None:
    for number in (1, 2):
        segmenter.predict_slide(mosaic[0], out=tmp_path, shard=(number, 2), block=64, **OPTIONS)
    result = segmenter.predict_slide(mosaic[0], out=tmp_path, merge=True, block=64, **OPTIONS)
    same_table(result.table, segmenter.predict(mosaic[0], **OPTIONS).table)


@pytest.mark.parametrize("chosen", ["cells", "rings"])
def test_cells_and_rings_are_exported_as_label_images(
    segmenter: Segmenter, mosaic: NDArray[np.uint8], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, chosen: str
) -> None:
    monkeypatch.setattr(cells, "_TILE", 64)
    monkeypatch.setattr(cells, "_SQUARE", 128)
    expected = segmenter.predict(mosaic[0], expand=9)
    result = segmenter.predict_slide(mosaic[0], out=tmp_path / "slide", expand=9)
    result.save(tmp_path / f"a.{chosen}.tif")
    found = tifffile.imread(tmp_path / f"a.{chosen}.tif")
    np.testing.assert_array_equal(found, expected.cells if chosen == "cells" else expected.rings)


def test_the_summary_names_all_files_of_larger_outlines(
    segmenter: Segmenter, mosaic: NDArray[np.uint8], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(outlines, "MAX_FILE_BYTES", 60_000)
    before = segmenter.predict_slide(mosaic[0], out=tmp_path)
    few = json.loads((tmp_path / "summary.json").read_text())["files"]
    segmenter.predict_slide(mosaic[0], out=tmp_path, **OPTIONS)
    many = json.loads((tmp_path / "summary.json").read_text())["files"]
    assert len(many) > len(few)
    assert {path.name for path in tmp_path.glob("nuclei*.geojson.gz")} <= set(many)
    (tmp_path / many[-2]).unlink()
    assert len(segmenter.predict_slide(mosaic[0], out=tmp_path, **OPTIONS)) == len(before)
    assert (tmp_path / many[-2]).exists()


@pytest.mark.parametrize("note", ["{", "[]", "{}", '{"expand": "far"}', '{"expand": -1}'])
def test_a_damaged_note_of_the_cells_is_told(segmenter: Segmenter, tmp_path: Path, note: str) -> None:
    segmenter.predict_slide(np.zeros((70, 200), np.uint8), out=tmp_path / "slide", expand=3)
    table = tmp_path / "slide" / "nuclei.parquet"
    with table.open("wb") as file, parquet.TableWriter(file, notes={"measures": note}):
        pass
    with pytest.raises(DataError, match=r"nuclei\.parquet is damaged: delete it, then repeat the same run"):
        export_slide(tmp_path / "slide", tmp_path / "out", formats=["cells"])


def test_bad_options_are_refused_before_the_slide_is_read(segmenter: Segmenter, tmp_path: Path) -> None:
    grey = np.zeros((70, 200), np.uint8)
    for options in ({"measure": "stain"}, {"expand": "3 um"}, {"measure": "size"}):
        with pytest.raises(SettingsError, match=r"stain needs|pixel size|expected some of"):
            segmenter.predict_slide(grey, out=tmp_path / "out", **options)
    assert not (tmp_path / "out").exists()


def test_every_channel_of_a_file_is_measured(segmenter: Segmenter, mosaic: NDArray[np.uint8], tmp_path: Path) -> None:
    path = tmp_path / "a.ome.tif"
    tifffile.imwrite(
        path, mosaic, ome=True, tile=(64, 64), metadata={"axes": "CYX", "Channel": {"Name": ["DAPI", "p53"]}}
    )
    result = segmenter.predict_slide(path, out=tmp_path / "out", channel="DAPI", measure="intensity")
    expected = segmenter.predict(path, channel="DAPI", measure="intensity")
    same_table(result.table, expected.table)
    assert "nucleus_p53_median" in result.table

"""What a run leaves: every file holds the very nuclei of its label image, and equal plans leave equal bytes."""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import imagecodecs
import numpy as np
import pyarrow.parquet
import pytest
import shapely
import tifffile
from helpers.slide_results import LABELS, PICTURE, SHAPE, Run, collected, thumbnail_of, written
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from nucleus_unet import _core
from nucleus_unet.exports.geojson import decode_outlines
from nucleus_unet.exports.nucleus_table import NucleusTable, empty_table
from nucleus_unet.slides.relabel import RowBand
from nucleus_unet.slides.writers import labels as results_labels
from nucleus_unet.slides.writers import outlines as results_outlines
from nucleus_unet.slides.writers.overview import Overview
from numpy.typing import NDArray


def corner(height: int, width: int) -> tuple[NDArray[np.uint32], NDArray[np.uint8]]:
    """Return the labels and the picture of a corner."""
    labels = np.ascontiguousarray(LABELS[:height, :width])
    return _core.relabel_sequential(labels)[0], PICTURE[:height, :width]


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    return written(tmp_path_factory.mktemp("results") / "slide-7")


def filled(rings: list[NDArray[np.int32]], shape: tuple[int, int]) -> NDArray[np.bool_]:
    """Pixels inside of rings by the even-odd rule: each vertical edge flips all pixels to its right."""
    inside = np.zeros(shape, bool)
    for ring in rings:
        for (x0, y0), (x1, y1) in zip(ring[:-1].astype(int), ring[1:].astype(int), strict=True):
            if x0 == x1:
                inside[min(y0, y1) : max(y0, y1), x0:] ^= True
    return inside


# The label image ------------------------------------------------------------------------------------------


def test_every_level_of_the_label_image_has_every_second_pixel_of_the_one_before(run: Run) -> None:
    with tifffile.TiffFile(run.folder / "labels.tif") as file:
        levels = [level.asarray() for level in file.series[0].levels]
    assert [level.shape for level in levels] == [(1300, 2100), (650, 1050), (325, 525)]
    for number, level in enumerate(levels):
        assert level.dtype == np.uint32
        np.testing.assert_array_equal(level, LABELS[:: 2**number, :: 2**number])


def test_levels_end_where_they_fit_a_screen(tmp_path: Path) -> None:
    written(tmp_path, *corner(70, 1025))
    with tifffile.TiffFile(tmp_path / "labels.tif") as file:
        assert [level.shape for level in file.series[0].levels] == [(70, 1025), (35, 513)]


def test_the_label_image_is_an_ome_tiff_that_knows_its_pixel_size(run: Run) -> None:
    with tifffile.TiffFile(run.folder / "labels.tif") as file:
        assert file.is_ome
        assert file.is_bigtiff
        facts = tifffile.xml2dict(file.ome_metadata)["OME"]["Image"]
        resolutions = [level.keyframe.get_resolution("MICROMETER") for level in file.series[0].levels]
    assert facts["Name"] == "nuclei"
    assert {key: facts["Pixels"][key] for key in ("PhysicalSizeX", "PhysicalSizeYUnit", "Type", "SizeX")} == {
        "PhysicalSizeX": 0.25,
        "PhysicalSizeYUnit": "µm",
        "Type": "uint32",
        "SizeX": 2100,
    }
    assert resolutions == [(4, 4), (2, 2), (1, 1)]


def test_a_pixel_size_that_is_not_known_is_not_made_up(tmp_path: Path) -> None:
    written(tmp_path, *corner(600, 600), mpp=None)
    with tifffile.TiffFile(tmp_path / "labels.tif") as file:
        assert "PhysicalSize" not in file.ome_metadata
        assert file.pages.first.resolutionunit == 1


def test_equal_plans_leave_equal_bytes_and_no_others(run: Run, tmp_path: Path) -> None:
    written(tmp_path)
    names = {"labels.tif", "nuclei.parquet", "nuclei.geojson.gz", "overview.png", "plan.json", "summary.json"}
    assert {path.name for path in tmp_path.iterdir()} == names
    for name in names:
        assert (tmp_path / name).read_bytes() == (run.folder / name).read_bytes(), name


def test_whoever_watches_the_bands_sees_their_end(tmp_path: Path) -> None:
    shape, ended = (600, 700), []

    def bands() -> Iterator[RowBand]:
        for top in (0, 512):
            yield RowBand(slice(top, min(top + 512, 600)), [], empty_table())
        ended.append(True)

    with (tmp_path / "labels.tif").open("w+b") as file:
        results_labels.write_labels(file, bands(), shape, mpp=None, uuid=str(uuid.UUID(int=0)), scratch=tmp_path)
    assert ended


def test_a_failure_in_the_middle_leaves_no_result(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*arguments: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(results_labels, "_halve", fail)
    with pytest.raises(OSError, match="No space left"):
        written(tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == {"plan.json", "work"}


@pytest.mark.parametrize("place", ["overview", "coarser level"])
def test_a_failure_beside_the_last_levels_leaves_no_result(
    place: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*arguments: Any) -> None:
        raise OSError(28, "No space left on device")

    if place == "overview":
        monkeypatch.setattr(Overview, "png", fail)
    else:
        monkeypatch.setattr(results_labels._Level, "tiles", fail)
    with pytest.raises(OSError, match="No space left"):
        written(tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == {"plan.json", "work"}


# The table ------------------------------------------------------------------------------------------------


def test_the_table_is_geoparquet_of_planar_polygons_in_pixels(run: Run) -> None:
    schema = pyarrow.parquet.read_schema(run.folder / "nuclei.parquet")
    geo = json.loads(pyarrow.parquet.read_metadata(run.folder / "nuclei.parquet").metadata[b"geo"])
    assert schema.field("geometry").type == pyarrow.binary()
    rows, columns = np.nonzero(LABELS)
    bounds = [int(columns.min()), int(rows.min()), int(columns.max()) + 1, int(rows.max()) + 1]
    assert geo == {
        "version": "1.1.0",
        "primary_column": "geometry",
        "columns": {
            "geometry": {
                "encoding": "WKB",
                "geometry_types": ["MultiPolygon", "Polygon"],
                "crs": None,
                "orientation": "counterclockwise",
                "bbox": bounds,
            }
        },
    }


def test_polygons_of_the_table_are_valid_and_enclose_the_nuclei(run: Run) -> None:
    table = pyarrow.parquet.read_table(run.folder / "nuclei.parquet")
    shapes = shapely.from_wkb(table["geometry"].to_numpy())
    assert shapely.is_valid(shapes).all()
    np.testing.assert_array_equal(shapely.area(shapes), table["area"].to_numpy())
    exteriors = shapely.get_exterior_ring(shapely.get_parts(shapes))
    assert shapely.is_ccw(exteriors).all()
    drawn_again = np.zeros(SHAPE, np.uint32)
    for label, shape in zip(table["label"].to_pylist(), shapes, strict=True):
        rings = [ring for part in shapely.get_parts(shape) for ring in shapely.get_rings(part)]
        drawn_again[filled([shapely.get_coordinates(ring) for ring in rings], SHAPE)] = label
    np.testing.assert_array_equal(drawn_again, LABELS)


def test_a_slide_without_nuclei_has_a_table_without_rows(tmp_path: Path) -> None:
    written(tmp_path, np.zeros((40, 50), np.uint32), PICTURE[:40, :50])
    table = pyarrow.parquet.read_table(tmp_path / "nuclei.parquet")
    assert (table.num_rows, table.column_names[-1]) == (0, "geometry")


@settings(max_examples=50)
@given(hnp.arrays(np.uint32, st.tuples(st.integers(1, 9), st.integers(1, 9)), elements=st.integers(0, 1)))
def test_well_known_binary_is_that_of_shapely(mask: NDArray[np.uint32]) -> None:
    for polygons, encoded in zip(_core.contours(mask), _core.contours_wkb(mask, (0, 0)), strict=True):
        parts = [shapely.Polygon(exterior, holes) for exterior, *holes in polygons]
        expected = shapely.to_wkb(parts[0] if len(parts) == 1 else shapely.MultiPolygon(parts), byte_order=1)
        assert encoded == expected
        (decoded,) = decode_outlines([encoded])
        assert [[ring.tolist() for ring in rings] for rings in decoded] == [
            [ring.tolist() for ring in rings] for rings in polygons
        ]


# Outlines -------------------------------------------------------------------------------------------------


def test_many_outlines_are_cut_into_files_that_hold_each_nucleus_once(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (whole,) = collected(run.folder, "nuclei*.geojson.gz")
    monkeypatch.setattr(results_outlines, "MAX_FILE_BYTES", 50_000)
    written(tmp_path)
    shards = list(collected(tmp_path, "nuclei*.geojson.gz"))
    assert len(shards) > 3
    assert all(len(json.dumps(shard, separators=(",", ":"))) < 60_000 for shard in shards)
    assert [feature for shard in shards for feature in shard] == whole
    assert len({feature["id"] for feature in whole}) == LABELS.max()
    files = json.loads((tmp_path / "summary.json").read_text())["files"]
    assert {path.name for path in tmp_path.glob("*.gz")} == {name for name in files if name.endswith(".gz")}


# The picture ----------------------------------------------------------------------------------------------


def test_the_picture_shows_the_slide_and_colours_it_where_nuclei_are(tmp_path: Path) -> None:
    picture = np.full((1600, 1700), 128, np.uint8)
    picture[:, 850:] = 64
    labels = np.zeros(picture.shape, np.uint32)
    labels[40:1560:40, 40:800:40] = 1 + np.arange(38 * 19).reshape(38, 19)
    written(tmp_path, labels, picture)
    shown = imagecodecs.imread(tmp_path / "overview.png")
    assert (shown.dtype, shown.shape[2]) == (np.uint8, 3)
    assert shown.shape[0] > 800
    assert shown.shape[1] == 850
    empty, full = shown[:790, 600:840], shown[50:750, 50:350]
    assert (empty == 64).all(), "glass without nuclei keeps its colour"
    assert (np.ptp(full.astype(int), axis=-1) > 40).all(), "crowded tissue is coloured"


def lying_at(rows: NDArray[Any], columns: NDArray[Any]) -> NucleusTable:
    """Return nuclei of which no more is known than their centroids."""
    nothing = np.zeros(len(rows))
    return NucleusTable(nothing, rows, columns, *[nothing] * 8, [b""] * len(rows))


@pytest.mark.parametrize("mpp", [0.5, None])
def test_density_is_counted_over_area(mpp: float | None) -> None:
    overview = Overview(np.zeros((1000, 1000, 3), np.uint8), (1000, 1000), mpp=mpp)
    rows, columns = np.mgrid[5:1000:10, 5:1000:10].reshape(2, -1)
    overview.add(lying_at(rows, columns))
    density, unit = overview.density()
    np.testing.assert_allclose(density, 40_000 if mpp else 10_000, rtol=0.05)  # 10,000 in .25 mm2, or in a megapixel
    assert unit == ("square millimetre" if mpp else "megapixel")


@pytest.mark.parametrize(("shape", "thumbnail"), [((2, 5000), (1, 1250)), ((21, 20000), (2, 1429))])
def test_density_is_right_where_the_slide_ends_within_a_pixel_of_the_picture(
    shape: tuple[int, int], thumbnail: tuple[int, int]
) -> None:
    overview = Overview(np.zeros((*thumbnail, 3), np.uint8), shape, mpp=None)
    columns = np.arange(0, shape[1], 50)
    overview.add(lying_at(np.full(len(columns), 0.5), columns))
    assert overview.density()[0].mean() == pytest.approx(1e6 * overview.count / (shape[0] * shape[1]), rel=0.01)


@pytest.mark.parametrize("dtype", [bool, np.uint8, np.uint16])
def test_a_narrow_slide_gets_a_picture_too(tmp_path: Path, dtype: type[np.generic]) -> None:
    written(tmp_path, np.zeros((1, 3), np.uint32), np.array([[0, 9, 255]]).astype(dtype))
    assert imagecodecs.imread(tmp_path / "overview.png").shape[1] >= 400


@pytest.mark.parametrize("dtype", [np.uint8, np.float32])
@pytest.mark.parametrize("side", [4000, 1000, 448])
def test_the_thumbnail_is_the_mean_of_squares_whatever_regions_cut_them(dtype: type[np.generic], side: int) -> None:
    picture = np.random.default_rng(3).integers(0, 256, (1555, 4000, 3)).astype(dtype)
    framed = np.full((1557, 4002, 3), np.nan)
    framed[:1555, :4000] = picture
    expected = np.nanmean(framed.reshape(519, 3, 1334, 3, 3), axis=(1, 3))
    thumbnail = thumbnail_of(picture, side=side)
    assert thumbnail.dtype == np.uint8
    np.testing.assert_allclose(thumbnail, expected, atol=0.501)

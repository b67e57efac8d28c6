"""Regions: the nuclei whose centres lie in them are those of the whole slide, and no other tile is predicted."""

from __future__ import annotations

import gzip
import json
import logging
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from helpers.images import draw_discs
from helpers.slides import RESULTS, StoredMaps, labels_in_blocks, random_maps
from hypothesis import given, settings
from hypothesis import strategies as st
from nucleus_unet.cli import app
from nucleus_unet.errors import MissingExtraError, SettingsError
from nucleus_unet.inference.grouping import group
from nucleus_unet.inference.label_scaling import scale_labels
from nucleus_unet.model.group_config import GroupConfig
from nucleus_unet.segmenter import Segmenter
from nucleus_unet.slides.executors.threads import run_on_threads
from nucleus_unet.slides.roi import Region, read_roi
from nucleus_unet.slides.tasks import SlideTasks
from numpy.typing import NDArray
from skimage.measure import points_in_poly
from skimage.segmentation import relabel_sequential
from typer.testing import CliRunner

# Slanted, so that borders cross nuclei; with a hole.
OUTER = [[20.3, 15.1], [170.7, 40.2], [150.1, 180.9], [35.5, 150.3], [20.3, 15.1]]
HOLE = [[70.2, 60.4], [110.6, 70.3], [90.8, 110.2], [70.2, 60.4]]
ISLAND = [[180.5, 190.5], [240.5, 190.5], [240.5, 225.5], [180.5, 225.5], [180.5, 190.5]]
DRAWN: dict[str, Any] = {
    "type": "FeatureCollection",
    "features": [
        {
            "type": "Feature",
            "id": "f9d5a4a8-7f0b-4a3e-8c3e-0d4a4a3e8c3e",
            "geometry": {"type": "Polygon", "coordinates": [OUTER, HOLE]},
            "properties": {"objectType": "annotation", "classification": {"name": "Tumor", "color": [200, 0, 0]}},
        },
        {
            "type": "Feature",
            "geometry": {"type": "MultiPolygon", "coordinates": [[ISLAND]]},
            "properties": {"objectType": "annotation"},
        },
    ],
}


@pytest.fixture(scope="module")
def mosaic() -> NDArray[np.uint8]:
    """Discs, many of them touching, in 230 x 250 pixels."""
    places = np.random.default_rng(3).integers(0, 250, (70, 2))
    return draw_discs((230, 250), [(int(row), int(column), 6) for row, column in places])


def drawn_by_others(points: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Whether (x, y) lie in `DRAWN`, by other people's code."""
    outer, hole, island = (points_in_poly(points, ring) for ring in (OUTER, HOLE, ISLAND))
    inside: NDArray[np.bool_] = (outer & ~hole) | island
    return inside


def only(labels: NDArray[np.uint32], centres: NDArray[np.int64]) -> NDArray[np.uint32]:
    """Keep the nuclei whose centres were drawn, numbered anew."""
    inside = drawn_by_others(centres[:, ::-1] + 0.5)
    kept: NDArray[np.uint32] = relabel_sequential(np.where(np.append(False, inside)[labels], labels, 0))[0]
    return kept


@pytest.mark.parametrize(("tile", "block"), [(136, 64), (168, 101), (1024, 1000)])
def test_the_nuclei_are_those_of_the_whole_whose_centres_lie_within(
    segmenter: Segmenter, mosaic: NDArray[np.uint8], tmp_path: Path, tile: int, block: int
) -> None:
    result = segmenter.predict_slide(mosaic, out=tmp_path, roi=DRAWN, tile=tile, block=block)
    whole = segmenter.predict(mosaic, maps=True)
    assert whole.maps is not None
    expected = only(whole.labels, group(whole.maps, segmenter.bundle.config.group).centres)
    assert 10 < len(result) < len(whole) - 10
    np.testing.assert_array_equal(tifffile.imread(result.labels_path), expected)


@given(maps=st.builds(random_maps, st.integers(0, 2**32), st.just((230, 250))), block=st.integers(30, 200))
@settings(max_examples=6)
def test_blocks_decide_wild_maps_in_regions_as_the_whole(
    tmp_path_factory: pytest.TempPathFactory, maps: NDArray[np.uint8], block: int
) -> None:
    config = GroupConfig(max_offset=9, assignment_radius=5, merge_distance=9, min_area=1, min_score=0, min_peak=0)
    region = Region(read_roi(DRAWN), (230, 250), 32)
    work = StoredMaps(maps, config, tmp_path_factory.mktemp("work"), block=block, region=region)
    run_on_threads(work, workers=1, calls=2)
    whole = group(maps, config)
    np.testing.assert_array_equal(labels_in_blocks(work), only(whole.labels, whole.centres))


def test_a_scaled_slide_is_limited_in_its_own_pixels(
    segmenter: Segmenter, mosaic: NDArray[np.uint8], tmp_path: Path
) -> None:
    left = {"type": "Polygon", "coordinates": [[[0, 0], [125, 0], [125, 230], [0, 230], [0, 0]]]}
    result = segmenter.predict_slide(mosaic, out=tmp_path, roi=left, diameter=11, tile=168, block=90)
    whole = segmenter.predict(mosaic, diameter=11, maps=True)
    assert whole.maps is not None
    grouped, scale = group(whole.maps, segmenter.bundle.config.group), whole.plan.scale
    inside = np.append(False, (grouped.centres[:, 1] + 0.5) / scale <= 125)
    expected = scale_labels(
        np.where(inside[grouped.labels], grouped.labels, np.uint32(0)),
        whole.maps[..., 0],
        mosaic.shape,
        scale,
        threshold=segmenter.bundle.config.group.foreground_threshold,
    )
    assert 10 < len(result) < len(whole) - 10
    np.testing.assert_array_equal(tifffile.imread(result.labels_path) > 0, expected > 0)


def test_tiles_far_from_the_regions_are_not_predicted(
    segmenter: Segmenter, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    mosaic = draw_discs((500, 500), [(row, column, 6) for row in range(10, 500, 40) for column in range(10, 500, 40)])
    saved: list[int] = []
    save_maps = SlideTasks.save_maps
    monkeypatch.setattr(
        SlideTasks, "save_maps", lambda self, number, maps: (saved.append(number), save_maps(self, number, maps))
    )
    corner = {"type": "Polygon", "coordinates": [[[0, 0], [60, 0], [60, 60], [0, 60], [0, 0]]]}
    with caplog.at_level(logging.INFO):
        result = segmenter.predict_slide(mosaic, out=tmp_path, roi=corner, tile=136, tissue=False)
    assert "98.4 % of the slide is outside of the regions of roi=, and is skipped" in caplog.text
    assert len(result) == 4
    assert 0 < len(saved) < 200 / 2
    assert json.loads((tmp_path / "summary.json").read_text())["skipped"] == 1 - 1 / 64


def test_files_of_every_form_draw_the_same(segmenter: Segmenter, mosaic: NDArray[np.uint8], tmp_path: Path) -> None:
    (tmp_path / "a.geojson").write_text(json.dumps(DRAWN))
    (tmp_path / "b.geojson.gz").write_bytes(gzip.compress(json.dumps(DRAWN["features"][::-1]).encode()))
    geometries = [each["geometry"] for each in DRAWN["features"]]
    twice = {"type": "GeometryCollection", "geometries": [*geometries, *geometries]}
    segmenter.predict_slide(mosaic, out=tmp_path / "out", roi=tmp_path / "a.geojson")
    before = {name: (tmp_path / "out" / name).stat().st_mtime_ns for name in RESULTS}
    for same in (tmp_path / "b.geojson.gz", twice, DRAWN):
        segmenter.predict_slide(mosaic, out=tmp_path / "out", roi=same)  # another plan would be refused
    assert {name: (tmp_path / "out" / name).stat().st_mtime_ns for name in RESULTS} == before
    with pytest.raises(SettingsError, match=r"roi was \w{64}, now is None"):
        segmenter.predict_slide(mosaic, out=tmp_path / "out")


def test_an_outline_that_crosses_itself_is_what_it_encloses() -> None:
    bow = {"type": "Polygon", "coordinates": [[[0, 0], [40, 40], [40, 0], [0, 40], [0, 0]]]}
    region = Region(read_roi(bow), (100, 100), 32)
    centres = np.array([[20, 5], [5, 20], [20, 35], [35, 20]])
    assert region.contains(centres, 1.0).tolist() == [True, False, True, False]


@pytest.mark.parametrize(
    ("roi", "message"),
    [
        (
            {"type": "Point", "coordinates": [1, 2]},
            r"expected regions with an area \(.*\), got the geometry is a Point",
        ),
        ({"type": "Polygon", "coordinates": [[[1, 2]]]}, "the geometry is a Polygon without an area"),
        ({"type": "Polygon", "coordinates": [7]}, "the geometry: the coordinates are not a Polygon"),
        ({"type": "Polygon", "coordinates": "here"}, "the coordinates are not a Polygon"),
        (
            {"type": "Polygon", "coordinates": [[[0, 0], [10**400, 0], [1, 1]]]},
            "the coordinates are not a Polygon",
        ),
        (
            {"type": "Polygon", "coordinates": [[[0, 0], [1, np.inf], [1, 0], [0, 0]]]},
            r"expected coordinates below 1e\+12 pixels, got inf",
        ),
        ({"type": "Polygon", "coordinates": [[[0, 0], [1, np.nan], [1, 0], [0, 0]]]}, "got nan"),
        (
            {"type": "Polygon", "coordinates": [[[-1e200, -1e200], [1e200, 1e200], [1e200, -1e200], [-1e200, -1e200]]]},
            r"got 1e\+200",
        ),
        ({"type": "Polygon", "coordinates": [[[0, 0], [5, 5], [9, 9], [0, 0]]]}, "expected regions with an area"),
        ({"type": "FeatureCollection", "features": []}, "expected regions with an area .*, got none"),
        ({"type": "FeatureCollection", "features": [{"type": "Feature"}]}, "got feature 1 has no geometry"),
        ({"polygon": []}, "expected GeoJSON with polygons, got dict"),
        (
            {"type": "Polygon", "coordinates": [[[900, 0], [950, 0], [950, 50], [900, 0]]]},
            "expected regions on the slide, 250 pixels wide and 230 high, got 900 to 950 across and 0 to 50 down",
        ),
    ],
)
def test_what_draws_nothing_on_the_slide_is_refused_before_anything_is_written(
    segmenter: Segmenter, mosaic: NDArray[np.uint8], tmp_path: Path, roi: dict[str, Any], message: str
) -> None:
    with pytest.raises(SettingsError, match=message):
        segmenter.predict_slide(mosaic, out=tmp_path / "out", roi=roi)
    assert not (tmp_path / "out").exists()


SQUARE = {"type": "Polygon", "coordinates": [[[10, 10], [100, 10], [100, 100], [10, 100], [10, 10]]]}


@pytest.mark.parametrize(
    ("other", "why"),
    [
        ({"type": "Point", "coordinates": [5, 5]}, "feature 2 is a Point"),
        ({"type": "MultiPoint", "coordinates": [[5, 5], [9, 9]]}, "feature 2 is a MultiPoint"),
        ({"type": "LineString", "coordinates": [[5, 5], [150, 150]]}, "feature 2 is a LineString"),
        (None, "feature 2 has no geometry"),
        ({"type": "Polygon", "coordinates": []}, "feature 2 is a Polygon without an area"),
        ({"type": "Polygon", "coordinates": [[[120, 5], [150, 9]]]}, "feature 2 is a Polygon without an area"),
        (
            {"type": "Polygon", "coordinates": [[[120, 5], [150, 9], [180, 13], [120, 5]]]},
            "feature 2 is a Polygon without an area",
        ),
        ({"type": "MultiPolygon", "coordinates": [[], [[[120, 5]]]]}, "feature 2 is a MultiPolygon without an area"),
        (
            {"type": "GeometryCollection", "geometries": [{"type": "Point", "coordinates": [5, 5]}]},
            "feature 2, geometry 1 is a Point",
        ),
    ],
)
def test_what_has_no_area_is_passed_over_with_a_word(
    caplog: pytest.LogCaptureFixture, other: dict[str, Any] | None, why: str
) -> None:
    features = [{"type": "Feature", "geometry": geometry, "properties": {}} for geometry in (SQUARE, other)]
    assert read_roi({"type": "FeatureCollection", "features": features}).equals(read_roi(SQUARE))
    assert f"1 parts have no area and are passed over: {why}" in caplog.text


def test_the_areas_of_nested_collections_are_taken() -> None:
    inner = {"type": "GeometryCollection", "geometries": [{"type": "Point", "coordinates": [5, 5]}, SQUARE]}
    assert read_roi({"type": "GeometryCollection", "geometries": [inner]}).equals(read_roi(SQUARE))


def test_a_line_that_hangs_from_an_area_is_no_part_of_the_region() -> None:
    ring = [[10, 10], [100, 10], [100, 100], [200, 200], [100, 100], [10, 100], [10, 10]]
    region = Region(read_roi({"type": "Polygon", "coordinates": [ring]}), (250, 250), 32)
    assert region.contains(np.array([[50, 50], [150, 150]]), 1.0).tolist() == [True, False]


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="roi: there is no file"):
        read_roi(tmp_path / "nothing.geojson")


@pytest.mark.parametrize(("name", "content"), [("a.geojson", b"{"), ("b.json.gz", b"{}"), ("c.geojson", b"\xff\xfe")])
def test_a_file_that_is_no_geojson_is_named(tmp_path: Path, name: str, content: bytes) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(SettingsError, match=f"{name}: expected GeoJSON"):
        read_roi(tmp_path / name)


def test_without_its_extra_a_region_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "shapely", None)
    with pytest.raises(MissingExtraError, match=r"pip install 'nucleus-unet\[roi\]'"):
        read_roi(DRAWN)


def test_the_command_takes_regions_of_one_slide(tiny_bundle: Path, mosaic: NDArray[np.uint8], tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", mosaic)
    np.save(tmp_path / "b.npy", mosaic)
    (tmp_path / "drawn.geojson").write_text(json.dumps(DRAWN))
    command = ["slide", "--model", str(tiny_bundle), "--device", "cpu", "--roi", str(tmp_path / "drawn.geojson")]
    one = CliRunner().invoke(app, [*command, str(tmp_path / "a.npy"), "--out", str(tmp_path / "one")])
    assert one.exit_code == 0
    assert json.loads((tmp_path / "one" / "plan.json").read_text())["roi"] is not None
    two = CliRunner().invoke(
        app, [*command, *(str(tmp_path / f"{n}.npy") for n in "ab"), "--out", str(tmp_path / "two")]
    )
    assert "regions are of one slide" in str(two.exception)

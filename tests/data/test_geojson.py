"""Training sets from GeoJSON, as QuPath and our own export write it."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from helpers.annotations import SHAPE, box, collection, feature, write_set
from helpers.segmentations import blobs, made
from nucleus_unet.data import beside
from nucleus_unet.data.annotations import read_drawing
from nucleus_unet.data.dataset import Example, ReadReport, read_examples
from nucleus_unet.errors import DataError
from nucleus_unet.masks import relabel_by_position


def read(folder: Path, content: bytes, name: str = "a__geojson") -> tuple[Example, ReadReport]:
    (example,), report = read_examples(write_set(folder, **{name: content}))
    return example, report


def pixels(example: Example) -> list[tuple[int, int, int, int]]:
    """Left, top, right and bottom of each nucleus."""
    boxes = []
    for label in range(1, int(example.labels.max()) + 1):
        rows, columns = np.nonzero(example.labels == label)
        boxes.append((int(columns.min()), int(rows.min()), int(columns.max()) + 1, int(rows.max()) + 1))
    return boxes


FIRST, SECOND = feature(box(2, 3, 9, 8)), feature(box(20, 10, 30, 22), "annotation")


@pytest.mark.parametrize(
    "content",
    [
        collection(FIRST, SECOND),
        json.dumps([FIRST, SECOND]).encode(),
        json.dumps([FIRST["geometry"], SECOND["geometry"]]).encode(),
        gzip.compress(collection(FIRST, SECOND)),
        collection({**FIRST, "properties": {**FIRST["properties"], "childObjects": [SECOND]}}),
        collection({**FIRST, "id": "PathDetectionObject", "properties": {}}, {**SECOND, "properties": {}}),
        collection(FIRST, feature(None, "root"), SECOND),
    ],
    ids=["collection", "list", "geometries", "compressed", "children", "version 0.2", "root"],
)
def test_detections_and_annotations_are_nuclei_in_every_form_of_the_file(tmp_path: Path, content: bytes) -> None:
    example, report = read(tmp_path, content)
    assert pixels(example) == [(2, 3, 9, 8), (20, 10, 30, 22)]
    assert (report.nuclei, report.unusable_masks, example.valid) == (2, {}, None)


def test_the_nucleus_of_a_cell_is_the_nucleus(tmp_path: Path) -> None:
    cell = feature(box(0, 0, 20, 20), "cell", nucleus=box(5, 6, 12, 13))
    bare = feature(box(25, 0, 45, 20), "cell")
    example, report = read(tmp_path, collection(cell, bare))
    assert pixels(example) == [(5, 6, 12, 13)]
    assert report.unusable_masks == {"a": "1: a.geojson: object 2 is a cell without a nucleus"}


def test_holes_several_polygons_and_collections_are_read(tmp_path: Path) -> None:
    ring = {"type": "Polygon", "coordinates": [box(2, 2, 12, 12)["coordinates"][0], box(5, 5, 8, 8)["coordinates"][0]]}
    two = {"type": "MultiPolygon", "coordinates": [box(20, 2, 25, 6)["coordinates"], box(27, 2, 30, 6)["coordinates"]]}
    mixed = {"type": "GeometryCollection", "geometries": [{"type": "Point", "coordinates": [1, 1]}, box(2, 20, 8, 30)]}
    example, _ = read(tmp_path, collection(feature(ring), feature(two), feature(mixed)))
    assert [int((example.labels == label).sum()) for label in (1, 2, 3)] == [91, 32, 60]


def test_our_own_export_gives_back_the_label_image(tmp_path: Path) -> None:
    labels = blobs()[: SHAPE[0], : SHAPE[1]]
    labels = np.pad(labels, [(0, SHAPE[0] - labels.shape[0]), (0, SHAPE[1] - labels.shape[1])])
    nuclei = made(relabel_by_position(labels)[0])
    for name in ("a.geojson", "a.geojson.gz"):
        folder = tmp_path / name
        write_set(folder)
        nuclei.save(folder / name)
        (example,), _ = read_examples(folder)
        np.testing.assert_array_equal(example.labels, nuclei.labels)


@pytest.mark.parametrize(
    ("geometry", "reason"),
    [
        ({"type": "Point", "coordinates": [3, 4]}, "has no area, it is a Point"),
        ({"type": "LineString", "coordinates": [[3, 4], [5, 6]]}, "has no area, it is a LineString"),
        ({"type": "Polygon", "coordinates": []}, "has no area, it is a Polygon"),
        ({"type": "Polygon", "coordinates": [[[1, 1], [2, 2], [1, 1]]]}, "has no area, it is a Polygon"),
        ({"type": "Polygon", "coordinates": [[[1, 1], [2, "x"], [3, 3]]]}, "has coordinates that are no points (x, y)"),
        ({"type": "Polygon", "coordinates": [[1, 2, 3, 4]]}, "has coordinates that are no points (x, y)"),
        ({"type": "Polygon", "coordinates": 7}, "has coordinates that are no lists of points"),
        ({"type": "Polygon", "coordinates": [[[1, 1], [2, 1e300], [3, 3]]]}, "has a coordinate that is no place in an"),
        ({**box(1, 1, 3, 3), "plane": {"c": -1, "z": 2, "t": 0}}, "lies on another plane of the image (z 2, t 0)"),
        (box(60, 1, 70, 5), "lies outside of the image of 40 x 50 pixels"),
        (None, "has no geometry"),
        ("text", "has no geometry"),
    ],
)
def test_a_bad_geometry_costs_itself_and_the_warning_names_the_file(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, geometry: Any, reason: str
) -> None:
    example, report = read(tmp_path, collection(feature(geometry), SECOND))
    assert pixels(example) == [(20, 10, 30, 22)]
    assert report.unusable_masks["a"].startswith(f"1: a.geojson: object 1 {reason}")
    assert "a.geojson: object 1" in caplog.text


def test_not_a_number_is_no_coordinate(tmp_path: Path) -> None:
    broken = collection(feature(box(1, 1, 3, 3)), SECOND).replace(b"[3, 3]", b"[NaN, 3]")
    assert "no place in an image" in read(tmp_path, broken)[1].unusable_masks["a"]


@pytest.mark.parametrize("content", [b"", b"{", b"[" * 100_000, b"7", b'{"type": 3}', b"\x1f\x8b damage", b"\xff\xfe"])
def test_what_is_no_geojson_is_refused_by_the_name_of_the_file(tmp_path: Path, content: bytes) -> None:
    with pytest.raises(DataError, match=r"a: a.geojson: expected GeoJSON"):
        read_examples(write_set(tmp_path, a__geojson=content))


def test_an_image_of_which_no_object_can_be_used_is_not_taken_for_one_without_nuclei(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"none of its 1 objects can be used: a\.geojson: object 1 lies outside"):
        read_examples(write_set(tmp_path, a__geojson=collection(feature(box(900, 900, 950, 950)))))


def test_an_empty_collection_is_an_image_without_nuclei(tmp_path: Path) -> None:
    example, report = read(tmp_path, collection())
    assert (example.labels.any(), report.nuclei) == (False, 0)


def test_a_tile_of_a_slide_takes_the_objects_of_the_slide_that_lie_in_it(tmp_path: Path) -> None:
    slide = collection(feature(box(1004, 2006, 1024, 2026)), feature(box(10, 10, 20, 20)))
    name = "slide [d=2,x=1000,y=2000,w=100,h=80]"
    write_set(tmp_path, slide__geojson=slide)
    (tmp_path / "a.png").rename(tmp_path / f"{name}.png")
    (example,), report = read_examples(tmp_path)
    assert (example.name, pixels(example), report.unusable_masks) == (name, [(2, 3, 12, 13)], {})


def test_objects_of_a_slide_are_not_taken_for_those_of_a_tile_in_which_they_would_all_lie(tmp_path: Path) -> None:
    write_set(tmp_path, slide__geojson=collection(feature(box(14, 15, 24, 25))))
    (tmp_path / "a.png").rename(tmp_path / "slide [x=10,y=10,w=50,h=40].png")
    (example,), _ = read_examples(tmp_path)
    assert pixels(example) == [(4, 5, 14, 15)]


@pytest.mark.parametrize(
    "name", ["a [d=1.2.3,x=1,y=1,w=50,h=40]", "a [d=.,x=1,y=1,w=50,h=40]", "a [d=0,x=0,y=0,w=5,h=4]"]
)
def test_a_name_that_only_looks_like_that_of_a_tile_is_a_name(name: str, tmp_path: Path) -> None:
    write_set(tmp_path)
    (tmp_path / "a.png").rename(tmp_path / f"{name}.png")
    (tmp_path / f"{name}.geojson").write_bytes(collection(FIRST))
    (example,), _ = read_examples(tmp_path)
    assert pixels(example) == [(2, 3, 9, 8)]


def test_one_file_of_a_slide_serves_all_its_tiles(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    reads: list[str] = []
    monkeypatch.setattr(beside, "read_drawing", lambda *given: reads.append(given[1]) or read_drawing(*given))
    write_set(tmp_path, slide__geojson=collection(*[feature(box(x + 4, 5, x + 9, 10)) for x in (100, 200, 900)]))
    for x in (100, 200):
        (tmp_path / f"slide [x={x},y=0,w=50,h=40].png").write_bytes((tmp_path / "a.png").read_bytes())
    (tmp_path / "a.png").unlink()
    examples, _ = read_examples(tmp_path)
    assert [pixels(example) for example in examples] == [[(4, 5, 9, 10)]] * 2
    assert reads == ["slide.geojson"]


def test_objects_that_all_lie_in_a_tile_are_objects_of_the_tile(tmp_path: Path) -> None:
    name = "slide [x=10,y=10,w=50,h=40]"
    write_set(tmp_path)
    (tmp_path / "a.png").rename(tmp_path / f"{name}.png")
    (tmp_path / f"{name}.geojson").write_bytes(collection(FIRST))
    (example,), _ = read_examples(tmp_path)
    assert pixels(example) == [(2, 3, 9, 8)]


def test_thousands_of_objects_smaller_than_a_pixel_are_told_apart(tmp_path: Path) -> None:
    boxes = [feature(box(x / 2, y / 2, x / 2 + 0.5, y / 2 + 0.5)) for x in range(100) for y in range(80)]
    example, report = read(tmp_path, collection(*boxes))
    # A quarter of the squares of half a pixel holds the centre of one: on an edge, the pixel below and right has it.
    assert (report.nuclei, int((example.labels > 0).sum())) == (2000, 2000)
    assert report.empty_masks == {"a": 6000}

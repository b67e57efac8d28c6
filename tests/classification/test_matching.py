"""From the marks of QuPath, napari and tables to nuclei."""

from __future__ import annotations

import gzip
import json
import logging
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import shapely
import tifffile
from helpers.marked import feature, write_table
from helpers.segmentations import blobs, made
from nucleus_unet.classification.mark_readers import has_image_column, read_marks
from nucleus_unet.classification.marks import Marks
from nucleus_unet.classification.matching import Matcher, in_rings
from nucleus_unet.errors import DataError
from nucleus_unet.exports.nucleus_table import NucleusTable

# Nucleus 1 is a ring around nucleus 2; 3 is a rectangle; 4 has two pieces; 5 is a rectangle.
NUCLEI: NucleusTable = made(blobs()).outlined


def matched(marks: Marks) -> dict[int, str]:
    """Class by label."""
    matcher = Matcher(marks)
    found = matcher.match(NUCLEI)
    matcher.finish()
    return {int(NUCLEI.label[row]): name for row, name in found.items()}


def of_features(folder: Path, *features: dict[str, Any]) -> Marks:
    path = folder / "a.geojson"
    path.write_text(json.dumps({"type": "FeatureCollection", "features": list(features)}))
    return read_marks(path)


def box(left: float, top: float, right: float, bottom: float) -> list[list[list[float]]]:
    return [[[left, top], [right, top], [right, bottom], [left, bottom], [left, top]]]


def test_a_point_marks_the_nucleus_in_which_it_lies(tmp_path: Path) -> None:
    for row, column in np.argwhere(blobs() > 0).tolist():
        marks = of_features(tmp_path, feature("Point", [column + 0.3, row + 0.8], "a"))
        assert matched(marks) == {int(blobs()[row, column]): "a"}


def test_points_of_several_classes_have_their_colours(tmp_path: Path) -> None:
    marks = of_features(
        tmp_path,
        feature("MultiPoint", [[6.5, 5.5], [12, 3]], "Tumor"),
        {**feature("Point", [25, 20], None), "properties": {"classification": {"name": "s", "colorRGB": -65281}}},
    )
    assert matched(marks) == {2: "Tumor", 3: "Tumor", 5: "s"}
    assert marks.colours == {"Tumor": (200, 0, 0), "s": (255, 0, 255)}


def test_children_of_a_region_are_marks(tmp_path: Path) -> None:
    child = feature("Point", [25.5, 20.5], "b")
    parent = feature("Polygon", box(0, 0, 20, 10), "a", childObjects=[child])
    assert matched(of_features(tmp_path, parent)) == {1: "a", 2: "a", 3: "a", 5: "b"}


def test_the_parts_of_a_collection_are_marks(tmp_path: Path) -> None:
    parts = [feature("Point", place, "a")["geometry"] for place in ([6.5, 5.5], [25.5, 20.5])]
    collection = {**feature("Point", [], "a"), "geometry": {"type": "GeometryCollection", "geometries": parts}}
    assert matched(of_features(tmp_path, collection)) == {2: "a", 5: "a"}


def test_marks_on_several_planes_are_refused_as_nothing_tells_which_was_segmented(tmp_path: Path) -> None:
    here, there = feature("Point", [6.5, 5.5], "a"), feature("Point", [25.5, 20.5], "b")
    there["geometry"]["plane"] = {"c": -1, "z": 3, "t": 0}
    with pytest.raises(DataError, match=r"on plane 0 at time 0 .*feature 1.* on plane 3 at time 0 .*feature 2"):
        of_features(tmp_path, here, there)
    assert matched(of_features(tmp_path, there)) == {5: "b"}


def test_a_small_file_that_unpacks_to_more_than_memory_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("nucleus_unet.io.packed_json._MAX_BYTES", 2**20)
    (tmp_path / "a.geojson.gz").write_bytes(gzip.compress(b" " * 2**21))
    with pytest.raises(DataError, match="unpacks to more than 1 MB"):
        read_marks(tmp_path / "a.geojson.gz")


def test_an_annotation_marks_all_nuclei_whose_centroids_lie_in_it(tmp_path: Path) -> None:
    assert matched(of_features(tmp_path, feature("Polygon", box(0, 0, 20, 10), "a"))) == {1: "a", 2: "a", 3: "a"}


@pytest.mark.parametrize("object_type", ["detection", "cell"])
def test_a_detection_marks_the_nucleus_that_it_outlines(tmp_path: Path, object_type: str) -> None:
    marked = feature("Polygon", box(11, 2, 20, 6), "a", object_type=object_type)
    # A detection of another program that holds two of our nuclei is none of them.
    wide = feature("Polygon", box(2, 2, 20, 9), "b", object_type=object_type)
    large = feature("Polygon", box(15, 10, 60, 40), "c", object_type=object_type)
    assert matched(of_features(tmp_path, marked, wide, large)) == {3: "a"}


def test_a_cell_marks_by_its_nucleus(tmp_path: Path) -> None:
    cell = feature("Polygon", box(5, 0, 30, 12), "a", object_type="cell")
    cell["nucleusGeometry"] = {"type": "Polygon", "coordinates": box(11, 2, 20, 6)}
    assert matched(of_features(tmp_path, cell)) == {3: "a"}


def test_our_own_export_with_classes_set_in_qupath_marks_these_nuclei(tmp_path: Path) -> None:
    collection = made(blobs()).to_geojson()
    for place in (1, 4):
        collection["features"][place]["properties"]["classification"] = {"names": ["Tumor", "Positive"]}
    (tmp_path / "a.geojson.gz").write_bytes(gzip.compress(json.dumps(collection).encode()))
    assert matched(read_marks(tmp_path / "a.geojson.gz")) == {2: "Tumor: Positive", 5: "Tumor: Positive"}


def test_classes_that_qupath_ignores_and_lines_mark_nothing(tmp_path: Path) -> None:
    ignored = feature("Polygon", box(0, 0, 31, 24), "Ignore*")
    line = feature("LineString", [[0, 0], [20, 5]], "a")
    assert matched(of_features(tmp_path, ignored, line, feature("Point", [12, 3], "b"))) == {3: "b"}


@pytest.mark.parametrize(
    ("header", "rows"),
    [
        (("label", "class"), [(3, "a"), (5, "b"), (1, "")]),
        (("x", "y", "class"), [(12, 3, "a"), (25.5, 20.5, "b")]),
        (("Row", "Column", "Class"), [(3, 12, "a"), (20, 25, "b")]),
        (("index", "axis-0", "axis-1", "class"), [(0, 3.2, 12.1, "a"), (1, 20, 25, "b")]),
        (("label", "x", "y", "class"), [("", 12, 3, "a"), (5, "", "", "b")]),
    ],
)
def test_a_table_marks_by_label_or_place(tmp_path: Path, header: tuple[str, ...], rows: list[Any]) -> None:
    assert matched(read_marks(write_table(tmp_path / "a.csv", header, rows))) == {3: "a", 5: "b"}


def test_napari_counts_from_the_middle_of_the_first_pixel(tmp_path: Path) -> None:
    inside = write_table(tmp_path / "a.csv", ("index", "axis-0", "axis-1", "class"), [(0, 1.6, 10.6, "a")])
    assert matched(read_marks(inside)) == {3: "a"}  # pixel (2, 11) is the first one of nucleus 3
    outside = write_table(tmp_path / "a.csv", ("x", "y", "class"), [(10.6, 1.6, "a"), (12, 3, "a")])
    assert len(matched(read_marks(outside))) == 1


def test_a_table_with_semicolons_and_a_byte_order_mark_is_read(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_bytes("\ufefflabel;class\r\n3;Müller\r\n".encode())
    assert matched(read_marks(tmp_path / "a.csv")) == {3: "Müller"}


def test_a_table_of_several_images_is_read_image_by_image(tmp_path: Path) -> None:
    rows = [("one", 3, "a"), ("two.tif", 5, "b")]
    path = write_table(tmp_path / "a.csv", ("image", "label", "class"), rows)
    assert has_image_column(path)
    assert matched(read_marks(path, image="folder/two.tif")) == {5: "b"}
    assert matched(read_marks(path, image="one.tif")) == {3: "a"}


def test_a_painted_image_of_another_size_is_refused(tmp_path: Path) -> None:
    height, width = blobs().shape
    tifffile.imwrite(tmp_path / "a.tif", np.ones((height + 9, width), np.uint8))
    with pytest.raises(DataError, match=f"expected an image of {height} x {width} pixels, got {height + 9} x {width}"):
        Matcher(read_marks(tmp_path / "a.tif"), (height, width))


def test_painted_nuclei_have_the_number_of_most_of_their_painted_pixels(tmp_path: Path) -> None:
    painted = np.zeros(blobs().shape, np.uint8)
    painted[3:5, 12:19] = 2
    painted[2, 11] = 1
    painted[5:6, 6:8] = 1
    tifffile.imwrite(tmp_path / "a.tif", painted)
    assert matched(read_marks(tmp_path / "a.tif", names={2: "Stroma"})) == {2: "class 1", 3: "Stroma"}


def test_marks_that_lie_in_no_nucleus_are_counted(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    marks = of_features(tmp_path, feature("MultiPoint", [[0.5, 0.5], [12, 3], [900, 900]], "a"))
    with caplog.at_level(logging.WARNING):
        assert matched(marks) == {3: "a"}
    assert "2 of 3 marks lie in no nucleus" in caplog.text


def test_marks_of_another_image_are_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="none of 1 marks lies in a nucleus: are they of this image"):
        matched(of_features(tmp_path, feature("Point", [900, 900], "a")))


def test_a_nucleus_of_two_classes_is_refused(tmp_path: Path) -> None:
    marks = of_features(tmp_path, feature("Point", [12, 3], "a"), feature("Point", [14, 4], "b"))
    with pytest.raises(DataError, match=r"feature 2: nucleus 3 is marked as 'b', and as 'a' by .*feature 1"):
        matched(marks)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.geojson", b"{", "expected GeoJSON as QuPath exports it"),
        ("a.geojson", b'{"features": 3}', "there is no list of features"),
        (
            "a.geojson",
            b'[{"properties": {"classification": {"name": "a"}}}]',
            "feature 1: expected an object of QuPath",
        ),
        ("a.geojson", b"[]", "expected marked nuclei, got none that have a class"),
        ("a.geojson.gz", b"no gzip", "expected GeoJSON"),
        ("a.csv", b"", "expected the column class"),
        ("a.csv", b"label,class\n", "got none that have a class"),
        ("a.csv", b"label\n3\n", "expected the column class, and label, or x and y"),
        ("a.csv", b"label,class\nthree,a\n", "line 2: expected the label or the place"),
        ("a.csv", b"x,y,class\n1,nan,a\n", "line 2: expected the label or the place"),
        ("a.csv", b"label,class\n3\n", "line 2: expected 2 cells, got 1"),
        ("a.csv", b"label,class\n3,\xff\n", "expected a table of text"),
        ("a.csv", b"axis-0,axis-1,axis-2,class\n1,2,3,a\n", "got axis-2 too"),
        ("a.csv", b'label,class\n3,"a\nb"\n', "is no name of a class"),
    ],
)
def test_damaged_marks_are_refused_in_a_sentence(tmp_path: Path, name: str, content: bytes, message: str) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(DataError, match=message):
        read_marks(tmp_path / name)


def test_an_image_without_paint_or_of_another_size_is_refused(tmp_path: Path) -> None:
    tifffile.imwrite(tmp_path / "a.tif", np.zeros((24, 31), np.uint8))
    with pytest.raises(DataError, match="got 0 everywhere"):
        read_marks(tmp_path / "a.tif")
    tifffile.imwrite(tmp_path / "a.tif", np.ones((9, 9), np.uint8))
    with pytest.raises(DataError, match="expected an image of the size of the segmented one, got 9 x 9"):
        matched(read_marks(tmp_path / "a.tif"))


def test_places_in_rings_are_those_of_another_library() -> None:
    ring = np.array([[2, 3], [28, 6], [25, 27], [14, 12], [5, 26], [2, 3]], float)
    rows, columns = np.mgrid[:30, :30]
    centres = np.column_stack([columns.ravel(), rows.ravel()]) + 0.2371  # off all vertices and edges
    hole = np.array([[20, 7], [24, 8], [22, 15], [20, 7]], float)
    expected = shapely.contains_xy(shapely.Polygon(ring, [hole]), centres)
    np.testing.assert_array_equal(in_rings(centres, [ring, hole]), expected)

"""Files: what is written gives back the mask, and nobody ever sees half of one."""

import csv
import gzip
import json
import math
import uuid
from itertools import pairwise
from pathlib import Path
from typing import Any

import imagecodecs
import numpy as np
import pytest
import tifffile
from helpers.segmentations import blobs, made
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from nucleus_unet import _core
from nucleus_unet.errors import MaskError, SettingsError
from nucleus_unet.exports.geojson import NAMESPACE, features
from nucleus_unet.masks import kaggle_to_labels
from numpy.typing import NDArray

CROWD = np.arange(1, 300 * 300 + 1, dtype=np.uint32).reshape(300, 300)


@pytest.mark.parametrize("labels", [blobs(), CROWD, np.zeros((5, 7), np.uint32)], ids=["few", "many", "none"])
def test_a_label_tiff_is_read_back(tmp_path: Path, labels: NDArray[np.uint32]) -> None:
    made(labels).save(tmp_path / "labels.tif")
    read = tifffile.imread(tmp_path / "labels.tif")
    assert read.dtype == np.uint32
    np.testing.assert_array_equal(read, labels)


@pytest.mark.parametrize("labels", [blobs(), CROWD], ids=["few", "many"])
def test_a_run_length_csv_is_read_back(tmp_path: Path, labels: NDArray[np.uint32]) -> None:
    made(labels).save(tmp_path / "slide 1.rle.csv")
    with (tmp_path / "slide 1.rle.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert {row["ImageId"] for row in rows} == {"slide 1"}
    read, _ = kaggle_to_labels([row["EncodedPixels"] for row in rows], labels.shape)
    np.testing.assert_array_equal(read, labels)


def test_an_image_without_nuclei_keeps_a_line_in_the_csv(tmp_path: Path) -> None:
    made(np.zeros((5, 7), np.uint32)).to_rle(tmp_path / "none.csv", image_id="x")
    assert (tmp_path / "none.csv").read_text() == "ImageId,EncodedPixels\nx,\n"


def rasterised(rings: list[list[list[int]]], shape: tuple[int, int]) -> NDArray[np.bool_]:
    """Pixels whose centres lie inside by the even-odd rule: each vertical edge flips all pixels to its right."""
    inside = np.zeros(shape, bool)
    for ring in rings:
        for (x0, y0), (x1, y1) in pairwise(ring):
            assert (x0 == x1) != (y0 == y1)
            if x0 == x1:
                inside[min(y0, y1) : max(y0, y1), x0:] ^= True
    return inside


def polygons_of(feature: dict[str, Any]) -> list[list[list[list[int]]]]:
    geometry = feature["geometry"]
    assert geometry["type"] in ("Polygon", "MultiPolygon")
    return geometry["coordinates"] if geometry["type"] == "MultiPolygon" else [geometry["coordinates"]]


@settings(max_examples=50, deadline=None)
@given(hnp.arrays(np.uint32, st.tuples(st.integers(1, 9), st.integers(1, 9)), elements=st.integers(0, 4)))
def test_rasterising_the_polygons_gives_back_the_masks(labels: NDArray[np.uint32]) -> None:
    labels = np.unique(np.append(labels, 0), return_inverse=True)[1][:-1].reshape(labels.shape).astype(np.uint32)
    collection = made(labels).to_geojson()
    assert len(collection["features"]) == labels.max()
    for label, feature in enumerate(collection["features"], start=1):
        mask = np.zeros(labels.shape, bool)
        for rings in polygons_of(feature):
            piece = rasterised(rings, labels.shape)
            assert not (mask & piece).any()
            mask |= piece
        np.testing.assert_array_equal(mask, labels == label)


def test_geojson_is_valid_and_says_what_was_measured(tmp_path: Path) -> None:
    nuclei = made(blobs())
    nuclei.save(tmp_path / "a.geojson")
    collection = json.loads((tmp_path / "a.geojson").read_text())
    assert collection == nuclei.to_geojson()
    assert collection["type"] == "FeatureCollection"
    assert len({feature["id"] for feature in collection["features"]}) == 5
    for row, feature in enumerate(collection["features"]):
        assert feature["type"] == "Feature"
        assert feature["properties"]["objectType"] == "detection"
        assert feature["properties"]["measurements"]["Area px^2"] == nuclei.table["area"][row]
        for ring in (ring for rings in polygons_of(feature) for ring in rings):
            assert len(ring) >= 5
            assert ring[0] == ring[-1]


def test_the_same_nuclei_give_the_same_bytes(tmp_path: Path) -> None:
    for name in "a.geojson", "a.geojson.gz", "a.tif", "a.csv", "a.png":
        made(blobs()).save(tmp_path / "1" / name)
        made(blobs()).save(tmp_path / "2" / name)
        assert (tmp_path / "1" / name).read_bytes() == (tmp_path / "2" / name).read_bytes()


def test_compressed_geojson_holds_the_same(tmp_path: Path) -> None:
    made(blobs()).save(tmp_path / "a.geojson")
    made(blobs()).save(tmp_path / "a.geojson.gz")
    assert gzip.decompress((tmp_path / "a.geojson.gz").read_bytes()) == (tmp_path / "a.geojson").read_bytes()


@pytest.mark.parametrize("name", ["a.csv", "geojson", "a.gz"])
def test_geojson_under_another_name_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(SettingsError, match=name):
        made(blobs()).to_geojson(tmp_path / name)
    assert not list(tmp_path.iterdir())


@pytest.mark.filterwarnings("ignore:overflow")
def test_intensities_that_json_cannot_say_are_left_out() -> None:
    nuclei = made(blobs(), np.full((24, 31), 1e300))
    assert "Mean intensity" not in nuclei.to_geojson()["features"][0]["properties"]["measurements"]


@pytest.mark.parametrize("channels", [(), (3,)])
def test_an_overlay_is_the_image_with_outlines_inside_the_nuclei(tmp_path: Path, channels: tuple[int, ...]) -> None:
    labels = blobs()
    made(labels, np.random.default_rng(0).random((*labels.shape, *channels))).save(tmp_path / "a.png")
    picture = imagecodecs.imread(tmp_path / "a.png")
    assert (picture.shape, picture.dtype) == ((24, 31, 3), np.uint8)
    drawn = (picture == (255, 200, 0)).all(axis=-1)
    assert not drawn[labels == 0].any()
    assert drawn[15, 20:31].all()
    assert not drawn[17:23, 22:30].any()


@given(x=st.integers(0, 2**31 - 3), y=st.integers(0, 2**31 - 3))
def test_ids_are_uuids_of_where_a_nucleus_begins(x: int, y: int) -> None:
    outlines = _core.contours_wkb(np.ones((1, 1), np.uint32), (y, x))
    one = np.ones(1, np.float32)
    (text,) = features(outlines, area=np.ones(1, np.int64), intensity=np.ones(1), probability=one, quality=one)
    found = json.loads(text)
    assert found["id"] == str(uuid.uuid5(NAMESPACE, f"{x + 1},{y}"))
    assert found["geometry"]["coordinates"][0][0] == [x + 1, y]


@given(
    intensity=st.floats(), probability=st.floats(width=32), quality=st.floats(width=32), area=st.integers(1, 2**63 - 1)
)
def test_measurements_are_rounded_as_python_does(
    intensity: float, probability: float, quality: float, area: int
) -> None:
    outlines = _core.contours_wkb(np.ones((1, 1), np.uint32), (0, 0))
    (text,) = features(
        outlines,
        area=np.array([area]),
        intensity=np.array([intensity]),
        probability=np.array([probability], np.float32),
        quality=np.array([quality], np.float32),
    )
    told = {"Area px^2": area, "Mean intensity": intensity, "Probability": probability, "Quality": quality}
    expected = {name: round(value, 4) for name, value in told.items() if math.isfinite(value)}
    assert json.loads(text)["properties"]["measurements"] == expected


def test_a_damaged_outline_is_told_by_its_number() -> None:
    outlines = _core.contours_wkb(np.array([[1, 0, 2]], np.uint32), (0, 0))
    outlines[1] = outlines[1][:-1]
    with pytest.raises(MaskError, match=r"^outline 1: the outline ends at byte 92, too early"):
        _core.check_outlines(outlines)

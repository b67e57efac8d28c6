"""Slides that are read with OpenSlide: the part that viewers show."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import numpy as np
import openslide
import pytest
import tifffile
from helpers.images import PICTURE, draw_discs, open_plane
from helpers.scans import write_scn
from nucleus_unet.io.source import open_image
from nucleus_unet.segmenter import Segmenter


def test_the_image_is_the_part_with_scanned_areas_as_qupath_shows_it(tmp_path: Path) -> None:
    path = write_scn(tmp_path / "a.scn", PICTURE)
    properties = openslide.OpenSlide(path).properties
    assert (properties["openslide.bounds-x"], properties["openslide.bounds-y"]) == ("1536", "1024")
    with open_image(path) as source:
        assert source.origin == (1024, 1536)
        assert source.pixel_size == pytest.approx(0.5)
    np.testing.assert_array_equal(open_plane(path).read(slice(0, 210), slice(0, 330)), PICTURE)
    np.testing.assert_array_equal(open_plane(path).read(slice(50, 70), slice(7, 9)), PICTURE[50:70, 7:9])


def test_what_the_suffix_says_of_a_scan_is_not_what_decides(tmp_path: Path) -> None:
    path = write_scn(tmp_path / "a.tif", PICTURE)
    assert open_plane(path).shape == (210, 330)
    tifffile.imwrite(tmp_path / "b.scn", PICTURE, photometric="rgb")
    np.testing.assert_array_equal(open_plane(tmp_path / "b.scn").read(slice(0, 210), slice(0, 330)), PICTURE)


@pytest.mark.parametrize("with_roi", [False, True])
def test_results_and_regions_lie_on_the_picture_that_viewers_show(
    segmenter: Segmenter, tmp_path: Path, *, with_roi: bool
) -> None:
    grey = draw_discs((200, 300), [(40, 50, 8), (150, 240, 8)])
    path = write_scn(tmp_path / "a.scn", np.dstack([grey] * 3), nanometres=1000)
    corners = [[0, 0], [150, 0], [150, 100], [0, 100], [0, 0]]
    roi = {"type": "Polygon", "coordinates": [corners]} if with_roi else None
    result = segmenter.predict_slide(path, out=tmp_path / "out", tissue=False, diameter=16, roi=roi)
    assert len(result) == (1 if with_roi else 2)
    features = json.loads(gzip.decompress((tmp_path / "out" / "nuclei.geojson.gz").read_bytes()))["features"]
    centres = sorted(np.mean(each["geometry"]["coordinates"][0], axis=0).round().tolist() for each in features)
    np.testing.assert_allclose(centres, [[50, 40], [240, 150]][: len(result)], atol=2)
    assert tifffile.imread(result.labels_path).shape == (200, 300)
    np.testing.assert_array_equal(
        segmenter.predict(path, diameter=16).labels > 0, tifffile.imread(result.labels_path) > 0
    ) if not with_roi else None

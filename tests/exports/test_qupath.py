"""GeoJSON against the rules by which QuPath 0.5 imports objects, and the scripts for QuPath.

The rules are those of QuPath's documentation (Exporting annotations) and of its readers of objects, ROIs and classes,
written down here once more: what is not among them, QuPath passes over or refuses.
"""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import uuid
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from helpers.paths import ROOT
from helpers.segmentations import blobs, made
from nucleus_unet.cli import app
from nucleus_unet.segmenter import Segmenter
from typer.testing import CliRunner

SCRIPTS = sorted((ROOT / "examples" / "qupath").glob("*.groovy"))
MACROS = sorted((ROOT / "examples" / "fiji").glob("*.ijm"))

TYPES = {"annotation", "detection", "cell", "tile", "tmaCore", "root"}


def check_collection(content: Any) -> list[dict[str, Any]]:
    """Raise `AssertionError` unless QuPath makes an object of each feature."""
    assert content["type"] == "FeatureCollection"
    for feature in content["features"]:
        check_feature(feature)
    ids = [feature["id"] for feature in content["features"]]
    assert len(set(ids)) == len(ids), "objects of one image have different ids"
    features: list[dict[str, Any]] = content["features"]
    return features


def check_feature(feature: dict[str, Any]) -> None:
    assert feature["type"] == "Feature"
    assert str(uuid.UUID(feature["id"])) == feature["id"]
    check_geometry(feature["geometry"])
    properties = feature["properties"]
    assert properties["objectType"] in TYPES
    assert ("nucleusGeometry" in feature) <= (properties["objectType"] == "cell")
    if "nucleusGeometry" in feature:
        check_geometry(feature["nucleusGeometry"])
    assert isinstance(properties["classification"]["name"], str)
    assert len(properties["classification"]["color"]) == 3
    assert all(type(value) is int and 0 <= value <= 255 for value in properties["classification"]["color"])
    for name, value in properties["measurements"].items():
        assert name
        assert type(value) in (int, float), "QuPath reads measurements as numbers"
    # A plane other than the first, and the mark of an ellipse, would change where and what an object is.
    assert not {"plane", "isEllipse"} & set(feature["geometry"])


def check_geometry(geometry: dict[str, Any]) -> None:
    polygons = {"Polygon": [geometry["coordinates"]], "MultiPolygon": geometry["coordinates"]}[geometry["type"]]
    assert polygons
    for rings in polygons:
        assert rings
        for ring in rings:
            assert len(ring) >= 4
            assert ring[0] == ring[-1], "a ring of JTS is closed"
            assert all(len(point) == 2 and all(type(number) in (int, float) for number in point) for point in ring)


def torn() -> Any:
    """Nuclei with a hole, in two pieces, and of one pixel."""
    labels = np.zeros((30, 30), np.uint32)
    labels[2:9, 2:9], labels[4:6, 4:6] = 1, 0
    labels[12:15, 2:6], labels[20:24, 2:6] = 2, 2
    labels[28, 28] = 3
    return labels


@pytest.mark.parametrize("labels", [blobs(), torn(), np.zeros((9, 9), np.uint32)], ids=["blobs", "torn", "none"])
def test_detections_are_read_by_the_rules(tmp_path: Path, labels: Any) -> None:
    made(labels).save(tmp_path / "a.geojson")
    features = check_collection(json.loads((tmp_path / "a.geojson").read_text(encoding="utf-8")))
    assert len(features) == len(np.unique(labels[labels > 0]))
    assert {feature["properties"]["objectType"] for feature in features} <= {"detection"}


def test_cells_with_all_measures_are_read_by_the_rules(segmenter: Segmenter, tmp_path: Path) -> None:
    rows, columns = np.mgrid[:96, :96]
    image = (20 + 180 * ((rows % 32 - 16) ** 2 + (columns % 32 - 16) ** 2 < 64)).astype(np.uint8)
    nuclei = segmenter.predict(image, expand=4, measure="intensity,shape,neighbours")
    nuclei.save(tmp_path / "a.geojson")
    features = check_collection(json.loads((tmp_path / "a.geojson").read_text(encoding="utf-8")))
    assert len(features) == len(nuclei) > 0
    for feature in features:
        assert feature["properties"]["objectType"] == "cell"
        assert "nucleusGeometry" in feature
        assert "nucleus_area" in feature["properties"]["measurements"]


@pytest.mark.parametrize("path", [*SCRIPTS, *MACROS], ids=lambda path: path.name)
def test_scripts_give_options_that_the_commands_have(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    known = "".join(
        CliRunner().invoke(app, [command, "--help"], env={"COLUMNS": "400"}).output for command in ("slide", "train")
    )
    for option in set(re.findall(r"--[a-z][a-z-]+", text)):
        assert option in known, option


@pytest.mark.parametrize("path", SCRIPTS, ids=lambda path: path.name)
def test_scripts_say_for_which_version_they_are_and_that_they_were_not_run(path: Path) -> None:
    head = path.read_text(encoding="utf-8").partition("*/")[0]
    assert "For QuPath 0.5 and 0.6" in head
    assert "was not run in QuPath" in head


@pytest.mark.skipif(shutil.which("groovy") is None, reason="needs groovy")
def test_scripts_are_groovy(tmp_path: Path) -> None:
    checker = tmp_path / "check.groovy"
    checker.write_text(
        "import org.codehaus.groovy.control.*\n"
        "args.each { file -> new CompilationUnit().with { addSource(new File(file)); compile(Phases.CONVERSION) } }\n"
    )
    done = subprocess.run(["groovy", checker, *SCRIPTS], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr

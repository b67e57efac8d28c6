"""``nucleus-unet classify`` and ``nucleus-unet score``."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest
import tifffile
from helpers.marked import CLASSES, image, write_points, write_table
from helpers.segmentations import blobs, made
from nucleus_unet.cli import app
from nucleus_unet.cli.classify import pair_marks
from nucleus_unet.errors import DataError, SettingsError
from typer.testing import CliRunner


def run(*arguments: str | Path) -> str:
    """Run a command in this process, and return what it printed."""
    result = CliRunner().invoke(app, list(map(str, arguments)))
    if result.exception is not None:
        raise result.exception
    return result.stdout


def rows(path: Path) -> list[dict[str, str]]:
    return list(csv.DictReader(path.open(encoding="utf-8")))


def test_a_classifier_is_trained_used_and_applied(tiny_bundle: Path, tmp_path: Path) -> None:
    (tmp_path / "marks").mkdir()
    for number in range(2):
        tifffile.imwrite(tmp_path / f"{number}.tif", image(number))
        write_points(tmp_path / "marks" / f"{number}.geojson")
    tifffile.imwrite(tmp_path / "new.tif", image(5))
    model = ("--model", tiny_bundle, "--device", "cpu", "--precision", "float32")
    images = (tmp_path / "0.tif", tmp_path / "1.tif")
    told = run("classify", *images, "--marks", tmp_path / "marks", "--out", tmp_path / "my", *model)
    assert "bright: F1 1.000 of 6 marked nuclei" in told
    assert "Cross-validation over images: 2 folds" in told
    file = tmp_path / "my" / "classifier.json"

    run("predict", tmp_path / "new.tif", "--out", tmp_path / "r", "--classifier", file, "--format", "csv", *model)
    assert [row["class"] for row in rows(tmp_path / "r" / "new.csv")] == CLASSES

    measured = ("--measure", "intensity,shape", "--format", "csv")
    run("predict", tmp_path / "new.tif", "--out", tmp_path / "m", *measured, *model)
    run("classify", tmp_path / "m" / "new.csv", "--apply", file, "--out", tmp_path / "applied")
    assert (tmp_path / "applied" / "new.csv").read_bytes() == (tmp_path / "r" / "new.csv").read_bytes()

    with pytest.raises(SettingsError, match=r"classifier was [0-9a-f]{64}, now is None"):
        run("predict", tmp_path / "new.tif", "--out", tmp_path / "r", *measured, *model)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("a.tif",), "give --marks to train a classifier, or --apply"),
        (("a.tif", "--marks", "a.csv"), "out: expected a folder for the classifier"),
        (("a.csv", "--marks", "a.csv", "--apply", "c.json"), "give one of --marks"),
    ],
)
def test_what_does_not_go_together_is_refused(arguments: tuple[str, ...], message: str) -> None:
    with pytest.raises(SettingsError, match=message):
        run("classify", *arguments)


def test_marks_are_paired_with_images(tmp_path: Path) -> None:
    images = [Path("a.tif"), Path("b.ome.tif")]
    files = [tmp_path / "b.geojson", tmp_path / "a.geojson.gz"]
    for file in files:
        file.write_bytes(b"")
    assert pair_marks(images, [tmp_path]) == [(images[0], files[1]), (images[1], files[0])]
    assert pair_marks(images, files) == list(zip(images, files, strict=True))
    table = write_table(tmp_path / "all.csv", ("image", "label", "class"), [])
    assert pair_marks(images, [table]) == [(image, table) for image in images]
    with pytest.raises(SettingsError, match="expected one file for each of 2 images, one folder, or one CSV"):
        pair_marks(images, files[:1])
    with pytest.raises(SettingsError, match=r"expected one file for c.tif in .*, got none"):
        pair_marks([Path("c.tif")], [tmp_path])


def test_marks_of_another_image_are_not_taken_for_those_of_a_name_with_dots(tmp_path: Path) -> None:
    (tmp_path / "plate.A2.geojson").write_bytes(b"")
    with pytest.raises(SettingsError, match=r"expected one file for plate\.A1\.png in .*, got none"):
        pair_marks([Path("plate.A1.png")], [tmp_path])
    (tmp_path / "plate.A1.geojson.gz").write_bytes(b"")
    (tmp_path / "plate.csv").write_bytes(b"")
    assert pair_marks([Path("plate.A1.png")], [tmp_path])[0][1].name == "plate.A1.geojson.gz"
    with pytest.raises(SettingsError, match=r"plate\.csv may be of plate\.B1\.png or of plate\.B2\.png"):
        pair_marks([Path("plate.B1.png"), Path("plate.B2.png")], [tmp_path])


def test_a_table_must_tell_images_of_one_name_apart(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    images = [Path("one/a.png"), Path("two/a.png")]
    table = write_table(tmp_path / "all.csv", ("image", "label", "class"), [("a.png", 1, "x")])
    with pytest.raises(DataError, match=r"'a.png' may be one.a\.png or two.a\.png"):
        pair_marks(images, [table])
    write_table(table, ("image", "label", "class"), [(images[0], 1, "x"), (images[1], 1, "x"), ("b.png", 1, "x")])
    pair_marks(images, [table])
    assert "rows of 1 other images are left out, first 'b.png'" in caplog.text


@pytest.fixture
def tables(tmp_path: Path) -> list[Path]:
    """Two tables of four and of two nuclei; the second has a nucleus without a density."""
    first = ("label", "row", "column", "top", "left", "bottom", "right", "area", "intensity", "probability", "quality")
    header = (*first, "nucleus_dab_mean", "class")
    values = [[(0.1, "a"), (0.3, "a"), (0.5, "b"), (0.7, "b")], [(0.3, "a"), ("", "b")]]
    return [
        write_table(tmp_path / f"{number}.csv", header, [(*np.ones(11, int), *each) for each in rows])
        for number, rows in enumerate(values)
    ]


def test_finished_tables_are_scored(tables: list[Path], tmp_path: Path) -> None:
    assert run("score", *tables, "--out", tmp_path / "scores.csv").splitlines() == [
        f"{tables[0]}: 4 nuclei, 75.0% positive, H-score 150.0",
        f"{tables[1]}: 1 nucleus, 100.0% positive, H-score 100.0",
        "all: 5 nuclei, 80.0% positive, H-score 140.0",
    ]
    assert [row["h_score"] for row in rows(tmp_path / "scores.csv")] == ["150.0", "100.0", "140.0"]


def test_nuclei_without_a_density_are_counted(tables: list[Path], caplog: pytest.LogCaptureFixture) -> None:
    run("score", tables[1])
    assert "1 of 2 nuclei have no number in nucleus_dab_mean and are left out" in caplog.text


def test_nuclei_of_a_class_are_scored_with_other_thresholds(tables: list[Path]) -> None:
    told = run("score", tables[0], "--class", "b", "--thresholds", "0.4,0.6,0.8", "--positive", "0.6")
    assert told.strip() == f"{tables[0]}: 2 nuclei, 50.0% positive, H-score 150.0"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--thresholds", "0.4,0.2,0.6"), "thresholds: expected three ascending numbers such as 0.2,0.4,0.6"),
        (("--thresholds", "a"), "thresholds: expected three ascending numbers"),
        (("--positive", "nan"), "positive: expected a finite number, got nan"),
        (("--column", "nucleus_her2_mean"), "expected a table with the column nucleus_her2_mean: repeat the run"),
        (("--column", "class"), "column: expected a column of numbers, got 'class'"),
        (("--class", "c"), "has no nucleus of the class 'c'"),
    ],
)
def test_what_cannot_be_scored_is_refused_in_a_sentence(
    tables: list[Path], arguments: tuple[str, ...], message: str
) -> None:
    with pytest.raises(SettingsError, match=message):
        run("score", tables[0], *arguments)


def test_a_column_of_a_parquet_table_that_holds_no_numbers_is_refused(tmp_path: Path) -> None:
    made(blobs()).save(tmp_path / "a.parquet")
    with pytest.raises(SettingsError, match="column geometry: expected numbers, got binary"):
        run("score", tmp_path / "a.parquet", "--column", "geometry")

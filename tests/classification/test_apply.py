"""Classes in every table and export: equal for images, slides and finished results, to the last bit."""

from __future__ import annotations

import csv
import gzip
import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas
import pyarrow.parquet
import pytest
from helpers.classifiers import BRIGHT, DIM, threshold_classifier
from helpers.images import draw_discs
from helpers.slides import RESULTS
from nucleus_unet import Segmentation, Segmenter, export_slide
from nucleus_unet.classification import classify_results
from nucleus_unet.classifier import Classifier
from nucleus_unet.errors import DataError, SettingsError
from nucleus_unet.exports import parquet
from nucleus_unet.slides import measuring
from numpy.typing import NDArray
from pycocotools.coco import COCO

CLASSIFIER: Classifier = threshold_classifier("nucleus_perimeter", 35.0, groups=("shape", "neighbours"), expand=2)


@pytest.fixture(scope="module")
def picture() -> NDArray[np.uint8]:
    """Discs of radius 5 and 8, some of which touch, in 150 x 160 pixels."""
    places = np.random.default_rng(4).integers(8, 150, (25, 2)).tolist()
    return draw_discs((150, 160), [(row, column, 5 + 3 * (row % 2)) for row, column in places])


@pytest.fixture(scope="module")
def found(segmenter: Segmenter, picture: NDArray[np.uint8]) -> Segmentation:
    return segmenter.predict(picture, classifier=CLASSIFIER)


@pytest.fixture
def small_groups(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(measuring, "_SIDE", 37)
    monkeypatch.setattr(parquet, "_GROUP_ROWS", 7)


def same(one: dict[str, Any], other: dict[str, Any]) -> None:
    assert list(one) == list(other)
    for name, values in other.items():
        np.testing.assert_array_equal(one[name], values, err_msg=name)
        assert one[name].dtype == values.dtype


def test_a_table_that_does_not_tell_its_cells_is_classified_with_a_warning(
    found: Segmentation, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    found.save(tmp_path / "a.csv")
    classify_results(tmp_path / "a.csv", CLASSIFIER, out=tmp_path / "b")
    assert "if it was not with expand=2 and neighbour_radius=100.0, classes are wrong" in caplog.text


def test_a_table_with_two_columns_of_one_name_is_refused(found: Segmentation, tmp_path: Path) -> None:
    found.save(tmp_path / "a.csv")
    lines = (tmp_path / "a.csv").read_text().splitlines()
    (tmp_path / "a.csv").write_text("\n".join([f"{lines[0]},area", *(f"{line},1" for line in lines[1:])]))
    with pytest.raises(DataError, match="expected columns of different names, got 'area' twice"):
        classify_results(tmp_path / "a.csv", CLASSIFIER, out=tmp_path / "b")


def test_the_table_has_the_class_and_its_probabilities(found: Segmentation) -> None:
    table = found.table
    assert list(table)[-3:] == ["class_probability_dim", "class_probability_bright_very", "class"]
    expected = np.where(table["nucleus_perimeter"] > 35, BRIGHT.name, DIM.name)
    np.testing.assert_array_equal(table["class"], expected)
    assert set(expected) == {DIM.name, BRIGHT.name}
    assert found.to_pandas()["class"].tolist() == expected.tolist()
    np.testing.assert_allclose(table["class_probability_dim"] + table["class_probability_bright_very"], 1)


def test_the_labels_are_those_without_a_classifier(
    segmenter: Segmenter, picture: NDArray[np.uint8], found: Segmentation
) -> None:
    np.testing.assert_array_equal(found.labels, segmenter.predict(picture).labels)


@pytest.mark.usefixtures("small_groups")
def test_a_slide_has_the_classes_of_the_image_to_the_last_bit(
    segmenter: Segmenter, picture: NDArray[np.uint8], found: Segmentation, tmp_path: Path
) -> None:
    result = segmenter.predict_slide(picture, out=tmp_path / "s", block=64, tile=136, classifier=CLASSIFIER)
    same(result.table, found.table)
    found.save(tmp_path / "image.csv")
    exported = export_slide(tmp_path / "s", tmp_path / "e", formats=["csv", "geojson", "coco"])
    assert (tmp_path / "e" / "nuclei.csv").read_bytes() == (tmp_path / "image.csv").read_bytes()
    assert json.loads((tmp_path / "e" / "nuclei.geojson").read_text()) == found.to_geojson()
    assert json.loads(gzip.decompress(result.outlines_path.read_bytes())) == found.to_geojson()
    assert len(exported) == 3


def test_a_repeated_run_does_nothing_and_another_classifier_replaces_the_classes(
    segmenter: Segmenter, picture: NDArray[np.uint8], tmp_path: Path
) -> None:
    result = segmenter.predict_slide(picture, out=tmp_path, classifier=CLASSIFIER)
    written = result.table_path.stat().st_mtime_ns
    segmenter.predict_slide(picture, out=tmp_path, classifier=CLASSIFIER)
    assert result.table_path.stat().st_mtime_ns == written
    other = threshold_classifier("nucleus_perimeter", 5.0, groups=("shape", "neighbours"), expand=2)
    again = segmenter.predict_slide(picture, out=tmp_path, classifier=other)
    assert set(again.table["class"]) == {BRIGHT.name}


@pytest.mark.parametrize("count", [0, 1])
def test_an_image_with_one_nucleus_or_none_has_all_columns(segmenter: Segmenter, tmp_path: Path, count: int) -> None:
    picture = np.where(draw_discs((70, 80), [(30, 30, 8)]) > 100, 200 * count, 0).astype(np.uint8)
    found = segmenter.predict(picture, classifier=CLASSIFIER)
    result = segmenter.predict_slide(picture, out=tmp_path / "s", classifier=CLASSIFIER)
    assert len(found) == count
    same(result.table, found.table)
    for name in ("a.csv", "a.parquet", "a.geojson", "a.coco.json"):
        found.save(tmp_path / name)
    assert pandas.read_csv(tmp_path / "a.csv").columns[-1] == "class"
    categories = json.loads((tmp_path / "a.coco.json").read_text())["categories"]
    assert [each["name"] for each in categories] == [DIM.name, BRIGHT.name]


def test_qupath_and_coco_get_the_classes(found: Segmentation, tmp_path: Path) -> None:
    found.save(tmp_path / "a.geojson")
    found.save(tmp_path / "a.coco.json")
    features = json.loads((tmp_path / "a.geojson").read_text())["features"]
    told = [each["properties"]["classification"] for each in features]
    assert [each["name"] for each in told] == found.table["class"].tolist()
    assert {tuple(each["color"]) for each in told} == {DIM.colour, BRIGHT.colour}
    coco = COCO(tmp_path / "a.coco.json")
    names = [coco.cats[each["category_id"]]["name"] for each in coco.anns.values()]
    assert names == found.table["class"].tolist()


def test_anndata_has_the_class_as_categories(found: Segmentation, tmp_path: Path) -> None:
    anndata = pytest.importorskip("anndata", reason="anndata is not installed; the dependency group dev has it")
    found.save(tmp_path / "a.h5ad")
    obs = anndata.read_h5ad(tmp_path / "a.h5ad").obs
    assert obs["class"].tolist() == found.table["class"].tolist()
    assert obs["class"].dtype == "category"


def test_a_parquet_file_has_the_class_as_text(found: Segmentation, tmp_path: Path) -> None:
    found.save(tmp_path / "a.parquet")
    table = pyarrow.parquet.read_table(tmp_path / "a.parquet")
    assert table.column("class").to_pylist() == found.table["class"].tolist()
    again = parquet.concatenate_tables(list(parquet.read_table(tmp_path / "a.parquet")))
    assert again.classes is not None
    assert again.classes.kinds == (DIM, BRIGHT)


def test_a_class_that_the_file_does_not_list_is_damage(found: Segmentation, tmp_path: Path) -> None:
    found.save(tmp_path / "a.parquet")
    table = pyarrow.parquet.read_table(tmp_path / "a.parquet")
    place = table.schema.get_field_index("class")
    forged = table.set_column(place, "class", pyarrow.array(["x"] * len(table)))
    metadata = pyarrow.parquet.read_metadata(tmp_path / "a.parquet").metadata
    pyarrow.parquet.write_table(forged.replace_schema_metadata(metadata), tmp_path / "a.parquet")
    with pytest.raises(DataError, match="'x' is none of the classes"):
        list(parquet.read_table(tmp_path / "a.parquet"))


@pytest.mark.usefixtures("small_groups")
def test_a_finished_slide_gets_the_files_of_a_run_with_the_classifier(
    segmenter: Segmenter, picture: NDArray[np.uint8], tmp_path: Path
) -> None:
    options: dict[str, Any] = {"measure": "shape,neighbours", "expand": 2}
    segmenter.predict_slide(picture, out=tmp_path / "with", classifier=CLASSIFIER)
    segmenter.predict_slide(picture, out=tmp_path / "later", **options)
    classify_results(tmp_path / "later", CLASSIFIER)
    for name in RESULTS:
        assert (tmp_path / "later" / name).read_bytes() == (tmp_path / "with" / name).read_bytes(), name


@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
def test_a_finished_table_gets_the_classes_of_predict(
    segmenter: Segmenter, picture: NDArray[np.uint8], found: Segmentation, tmp_path: Path, suffix: str
) -> None:
    segmenter.predict(picture, measure="shape,neighbours", expand=2).save(tmp_path / f"a{suffix}")
    found.save(tmp_path / f"expected{suffix}")
    path = classify_results(tmp_path / f"a{suffix}", CLASSIFIER, out=tmp_path / "out")
    read = pandas.read_csv if suffix == ".csv" else pandas.read_parquet
    pandas.testing.assert_frame_equal(read(path), read(tmp_path / f"expected{suffix}"))
    again = classify_results(path, CLASSIFIER, out=tmp_path / "again")
    assert again.read_bytes() == path.read_bytes()


def test_other_columns_of_a_csv_table_stay_as_they_are(found: Segmentation, tmp_path: Path) -> None:
    found.save(tmp_path / "a.csv")
    rows = list(csv.reader((tmp_path / "a.csv").open()))
    for number, row in enumerate(rows):
        row.insert(0, "scene" if number == 0 else 'a "b", c')
    with (tmp_path / "a.csv").open("w", newline="") as file:
        csv.writer(file, lineterminator="\n").writerows(rows)
    path = classify_results(tmp_path / "a.csv", CLASSIFIER, out=tmp_path / "out")
    assert path.read_bytes() == (tmp_path / "a.csv").read_bytes()


def test_a_table_that_was_measured_in_other_cells_is_refused(
    segmenter: Segmenter, picture: NDArray[np.uint8], tmp_path: Path
) -> None:
    segmenter.predict_slide(picture, out=tmp_path, measure="shape,neighbours", expand=3)
    with pytest.raises(SettingsError, match=r"measured with expand=3.0 pixels, and the classifier was trained with 2"):
        classify_results(tmp_path, CLASSIFIER)
    segmenter.predict_slide(picture, out=tmp_path, measure="shape")
    before = (tmp_path / "nuclei.parquet").read_bytes()
    classifier = threshold_classifier("nucleus_GFP_mean")
    with pytest.raises(SettingsError, match="lacks 1 of its 1 columns"):
        classify_results(tmp_path, classifier)
    assert (tmp_path / "nuclei.parquet").read_bytes() == before


@pytest.mark.parametrize(
    ("name", "out", "message"),
    [
        ("a.tif", "out", "expected the folder of a finished slide, or a table of .csv or .parquet"),
        ("a.csv", None, "out: expected a folder for the table with the classes"),
        ("a.csv", ".", "is the table itself: give another folder"),
    ],
)
def test_what_is_no_table_or_has_no_place_to_go_is_refused(
    found: Segmentation, tmp_path: Path, name: str, out: str | None, message: str
) -> None:
    found.save(tmp_path / name)
    with pytest.raises(SettingsError, match=message):
        classify_results(tmp_path / name, CLASSIFIER, out=out and tmp_path / out)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "expected a table of nuclei with the columns"),
        (b"\xff\xfe", "expected a table of nuclei"),
        (b"label,area\n1,2\n", "expected a table of nuclei with the columns"),
    ],
)
def test_a_damaged_csv_table_is_refused(tmp_path: Path, content: bytes, message: str) -> None:
    (tmp_path / "a.csv").write_bytes(content)
    with pytest.raises(DataError, match=message):
        classify_results(tmp_path / "a.csv", CLASSIFIER, out=tmp_path / "out")


def test_a_csv_table_that_was_cut_off_is_refused(found: Segmentation, tmp_path: Path) -> None:
    found.save(tmp_path / "a.csv")
    content = (tmp_path / "a.csv").read_bytes()
    (tmp_path / "a.csv").write_bytes(content[: content.rstrip().rfind(b",", 0, -40)])
    with pytest.raises(DataError, match=r"line \d+: expected \d+ cells, got \d+"):
        classify_results(tmp_path / "a.csv", CLASSIFIER, out=tmp_path / "out")
    assert not (tmp_path / "out" / "a.csv").exists()

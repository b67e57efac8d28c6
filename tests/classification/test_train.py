"""Training from marked nuclei of several images, its report, and the classifier in use."""

from __future__ import annotations

import dataclasses
import json
import logging
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from helpers.marked import CLASSES, PLACES, image, write_points, write_table
from nucleus_unet import Segmenter
from nucleus_unet.classification import TrainedClassifier, train_classifier
from nucleus_unet.classification.report import report_html
from nucleus_unet.classification.train import train_on
from nucleus_unet.classifier import load_classifier
from nucleus_unet.errors import DataError, SettingsError
from nucleus_unet.exports import parquet
from sklearn.metrics import confusion_matrix, f1_score, precision_score, recall_score

TINY = 0.2


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three images with marks of QuPath, of a table by label and of painted pixels."""
    folder = tmp_path_factory.mktemp("marked ä")
    for number in range(3):
        tifffile.imwrite(folder / f"{number}.tif", image(number))
    write_points(folder / "0.geojson")
    rows = [(label, name) for label, name in enumerate(CLASSES, start=1)]
    write_table(folder / "1.csv", ("label", "class"), rows)
    painted = np.zeros(image().shape, np.uint8)
    for (row, column), name in zip(PLACES, CLASSES, strict=True):
        painted[row : row + 3, column : column + 3] = 1 + CLASSES.index(name)
    tifffile.imwrite(folder / "2-marks.tif", painted)
    return folder


@pytest.fixture(scope="module")
def trained(segmenter: Segmenter, folder: Path) -> TrainedClassifier:
    marks = [folder / "0.geojson", folder / "1.csv", folder / "2-marks.tif"]
    pairs = [(folder / f"{number}.tif", each) for number, each in enumerate(marks)]
    return train_classifier(pairs, segmenter=segmenter, names={1: "dim", 2: "bright"}, expand=3)


def test_nuclei_of_an_unseen_image_get_their_classes(segmenter: Segmenter, trained: TrainedClassifier) -> None:
    found = segmenter.predict(image(7), classifier=trained.classifier)
    assert found.table["class"].tolist() == CLASSES
    assert found.cells is not None


def test_the_scores_are_those_of_scikit_learn(trained: TrainedClassifier) -> None:
    validation = trained.validation
    truth, guess = validation.index, validation.predicted
    assert (validation.by_image, validation.folds, len(truth)) == (True, 3, 18)
    np.testing.assert_array_equal(validation.confusion, confusion_matrix(truth, guess))
    np.testing.assert_allclose(validation.f1, f1_score(truth, guess, average=None))
    np.testing.assert_allclose(validation.precision, precision_score(truth, guess, average=None))
    np.testing.assert_allclose(validation.recall, recall_score(truth, guess, average=None))
    assert validation.macro_f1 > 0.8


def test_the_measures_that_tell_the_classes_count_most(trained: TrainedClassifier) -> None:
    classifier = trained.classifier
    weights = dict(zip(classifier.columns, classifier.estimator.weights, strict=True))
    bright = sum(weight for name, weight in weights.items() if "grey" in name or name == "intensity")
    assert bright > 0.8
    assert not any("orientation" in name for name in classifier.columns)


def test_it_remembers_how_nuclei_were_measured_and_found(trained: TrainedClassifier, segmenter: Segmenter) -> None:
    classifier = trained.classifier
    assert classifier.measured == (("intensity", "shape"), 3.0, 100.0, None)
    assert classifier.found_by == ("tiny", segmenter.bundle.fingerprint)
    assert {kind.name: kind.colour for kind in classifier.kinds}["dim"] == (200, 0, 0)  # of QuPath


def test_the_same_marks_give_the_same_classifier(trained: TrainedClassifier) -> None:
    assert train_on(trained.images).classifier == trained.classifier


def test_the_folder_holds_the_classifier_the_page_and_the_marked_nuclei(
    trained: TrainedClassifier, tmp_path: Path
) -> None:
    path = trained.save(tmp_path / "my classifier")
    assert load_classifier(path) == trained.classifier
    lines = (path.parent / "marked.csv").read_text(encoding="utf-8").splitlines()
    assert lines[0] == "image,label,class,predicted,probability"
    assert len(lines) == 19
    assert (path.parent / "report.html").read_text(encoding="utf-8").count("<img") == 18


def test_the_page_shows_the_least_sure_nuclei_first(trained: TrainedClassifier) -> None:
    page = report_html(trained)
    dim = page.partition("<h2>Nuclei")[2].rpartition("bright</h3>")[2].partition("dim</h3>")
    for part in (dim[0], dim[2]):
        shown = [float(text.partition("<")[0].split()[0]) for text in part.split("<figcaption>")[1:]]
        assert len(shown) == 9
        assert shown == sorted(shown)
    assert "Cross-validation over images: 3 folds" in page
    assert "Fewer than 10 marked nuclei: bright, dim" in page


def test_of_one_image_nuclei_are_held_out_and_the_page_says_so(segmenter: Segmenter, folder: Path) -> None:
    trained = train_classifier([(folder / "0.tif", folder / "0.geojson")], segmenter=segmenter, kind="logistic")
    assert (trained.validation.by_image, trained.validation.folds) == (False, 3)
    assert "There is only one image, so 3 folds of its nuclei were held out" in report_html(trained)


def test_a_class_of_one_image_is_told(segmenter: Segmenter, folder: Path, tmp_path: Path) -> None:
    other = write_table(tmp_path / "b.csv", ("label", "class"), [(1, "<i>rare</i>"), (2, "bright"), (3, "<i>rare</i>")])
    pairs = [(folder / "0.tif", folder / "0.geojson"), (folder / "1.tif", other)]
    page = report_html(train_classifier(pairs, segmenter=segmenter, kind="logistic"))
    assert "The class &lt;i&gt;rare&lt;/i&gt; is marked in one image only" in page
    assert "<i>rare" not in page


@pytest.mark.parametrize("kind", ["forest", "logistic"])
def test_rare_classes_are_found_among_many_nuclei_of_another(
    segmenter: Segmenter, folder: Path, tmp_path: Path, kind: str
) -> None:
    rows = [(label, "bright" if label in (2, 4) else "dim") for label in (1, 2, 3, 4, 5)]
    marks = write_table(tmp_path / "a.csv", ("label", "class"), rows)
    pairs = [(folder / f"{number}.tif", marks) for number in range(3)]
    trained = train_classifier(pairs, segmenter=segmenter, kind=kind)
    assert segmenter.predict(image(9), classifier=trained.classifier).table["class"].tolist() == CLASSES


@pytest.mark.parametrize(
    ("classes", "message"),
    [
        (["a"] * 6, "expected nuclei of at least two classes, got 'a'"),
        (["a", "a", "a", "a", "b", "c"], "at least 2 marked nuclei of each class, got 1 of 'b', 'c'"),
    ],
)
def test_too_few_classes_or_nuclei_are_refused(
    segmenter: Segmenter, folder: Path, tmp_path: Path, classes: list[str], message: str
) -> None:
    marks = write_table(tmp_path / "a.csv", ("label", "class"), list(enumerate(classes, start=1)))
    with pytest.raises(SettingsError, match=message):
        train_classifier([(folder / "0.tif", marks)], segmenter=segmenter)


def test_nan_and_constant_columns_are_no_hindrance(segmenter: Segmenter, folder: Path) -> None:
    options: dict[str, Any] = {"measure": "intensity,neighbours", "neighbour_radius": 1}
    trained = train_classifier(
        [(folder / "0.tif", folder / "0.geojson")], segmenter=segmenter, kind="logistic", **options
    )
    # No nucleus has a neighbour within a pixel: one column is NaN, and one is 0 throughout.
    assert not any("neighbour" in name for name in trained.classifier.columns)
    equal = {"area": np.full(6, 3.0), "x": np.full(6, np.nan)}
    same = [dataclasses.replace(each, columns=equal) for each in trained.images]
    with pytest.raises(SettingsError, match="equal measures, so nothing tells their classes apart"):
        train_on(same, kind="logistic")


def test_micrometres_replace_pixels_if_all_images_tell_their_pixel_size(segmenter: Segmenter, folder: Path) -> None:
    pairs = [(folder / "0.tif", folder / "0.geojson"), (folder / "1.tif", folder / "1.csv")]
    options: dict[str, Any] = {"measure": "shape", "diameter": 20.0}  # scaled, the discs differ in shape
    with_size = train_classifier(pairs, segmenter=segmenter, mpp=TINY, kind="logistic", **options)
    columns = with_size.classifier.columns
    assert with_size.classifier.measured.mpp == TINY
    assert "nucleus_area_um2" in columns
    assert not {"area", "nucleus_area", "nucleus_perimeter"} & set(columns)
    with pytest.raises(SettingsError, match="a known pixel size"):
        segmenter.predict(image(), classifier=with_size.classifier)


def test_a_finished_table_and_a_finished_slide_are_trained_on_without_pixels(
    segmenter: Segmenter, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(parquet, "_GROUP_ROWS", 2)  # marks lie in several parts of a table
    options: dict[str, Any] = {"measure": "intensity,shape", "expand": 3}
    segmenter.predict(folder / "0.tif", **options).save(tmp_path / "0.parquet")
    segmenter.predict(folder / "1.tif", **options).save(tmp_path / "1.csv")
    segmenter.predict_slide(folder / "2.tif", out=tmp_path / "2", **options)
    marks = [folder / "0.geojson", folder / "1.csv", folder / "2-marks.tif"]
    pairs = list(zip([tmp_path / "0.parquet", tmp_path / "1.csv", tmp_path / "2"], marks, strict=True))
    trained = train_classifier(pairs, expand=3, names={1: "dim", 2: "bright"}, kind="logistic")
    assert [len(each.labels) for each in trained.images] == [6, 6, 6]
    assert segmenter.predict(image(7), classifier=trained.classifier).table["class"].tolist() == CLASSES
    assert "No pictures" in report_html(trained)
    with pytest.raises(DataError, match="the table has cells: give the same expand="):
        train_classifier(pairs[:1])


def test_points_need_outlines_which_a_csv_table_lacks(segmenter: Segmenter, folder: Path, tmp_path: Path) -> None:
    segmenter.predict(folder / "0.tif", measure="shape").save(tmp_path / "0.csv")
    with pytest.raises(SettingsError, match="this table has no outlines, so nuclei can be marked by label only"):
        train_classifier([(tmp_path / "0.csv", folder / "0.geojson")])


def test_tables_without_measures_or_of_other_cells_are_refused(
    segmenter: Segmenter, folder: Path, tmp_path: Path
) -> None:
    segmenter.predict(folder / "1.tif").save(tmp_path / "1.csv")
    with pytest.raises(DataError, match="expected a table with measures"):
        train_classifier([(tmp_path / "1.csv", folder / "1.csv")])
    segmenter.predict_slide(folder / "1.tif", out=tmp_path / "1", measure="shape", expand=5)
    pairs = [(folder / "0.tif", folder / "0.geojson"), (tmp_path / "1", folder / "1.csv")]
    with pytest.raises(SettingsError, match=r"expand: expected images that are measured in one way, got 3.0 in .*5.0"):
        train_classifier(pairs, segmenter=segmenter, expand=3)


def test_another_model_than_that_of_training_is_told(
    trained: TrainedClassifier, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING):
        Segmenter.from_pretrained().predict(image(), classifier=trained.classifier)
    assert "trained on nuclei that another model found ('tiny'" in caplog.text


def test_an_image_without_the_channels_of_training_is_refused_before_it_is_segmented(
    segmenter: Segmenter, trained: TrainedClassifier, tmp_path: Path
) -> None:
    colours = np.stack([image()] * 3, axis=-1)
    steps: list[Any] = []
    for predict in (segmenter.predict, lambda *a, **k: segmenter.predict_slide(*a, out=tmp_path / "out", **k)):
        with pytest.raises(SettingsError, match=r"lacks .* columns .*same channels"):
            predict(colours, classifier=trained.classifier, progress=lambda *told: steps.append(told))
    assert steps == []


def test_predicting_needs_no_scikit_learn(trained: TrainedClassifier, tmp_path: Path) -> None:
    path = trained.save(tmp_path)
    code = f"""
import sys
sys.modules["sklearn"] = None
import numpy as np
from nucleus_unet.classifier import load_classifier
classifier = load_classifier({str(path)!r})
table = {{name: np.zeros(3) for name in classifier.columns}}
print(len(classifier.classify(table).classes.names))
"""
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert json.loads(result.stdout) == 3

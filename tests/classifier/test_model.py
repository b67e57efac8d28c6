"""A classifier as a file, and applied to columns of a table."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import logging
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from helpers.classifiers import BRIGHT, DIM, threshold_classifier
from nucleus_unet.classifier import Classifier, load_classifier
from nucleus_unet.classifier.classes import ClassKind
from nucleus_unet.classifier.estimators import Logistic
from nucleus_unet.classifier.model import _warn_once
from nucleus_unet.errors import DataError, SettingsError
from nucleus_unet.options import PredictOptions


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return threshold_classifier(expand="4 um", mpp=0.5).save(tmp_path / "ä b.json")


def test_each_nucleus_gets_its_most_probable_class_and_the_probabilities() -> None:
    found = threshold_classifier().classify({"intensity": np.array([99, 101.0, 100]), "label": np.arange(3)})
    assert found.classes.names.tolist() == [DIM.name, BRIGHT.name, DIM.name]
    assert list(found.probabilities) == ["class_probability_dim", "class_probability_bright_very"]
    expected = 1 / (1 + np.exp([2, -2, 0]))
    np.testing.assert_allclose(found.probabilities["class_probability_bright_very"], expected)


def test_what_is_not_finite_is_filled_with_the_median_of_training() -> None:
    found = threshold_classifier().classify({"intensity": np.array([np.nan, np.inf, -np.inf, 0])})
    assert found.classes.names.tolist() == [BRIGHT.name] * 3 + [DIM.name]


def test_a_table_without_nuclei_has_no_classes() -> None:
    found = threshold_classifier().classify({"intensity": np.zeros(0)})
    assert len(found.classes.names) == 0


def test_classes_of_similar_names_have_columns_of_their_own() -> None:
    classifier = threshold_classifier()
    similar = Classifier(
        (DIM._replace(name="Ki67+"), DIM._replace(name="Ki67-")),
        *(getattr(classifier, name) for name in ("columns", "fill", "estimator", "measured", "found_by")),
    )
    assert len(set(similar.probability_columns)) == 2


def test_a_name_that_ends_like_a_number_keeps_its_column() -> None:
    kinds = tuple(ClassKind(name, (0, 0, 0)) for name in ("a", "a_2", "a{"))
    estimator = Logistic(np.zeros(1), np.ones(1), np.array([[0.0], [1.0], [2.0]]), np.zeros(3))
    classifier = dataclasses.replace(threshold_classifier(), kinds=kinds, estimator=estimator)
    found = classifier.classify({"intensity": np.ones(2)})
    assert len(found.probabilities) == 3
    np.testing.assert_allclose(sum(found.probabilities.values()), 1)


@pytest.mark.parametrize("size", ["0.5", True, 0, -1])
def test_a_pixel_size_that_is_no_positive_number_is_refused(size: Any, file: Path) -> None:
    content = json.loads(file.read_text())
    content["measured"]["mpp"] = size
    file.write_text(json.dumps(signed(content)))
    with pytest.raises(DataError, match="mpp: expected a positive number"):
        load_classifier(file)


def test_a_file_gives_back_an_equal_classifier(file: Path) -> None:
    again = load_classifier(file)
    assert again == threshold_classifier(expand="4 um", mpp=0.5)
    assert again != threshold_classifier()
    assert again.measured.expand == "4 um"
    assert again.to_json() == json.loads(file.read_text(encoding="utf-8"))


def test_a_file_that_was_cut_off_is_refused(file: Path) -> None:
    content = file.read_bytes().rstrip()
    for length in range(0, len(content), 7):
        file.write_bytes(content[:length])
        with pytest.raises(DataError, match="expected a classifier"):
            load_classifier(file)


def test_a_file_with_a_changed_digit_is_refused(file: Path) -> None:
    file.write_text(file.read_text().replace("101.0", "102.0"))
    with pytest.raises(DataError, match="not those of its fingerprint"):
        load_classifier(file)


def every_change(values: Any) -> list[Any]:
    """Content in which one value is another, at every depth."""
    changed: list[Any] = [None, "x", -1, [], {}, float("nan"), 10**400]
    if isinstance(values, dict):
        for key, value in values.items():
            changed.append({other: each for other, each in values.items() if other != key})
            changed += [{**values, key: each} for each in every_change(value)]
    if isinstance(values, list):
        for place, value in enumerate(values):
            changed += [[*values[:place], each, *values[place + 1 :]] for each in every_change(value)]
    return changed


def signed(content: Any) -> Any:
    """Content with the fingerprint that fits."""
    if not isinstance(content, dict):
        return content
    own = {name: value for name, value in content.items() if name not in ("format", "version", "fingerprint")}
    return {**content, "fingerprint": hashlib.sha256(json.dumps(own, sort_keys=True).encode()).hexdigest()}


def test_forged_content_is_refused_or_does_no_harm(file: Path) -> None:
    content = threshold_classifier().to_json()
    refused = 0
    for forged in every_change(content):
        file.write_text(json.dumps(signed(forged)))
        try:
            classifier = load_classifier(file)
        except DataError:
            refused += 1
            continue
        table = {name: np.array([-1e300, 0, np.nan]) for name in classifier.columns}
        found = classifier.classify(table)
        assert all(((each >= 0) & (each <= 1)).all() for each in found.probabilities.values())
        PredictOptions(classifier=classifier)
    assert refused > 200


@pytest.mark.parametrize("content", [b"", b"\x00\xff", b"[" * 100_000, pickle.dumps({"a": 1}), b"[1, 2]"])
def test_other_files_are_refused_in_a_sentence(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "a.json").write_bytes(content)
    with pytest.raises(DataError, match=r"a\.json: expected a classifier that `nucleus-unet classify` wrote"):
        load_classifier(tmp_path / "a.json")


def test_the_folder_of_a_classifier_stands_for_its_file(file: Path, tmp_path: Path) -> None:
    folder = tmp_path / "dense-or-pale"
    folder.mkdir()
    with pytest.raises(DataError, match=r"dense-or-pale: expected a folder .* it has no classifier\.json"):
        load_classifier(folder)
    (folder / "classifier.json").write_bytes(file.read_bytes())
    assert load_classifier(folder) == load_classifier(file)
    assert PredictOptions(classifier=folder).classifier == load_classifier(file)


def test_a_classifier_of_another_version_is_refused(file: Path) -> None:
    file.write_text(file.read_text().replace('"version":1', '"version":2'))
    with pytest.raises(DataError, match="its version is 2, and this nucleus-unet reads 1"):
        load_classifier(file)


def test_a_missing_column_is_named_with_what_to_measure() -> None:
    classifier = threshold_classifier("nucleus_GFP_mean", expand=8)
    with pytest.raises(SettingsError, match=r"lacks 1 of its 1 columns \(nucleus_GFP_mean\).*'intensity' and expand=8"):
        classifier.classify({"intensity": np.zeros(3)})


def test_a_missing_pixel_size_is_named() -> None:
    with pytest.raises(SettingsError, match="a known pixel size"):
        threshold_classifier("nucleus_area_um2").check_columns(["nucleus_area"])


def test_options_take_what_the_classifier_needs(file: Path) -> None:
    options = PredictOptions(classifier=file, measure="shape", mpp=0.5)
    assert (options.measure, options.expand) == (("intensity", "shape"), "4 um")
    assert PredictOptions(**options.keywords()) == options


def test_other_cells_than_those_of_training_are_refused(file: Path) -> None:
    with pytest.raises(SettingsError, match="expand: the classifier was trained with '4 um', got 8"):
        PredictOptions(classifier=file, expand=8)
    with pytest.raises(SettingsError, match=r"expand: the classifier was trained without cells, got 8"):
        PredictOptions(classifier=threshold_classifier(), expand=8)
    assert PredictOptions(classifier=file, expand="4µm").expand == "4 um"


def test_other_neighbours_than_those_of_training_are_refused() -> None:
    classifier = threshold_classifier(groups=("neighbours",), neighbour_radius=40.0)
    assert PredictOptions(classifier=classifier).neighbour_radius == 40
    with pytest.raises(SettingsError, match=r"neighbour_radius: the classifier was trained with 40.0, got 50"):
        PredictOptions(classifier=classifier, neighbour_radius=50)


def test_what_is_no_classifier_is_refused(tmp_path: Path) -> None:
    with pytest.raises(
        SettingsError, match="classifier: expected a classifier or the path of its file or folder, got int"
    ):
        PredictOptions(classifier=3)
    with pytest.raises(FileNotFoundError):
        PredictOptions(classifier=tmp_path / "none.json")


@pytest.mark.parametrize(("mpp", "told"), [(0.5, False), (0.52, False), (0.25, True), (None, False)])
def test_another_pixel_size_is_told_where_sizes_in_pixels_count(
    mpp: float | None, told: bool, caplog: pytest.LogCaptureFixture
) -> None:
    _warn_once.cache_clear()
    with caplog.at_level(logging.WARNING):
        threshold_classifier("nucleus_area", mpp=0.5).tell_differences(mpp, None)
        threshold_classifier("nucleus_GFP_mean", mpp=0.5).tell_differences(mpp, None)
    assert ("pixels of 0.5 micrometres" in caplog.text) == told

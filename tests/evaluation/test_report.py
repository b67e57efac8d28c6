"""The report of an evaluation: its figures, its files, and the page."""

from __future__ import annotations

import base64
import csv
import dataclasses
import json
import re
from pathlib import Path

import imagecodecs
import numpy as np
import pytest
from helpers.commands import run_script
from helpers.images import draw_discs
from helpers.pages import NASTY, Page
from nucleus_unet import Segmenter
from nucleus_unet.data.dataset import Example
from nucleus_unet.errors import DataError, NucleusError, SettingsError
from nucleus_unet.evaluation.evaluate import Evaluation, evaluate
from nucleus_unet.evaluation.metrics import score_image, summarise
from nucleus_unet.evaluation.overlays import error_panels
from nucleus_unet.evaluation.page import evaluation_html
from nucleus_unet.evaluation.report import worst_images, write_report
from nucleus_unet.evaluation.subsets import read_names


def labelled(name: str, kind: str, mosaic: str, discs: list[tuple[int, int, int]], *, unlabelled: int = 0) -> Example:
    """Draw discs, the last few of which are not in the truth."""
    labels = np.zeros((70, 90), np.uint32)
    rows, columns = np.ogrid[:70, :90]
    for label, (row, column, radius) in enumerate(discs[: len(discs) - unlabelled], 1):
        labels[(rows - row) ** 2 + (columns - column) ** 2 <= radius**2] = label
    image = draw_discs((70, 90), discs) if discs else np.zeros((70, 90), np.uint8)
    return Example(name, kind, image, labels, mosaic)


EXAMPLES = [
    labelled("good", "bright", "one", [(20, 25, 8), (45, 60, 9)]),
    labelled(NASTY, "bright", "one", [(20, 25, 8), (45, 60, 9), (50, 20, 7)], unlabelled=2),
    labelled("empty", "d<i>m", "two", []),
]


@pytest.fixture(scope="module")
def evaluation(segmenter: Segmenter) -> Evaluation:
    return evaluate(segmenter, EXAMPLES, subsets={"chosen <b>": [NASTY, "empty"]})


def test_images_that_the_model_was_trained_on_are_told_of(segmenter: Segmenter, evaluation: Evaluation) -> None:
    metrics = {"seen": {"training": [EXAMPLES[0].digest, "0" * 16]}}
    trained = Segmenter(dataclasses.replace(segmenter.bundle, metrics=metrics), device="cpu", precision="float32")
    said = "Of 2 images, the model was trained on 1: its scores are optimistically biased."
    assert said in evaluation_html(evaluate(trained, EXAMPLES[:2]), [])
    assert "was trained on" not in evaluation_html(evaluation, [])


def test_figures_are_of_all_images_and_of_every_kind_field_and_subset(evaluation: Evaluation) -> None:
    scores = {image.example.name: image.score for image in evaluation.images}
    assert list(scores) == ["good", NASTY, "empty"]
    assert evaluation.overall == summarise(list(scores.values()))
    assert evaluation.categories == {
        "bright": summarise([scores["good"], scores[NASTY]]),
        "d<i>m": summarise([scores["empty"]]),
    }
    assert evaluation.subsets == {"chosen <b>": summarise([scores[NASTY], scores["empty"]])}
    assert list(evaluation.fields) == ["one"]  # a field that one image shows is that image
    for image in evaluation.images:
        assert image.score == score_image(image.example.labels, image.prediction)


def test_a_subset_of_unknown_images_is_refused_before_the_first_prediction(segmenter: Segmenter) -> None:
    def track(examples: object) -> list[Example]:
        raise AssertionError("predicted")

    with pytest.raises(DataError, match=r"'new': 1 of 2 names are not those of an image, such as 'god'"):
        evaluate(segmenter, EXAMPLES, subsets={"new": ["good", "god"]}, track=track)
    with pytest.raises(DataError, match="'none': expected at least one name"):
        evaluate(segmenter, EXAMPLES, subsets={"none": []}, track=track)


def test_no_examples_are_refused(segmenter: Segmenter) -> None:
    with pytest.raises(DataError, match="at least one image"):
        evaluate(segmenter, [])


def test_the_page_is_whole_escaped_and_needs_no_network(evaluation: Evaluation, tmp_path: Path) -> None:
    text = write_report(evaluation, tmp_path / "new" / "folder").read_text(encoding="utf-8")
    page = Page(text)
    assert page.open == []
    assert page.tags.isdisjoint({"script", "i", "link", "iframe"})
    assert NASTY in page.text
    assert "chosen <b>" in page.text
    assert "d<i>m" in page.text
    assert len(page.sources) == 1 + 3  # the curves, and the only image with faults: itself, truth, prediction
    for source in page.sources:
        png = base64.b64decode(source.removeprefix("data:image/png;base64,"), validate=True)
        assert imagecodecs.png_decode(png).ndim == 3
    assert "url(" not in text
    assert "@import" not in text


def test_the_page_says_the_figures(evaluation: Evaluation, tmp_path: Path) -> None:
    text = write_report(evaluation, tmp_path).read_text(encoding="utf-8")
    rows = [re.findall(r"<td>(.*?)</td>", row) for row in re.findall(r"<tr>(.*?)</tr>", text)]
    overall = next(row for row in rows if row[:1] == ["all"])
    assert overall[-3:] == ["3", "3", "5"]
    assert overall[1] == f"{evaluation.overall.pooled[0.5]:.3f}"
    assert overall[-4] == f"{evaluation.overall.pixel_accuracy:.3f}"
    errors = [row for row in rows if row[:1] == ["all"]][-1]
    assert errors[6] == f"{2 / 3:.1%}"  # two predictions on what the truth has as background, three true nuclei


def test_a_subset_called_all_does_not_stand_in_for_all_images(segmenter: Segmenter, tmp_path: Path) -> None:
    text = write_report(evaluate(segmenter, EXAMPLES, subsets={"all": ["good"]}), tmp_path).read_text(encoding="utf-8")
    rows = [re.findall(r"<td>(.*?)</td>", row) for row in re.findall(r"<tr>(.*?)</tr>", text)]
    assert [row[-3] for row in rows if row[:1] == ["all"] and len(row) == 18] == ["3", "1"]


def test_the_json_holds_every_figure_and_every_image(evaluation: Evaluation, tmp_path: Path) -> None:
    write_report(evaluation, tmp_path)
    figures = json.loads((tmp_path / "report.json").read_text())
    assert figures == evaluation.to_json()
    assert set(figures) == {
        "model",
        "fingerprint",
        "augment",
        "training_images",
        "calibration_images",
        "overall",
        "subsets",
        "categories",
        "fields",
        "images",
    }
    for convention in ("pooled", "per_image"):
        assert len(figures["overall"][f"{convention}_ap"]) == len(figures["overall"][f"{convention}_f1"]) == 10
        assert set(figures["overall"][f"{convention}_pq"]) == {"pq", "sq", "rq"}
    assert [image["name"] for image in figures["images"]] == ["good", NASTY, "empty"]


def test_the_table_has_a_row_for_every_image(evaluation: Evaluation, tmp_path: Path) -> None:
    write_report(evaluation, tmp_path)
    with (tmp_path / "images.csv").open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert [row["name"] for row in rows] == ["good", NASTY, "empty"]
    assert [row["truths"] for row in rows] == ["2", "1", "0"]
    assert (rows[1]["background"], rows[1]["category"], rows[1]["height"]) == ("2", "bright", "70")
    assert float(rows[1]["ap_0.50"]) == pytest.approx(1 / 3, abs=1e-5)


def test_an_equal_evaluation_gives_equal_files(segmenter: Segmenter, evaluation: Evaluation, tmp_path: Path) -> None:
    write_report(evaluation, tmp_path / "a")
    write_report(evaluate(segmenter, EXAMPLES, subsets={"chosen <b>": [NASTY, "empty"]}), tmp_path / "b")
    first, second = ({path.name: path.read_bytes() for path in (tmp_path / name).iterdir()} for name in "ab")
    assert first == second != {}


def test_the_worst_images_come_first_and_faultless_ones_never(evaluation: Evaluation) -> None:
    assert [image.example.name for image in worst_images(evaluation, 5)] == [NASTY]
    assert worst_images(evaluation, 0) == []


def test_a_set_without_nuclei_has_a_report_too(segmenter: Segmenter, tmp_path: Path) -> None:
    text = write_report(evaluate(segmenter, EXAMPLES[2:]), tmp_path).read_text(encoding="utf-8")
    assert "None to show." in text
    assert "<td>none</td>" in text


def test_a_report_never_replaces_a_file_by_a_folder(evaluation: Evaluation, tmp_path: Path) -> None:
    (tmp_path / "scores.json").write_text("{}")
    with pytest.raises(SettingsError, match=r"scores\.json: expected a folder"):
        write_report(evaluation, tmp_path / "scores.json")
    assert (tmp_path / "scores.json").read_text() == "{}"
    with pytest.raises(SettingsError, match="worst: expected 0 or more"):
        write_report(evaluation, tmp_path / "report", worst=-1)


def test_without_matplotlib_the_error_names_the_extra(tmp_path: Path) -> None:
    script = f"""
import sys
sys.modules["matplotlib"] = None
from pathlib import Path
from nucleus_unet.errors import MissingExtraError
from nucleus_unet.evaluation.report import check_report_folder
try:
    check_report_folder(Path({str(tmp_path)!r}))
except MissingExtraError as error:
    assert "nucleus-unet[plot]" in str(error)
else:
    raise AssertionError
"""
    run_script(script)


def test_a_picture_shows_lost_and_wrong_nuclei_in_their_colours() -> None:
    image = np.tile(np.arange(60, dtype=np.uint8), (20, 1))
    truth, prediction = np.zeros((2, 20, 60), np.uint32)
    truth[5:15, 5:15] = prediction[5:15, 5:15] = 7
    truth[5:15, 25:35] = 9
    prediction[5:15, 45:55] = 4_000_000_000
    plain, true_panel, predicted_panel = error_panels(image, truth, prediction)
    assert plain.shape == true_panel.shape == predicted_panel.shape == (20, 60, 3)
    found, missed, wrong = (5, 5), (5, 25), (5, 45)
    assert tuple(true_panel[found]) == tuple(predicted_panel[found]) == (86, 180, 233)
    assert tuple(true_panel[missed]) == tuple(predicted_panel[wrong]) == (213, 94, 0)
    np.testing.assert_array_equal(true_panel[10, 10], plain[10, 10])
    assert (true_panel[10, 30] != plain[10, 30]).any()
    np.testing.assert_array_equal(predicted_panel[:, 20:40], plain[:, 20:40])


@pytest.mark.parametrize(("shape", "height", "width"), [((512, 100), 512, 100), ((513, 100), 257, 50), ((1, 1), 1, 1)])
def test_pictures_of_large_images_are_smaller(shape: tuple[int, int], height: int, width: int) -> None:
    image = np.zeros((*shape, 3), np.uint16)
    labels = np.ones(shape, np.uint32)
    panels = error_panels(image, labels, np.zeros_like(labels))
    for panel in panels:
        assert imagecodecs.png_decode(imagecodecs.png_encode(panel)).shape == (height, width, 3)


@pytest.mark.parametrize(
    ("content", "names"),
    [
        (b"a\nb b\r\n\n a\n", ["a", "b b"]),
        (b"\xef\xbb\xbfa\n", ["a"]),
        (b'image_id,cluster\na,1\n"b,c",2\n', ["a", "b,c"]),
        (b"cluster,image_id\n1,a\n2\n", ["a"]),
        (b"a,b\nc,d\n", ["a,b", "c,d"]),
    ],
)
def test_names_are_read_from_lines_or_a_column(tmp_path: Path, content: bytes, names: list[str]) -> None:
    (tmp_path / "names").write_bytes(content)
    assert read_names(tmp_path / "names") == names


@pytest.mark.parametrize("content", [b"", b"\n \n", b"image_id\n", b"\xff\xfe\x00"])
def test_a_list_that_names_nothing_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "names").write_bytes(content)
    with pytest.raises(NucleusError, match="names"):
        read_names(tmp_path / "names")

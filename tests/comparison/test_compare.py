"""Comparing models: figures of each, differences, the files, and the command."""

from __future__ import annotations

import dataclasses
import json
import re
import subprocess
import sys
from pathlib import Path

import imagecodecs
import numpy as np
import pytest
from helpers.images import draw_discs
from helpers.pages import Page
from nucleus_unet import Segmenter
from nucleus_unet.cli import app
from nucleus_unet.comparison import Comparison, compare
from nucleus_unet.comparison.bootstrap import Interval
from nucleus_unet.comparison.compare import ComparedModel, Difference
from nucleus_unet.comparison.metric_values import METRICS
from nucleus_unet.comparison.page import check_comparison_folder, describe_images, write_comparison
from nucleus_unet.data.dataset import Example
from nucleus_unet.errors import DataError, MissingExtraError, SettingsError
from nucleus_unet.evaluation.evaluate import evaluate
from nucleus_unet.model.bundle import Bundle
from nucleus_unet.model.network import network_of
from nucleus_unet.training.validation import predict_examples
from typer.testing import CliRunner


def example(number: int) -> Example:
    discs = [(16, 10 + number, 6), (30, 40, 5 + number % 4)]
    labels = np.zeros((48, 56), np.uint32)
    rows, columns = np.ogrid[:48, :56]
    for label, (row, column, radius) in enumerate(discs, 1):
        labels[(rows - row) ** 2 + (columns - column) ** 2 <= radius**2] = label
    return Example(f"image {number}", "made up", draw_discs((48, 56), discs), labels, f"field {number}")


EXAMPLES = [example(number) for number in range(10)]


@pytest.fixture(scope="module")
def blind(segmenter: Segmenter) -> Segmenter:
    """The same network, that takes nothing for a nucleus."""
    config = segmenter.bundle.config
    group = dataclasses.replace(config.group, min_area=10_000)
    bundle: Bundle = dataclasses.replace(segmenter.bundle, config=dataclasses.replace(config, group=group))
    return Segmenter(bundle, device="cpu", precision="float32")


@pytest.fixture(scope="module")
def comparison(segmenter: Segmenter, blind: Segmenter) -> Comparison:
    return compare({"sees": segmenter, "<b>lind": blind}, EXAMPLES)


def test_figures_are_those_of_an_evaluation_and_of_training(segmenter: Segmenter, comparison: Comparison) -> None:
    scores = evaluate(segmenter, EXAMPLES).overall
    answers = predict_examples(segmenter.engine, EXAMPLES)
    model = comparison.models[0]
    assert model.metrics == pytest.approx(
        {
            "loss": np.mean([answer.loss for answer in answers]),
            "pixel_accuracy": scores.pixel_accuracy,
            "pooled_ap50": scores.pooled[0.5],
            "per_image_ap50": scores.per_image[0.5],
            "msa": scores.per_image_mean,
        }
    )
    assert model.parameters == sum(tensor.numel() for tensor in network_of(segmenter.bundle).parameters())
    assert model.milliseconds > 0


def test_a_model_that_finds_nothing_is_worse_but_for_its_loss(comparison: Comparison) -> None:
    verdicts = {each.metric: each.verdict for each in comparison.differences}
    assert verdicts == {
        "loss": "no difference",
        **dict.fromkeys(("pixel_accuracy", "pooled_ap50", "per_image_ap50", "msa"), "significant: sees is better"),
    }
    loss, _, ap50, *_ = comparison.differences
    assert loss.interval == (0, 0, 0)
    assert ap50.interval.difference == -comparison.models[0].metrics["pooled_ap50"]


@pytest.mark.parametrize(
    ("figure", "interval", "caveat", "verdict"),
    [
        ("loss", (0.2, 0.1, 0.3), "", "significant: a is better"),
        ("loss", (-0.2, -0.3, -0.1), "", "significant: b is better"),
        ("msa", (0.2, 0.1, 0.3), "", "significant: b is better"),
        ("msa", (0.2, 0.0, 0.3), "", "not significant (95 % CI includes 0)"),
        ("msa", (0.0, -0.1, 0.1), "", "not significant (95 % CI includes 0)"),
        ("msa", (0.2, 0.1, 0.3), "too few to tell", "too few to tell"),
    ],
)
def test_verdicts_follow_the_interval_and_the_sense_of_the_figure(
    figure: str, interval: tuple[float, float, float], caveat: str, verdict: str
) -> None:
    assert Difference(figure, "a", "b", Interval(*interval), caveat).verdict == verdict


def test_images_of_one_field_count_as_one_draw(segmenter: Segmenter, blind: Segmenter) -> None:
    some = EXAMPLES[:3]
    alike = [dataclasses.replace(each, image=each.image.astype(np.uint16)) for each in some]
    once, twice = (compare({"a": segmenter, "b": blind}, each, resamples=50) for each in (some, some + alike))
    assert (twice.images, twice.fields) == (6, 3)
    for a, b in zip(once.differences, twice.differences, strict=True):
        assert a.interval == pytest.approx(b.interval)


def test_all_pairs_of_models_are_compared(segmenter: Segmenter, blind: Segmenter) -> None:
    comparison = compare({"a": segmenter, "b": blind, "c": blind}, EXAMPLES[:1], resamples=5)
    pairs = [(each.first, each.second) for each in comparison.differences]
    assert list(dict.fromkeys(pairs)) == [("a", "b"), ("a", "c"), ("b", "c")]
    assert len(pairs) == 3 * len(METRICS)


def test_one_model_or_no_image_is_refused(segmenter: Segmenter) -> None:
    with pytest.raises(SettingsError, match="at least two models"):
        compare({"a": segmenter}, EXAMPLES)
    with pytest.raises(DataError, match="at least one image"):
        compare({"a": segmenter, "b": segmenter}, [])


def trained_on(segmenter: Segmenter, examples: list[Example]) -> Segmenter:
    metrics = {"seen": {"training": [each.digest for each in examples]}}
    return Segmenter(dataclasses.replace(segmenter.bundle, metrics=metrics), device="cpu", precision="float32")


def test_models_are_compared_on_what_none_was_trained_on(segmenter: Segmenter) -> None:
    a, b = trained_on(segmenter, EXAMPLES[:4]), trained_on(segmenter, EXAMPLES[2:6])
    comparison = compare({"a": a, "b": b}, EXAMPLES, resamples=5)
    assert (comparison.images, comparison.training_images, comparison.excluded_images) == (4, 2, 4)
    unseen, both = (
        compare({"a": segmenter, "b": segmenter}, each, resamples=5) for each in (EXAMPLES[6:], EXAMPLES[2:4])
    )
    for model, expected, training in zip(comparison.models, unseen.models, both.models, strict=True):
        assert model.metrics == expected.metrics
        assert model.training_metrics == {name: training.metrics[name] for name in ("loss", "pixel_accuracy")}


def test_images_that_come_twice_are_compared_once(segmenter: Segmenter) -> None:
    again = [
        dataclasses.replace(each, name=f"again {each.name}", field_id=f"again {each.field_id}") for each in EXAMPLES[:3]
    ]
    comparison = compare({"a": segmenter, "b": segmenter}, [*EXAMPLES[:3], *again], resamples=5)
    assert (comparison.images, comparison.fields, comparison.excluded_images) == (3, 3, 3)


def test_a_field_is_known_as_a_whole(segmenter: Segmenter) -> None:
    one_field = [dataclasses.replace(each, field_id="one") for each in EXAMPLES[:3]]
    trained = trained_on(segmenter, one_field[:1])
    comparison = compare({"a": trained, "b": trained}, [*one_field, *EXAMPLES[3:5]], resamples=5)
    assert (comparison.images, comparison.training_images, comparison.excluded_images) == (2, 1, 2)


def test_it_is_said_what_is_not_known_of_a_model_and_what_it_was_chosen_on(segmenter: Segmenter) -> None:
    metrics = {"seen": {"choice": [EXAMPLES[1].digest]}}
    chosen = Segmenter(dataclasses.replace(segmenter.bundle, metrics=metrics), device="cpu", precision="float32")
    said = describe_images(compare({"a": chosen, "b": trained_on(segmenter, EXAMPLES[5:])}, EXAMPLES[:2], resamples=5))
    assert said == (
        "2 images of 2 fields or patients that no model was trained on (training data unknown: a). "
        "Metrics on 1 calibration image of a model are optimistically biased."
    )


def test_of_models_that_know_every_image_none_is_called_better(segmenter: Segmenter, blind: Segmenter) -> None:
    comparison = compare({"a": trained_on(segmenter, EXAMPLES), "b": blind}, EXAMPLES)
    assert (comparison.held_out, comparison.images) == (False, 10)
    said = {each.verdict for each in comparison.differences}
    assert said == {"no difference", "no verdict: a model was trained on these images"}


def test_training_figures_have_rows_of_their_own(segmenter: Segmenter, tmp_path: Path) -> None:
    seen = trained_on(segmenter, EXAMPLES[:2])
    page = write_comparison(compare({"a": seen, "b": seen}, EXAMPLES[:4], resamples=5), tmp_path).read_text()
    titles = re.findall(r"<tr><td>(.*?)</td>", page)
    assert titles[:3] == ["training loss", "training pixel accuracy", "loss"]
    assert "Training metrics: 2 images that all models were trained on." in page


def test_the_page_is_whole_escaped_and_says_every_figure(comparison: Comparison, tmp_path: Path) -> None:
    text = write_comparison(comparison, tmp_path / "new").read_text(encoding="utf-8")
    page = Page(text)
    assert page.open == []
    assert page.sources == []
    rows = [re.findall(r"<td>(.*?)</td>", row) for row in re.findall(r"<tr>(.*?)</tr>", text)]
    assert re.findall(r"<th>(.*?)</th>", text)[:3] == ["", "sees", "&lt;b&gt;lind"]
    assert ["mSA", *(f"{model.metrics['msa']:.4f}" for model in comparison.models)] in rows
    assert [row[0] for row in rows if len(row) == 4] == [figure.title for figure in METRICS.values()]
    assert json.loads((tmp_path / "new" / "comparison.json").read_text()) == comparison.to_json()


def test_a_comparison_never_replaces_a_file_by_a_folder(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("kept")
    model = ComparedModel("a", "0", 1, 1.0, dict.fromkeys(METRICS, 0.5), {})
    with pytest.raises(SettingsError, match="expected a folder"):
        write_comparison(Comparison([model, model], [], True, 1, 1, 0, 0, 0, [], 1, 0), tmp_path / "file")
    assert (tmp_path / "file").read_text() == "kept"


def test_without_jinja_the_error_names_the_extra(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "jinja2", None)
    with pytest.raises(MissingExtraError, match=r"nucleus-unet\[plot\]"):
        check_comparison_folder(tmp_path)


@pytest.mark.parametrize(
    ("bundles", "error", "message"),
    [
        (["tiny", "tiny", "--out", "file"], SettingsError, "expected a folder"),
        (["tiny"], SettingsError, "at least two"),
        (["tiny", "tiny"], SettingsError, "different bundles"),
        (["tiny", "missing"], FileNotFoundError, "missing"),
    ],
)
def test_mistakes_are_told_before_anything_is_read(
    bundles: list[str],
    error: type[Exception],
    message: str,
    tiny_bundle: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("file").touch()
    given = [str(tiny_bundle) if each == "tiny" else each for each in bundles]
    with pytest.raises(error, match=message):
        CliRunner().invoke(app, ["compare", *given, "--data", "none"], catch_exceptions=False)


def test_compare_prints_and_writes_from_the_command_line(tiny_bundle: Path, tmp_path: Path) -> None:
    for part in ("images", "masks"):
        (tmp_path / "set" / part).mkdir(parents=True)
    for each in EXAMPLES[:2]:
        (tmp_path / "set" / "images" / f"{each.name}.png").write_bytes(imagecodecs.png_encode(each.image))
        masks = imagecodecs.png_encode(each.labels.astype(np.uint8))
        (tmp_path / "set" / "masks" / f"{each.name}.png").write_bytes(masks)
    arguments = ["compare", tiny_bundle, "embedded", "--data", tmp_path / "set", "--out", tmp_path / "out"]
    line = [sys.executable, "-c", "from nucleus_unet.cli import main; main()", *map(str, arguments)]
    result = subprocess.run(line, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
    assert "embedded against tiny, mSA:" in result.stdout
    assert "no verdict: fewer than 10 fields" in result.stdout
    assert {path.name for path in (tmp_path / "out").iterdir()} == {"comparison.html", "comparison.json"}
